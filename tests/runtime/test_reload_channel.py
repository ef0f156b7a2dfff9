"""The channel between supervisor and worker, both ends in one process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reloading import memory

from router.runtime.reload_channel import (
    DROP,
    FAILED,
    LOADED,
    SWAP,
    SWAPPED,
    Channel,
    Follower,
    in_thread,
)


class Worker:
    """The worker's end, which loads what it is told; `aside` holds what runs aside."""

    def __init__(self, channel: Channel) -> None:
        self.images: list[bytes] = []
        self.swaps: list[tuple[bytes, int]] = []
        self.faults: list[str] = []
        self.error: Exception | None = None
        self.aside: list[Callable[[], None]] = []
        self.patient = False
        self.follower = Follower(
            channel.theirs, self.load, lambda: 77, self.faults.append, self.beside
        )

    def load(self, raw: bytes) -> Callable[[], Callable[[int], None]]:
        self.images.append(raw)
        if self.error is not None:
            raise self.error
        return lambda: lambda now_ms: self.swaps.append((raw, now_ms))

    def beside(self, work: Any, done: Any) -> None:
        def run() -> None:
            try:
                result = work()
            except Exception as error:
                result = error
            done(result)

        if self.patient:
            self.aside.append(run)
        else:
            run()


@pytest.fixture
def channel() -> Iterator[Channel]:
    made = Channel("worker 0")
    yield made
    made.close()


@pytest.fixture
def worker(channel: Channel) -> Worker:
    return Worker(channel)


def load(channel: Channel, serial: int, data: bytes) -> None:
    descriptor = memory(data)
    assert channel.load(serial, descriptor)
    os.close(descriptor)


def test_an_image_is_loaded_and_swapped_to_when_told(channel: Channel, worker: Worker) -> None:
    load(channel, 1, b"image" * 100_000)
    worker.follower.read()
    channel.read()
    assert channel.is_at(LOADED, 1)
    assert worker.swaps == []
    channel.tell(SWAP, 1)
    worker.follower.read()
    channel.read()
    assert channel.is_at(SWAPPED, 1)
    assert worker.swaps == [(b"image" * 100_000, 77)]


def test_what_cannot_be_loaded_is_told_with_its_reason(channel: Channel, worker: Worker) -> None:
    worker.error = ValueError("of another kind\nand more of it")
    load(channel, 1, b"image")
    worker.follower.read()
    channel.read()
    assert channel.is_at(FAILED, 1)
    assert channel.reason == "ValueError: of another kind"
    assert "Traceback" in worker.faults[0]
    channel.tell(SWAP, 1)
    worker.follower.read()
    assert worker.swaps == []


def test_what_was_dropped_is_not_swapped_to(channel: Channel, worker: Worker) -> None:
    load(channel, 1, b"first")
    channel.tell(DROP, 1)
    channel.tell(SWAP, 1)
    for _ in range(3):
        worker.follower.read()
    assert worker.images == [b"first"]
    assert worker.swaps == []


def test_a_drop_while_it_still_loads_counts(channel: Channel, worker: Worker) -> None:
    worker.patient = True
    load(channel, 1, b"first")
    channel.tell(DROP, 1)
    load(channel, 2, b"second")
    for _ in range(3):
        worker.follower.read()
    for run in worker.aside:
        run()
    channel.read()
    assert channel.is_at(LOADED, 2)
    channel.tell(SWAP, 1)
    channel.tell(SWAP, 2)
    for _ in range(2):
        worker.follower.read()
    assert worker.swaps == [(b"second", 77)]


def test_the_later_of_two_images_counts(channel: Channel, worker: Worker) -> None:
    load(channel, 1, b"first")
    load(channel, 2, b"second")
    worker.follower.read()
    worker.follower.read()
    channel.tell(SWAP, 1)
    channel.tell(SWAP, 2)
    worker.follower.read()
    worker.follower.read()
    assert worker.swaps == [(b"second", 77)]


def test_no_descriptor_stays_open(channel: Channel, worker: Worker) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for serial in range(20):
        worker.error = ValueError() if serial % 2 else None
        load(channel, serial, b"image")
        worker.follower.read()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_worker_that_has_died_is_no_error(channel: Channel) -> None:
    channel.theirs.close()
    channel.read()
    assert not channel.tell(SWAP, 1)
    assert channel.word == ""


def test_a_worker_that_hears_nothing_more_is_noticed(channel: Channel, worker: Worker) -> None:
    assert any(not channel.tell(SWAP, n) for n in range(100_000))


def test_a_worker_notices_that_its_supervisor_has_gone(channel: Channel, worker: Worker) -> None:
    assert worker.follower.read()
    channel.let_go()
    assert not worker.follower.read()


def test_work_aside_runs_in_another_thread_and_ends_in_the_loop() -> None:
    async def scene() -> list[object]:
        loop = asyncio.get_running_loop()
        results: asyncio.Queue[object] = asyncio.Queue()
        aside = in_thread(loop)

        def leave() -> Any:
            raise SystemExit(3)

        swap: Any = lambda: None  # noqa: E731
        aside(lambda: swap, results.put_nowait)
        first = await asyncio.wait_for(results.get(), 5)
        aside(leave, results.put_nowait)
        return [first is swap, await asyncio.wait_for(results.get(), 5)]

    passed, ended = asyncio.run(scene())
    assert passed
    assert isinstance(ended, RuntimeError)
    assert "SystemExit" in str(ended)


def test_the_ends_are_datagrams_that_keep_their_borders(channel: Channel) -> None:
    assert channel.theirs.type & socket.SOCK_SEQPACKET == socket.SOCK_SEQPACKET
