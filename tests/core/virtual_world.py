"""A world of an engine, peers and a store in virtual time, for the tests of router/core.

Peers are either `Agent`s, which behave by themselves, or `Phone`s, which a test plays by hand,
message by message. The store keeps what LMDB would keep: copies, as they were at the commit.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from router.core.agent import SDP, Agent, AgentCall, Behaviour
from router.core.attempt import Attempt
from router.core.call import Call
from router.core.credit import Payer
from router.core.engine import Engine
from router.core.flow import Flow, Listener
from router.core.fork import MAX_BRANCHES
from router.core.leg import Leg
from router.core.media.session import Wish
from router.core.network import Network, instantly
from router.core.parameters import CallTimers, TimerDefaults
from router.core.relay import Relay
from router.core.tally import Tally
from router.core.verdicts import Dial, Respond, Target, Verdict, Wait
from router.routing.objects import DEFAULT_SWITCH_ON, Codes, Gateway
from router.sip.errors import SipError
from router.sip.message import Request, Response, parse_message
from router.sip.render import REASONS, render_response, reply_head
from router.store.memory import MemoryLive
from router.store.ops import (
    UNLIMITED,
    Admit,
    Answer,
    Credit,
    Finish,
    Forget,
    Hold,
    Keep,
    Leave,
    Op,
    Rehunt,
    Renew,
    Save,
)
from router.store.records import CallRecord, Cdr, GatewayState, decode_call, encode_call
from router.store.unheard import Unheard, forget_heard

T0 = 1_700_000_000_000
US = ("10.0.0.1", 5060)
CALLER = ("10.0.0.2", 5060)
SDP_TYPE = "Content-Type: application/sdp\r\n"


def gateway(
    name: str, number: int, *, lines: int = UNLIMITED, switch_on: Codes = DEFAULT_SWITCH_ON,
    after_ring: bool = False, after_media: bool = False, transport: str = "udp", **more: Any,
) -> Gateway:
    """A gateway at 10.0.1.`number`."""
    return Gateway(
        name, transport, f"10.0.1.{number}", 5060, ("",), 1, lines, switch_on, after_ring,
        after_media, {}, **more,
    )


class Routes:
    """The policy of a test: dials the world's gateways in order unless told otherwise.

    Every hook may be replaced by a function; `branch`, `reply` and `failure` are asked only when
    they are.
    """

    def __init__(self, gateways: Sequence[Gateway]) -> None:
        self.orphans: list[tuple[Cdr, int]] = []
        self.gateways = list(gateways)
        self.timers = CallTimers(session_ms=0)
        self.session_s = 0  # the session timer of the caller's leg
        self.holds: tuple[Hold, ...] = ()
        self.max_attempts = 5
        self.store: MemoryLive
        self.invites = 0
        self.events: list[tuple[str, str]] = []
        self.payers_of: Sequence[Payer] = ()
        self.on_invite: Callable[[Call], Verdict | Wait] | None = None
        self.on_request: Callable[[Request, Flow], Verdict | Wait] = (
            lambda request, flow: Respond(200)
        )
        self.on_branch: Callable[[Call, Attempt], Wait | None] | None = None
        self.on_reply: Callable[[Call, Attempt, Response], None] | None = None
        self.on_failure: Callable[[Call, Attempt], Verdict | Wait] | None = None
        self.on_ended: Callable[[Call], None] | None = None
        self.on_note: Callable[[Call], None] | None = None
        self.on_adopted: Callable[[Call], None] | None = None
        self.on_diverted: Callable[[Call, Attempt | None], Verdict | None] | None = None
        self.ring_all = False
        self.credits: tuple[Credit, ...] = ()
        self.low_balances: Mapping[str, int] = {}
        self.media: Mapping[str, Wish] = {}

    def dial(self, gateways: Sequence[Gateway] | None = None) -> Dial:
        chosen = self.gateways if gateways is None else gateways
        return Dial(
            tuple((one.candidate,) for one in chosen), self.holds,
            {one.key: one for one in self.gateways},
            {one.key: self.timers for one in self.gateways},
            self.max_attempts,
            "b" if self.on_branch else "", "r" if self.on_reply else "",
            "f" if self.on_failure else "",
            credits=self.credits,
            branches=MAX_BRANCHES if self.ring_all else 1, diverts=self.on_diverted is not None,
            session_s=self.session_s, media=self.media,
        )

    def invite(self, call: Call) -> Verdict | Wait:
        self.invites += 1
        call.caller = call.cdr.caller_in = "100"
        return self.dial() if self.on_invite is None else self.on_invite(call)

    def request(self, request: Request, flow: Flow, engine: Engine) -> Verdict | Wait:
        return self.on_request(request, flow)

    periods: Mapping[str, int] = {}
    inside: Callable[[Call, Request, Flow], Verdict | None] | None = None

    def answered(self, call: Call) -> None:
        pass

    def payers(self, call: Call) -> Sequence[Payer]:
        return self.payers_of

    def credit_entry(self, account: str, need: int) -> str:
        return f"credit:{account}: {need} needed"

    def event(self, event: str, target: Any, account: str, engine: Engine) -> None:
        self.events.append((event, target.name if target is not None else account))

    def branch(self, call: Call, attempt: Attempt) -> Wait | None:
        assert self.on_branch is not None
        return self.on_branch(call, attempt)

    def replied(self, call: Call, attempt: Attempt, response: Response) -> None:
        assert self.on_reply is not None
        self.on_reply(call, attempt, response)

    def failed(self, call: Call, attempt: Attempt) -> Verdict | Wait:
        assert self.on_failure is not None
        return self.on_failure(call, attempt)

    def silent(self, target: Target) -> None:
        for one in self.gateways:
            if one.key == target.key and one.contacts:
                one.turn_from(target)

    def note(self, call: Call) -> None:
        if self.on_note is not None:
            self.on_note(call)

    def adopted(self, call: Call) -> None:
        if self.on_adopted is not None:
            self.on_adopted(call)

    @property
    def has_end_route(self) -> bool:
        return self.on_ended is not None

    def orphaned(self, cdr: Cdr, paid_until: int) -> None:
        self.orphans.append((cdr, paid_until))

    def diverted(self, call: Call, last: Attempt | None) -> Verdict | None:
        assert self.on_diverted is not None
        return self.on_diverted(call, last)

    def rerouted(self, call: Call) -> Verdict | Wait:
        return self.dial() if self.on_invite is None else self.on_invite(call)

    def ended(self, call: Call) -> None:
        if self.on_ended is not None:
            self.on_ended(call)

    wants_quality = False
    relays: Sequence[tuple[str, int]] = ()

    @property
    def all_targets(self) -> list[Gateway]:
        return self.gateways

    def health_of(self, key: str) -> GatewayState | None:
        return self.store.gateway_state(key)

    def max_duration_ms(self, cdr: Cdr) -> int:
        return self.timers.max_duration_ms

    def target(self, gateway: str) -> Gateway | None:
        key = gateway if gateway.startswith("gateway:") else f"gateway:{gateway}"
        return next((one for one in self.gateways if one.key == key), None)


class CopyingStore(MemoryLive):
    """The live store in memory that remembers each record as it was when it was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, bytes] = {}
        self.finished: list[str] = []
        self.ops: list[Op] = []

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]:
        results = []
        for op in ops:
            self.ops.append(op)
            results += super().commit([op], now_ms)
            if isinstance(op, Admit | Keep | Rehunt | Renew | Leave | Save):
                if op.record.id in self.records:
                    self.stored[op.record.id] = encode_call(op.record)
            elif isinstance(op, Finish):
                self.stored.pop(op.id, None)
                self.finished.append(op.id)
            elif isinstance(op, Forget):
                self.stored.pop(op.id, None)
        return results

    def copies(self) -> list[CallRecord]:
        """The calls in progress as a successor would read them; they become the store's own."""
        for record in [decode_call(value) for value in self.stored.values()]:
            self.records[record.id] = record
        return list(self.records.values())


