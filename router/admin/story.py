"""The story of one call, told from its CDR alone: sentences for people who run telephone networks.

Nothing is looked up anywhere else, so it can be told months later, and is the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from router.admin.advice import advice, command_for
from router.core.decision import (
    CUT_OFF,
    NOBODY,
    NOBODY_THERE,
    REFUSED,
    RELAYED,
    RELAYED_BY,
    ROUTE,
    SESSION,
    full_holds,
    passed_over,
    sentences,
    titled,
    unreachable,
)
from router.core.end_reasons import EndReason, reason_named
from router.core.reason_guide import GUIDE
from router.sip.render import REASONS
from router.store.cdr_lines import decimal
from router.store.records import Attempt, Cdr


class Story(msgspec.Struct):
    """A call told: `cause` in one sentence, then what happened, what to do next, and the bill."""

    id: str
    call_id: str
    title: str
    reason: str
    chinese: str
    cause: str
    happened: list[str]
    attempts: list[str]
    next: list[str]
    command: str
    bill: list[str]


def tell(cdr: Cdr) -> Story:
    """The story of this call."""
    reason = reason_named(cdr.end_reason)
    caller = cdr.caller_in or "an unknown caller"
    return Story(
        id=cdr.id,
        call_id=cdr.call_id,
        title=f"{caller} called {cdr.callee_in or 'no number'}",
        reason=cdr.end_reason,
        chinese=f"{reason.chinese}：{GUIDE[reason].chinese}" if reason else "",
        cause=cause(cdr),
        happened=list(_happened(cdr)),
        attempts=[_attempt(number, one, cdr) for number, one in enumerate(cdr.attempts, 1)],
        next=advice(cdr, reason) if reason else [],
        command=command_for(cdr, reason) if reason else "",
        bill=list(_bill(cdr)),
    )


def cause(cdr: Cdr) -> str:
    """Why the call ended, in one sentence with the names that matter."""
    reason = reason_named(cdr.end_reason)
    if reason is None:
        return f"The call ended for a reason that this version does not know: {cdr.end_reason}."
    told = _CAUSES.get(reason)
    return (told(cdr) if told is not None else "") or _refusal(cdr) or _general(cdr, reason)


def span(ms: int) -> str:
    """A time as people say it: 120 ms, 4.2 s, 3 min 20 s."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(ms // 1000, 60)
    return f"{minutes} min {seconds} s"


# Why it ended


def _general(cdr: Cdr, reason: EndReason) -> str:
    by_route = _said(cdr, ROUTE)
    return f"{reason.diagnosis} {by_route}".rstrip()


def _said(cdr: Cdr, *beginnings: str) -> str:
    """The last entry of the decision that begins so, as a sentence; "" when there is none."""
    for entry in reversed(cdr.decision):
        if entry.startswith(beginnings):
            return sentences([entry])[0]
    return ""


def _refusal(cdr: Cdr) -> str:
    return _said(cdr, REFUSED)


def _last(cdr: Cdr) -> Attempt:
    return cdr.attempts[-1] if cdr.attempts else Attempt()


def _named(name: str) -> str:
    """A gateway's or phone's name within a sentence."""
    return name if name.startswith("phone ") else f"gateway {name}"


def _status(code: int) -> str:
    return f"{code} {REASONS.get(code, '')}".rstrip()


def _normal(cdr: Cdr) -> str:
    who = {"caller": "the caller hung up", "callee": "the called party hung up"}
    return (
        f"{titled(cdr.gateway)} answered after {span(cdr.answered - cdr.started)}; they talked for "
        f"{span(cdr.duration_ms)}, then {who.get(cdr.end_side, 'the call was ended')}."
    )


def _cancelled(cdr: Cdr) -> str:
    after = span(cdr.ended - cdr.started)
    last = _last(cdr)
    if last.sip_code == 487:
        return f"{titled(last.gateway)} ended its own call attempt (487) after {after}."
    if last.ringing:
        rang = span(cdr.ended - last.ringing)
        return f"The caller gave up after {after}, while {_named(last.gateway)} rang for {rang}."
    if last.gateway:
        return f"The caller gave up after {after}; {_named(last.gateway)} had not rung yet."
    return f"The caller gave up after {after}, before any gateway was tried."


def _refused_by_gateway(what: str) -> Callable[[Cdr], str]:
    def told(cdr: Cdr) -> str:
        last = _last(cdr)
        if not last.sip_code:
            return ""
        return f"{titled(last.gateway)} {what}: it answered {_status(last.sip_code)}."

    return told


