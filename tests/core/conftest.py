"""Fixtures of the core's tests: worlds in virtual time that must be empty when a test is over."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Test modules import `virtual_world` from beside them; there are no packages under tests/.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from virtual_world import World, survivors


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Makes worlds; at the end nothing of any call may be left in them, not even as garbage."""
    worlds: list[World] = []

    def make(*args: Any, **kwargs: Any) -> World:
        worlds.append(World(*args, **kwargs))
        return worlds[-1]

    gc.disable()
    try:
        yield make
        for world in worlds:
            world.assert_nothing_is_left()
        alive = survivors(worlds)
        assert not alive, f"kept alive by a reference or a cycle: {alive}"
    finally:
        gc.enable()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with three gateways that answer at once."""
    return make_world()
