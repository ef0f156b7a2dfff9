"""Traffic under loss, doubling and reordering: each call ends with its lines back and one CDR.

A failing run names its seed; `simulate(seed, ...)` of `simulated_traffic` has it again.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from simulated_traffic import simulate
from virtual_world import survivors


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """With the collector off, what a reference cycle keeps alive is still there to be seen."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.mark.parametrize("seed", range(24))
def test_every_call_ends_whatever_the_network_does(seed: int) -> None:
    simulation = simulate(seed)
    assert survivors([simulation.world]) == [], f"seed {seed}: kept alive"


@pytest.mark.parametrize("seed", range(100, 108))
def test_every_call_ends_although_routes_raise_and_commits_fail(seed: int) -> None:
    simulation = simulate(seed, trouble=0.1)
    assert survivors([simulation.world]) == [], f"seed {seed}: kept alive"


@pytest.mark.parametrize("seed", range(200, 208))
def test_every_call_is_accounted_for_although_workers_die(seed: int) -> None:
    simulation = simulate(seed, crashes=3)
    assert survivors([simulation.world]) == [], f"seed {seed}: kept alive"


@pytest.mark.parametrize("seed", range(300, 308))
def test_every_call_is_accounted_for_although_messages_are_spoilt(seed: int) -> None:
    simulation = simulate(seed, spoilt=0.1)
    assert survivors([simulation.world]) == [], f"seed {seed}: kept alive"


@pytest.mark.parametrize("seed", range(400, 416))
def test_every_branch_of_a_call_ends_whatever_the_network_does(seed: int) -> None:
    simulation = simulate(seed, forking=True)
    assert survivors([simulation.world]) == [], f"seed {seed}: kept alive"


@pytest.mark.parametrize("seed", range(500, 508))
@pytest.mark.parametrize("more", [{"crashes": 3}, {"trouble": 0.1}, {"spoilt": 0.1}], ids=str)
def test_every_branch_of_a_call_ends_although_things_go_wrong(
    seed: int, more: dict[str, Any]
) -> None:
    simulation = simulate(seed, forking=True, **more)
    assert survivors([simulation.world]) == [], f"seed {seed}: kept alive"


def test_the_same_seed_is_the_same_run() -> None:
    first, second = simulate(7, calls=60), simulate(7, calls=60)
    assert first.world.cdrs == second.world.cdrs
    assert simulate(8, calls=60).world.cdrs != first.world.cdrs
