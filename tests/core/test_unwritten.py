"""What the store did not take is tried again, and one that it never takes keeps out no other."""

from __future__ import annotations

import pytest
from virtual_world import World

from router.core.transactions.layer import TransactionLayer
from router.core.unwritten import MAX_FAILURES, RETRY_MS
from router.store.errors import StoreError
from router.store.ops import Answer, Finish, Op
from router.store.records import Cdr


class Picky:
    """A store in front of the world's that takes no batch with one of these CDRs in it."""

    def __init__(self, world: World, *refused: str) -> None:
        self.refused = {*refused}
        self.commits: list[int] = []
        self.failures = 0
        self._world = world

    def flush(self) -> None:
        """A turn, as the driver makes one."""
        engine, now = self._world.engine, self._world.network.now
        while ops := engine.take_ops():
            self.commits.append(len(ops))
            try:
                answers = self._commit(ops, now)
            except StoreError:
                self.failures += 1
                engine.on_commit_failed(now)
            else:
                engine.on_committed(answers, now)

    def _commit(self, ops: list[Op], now: int) -> list[Answer | None]:
        if "*" in self.refused or any(
            isinstance(op, Finish) and op.id in self.refused for op in ops
        ):
            raise StoreError("not this one")
        return self._world.store.commit(ops, now)

    def later(self, ms: int = RETRY_MS) -> None:
        """A turn this much later."""
        self._world.network.now += ms
        self._world.engine.on_timers(self._world.network.now)
        self.flush()


def finish(world: World, *names: str) -> None:
    for name in names:
        world.engine.ask(Finish(name, Cdr(id=name)), None)


def stored(world: World) -> set[str]:
    return {cdr.id for cdr in world.cdrs}


def test_one_that_is_never_taken_keeps_out_no_other_and_is_not_forgotten(world: World) -> None:
    names = [f"call-{number}" for number in range(1_000)]
    store = Picky(world, "call-613")
    finish(world, *names)
    store.flush()
    assert stored(world) == set()
    store.later()
    assert stored(world) == {*names} - {"call-613"}
    assert store.failures == 1 + 11  # the turn, the whole of it, and its halves down to one
    store.later()
    assert store.failures == 13
    store.refused.clear()
    store.later()
    assert stored(world) == {*names}
    store.commits.clear()
    store.later(60_000)
    assert store.commits == []


def test_what_comes_later_does_not_wait_for_it(world: World) -> None:
    store = Picky(world, "bad")
    finish(world, "bad", "good")
    store.flush()
    finish(world, "next")
    store.flush()
    assert stored(world) == {"next"}
    store.later()
    assert stored(world) == {"next", "good"}
    store.refused.clear()
    store.later()
    assert stored(world) == {"next", "good", "bad"}


def test_a_store_that_takes_nothing_is_asked_a_bounded_number_of_times_and_gets_all_at_last(
    world: World,
) -> None:
    names = [f"call-{number}" for number in range(500)]
    store = Picky(world, "*")
    finish(world, *names)
    store.flush()
    for _ in range(5):
        store.failures = 0
        store.later()
        assert store.failures <= MAX_FAILURES
    store.refused.clear()
    store.later()
    assert stored(world) == {*names}
    assert len(world.cdrs) == len(names)


@pytest.mark.parametrize("late_ms", [0, 500])
def test_it_is_tried_a_second_later_and_not_before(world: World, late_ms: int) -> None:
    assert isinstance(world.engine.layer, TransactionLayer)
    store = Picky(world, "*")
    finish(world, "one")
    store.flush()
    store.refused.clear()
    store.later(late_ms)
    assert stored(world) == set()
    store.later(RETRY_MS - late_ms)
    assert stored(world) == {"one"}
