"""The decision trace of a call: short entries in its CDR, and what each means in a sentence.

Entries are written at the moment of the decision, by whoever takes it, so they are short and made
before the call where that is possible. In the order in which they come:

    trunk acme/office: network 192.0.2.0/24        who called; or `no trunk: …`
    phone acme/1001: digest                        or which phone
    callee 008613 > 8613: callee_in of trunk …     a number was rewritten
    refused: caller 12 is shorter than 3 digits    the call was screened out before any gateway
    candidates: cn_mobile 8613/1, backup 86/2      gateways with the prefix that matched / priority
    backup: caller 1000 is not allowed             a candidate was dropped; also down, full, …
    trunk:acme/office: every line in use           what had to have a line free had none
    credit:acme: 0.6 needed, balance 0.2, …        an account could not give what the call needs
    credit:acme: used up, balance 1, …             its credit ended in the call
    cn_mobile: taken                               its line was taken, the INVITE goes out
    cn_mobile: 503 after 120 ms                    how that attempt failed
    cn_mobile: unreachable after 1 ms              its host or network said that nobody is there
    phone 1001: not registered                     no contact of it is known
    phone 1001: forwards to 1002, no answer        request_route runs again for that number
    account other pays from here on                whose phone forwarded
    phone 1001: cancelled, ahead was backup        it rang when another one gave the final answer
    hunting ends: no candidate is left             why no other gateway was tried
    media: through 192.0.2.8:2223                  the relay that its media go through; or why not
    session: the callee sent no refresh in 600 s   what became of a leg's session timer
    ended: its longest duration, 7200 s, was over  why we ended an answered call
    route: end(UserBusy) at routes.cfg:14          the statement of a route that ended the call
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

MAX_CANDIDATES = 12
"""how many candidates an entry names: a CDR has to stay small"""

TAKEN = "taken"
FULL = "full"
DOWN = "down"
NO_LINE = "every line in use"
NO_CPS = "calls per second used up"
UNREACHABLE = "unreachable"
AHEAD = "cancelled, ahead was "
STOPPED = "hunting ends: "
REFUSED = "refused: "
SESSION = "session: "
RELAYED = "media: "
RELAYED_BY = RELAYED + "through "
CUT_OFF = "ended: "
ROUTE = "route: "
NOBODY = "no trunk: "
CODECS = "codecs: "
CANDIDATES = "candidates: "
NONE_LEFT = CANDIDATES + "none"

NOBODY_THERE = "cannot be reached: nothing listens at its address, or no way leads there"

_ATTEMPT = re.compile(r"(.+): (.+) after (\d+) ms")
_TRUNK = re.compile(r"trunk ([^/]*)/(.*): network ([^ ,]+)(?:, caller prefix (.+))?")
_PHONE = re.compile(r"(phone|trunk) ([^/]*)/(.*): digest")
_REWRITTEN = re.compile(r"(callee|caller) (.*) > (.*): (.+)")
_MATCH = re.compile(r"(.+) ([^ /]*)/(\d+)")
_FORWARDED = re.compile(r"phone (\S+): forwards to (.+), ([^,]+)")
_CREDIT = re.compile(r"credit:(.*): (used up|[0-9.]+ needed), (.+)")
_HELD = re.compile(r"(\w+):(.*): (.+)")


def identified(account: str, trunk: str, network: object, caller_prefix: str) -> str:
    """The entry of the trunk that a call came from."""
    prefix = f", caller prefix {caller_prefix}" if caller_prefix else ""
    return f"trunk {account}/{trunk}: network {network}{prefix}"


def by_digest(kind: str, account: str, name: str) -> str:
    """The entry of the phone or trunk that has proved that a call is its own."""
    return f"{kind} {account}/{name}: digest"


def owner_of_trunk(decision: Iterable[str], trunk: str) -> str:
    """The account of the trunk that a call came from; "" where the decision does not tell."""
    for entry in decision:
        kind, _, rest = entry.partition(" ")
        account, _, rest = rest.partition("/")
        if kind == "trunk" and rest.startswith(f"{trunk}:"):
            return account
    return ""


def rewritten(what: str, before: str, after: str, where: str) -> str:
    """The entry of a number that rewrite rules changed; `what` is callee or caller."""
    return f"{what} {before} > {after}: {where}"


def candidates(matches: Iterable[tuple[str, str, int]], more: int = 0) -> str:
    """The entry of the candidates: name, matched prefix ("" matches all), priority."""
    named = [f"{name} {prefix or '*'}/{priority}" for name, prefix, priority in matches]
    return CANDIDATES + _cut(named, more)


def listed(names: Sequence[str]) -> str:
    """The entry of candidates in an order that the script gave them."""
    return CANDIDATES + _cut(list(names), 0) if names else NONE_LEFT


def failed(gateway: str, how: str, after_ms: int) -> str:
    """The entry of an attempt that failed; `how` is a status or an end reason."""
    return f"{gateway}: {how} after {after_ms} ms"


def codecs_of(offered: Iterable[str], gateway: str, taken: Iterable[str]) -> str:
    """The entry of a gateway that took none of the codecs; `taken`: those that it named, if any."""
    names = ", ".join(taken)
    also = f"; {gateway} names {names}" if names else ""
    return f"{CODECS}{', '.join(offered) or 'none'} offered to {gateway}{also}"


def number_after(entries: Iterable[str], what: str, number: str) -> str:
    """The number, callee or caller, as the routes left it: before any gateway's own rules."""
    for entry in entries:
        if entry.startswith(CANDIDATES):
            break
        found = _REWRITTEN.fullmatch(entry)
        if found and found[1] == what:
            number = found[3]
    return number


