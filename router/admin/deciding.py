"""A call decided as the router would, with nothing sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from dsl.load import compile_routes
from dsl.outcome import Outcome
from dsl.program import Program
from router.admin.cdr_search import parse_instant
from router.admin.route_lines import LineTrace
from router.admin.wrong_value import WrongValue
from router.routing.decided import Decided, LiveNow, Question
from router.routing.decision_run import DecisionRun
from router.routing.stored_decks import StoredRates
from router.routing.surface import SURFACE
from router.runtime.hook_loop import HookLoop
from router.store.boot import LIVE_DIR, live_is_current
from router.store.cdr_lines import CONTROL
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.objects import OBJECTS_DIR, LmdbObjects


def decide(
    outcome: Outcome, program: Program, question: Question, live: LiveNow,
    rates: StoredRates | None = None,
) -> tuple[Decided, LineTrace]:
    """The decision, and the lines of the routes that were run for it."""
    with HookLoop() as loop:
        run = DecisionRun(
            program, question, live, lambda engine: loop.run_all(engine, question.now_ms), rates
        )
        with LineTrace(compile_routes(outcome, SURFACE)) as trace:
            decided = run.decide()
    return decided, trace


def question_of(source: str, caller: str, callee: str, headers: list[str], at: str) -> Question:
    """The question that people have written; WrongValue when it makes no sense."""
    try:
        address = str(ip_address(source.strip("[]")))
    except ValueError:
        raise WrongValue(f'--source "{source}" is no IP address: give 192.0.2.1') from None
    for option, text in (("--caller", caller), ("--callee", callee)):
        if CONTROL.search(text) or len(text) > 256:
            raise WrongValue(f"{option} is no number: it has control characters or is too long")
    for line in headers:
        name, colon, _ = line.partition(":")
        if not (colon and name.strip() and name.strip().isascii()) or CONTROL.search(line):
            raise WrongValue(f'--header "{line}" is no header: give "Name: value"')
    now = datetime.now().astimezone()
    now_ms = time.time_ns() // 1_000_000 if at == "now" else parse_instant("--at", at, now)
    return Question(address, caller, callee, now_ms, tuple(headers))


@contextmanager
def live_now(state: Path | None) -> Iterator[LiveNow]:
    """What a state folder says now; all free and up without one."""
    if state is None:
        yield LiveNow()
        return
    if not live_is_current(state / LIVE_DIR):
        raise StoreError(
            f'no router has run with state folder "{state}" since this machine was started: '
            "name the router's, or leave --state out"
        )
    live = LmdbLive(state / LIVE_DIR, readonly=True)
    try:
        yield LiveNow(
            live.usages(""), live.gateway_states(), live.monies(), live, _locks_in(state)
        )
    finally:
        live.close()


def _locks_in(state: Path) -> frozenset[str]:
    if not (state / OBJECTS_DIR / "data.mdb").exists():
        return frozenset()
    objects = LmdbObjects(state / OBJECTS_DIR, readonly=True)
    try:
        return frozenset(objects.locks())
    finally:
        objects.close()
