"""Random test blocks: whatever is written, a trial comes to an end and leaves a sound world."""

from __future__ import annotations

import random

import pytest
from routed import program_of
from tried import ROUTES

from router.routing.trial.ground import Ground
from router.routing.trial.results import Unmet
from router.routing.trial.steps import Player
from router.routing.trial.world import World

GATEWAYS = ("first", "second", "third")
REASONS = ("Normal", "UserBusy", "Cancelled", "NoAvailableRouter", "SessionTimeout")
DURATIONS = ("0s", "7ms", "1s", "9990ms", "31s", "3m", "2h", "26h")
DAY_MS = 86_400_000


def statement(source: random.Random) -> str:
    gateway = source.choice(GATEWAYS)
    after = source.choice(["", f" after {source.choice(DURATIONS)}"])
    status = source.choice([100, 180, 183, 200, 302, 403, 408, 486, 500, 503, 603])
    return source.choice([
        f'invite from 127.0.0.1 caller "1000" callee "{source.choice(["86138", "44", "86500"])}"',
        f"expect gateway {gateway}",
        f"expect reply {status}",
        f"expect end {source.choice(REASONS)}",
        f"gateway {gateway} replies {status}{after}",
        f"gateway {gateway} rings{after}",
        f"gateway {gateway} answers{after}",
        f"gateway {gateway} answers{after}",
        f"gateway {gateway} sends early media{after}",
        f"gateway {gateway} stays silent",
        f"caller cancels{after}",
        f"caller hangs up{after}",
        f"callee hangs up{after}",
        f"wait {source.choice(DURATIONS)}",
        f"gateway {gateway} {source.choice(['up', 'down'])}",
        'now "2026-03-01"',
    ])


def block(source: random.Random, number: int) -> str:
    count = source.randrange(1, 14)
    steps = ["invite from 127.0.0.1 callee \"86138\"", *(statement(source) for _ in range(count))]
    return f'test "{number}" {{ {"; ".join(steps)}; }}'


@pytest.mark.parametrize("seed", range(4))
def test_any_block_comes_to_an_end_and_leaves_a_sound_world(seed: int) -> None:
    source = random.Random(seed)
    program = program_of(ROUTES + "\n".join(block(source, number) for number in range(150)))
    ground = Ground(program)
    unmet = steps = 0
    for trial in program.tests:
        world = World(ground)
        player = Player(world)
        written = "; ".join(step.text for step in trial.steps)
        for step in trial.steps:
            steps += 1
            try:
                player.play(step)
            except Unmet as error:  # goes on all the same: more happens to the world
                unmet += 1
                assert error.expected, written
                assert error.happened, written
        assert world.store.verify() == [], written
        world.pass_time(2 * DAY_MS)
        engine = world.engine
        assert (engine.active_calls, engine.legs, engine.layer.clients, engine.layer.servers) == (
            0, {}, {}, {},
        ), written
        assert world.store.records == {}, written
        assert len(world.store.cdrs) == len([call for call in world.calls if call.cdr]), written
    assert 0 < unmet < steps
