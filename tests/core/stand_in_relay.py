"""A stand-in for rtpengine in virtual time, made from its ng documentation; it moves no packets.

It answers offer, answer, query, delete and ping, knows its sessions, and repeats its answer to a
cookie that it has seen, as rtpengine does. What it writes into SDP is its own port, which stays the
same for a side of a session.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from router.sip.bencode import decode, encode

Command = dict[bytes, Any]


class StandIn:
    """A relay at `place`; `late` keeps its answers back until `release`."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.place = place
        self.commands: list[Command] = []
        self.sessions: dict[bytes, dict[bytes, int]] = {}
        self.packets = 0
        self.heard: dict[str, Any] = {}
        self.silent = False
        self.late = False
        self.error = ""
        self.loses: Callable[[], bool] = lambda: False
        self._seen: dict[bytes, bytes] = {}
        self._kept: list[bytes] = []
        self._next_port = 50_000

    def __call__(self, data: bytes) -> bytes | None:
        cookie, _, rest = data.partition(b" ")
        if self.silent or self.loses():
            return None
        if cookie not in self._seen:
            command = decode(rest)
            assert isinstance(command, dict)
            self.commands.append(command)
            self._seen[cookie] = cookie + b" " + encode(self._answer(command))
            if self.late:
                self._kept.append(self._seen[cookie])
        if self.late or self.loses():
            return None
        return self._seen[cookie]

    def release(self, world: Any) -> None:
        """Lets the answers that were kept back arrive, and all that follow at once."""
        self.late = False
        kept, self._kept = self._kept, []
        for answer in kept:
            world.engine.relays.receive(answer, self.place, world.network.now)
        world.run()

    @property
    def asked(self) -> list[str]:
        """The commands so far, but queries."""
        names = [command[b"command"].decode() for command in self.commands]
        return [name for name in names if name != "query"]

    def _answer(self, command: Command) -> dict[str, Any]:
        what = command[b"command"]
        if what == b"ping":
            return {"result": "pong"}
        if self.error:
            return {"result": "error", "error-reason": self.error}
        session = command[b"call-id"]
        if what == b"offer":
            ports = self.sessions.setdefault(session, {})
        elif session not in self.sessions:
            return {"result": "error", "error-reason": "Unknown call-id"}
        else:
            ports = self.sessions[session]
        if what == b"delete":
            del self.sessions[session]
            return {"result": "ok"}
        if what == b"query":
            return {"result": "ok", "totals": {"RTP": {"packets": self.packets}}, **self.heard}
        # The SDP goes to the other side: for an offer the answerer, for an answer the offerer.
        reader = b"callee" if command[b"from-tag"] == b"caller" else b"caller"
        if what == b"answer":
            reader = command[b"from-tag"]
            assert command[b"to-tag"] != command[b"from-tag"]
        if reader not in ports:
            self._next_port += 2
            ports[reader] = self._next_port
        sdp = re.sub(rb"m=audio \d+", b"m=audio %d" % ports[reader], command[b"sdp"])
        return {"result": "ok", "sdp": sdp}


def port_in(message: Any) -> int:
    """The audio port in a message's SDP."""
    found = re.search(rb"m=audio (\d+)", message.body)
    assert found, message.body
    return int(found[1])
