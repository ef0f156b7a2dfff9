"""Tries a program's test blocks: each in a world of its own, the program and its objects in all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsl.program import Position, Program
from dsl.trials import ExpectEnd, ExpectReply, Trial
from router.core.network import RunWait, Wire, run_at_once
from router.routing.stored_decks import StoredRates
from router.routing.trial.ground import Ground
from router.routing.trial.results import Failure, TrialResult, Unmet
from router.routing.trial.steps import Player
from router.routing.trial.world import World
from router.sip.errors import SipError
from router.sip.message import parse_message

CALLER_LANE = "caller"
OUR_LANE = "trunkline"


def run_trials(
    program: Program, chosen: Callable[[Trial], bool] = lambda trial: True, *,
    stopwatch: Callable[[], float] = lambda: 0.0, run_wait: RunWait = run_at_once,
    rates: StoredRates | None = None,
) -> list[TrialResult]:
    """The results of a checked program's chosen trials, in their order; empty if it has none.

    `stopwatch` gives seconds from any fixed point and is only looked at to say how long each took.
    `run_wait` runs the routes that wait for async Python functions; `rates` are those of decks
    without a file.
    """
    trials = [trial for trial in program.tests if chosen(trial)]
    if not trials:
        return []
    ground = Ground(program, run_wait, rates)
    return [run_trial(ground, trial, stopwatch) for trial in trials]


def run_trial(
    ground: Ground, trial: Trial, stopwatch: Callable[[], float] = lambda: 0.0
) -> TrialResult:
    """One trial, from its first step to its end or to the first step that fails."""
    started = stopwatch()
    world = World(ground)
    player = Player(world)
    failure: Failure | None = None
    at, text = trial.position, f'test "{trial.title}"'
    try:
        for step in trial.steps:
            at, text = step.position, step.text
            player.play(step)
        at, text = trial.position, f'test "{trial.title}"'
        _check_faults(world, trial)
    except Unmet as unmet:
        failure = _failure(player, at, text, unmet)
    virtual_ms = world.now - world.began_ms
    return TrialResult(trial.title, trial.position, failure, stopwatch() - started, virtual_ms)


def _check_faults(world: World, trial: Trial) -> None:
    """A route that raises fails the trial, unless that is what the trial expects."""
    for step in trial.steps:
        if isinstance(step, ExpectReply) and step.status == 500:
            return
        if isinstance(step, ExpectEnd) and step.reason == "ServerFailure":
            return
    for level, event, fields in world.logs:
        if level == "error" and "trace" in fields:
            why = fields["trace"].strip().splitlines()[-1]
            raise Unmet("no route to fail", f"{event}: {why}")


def _failure(player: Player, at: Position, text: str, unmet: Unmet) -> Failure:
    world, call = player.world, player.call
    lanes, wires = _ladder(player)
    return Failure(
        at,
        text,
        unmet.expected,
        unmet.happened,
        lanes,
        wires,
        tuple(call.cdr.decision) if call is not None and call.cdr is not None else (),
        tuple(_logged(*entry) for entry in world.logs),
    )


def _logged(level: str, event: str, fields: dict[str, Any]) -> str:
    trace = fields.get("trace", "")
    return f"{level}: {event}" + (f"\n{trace.rstrip()}" if trace else "")


def _ladder(player: Player) -> tuple[tuple[str, ...], tuple[Wire, ...]]:
    """The lanes and messages of the call that failed; gateways in the order they were tried."""
    call = player.call
    if call is None:
        return (), ()
    lane_of = {call.caller.leg.call_id: CALLER_LANE}
    if call.cdr is not None:
        lane_of.update((one.b_call_id, one.gateway) for one in call.cdr.attempts)
    ours = {(listener.host, listener.port) for listener in player.world.ground.listeners}
    wires = []
    for wire in player.world.network.wires:
        try:
            lane = lane_of.get(parse_message(wire.data).call_id)
        except SipError:
            continue
        if lane is not None:
            ends = ((OUR_LANE, 0), (lane, 0)) if wire.source in ours else ((lane, 0), (OUR_LANE, 0))
            wires.append(Wire(wire.at_ms, *ends, wire.data))
    lanes = (CALLER_LANE, OUR_LANE, *dict.fromkeys(list(lane_of.values())[1:]))
    return lanes, tuple(wires)
