"""Whoever asks the store hears its answer, or that there will be none."""

from __future__ import annotations

from typing import Any

from virtual_world import World

from router.core.asking import call_of
from router.store.ops import Answer, Bind, Bound, Forget
from router.store.records import Contact


class Hearer:
    """An asker that remembers what it heard, and fails when `fault` is set."""

    server = None

    def __init__(self, fault: bool = False) -> None:
        self.heard: list[Any] = []
        self._fault = fault

    def on_stored(self, answer: Answer) -> None:
        self.heard.append(answer)
        if self._fault:
            raise RuntimeError("a fault of ours")

    def on_not_stored(self) -> None:
        self.heard.append("not stored")


def bind(world: World) -> Bind:
    contact = Contact("sip:1001@192.0.2.7", expires_ms=world.network.now + 60_000)
    return Bind("1001", "acme", (contact,))


def test_an_asker_hears_the_answer_of_its_own_operation(world: World) -> None:
    first, second = Hearer(), Hearer()
    op = bind(world)
    world.engine.ask(op, first)
    world.engine.ask(Forget("nobody"), second)
    world.engine.ask(bind(world), None)
    world.flush()
    assert first.heard == [Bound([*op.contacts])]
    assert second.heard == []


def test_a_fault_in_hearing_is_logged_and_others_hear_theirs(world: World) -> None:
    faulty, sound = Hearer(fault=True), Hearer()
    world.engine.ask(bind(world), faulty)
    world.engine.ask(bind(world), sound)
    world.flush()
    assert len(sound.heard) == 1
    (fault,) = world.errors()
    assert fault[2]["reason"] == "RuntimeError: a fault of ours"
    world.errors_expected = True
    world.engine.logs.clear()


def test_an_asker_hears_that_its_operation_is_not_stored_and_it_is_not_tried_again(
    world: World,
) -> None:
    hearer = Hearer()
    world.engine.ask(bind(world), hearer)
    assert len(world.engine.take_ops()) == 1
    world.engine.on_commit_failed(world.network.now)
    assert hearer.heard == ["not stored"]
    world.run(10_000)
    assert world.store.registered_phones() == 0


def test_what_belongs_to_no_call_has_none() -> None:
    assert call_of(Hearer()) is None
