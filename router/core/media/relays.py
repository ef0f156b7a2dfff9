"""The media relays of one engine: who is asked, how often, and who is down (rtpengine's ng).

    event                        what happens                                          relay is
    a question                   sent to the first of its relays that is up            up
    no answer for RESENDS_MS     sent again, with the same cookie                      up
    still none                   the next relay is asked, if this one was a choice     down
    answer                       whoever asked hears it; `load limit`: the next one    up
    every PING_MS while down     ping                                                  down
    any answer of it             questions go there again                              up

The same session begins at the same relay as long as that is up. The relay answers a question that
was doubled from its memory, by the cookie, so resending changes nothing there.

Sans-IO: `take_sends` gives datagrams with the address of each, `receive` takes what came back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

from router.core.wheel import Timer, cancel
from router.sip.bencode import BencodeError, decode, encode

if TYPE_CHECKING:
    from router.core.call import Call
    from router.core.engine import Engine
    from router.core.media.session import Media

Place = tuple[str, int]
"""Where a relay hears ng: host and port."""
Reply = dict[bytes, Any]
Hear = Callable[[Reply | None, Place], None]
"""Gets the relay's answer and who gave it; None: none of them answered."""

NOWHERE: Place = ("", 0)

RESENDS_MS = (200, 300, 500)
"""A caller waits meanwhile: a relay is on the same network, so a second of silence is an end."""
PING_MS = 2_000
MAX_OPEN = 10_000
"""Questions of one worker that may wait at once; further ones have no answer."""

ANSWERED, MISSED, REFUSED = "answered", "missed", "refused"


class Question:
    """A command that waits for its answer."""

    __slots__ = ("cookie", "data", "fixed", "hear", "places", "session", "timer", "tries")

    def __init__(
        self, cookie: str, data: bytes, places: list[Place], fixed: bool, session: Media | None,
        hear: Hear | None,
    ) -> None:
        self.cookie = cookie
        self.data = data
        self.places = places  # the first one is asked, then the next
        self.fixed = fixed
        self.session = session
        self.hear = hear
        self.tries = 0
        self.timer: Timer | None = None


class Relays:
    """The relays of routes.cfg as one engine knows them."""

    __slots__ = ("_down", "_engine", "_open", "places", "sends")

    def __init__(self, engine: Engine, places: Sequence[Place]) -> None:
        self._engine = engine
        self._open: dict[str, Question] = {}
        self._down: set[Place] = set()
        self.places = list(places)
        self.sends: list[tuple[bytes, Place]] = []

    def use(self, places: Sequence[Place]) -> None:
        """Another configuration; sessions stay where they are."""
        self.places = list(places)
        self._down &= set(places)

    @property
    def open(self) -> int:
        """How many questions wait for their answers."""
        return len(self._open)

    def take_sends(self) -> list[tuple[bytes, Place]]:
        """The datagrams of the turn."""
        sends, self.sends = self.sends, []
        return sends

    # -- asking -----------------------------------------------------------------------------------

    def ask(
        self, command: dict[str, Any], session: Media | None, hear: Hear | None,
        place: Place | None = None, key: str = "",
    ) -> None:
        """Asks the relay at `place`, or else the relays that are up in the order of `key`."""
        if place is not None:
            places = [place]
        else:
            first = crc32(key.encode()) % len(self.places) if self.places else 0
            turned = self.places[first:] + self.places[:first]
            places = [one for one in turned if one not in self._down]
        if not places or len(self._open) >= MAX_OPEN:
            nobody = Question("", b"", places[:1] or [NOWHERE], True, session, hear)
            # In its own time: whoever asks has not finished what it is about to wait with.
            layer = self._engine.layer
            layer.wheel.at(layer.now, self._on_nobody, nobody)
            return
        cookie = self._engine.token()
        data = cookie.encode() + b" " + encode(command)
        question = Question(cookie, data, places, place is not None, session, hear)
        self._open[cookie] = question
        self._send(question)

    def _send(self, question: Question) -> None:
        self.sends.append((question.data, question.places[0]))
        layer = self._engine.layer
        due = layer.now + RESENDS_MS[question.tries]
        question.timer = layer.wheel.at(due, self._on_silence, question)

    def _on_silence(self, question: Question) -> None:
        question.tries += 1
        if question.tries < len(RESENDS_MS):
            self._send(question)
            return
        place = question.places[0]
        self._count(place, MISSED)
        self._is_down(place)
        self._go_on(question)

    def _go_on(self, question: Question) -> None:
        """Asks the next relay, or says that none has answered."""
        place = question.places.pop(0)
        question.places = [one for one in question.places if one not in self._down]
        if question.places:
            question.tries = 0
            self._send(question)
        else:
            self._conclude(question, None, place)

    def _on_nobody(self, question: Question) -> None:
        self._conclude(question, None, question.places[0])

    def _conclude(self, question: Question, reply: Reply | None, place: Place) -> None:
        self._open.pop(question.cookie, None)
        cancel(question.timer)
        question.timer = None
        hear, session = question.hear, question.session
        question.hear = question.session = None
        if hear is not None:
            call: Call | None = session.call if session is not None else None
            failed = "an answer of a media relay failed"
            self._engine.run_for(call, None, failed, hear, reply, place)

    # -- hearing ----------------------------------------------------------------------------------

    def receive(self, data: bytes, place: Place, now_ms: int) -> None:
        """Takes a datagram from a relay; what nobody asked for is nothing. Never raises."""
        self._engine.layer.now = now_ms
        cookie, _, rest = data.partition(b" ")
        question = self._open.get(cookie.decode("ascii", "replace"))
        # The cookie is a secret of ours and the relay's; whoever sits elsewhere does not know it.
        if question is None or not question.places or question.places[0] != place:
            return
        try:
            reply = decode(rest)
        except BencodeError:
            return
        if not isinstance(reply, dict):
            return
        self._is_up(place)
        result = reply.get(b"result")
        if result == b"load limit" and not question.fixed:
            self._count(place, REFUSED)
            cancel(question.timer)
            self._go_on(question)
            return
        self._count(place, REFUSED if result == b"error" else ANSWERED)
        self._conclude(question, reply, place)

    # -- who is down ------------------------------------------------------------------------------

    def _is_down(self, place: Place) -> None:
        if place in self._down or place not in self.places:
            return
        self._down.add(place)
        self._engine.log("error", "media relay does not answer", relay=title(place))
        self._ping_later(place)

    def _is_up(self, place: Place) -> None:
        if place in self._down:
            self._down.discard(place)
            self._engine.log("info", "media relay answers again", relay=title(place))

    def _ping_later(self, place: Place) -> None:
        layer = self._engine.layer
        layer.wheel.at(layer.now + PING_MS, self._ping, place)

    def _ping(self, place: Place) -> None:
        if place in self._down:
            self.ask({"command": "ping"}, None, self._on_pinged, place)

    def _on_pinged(self, reply: Reply | None, place: Place) -> None:
        if reply is None:
            self._ping_later(place)

    def _count(self, place: Place, how: str) -> None:
        self._engine.tally.relays[title(place), how] += 1


def title(place: Place) -> str:
    """host:port, for people."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
