"""The functions and actions of routes, as entries of the function table."""

from __future__ import annotations

from dsl.surface import (
    BRANCH,
    DIALOG,
    ENTRY_KINDS,
    FAILURE,
    REPLY,
    REQUEST,
    Function,
    parameter,
)
from dsl.types import (
    ANY,
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    IP,
    NETWORK,
    REGEX,
    STRING,
    VOID,
    enumeration_type,
    list_of,
    object_type,
    route_type,
)
from router.core.headers import OWN_NAMES
from router.routing import text_functions
from router.routing.selection import without

GATEWAY = object_type("gateway")
ACCOUNT = object_type("account")
TRUNK = object_type("trunk")
PHONE = object_type("phone")
GATEWAYS = list_of(GATEWAY)
PHONES = list_of(PHONE)
END_REASON = enumeration_type("end reason")
LOG_LEVEL = enumeration_type("log level")
RING = enumeration_type("ring")

_HEADER = parameter("name", reads="header", choices=tuple(sorted(OWN_NAMES)))
_EVERYWHERE = ENTRY_KINDS
_REQUEST = frozenset({REQUEST})
_CALL = frozenset({REQUEST, FAILURE})
_ANSWER = frozenset({REQUEST, DIALOG, FAILURE})
_SENT_ON = frozenset({REQUEST, BRANCH, REPLY, FAILURE})

ACTIONS = (
    Function(
        "reply",
        (
            parameter("code", INT, minimum=200, maximum=699),
            parameter("reason", default=""),
        ),
        VOID,
        _ANSWER,
        "reply",
        "Answers the request with this status and ends the route. Of an INVITE the call ends with "
        "the reason ScriptRejected.",
        terminal=True,
    ),
    Function(
        "end",
        (parameter("reason", END_REASON, default=""),),
        VOID,
        _ANSWER,
        "end",
        "Ends the call for this reason, with the reason's SIP status; without one, in "
        "failure_route, for the reason of the last attempt.",
        terminal=True,
        bare_kinds=frozenset({FAILURE}),
    ),
    Function(
        "call",
        (
            parameter("candidates", GATEWAYS, GATEWAY, PHONE, PHONES),
            parameter("on_branch", route_type("branch_route"), default="", keyword_only=True),
            parameter("on_reply", route_type("reply_route"), default="", keyword_only=True),
            parameter("on_failure", route_type("failure_route"), default="", keyword_only=True),
            parameter("ring", RING, default="hunt", keyword_only=True),
        ),
        VOID,
        _CALL,
        "call_out",
        "Admits the call and tries the candidates one after the other: in the order of priority, "
        "load and turn for the list that gateways() gives, else in the list's own. `ring = all` "
        "rings up to 16 of them at once, the first answer wins; `random` tries them in an order of "
        "chance that is the same for the same Call-ID. A phone rings at all its contacts, by q, "
        "and forwards as it is told to; what it forwards to goes through request_route once more.",
        terminal=True,
    ),
    Function(
        "next",
        (),
        VOID,
        frozenset({FAILURE}),
        "next",
        "Tries the next candidate; after the last one the call ends for the last one's reason.",
        terminal=True,
    ),
    Function("drop", (), VOID, _REQUEST, "drop", "Ends the route and stays silent.", terminal=True),
    Function(
        "exit",
        (),
        VOID,
        _EVERYWHERE,
        "",
        "Ends the route with what was decided so far.",
        terminal=True,
    ),
    Function(
        "challenge",
        (),
        VOID,
        _REQUEST,
        "challenge",
        "Asks for credentials with 401 (REGISTER) or 407; an address that has failed too often "
        "gets 403. Of an INVITE it is no call, and leaves no CDR.",
        terminal=True,
    ),
    Function(
        "save",
        (),
        VOID,
        _REQUEST,
        "save",
        "Stores where the phone can be reached and answers the REGISTER; 403 if it is not the "
        "phone that authenticate() found, or its account or its address may not.",
        terminal=True,
    ),
    Function(
        "redirect",
        (parameter("uri", reads="uri", many=True),),
        VOID,
        _REQUEST,
        "redirect",
        "Answers 302 with these addresses as Contact, the first one preferred. Of an INVITE the "
        "call ends with the reason ScriptRejected.",
        terminal=True,
    ),
)