class Line:
    """One dialog of a Phone, as its side sees it."""

    def __init__(self, phone: Phone, call_id: str, local: str, remote: str, target: str) -> None:
        self.phone = phone
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.target = target
        self.cseq = 0
        self.branch = ""
        self.via = ""

    def send(
        self, method: str, headers: str = "", body: bytes = b"", *, cseq: int | None = None,
        branch: str = "", to: tuple[str, int] = US,
    ) -> None:
        """Sends a request; a new CSeq unless given one."""
        if cseq is None:
            if method not in ("ACK", "CANCEL"):
                self.cseq += 1
            cseq = self.cseq
        if not branch:
            branch = self.branch if method == "CANCEL" else self.phone.fresh_branch()
        if method == "INVITE":
            self.branch = branch
        self.phone.send(
            f"{method} {self.target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.phone.address};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: {self.local}\r\nTo: {self.remote}\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\n{headers}",
            body, to,
        )

    def learn(self, response: Response) -> None:
        """The caller's side of the dialog, from a response with a tag."""
        self.remote = response.get("to")
        if response.contact_uri:
            self.target = response.contact_uri

    def ack_failure(self, response: Response) -> None:
        """The ACK of the transaction itself."""
        remote, self.remote = self.remote, response.get("to")
        self.send("ACK", branch=self.branch)
        self.remote = remote


