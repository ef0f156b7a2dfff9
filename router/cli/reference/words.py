"""The words of the grammar, each with its form and its meaning."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from dsl.parse import grammar_text
from dsl.surface import BRANCH, DIALOG, END, EVENT, FAILURE, NAMED, REPLY, REQUEST


class Word(NamedTuple):
    """A word: how what it begins is written, and what that means."""

    name: str
    form: str
    doc: str


ITEMS: Final = (
    Word(
        "include",
        'include "gateways/*.cfg"',
        "Reads other files in this place, from the folder of the file that names them.",
    ),
    Word(
        "import",
        'import python "hooks.py" as hooks',
        "Makes the functions of a Python file that are marked `@route_function` callable as "
        "`hooks.name(…)`.",
    ),
    Word(
        "test", 'test "what should happen" { … }', "A call in virtual time with what is expected."
    ),
    Word("env", 'password = env("NAME")', "The value of an environment variable, for a setting."),
)

STATEMENTS: Final = (
    Word(
        "let",
        "let name = value;",
        "Declares a local. Its type is that of the value and never changes; it is known until the "
        "end of its block.",
    ),
    Word(
        "if",
        "if (condition) { … } else if (condition) { … } else { … }",
        "Runs the first branch whose condition is true. A condition is true or false and nothing "
        "else; a single statement needs no braces.",
    ),
    Word("else", "else { … }", "What runs when no condition of the `if` before it was true."),
    Word(
        "switch",
        'switch ($rm) { case "INVITE": … default: … }',
        "Runs the first case that fits a string or an int. A case never falls through into the "
        "next one.",
    ),
    Word(
        "case",
        'case "A", /^86/, 500..599: …',
        "One or more strings, numbers, ranges or regexes, written out, and what runs for them.",
    ),
    Word("default", "default: …", "What runs when no case fits. It stands last."),
    Word("for", "for x in list { … }", "Runs its block once for each value of a list or a range."),
    Word(
        "in",
        "$rs in [486, 600], $si in 192.0.2.0/24, $rs in 500..599",
        "Whether a value is in a list, a range or a network.",
    ),
    Word("while", "while (condition) { … }", "Runs its block as long as the condition is true."),
    Word("break", "break;", "Leaves the innermost loop. A case of a `switch` needs none."),
    Word(
        "return",
        "return;  return value;",
        "Leaves the route. A `route[…]` can give a value, all of one type: `let y = route(X);`.",
    ),
    Word("drop", "drop;", "Ends the route and sends no answer."),
    Word(
        "exit", "exit;", "Ends the route, and those that called it, with what was decided so far."
    ),
    Word(
        "route",
        "route(NAME);  if (route(NAME)) …",
        "Calls a `route[NAME]`. What is legal in it is what is legal where it is called.",
    ),
    Word("true", "true", "The bool that is true."),
    Word("false", "false", "The bool that is false."),
)

KINDS: Final = (
    Word(
        REQUEST,
        "request_route { … }",
        "Every request outside a dialog begins here. Each way through it has to answer, call or "
        "drop.",
    ),
    Word(
        DIALOG,
        "dialog_route { … }",
        "Every request inside a call but ACK and CANCEL, from either side, before it passes to the "
        "other: `reply(…)` answers it instead, `end(…)` ends the call. A BYE passes in any case. "
        "`$rU` and `$fU` are the numbers of the call.",
    ),
    Word(
        NAMED,
        "route[NAME] { … }",
        "A part with a name that other routes call with `route(NAME)`.",
    ),
    Word(
        BRANCH,
        "branch_route[NAME] { … }",
        "Each attempt, before the INVITE goes out to the gateway: `call(…, on_branch = NAME)`.",
    ),
    Word(
        REPLY,
        "reply_route[NAME] { … }",
        "Each response of an attempt: `call(…, on_reply = NAME)`.",
    ),
    Word(
        FAILURE,
        "failure_route[NAME] { … }",
        "An attempt failed, `$rs` is its status: `call(…, on_failure = NAME)`. "
        "`next()` goes on, `end(…)` stops.",
    ),
    Word(
        END,
        "end_route { … }",
        "The call is over; its CDR can still take `$call` variables. Also of a call that its "
        "worker's death ended: by what was stored of it, which of the INVITE's headers is From, "
        "To and Call-ID. Not when a power cut ended it.",
    ),
    Word(
        EVENT,
        "event_route[gateway:down] { … }",
        "Something happened outside a request: `gateway:down`, `gateway:up` (`$gateway` says "
        "which), `balance:low` (of `$account`), `config:loaded`, or a timer: "
        "`timer:NAME every 10s`. Each runs in one worker; timers do not run in tests.",
    ),
)

TEST_LINES: Final = (
    Word(
        "invite",
        'invite from IP[:port] [caller "…"] [callee "…"] [header "Name: value"] [codecs "…"];',
        "A call comes in.",
    ),
    Word("register", "register from IP phone NUMBER;", "A phone registers."),
    Word(
        "expect",
        'expect gateway NAME [callee "…"] [caller "…"] [header "Name: value"];',
        "The next attempt goes to this gateway.",
    ),
    Word("expect", "expect phone NUMBER;", "The call goes to this phone."),
    Word("expect", "expect reply CODE;", "The caller gets this status."),
    Word(
        "expect",
        "expect end REASON [charge D] [cost D] [duration T];",
        "The call ends for this reason.",
    ),
    Word("expect", 'expect metric "name" INT;', "A metric of your own has this value."),
    Word(
        "gateway",
        "gateway NAME replies CODE | rings [after T] | answers [after T] | stays silent "
        "| sends early media;",
        "What a gateway does.",
    ),
    Word("phone", "phone NUMBER replies CODE | …;", "What a phone does; as a gateway."),
    Word("gateway", "gateway NAME down | up;", "A gateway is down or up from here on."),
    Word("caller", "caller cancels after T | hangs up after T;", "What the caller does."),
    Word("callee", "callee hangs up after T;", "What the callee does."),
    Word("wait", "wait T;", "Time passes."),
    Word("account", "account NAME balance D;", "The balance of an account from here on."),
    Word("now", 'now "2026-11-22 03:00";', "The time of day from here on."),
)

TYPES: Final = (
    Word("string", '"text"', r"Text in double quotes; the escapes are \n, \t, \" and \\."),
    Word("int", "486", "A whole number. It also stands where a decimal is wanted."),
    Word("decimal", "0.12", "A number with decimals, exact."),
    Word("bool", "true, false", "The only type of conditions."),
    Word("duration", "500ms, 30s, 5m, 2h, 1d", "A time; the unit is never left out."),
    Word("ip", "192.0.2.1, [2001:db8::1]", "An address; IPv6 stands in brackets."),
    Word("network", "192.0.2.0/24, [2001:db8::]/32", "A network, without bits behind its length."),
    Word(
        "regex",
        "/^86/, /scanner/i",
        "Python's regular expressions, with the flags i, m, s and x; nested repeats are refused.",
    ),
    Word("range", "500..599", "Whole numbers, both ends included."),
    Word("list", "[486, 600, 603]", "Values of one type."),
)

OPERATORS: Final = (
    Word("||", "a || b", "One of the conditions is true."),
    Word("&&", "a && b", "Both are; binds stronger than `||`."),
    Word("== !=", '$rm == "INVITE"', "Equal or not; both sides are of one type."),
    Word("< <= > >=", "len($rU) > 20", "The order of numbers and durations."),
    Word("=~ !~", "$rU =~ /^86/", "Whether the regex is found in the string or not."),
    Word("in", "$rs in [486, 600]", "Whether the value is in the list, range or network."),
    Word("..", "500..599", "A range."),
    Word("+", '"86" + $rU', "Joins two strings; adds numbers or durations."),
    Word("- * /", "2 * 30s", "Arithmetic with numbers and durations."),
    Word("!", "!identify()", "Turns a condition round."),
)


def grammar_keywords() -> frozenset[str]:
    """The words that the grammar reserves somewhere."""
    terminals = re.findall(r"^[A-Z_]+\.\d+: /([a-z]+)(?:\\b|\(\?=)", grammar_text(), re.MULTILINE)
    return frozenset(terminals)
