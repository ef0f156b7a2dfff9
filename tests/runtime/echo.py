"""A tiny engine and store for the tests of the driver: they answer, count and remember."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from router.core.flow import Flow
from router.runtime.worker import Birth, Equipment
from router.store.errors import StoreError


def request(command: str, call_id: str, *, compact: bool = False, body: bytes = b"") -> bytes:
    """A SIP-shaped message whose method is a command to the engine."""
    name = "i" if compact else "Call-ID"
    return (
        f"{command} sip:echo@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
        f"From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>\r\n"
        f"{name}: {call_id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def fields(answer: bytes) -> dict[str, str]:
    """The header lines of an answer, by name."""
    head = answer.decode().split("\r\n\r\n")[0].split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in head)


class NoRelays:
    """There are no media relays."""

    def __init__(self) -> None:
        self.sends: list[tuple[bytes, tuple[str, int]]] = []

    def take_sends(self) -> list[tuple[bytes, tuple[str, int]]]:
        return []

    def receive(self, data: bytes, place: tuple[str, int], now_ms: int) -> None:
        raise AssertionError("nobody was asked")


class EchoEngine:
    """Answers 200 with who it is. The method is a command:

    ECHO      answer
    STORE     answer after a store operation; 500 when it could not be stored
    CALL      a call begins; HANG ends it
    LATER     answer when 50 ms have passed
    SEND      send the body as a message over TCP to the address in the first line of the body
    WATCH     from now on tell the sender of broken connections
    """

    def __init__(self, birth: Birth) -> None:
        self.birth = birth
        self.logs: list[tuple[str, str, dict[str, Any]]] = []
        self.active_calls = 0
        self.farewells = 0
        self.draining = False
        self.ops: list[Any] = []
        self.asking: list[tuple[bytes, Flow]] = []
        self.sends: list[tuple[bytes, Flow]] = []
        self.timers: list[tuple[int, bytes, Flow]] = []
        self.watcher: Flow | None = None
        self.new_waits: list[Any] = []
        self.relays = NoRelays()

    def answer(self, code: int, data: bytes, flow: Flow, **more: object) -> None:
        call_id = data.split(b"Call-ID: ")[-1].split(b"i: ")[-1].split(b"\r\n")[0].decode()
        shown = {
            "X-Slot": self.birth.slot,
            "X-Pid": os.getpid(),
            "X-Generation": self.birth.generation,
            "X-Connection": flow.connection,
            "X-Owner": flow.slot,
            "X-Strays": self.birth.tally.strays,
            "Call-ID": call_id,
            "Content-Length": 0,
            **more,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in shown.items())
        self.sends.append((f"SIP/2.0 {code} X\r\n{head}\r\n".encode(), flow))

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        command = data.split(b" ", 1)[0]
        if command == b"SIP/2.0":
            self.tell(b"ANSWERED " + data, now_ms)
        elif command == b"STORE":
            self.ops.append("op")
            self.asking.append((data, flow))
        elif command == b"LATER":
            self.timers.append((now_ms + 50, data, flow))
        elif command == b"SEND":
            first, _, message = data.split(b"\r\n\r\n", 1)[1].partition(b"\n")
            host, port = first.decode().split()
            self.sends.append((message, Flow("tcp", host, int(port), -1)))
            self.answer(200, data, flow)
        else:
            if command == b"CALL" and not self.draining:
                self.active_calls += 1
            elif command == b"HANG":
                self.active_calls -= 1
            elif command == b"WATCH":
                self.watcher = flow
            elif command == b"LOGS":
                self.logs += [("info", "a line", {"n": n}) for n in range(1000)]
            refused = command == b"CALL" and self.draining
            self.answer(503 if refused else 200, data, flow)

    def tell(self, text: bytes, now_ms: int) -> None:
        if self.watcher is not None:
            self.sends.append((text, self.watcher))

    def on_timers(self, now_ms: int) -> None:
        for timer in list(self.timers):
            due_ms, data, flow = timer
            if due_ms <= now_ms:
                self.timers.remove(timer)
                self.answer(200, data, flow, **{"X-Late-Ms": now_ms - due_ms})

    def on_transport_error(self, flow: Flow, now_ms: int) -> None:
        self.tell(f"BROKEN {flow.host}:{flow.port} {flow.connection}".encode(), now_ms)

    def on_refused(self, host: str, port: int, now_ms: int) -> None:
        self.tell(f"REFUSED {host}:{port}".encode(), now_ms)

    def take_ops(self) -> list[Any]:
        ops, self.ops = self.ops, []
        return ops

    def on_committed(self, results: Sequence[Any], now_ms: int) -> None:
        for data, flow in self.asking:
            self.answer(200, data, flow, **{"X-Operations": len(results)})
        self.asking = []

    def on_commit_failed(self, now_ms: int) -> None:
        for data, flow in self.asking:
            self.answer(500, data, flow)
        self.asking = []

    def take_sends(self) -> list[tuple[bytes, Flow]]:
        sends, self.sends = self.sends, []
        return sends

    def next_timer_ms(self) -> int | None:
        return min((due for due, _, _ in self.timers), default=None)

    def begin_shutdown(self, now_ms: int) -> None:
        self.draining = True
        self.tell(b"DRAINING", now_ms)

    def end_all(self, now_ms: int) -> None:
        self.tell(f"ENDING {self.active_calls}".encode(), now_ms)
        self.active_calls = 0


class MemoryStore:
    """Stores nothing; fails when told so."""

    def __init__(self) -> None:
        self.fails = False
        self.turns: list[int] = []

    def commit(self, ops: Sequence[Any], now_ms: int) -> list[Any]:
        if self.fails:
            raise StoreError("the disk is full")
        self.turns.append(len(ops))
        return [None] * len(ops)


def equip(birth: Birth) -> Equipment:
    """What run_worker asks for."""
    return Equipment(EchoEngine(birth), MemoryStore(), lambda _: None, lambda: None)
