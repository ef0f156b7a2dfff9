"""What a whole call costs the engine: seven datagrams in, seven out, admission, dialog and CDR.

The peers' sides are recorded once, in virtual time, and then played back: every token comes from a
seed, so the engine of each round sends what the recorded one sent. Parsing and building count, the
store is the one in memory, and there are no sockets and no peers in what is measured.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar

import pytest

from dsl.load import load_program
from dsl.program import Program
from router.core.agent import Agent
from router.core.engine import Engine
from router.core.flow import Flow, Listener
from router.core.network import Network
from router.core.parameters import CallTimers, TimerDefaults
from router.core.policy import Policy
from router.core.tally import Tally
from router.core.verdicts import Dial, Respond, Target, Verdict
from router.routing.accounts import openings
from router.routing.config import build_config
from router.routing.objects import DEFAULT_SWITCH_ON, Gateway
from router.routing.surface import SURFACE
from router.routing.switch import build_switch
from router.store.memory import MemoryLive
from router.store.ops import Hold
from router.store.records import Cdr

T0 = 1_700_000_000_000
CALLS = 300
BETWEEN_MS = 2
US, CALLER, GATEWAY = ("10.0.0.1", 5060), ("10.0.0.2", 5060), ("10.0.0.9", 5060)

Recording = list[tuple[int, bytes, Flow]]

ROUTES = """
listen = udp:10.0.0.1:5060
gateway gw { address = 10.0.0.9:5060  prefixes = 86  lines = 100000 }
account acme { lines = 100000  trunk office { ips = 10.0.0.0/24  lines = 100000 } }
branch_route[OUT] { set_header("X-Account", $account.id); }
request_route {
    if ($ua =~ /friendly-scanner|sipvicious/i) drop;
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "INVITE": route(CALL);
        default: reply(405);
    }
}
route[CALL] {
    if (!identify()) end(IllegalCall);
    if (len($rU) > 20) end(CalledNumberRestricted);
    call(gateways($rU), on_branch = OUT);
}
"""

PRICED_ROUTES = (
    ROUTES.replace("prefixes = 86", "prefixes = 86  deck = vendor")
    .replace("account acme {", "account acme { deck = retail ")
    + 'deck retail { file = "rates.csv" }\ndeck vendor { file = "rates.csv" }\n'
)
BALANCE = "balance = 1000000  deck = retail"
CREDIT_ROUTES = (
    PRICED_ROUTES.replace("account acme { deck = retail", f"account acme {{ agent = top  {BALANCE}")
    + f"account top {{ lines = 100000  {BALANCE} }}\n"
)
# Beginnings of several lengths, the longest of which do not match.
RATES = "prefix,rate_per_min\n86,0.12\n" + "".join(
    f"{10 ** length},0.1\n" for length in range(8)
)


class Fixed:
    """A policy without any routes: what the core costs alone."""

    wants_quality = False
    has_end_route = False
    relays: Sequence[tuple[str, int]] = ()

    def __init__(self) -> None:
        gateway = Gateway(
            "gw", "udp", *GATEWAY, ("86",), 1, 100_000, DEFAULT_SWITCH_ON, False, False, {}
        )
        self._gateway = gateway
        self._dial = Dial(
            ((gateway.candidate,),), (Hold("account:acme", 100_000),), {gateway.key: gateway},
            {gateway.key: CallTimers()}, 5,
        )

    def invite(self, call: Any) -> Verdict:
        call.caller = "1000"
        return self._dial

    def request(self, request: Any, flow: Flow, engine: Engine) -> Verdict:
        return Respond(200)

    def branch(self, *_: Any) -> None:
        raise AssertionError

    def replied(self, *_: Any) -> None:
        raise AssertionError

    def failed(self, *_: Any) -> Verdict:
        raise AssertionError

    inside = None

    def silent(self, target: Any) -> None:
        pass

    def note(self, call: Any) -> None:
        pass

    def adopted(self, call: Any) -> None:
        raise AssertionError

    low_balances: ClassVar[dict[str, int]] = {}

    def answered(self, call: Any) -> None:
        pass

    def payers(self, call: Any) -> list[Any]:
        raise AssertionError

    def credit_entry(self, account: str, need: int) -> str:
        raise AssertionError

    def orphaned(self, cdr: Any, paid_until: int) -> None:
        pass

    def ended(self, call: Any) -> None:
        pass

    def target(self, key: str) -> Target | None:
        return self._gateway

    def max_duration_ms(self, cdr: Cdr) -> int:
        return 7_200_000


class OneFile:
    def __init__(self, routes: str) -> None:
        self._routes = routes

    def read(self, path: str) -> bytes:
        return (RATES if path.endswith(".csv") else self._routes).encode()

    def matches(self, pattern: str) -> list[str]:
        return []

    def variable(self, name: str) -> str | None:
        return None


def fixed(tally: Tally) -> Policy:
    return Fixed()


@cache
def program(routes: str) -> Program:
    return load_program("/routes.cfg", SURFACE, OneFile(routes))


def compiled(tally: Tally, routes: str = ROUTES) -> Policy:
    loaded = program(routes)
    return build_switch(
        loaded, build_config(loaded), tally=tally, stopwatch=lambda: 0.0, log=lambda *_, **__: None
    )


def priced(tally: Tally) -> Policy:
    """The same routes for an account and a gateway with decks."""
    return compiled(tally, PRICED_ROUTES)


def credited(tally: Tally) -> Policy:
    """The same, where the account and an agent above it pay from a balance."""
    return compiled(tally, CREDIT_ROUTES)


def make_store() -> MemoryLive:
    """A store in which the accounts have their money."""
    store = MemoryLive()
    accounts = build_config(program(CREDIT_ROUTES)).accounts.values()
    store.commit(openings(accounts, T0), T0)
    return store


def tokens(seed: int) -> Callable[[], str]:
    source = random.Random(seed)
    return lambda: f"{source.getrandbits(64):016x}"


def make_engine(policy: Callable[[Tally], Policy]) -> Engine:
    tally = Tally()
    return Engine(
        policy(tally), listeners=[Listener("udp", *US)], slot=0, slots=1, generation=1,
        token=tokens(1), tally=tally, now_ms=T0, timers=TimerDefaults(),
    )


class Listening(Engine):
    """An engine that keeps what it received."""

    heard: Recording

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        self.heard.append((now_ms, data, flow))
        super().receive(data, flow, now_ms)


def record(policy: Callable[[Tally], Policy]) -> Recording:
    """What comes in when so many calls are placed, one every two milliseconds."""
    tally = Tally()
    engine = Listening(
        policy(tally), listeners=[Listener("udp", *US)], slot=0, slots=1, generation=1,
        token=tokens(1), tally=tally, now_ms=T0, timers=TimerDefaults(),
    )
    engine.heard = []
    caller = Agent(Listener("udp", *CALLER), token=tokens(2), now_ms=T0)
    gateway = Agent(Listener("udp", *GATEWAY), token=tokens(3), now_ms=T0)
    network = Network(engine, make_store(), [caller, gateway], T0)
    for _ in range(CALLS):
        caller.place("8613800138000", "1000", Flow("udp", *US, 0), hang_up_after_ms=50)
        network.run_for(BETWEEN_MS)
    network.run_for(1_000)
    assert len(engine.heard) == 7 * CALLS
    return engine.heard


def play(engine: Engine, store: MemoryLive, recording: Recording) -> int:
    """The driver's turns without its sockets: one a millisecond, as at 500 calls/s."""
    sent = at = 0
    end = len(recording)
    while at < end:
        now = recording[at][0]
        while at < end and recording[at][0] == now:
            _, data, flow = recording[at]
            engine.receive(data, flow, now)
            at += 1
        due = engine.next_timer_ms()
        if due is not None and due <= now:
            engine.on_timers(now)
        while ops := engine.take_ops():
            engine.on_committed(store.commit(ops, now), now)
        sent += len(engine.take_sends())
    return sent