CALLS = (
    Function(
        "identify",
        (),
        BOOL,
        _REQUEST,
        "identify",
        "Finds the trunk of the source address, and with it the account: the narrowest network, "
        "then the longest caller prefix, then the priority. Else the phone, by its credentials; "
        "one that does not show them is asked for them with 407, and the route ends there. False "
        "if there is neither.",
    ),
    Function(
        "authenticate",
        (),
        BOOL,
        _REQUEST,
        "authenticate",
        "Whether the request carries a phone's right credentials; it is from that phone then.",
    ),
    Function(
        "registered",
        (parameter("number"),),
        BOOL,
        _CALL,
        "registered",
        "Whether the number is a phone that is online, or one that forwards while it is not.",
    ),
    Function(
        "phone",
        (parameter("number"),),
        PHONE,
        _CALL,
        "phone_of",
        "The phone with this number. A call to a number that no phone has ends as NotFound.",
    ),
    Function(
        "gateways",
        (parameter("number"),),
        GATEWAYS,
        _CALL,
        "gateways",
        "The gateways whose prefixes begin the number, longest prefix first.",
    ),
    Function(
        "by_cost",
        (parameter("candidates", GATEWAYS),),
        GATEWAYS,
        _CALL,
        "by_cost",
        "The candidates by the vendor's rate, cheapest first.",
    ),
    Function(
        "by_quality",
        (parameter("candidates", GATEWAYS),),
        GATEWAYS,
        _CALL,
        "by_quality",
        "The candidates by how many percent of their last 200 attempts were answered, most first, "
        "then by post-dial delay; one without attempts comes first.",
    ),
    Function(
        "group",
        (parameter("name", refers="group"),),
        GATEWAYS,
        _CALL,
        "group_of",
        "The gateways of a group by priority, whatever their prefixes.",
    ),
    Function(
        "without",
        (parameter("candidates", GATEWAYS), parameter("gateway", GATEWAY)),
        GATEWAYS,
        _CALL,
        without,
        "The candidates less one gateway, in the same order.",
    ),
    Function(
        "lines_used",
        (parameter("of", ACCOUNT, GATEWAY, TRUNK, PHONE),),
        INT,
        _EVERYWHERE,
        "lines_used",
        "How many lines of an account, a gateway, a trunk or a phone are in use now, over all "
        "workers.",
    ),
    Function(
        "set_header",
        (_HEADER, parameter("value")),
        VOID,
        _SENT_ON,
        "set_header",
        "One header of this name with this value in what is sent on.",
    ),
    Function(
        "add_header",
        (_HEADER, parameter("value")),
        VOID,
        _SENT_ON,
        "add_header",
        "One more header in what is sent on.",
    ),
    Function(
        "remove_header",
        (_HEADER,),
        VOID,
        _SENT_ON,
        "remove_header",
        "No header of this name in what is sent on.",
    ),
    Function(
        "log",
        (parameter("level", LOG_LEVEL), parameter("text")),
        VOID,
        _EVERYWHERE,
        "log",
        "Writes a line to the log with the call's id.",
    ),
    Function(
        "rate_limit",
        (
            parameter("key", STRING, IP, ACCOUNT, TRUNK, PHONE, GATEWAY),
            parameter("n", INT, minimum=1),
            parameter("per", DURATION),
        ),
        BOOL,
        _EVERYWHERE,
        "rate_limit",
        "True for the first n of a key in this time, over all workers; what it refuses does not "
        "count. The end of the time is exact to a fiftieth.",
    ),
    Function(
        "cache_get",
        (parameter("key"), parameter("default", default="")),
        STRING,
        _EVERYWHERE,
        "cache_get",
        "The value that all workers share under this key, the default when there is none.",
    ),
    Function(
        "cache_set",
        (parameter("key"), parameter("value"), parameter("ttl", DURATION)),
        VOID,
        _EVERYWHERE,
        "cache_set",
        "Shares a value with all workers for a time. At most 1024 bytes of UTF-8; of more than "
        "100,000 keys those go first that would end first.",
    ),
    Function(
        "count",
        (parameter("name", reads="metric"),),
        VOID,
        _EVERYWHERE,
        "count",
        "Counts one more in a metric of your own, trunkline_script_NAME_total, with up to 5 labels "
        "(`account = $account.id`): the same ones wherever it is counted. Each worker keeps "
        "`script_metric_series` sets of values of a metric apart; what comes after them is "
        "`other`.",
        labels=(STRING, INT, BOOL),
    ),
    Function(
        "in_time",
        (parameter("when", reads="times"), parameter("zone", default="UTC", reads="zone")),
        BOOL,
        _EVERYWHERE,
        "in_time",
        'Whether it is that time of the week now, in that zone: "Mo-Fr 08:00-12:00,13:00-18:00; '
        'Sa 09:00-13:00", "Asia/Shanghai". 22:00-06:00 ends the next morning.',
    ),
    Function(
        "percent",
        (parameter("share", INT, minimum=0, maximum=100),),
        BOOL,
        _EVERYWHERE,
        "percent",
        "True for that share of the calls, always the same for one Call-ID; a call in 10 is also "
        "in 20.",
    ),
    Function(
        "rewrite",
        (parameter("number"), parameter("rules", reads="rules")),
        STRING,
        _EVERYWHERE,
        "rewrite",
        'The number after the first rewrite rule that matches, the longest first: "0086:86, *:9*". '
        "`*` is any digits, `?` one digit; of `a|b` the Call-ID chooses.",
    ),
)