def _no_router(cdr: Cdr) -> str:
    tried = [f"{one.gateway} ({_outcome(one)})" for one in cdr.attempts]
    left_out = [f"{name}: {why}" for name, why in passed_over(cdr.decision)]
    parts = []
    if tried:
        parts.append(f"Every gateway that was tried failed: {', '.join(tried)}.")
    if left_out:
        parts.append(f"Gateways that could not take the call: {'; '.join(left_out)}.")
    return " ".join(parts + _by_relays(cdr))


def _by_relays(cdr: Cdr) -> list[str]:
    """What media relays said against the call."""
    relays = [one for one in cdr.decision if one.startswith(RELAYED)]
    return sentences(dict.fromkeys(one for one in relays if not one.startswith(RELAYED_BY)))


def _no_codec(cdr: Cdr) -> str:
    refused = _refused_by_gateway("takes none of the codecs that were offered")(cdr)
    return refused or " ".join(_by_relays(cdr))


def _outcome(attempt: Attempt) -> str:
    return _status(attempt.sip_code) if attempt.sip_code else attempt.reason or "no answer"


def _not_found(cdr: Cdr) -> str:
    if cdr.attempts:
        return _refused_by_gateway("does not know the number")(cdr)
    left_out = [f"{name}: {why}" for name, why in passed_over(cdr.decision)]
    if left_out:
        return f"No gateway serves {cdr.callee_in}. {'; '.join(left_out)}."
    by_route = _said(cdr, ROUTE)
    if by_route:
        return by_route
    return f"No gateway has a prefix that {cdr.callee_in or 'the empty number'} begins with."


def _not_online(cdr: Cdr) -> str:
    if _last(cdr).sip_code:
        return _refused_by_gateway("says that the called party cannot be reached")(cdr)
    left_out = [f"{name}: {why}" for name, why in passed_over(cdr.decision)]
    return f"Nobody could be called: {'; '.join(left_out)}." if left_out else ""


def _rang_out(cdr: Cdr) -> str:
    last = _last(cdr)
    if last.sip_code:
        return f"{titled(last.gateway)} gave up by itself: it answered {_status(last.sip_code)}."
    if not last.gateway:
        return ""
    rang = span(last.ended - last.ringing)
    return f"{titled(last.gateway)} rang for {rang} and nobody answered: ringing_timeout ended it."


def _never_rang(cdr: Cdr) -> str:
    last = _last(cdr)
    if not last.gateway:
        return ""
    return (
        f"{titled(last.gateway)} took the call but did not ring within "
        f"{span(last.ended - last.started)}: trying_timeout or progress_timeout ended it."
    )


def _silence(cdr: Cdr) -> str:
    if cdr.answered:
        return _said(cdr, CUT_OFF)
    if _last(cdr).sip_code:
        return f"{titled(_last(cdr).gateway)} could not reach anybody: it answered 504."
    nobody = unreachable(cdr.decision)
    told = [f"{titled(name)} {NOBODY_THERE}." for name in nobody]
    silent = [
        one for one in cdr.attempts
        if one.reason == EndReason.ConnectionTimeout.name and one.gateway not in nobody
    ]
    if not silent:
        return " ".join(told)
    names = list(dict.fromkeys(one.gateway for one in silent))
    waited = span(max(one.ended - one.started for one in silent))
    whom = _named(names[0]) if len(names) == 1 else f"gateways {', '.join(names)}"
    told.append(f"No answer at all came from {whom}, although we waited {waited}.")
    return " ".join(told)


def _session(cdr: Cdr) -> str:
    return _said(cdr, CUT_OFF, SESSION)


def _full(cdr: Cdr) -> str:
    for kind, name, why in full_holds(cdr.decision):
        whose = "the server" if kind == "server" else f"{kind} {name}"
        if why.startswith("every line"):
            return f"Every line of {whose} was in use."
        return f"{whose[0].upper()}{whose[1:]} had used up its calls per second."
    return ""


def _no_money(cdr: Cdr) -> str:
    return _said(cdr, "credit:")


def _wrong_credentials(cdr: Cdr) -> str:
    return _said(cdr, "credentials of ")


def _stranger(cdr: Cdr) -> str:
    found = _said(cdr, NOBODY)
    return f"{cdr.source} is no customer's address. {found}" if found else ""


def _by_route(cdr: Cdr) -> str:
    where = _said(cdr, ROUTE)
    return f"A route of routes.cfg answered the call itself with {cdr.sip_code}. {where}".rstrip()


