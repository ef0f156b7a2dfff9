"""OPTIONS to gateways: one worker asks each gateway every so often whether it is up.

    state   event                        what happens                            next
    UP      any answer but 503           the misses are forgotten                UP
    UP      no answer, or 503            one more miss                           UP
    UP      the third miss in a row      stored as down, event gateway:down      DOWN
    DOWN    any answer but 503           one more answer                         DOWN
    DOWN    the second answer in a row   stored as up, event gateway:up          UP
    DOWN    no answer, or 503            the answers are forgotten               DOWN

Which state it is stands in live state, where all workers see it: INVITEs that a gateway left
without an answer take it down too (`health`). A 503 is no sign of life: the gateway says itself
that it takes no calls; whatever else it answers, it is there. A ping is one datagram, never sent
again: the next one comes soon enough, and three have to fail. Of several addresses the next ping
goes to another one when one was missed, and each has its turn before the gateway is down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from router.core.events import DOWN, UP
from router.core.flow import Flow, authority_of
from router.core.steering import call_id_of
from router.core.verdicts import Target, same_places
from router.core.wheel import Timer, cancel
from router.sip.message import Response
from router.sip.render import render_request
from router.store.ops import GatewayNews

if TYPE_CHECKING:
    from router.core.engine import Engine

MISSES_UNTIL_DOWN = 3
ANSWERS_UNTIL_UP = 2
ANSWER_WITHIN_MS = 5_000
"""A gateway that needs longer for an OPTIONS has missed it."""
SPREAD = 4
"""First pings of all gateways are spread over this part of their interval, by their names."""


class Ping:
    """The pings of one gateway; the transaction of the one on its way, without resends."""

    __slots__ = (
        "_answers", "_at", "_branch", "_cseq", "_engine", "_misses", "_next_ms", "_timer", "flow",
        "target", "user",
    )

    def __init__(self, engine: Engine, target: Target) -> None:
        self._engine = engine
        self.target = target
        self.user = None  # nobody else is told of the answer
        self._at = target
        self._aim()
        self._answers = self._misses = self._cseq = 0
        self._branch = ""
        now, every = engine.layer.now, target.ping_ms
        self._next_ms = now + every + crc32(target.name.encode()) % max(every // SPREAD, 1)
        self._timer: Timer = engine.layer.wheel.at(self._next_ms, Ping._send, self)

    def goes_on(self, target: Target) -> bool:
        """Whether these pings are what the gateway of a new configuration wants."""
        return same_places(self.target, target) and self.target.ping_ms == target.ping_ms

    def stop(self) -> None:
        """No more pings; an answer to the last one means nothing any more."""
        cancel(self._timer)
        self._let_go()

    def _aim(self) -> None:
        at = self._at = next(iter(self.target.contacts), self.target)
        listener = self._engine.listener_for(at.transport)
        self.flow = Flow(at.transport, at.host, at.port, listener)

    def _send(self) -> None:
        self._aim()
        engine, target = self._engine, self.target
        layer, listener = engine.layer, self.flow.listener
        token = engine.token()
        self._branch = "z9hG4bK" + token
        self._cseq += 1
        at = self._at
        transport = "" if at.transport == "udp" else f";transport={at.transport}"
        uri = f"sip:{authority_of(at.host, at.port)}{transport}"
        data = render_request(
            "OPTIONS", uri,
            f"{engine.vias[listener]}{self._branch};rport\r\nMax-Forwards: 70\r\n"
            f"From: <sip:ping@{engine.hosts[listener]}>;tag={token}\r\nTo: <{uri}>\r\n"
            f"Call-ID: {call_id_of(engine.slot, token)}\r\nCSeq: {self._cseq} OPTIONS\r\n",
            f"{engine.contacts[listener]}Accept: application/sdp\r\n",
        )
        layer.clients[self._branch + "OPTIONS"] = self
        layer.send_request(data, self.flow, "OPTIONS")
        within = min(ANSWER_WITHIN_MS, target.ping_ms)
        self._next_ms += target.ping_ms
        self._timer = layer.wheel.at(layer.now + within, Ping._on_silence, self)

    def _let_go(self) -> None:
        self._engine.layer.clients.pop(self._branch + "OPTIONS", None)

    def _ended(self) -> None:
        """The ping on its way has ended; the next one is sent at its time."""
        cancel(self._timer)
        self._let_go()
        layer = self._engine.layer
        if self._next_ms <= layer.now:  # the worker stood still: no flood of what was missed
            self._next_ms = layer.now + self.target.ping_ms
        self._timer = layer.wheel.at(self._next_ms, Ping._send, self)

    # -- what comes back --------------------------------------------------------------------------

    def on_response(self, response: Response) -> None:
        """Any response is an answer; a 503 is one that says no."""
        self._ended()
        if response.status == 503:
            self._miss()
            return
        self._misses = 0
        self._engine.tally.pings[self.target.name, "answered"] += 1
        if not self._is_down():
            self._answers = 0
            return
        self._answers += 1
        if self._answers >= ANSWERS_UNTIL_UP:
            self._answers = 0
            engine, target = self._engine, self.target
            engine.ask(GatewayNews(target.key, down=False, trouble=""), None)
            engine.log("info", "gateway is up", gateway=target.name)
            engine.events.tell(UP, target)

    def on_transport_error(self) -> None:
        """The stream to the gateway could not be opened, or broke."""
        self._on_silence()

    def _on_silence(self) -> None:
        self._ended()
        self._miss()

    def _miss(self) -> None:
        engine, target = self._engine, self.target
        engine.tally.pings[target.name, "missed"] += 1
        self._answers = 0
        self._misses += 1
        engine.policy.silent(self._at)
        if self._misses >= max(MISSES_UNTIL_DOWN, len(target.contacts)) and not self._is_down():
            why = f"{self._misses} pings without a good answer"
            engine.ask(GatewayNews(target.key, down=True, trouble=why), None)
            engine.log("warning", "gateway is down", gateway=target.name, missed=self._misses)
            engine.events.tell(DOWN, target)

    def _is_down(self) -> bool:
        state = self._engine.policy.health_of(self.target.key)
        return state is not None and state.down
