"""Forking: one call rings several targets at once, or a phone's contacts one after the other.

    event                      what happens
    begin                      the targets in waves, by q (RFC 3261 §16.6); the first one rings
    18x of a branch            passed on, unless another branch speaks already
    failure of a branch        noted, its line given back; the others ring on
    failure of a wave          the next wave, where its best failure allows hunting to go on
    failure of all             the best one is the call's last attempt: failure_route, once
    6xx of a branch            CANCEL to the others; it is the best one (RFC 3261 §16.7 step 5)
    2xx of a branch            CANCEL to the others; a 2xx that crosses it gets ACK and BYE
    the call ends              CANCEL to all

The caller has one dialog with us, whatever the branches do: our To tag is in all responses. So
only one branch may speak in it: the first with SDP in a 18x, as long as it rings, and until there
is one, all that ring. 100rel is kept from the branches, for RSeq numbers of several of them mean
nothing in one dialog.

A gateway counts as one contact of q = 1. Waves are of all targets together, as a proxy's: who
has a lower q rings when all of a higher one have failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from router.core import branch
from router.core.attempt import Attempt
from router.core.decision import AHEAD, STOPPED
from router.core.outcome import why_hunting_ends
from router.core.states import CALLING
from router.core.takeover import snapshot_early
from router.core.verdicts import Target
from router.core.waiting import suspend
from router.sip.message import Response
from router.store.ops import Leave, Save

if TYPE_CHECKING:
    from router.core.call import Call

MAX_BRANCHES = 16
"""How many INVITEs of one call may ring at once; further targets are left out."""
ELSEWHERE = 'Reason: SIP;cause=200;text="Call completed elsewhere"\r\n'
"""RFC 3326: a phone that was cancelled with it shows no missed call."""
CANCELLED = "Cancelled"

# RFC 3261 §16.7 step 6, for a B2BUA: a challenge and a redirection are for us and mean nothing to
# the caller, so they come last; a busy phone says more than one that nobody answered.
_TELLING = {415: 0, 420: 0, 484: 0, 486: 1}
_SAYS_LITTLE = frozenset((401, 407, 408, 480, 487))


class Branch(NamedTuple):
    """A target that may ring, and the key that its line was taken under."""

    key: str
    target: Target


Wave = list[Branch]


class Fork:
    """The branches of a call; they live in `call.fork` until one wins or all have failed."""

    __slots__ = ("_best", "_call", "_held", "_open", "_ready", "_speaker", "_waves")

    def __init__(self, call: Call, keys: Sequence[str], waves: list[Wave]) -> None:
        self._call = call
        self._held = list(keys)
        self._waves = waves
        self._ready: list[tuple[str, Attempt]] = []
        self._open: dict[Attempt, str] = {}
        self._best: Attempt | None = None
        self._speaker: Attempt | None = None

    # -- ringing ----------------------------------------------------------------------------------

    def ring(self) -> None:
        """Makes the branches of the next wave ready, as far as none waits, then sends them."""
        call = self._call
        wave = self._waves[0]
        while len(self._ready) < len(wave):
            key, target = wave[len(self._ready)]
            wait = branch.prepare(call, target, key)
            attempt = call.attempt
            assert attempt is not None
            self._ready.append((key, attempt))
            if wait is not None:
                suspend(call.engine, wait, call, None, _go_on)
                return
            if call.state != CALLING or call.fork is not self:
                return
        self._send()

    def _send(self) -> None:
        call = self._call
        wave = self._waves.pop(0)
        ready, self._ready = self._ready, []
        call.attempt = None
        alone = len(wave) == 1
        for key, attempt in ready:
            if not alone:
                _forget_100rel(call, attempt)
            self._open[attempt] = key
            branch.send(call, attempt)
        self.store()

    def store(self) -> None:
        """Stores what rings: a successor of this worker has to cancel exactly that."""
        call = self._call
        assert call.server is not None
        call.record.dialog = snapshot_early(call.server, [
            attempt.snapshot() for attempt in self._open if attempt.leg is not None
        ])
        call.engine.ask(Save(call.record), None)

    @property
    def attempts(self) -> list[Attempt]:
        """The branches that ring."""
        return list(self._open)

    def may_speak(self, attempt: Attempt, response: Response) -> bool:
        """Whether the caller hears this 18x."""
        speaker = self._speaker
        if speaker is None and response.body:
            self._speaker = attempt
            return True
        return speaker is None or speaker is attempt

    # -- the end of a branch ----------------------------------------------------------------------

    def on_failed(self, attempt: Attempt) -> None:
        """A branch has failed; the last one of all leads to the call's next step."""
        key = self._open.pop(attempt, None)
        if key is None:
            return
        if self._speaker is attempt:
            self._speaker = None
        best = self._best
        if best is None or _rank(attempt) < _rank(best):
            self._best = best = attempt
        if attempt.status >= 600:
            self._cancel(attempt, "")
        elif self._open:
            self._leave({key} - set(self._open.values()) - self._later())
            return
        elif self._waves:
            why = why_hunting_ends(best)
            if not why:
                self._leave({key} - self._later())
                self.ring()
                return
            self._call.cdr.decision.append(STOPPED + why)
        self._conclude(best)

    def _conclude(self, best: Attempt) -> None:
        call = self._call
        call.fork = None
        call.last = best
        self._name(best)
        call.on_unanswered(best)

    def win(self, attempt: Attempt) -> None:
        """A branch answered: the others are cancelled, and their lines given back."""
        call = self._call
        call.fork = None
        key = self._open.pop(attempt, "")
        self._cancel(attempt, ELSEWHERE)
        self._leave(set(self._held) - {key})
        self._name(attempt)

    def give_up(self, reason: str) -> None:
        """The call is over: everything that rings is cancelled; its end gives the lines back."""
        self._call.fork = None
        for attempt in self._open:
            attempt.record.reason = reason
            attempt.detach()
        self._open.clear()

    def _cancel(self, for_one: Attempt, why: str) -> None:
        decision = self._call.cdr.decision
        for attempt in self._open:
            attempt.record.reason = CANCELLED
            decision.append(f"{attempt.target.name}: {AHEAD}{for_one.target.name}")
            attempt.detach(why)
        self._open.clear()

    def _later(self) -> set[str]:
        return {key for wave in self._waves for key, _ in wave}

    def _leave(self, keys: set[str]) -> None:
        """Gives lines back; one of them stays with the call, until it asks for the next or ends."""
        call = self._call
        dial = call.dial
        assert dial is not None
        left = [key for key in self._held if key in keys]
        stay = [key for key in self._held if key not in keys]
        if not left or not stay:
            return
        self._held = stay
        known = {one.key: one for tier in dial.tiers for one in tier}
        call.engine.ask(Leave(call.record, tuple(known[key] for key in left), stay[0]), None)

    def _name(self, attempt: Attempt) -> None:
        call = self._call
        attempts = call.cdr.attempts
        number = next(at for at, one in enumerate(attempts, 1) if one is attempt.record)
        branch.name_last(call, attempt, number)