def _loop(cdr: Cdr) -> str:
    if cdr.sip_code == 483:
        return "The call had passed through too many switches: its Max-Forwards was used up."
    return ""


_CAUSES: Final[Mapping[EndReason, Callable[[Cdr], str]]] = {
    EndReason.Normal: _normal,
    EndReason.Cancelled: _cancelled,
    EndReason.UserBusy: _refused_by_gateway("says that the called party is busy"),
    EndReason.NoAvailableRouter: _no_router,
    EndReason.NotFound: _not_found,
    EndReason.CalledNotOnline: _not_online,
    EndReason.ResponseTimeout: _rang_out,
    EndReason.ProceedingTimeout: _never_rang,
    EndReason.ConnectionTimeout: _silence,
    EndReason.SessionTimeout: _session,
    EndReason.MediaTimeout: _session,
    EndReason.InsufficientBalance: _no_money,
    EndReason.AuthFailed: _wrong_credentials,
    EndReason.IllegalCall: _stranger,
    EndReason.ConnectionLimitExceeded: _full,
    EndReason.CodecMismatch: _no_codec,
    EndReason.ForwardingLoop: _loop,
    EndReason.GatewayRejected: _refused_by_gateway("refused the call"),
    EndReason.ScriptRejected: _by_route,
}


# What happened


def _happened(cdr: Cdr) -> Iterator[str]:
    called = f"{cdr.caller_in or 'An unknown caller'} called {cdr.callee_in or 'no number'}"
    yield f"{called} from {cdr.source or 'an unknown address'}."
    if cdr.route_lines:
        yield f"It went by these lines of the routes: {_way(cdr.route_lines)}."
    yield from sentences(cdr.decision)
    told = f" The caller was told {_status(cdr.sip_code)}." if not cdr.answered else ""
    if not cdr.answered and cdr.sip_code:
        yield f"After {span(max(cdr.ended - cdr.started, 0))} it was over.{told}"


def _way(places: Sequence[str]) -> str:
    """Lines as request_route 46, CALL 61, 64, NEXT 71."""
    parts = []
    before = ""
    for place in places:
        route, _, line = place.partition(":")
        parts.append(line if route == before else f"{route} {line}")
        before = route
    return ", ".join(parts)


def _attempt(number: int, attempt: Attempt, cdr: Cdr) -> str:
    parts = [f"sent {span(max(attempt.started - cdr.started, 0))} after the call came in"]
    if attempt.callee_out and attempt.callee_out != cdr.callee_in:
        parts.append(f"as {attempt.callee_out}")
    if attempt.ringing:
        parts.append(f"rang after {span(attempt.ringing - attempt.started)}")
    if attempt.answered:
        parts.append(f"answered after {span(attempt.answered - attempt.started)}")
        parts.append(f"ended after {span(attempt.ended - attempt.answered)} as {attempt.reason}")
    else:
        after = span(max(attempt.ended - attempt.started, 0))
        how = f"{_status(attempt.sip_code)} ({attempt.reason})" if attempt.sip_code else (
            attempt.reason or "open"
        )
        parts.append(f"{how} after {after}")
    return f"{number}. {attempt.gateway}: {', '.join(parts)}."


# What it cost


def _bill(cdr: Cdr) -> Iterator[str]:
    if not cdr.answered:
        yield "Nothing is charged: the call was not answered."
        return
    paid = False
    for charge in cdr.charges:
        paid = True
        what = "costs, to" if charge.kind == "vendor" else "is charged to"
        yield (
            f"{_amount(charge.amount)} {what} account {charge.account}: {charge.billed_s} s at "
            f"{_amount(charge.rate)} a minute (prefix {charge.rate_prefix or 'any'})."
        )
    for asked in cdr.cost_terms:
        yield (
            f"{_amount(asked.amount)} is the cost, at gateway {cdr.gateway}: {asked.billed_s} s at "
            f"{_amount(asked.rate)} a minute (prefix {asked.rate_prefix or 'any'})."
        )
    if not paid:
        if cdr.charge or (cdr.cost and not cdr.cost_terms):
            yield f"{_amount(cdr.charge)} is charged, {_amount(cdr.cost)} is the cost."
        else:
            yield "Nothing is charged: no rate was asked for, the account has no deck."
    if cdr.charge and cdr.cost:
        yield f"The margin is {_amount(cdr.charge - cdr.cost)}."


def _amount(millionths: int) -> str:
    text = decimal(millionths)
    return text[:-4] + text[-4:].rstrip("0")
