"""The driver of one worker: the turn, the clock and the sockets around the sans-IO engine.

A turn: whatever has arrived is drained into the engine; the store operations it asks for are
committed in one write transaction, until it asks for no more; only then do the turn's messages
leave and routes that wait begin to run; last, one timer is set to the engine's next one. The
driver knows no SIP beyond the place of the Call-ID, and the engine knows no socket and no clock.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from router.core.flow import Flow
from router.core.media.relays import Place
from router.core.steering import BUCKETS, HASHED_BYTES
from router.core.tally import Tally
from router.core.waiting import Waiting
from router.runtime.hook_tasks import HookTasks
from router.runtime.logs import BoundedLog
from router.runtime.relay_port import RelayPort
from router.runtime.sockets import SlotSockets
from router.runtime.strays import BROKEN, RECEIVED, REFUSED, StrayCodec, StraySender, find_call_id
from router.runtime.streams import StreamLimits, Streams
from router.runtime.udp import DATAGRAMS_PER_TURN, MAX_DATAGRAM, UdpPort
from router.store.errors import StoreError
from router.store.ops import Answer, Op

NEVER_MS = 1 << 62
REPEAT_FAULT_MS = 5_000
"""A store that refuses what it is given is complained of this often, and not every turn."""


class DrivenRelays(Protocol):
    """The media relays as the driver sees them; `router.core.media.relays.Relays`."""

    sends: list[tuple[bytes, Place]]

    def take_sends(self) -> list[tuple[bytes, Place]]: ...
    def receive(self, data: bytes, place: Place, now_ms: int) -> None: ...


class DrivenEngine(Protocol):
    """What the driver asks of an engine; `router.core.engine.Engine` is the real one."""

    logs: list[tuple[str, str, dict[str, Any]]]
    new_waits: list[Waiting]

    @property
    def relays(self) -> DrivenRelays: ...
    @property
    def active_calls(self) -> int: ...
    @property
    def farewells(self) -> int: ...
    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None: ...
    def on_timers(self, now_ms: int) -> None: ...
    def on_transport_error(self, flow: Flow, now_ms: int) -> None: ...
    def on_refused(self, host: str, port: int, now_ms: int) -> None: ...
    def take_ops(self) -> list[Op]: ...
    def on_committed(self, results: Sequence[Answer | None], now_ms: int) -> None: ...
    def on_commit_failed(self, now_ms: int) -> None: ...
    def take_sends(self) -> list[tuple[bytes, Flow]]: ...
    def take_waits(self) -> list[Waiting]: ...
    def on_waited(self, waiting: Waiting, error: BaseException | None, now_ms: int) -> None: ...
    def next_timer_ms(self) -> int | None: ...
    def begin_shutdown(self, now_ms: int) -> None: ...
    def end_all(self, now_ms: int) -> None: ...


class Listening(Protocol):
    """What hears all that passes between sockets and engine (`router.runtime.capture`)."""

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None: ...
    def sent(self, sends: Sequence[tuple[bytes, Flow]]) -> None: ...


class CommittingStore(Protocol):
    """The one thing the turn asks of the store."""

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]: ...


class Driver:
    """Runs one engine on one worker's sockets, in a running asyncio loop."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        engine: DrivenEngine,
        store: CommittingStore,
        sockets: SlotSockets,
        slot: int,
        now: Callable[[], int],
        tally: Tally,
        log: BoundedLog,
        stream_limits: StreamLimits | None = None,
    ) -> None:
        self.engine = engine
        self._loop = loop
        self._store = store
        self._slot = slot
        self._slots = len(sockets.stray_out)
        self._now = now
        self._log = log
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = NEVER_MS
        self._turn_asked = False
        self._stray_in = sockets.stray_in
        self._codec = StrayCodec(slot)
        self.strays = StraySender(loop, sockets.stray_out, slot, tally)
        self.streams = Streams(
            loop=loop,
            sockets=sockets.tcp,
            slot=slot,
            deliver=self._on_stream_message,
            on_broken=self._on_stream_broken,
            strays=self.strays,
            tally=tally,
            limits=stream_limits if stream_limits is not None else StreamLimits(),
        )
        self._capture: Listening | None = None
        self._receive = engine.receive
        # With one worker every call is ours: nothing stands between socket and engine.
        deliver = engine.receive if self._slots == 1 else self._deliver
        self._udp = [
            UdpPort(loop, opened, listener, deliver, self.finish_turn, self._on_refused)
            for listener, opened in sockets.udp
        ]
        self._udp_by_listener = {port.listener: port for port in self._udp}
        self.hooks = HookTasks(loop, engine, now, self.ask_turn)
        self._relays = RelayPort(loop, self._on_relay)
        self.commit_failures = 0
        self._quiet_until_ms = 0

    # Life

    async def start(self) -> None:
        """Read all sockets from now on; first finish what the boot has left in the engine."""
        self._loop.set_exception_handler(self._on_loop_fault)
        self.finish_turn(self._now())
        for port in self._udp:
            port.start(self._now)
        self._loop.add_reader(self._stray_in, self._read_strays)
        await self.streams.start()

    def stop(self) -> None:
        """Read no more and close the streams; what waits in the sockets is a successor's."""
        for port in self._udp:
            port.stop()
        self._loop.remove_reader(self._stray_in)
        self.streams.stop()
        self.hooks.stop()
        self._relays.stop()
        if self._timer is not None:
            self._timer.cancel()

    def tap(self, capture: Listening | None) -> None:
        """Let it hear every message from now on; None: nobody, which costs nothing."""
        if capture is self._capture:
            return
        self._capture = capture
        self._receive = self.engine.receive if capture is None else capture.receive
        if self._slots == 1:
            for port in self._udp:
                port.deliver = self._receive

    @property
    def dropped(self) -> int:
        """Messages thrown away because kernel, peer or worker did not take them in time."""
        return sum(port.dropped for port in self._udp) + self.strays.dropped + self.streams.dropped

    # The turn

    def finish_turn(self, now_ms: int) -> None:
        """Commit what the engine asks for, then send, then set the timer."""
        engine = self.engine
        while True:
            ops = engine.take_ops()
            while ops:
                self._commit(ops, now_ms)
                ops = engine.take_ops()
            sends = engine.take_sends()
            if not sends:
                break
            unreachable = self._send_all(sends)
            if unreachable is None:
                break
            for flow in unreachable:
                engine.on_transport_error(flow, now_ms)
        if engine.relays.sends:
            self._relays.send(engine.relays.take_sends())
        if engine.new_waits:
            self.hooks.begin(engine.take_waits())
        due_ms = engine.next_timer_ms()
        if due_ms is not None and due_ms < self._timer_ms:
            self._set_timer(due_ms, now_ms)
        if engine.logs:
            self._log.drain(engine.logs)

    def _commit(self, ops: list[Op], now_ms: int) -> None:
        try:
            results = self._store.commit(ops, now_ms)
        except StoreError as error:
            self._complain(now_ms, operations=len(ops), reason=str(error))
        except Exception as error:
            # Our fault, yet the calls of this turn must hear of it: they would wait for ever.
            first = type(ops[0]).__name__  # of one alone, that which the store does not take
            reason = f"{type(error).__name__}: {error}"
            self._complain(
                now_ms, operations=len(ops), reason=reason, first=first,
                trace=traceback.format_exc(),
            )
        else:
            self.engine.on_committed(results, now_ms)
            return
        self.engine.on_commit_failed(now_ms)

    def _complain(self, now_ms: int, **fields: Any) -> None:
        self.commit_failures += 1
        if now_ms >= self._quiet_until_ms:
            self._quiet_until_ms = now_ms + REPEAT_FAULT_MS
            self._log.line("error", "state not stored", **fields)

    def _send_all(self, sends: list[tuple[bytes, Flow]]) -> list[Flow] | None:
        """Send the turn's messages; the flows that turned out unreachable, None when all went."""
        if self._capture is not None:
            self._capture.sent(sends)
        unreachable: list[Flow] | None = None
        ports = self._udp_by_listener
        for data, flow in sends:
            if flow[0] == "udp":
                port = ports.get(flow[3])
                if port is None:
                    port = self._udp_for(flow)
                sent = port is not None and port.send(data, flow)
            else:
                sent = self.streams.send(data, flow)
            if not sent:
                unreachable = unreachable if unreachable is not None else []
                unreachable.append(flow)
        return unreachable

    def _udp_for(self, flow: Flow) -> UdpPort | None:
        """Our first UDP socket: the flow leaves the choice to us."""
        return self._udp[0] if self._udp else None

    def _set_timer(self, due_ms: int, now_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = due_ms
        # One more millisecond: ours are cut off, and a timer that is early comes twice.
        delay_s = (due_ms - now_ms + 1) / 1_000 if due_ms > now_ms else 0.0
        self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        now_ms = self._now()
        self._timer = None
        self._timer_ms = NEVER_MS
        self.engine.on_timers(now_ms)
        self.finish_turn(now_ms)

    def ask_turn(self) -> None:
        """Finish a turn when the loop has run what is ready: many streams share one."""
        if not self._turn_asked:
            self._turn_asked = True
            self._loop.call_soon(self._asked_turn)

    def _asked_turn(self) -> None:
        self._turn_asked = False
        self.finish_turn(self._now())

    # What arrives

    def _deliver(self, data: bytes, flow: Flow, now_ms: int) -> None:
        """Give a message to our engine, or to the worker that owns its call."""
        call_id = find_call_id(data)
        if call_id:
            owner = sum(call_id[:HASHED_BYTES]) % BUCKETS % self._slots
            if owner != self._slot:
                self.strays.hand_over(owner, data, flow)
                return
        self._receive(data, flow, now_ms)

    def _read_strays(self) -> None:
        now_ms = self._now()
        recv = self._stray_in.recv
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                datagram = recv(MAX_DATAGRAM + 256)
            except OSError:
                break
            kind, sender, flow, message = self._codec.unpack(datagram)
            if kind == RECEIVED:
                self._receive(message, flow, now_ms)
            elif kind == BROKEN:
                self.engine.on_transport_error(flow, now_ms)
            elif kind == REFUSED:
                self.engine.on_refused(flow.host, flow.port, now_ms)
            else:
                self.streams.send_for(sender, message, flow)
        self.finish_turn(now_ms)

    def _on_stream_message(self, data: bytes, flow: Flow) -> int:
        """A message from one of our connections; the slot whose engine got it."""
        self.ask_turn()
        slot = self._slot
        if self._slots > 1:
            call_id = find_call_id(data)
            if call_id:
                slot = sum(call_id[:HASHED_BYTES]) % BUCKETS % self._slots
                if slot != self._slot:
                    self.strays.hand_over(slot, data, flow)
                    return slot
        self._receive(data, flow, self._now())
        return slot

    def _on_refused(self, host: str, port: int) -> None:
        """ICMP says that nobody listens there; the kernel may tell another worker than the sender.

        Those who gain by it are all who wait for a first answer from that port.
        """
        self.engine.on_refused(host, port, self._now())
        self.ask_turn()
        for slot in range(self._slots):
            if slot != self._slot:
                self.strays.tell_refused(slot, Flow("udp", host, port))

    def _on_relay(self, data: bytes, place: Place) -> None:
        """A media relay has answered."""
        self.engine.relays.receive(data, place, self._now())
        self.ask_turn()

    def _on_stream_broken(self, flow: Flow) -> None:
        self.engine.on_transport_error(flow, self._now())
        self.ask_turn()

    def _on_loop_fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback: a fault of ours, logged; the worker goes on."""
        error = context.get("exception")
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        self._log.line("error", "fault in the driver", message=context["message"], trace=trace)
