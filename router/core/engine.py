"""The engine of one worker: bytes and time in, store operations and sends out.

Sans-IO: no socket, clock or random source. A turn is: `receive` and `on_timers` any number of
times, then `take_ops` / `on_committed` until there are no more operations, then `take_sends`. A
send never leaves before the commit that justifies it, because it is only handed out after it.

The one broad `except` of the core is here: a fault of ours, or an exception in a route, costs that
request a 500 and nothing else.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

from router.core import orphans
from router.core.access import Access
from router.core.asking import Asker, call_of
from router.core.call import Call
from router.core.dispatch import Dispatch
from router.core.end_reasons import EndReason, failure_header, reason_header
from router.core.events import Events
from router.core.flow import Flow, Listener
from router.core.guard import Guard
from router.core.health import Health
from router.core.leg import Leg
from router.core.media.relays import Relays
from router.core.outcomes import Gathered
from router.core.parameters import TimerDefaults
from router.core.policy import Policy
from router.core.states import ROUTING
from router.core.steering import call_id_like
from router.core.tally import Tally, gateway_label
from router.core.transactions.layer import Expecting, TransactionLayer
from router.core.transactions.server_invite import InviteServer
from router.core.transactions.server_request import RequestServer
from router.core.unwritten import Unwritten
from router.core.waiting import Waiting
from router.sip.errors import SipError
from router.sip.message import Request, Response, is_keepalive, parse_message
from router.sip.uri import uri_host_port
from router.store.ops import Answer, Keep, Leave, Op, Remember
from router.store.records import CallRecord

MAX_FLOWS = 20_000
MAX_UNWRITTEN = 10_000
"""Operations that may wait for a store that does not take them before new requests are shed."""


class Engine:
    """The SIP side of one worker.

    `listeners` are our addresses as peers should see them; `slot` of `slots` is this worker,
    `generation` counts its lives; `token` returns a fresh random string of at least 12 lower-case
    alphanumerics each time it is called.
    """

    def __init__(
        self, policy: Policy, *, listeners: Sequence[Listener], slot: int, slots: int,
        generation: int, token: Callable[[], str], tally: Tally, now_ms: int,
        timers: TimerDefaults,
    ) -> None:
        self.policy = policy
        self.slot = slot
        self.slots = slots
        self.generation = generation
        self.token = token
        self.tally = tally
        self.layer = TransactionLayer(timers, tally, now_ms)
        self.calls: dict[str, Call] = {}
        self.legs: dict[str, Leg] = {}
        self.initial: dict[str, Call] = {}  # by Call-ID and From tag, to find merged requests
        self.adopted: dict[str, Call] = {}  # by the same: answered calls of dead workers
        self.unheard: set[str] = set()  # the ids of calls whose answer has no ACK yet
        self.ops: list[Op] = []
        self.askers: list[Asker | None] = []
        self.waiting: set[Waiting] = set()
        self.new_waits: list[Waiting] = []
        self.logs: list[tuple[str, str, dict[str, Any]]] = []
        self.draining = False
        self.call_id_like = call_id_like
        self.no_flow = Flow("udp", "", 0, 0)
        self.listeners = list(listeners)
        self.hosts = [listener.authority for listener in listeners]
        self.vias = [
            f"Via: SIP/2.0/{listener.transport.upper()} {host};branch="
            for listener, host in zip(listeners, self.hosts, strict=True)
        ]
        self.contacts = [
            f"Contact: <sip:{host}>\r\n"
            if listener.transport == "udp"
            else f"Contact: <sip:{host};transport={listener.transport}>\r\n"
            for listener, host in zip(listeners, self.hosts, strict=True)
        ]
        self._flows: dict[tuple[str, int], Flow] = {}
        self._taken: tuple[list[Op], list[Asker | None]] = ([], [])
        self._unwritten = Unwritten(self.layer)
        self.relays = Relays(self, policy.relays)
        self.health = Health(self)
        self.gathered = Gathered(self) if policy.wants_quality else None
        self.accesses: dict[str, Access] = {}
        self.events = Events(self)
        self.guard = Guard()
        self.in_hand = self._dispatch = Dispatch(self)

    # -- the turn ---------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        """Takes one message from the network; never raises."""
        self.layer.now = now_ms
        dispatch = self._dispatch
        dispatch.server = dispatch.call = None
        message: Request | Response | None = None
        try:
            message = parse_message(data)
            if isinstance(message, Response):
                dispatch.on_response(message)
            else:
                dispatch.on_request(message, flow)
        except SipError as error:
            if not is_keepalive(data):
                self.tally.parse_errors += 1
                self._refuse(error, message, flow)
        except Exception:
            self._on_fault("a request failed")

    def on_timers(self, now_ms: int) -> None:
        """Runs every timer that is due; never raises."""
        layer = self.layer
        layer.now = now_ms
        for entry in layer.wheel.due(now_ms):
            function = entry[0]
            if function is None:
                continue
            argument = entry[1]
            entry[0] = entry[1] = None
            dispatch = self._dispatch
            dispatch.server = None
            dispatch.call = call_of(argument)
            try:
                function(argument)
            except Exception:
                self._on_fault("a timer failed")

    def on_transport_error(self, flow: Flow, now_ms: int) -> None:
        """A stream could not be opened, or broke: whoever waits there hears of it."""
        self.layer.now = now_ms
        host, port, transport = flow.host, flow.port, flow.transport
        for client in list(self.layer.clients.values()):
            at = client.flow
            if at.port == port and at.host == host and at.transport == transport:
                self._tell_unreachable(client)

    def on_refused(self, host: str, port: int, now_ms: int) -> None:
        """ICMP says that nobody listens there: INVITEs without any answer need not wait.

        RFC 3261 §18.4. Only what has heard nothing at all ends by it, so a forged ICMP message can
        cost a call in its first moments one gateway, and never a call that goes on.
        """
        self.layer.now = now_ms
        for client in list(self.layer.calling.pop((host, port), {}).values()):
            self._tell_unreachable(client)

    def _tell_unreachable(self, client: Expecting) -> None:
        failed = "a transport error failed"
        self.run_for(call_of(client), None, failed, client.on_transport_error)

    def next_timer_ms(self) -> int | None:
        """When `on_timers` has something to do, or None."""
        return self.layer.wheel.next_ms()

    def ask(self, op: Op, asker: Asker | None) -> None:
        """Adds a store operation to the turn; `asker` hears its answer."""
        self.ops.append(op)
        self.askers.append(asker)

    def take_ops(self) -> list[Op]:
        """The store operations of the turn so far, in order; empty when there are no more."""
        ops = self.ops
        if ops:
            self._taken = (ops, self.askers)
            self.ops = []
            self.askers = []
        elif self._unwritten.is_tried:
            ops = self._unwritten.take()
            self._taken = (ops, [None] * len(ops))
        return ops

    def on_committed(self, results: Sequence[Answer | None], now_ms: int) -> None:
        """The store has committed what `take_ops` gave; one result for each operation."""
        self.layer.now = now_ms
        dispatch = self._dispatch
        askers = self._taken[1]
        self._taken = ([], [])
        for asker, result in zip(askers, results, strict=True):
            if asker is None or result is None:
                continue
            dispatch.server = asker.server
            dispatch.call = call_of(asker)
            try:
                asker.on_stored(result)
            except Exception:
                self._on_fault("an admission failed")

    def on_commit_failed(self, now_ms: int) -> None:
        """The store could not commit what `take_ops` gave.

        What somebody waits for is refused; what ends or updates calls is kept and tried again,
        since no CDR may be lost.
        """
        self.layer.now = now_ms
        dispatch = self._dispatch
        ops, askers = self._taken
        self._taken = ([], [])
        if self._unwritten.failed(ops):
            return
        for op, asker in zip(ops, askers, strict=True):
            if asker is None:
                # A call that is kept by chance later than its end would be kept for ever, an old
                # value must not replace a newer one, and a gateway that left may be back by then.
                if not isinstance(op, Keep | Leave | Remember):
                    self.write_later(op)
            else:
                dispatch.server = asker.server
                dispatch.call = call_of(asker)
                try:
                    asker.on_not_stored()
                except Exception:
                    self._on_fault("a lost admission failed")

    @property
    def is_choked(self) -> bool:
        """Whether so much waits for the store that nothing new may be begun."""
        return self._unwritten.size >= MAX_UNWRITTEN

    def write_later(self, op: Op) -> None:
        """Asks again soon for what could not be committed and may not be lost."""
        self._unwritten.add(op)

    def take_sends(self) -> list[tuple[bytes, Flow]]:
        """The messages of the turn, in order; only after the commit."""
        sends = self.layer.sends
        if sends:
            self.layer.sends = []
        return sends

    def take_waits(self) -> list[Waiting]:
        """The routes that have begun to wait, to be run; each ends with `on_waited`."""
        waits = self.new_waits
        if waits:
            self.new_waits = []
        return [waiting for waiting in waits if not waiting.over]

    def on_waited(self, waiting: Waiting, error: BaseException | None, now_ms: int) -> None:
        """A route that waited has ended, with an error or without; never raises."""
        self.layer.now = now_ms
        if waiting.over:
            return
        call = waiting.call
        server = waiting.server if call is None else call.server
        self.run_for(call, server, "a request failed", waiting.resume, error)

    def run_for(
        self, call: Call | None, server: InviteServer | RequestServer | None, event: str,
        run: Callable[..., None], *arguments: Any,
    ) -> None:
        """Runs what belongs to a call or a request; a fault in it is theirs. Never raises."""
        dispatch = self._dispatch
        dispatch.call, dispatch.server = call, server
        try:
            run(*arguments)
        except SipError as fault:
            self._refuse(fault, None, self.no_flow)
        except Exception:
            self._on_fault(event)

    # -- life -------------------------------------------------------------------------------------

    @property
    def active_calls(self) -> int:
        """Calls that have not ended."""
        return len(self.calls)

    @property
    def farewells(self) -> int:
        """Registrations with gateways that are being taken back."""
        return self.health.farewells

    def adopt(self, records: Iterable[CallRecord], now_ms: int) -> None:
        """Takes over the calls of a dead worker: answered ones go on, the others are closed."""
        self.layer.now = now_ms
        for number, record in enumerate(records):
            if record.answered and not record.closing:
                call = Call(self, record.id, None, self.no_flow, None)
                try:
                    call.restore(record)
                except msgspec.DecodeError as error:
                    self.log("error", "call not taken over", id=record.id, why=str(error))
                else:
                    self.calls[call.id] = call
                    self.adopted[call.a.call_id + call.a.remote_tag] = call
                    continue
            orphans.close(self, record, number)

    def use_policy(self, policy: Policy, timers: TimerDefaults, now_ms: int) -> None:
        """Routes for every request from here on; calls in progress keep those they began with."""
        self.layer.now = now_ms
        self.layer.use(timers)
        self.policy = policy
        self.relays.use(policy.relays)
        self.gathered = (self.gathered or Gathered(self)) if policy.wants_quality else None
        self.events.begin()

    def begin_shutdown(self, now_ms: int) -> None:
        """No new calls from here on; those in progress go on."""
        self.layer.now = now_ms
        self.draining = True
        self.health.leave()

    def end_all(self, now_ms: int) -> None:
        """Ends every call now: BYE or a final response, and a CDR for each."""
        self.layer.now = now_ms
        self.draining = True
        dispatch = self._dispatch
        for call in list(self.calls.values()):
            dispatch.server = None
            dispatch.call = call
            try:
                call.hang_up(EndReason.OperatorKill)
            except Exception:
                self._on_fault("a call could not be ended")
        for waiting in list(self.waiting):
            server = waiting.server
            waiting.abandon()
            if server is not None:
                server.respond(503, "", failure_header(server, 503))

    # -- what calls and legs ask ------------------------------------------------------------------

    def listener_for(self, transport: str, preferred: int = -1) -> int:
        """The index of our listener of this transport: the preferred one, else the first."""
        listeners = self.listeners
        if 0 <= preferred < len(listeners) and listeners[preferred].transport == transport:
            return preferred
        for index, listener in enumerate(listeners):
            if listener.transport == transport:
                return index
        return 0

    def flow_to(self, uri: str, current: Flow) -> Flow:
        """The way to a URI; `current` when its host is a name, a group, or cannot be read."""
        key = (uri, current.listener)
        flow = self._flows.get(key)
        if flow is not None:
            return flow
        try:
            host, port = uri_host_port(uri)
            address = ip_address(host)
        except (SipError, ValueError):
            return current
        if address.is_multicast or address.is_unspecified or host == "255.255.255.255":
            return current  # nobody's own address, and much to send at a stranger's word
        transport = "tcp" if ";transport=tcp" in uri.lower() else "udp"
        listener = self.listener_for(transport, current.listener)
        flow = Flow(transport, host, port or 5060, listener)
        if len(self._flows) >= MAX_FLOWS:
            self._flows.clear()
        self._flows[key] = flow
        return flow

    def observe_pdd(self, gateway: str, pdd_ms: int) -> None:
        """Counts the post-dial delay of an attempt."""
        self.tally.pdd[gateway_label(gateway)].observe(pdd_ms / 1000)

    def refuse_fork(self, leg: Leg, response: Response) -> None:
        """A second fork answered too: ACK and BYE (RFC 3261 §13.2.2.4)."""
        key = f"{leg.local_tag}/{response.to_tag}"
        fork = self.legs.get(key)
        if fork is not None:
            fork.resend_ack()
            return
        fork = Leg(self, leg.call, leg.call_id, key)
        fork.local = leg.local
        fork.cseq = fork.invite_cseq = leg.invite_cseq
        fork.flow = leg.flow
        fork.learn(response)
        fork.send_ack(fork.invite_cseq)
        fork.hang_up(reason_header(EndReason.Normal.q850))

    def log(self, level: str, event: str, **fields: Any) -> None:
        """Leaves a line for the driver to write."""
        self.logs.append((level, event, fields))

    def run_apart(self, name: str, run: Callable[..., None], *arguments: Any) -> None:
        """Runs what belongs to no call: a fault in it costs none that may be in hand."""
        try:
            run(*arguments)
        except Exception:
            self.tally.route_errors += 1
            self.log("error", "a route failed", name=name, trace=traceback.format_exc())

    # -- trouble ----------------------------------------------------------------------------------

    def _refuse(
        self, error: SipError, message: Request | Response | None, flow: Flow
    ) -> None:
        call, server = self._dispatch.call, self._dispatch.server
        if call is not None and call.state == ROUTING:
            # Good enough to be parsed; then the routes asked for a part that is not.
            call.reject(EndReason.IllegalCall, error.status, error.reason)
            return
        if call is not None or server is not None:
            self._on_fault("a message could not be read in full")
            return
        request = error.request or message
        if isinstance(request, Request) and request.method != "ACK":
            try:
                self._dispatch.refuse(request, flow, error.status, error.reason)
            except SipError:
                return

    def _on_fault(self, event: str) -> None:
        self.tally.route_errors += 1
        call = self._dispatch.call
        error = sys.exc_info()[1]
        self.log(
            "error", event, reason=f"{type(error).__name__}: {error}", trace=traceback.format_exc(),
            id=call.id if call is not None else "",
        )
        error = None  # its traceback holds this frame
        try:
            if call is not None:
                call.hang_up(EndReason.ServerFailure)
        except Exception:
            why = traceback.format_exc()
            self.log("error", "a failed call could not be ended", trace=why, id=call and call.id)
        server = self._dispatch.server
        if server is not None:
            server.respond(500, "", failure_header(server, 500))
