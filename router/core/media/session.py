"""The media of one branch of a call through a relay: offer, answer, query, delete (ng).

What brings a session description waits here, in the order in which it came, until the relay has
given another one in its stead; then it goes on as if it had come with that. So everything behind
this place, session timers included, knows only what the relay has written.

    step       asked of the relay    its answer               none, or an error
    OFFER      offer                 goes on with its SDP     `lost`: whoever waits decides
    ANSWER     answer                the same                 the same
    PASS       nothing               goes on in its turn
    refused    offer and answer of   nothing; the media go    the decision says so
               before, again         where they went before
    the end    delete                                         the relay forgets it by itself

ng has no word for taking an offer back, and a relay acts on an offer at once. So what both sides
have agreed on is kept, and said again when an offer of one has come to nothing (RFC 3261 §14.1).

A branch is a session of its own, by its leg's tag: forks and further attempts have nothing of each
other. The relay stays the same for the life of the session, also after a worker's death.

An answered call is asked about every POLL_MS: when no packet came for `timeout_ms` from either
side, or the relay knows the session no more, the call ends as MediaTimeout. On hold silence is
what was agreed. A relay that gives no answer says nothing about the media.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from router.core.decision import CUT_OFF, RELAYED, RELAYED_BY
from router.core.end_reasons import EndReason
from router.core.media.relays import Place, Reply, title
from router.core.wheel import Timer, cancel

if TYPE_CHECKING:
    from router.core.call import Call
    from router.core.engine import Engine
    from router.core.leg import Leg

POLL_MS = 10_000
MAX_POLLS = 2_000
"""Questions that wait at a worker beyond which nothing is asked that can be asked later."""
MAX_WHY = 100
MAX_STREAMS, MAX_SAMPLES = 64, 1_000_000
"""Of an answer's streams and reports more are not believed."""
MAX_SAID_BYTES = 8_192
"""A longer session description is not kept: an offer after it cannot be taken back."""

OFFER, ANSWER, PASS = "offer", "answer", ""
CALLER, CALLEE = "caller", "callee"

NO_RELAY = "no relay answers"
_UNUSABLE = (b"Failed to parse SDP", b"Incomplete SDP specification", b"Error rewriting SDP")
"""How rtpengine says that the fault lies in what it was given."""
_HELD = (b"a=sendonly", b"a=recvonly", b"a=inactive", b"c=IN IP4 0.0.0.0")


class Wish(NamedTuple):
    """What is asked of the relay for a call.

    `codecs` are offered besides those of the peers, and converted; empty: nothing is converted.
    After `timeout_ms` without a packet the call ends, 0: never.
    """

    codecs: tuple[str, ...] = ()
    timeout_ms: int = 60_000


class MediaSnapshot(msgspec.Struct, array_like=True):
    """What a successor of this worker needs to go on with a session; its id is the leg's tag."""

    place: Place
    codecs: tuple[str, ...]
    timeout_ms: int
    quiet: bool
    said: tuple[bytes, bytes] = (b"", b"")
    """The session descriptions that caller and callee agreed on, as they came."""


class Said(NamedTuple):
    """What both sides had agreed on, by whether it is the caller's, before an offer was made."""

    source: object
    by_caller: bool
    agreed: dict[bool, bytes]


class Step(NamedTuple):
    """Something that waits for its SDP; of these functions exactly one is called, once.

    `source` tells steps of one transaction from others. `go_on(sdp)` with what the relay gave,
    `lost(why, bad)` when it gave nothing, `bad` where that is the fault of the SDP; `give_up()`
    when the session is over before its turn.
    """

    kind: str
    source: object
    by_caller: bool
    sdp: bytes
    go_on: Callable[[bytes], None]
    lost: Callable[[str, bool], None]
    give_up: Callable[[], None]
    final: bool = False


