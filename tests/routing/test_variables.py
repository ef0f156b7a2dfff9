"""`$call` variables live as long as the call, also when its worker does not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from routed import T0, Routed

from dsl.types import BOOL, DECIMAL, DURATION, INT, STRING
from router.core.agent import Behaviour
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.routing.variables import texts_of, values_of
from router.store.records import decode_call, encode_call

REFUSES = Behaviour(ring_after_ms=None, status=503)
RINGS = Behaviour(answer_after_ms=None)
TYPES = {"s": STRING, "n": INT, "b": BOOL, "d": DECIMAL, "t": DURATION}
OBJECTS = """
gateway g1 { address = 10.0.0.2  prefixes = 86 }
gateway g2 { address = 10.0.0.3  prefixes = 86  priority = 2 }
account acme { trunk office { ips = 192.0.2.0/24 } }
"""
ROUTES = """
request_route {
    $call.tier = "gold";
    $call.share = 0.25;
    if (!identify()) end(IllegalCall);
    call(gateways($rU), on_branch = B, on_reply = R, on_failure = F);
}
branch_route[B]  { $call.attempts = $call.attempts + 1; }
reply_route[R]   { $call.early = $rs == 183 || $call.early; }
failure_route[F] { $call.failed = $rs; next(); }
"""


@pytest.mark.parametrize(
    "values",
    [
        {"s": "gold", "n": -3, "b": True, "d": Decimal("0.1250"), "t": 90_000},
        {"s": "", "n": 0, "b": False, "d": Decimal("-12"), "t": 0},
        {"other": "2026"},
    ],
)
def test_values_come_back_from_their_texts(values: dict[str, object]) -> None:
    assert values_of(texts_of(values), TYPES) == (values, [])


@pytest.mark.parametrize(
    ("name", "text"),
    [("n", "gold"), ("n", "1.5"), ("n", ""), ("n", "9" * 5000), ("b", "1"), ("d", "NaN"),
     ("t", "30s")],
)  # fmt: skip
def test_a_text_that_is_none_of_its_type_is_named_and_left_out(name: str, text: str) -> None:
    assert values_of({name: text, "s": "kept"}, TYPES) == ({"s": "kept"}, [name])


def calling(text: str, until_ms: int = 1_000, g1: Behaviour | None = None) -> Routed:
    """A router with a call that has gone on for some time; the caller hangs up after 5 s."""
    world = Routed(OBJECTS + text)
    if g1 is not None:
        world.behaviours["g1"] = g1
    world.caller.place("8613800", "1000", Flow("udp", "10.0.0.1", 5060, 0), hang_up_after_ms=5_000)
    world.network.run_for(until_ms)
    return world


def dies(world: Routed, text: str = "") -> Routed:
    """The worker is gone; one with these routes, or the same, takes over what was stored."""
    routes = Routed(OBJECTS + text) if text else world
    records = [decode_call(encode_call(record)) for record in world.store.records.values()]
    world.store.records.update({record.id: record for record in records})
    successor = Engine(
        routes.switch,
        listeners=world.config.listeners,
        slot=0,
        slots=1,
        generation=2,
        token=world.token,
        tally=Tally(),
        now_ms=T0,
        timers=TimerDefaults(),
    )
    successor.adopt(records, world.network.now)
    world.engine = world.network.engine = successor
    world.network.run_for(60_000)
    assert world.traces == []
    assert world.store.verify() == []
    return routes


def test_an_answered_call_keeps_them_when_its_worker_dies() -> None:
    world = calling(ROUTES, g1=REFUSES)
    dies(world)
    assert world.cdr.end_reason == "Normal"
    assert world.cdr.variables == {
        "tier": "gold",
        "share": "0.25",
        "attempts": "2",
        "early": "false",
        "failed": "503",
    }


END_ROUTE = """
end_route {
    if ($call.share + 0.25 == 0.5 && $call.attempts == 2) $call.tier = $call.tier + "+";
    log(info, $account.id + " " + $trunk.id + " " + $gateway.id + " " + $rU + " " + $fU);
    log(info, $rm + " " + str($si) + " " + $fu + " " + $tU + " " + $ru + $ua + $rb + $ct + $td);
    log(info, $ci + str($mf) + $hdr(X-A) + str($cs) + $fn + $fd + $tu + $rd + $pr + str($sp));
}
"""


def test_the_successor_runs_end_route_with_their_types() -> None:
    world = calling(ROUTES + END_ROUTE, g1=REFUSES)
    call_id = next(iter(world.engine.calls.values())).cdr.call_id
    dies(world)
    assert world.cdr.variables["tier"] == "gold+"
    said = [text for _, text, _ in world.lines]
    assert said[0] == "acme office g2 8613800 1000"
    assert said[1].startswith("INVITE 192.0.2.10 sip:1000@")
    assert said[2].startswith(f"{call_id}70")


def test_the_successor_runs_end_route_of_a_call_that_was_not_answered() -> None:
    world = Routed(OBJECTS + ROUTES + END_ROUTE)
    world.behaviours.update(g1=REFUSES, g2=RINGS)
    placed = world.caller.place("8613800", "1000", Flow("udp", "10.0.0.1", 5060, 0))
    world.network.run_for(500)
    call_id = placed.leg.call_id
    dies(world)
    assert world.cdr.end_reason == "ServerFailure"
    assert world.cdr.variables["failed"] == "503"
    said = [text for _, text, _ in world.lines]
    assert said[0] == "acme office g2 8613800 1000"
    assert said[1].startswith("INVITE 192.0.2.10 sip:1000@")
    assert said[2].startswith(f"{call_id}70")


def test_a_successor_of_a_successor_has_them_too() -> None:
    world = calling(ROUTES)
    records = list(world.store.records.values())
    successor = Engine(
        world.switch,
        listeners=world.config.listeners,
        slot=0,
        slots=1,
        generation=2,
        token=world.token,
        tally=Tally(),
        now_ms=T0,
        timers=TimerDefaults(),
    )
    successor.adopt([decode_call(encode_call(one)) for one in records], world.network.now)
    world.engine = world.network.engine = successor
    world.network.run_for(100)
    dies(world)
    assert world.cdr.variables["tier"] == "gold"
    assert world.cdr.variables["attempts"] == "1"


@pytest.mark.parametrize(
    ("g1", "more"), [(RINGS, {}), (REFUSES, {"attempts": "1", "early": "false", "failed": "503"})]
)
def test_an_unanswered_call_has_what_was_known_when_a_gateway_was_asked_for(
    g1: Behaviour, more: dict[str, str]
) -> None:
    world = Routed(OBJECTS + ROUTES)
    world.behaviours.update(g1=g1, g2=RINGS)
    world.caller.place("8613800", "1000", Flow("udp", "10.0.0.1", 5060, 0))
    world.network.run_for(500)
    dies(world)
    assert world.cdr.end_reason == "ServerFailure"
    assert world.cdr.variables == {"tier": "gold", "share": "0.25", **more}


def test_other_routes_after_the_takeover_read_them_with_types_of_their_own() -> None:
    world = calling(ROUTES)
    other = ROUTES.replace('"gold"', "7").replace("0.25", '"much"')
    routes = dies(world, other)
    assert [(level, text) for level, text, _ in routes.lines] == [
        ("warning", "$call.tier is int now and was gold")
    ]
    assert world.cdr.variables["share"] == "0.25"
    assert "tier" not in world.cdr.variables
