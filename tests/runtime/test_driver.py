"""The driver in one process: the turn and its order, timers, failures, streams."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import echo
import pytest

from router.core.flow import Flow, Listener
from router.core.tally import Tally
from router.runtime import driver as driver_module
from router.runtime.clock import make_clock
from router.runtime.driver import Driver
from router.runtime.logs import BoundedLog
from router.runtime.sockets import Sockets, open_sockets
from router.runtime.streams import StreamLimits
from router.runtime.udp import _tells_unreachable
from router.runtime.worker import Birth

LISTENERS = [Listener("udp", "127.0.0.1", 0), Listener("tcp", "127.0.0.1", 0)]
PATIENCE_S = 5.0


class Scene:
    """One driver per slot in this process's loop, and a peer that talks to them."""

    def __init__(self, slots: int, limits: StreamLimits) -> None:
        loop = asyncio.get_running_loop()
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.sockets: Sockets = open_sockets(LISTENERS, slots)
        self.udp, self.tcp = (listener.port for listener in self.sockets.listeners)
        self.engines: list[echo.EchoEngine] = []
        self.stores: list[echo.MemoryStore] = []
        self.drivers: list[Driver] = []
        self.tallies: list[Tally] = []
        now = make_clock()
        for slot in range(slots):
            tally = Tally()
            log = BoundedLog(lambda *line: self.lines.append(line))
            engine = echo.EchoEngine(
                Birth(slot, slots, 1, self.sockets.listeners, tally, now(), log)
            )
            store = echo.MemoryStore()
            self.engines.append(engine)
            self.stores.append(store)
            self.tallies.append(tally)
            self.drivers.append(
                Driver(
                    loop=loop,
                    engine=engine,
                    store=store,
                    sockets=self.sockets.slots[slot],
                    slot=slot,
                    now=now,
                    tally=tally,
                    log=log,
                    stream_limits=limits,
                )
            )
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.setblocking(False)
        self.peer.connect(("127.0.0.1", self.udp))

    async def hear(self) -> bytes:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(self.peer, 65535), PATIENCE_S)

    async def ask(self, command: str, call_id: str = "x", **more: Any) -> dict[str, str]:
        self.peer.send(echo.request(command, call_id, **more))
        return echo.fields(await self.hear())

    async def close(self) -> None:
        for driver in self.drivers:
            driver.stop()
        self.peer.close()
        await asyncio.sleep(0.01)
        self.sockets.close()


def play(
    scene: Callable[[Scene], Awaitable[None]],
    *,
    slots: int = 1,
    limits: StreamLimits | None = None,
) -> None:
    async def run() -> None:
        stage = Scene(slots, limits if limits is not None else StreamLimits())
        for driver in stage.drivers:
            await driver.start()
        try:
            await scene(stage)
        finally:
            await stage.close()

    asyncio.run(run())


async def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.002)


