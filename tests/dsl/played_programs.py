"""Plays calls through a program at random, and tells what went wrong inside of the router."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from dsl.program import Position, Program
from dsl.trials import (
    ANSWERS,
    EARLY_MEDIA,
    REPLIES,
    RINGS,
    SILENT,
    Cancels,
    GatewayActs,
    HangsUp,
    Invite,
    SetHealth,
    Step,
    Wait,
)
from router.core.flow import Flow
from router.core.transactions.client_request import Silent
from router.routing.trial.ground import Ground
from router.routing.trial.results import Unmet
from router.routing.trial.steps import Player
from router.routing.trial.world import World
from router.sip.errors import SipError
from router.sip.message import Request, parse_message
from router.sip.name_addr import parse_name_addr
from router.sip.uri import parse_uri

HERE = Position("random.cfg", 1, 1)
DAY_MS = 86_400_000
CALLEES = ("8613800138000", "861", "44", "1000", "0086", "+86", "#21", "00", "86" * 16)
CALLERS = ("1000", "86139", "anonymous", "+49 30", "1")
SOURCES = ("127.0.0.1", "10.1.2.3", "192.0.2.200", "203.0.113.9")
STATUSES = (100, 180, 183, 302, 401, 404, 408, 480, 486, 488, 500, 503, 503, 503, 600, 603)
OPTIONS = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5099;branch=z9hG4bK%d\r\n"
    "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: options-%d\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)
ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length")
WRITERS_MISTAKES = (
    *("ZeroDivisionError", "DivisionByZero", "InvalidOperation", "TooManySteps"),
    "LiteralError",  # of rules, times and addresses that are put together while the route runs
)
"""What a program may do that nobody can foresee."""


def play(program: Program, random: Random) -> list[str]:
    """Plays some calls and an OPTIONS; every fault, of a route or of the engine's own."""
    world = World(Ground(program))
    player = Player(world)
    gateways = [block.name for block in program.blocks_of("gateway")]
    for number in range(random.randint(1, 3)):
        step: Step = _invite(random)
        for _ in range(random.randint(1, 8)):
            with suppress(Unmet):  # a gateway that has no call cannot answer it
                player.play(step)
            _send_inside(world, random)
            open_ = [one.record.gateway for one in world.arrivals if one.open]
            step = _step(random, open_ or gateways)
        data = (OPTIONS % (number, number)).encode()
        world.engine.receive(data, Flow("udp", "127.0.0.1", 5099, 0), world.now)
    world.pass_time(2 * DAY_MS)
    faults = [fields["trace"] for _, _, fields in world.logs if "trace" in fields]
    faults += [f"the store: {wrong}" for wrong in world.store.verify()]
    faults += _malformed(world)
    if world.engine.active_calls or world.engine.legs or world.store.records:
        faults.append("something of a call is left after two days")
    if not faults and "ServerFailure" not in program.source:
        faults += [
            f"ServerFailure: {cdr.decision}"
            for cdr in world.store.cdrs.values()
            if cdr.end_reason == "ServerFailure"
        ]
    return faults


def _send_inside(world: World, random: Random) -> None:
    """A request inside each call that has been answered, of its caller's."""
    for call in world.calls:
        leg = call.caller.leg
        if leg.remote_tag and not leg.closing and not call.over:
            world.wake(leg.engine)  # type: ignore[arg-type]  # the agent that it is of
            leg.send_request(random.choice(("INFO", "UPDATE", "MESSAGE", "PRACK")), Silent)
            world.pass_time(random.choice((0, 5, 200)))


def _malformed(world: World) -> list[str]:
    """What the router sent that is no proper SIP message."""
    ours = {(listener.host, listener.port) for listener in world.ground.listeners}
    found = []
    for wire in world.network.wires:
        if wire.source not in ours:
            continue
        try:
            message = parse_message(wire.data)
            if isinstance(message, Request):
                parse_uri(message.uri)
            for name in ("from", "to", "contact"):
                for value in message.get_all(name):
                    parse_uri(parse_name_addr(value).uri)
            several = [name for name in ONCE if len(message.get_all(name)) > 1]
        except SipError as error:
            found.append(f"malformed: {error}: {wire.data!r}")
        else:
            found += [f"more than one {name}: {wire.data!r}" for name in several]
    return found


def is_writers_mistake(fault: str) -> bool:
    """Whether a fault is one that only the writer of a program can avoid."""
    last = fault.strip().splitlines()[-1]
    return any(name in last for name in WRITERS_MISTAKES)


def _invite(random: Random) -> Step:
    headers = [("X-A", "86"), ("X-B", "a b"), ("Max-Forwards", "0"), ("User-Agent", "scanner")]
    return Invite(
        HERE,
        "invite",
        random.choice(SOURCES),
        0,
        random.choice(CALLERS),
        random.choice(CALLEES),
        tuple(random.sample(headers, random.choice((0, 0, 1, 2)))),
        random.choice(((), ("PCMA", "G729"))),
    )


def _step(random: Random, gateways: list[str]) -> Step:
    after_ms = random.choice((0, 0, 0, 7, 1_000, 31_000, 200_000))
    gateway = random.choice(gateways)
    what = random.randrange(12)
    if what == 0:
        return Cancels(HERE, "cancels", after_ms)
    if what == 1:
        return HangsUp(HERE, "hangs up", random.choice(("caller", "callee")), after_ms)
    if what == 2:
        return Wait(HERE, "wait", after_ms)
    if what == 3:
        return SetHealth(HERE, "health", gateway, random.random() < 0.5)
    action = random.choice((*[REPLIES] * 3, RINGS, ANSWERS, ANSWERS, SILENT, EARLY_MEDIA))
    status = random.choice(STATUSES) if action == REPLIES else 0
    return GatewayActs(HERE, "acts", gateway, action, status, after_ms)
