"""The calls of `trunkline demo`: what each plays, and how it has to end.

Knows the peers only as agents and the router only as an address and the CDRs it leaves, so that
the same calls are played over sockets by the demo and in virtual time by its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from router.core.agent import Agent, AgentCall, Behaviour
from router.core.flow import Flow
from router.sip.message import Request
from router.sip.uri import uri_user
from router.store.records import Cdr

GATEWAYS: Final = ("gateway1", "gateway2")
PREFIX: Final = "86"
"""What both gateways serve; the first is preferred."""

CALLER: Final = "1000"
STRANGER: Final = "127.0.0.2"
"""An address of this machine that belongs to no account."""

APART_MS: Final = 120
"""Calls begin one after another, so that people can follow, and overlap."""

TALK_MAY_DIFFER_MS: Final = 600
"""The caller's talk time and the CDR's are measured at different ends, on a busy machine."""

_ANSWERS: Final = Behaviour(ring_after_ms=100, answer_after_ms=400)
_REFUSES: Final = Behaviour(ring_after_ms=None, answer_after_ms=10, status=503)
_SILENT: Final = Behaviour(silent=True)
_UNUSED: Final = Behaviour(ring_after_ms=None, answer_after_ms=0, status=500)
"""What a gateway does with a call that should never reach it."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One call.

    `first` and `second` are what the gateways do with it; `reason`, `side`, `status` (that the
    caller gets), `tried` (gateways, in order) and `talk_ms` are how it has to end.
    """

    number: str
    story: str
    first: Behaviour = _UNUSED
    second: Behaviour = _UNUSED
    hang_up_after_ms: int | None = None
    cancel_after_ms: int | None = None
    from_stranger: bool = False
    reason: str = "Normal"
    side: str = "caller"
    status: int = 200
    tried: tuple[str, ...] = ("gateway1",)
    talk_ms: int = 0


SCENES: Final = (
    Scene(
        number="8613800000001",
        story="answered; the caller hangs up after 1 s",
        first=_ANSWERS,
        hang_up_after_ms=1_000,
        talk_ms=1_000,
    ),
    Scene(
        number="8613800000002",
        story="answered at once; the caller hangs up after 2.5 s",
        first=Behaviour(ring_after_ms=None, answer_after_ms=0),
        hang_up_after_ms=2_500,
        talk_ms=2_500,
    ),
    Scene(
        number="8613800000003",
        story="answered; the called side hangs up after 0.8 s",
        first=Behaviour(ring_after_ms=100, answer_after_ms=400, hang_up_after_ms=800),
        side="callee",
        talk_ms=800,
    ),
    Scene(
        number="8613800000004",
        story="an announcement before the answer (183, early media)",
        first=Behaviour(ring_after_ms=100, early_media=True, answer_after_ms=700),
        hang_up_after_ms=1_000,
        talk_ms=1_000,
    ),
    Scene(
        number="8613800000005",
        story="busy",
        first=Behaviour(ring_after_ms=None, answer_after_ms=50, status=486),
        reason="UserBusy",
        side="callee",
        status=486,
    ),
    Scene(
        number="8613800000006",
        story="gateway1 refuses with 503, gateway2 answers",
        first=_REFUSES,
        second=_ANSWERS,
        hang_up_after_ms=1_000,
        tried=GATEWAYS,
        talk_ms=1_000,
    ),
    Scene(
        number="8613800000007",
        story="gateway1 gives no sign of life for 1 s, gateway2 answers",
        first=_SILENT,
        second=_ANSWERS,
        hang_up_after_ms=1_000,
        tried=GATEWAYS,
        talk_ms=1_000,
    ),
    Scene(
        number="8613800000008",
        story="both gateways refuse with 503",
        first=_REFUSES,
        second=_REFUSES,
        reason="NoAvailableRouter",
        side="callee",
        status=503,
        tried=GATEWAYS,
    ),
    Scene(
        number="442071000009",
        story="no gateway serves the number",
        reason="NotFound",
        side="server",
        status=404,
        tried=(),
    ),
    Scene(
        number="8613800000010",
        story="rings; the caller gives up after 0.8 s",
        first=Behaviour(ring_after_ms=100, answer_after_ms=None),
        cancel_after_ms=800,
        reason="Cancelled",
        status=487,
    ),
    Scene(
        number="8613800000011",
        story="rings for 2 s and nobody answers",
        first=Behaviour(ring_after_ms=100, answer_after_ms=None),
        reason="ResponseTimeout",
        side="server",
        status=408,
    ),
    Scene(
        number="8613800000012",
        story=f"comes from {STRANGER}, which belongs to no account",
        from_stranger=True,
        reason="IllegalCall",
        side="server",
        status=403,
        tried=(),
    ),
)

FAILOVER: Final = SCENES[5]
"""The call whose messages are shown."""


def behaviour_of(gateway: str, scenes: Sequence[Scene] = SCENES) -> Callable[[Request], Behaviour]:
    """What this gateway does with an INVITE: the number decides."""
    first = gateway == GATEWAYS[0]
    by_number = {scene.number: scene.first if first else scene.second for scene in scenes}

    def behave(request: Request) -> Behaviour:
        return by_number.get(uri_user(request.uri), _UNUSED)

    return behave


class Play:
    """The calls under way: `step` places each when its time has come.

    `played` holds those placed so far with what the caller saw. Without a stranger, its calls are
    left out: not every machine has a second address.
    """

    def __init__(
        self, caller: Agent, stranger: Agent | None, router: Flow, scenes: Sequence[Scene] = SCENES
    ) -> None:
        self.scenes = [scene for scene in scenes if stranger or not scene.from_stranger]
        self.played: list[tuple[Scene, AgentCall]] = []
        self._caller = caller
        self._stranger = stranger
        self._router = router
        self._next_ms = 0

    def step(self, now_ms: int) -> Scene | None:
        """Place the next call if it is due; which one that was."""
        if len(self.played) == len(self.scenes) or now_ms < self._next_ms:
            return None
        scene = self.scenes[len(self.played)]
        agent = self._stranger if scene.from_stranger and self._stranger else self._caller
        call = agent.place(
            scene.number, CALLER, self._router, hang_up_after_ms=scene.hang_up_after_ms
        )
        if scene.cancel_after_ms is not None:
            call.cancel_after(scene.cancel_after_ms)
        self.played.append((scene, call))
        self._next_ms = now_ms + APART_MS
        return scene

    @property
    def ended(self) -> int:
        """How many calls are over, as their callers see it."""
        return sum(call.ended_ms > 0 for _, call in self.played)

    @property
    def over(self) -> bool:
        """Whether every call was placed and has ended."""
        return self.ended == len(self.scenes)

    def faults(self, cdrs: Mapping[str, Cdr]) -> list[str]:
        """One line for each call that did not end as it was meant to; `cdrs` by Call-ID."""
        found = []
        for scene, call in self.played:
            wrong = _differences(scene, call, cdrs.get(call.leg.call_id))
            if wrong:
                found.append(f"{scene.number} ({scene.story}): {', '.join(wrong)}")
        found += [f"{scene.number}: was never placed" for scene in self.scenes[len(self.played) :]]
        return found


def _differences(scene: Scene, call: AgentCall, cdr: Cdr | None) -> list[str]:
    heard = f"the caller got {call.status or 'no final response'}, meant was {scene.status}"
    wrong = [heard] if call.status != scene.status else []
    if cdr is None:
        return [*wrong, "there is no CDR"]
    tried = tuple(attempt.gateway for attempt in cdr.attempts)
    for what, got, meant in (
        ("end reason", cdr.end_reason, scene.reason),
        ("ended by", cdr.end_side, scene.side),
        ("tried", " then ".join(tried) or "none", " then ".join(scene.tried) or "none"),
    ):
        if got != meant:
            wrong.append(f"{what} {got or 'missing'}, meant was {meant}")
    if abs(cdr.duration_ms - scene.talk_ms) > TALK_MAY_DIFFER_MS:
        wrong.append(f"talked for {cdr.duration_ms} ms, meant was {scene.talk_ms} ms")
    return wrong