class Stream:
    """A TCP peer that frames nothing: it sends and reads bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> Stream:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)

    async def closed(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(100), PATIENCE_S) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


# The turn


def test_a_turn_commits_all_that_arrived_together_before_anything_is_sent() -> None:
    async def scene(stage: Scene) -> None:
        for n in range(10):
            stage.peer.send(echo.request("STORE", f"call-{n}"))
        answers = [echo.fields(await stage.hear()) for _ in range(10)]
        assert [answer["Call-ID"] for answer in answers] == [f"call-{n}" for n in range(10)]
        assert {answer["X-Operations"] for answer in answers} == {"10"}
        assert stage.stores[0].turns == [10]

    play(scene)


def test_more_than_a_turn_takes_is_read_in_the_next_ones() -> None:
    async def scene(stage: Scene) -> None:
        for n in range(150):
            stage.peer.send(echo.request("STORE", f"call-{n}"))
        for _ in range(150):
            await stage.hear()
        assert stage.stores[0].turns == [64, 64, 22]

    play(scene)


def test_when_nothing_can_be_stored_the_engine_hears_it_and_the_next_turn_works() -> None:
    async def scene(stage: Scene) -> None:
        stage.stores[0].fails = True
        stage.peer.send(echo.request("STORE", "x"))
        assert (await stage.hear()).startswith(b"SIP/2.0 500")
        assert stage.drivers[0].commit_failures == 1
        assert stage.lines == [
            ("error", "state not stored", {"operations": 1, "reason": "the disk is full"})
        ]
        stage.stores[0].fails = False
        stage.peer.send(echo.request("STORE", "x"))
        assert (await stage.hear()).startswith(b"SIP/2.0 200")

    play(scene)


def test_a_store_that_goes_on_failing_is_not_complained_of_every_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(stage: Scene) -> None:
        stage.stores[0].fails = True
        for _ in range(10):
            await stage.ask("STORE")
        assert stage.drivers[0].commit_failures == 10
        assert len(stage.lines) == 1
        monkeypatch.setattr(driver_module, "REPEAT_FAULT_MS", 0)
        stage.drivers[0]._quiet_until_ms = 0
        for _ in range(2):
            await stage.ask("STORE")
        assert len(stage.lines) == 3

    play(scene)


def test_a_timer_of_the_engine_runs_when_it_is_due_and_not_early() -> None:
    async def scene(stage: Scene) -> None:
        before = time.monotonic()
        answer = await stage.ask("LATER")
        assert time.monotonic() - before >= 0.049
        assert 0 <= int(answer["X-Late-Ms"]) < 100

    play(scene)


def test_log_lines_of_the_engine_are_limited_and_the_rest_is_counted() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("LOGS")
        log = stage.drivers[0]._log
        assert len(stage.lines) == 200
        log.tick()
        assert stage.lines[-1] == (
            "warning", "log lines left out", {"lines": 800, "events": {"a line": 800}},
        )
        assert stage.engines[0].logs == []

    play(scene)


def test_a_fault_in_the_engine_is_logged_and_the_worker_goes_on() -> None:
    async def scene(stage: Scene) -> None:
        def fail(data: bytes, flow: Flow, now_ms: int) -> None:
            raise ValueError("a fault of ours")

        stage.drivers[0]._udp[0].deliver = fail
        stage.drivers[0]._udp[0].start(make_clock())
        stage.peer.send(echo.request("ECHO", "x"))
        await until(lambda: stage.lines, "the log line")
        assert "a fault of ours" in stage.lines[0][2]["trace"]

    play(scene)


def test_a_destination_that_cannot_be_sent_to_is_a_transport_error_of_the_same_turn() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("WATCH")
        stage.engines[0].sends.append((b"x", Flow("udp", "255.255.255.255", 5060, 0)))
        stage.drivers[0].finish_turn(0)
        assert await stage.hear() == b"BROKEN 255.255.255.255:5060 0"

    play(scene)


def test_a_flow_without_a_listener_leaves_by_the_first_socket() -> None:
    async def scene(stage: Scene) -> None:
        host, port = stage.peer.getsockname()
        stage.engines[0].sends.append((b"hello", Flow("udp", host, port)))
        stage.drivers[0].finish_turn(0)
        assert await stage.hear() == b"hello"

    play(scene)


def closed_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


def test_a_port_that_icmp_calls_closed_is_told_and_hurts_no_other_message() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("WATCH")
        port = closed_port()
        for n in range(3):
            stage.engines[0].sends.append((b"lost", Flow("udp", "127.0.0.1", port, 0)))
            stage.peer.send(echo.request("ECHO", f"call-{n}"))
            stage.drivers[0].finish_turn(0)
        heard = [await stage.hear() for _ in range(6)]
        assert sum(one.startswith(b"SIP/2.0 200") for one in heard) == 3
        assert heard.count(f"REFUSED 127.0.0.1:{port}".encode()) == 3

    play(scene)


def test_what_icmp_said_of_an_earlier_message_does_not_stop_the_next() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("WATCH")
        host, port = stage.peer.getsockname()
        # In one turn: the error waits in the socket when the second is sent.
        stage.engines[0].sends += [
            (b"lost", Flow("udp", "127.0.0.1", closed_port(), 0)),
            (b"hello", Flow("udp", host, port, 0)),
        ]
        stage.drivers[0].finish_turn(0)
        assert await stage.hear() == b"hello"
        assert (await stage.hear()).startswith(b"REFUSED")

    play(scene)


def test_after_icmp_errors_nothing_wakes_the_worker_any_more() -> None:
    async def scene(stage: Scene) -> None:
        turns = 0

        def count(now_ms: int) -> None:
            nonlocal turns
            turns += 1

        stage.drivers[0]._udp[0]._end_turn = count
        stage.drivers[0]._udp[0].start(make_clock())
        stage.engines[0].sends.append((b"lost", Flow("udp", "127.0.0.1", closed_port(), 0)))
        stage.drivers[0].finish_turn(0)
        await until(lambda: turns, "the error")
        await asyncio.sleep(0.02)
        assert turns <= 2

    play(scene)


def test_every_worker_hears_of_a_closed_port_for_the_kernel_tells_any_of_them() -> None:
    async def scene(stage: Scene) -> None:
        stage.sockets.steer()
        port = closed_port()
        for call_id in ("a", "b"):  # slots 1 and 0
            await stage.ask("WATCH", call_id)
        stage.engines[0].sends.append((b"lost", Flow("udp", "127.0.0.1", port, 0)))
        stage.drivers[0].finish_turn(0)
        assert [await stage.hear(), await stage.hear()] == [
            f"REFUSED 127.0.0.1:{port}".encode()
        ] * 2

    play(scene, slots=2)


def test_other_errors_of_the_queue_do_not_mean_that_nobody_listens() -> None:
    def told(number: int, origin: int, kind: int = 11) -> bool:
        return _tells_unreachable(kind, struct.pack("=IBBBBII", number, origin, 3, 3, 0, 0, 0))

    assert told(errno.ECONNREFUSED, 2)
    assert told(errno.EHOSTUNREACH, 3, kind=25)
    assert not told(errno.EMSGSIZE, 2)  # a smaller path MTU
    assert not told(errno.ECONNREFUSED, 1)  # of our own making
    assert not told(errno.ECONNREFUSED, 2, kind=8)
    assert not _tells_unreachable(11, b"")


# Owners


@pytest.mark.parametrize("compact", [False, True])
def test_a_message_reaches_the_engine_of_its_owner_whoever_reads_it(compact: bool) -> None:
    async def scene(stage: Scene) -> None:
        owned = [0, 0, 0]
        for n in range(30):
            answer = await stage.ask("ECHO", f"call-{n}", compact=compact)
            assert int(answer["X-Slot"]) == sum(f"call-{n}".encode()) % 240 % 3
            owned[int(answer["X-Slot"])] += 1
        # One peer has one place in the kernel's own hash: what others own were strays.
        strays = [tally.strays for tally in stage.tallies]
        assert sorted(strays)[:2] == [0, 0]
        assert sum(strays) == 30 - owned[strays.index(max(strays))]

    play(scene, slots=3)


def test_with_the_kernels_filter_there_are_no_strays() -> None:
    async def scene(stage: Scene) -> None:
        stage.sockets.steer()
        assert stage.sockets.steering_fault == ""
        for n in range(30):
            answer = await stage.ask("ECHO", f"call-{n}")
            assert int(answer["X-Slot"]) == sum(f"call-{n}".encode()) % 240 % 3
        assert sum(tally.strays for tally in stage.tallies) == 0

    play(scene, slots=3)


def test_a_stream_stays_with_its_worker_and_serves_calls_of_all() -> None:
    async def scene(stage: Scene) -> None:
        stream = await Stream.open(stage.tcp)
        seen = set()
        for n in range(20):
            stream.send(echo.request("ECHO", f"call-{n}"))
            answer = echo.fields(await stream.hear())
            assert int(answer["X-Slot"]) == sum(f"call-{n}".encode()) % 240 % 2
            seen.add((answer["X-Owner"], answer["X-Connection"]))
        assert len(seen) == 1
        stream.close()

    play(scene, slots=2)


def test_a_stream_that_is_written_to_without_pause_has_no_message_dropped() -> None:
    async def scene(stage: Scene) -> None:
        stream = await Stream.open(stage.tcp)
        count = 6_000
        # Both parities: half of them belong to the worker that does not have the stream.
        stream.send(b"".join(echo.request("ECHO", f"call-{n}") for n in range(count)))
        for _ in range(count):
            await stream.hear()
        assert sum(tally.strays for tally in stage.tallies) == count // 2
        assert [driver.dropped for driver in stage.drivers] == [0, 0]
        stream.close()

    play(scene, slots=2)


def test_every_worker_that_used_a_stream_hears_when_it_breaks() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("WATCH", "a")
        await stage.ask("WATCH", "b")
        stream = await Stream.open(stage.tcp)
        for call_id in ("a", "b"):
            stream.send(echo.request("ECHO", call_id))
            await stream.hear()
        stream.close()
        heard = sorted([await stage.hear(), await stage.hear()])
        port = stream.writer.get_extra_info("sockname")[1]
        assert heard == [f"BROKEN 127.0.0.1:{port} 1".encode()] * 2

    play(scene, slots=2)


def test_a_worker_that_sends_by_anothers_closed_stream_hears_that_it_is_gone() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("WATCH", "a")  # slot 1 of 2
        stage.engines[1].sends.append((b"x", Flow("tcp", "127.0.0.1", 9, 1, 77, 0)))
        stage.drivers[1].finish_turn(0)
        assert await stage.hear() == b"BROKEN 127.0.0.1:9 77"

    play(scene, slots=2)


# Streams


def test_messages_are_framed_however_the_stream_is_cut() -> None:
    async def scene(stage: Scene) -> None:
        stream = await Stream.open(stage.tcp)
        data = b"".join(echo.request("ECHO", f"call-{n}", body=b"b" * n * 10) for n in range(5))
        for start in range(0, len(data), 37):
            stream.send(data[start : start + 37])
            await asyncio.sleep(0)
        for n in range(5):
            assert echo.fields(await stream.hear())["Call-ID"] == f"call-{n}"
        stream.close()

    play(scene)


def test_a_double_crlf_is_answered_with_one() -> None:
    async def scene(stage: Scene) -> None:
        stream = await Stream.open(stage.tcp)
        stream.send(b"\r\n\r\n")
        assert await asyncio.wait_for(stream.reader.readexactly(2), PATIENCE_S) == b"\r\n"
        stream.close()

    play(scene)


async def listening(answers: list[bytes]) -> tuple[asyncio.Server, int, list[str]]:
    """A TCP peer that collects what it gets; its port, and one entry per connection."""
    connections: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append("open")
        while data := await reader.read(65535):
            answers.append(data)
            if data.startswith(b"OPTIONS"):
                writer.write(b"SIP/2.0 200 OK\r\nCall-ID: q\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], connections


def test_a_stream_is_opened_once_for_a_peer_and_carries_its_answers_back() -> None:
    async def scene(stage: Scene) -> None:
        got: list[bytes] = []
        server, port, connections = await listening(got)
        await stage.ask("WATCH")
        for n in range(3):
            body = f"127.0.0.1 {port}\n".encode() + echo.request("OPTIONS", f"q{n}")
            await stage.ask("SEND", body=body)
            assert (await stage.hear()).startswith(b"ANSWERED SIP/2.0 200 OK")
        assert connections == ["open"]
        assert b"".join(got).count(b"OPTIONS sip:") == 3
        server.close()

    play(scene)


def test_what_is_sent_while_a_stream_is_being_opened_waits_in_order() -> None:
    async def scene(stage: Scene) -> None:
        got: list[bytes] = []
        server, port, connections = await listening(got)
        messages = [f"message {n}\r\n".encode() for n in range(20)]
        stage.engines[0].sends += [(m, Flow("tcp", "127.0.0.1", port, 1)) for m in messages]
        stage.drivers[0].finish_turn(0)
        await until(lambda: b"".join(got) == b"".join(messages), "all messages")
        assert connections == ["open"]
        server.close()

    play(scene)


def test_a_stream_that_cannot_be_opened_is_a_transport_error() -> None:
    async def scene(stage: Scene) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        await stage.ask("WATCH")
        await stage.ask("SEND", body=f"127.0.0.1 {port}\nx".encode())
        assert await stage.hear() == f"BROKEN 127.0.0.1:{port} 0".encode()

    play(scene)


def test_an_answer_by_a_closed_stream_is_a_transport_error() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("WATCH")
        stage.engines[0].sends.append((b"x", Flow("tcp", "127.0.0.1", 9, 1, 55, 0)))
        stage.drivers[0].finish_turn(0)
        assert await stage.hear() == b"BROKEN 127.0.0.1:9 55"

    play(scene)


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        (StreamLimits(message_s=0.02), echo.request("ECHO", "x")[:40]),
        (StreamLimits(message_s=0.02), echo.request("ECHO", "x", body=b"1234")[:-1]),
        (StreamLimits(idle_s=0.02), b""),
        (StreamLimits(first_message_s=0.02), b"\r\n"),
    ],
    ids=["unfinished head", "unfinished body", "idle", "never a message"],
)
def test_a_stream_that_only_costs_is_closed(limits: StreamLimits, sent: bytes) -> None:
    async def scene(stage: Scene) -> None:
        stream = await Stream.open(stage.tcp)
        stream.send(sent)
        await until(lambda: stage.drivers[0].streams.connections, "the connection")
        await asyncio.sleep(0.03)
        stage.drivers[0].streams.sweep()
        assert await stream.closed()
        stream.close()

    play(scene, limits=limits)


def test_a_slow_but_talking_stream_stays_open() -> None:
    async def scene(stage: Scene) -> None:
        stream = await Stream.open(stage.tcp)
        for n in range(3):
            stream.send(echo.request("ECHO", f"call-{n}"))
            await stream.hear()
            await asyncio.sleep(0.02)
            stage.drivers[0].streams.sweep()
        assert stage.drivers[0].streams.connections == 1
        stream.close()

    play(scene, limits=StreamLimits(message_s=0.01, first_message_s=0.01, idle_s=5))


def test_garbage_closes_the_stream_and_is_counted() -> None:
    async def scene(stage: Scene) -> None:
        stream = await Stream.open(stage.tcp)
        stream.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await stream.closed()
        assert stage.tallies[0].parse_errors == 1
        stream.close()

    play(scene)


def test_messages_in_front_of_garbage_are_still_answered() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("WATCH")
        stream = await Stream.open(stage.tcp)
        stream.send(echo.request("CALL", "x") + b"\0\0\0\0")
        assert await stream.closed()
        assert stage.engines[0].active_calls == 1
        assert stage.tallies[0].parse_errors == 1
        stream.close()

    play(scene)


def test_connections_are_limited_for_a_source_and_a_closed_one_makes_room() -> None:
    async def scene(stage: Scene) -> None:
        streams = [await Stream.open(stage.tcp) for _ in range(2)]
        await until(lambda: stage.drivers[0].streams.connections == 2, "two connections")
        third = await Stream.open(stage.tcp)
        assert await third.closed()
        assert stage.drivers[0].dropped == 1
        streams[0].close()
        await until(lambda: stage.drivers[0].streams.connections == 1, "room")
        fourth = await Stream.open(stage.tcp)
        fourth.send(echo.request("ECHO", "x"))
        assert await fourth.hear()
        for stream in (*streams, third, fourth):
            stream.close()

    play(scene, limits=StreamLimits(per_source=2))


def test_a_peer_that_does_not_read_is_closed_and_not_buffered_for() -> None:
    async def scene(stage: Scene) -> None:
        await stage.ask("WATCH")
        stream = await Stream.open(stage.tcp)
        await until(lambda: stage.drivers[0].streams.connections, "the connection")
        port = stream.writer.get_extra_info("sockname")[1]
        flow = Flow("tcp", "127.0.0.1", port, 1, 1, 0)
        stage.engines[0].sends += [(b"x" * 100_000, flow) for _ in range(200)]
        stage.drivers[0].finish_turn(0)
        assert (await stage.hear()).startswith(b"BROKEN")
        stream.close()

    play(scene, limits=StreamLimits(unsent_bytes=300_000))


class Eavesdropper:
    """Hears all that passes, and passes it on."""

    def __init__(self, engine: echo.EchoEngine) -> None:
        self.engine = engine
        self.heard: list[bytes] = []

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        self.heard.append(data)
        self.engine.receive(data, flow, now_ms)

    def sent(self, sends: Any) -> None:
        self.heard += [data for data, _ in sends]


@pytest.mark.parametrize("slots", [1, 2])
def test_who_taps_hears_what_comes_and_what_leaves_until_it_is_told_to_stop(slots: int) -> None:
    async def scene(stage: Scene) -> None:
        taps = [Eavesdropper(engine) for engine in stage.engines]
        for on in (True, False, True):
            for driver, tap in zip(stage.drivers, taps, strict=True):
                driver.tap(tap if on else None)
                tap.heard.clear()
            asked = [echo.request("STORE", f"call-{n}") for n in range(20)]
            answers = []
            for request in asked:
                stage.peer.send(request)
                answers.append(await stage.hear())
            heard = [data for tap in taps for data in tap.heard]
            assert sorted(heard) == (sorted(asked + answers) if on else [])

    play(scene, slots=slots)