def unreachable(entries: Iterable[str]) -> list[str]:
    """The gateways at whose address nobody was, each once, in the order of the entries."""
    found = (_ATTEMPT.fullmatch(entry) for entry in entries)
    return list(dict.fromkeys(one[1] for one in found if one and one[2] == UNREACHABLE))


def passed_over(entries: Iterable[str]) -> list[tuple[str, str]]:
    """The gateways that were not tried, each with the reason, in the order of the entries."""
    found = []
    for entry in entries:
        name, colon, why = entry.rpartition(": ")
        if not colon or why == TAKEN or _ATTEMPT.fullmatch(entry) or _REWRITTEN.fullmatch(entry):
            continue
        if any(kind.fullmatch(entry) for kind in (_HELD, _TRUNK, _PHONE, _FORWARDED)):
            continue
        if not any(entry.startswith(prefix) for prefix in _BEGINNINGS):
            found.append((name, _DROPPED.get(why, why)))
    return found


def full_holds(entries: Iterable[str]) -> list[tuple[str, str, str]]:
    """What had no line free, or no call left in this second: kind, name, why."""
    found = []
    for entry in entries:
        held = _HELD.fullmatch(entry)
        if held and held[3] in (NO_LINE, NO_CPS):
            found.append((held[1], held[2], held[3]))
    return found


def _cut(named: list[str], more: int) -> str:
    more += max(0, len(named) - MAX_CANDIDATES)
    return ", ".join(named[:MAX_CANDIDATES]) + (f", and {more} more" if more else "")


def sentences(entries: Iterable[str]) -> list[str]:
    """What the entries of one call mean, one sentence each; unknown ones stay as they are."""
    return [_sentence(entry) for entry in entries]


def _sentence(entry: str) -> str:
    for prefix, tell in _BEGINNINGS.items():
        if entry.startswith(prefix):
            return tell(entry.removeprefix(prefix))
    if found := _TRUNK.fullmatch(entry):
        account, trunk, network, prefix = found.groups()
        also = f", the caller begins with {prefix}" if prefix else ""
        return f"The source lies in {network} of trunk {trunk}, account {account}{also}."
    if found := _PHONE.fullmatch(entry):
        kind, account, name = found.groups()
        return f"{kind.capitalize()} {name}, account {account}, has proved itself by digest."
    if found := _REWRITTEN.fullmatch(entry):
        what, before, after, where = found.groups()
        return f"The {what} {before} became {after or 'empty'} by {where}."
    if found := _FORWARDED.fullmatch(entry):
        return f"Phone {found[1]} forwards to {found[2]}: {found[3]}."
    if found := _ATTEMPT.fullmatch(entry):
        gateway, how, after_ms = found.groups()
        if how == UNREACHABLE:
            return f"{titled(gateway)} {NOBODY_THERE} (told after {after_ms} ms)."
        if how.isdigit():
            return f"{titled(gateway)} answered {how} after {after_ms} ms."
        return f"{titled(gateway)} gave no final answer: {how} after {after_ms} ms."
    if found := _CREDIT.fullmatch(entry):
        account, what, rest = found.groups()
        if what == "used up":
            return f"The credit of account {account} was used up: {rest}."
        return f"Account {account} could not give {what.partition(' ')[0]}: {rest}."
    if found := _HELD.fullmatch(entry):
        kind, name, why = found.groups()
        return f"{kind.capitalize()}{' ' if name else ''}{name}: {why}; nothing was taken."
    gateway, colon, why = entry.rpartition(": ")
    if not colon:
        return f"{entry[:1].upper()}{entry[1:]}."
    if why == TAKEN:
        return f"{titled(gateway)} was taken."
    known = _DROPPED.get(why, why)
    return f"{titled(gateway)} was passed over: {known}."


def titled(name: str) -> str:
    """A gateway's or phone's name as a sentence begins with it: Gateway cn_mobile, Phone 1001."""
    return f"P{name[1:]}" if name.startswith("phone ") else f"Gateway {name}"


def _candidates_sentence(rest: str) -> str:
    told = []
    for one in rest.split(", "):
        found = _MATCH.fullmatch(one)
        if found is None:
            told.append(one)
            continue
        name, prefix, priority = found.groups()
        matched = "any number" if prefix == "*" else f"prefix {prefix}"
        told.append(f"{name} ({matched}, priority {priority})")
    return f"Candidates: {', '.join(told)}."


def _route_sentence(rest: str) -> str:
    what, _, where = rest.rpartition(" at ")
    file, _, line = where.rpartition(":")
    return f"Line {line} of {file} ended the call: {what}."


_DROPPED = {FULL: "every line of it was in use", DOWN: "it was down"}
_BEGINNINGS: dict[str, Callable[[str], str]] = {
    NOBODY: lambda rest: f"No trunk was found: {rest}.",
    RELAYED: lambda rest: f"Media relay: {rest}.",
    REFUSED: lambda rest: f"The call was refused: {rest}.",
    STOPPED: lambda rest: f"No other gateway was tried: {rest}.",
    CANDIDATES: _candidates_sentence,
    CODECS: lambda rest: f"Codecs: {rest}.",
    SESSION: lambda rest: f"Session timer: {rest}.",
    CUT_OFF: lambda rest: f"The call was ended: {rest}.",
    ROUTE: _route_sentence,
}
