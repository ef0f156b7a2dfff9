"""Signalling capture in a worker: which messages are kept, from the first byte of a call on.

What a call is matched by (its account, its gateways) is known later than its first messages. So
while anything is to be captured, the messages of all calls that may still match stay in memory
until the call is matched or has ended. Once a second calls are looked at, and what is kept goes to
the writer. Off, a worker does not even know that this exists: see `Driver.tap`.

    a Call-ID's first INVITE, or a message of a call that we know      HELD
    HELD      the call matches an order                                KEPT, from the first message
    HELD      it can match none any more                               OVER: nothing is held
    HELD      nothing more is heard for a while, and it was no call    forgotten
    KEPT      the call has ended, and LINGER_US have passed            forgotten
    OVER      the call has ended                                       forgotten

Where an order asks for no call in particular, every message begins such a talk: REGISTER, OPTIONS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from router.core.asking import call_of
from router.core.call import Call
from router.core.flow import Flow, Listener
from router.core.leg import Leg
from router.core.states import ENDED
from router.core.tally import Tally
from router.runtime.capture_match import NO, YES, Wanted
from router.runtime.capture_writer import CaptureWriter, Kept
from router.runtime.strays import find_call_id
from router.store.capture_ring import MAX_CALL_ID, MAX_DATA, Captured
from router.store.objects import CaptureOrder

HELD, KEPT, OVER = 0, 1, 2
LINGER_US = 32_000_000
"""RFC 3261's 64 * T1: no transaction of an ended call sends anything again after that."""
NO_CALL_LINGER_US = 5_000_000
SWEEP_EVERY_US = 1_000_000
MAX_HELD = 200
"""Messages of one call that are held; beyond, those in the middle go first."""
FIRST_ONES = 100
MAX_HELD_BYTES = 32_000_000
BESIDE_BYTES = 300
"""What a held message costs beside its own bytes."""
MAX_TALKS = 50_000
SPAN_S = 20
"""A ring holds at least so much time: what comes faster is left out, beyond SAVED_S at once."""
SAVED_S = 5
STRANGERS_SHARE = 10
"""One part in so many is for what belongs to no account's call, so that a flood of strangers leaves
room for the calls."""
_FROM_TAG = re.compile(rb"\r\n(?:from|f)[ \t]*:[^\r\n]*?;[ \t]*tag=([^;\r\n \t]+)", re.IGNORECASE)


class Message(NamedTuple):
    """One message as it was seen."""

    at_us: int
    outward: bool
    flow: Flow
    data: bytes


class CapturedEngine(Protocol):
    """What is asked of the engine that is listened to; `in_hand` has the call of a message."""

    legs: dict[str, Leg]

    @property
    def in_hand(self) -> object: ...
    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None: ...


class _Talk:
    """The messages of one call, or of one Call-ID as long as no call is known."""

    __slots__ = (
        "call", "call_id", "held", "held_bytes", "host", "last_us", "lost", "state", "whole",
    )

    def __init__(self, call_id: bytes, host: str) -> None:
        self.call_id = call_id
        self.host = host
        self.call: Call | None = None
        self.state = HELD
        self.held: list[Message] = []
        self.held_bytes = 0
        self.last_us = 0
        self.lost = 0
        self.whole = False
        """Whether credentials stay in it."""