TEXT = (
    Function(
        "len",
        (parameter("of", STRING, list_of(ANY)),),
        INT,
        _EVERYWHERE,
        len,
        "The number of characters of a string, or of values of a list.",
    ),
    Function(
        "starts_with",
        (parameter("text"), parameter("start")),
        BOOL,
        _EVERYWHERE,
        str.startswith,
        "Whether the text begins with this.",
    ),
    Function(
        "ends_with",
        (parameter("text"), parameter("end")),
        BOOL,
        _EVERYWHERE,
        str.endswith,
        "Whether the text ends with this.",
    ),
    Function(
        "substr",
        (parameter("text"), parameter("start", INT), parameter("length", INT, default=None)),
        STRING,
        _EVERYWHERE,
        text_functions.substr,
        "A part of the text from a place counted from 0; a negative one counts from the end.",
    ),
    Function(
        "strip",
        (parameter("text"), parameter("n", INT)),
        STRING,
        _EVERYWHERE,
        text_functions.strip,
        "The text without its first n characters; without its last if n is negative.",
    ),
    Function(
        "lower",
        (parameter("text"),),
        STRING,
        _EVERYWHERE,
        str.lower,
        "The text in small letters.",
    ),
    Function(
        "replace",
        (parameter("text"), parameter("old"), parameter("new")),
        STRING,
        _EVERYWHERE,
        str.replace,
        "The text with every `old` replaced by `new`.",
    ),
    Function(
        "match",
        (
            parameter("text"),
            parameter("regex", REGEX),
            parameter("group", INT, default=0, minimum=0, maximum=99),
        ),
        STRING,
        _EVERYWHERE,
        text_functions.match,
        'What the regex, or a group of it, matched in the text; "" if nothing.',
    ),
    Function(
        "str",
        (parameter("value", STRING, INT, BOOL, DECIMAL, IP, NETWORK),),
        STRING,
        _EVERYWHERE,
        text_functions.text_of,
        "The value as text.",
    ),
    Function(
        "int",
        (parameter("text"), parameter("default", INT)),
        INT,
        _EVERYWHERE,
        text_functions.int_of,
        "The number the text writes, else the default.",
    ),
    Function(
        "hash",
        (parameter("text"),),
        INT,
        _EVERYWHERE,
        text_functions.hash_of,
        "A number that is the same for the same text, from 0 to 4294967295.",
    ),
)

FUNCTIONS = (*ACTIONS, *CALLS, *TEXT)