def begin(call: Call, keys: Sequence[str]) -> None:
    """Rings what admission took, by the keys of the dial's targets."""
    dial = call.dial
    assert dial is not None
    call.state = CALLING
    fork = call.fork = Fork(call, keys, waves_of(dial.targets, keys, dial.branches > 1))
    fork.ring()


def waves_of(targets: Mapping[str, Target], keys: Iterable[str], together: bool) -> list[Wave]:
    """The targets in the order in which they ring, by q; those of a wave ring at once.

    `together`: what has the same q is one wave; else each contact is a wave by itself.
    """
    branches = [
        Branch(key, one) for key in keys for one in targets[key].contacts or (targets[key],)
    ]
    branches.sort(key=lambda one: -one.target.q)
    if not together:
        return [[one] for one in branches]
    waves = [list(wave) for _, wave in groupby(branches, key=lambda one: one.target.q)]
    return [wave[:MAX_BRANCHES] for wave in waves]


def _go_on(call: Call, _: None) -> None:
    """branch_route of a branch has ended."""
    if call.fork is not None:
        call.fork.ring()


def _rank(attempt: Attempt) -> tuple[int, int]:
    """How much a failure says, the smallest the most; an own limit that ran out is as a 408."""
    status = attempt.status if attempt.failure is None else 408
    if status >= 600:
        return 0, 0
    if status < 400:
        return 3, 0
    if status >= 500:
        return 2, status == 503
    return 1, 3 if status in _SAYS_LITTLE else _TELLING.get(status, 2)


def _forget_100rel(call: Call, attempt: Attempt) -> None:
    """Takes 100rel from what the caller supports and requires (RFC 3262 §4)."""
    request = call.request
    assert request is not None
    for name, title in (("supported", "Supported"), ("require", "Require")):
        options = request.values(name)
        if any(option.lower() == "100rel" for option in options):
            others = ", ".join(option for option in options if option.lower() != "100rel")
            attempt.removed = attempt.removed | {name}
            if others:
                attempt.added += f"{title}: {others}\r\n"