class Phone:
    """A peer played by hand: keeps what it gets, sends what it is told."""

    def __init__(self, host: str, port: int = 5060) -> None:
        self.listener = Listener("udp", host, port)
        self.address = f"{host}:{port}"
        self.contact = f"Contact: <sip:{self.address}>\r\n"
        self.inbox: list[Request | Response] = []
        self.raw: list[bytes] = []
        self.sends: list[tuple[bytes, Flow]] = []
        self._branches = 0

    def fresh_branch(self) -> str:
        self._branches += 1
        return f"z9hG4bK-{self.listener.host}-{self._branches}"

    # What the network asks of an agent.

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        self.raw.append(data)
        try:
            self.inbox.append(parse_message(data))
        except SipError:  # what it sent itself may stand in it
            assert data.startswith(b"SIP/2.0 "), data

    def on_timers(self, now_ms: int) -> None:
        pass

    def next_timer_ms(self) -> int | None:
        return None

    def take_sends(self) -> list[tuple[bytes, Flow]]:
        sends, self.sends = self.sends, []
        return sends

    # What a test does with it.

    def send(self, head: str, body: bytes = b"", to: tuple[str, int] = US) -> None:
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode("utf-8", "surrogateescape")
        self.sends.append((data + body, Flow("udp", to[0], to[1], 0)))

    def send_raw(self, data: bytes, to: tuple[str, int] = US) -> None:
        self.sends.append((data, Flow("udp", to[0], to[1], 0)))

    def call(
        self, callee: str = "8613800", *, headers: str = "", body: bytes = SDP, cseq: int = 1,
        call_id: str = "", tag: str = "a-tag", branch: str = "",
    ) -> Line:
        """Sends an INVITE."""
        line = Line(
            self, call_id or f"call-{self.fresh_branch()}",
            f'"Alice" <sip:100@{self.address}>;tag={tag}', f"<sip:{callee}@10.0.0.1>",
            f"sip:{callee}@10.0.0.1:5060",
        )
        line.cseq = cseq - 1
        kind = SDP_TYPE if body else ""
        contact = "" if "Contact:" in headers else self.contact
        line.send("INVITE", contact + headers + kind, body, branch=branch)
        return line

    def reply(
        self, request: Request, status: int, headers: str = "", body: bytes = b"", *,
        tag: str = "b-tag", reason: str = "", contact: bool = True,
    ) -> None:
        """Answers a request; SDP with the INVITE's 200 and 183 is the test's own affair."""
        head = reply_head(request, tag if status > 100 else "")
        if contact and request.method == "INVITE" and 100 < status < 300:
            headers = self.contact + headers
        if body:
            headers += SDP_TYPE
        self.sends.append((
            render_response(status, reason or REASONS.get(status, "Odd"), head, headers, body),
            Flow("udp", US[0], US[1], 0),
        ))

    def line_of(self, invite: Request, tag: str = "b-tag") -> Line:
        """The called side of the dialog that an INVITE began."""
        return Line(
            self, invite.call_id, f"{invite.get('to')};tag={tag}", invite.get("from"),
            invite.contact_uri,
        )

    def got(self, what: str | int) -> list[Any]:
        """The requests of a method, or the responses of a status, so far."""
        if isinstance(what, int):
            return [m for m in self.inbox if isinstance(m, Response) and m.status == what]
        return [m for m in self.inbox if isinstance(m, Request) and m.method == what]

    def one(self, what: str | int) -> Any:
        """The only such message."""
        found = self.got(what)
        assert len(found) == 1, f"{len(found)} of {what} in {self.told()}"
        return found[0]

    def last(self, what: str | int) -> Any:
        found = self.got(what)
        assert found, f"no {what} in {self.told()}"
        return found[-1]

    def told(self) -> list[str]:
        """What came so far, in short."""
        return [_short(m) for m in self.inbox]


