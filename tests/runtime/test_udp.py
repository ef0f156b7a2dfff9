"""A UDP port that is busy looks now and then; one that is not is woken by each datagram."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from router.core.flow import Flow
from router.runtime import udp
from router.runtime.udp import UdpPort


class Bench:
    """A port in a running loop, and a peer that sends to it; `turns` are the datagrams of each."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.opened.bind(("127.0.0.1", 0))
        self.opened.setblocking(False)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.connect(self.opened.getsockname())
        self.turns: list[list[bytes]] = []
        self._turn: list[bytes] = []
        self.port = UdpPort(self.loop, self.opened, 0, self._deliver, self._end, lambda *_: None)
        self.port.start(lambda: 1)

    def _deliver(self, data: bytes, flow: Flow, now_ms: int) -> None:
        self._turn.append(data)

    def _end(self, now_ms: int) -> None:
        if self._turn:
            self.turns.append(self._turn)
            self._turn = []

    @property
    def heard(self) -> list[bytes]:
        return [data for turn in self.turns for data in turn]

    @property
    def is_looking(self) -> bool:
        return self.port._next_look is not None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)

    def close(self) -> None:
        self.port.stop()
        self.opened.close()
        self.peer.close()


def play(scene: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        bench = Bench()
        try:
            await scene(bench)
        finally:
            bench.close()

    asyncio.run(run())


async def get_busy(bench: Bench) -> None:
    """Two datagrams, one straight behind the other: the second makes it busy."""
    for number in range(2):
        bench.peer.send(b"%d" % number)
        await bench.until(lambda: len(bench.heard) == number + 1)  # noqa: B023 - waited for here
    assert bench.is_looking


def test_datagrams_that_come_together_share_a_turn_once_the_port_is_busy() -> None:
    async def scene(bench: Bench) -> None:
        await get_busy(bench)
        for number in range(20):
            bench.peer.send(b"x%d" % number)
        await bench.until(lambda: len(bench.heard) == 22)
        assert bench.heard[2:] == [b"x%d" % number for number in range(20)]
        assert len(bench.turns) <= 4

    play(scene)


def test_a_port_that_hears_nothing_more_waits_to_be_woken_again() -> None:
    async def scene(bench: Bench) -> None:
        await get_busy(bench)
        await bench.until(lambda: not bench.is_looking)
        bench.peer.send(b"later")
        await bench.until(lambda: bench.heard[-1] == b"later")

    play(scene)


def test_one_datagram_now_and_then_is_never_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(udp, "BUSY_S", 0.0)

    async def scene(bench: Bench) -> None:
        for number in range(5):
            bench.peer.send(b"%d" % number)
            await bench.until(lambda: len(bench.heard) == number + 1)  # noqa: B023 - as above
            assert not bench.is_looking

    play(scene)


def test_a_port_that_is_stopped_while_it_looks_reads_no_more() -> None:
    async def scene(bench: Bench) -> None:
        await get_busy(bench)
        bench.port.stop()
        bench.peer.send(b"a successor's")
        # Longer than all its looks: the loop's own clock, so nothing sleeps for real time's sake.
        waited = bench.loop.create_future()
        bench.loop.call_later(udp.LOOK_S * (udp.IDLE_LOOKS + 2), waited.set_result, None)
        await waited
        assert len(bench.heard) == 2
        assert bench.opened.recv(100) == b"a successor's"

    play(scene)
