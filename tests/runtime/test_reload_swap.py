"""New routes in a real engine: in place at once, old ones freed, health of what moved forgotten."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from reloading import changed, image, program

from dsl.program import Program
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.policy import Policy
from router.core.tally import Tally
from router.routing.config import Config, build_config
from router.routing.switch import build_switch
from router.runtime.reload_swap import Swapper, moved_gateways
from router.runtime.tokens import TokenSource
from router.store.errors import StoreError
from router.store.memory import MemoryLive
from router.store.ops import GatewayState

NOW_MS = 1_700_000_000_000
OPTIONS = (
    b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK%d\r\n"
    b"From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>\r\nCall-ID: c%d\r\n"
    b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)
FLOW = Flow("udp", "127.0.0.1", 9, 0)


class Worker:
    """What a worker has of all this."""

    def __init__(self) -> None:
        self.store = MemoryLive()
        self.program = program()
        self.config = build_config(self.program)
        self.policies: weakref.WeakSet[Policy] = weakref.WeakSet()
        self.tally = Tally()
        self.asked = 0
        self.engine = Engine(
            self.make_policy(self.program, self.config),
            listeners=self.config.listeners,
            slot=0,
            slots=1,
            generation=1,
            token=TokenSource(),
            tally=self.tally,
            now_ms=NOW_MS,
            timers=self.config.timers,
        )
        self.swapper = Swapper(self.engine, self.store, self.config, self.config, self.make_policy)

    def make_policy(self, program: Program, config: Config) -> Policy:
        made = build_switch(
            program,
            config,
            tally=self.tally,
            stopwatch=time.perf_counter,
            log=lambda *_, **__: None,
        )
        self.policies.add(made)
        return made

    def swap(self, *edits: tuple[str, str]) -> None:
        self.swapper.load(image(changed(*edits)))()(NOW_MS)

    def commit(self) -> list[Any]:
        ops = self.engine.take_ops()
        self.engine.on_committed(self.store.commit(ops, NOW_MS), NOW_MS)
        return ops

    def status(self) -> bytes:
        """What OPTIONS is answered with."""
        self.asked += 1
        self.engine.receive(OPTIONS % (self.asked, self.asked), FLOW, NOW_MS)
        [(data, _)] = self.engine.take_sends()
        return data.split(b" ")[1]


@pytest.fixture
def worker() -> Iterator[Worker]:
    gc.collect()
    gc.disable()
    try:
        yield Worker()
    finally:
        gc.enable()


def test_nothing_changes_until_the_swap(worker: Worker) -> None:
    ready = worker.swapper.load(image(changed(("reply(200)", "reply(202)"))))
    swap = ready()
    assert worker.status() == b"200"
    swap(NOW_MS)
    assert worker.status() == b"202"


def test_sockets_and_files_stay_those_of_the_start(worker: Worker) -> None:
    worker.swap(
        ("udp:127.0.0.1:5060", "udp:127.0.0.9:5099"),
        ("ringing_timeout", "t1 = 700ms\nringing_timeout"),
    )
    policy = worker.engine.policy
    assert policy.config.listeners == worker.config.listeners  # type: ignore[attr-defined]
    assert policy.config.state == worker.config.state  # type: ignore[attr-defined]
    assert worker.engine.layer.t1 == 700


@pytest.mark.parametrize(
    ("edit", "moved"),
    [
        (("lines = 5", "lines = 6"), []),
        (("address = 192.0.2.1 ", "address = 192.0.2.9 "), ["one"]),
        (("address = 192.0.2.1 ", "address = 192.0.2.1:5070 "), ["one"]),
        (("address = 192.0.2.1 ", "address = 192.0.2.1;transport=tcp "), ["one"]),
        (("gateway two {", "gateway three {"), ["two"]),
    ],
)
def test_a_gateway_has_moved_when_it_is_gone_or_elsewhere(
    edit: tuple[str, str], moved: list[str]
) -> None:
    assert moved_gateways(build_config(program()), build_config(program(changed(edit)))) == moved


def test_the_health_of_a_gateway_that_moved_is_forgotten_and_no_other(worker: Worker) -> None:
    worker.store.commit(
        [
            GatewayState("gateway:one", NOW_MS + 30_000, 5),
            GatewayState("gateway:two", NOW_MS + 30_000, 5),
        ],
        NOW_MS,
    )
    worker.swap(("lines = 5", "lines = 6"))
    assert worker.commit() == []
    worker.swap(("address = 192.0.2.1 ", "address = 192.0.2.9 "))
    worker.commit()
    states = worker.store.gateway_states()
    assert states["gateway:one"].down_until_ms == 0
    assert states["gateway:two"].down_until_ms == NOW_MS + 30_000


def test_what_is_not_aside_costs_no_write(worker: Worker) -> None:
    worker.store.commit([GatewayState("gateway:one", NOW_MS - 1, 5)], NOW_MS)
    worker.swap(("address = 192.0.2.1 ", "address = 192.0.2.9 "), ("gateway two", "gateway three"))
    assert worker.commit() == []


def test_a_store_that_cannot_be_read_does_not_stop_a_swap(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(worker.store, "gateway_states", fail)
    worker.swap(("address = 192.0.2.1 ", "address = 192.0.2.9 "), ("reply(200)", "reply(202)"))
    assert worker.status() == b"202"
    assert [op.key for op in worker.commit()] == ["gateway:one"]


def test_500_swaps_leave_one_program_and_no_garbage(worker: Worker) -> None:
    raws = [image(changed(("reply(200)", f"reply({200 + turn})"))) for turn in range(7)]
    for raw in raws:
        worker.swapper.load(raw)()(NOW_MS)
    before = len(gc.get_objects())
    for turn in range(500):
        worker.swapper.load(raws[turn % 7])()(NOW_MS)
    assert abs(len(gc.get_objects()) - before) < 50
    assert len(worker.policies) == 1
    assert worker.status() == b"202"


def test_what_was_loaded_and_dropped_leaves_no_garbage(worker: Worker) -> None:
    raw = image(changed(("reply(200)", "reply(202)")))
    worker.swapper.load(raw)
    before = len(gc.get_objects())
    for turn in range(100):
        ready = worker.swapper.load(raw)
        if turn % 2:
            ready()
    del ready
    assert abs(len(gc.get_objects()) - before) < 20