def _short(message: Request | Response) -> str:
    if isinstance(message, Request):
        return message.method
    return f"{message.status} {message.cseq_method}"


def _told(data: bytes) -> str:
    try:
        return _short(parse_message(data))
    except SipError:
        return data.partition(b"\r\n")[0].decode("utf-8", "replace")


class World:
    """One engine with a caller (`caller`, by hand `phone`) and gateways g1, g2, ..."""

    def __init__(
        self, gateways: Sequence[Gateway] = (), *, seed: int = 1,
        timers: TimerDefaults | None = None, fate: Callable[[bytes], list[int]] = instantly,
        listeners: Sequence[Listener] = (Listener("udp", *US), Listener("tcp", *US)),
    ) -> None:
        self.random = random.Random(seed)
        self.routes = Routes(gateways or [gateway("g1", 1), gateway("g2", 2), gateway("g3", 3)])
        self.timers = timers or TimerDefaults()
        self.store = self.routes.store = CopyingStore()
        self.listeners = listeners
        self.engine = self.make_engine(1)
        self.behaviours: dict[str, Behaviour] = {}
        self.caller = Agent(
            Listener("udp", *CALLER), token=self.token, now_ms=T0, timers=self.timers
        )
        self.gateways: dict[str, Agent] = {}
        self.phones: dict[str, Phone] = {}
        for one in self.routes.gateways:
            self.gateways[one.name] = Agent(
                Listener("udp", one.host, one.port), token=self.token, now_ms=T0,
                timers=self.timers, behave=self._behave_as(one.name),
            )
        self.network = Network(
            self.engine, self.store, [self.caller, *self.gateways.values()], T0,
            fate=fate, record=True,
        )
        self.errors_expected = False
        self.causes_expected = True
        """Whether every failure that leaves here is ours: relayed ones stay as they came."""

    def make_engine(self, generation: int) -> Engine:
        return Engine(
            self.routes, listeners=self.listeners, slot=0, slots=1, generation=generation,
            token=self.token, tally=Tally(), now_ms=T0, timers=self.timers,
        )

    def token(self) -> str:
        return f"{self.random.getrandbits(64):016x}"

    def _behave_as(self, name: str) -> Callable[[Request], Behaviour]:
        return lambda request: self.behaviours.get(name, Behaviour())

    # -- what a test does ---------------------------------------------------------------------

    def place(
        self, callee: str = "8613800", hang_up_after_ms: int | None = 5_000, **more: Any
    ) -> AgentCall:
        return self.caller.place(
            callee, "100", Flow("udp", *US, 0), hang_up_after_ms=hang_up_after_ms, **more
        )

    def phone(self, name: str = "caller") -> Phone:
        """A peer played by hand in the place of an agent: "caller", or a gateway's name."""
        if name not in self.phones:
            if name == "caller":
                address = CALLER
            else:
                target = self.routes.target(name)
                assert target is not None
                address = (target.host, target.port)
            self.phones[name] = self.network.agents[address] = Phone(*address)  # type: ignore
        return self.phones[name]

    def run(self, ms: int = 10) -> None:
        self.network.run_for(ms)

    @property
    def now(self) -> int:
        return self.network.now - T0

    def flush(self) -> None:
        """Commits and sends what was made outside of the network's steps."""
        self.network.run_for(0)

    def crash(self, *, told: bool = True) -> Engine:
        """The worker dies and a successor takes over what the store holds.

        `told`: its last words on whose answers have no ACK were of this moment.
        """
        dead, records = self.engine, self.store.copies()
        if told:
            said = {dead.generation: Unheard(self.network.now, dead.unheard)}
            for record in records:
                forget_heard(record, said)
        successor = self.make_engine(dead.generation + 1)
        self.engine = self.network.engine = successor
        successor.adopt(records, self.network.now)
        return successor

    # -- what it looks at ---------------------------------------------------------------------

    @property
    def cdrs(self) -> list[Cdr]:
        return list(self.store.cdrs.values())

    @property
    def cdr(self) -> Cdr:
        assert len(self.store.cdrs) == 1, f"{len(self.store.cdrs)} CDRs"
        return self.cdrs[0]

    def ladder(self) -> list[str]:
        """Every message of the network: `caller>us INVITE`, `us>g1 200 BYE`."""
        names = {US: "us", CALLER: "caller"}
        for one in self.routes.gateways:
            names[(one.host, one.port)] = one.name
        return [
            f"{names.get(w.source, w.source)}>{names.get(w.target, w.target)} "
            f"{_told(w.data)}"
            for w in self.network.wires
        ]

    def on_wire(self, text: str) -> list[bytes]:
        """The datagrams of the ladder that read `text`."""
        return [
            wire.data
            for wire, line in zip(self.network.wires, self.ladder(), strict=True)
            if line == text
        ]

    def without_cause(self) -> list[str]:
        """BYEs and failures of an INVITE that we sent without a Reason header."""
        told = []
        for wire, line in zip(self.network.wires, self.ladder(), strict=True):
            source, what = line.split(">", 1)
            words = what.split()
            failed = words[-1] == "INVITE" and words[1].isdigit() and int(words[1]) >= 300
            ours = source == "us" and (failed or words[1] == "BYE")
            if ours and b"\r\nReason: " not in wire.data:
                told.append(line)
        return told

    def errors(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [line for line in self.engine.logs if line[0] == "error"]

    # -- the end of every test ----------------------------------------------------------------

    def assert_nothing_is_left(self) -> None:
        """Lets every timer run out; then no call, lease, transaction or object may be there."""
        self.network.run_for(250_000)
        engine = self.engine
        engine.receive(b"\r\n\r\n", Flow("udp", "10.9.9.9", 9, 0), self.network.now)
        left = {
            "calls": list(engine.calls.values()),
            "legs": list(engine.legs.values()),
            "clients": list(engine.layer.clients.values()),
            "calling": engine.layer.calling,
            "servers": list(engine.layer.servers.values()),
            "initial": list(engine.initial.values()),
            "waiting": engine.waiting,
            "ops": engine.ops,
            "unheard": engine.unheard,
            "records": list(self.store.records),
        }
        assert not any(left.values()), left
        assert len(engine.layer.wheel) == 0, "timers of calls that are over"
        assert self.store.verify() == []
        assert all(usage.in_use == 0 for usage in self.store.usages("").values())
        assert len(self.store.finished) == len(set(self.store.finished)), "a call finished twice"
        told = self.without_cause() if self.causes_expected else []
        assert told == [], f"without a Q.850 cause: {told}"
        if not self.errors_expected:
            assert self.errors() == [], self.errors()[0][2].get("trace")


def survivors(worlds: Sequence[World]) -> list[object]:
    """The engines' objects of calls that are still alive: with the collector off, the leaked."""
    engines = [world.engine for world in worlds]
    return [
        one
        for one in gc.get_objects()
        if type(one) in (Call, Attempt, Relay, Leg)
        and any(getattr(one, "engine", None) is engine for engine in engines)
    ]
