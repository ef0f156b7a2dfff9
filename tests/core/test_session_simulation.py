"""Sessions of an hour under loss, doubling and delay: both legs are refreshed, by whoever has to.

Both peers answer by themselves; who refreshes, how, and what is lost, comes from the seed. A call
with peers that are there must outlive an hour of it; with a peer that is gone it must end.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from virtual_world import SDP_TYPE, Line, Phone, World

from router.core.agent import SDP
from router.core.parameters import CallTimers
from router.sip.message import Request, Response

TIMER = "Supported: timer\r\n"
HOUR_MS = 3_600_000
STEP_MS = 250


class Peer:
    """A side of the call: answers refreshes, acknowledges, refreshes every 50 s if that is his."""

    def __init__(self, phone: Phone, line: Line, sdp: bytes, refreshes: str, tag: str) -> None:
        self.phone = phone
        self.line = line
        self.sdp = sdp
        self.refreshes = refreshes  # "": the other side does; else the method
        self.tag = tag
        self.dead = False
        self.ended = False
        self.refreshed = 0
        self._due_ms = 50_000
        self._sent: tuple[str, int, str] | None = None
        self._again_ms = 0

    def live(self, now_ms: int) -> None:
        """Reads its inbox, and sends what is due."""
        inbox, self.phone.inbox[:] = list(self.phone.inbox), []
        if self.dead:
            return
        for message in inbox:
            if isinstance(message, Request):
                self._answer(message)
            else:
                self._hear(message)
        if self.refreshes and not self.ended:
            self._refresh(now_ms)

    def _answer(self, request: Request) -> None:
        phone = self.phone
        if request.method == "BYE":
            self.ended = True
            phone.reply(request, 200, tag=self.tag)
        elif request.method == "INVITE" and request.to_tag:
            if self._sent is not None and self._sent[0] == "INVITE":
                phone.reply(request, 491, tag=self.tag)
            else:
                phone.reply(request, 200, "Session-Expires: 100;refresher=uac\r\n", self.sdp,
                            tag=self.tag)
        elif request.method == "UPDATE":
            phone.reply(request, 200, "Session-Expires: 100;refresher=uac\r\n", tag=self.tag)

    def _hear(self, response: Response) -> None:
        sent = self._sent
        if response.cseq_method == "INVITE" and response.cseq == self.line.cseq:
            if 200 <= response.status < 300:
                self.line.send("ACK", cseq=response.cseq)
            elif response.status >= 300:
                self.line.send("ACK", cseq=response.cseq, branch=response.top_via.branch)
        if sent is None or response.cseq != sent[1] or response.status < 200:
            return
        self._sent = None
        if response.status == 200:
            assert response.get("session-expires").endswith("refresher=uac")
            self.refreshed += 1
        else:
            assert response.status in (481, 491, 500), response.status
            self._due_ms -= 48_000  # again in two seconds

    def _refresh(self, now_ms: int) -> None:
        if self._sent is not None:
            if now_ms >= self._again_ms:  # lost, perhaps
                method, cseq, branch = self._sent
                self._send(method, cseq, branch)
                self._again_ms = now_ms + 2_000
        elif now_ms >= self._due_ms:
            self._due_ms = now_ms + 50_000
            self._again_ms = now_ms + 1_000
            branch = self.phone.fresh_branch()
            self._sent = (self.refreshes, self.line.cseq + 1, branch)
            self._send(self.refreshes, None, branch)

    def _send(self, method: str, cseq: int | None, branch: str) -> None:
        headers = f"{self.phone.contact}{TIMER}Session-Expires: 100;refresher=uac\r\n"
        body = self.sdp if method == "INVITE" else b""
        self.line.send(method, headers + (SDP_TYPE if body else ""), body, cseq=cseq, branch=branch)


def begin(make_world: Callable[..., World], seed: int) -> tuple[World, Peer, Peer]:
    """An answered call; only then messages begin to be lost, doubled and late."""
    luck = random.Random(seed)
    bad = [False]

    def fate(data: bytes) -> list[int]:
        if not bad[0]:
            return [0]
        roll = luck.random()
        late = luck.choice((0, 0, 20, 300))
        return [] if roll < 0.15 else [late, late + 5] if roll < 0.25 else [late]

    world = make_world(seed=seed, fate=fate)
    world.routes.timers = CallTimers(session_ms=100_000)
    world.routes.session_s = 100
    a_refreshes = luck.choice(("", "INVITE", "UPDATE"))
    b_refreshes = luck.choice(("", "INVITE", "UPDATE"))
    updates = "Allow: INVITE, ACK, BYE, UPDATE\r\n"
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call(
        headers=f"{TIMER}Session-Expires: 100;refresher={'uac' if a_refreshes else 'uas'}\r\n"
        + luck.choice(("", updates))
    )
    world.run()
    invite: Any = callee.one("INVITE")
    callee.reply(
        invite, 200,
        f"Session-Expires: 100;refresher={'uas' if b_refreshes else 'uac'}\r\n"
        + luck.choice(("", updates)), SDP.replace(b"20000", b"30000"),
    )
    world.run()
    a.learn(caller.one(200))
    a.send("ACK")
    world.run()
    bad[0] = True
    first = Peer(caller, a, SDP, a_refreshes, "")
    second = Peer(
        callee, callee.line_of(invite), SDP.replace(b"20000", b"30000"), b_refreshes, "b-tag"
    )
    return world, first, second


def play(world: World, peers: tuple[Peer, Peer], until_ms: int) -> None:
    while world.now < until_ms and not world.cdrs:
        world.run(STEP_MS)
        for peer in peers:
            peer.live(world.now)


@pytest.mark.parametrize("seed", range(12))
def test_a_call_with_peers_that_are_there_goes_on(
    make_world: Callable[..., World], seed: int
) -> None:
    world, first, second = begin(make_world, seed)
    play(world, (first, second), HOUR_MS)
    assert world.cdrs == []
    for peer in (first, second):
        assert not peer.ended
        assert not peer.refreshes or peer.refreshed > 50
    world.engine.end_all(world.network.now)
    for _ in range(200):
        world.run(STEP_MS)
        first.live(world.now)
        second.live(world.now)


@pytest.mark.parametrize("seed", range(12))
def test_a_call_with_a_peer_that_is_gone_ends(make_world: Callable[..., World], seed: int) -> None:
    world, first, second = begin(make_world, seed)
    play(world, (first, second), 120_000)
    assert world.cdrs == []
    gone, left = (first, second) if seed % 2 else (second, first)
    gone.dead = True
    play(world, (first, second), 120_000 + 110_000)
    assert world.cdr.end_reason == "SessionTimeout"
    for _ in range(160):
        world.run(STEP_MS)
        left.live(world.now)
    assert left.ended