class Media:
    """The session of one leg to a gateway or phone; it ends with that leg."""

    __slots__ = (
        "_asking", "_before", "_engine", "_heard_ms", "_leg", "_packets", "_queue",
        "_timer", "id", "offered", "over", "place", "quiet", "said", "wish",
    )

    def __init__(self, engine: Engine, leg: Leg, wish: Wish) -> None:
        self._engine = engine
        self._leg: Leg | None = leg
        self._queue: deque[Step] = deque()
        self._asking = False
        self._timer: Timer | None = None
        self._packets = 0
        self._heard_ms = 0
        self.id = leg.local_tag
        self.wish = wish
        self.place: Place | None = None
        self.offered = b""  # what the INVITE said, as the relay wrote it
        self.quiet = False
        self.said: dict[bool, bytes] = {}  # what the relay was told last, by who said it
        self._before: Said | None = None  # while an offer has no answer
        self.over = False

    @property
    def call(self) -> Call | None:
        """The call that a fault in hearing an answer belongs to."""
        call: Call | None = self._leg.call if self._leg is not None else None
        return call

    # -- steps ------------------------------------------------------------------------------------

    def hold(self, step: Step) -> None:
        """Takes a step; it goes on in its turn."""
        self._queue.append(step)
        self._next()

    def holds(self, source: object) -> bool:
        """Whether something of this transaction waits, so that what follows has to wait too."""
        return any(step.source is source for step in self._queue)

    def holds_final(self, source: object) -> bool:
        """Whether its final response waits: the same again is nothing new."""
        return any(step.source is source and step.final for step in self._queue)

    def _next(self) -> None:
        queue = self._queue
        while queue and not self._asking and not self.over:
            step = queue[0]
            if step.kind:
                self._asking = True
                self._engine.relays.ask(
                    self._command(step), self, self._on_answer, self.place, self.id
                )
            else:
                queue.popleft()
                step.go_on(step.sdp)

    def _command(self, step: Step) -> dict[str, Any]:
        # Both tags name the side that made the offer first, whoever speaks.
        offers_first = step.by_caller == (step.kind == OFFER)
        tags = (CALLER, CALLEE) if offers_first else (CALLEE, CALLER)
        command: dict[str, Any] = {
            "command": step.kind, "call-id": self.id, "from-tag": tags[0], "sdp": step.sdp,
            "replace": ["origin", "session-connection"],
        }
        if step.kind == ANSWER or self.place is not None:
            command["to-tag"] = tags[1]
        if step.kind == OFFER and self.wish.codecs:
            command["codec"] = {"transcode": list(self.wish.codecs)}
        return command

    def _on_answer(self, reply: Reply | None, place: Place) -> None:
        self._asking = False
        if self.over:
            # It may have a session by now that nobody wants any more.
            if reply is not None:
                self._delete(place)
            return
        step = self._queue.popleft()
        if step.kind == OFFER and step.source is not self:
            self._before = Said(step.source, step.by_caller, {**self.said})
        sdp = reply.get(b"sdp") if reply is not None else None
        if reply is not None and reply.get(b"result") == b"ok" and isinstance(sdp, bytes) and sdp:
            if self.place is None:
                self.place = place
                call = self.call
                if call is not None:
                    call.cdr.decision.append(RELAYED_BY + title(place))
            quiet = any(line.rstrip() in _HELD for line in step.sdp.split(b"\n"))
            changed, self.quiet = quiet != self.quiet, quiet
            self.said[step.by_caller] = step.sdp if len(step.sdp) <= MAX_SAID_BYTES else b""
            step.go_on(sdp)
            call = self.call
            if changed and call is not None:
                call.store_dialog()  # a successor has to know that silence is no fault
        else:
            bad = reply is not None and reply.get(b"error-reason") in _UNUSABLE
            step.lost(NO_RELAY if reply is None else _why(reply, place), bad)
        self._next()

    def agree(self, source: object = None) -> None:
        """What this transaction offered, or whichever did, is accepted, and stays."""
        before, call = self._before, self.call
        if before is not None and call is not None and source in (None, before.source):
            self._before = None
            call.store_dialog()

    def take_back(self, source: object) -> None:
        """What this transaction offered is refused: both sides go on as before."""
        before = self._before
        if before is None or before.source is not source or self.over:
            return
        self._before = None
        by_caller, agreed = before.by_caller, before.agreed
        offer, answer = agreed.get(by_caller), agreed.get(not by_caller)
        if offer and answer:
            self.said = agreed
            for kind, side, sdp in ((OFFER, by_caller, offer), (ANSWER, not by_caller, answer)):
                self.hold(Step(kind, self, side, sdp, _known, self._not_taken_back, _nothing))

    def _not_taken_back(self, why: str, bad: bool) -> None:
        call = self.call
        if call is not None:
            call.cdr.decision.append(f"{RELAYED}a refused offer was not taken back: {why}")

    # -- while it is answered ---------------------------------------------------------------------

    def watch(self) -> None:
        """The call is answered: from here on it may not be without media for long."""
        if self.wish.timeout_ms:
            self._heard_ms = self._engine.layer.now
            self._poll_later()

    def _poll_later(self) -> None:
        layer = self._engine.layer
        pause_ms = min(POLL_MS, max(1_000, self.wish.timeout_ms // 3))
        self._timer = layer.wheel.at(layer.now + pause_ms, Media._poll, self)

    def _poll(self) -> None:
        relays = self._engine.relays
        if self.place is None or relays.open >= MAX_POLLS:
            self._poll_later()
            return
        relays.ask({"command": "query", "call-id": self.id}, self, self._on_polled, self.place)

    def _on_polled(self, reply: Reply | None, place: Place) -> None:
        if self.over:
            return
        now = self._engine.layer.now
        if reply is None:
            self._heard_ms = now  # nobody knows: the time begins anew when it answers again
        elif reply.get(b"result") == b"error":
            self._end_call(f"{title(place)} has no media of it any more: {_why(reply, place)}")
            return
        else:
            self._note_mos(reply)
            packets = packets_in(reply)
            if packets != self._packets or self.quiet:
                self._packets = packets
                self._heard_ms = now
            elif now - self._heard_ms >= self.wish.timeout_ms:
                lasted_s = (now - self._heard_ms) // 1_000
                self._end_call(f"no media from either side for {lasted_s} s")
                return
        self._poll_later()

    def _note_mos(self, reply: Reply) -> None:
        """What the relay makes of the call so far stands on its CDR, if it says anything."""
        call, mos = self.call, mos_in(reply)
        if mos and call is not None:
            call.cdr.mos_hundredths = mos

    def _end_call(self, why: str) -> None:
        call = self.call
        if call is not None:
            call.cdr.decision.append(CUT_OFF + why)
            call.hang_up(EndReason.MediaTimeout)

    # -- the end ----------------------------------------------------------------------------------

    def end(self) -> None:
        """The leg is over: the relay is told, and what waits is given up."""
        if self.over:
            return
        self.over = True
        cancel(self._timer)
        self._timer = None
        if self.place is not None and not self._asking:
            self._delete(self.place)
        steps, self._queue = self._queue, deque()
        self._leg = None
        for step in steps:
            step.give_up()

    def _delete(self, place: Place) -> None:
        # A lost one is harmless: the relay forgets a session without packets by itself.
        command = {"command": "delete", "call-id": self.id, "delete-delay": 0}
        self._engine.relays.ask(command, None, None, place)

    # -- taking over ------------------------------------------------------------------------------

    def snapshot(self) -> MediaSnapshot | None:
        """What has to be stored of it."""
        place, wish = self.place, self.wish
        if place is None:
            return None
        before = self._before
        said = before.agreed if before is not None and before.agreed else self.said
        both = said.get(True, b""), said.get(False, b"")
        return MediaSnapshot(place, wish.codecs, wish.timeout_ms, self.quiet, both)


def restored(engine: Engine, leg: Leg, snapshot: MediaSnapshot) -> Media:
    """The session of a leg that a dead worker had."""
    media = Media(engine, leg, Wish(snapshot.codecs, snapshot.timeout_ms))
    media.place = snapshot.place
    media.quiet = snapshot.quiet
    caller, callee = snapshot.said
    media.said = {True: caller, False: callee}
    return media


def packets_in(reply: Reply) -> int:
    """How many RTP packets a relay has seen of a session, by its answer to `query`."""
    found: Any = reply
    for key in (b"totals", b"RTP", b"packets"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, int) else 0


def mos_in(reply: Reply) -> int:
    """The mean opinion score of a session in hundredths, by a relay's answer to `query`.

    rtpengine gives a score in tenths for each RTP stream that had reports (RTCP), and of how many
    it is the mean; here is the mean of all. 0 when there is none.
    """
    streams: Any = reply.get(b"SSRC")
    total = samples = 0
    for stream in islice(streams.values(), MAX_STREAMS) if isinstance(streams, dict) else ():
        average = stream.get(b"average MOS") if isinstance(stream, dict) else None
        if isinstance(average, dict):
            score, count = average.get(b"MOS"), average.get(b"samples", 1)
            if isinstance(score, int) and isinstance(count, int) and 10 <= score <= 50:
                weight = min(max(count, 1), MAX_SAMPLES)
                total += score * weight
                samples += weight
    return total * 10 // samples if samples else 0


def _known(sdp: bytes) -> None:
    """What the relay wrote is what both sides have already."""


def _nothing() -> None:
    """The session is over, and what was agreed on with it."""


def _why(reply: Reply, place: Place) -> str:
    reason = reply.get(b"error-reason") or reply.get(b"result")
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else "no SDP"
    return f"{title(place)}: {text[:MAX_WHY]}"