@pytest.mark.parametrize("policy", [fixed, compiled, priced, credited])
def test_a_call_from_invite_to_cdr(
    benchmark: Any, policy: Callable[[Tally], Policy]
) -> None:
    recording = record(policy)

    def begin() -> tuple[tuple[Engine, MemoryLive], dict[str, Any]]:
        gc.collect()
        return (make_engine(policy), make_store()), {}

    def run(engine: Engine, store: MemoryLive) -> None:
        assert play(engine, store, recording) == 7 * CALLS
        assert len(store.cdrs) == CALLS
        assert not engine.logs

    gc.disable()  # as in a worker, where the collector is frozen after boot
    try:
        benchmark.pedantic(run, setup=begin, rounds=20)
    finally:
        gc.enable()
    if benchmark.stats is not None:
        benchmark.extra_info["us_a_call"] = benchmark.stats.stats.median / CALLS * 1e6


def test_the_recording_is_of_whole_answered_calls() -> None:
    """What the benchmark plays back ends every call normally, and leaves nothing."""
    recording = record(credited)
    engine, store = make_engine(credited), make_store()
    play(engine, store, recording)
    assert {cdr.end_reason for cdr in store.cdrs.values()} == {"Normal"}
    assert {cdr.account for cdr in store.cdrs.values()} == {"acme"}
    assert {cdr.rate_prefix for cdr in store.cdrs.values()} == {"86"}
    assert all(cdr.charge == cdr.cost > 0 for cdr in store.cdrs.values())
    assert store.money("acme").balance == store.money("top").balance < 10**12
    assert engine.calls == {} and engine.legs == {}
    assert store.verify() == []
