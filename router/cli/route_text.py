"""How a decision looks to people: sentences that fit 80 columns."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from router.admin.route_lines import LineTrace, Visit
from router.billing.charges import AGENT
from router.core.decision import sentences
from router.core.end_reasons import EndReason
from router.core.reason_guide import GUIDE
from router.core.tally import PHONE
from router.routing.decided import Decided, GatewayFate, Question
from router.routing.decision_levels import LevelFate
from router.store.cdr_lines import plain

WIDTH: Final = 80
MAX_LINES: Final = 200
"""How many lines of a route are shown: a loop may run through thousands."""


def show_decision(
    console: Console, question: Question, decided: Decided, trace: LineTrace, live: str
) -> None:
    """Print everything; `live` is the sentence that says where lines and health come from."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(question.now_ms / 1000))
    _wrapped(
        console,
        f"From {question.source}, caller {question.caller or 'anonymous'}, callee "
        f"{question.callee or 'empty'}, at {when}. Nothing is sent. {live}",
        "",
    )
    _heading(console, "ROUTE")
    for line in _route(trace.visits, trace.missed):
        console.print(line)
    _heading(console, "DECISION")
    for sentence in sentences(decided.decision) or ["No call was admitted or refused."]:
        _wrapped(console, sentence)
    if decided.phones or decided.forwarded:
        _heading(console, "PHONES")
        _phones(console, decided)
    _heading(console, "GATEWAYS")
    if decided.phones:
        _wrapped(console, "The call goes to a phone, and to no gateway.")
    elif decided.gateways_asked:
        for fate in decided.gateways:
            _gateway(console, fate)
    else:
        _wrapped(console, "The call ended before any gateway was asked for.")
    for payer in decided.levels:
        if payer.deck or payer.balance or payer.why or len(decided.levels) > 1:
            _wrapped(console, level_text(payer))
    for key, (used, limit) in decided.holds.items():
        kind, _, name = key.partition(":")
        allowed = "" if limit < 0 else f" of {limit}"
        _wrapped(console, f"{kind.capitalize()} {name}: {used}{allowed} lines in use.".strip())
    if decided.logs:
        _heading(console, "LOG")
        for level, text in decided.logs:
            _wrapped(console, f"{level}: {text}")
    _sent(console, decided)
    _heading(console, "RESULT")
    for text in _result(decided):
        _wrapped(console, text)


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _wrapped(console: Console, text: str, indent: str = "  ", hanging: str = "") -> None:
    lines = textwrap.wrap(
        plain(text), WIDTH, initial_indent=indent, subsequent_indent=hanging or indent,
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(Text(line))


def level_text(level: LevelFate) -> str:
    """What an account, or an agent above it, pays, needs and has."""
    who = f"{'Agent' if level.kind == AGENT else 'Account'} {level.account}"
    told = []
    if level.rate:
        fee = f" and {level.connect_fee} at the answer" if level.connect_fee != "0" else ""
        told.append(
            f"{who} pays {level.rate} a minute{fee}: prefix "
            f"{level.prefix or 'of all numbers'} in deck {level.deck}."
        )
    elif not level.deck:
        told.append(f"{who} pays nothing: it has no deck.")
    if level.balance:
        below = f", overdraft {level.overdraft}" if level.overdraft != "0" else ""
        needs = f" needs {level.need} for {level.need_s} s and" if level.need else ""
        told.append(
            f"It{needs} has a balance of {level.balance}{below}, {level.reserved} reserved."
        )
    elif level.rate:
        told.append("Its credit has no limit.")
    if level.why:
        told.append(f"{who}: {level.why}.")
    return " ".join(told)


# -- the route ------------------------------------------------------------------------------------


def _route(visits: Sequence[Visit], missed: int) -> Iterator[Text]:
    shown = visits[:MAX_LINES]
    width = len(str(max((visit.line for visit in shown), default=0)))
    files = {visit.file for visit in visits}
    margins: dict[str, int] = {}
    for visit in shown:
        margins[visit.route] = min(margins.get(visit.route, WIDTH), _margin(visit))
    before: tuple[str, int] | None = None
    for visit in shown:
        indent = "  " + "  " * visit.depth
        if (visit.route, visit.depth) != before:
            where = f" ({visit.file})" if len(files) > 1 else ""
            yield Text(_cut(f"{indent}{visit.route}{where}"), style="bold")
            before = visit.route, visit.depth
        met = {None: "   ", True: "yes", False: "no "}[visit.met]
        text = plain(visit.text.expandtabs(4)[margins[visit.route] :])
        yield Text(_cut(f"{indent}  {visit.line:>{width}} {met} {text}"))
    missed += len(visits) - len(shown)
    if missed:
        yield Text(f"  … and {missed} more lines")


def _margin(visit: Visit) -> int:
    text = visit.text.expandtabs(4)
    return len(text) - len(text.lstrip())


def _cut(text: str) -> str:
    return text if cell_len(text) <= WIDTH else set_cell_size(text, WIDTH - 1).rstrip() + "…"


# -- what came of it ------------------------------------------------------------------------------


def _of_routes(line: str) -> bool:
    """Whether a traceback's line names a place in routes.cfg or a file of its."""
    return line.lstrip().startswith("File ") and '.py", line' not in line


def _gateway(console: Console, fate: GatewayFate) -> None:
    allowed = "" if fate.lines is None else f" of {fate.lines}"
    parts = [f"priority {fate.priority}", f"{fate.lines_used}{allowed} lines in use"]
    if fate.rate:
        parts.append(f"asks {fate.rate} a minute")
    if fate.prefix is not None:
        parts.insert(0, f"prefix {fate.prefix}" if fate.prefix else "any number")
    number = f"{fate.place}." if fate.place else "- "
    why = f"{fate.why[:1]}{fate.why[1:]}"
    _wrapped(console, f"{fate.name}: {why}; {', '.join(parts)}.", f"  {number:<3}", "     ")


def _sent(console: Console, decided: Decided) -> None:
    if decided.sent is None:
        return
    _heading(console, "SENT")
    for sent in (decided.sent, *decided.also_sent):
        lines = [
            f"To {sent.gateway} at {sent.address}:", f"INVITE {sent.request_uri}",
            f"From: {sent.from_header}", *sent.headers_added,
            *(f"without {name}" for name in sent.headers_removed),
        ]
        for line in lines:
            _wrapped(console, line, "  ", "    ")


def _phones(console: Console, decided: Decided) -> None:
    for hop in decided.forwarded:
        _wrapped(console, f"Phone {hop.phone} forwards to {hop.number}: {hop.why}.")
    for phone in decided.phones:
        rings = ", then ".join(f"{uri} (q {q})" for uri, q in phone.contacts)
        _wrapped(console, f"Phone {phone.number} rings at {rings}.")
        for why, number in phone.forwards.items():
            _wrapped(console, f"It forwards to {number}: {why}.", "     ")


def _result(decided: Decided) -> Iterator[str]:
    if decided.faults:
        yield "A route failed, which is a fault in it or in what it calls:"
        for fault in decided.faults:
            yield from fault.strip().splitlines()[-1:]
            yield from (line.strip() for line in fault.splitlines() if _of_routes(line))
    if decided.sent is not None:
        names = dict.fromkeys(one.gateway for one in (decided.sent, *decided.also_sent))
        where = [name if name.startswith(PHONE) else f"gateway {name}" for name in names]
        yield f"The call would go to {' and '.join(where)}."
        return
    if decided.verdict == "silence":
        yield "Nothing would be answered: the request is dropped."
        return
    status = f"{decided.status} {decided.phrase}"
    name = decided.end_reason.partition("(")[0]
    reason = EndReason.__members__.get(name)
    if reason is None:
        yield f"The caller would get {status}."
        return
    yield f"The call would end {name} ({reason.chinese}); the caller would get {status}."
    yield reason.diagnosis
    look = GUIDE[reason].look
    yield f"Look first at {look}" + ("" if look.endswith("?") else ".")