class Capture:
    """Listens to one engine; `orders` gives what operators want captured, each second anew."""

    def __init__(
        self, engine: CapturedEngine, listeners: Sequence[Listener], tally: Tally,
        writer: CaptureWriter, orders: Callable[[], Sequence[CaptureOrder]],
        now_us: Callable[[], int], log: Callable[..., None],
    ) -> None:
        self._engine = engine
        self._listeners = listeners
        self._tally = tally
        self._writer = writer
        self._orders = orders
        self._now_us = now_us
        self._log = log
        self._known: Sequence[CaptureOrder] = ()
        self._active: list[Wanted] = []
        self._takes_all = False
        self._talks: dict[bytes, _Talk] = {}
        self._by_call: dict[str, _Talk] = {}
        self._touched: dict[_Talk, None] = {}
        self._held_bytes = 0
        self._batch: list[Kept] = []
        self._budget = 0
        self._strangers_budget = 0
        self._budget_us = 0
        self._sweep_us = 0

    # -- what is heard ----------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        """In the place of the engine's own: the engine gets the message, and it is noted."""
        engine = self._engine
        message = Message(self._now_us(), False, flow, data)
        engine.receive(data, flow, now_ms)
        call_id = find_call_id(data)
        call = call_of(engine.in_hand)
        if call is not None:
            self._add(self._talk_of(call, call_id, flow.host), message)
            return
        talk = self._talks.get(call_id)
        if talk is None:
            if self._takes_all:
                if not data.strip():  # a keep-alive
                    return
                talk = self._begin(call_id or flow.host.encode(), flow.host)
            elif call_id and data[:7] == b"INVITE ":
                talk = self._begin(call_id, flow.host)
            else:
                return
        self._add(talk, message)

    def sent(self, sends: Sequence[tuple[bytes, Flow]]) -> None:
        """These messages leave now."""
        at_us = self._now_us()
        for data, flow in sends:
            call_id = find_call_id(data)
            talk = self._talks.get(call_id)
            if (talk is None or talk.call is None) and data[:4] != b"SIP/":
                # A leg's first request; what we answer belongs to something that was received.
                leg = self._leg_of(data)
                if leg is not None and isinstance(leg.call, Call):
                    talk = self._talk_of(leg.call, call_id, flow.host)
                elif talk is None and self._takes_all:
                    talk = self._begin(call_id, flow.host)
            if talk is not None:
                self._add(talk, Message(at_us, True, flow, data))

    def _leg_of(self, data: bytes) -> Leg | None:
        found = _FROM_TAG.search(data)
        return self._engine.legs.get(found[1].decode("latin-1")) if found is not None else None

    def _begin(self, call_id: bytes, host: str) -> _Talk | None:
        if len(self._talks) >= MAX_TALKS:
            self._drop("memory")
            return None
        talk = self._talks[call_id] = _Talk(call_id, host)
        return talk

    def _talk_of(self, call: Call, call_id: bytes, host: str) -> _Talk | None:
        """The talk of a call, which from now on is also that of this Call-ID."""
        talk = self._talks.get(call_id)
        if talk is not None and talk.call is call:
            return talk
        known = self._by_call.get(call.id)
        if known is None:
            if talk is None or talk.call is not None:  # new, or a Call-ID that is used again
                if talk is not None and talk.call is not None:
                    self._decide()
                    self._forget(talk)
                talk = self._begin(call_id, host)
                if talk is None:
                    return None
            talk.call = call
            cdr = call.cdr  # of a call that was running before, this may be any leg's message
            talk.call_id = cdr.call_id.encode("utf-8", "surrogateescape") or call_id
            talk.host = cdr.source or host
            self._by_call[call.id] = talk
            return talk
        if talk is not None and talk.call is None:
            for message in talk.held:
                self._add(known, message)
            self._empty(talk)
        self._talks[call_id] = known
        return known

    def _add(self, talk: _Talk | None, message: Message) -> None:
        if talk is None or talk.state == OVER:
            return
        talk.last_us = message.at_us
        if talk.state == KEPT:
            self._keep(talk, message)
            return
        self._touched[talk] = None
        held = talk.held
        held.append(message)
        size = len(message.data) + BESIDE_BYTES
        if len(held) > MAX_HELD:
            size -= len(held.pop(FIRST_ONES).data) + BESIDE_BYTES
            talk.lost += 1
        talk.held_bytes += size
        self._held_bytes += size
        if self._held_bytes > MAX_HELD_BYTES:
            self._make_room()

    def _make_room(self) -> None:
        """Too much is held: the oldest calls that match nothing lose what they have said."""
        self._decide()
        for talk in self._talks.values():
            if self._held_bytes <= MAX_HELD_BYTES * 3 // 4:
                return
            if talk.state == HELD and talk.held:
                talk.lost += len(talk.held)
                self._empty(talk)

    def _empty(self, talk: _Talk) -> None:
        self._held_bytes -= talk.held_bytes
        talk.held_bytes = 0
        talk.held = []

    def _keep(self, talk: _Talk, message: Message) -> None:
        """To the writer, unless this second has had its share."""
        call = talk.call
        size = len(message.data)
        if call is None or not call.cdr.account:
            if size > self._strangers_budget:
                self._drop("budget")
                return
            self._strangers_budget -= size
        if size > min(self._budget, MAX_DATA):
            self._drop("budget")
            return
        self._budget -= size
        self._tally.captured += 1
        flow = message.flow
        captured = Captured(
            message.at_us, call.id if call is not None else "", talk.call_id[:MAX_CALL_ID],
            message.outward, flow.transport, self._here(flow), (flow.host, flow.port), message.data,
        )
        self._batch.append(Kept(captured, talk.whole))

    def _drop(self, reason: str, messages: int = 1) -> None:
        dropped = self._tally.capture_dropped
        dropped[reason] = dropped.get(reason, 0) + messages

    def _here(self, flow: Flow) -> tuple[str, int]:
        listeners = self._listeners
        listener = listeners[flow.listener] if 0 <= flow.listener < len(listeners) else None
        if listener is None or listener.transport != flow.transport:
            of_transport = [one for one in listeners if one.transport == flow.transport]
            listener = (of_transport or list(listeners))[0]
        return listener.host, listener.port

    # -- each second ------------------------------------------------------------------------------

    def on_second(self, now_ms: int) -> bool:
        """Match what was heard, hand it to the writer; whether there is anything to listen for."""
        now_us = self._now_us()
        self._refill(now_us)
        if self._talks:
            self._decide()
            self._flush()
        orders = [one for one in self._orders() if one.until_ms > now_ms]
        if orders != self._known:
            self._change(orders)
        if not orders:
            if self._talks:
                self._talks, self._by_call, self._touched = {}, {}, {}
                self._held_bytes = 0
            return False
        if now_us >= self._sweep_us:
            self._sweep_us = now_us + SWEEP_EVERY_US
            self._sweep(now_us)
        return True

    def close(self) -> None:
        """Write what is matched; the end of the worker."""
        self._decide()
        self._flush()
        self._writer.close()

    def _change(self, orders: list[CaptureOrder]) -> None:
        """What is in memory, and the rest of the calls that were not wanted, may be wanted now."""
        self._known = orders
        self._active = [Wanted(order) for order in orders]
        self._takes_all = not all(wanted.is_of_calls for wanted in self._active)
        for talk in self._talks.values():
            if talk.state == OVER:
                talk.state = HELD
            if talk.state == HELD:
                self._touched[talk] = None

    def _refill(self, now_us: int) -> None:
        a_second = self._writer.size // self._writer.slots // SPAN_S
        passed_us = min(max(now_us - self._budget_us, 0), SAVED_S * 1_000_000)
        self._budget_us = now_us
        more = a_second * passed_us // 1_000_000
        self._budget = min(self._budget + more, a_second * SAVED_S)
        self._strangers_budget = min(
            self._strangers_budget + more // STRANGERS_SHARE, a_second * SAVED_S // STRANGERS_SHARE
        )

    def _flush(self) -> None:
        if self._batch:
            self._writer.hand_over(self._batch)
            self._batch = []
        for reason, (lost, fault) in self._writer.take_lost().items():
            self._drop(reason, lost)
            self._log("warning", "captured messages lost", messages=lost, reason=fault)

    def _decide(self) -> None:
        talks, self._touched = self._touched, {}
        for talk in talks:
            if talk.state != HELD:
                continue
            answers = [one.match(talk.call, talk.call_id, talk.host) for one in self._active]
            if YES in answers:
                talk.state = KEPT
                talk.whole = any(
                    one.order.credentials
                    for one, answer in zip(self._active, answers, strict=True)
                    if answer == YES
                )
                if talk.lost:
                    self._drop("memory", talk.lost)
                for message in talk.held:
                    self._keep(talk, message)
                self._empty(talk)
            elif all(answer == NO for answer in answers):
                talk.state = OVER
                self._empty(talk)

    def _sweep(self, now_us: int) -> None:
        past = [(key, talk) for key, talk in self._talks.items() if _is_past(talk, now_us)]
        for call_id, talk in past:
            del self._talks[call_id]
            self._forget(talk)

    def _forget(self, talk: _Talk) -> None:
        self._empty(talk)
        if talk.call is not None and self._by_call.get(talk.call.id) is talk:
            del self._by_call[talk.call.id]


def _is_past(talk: _Talk, now_us: int) -> bool:
    """Whether nothing more of it is of interest."""
    call = talk.call
    silent_us = now_us - talk.last_us
    if call is None:
        return silent_us > NO_CALL_LINGER_US
    return call.state == ENDED and (talk.state == OVER or silent_us > LINGER_US)
