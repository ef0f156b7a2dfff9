"""What routes see of live state: lines in use, groups, paces, shared values and rates."""

from __future__ import annotations

from typing import Any

import pytest
from routed import T0, US, Routed, config_of

from router.core.agent import Behaviour
from router.core.flow import Flow
from router.store.ops import UNLIMITED, Candidate, Hold

REFUSING = Behaviour(status=503, ring_after_ms=None)
GATEWAYS = """
group cheap { lines = 2 %(group)s }
group dear  { }
gateway a { address = 10.0.1.1:5071  prefixes = 86  group = cheap %(a)s }
gateway b { address = 10.0.1.2:5072  prefixes = 86  group = cheap  priority = 2 }
gateway c { address = 10.0.1.3:5073  prefixes = 86  group = dear  priority = 3 }
account acme { %(account)s  trunk office { ips = 192.0.2.0/24 %(trunk)s } }
%(top)s
request_route {
    if ($rm != "INVITE") { %(other)s reply(404); }
    if (!identify()) end(IllegalCall);
    %(route)s
    call(%(list)s);
}
"""


def text(**parts: str) -> str:
    names = ("group", "a", "account", "trunk", "top", "other", "route")
    return GATEWAYS % {**dict.fromkeys(names, ""), "list": "gateways($rU)", **parts}


def routed(**parts: str) -> Routed:
    return Routed(text(**parts))


def start(world: Routed, callee: str = "8613800") -> Any:
    """A call that goes on."""
    call = world.caller.place(callee, "1000", Flow("udp", *US, 0))
    world.network.run_for(100)
    return call


def decisions(world: Routed) -> list[list[str]]:
    found = [*world.store.cdrs.values(), *(call.cdr for call in world.engine.calls.values())]
    return [cdr.decision for cdr in sorted(found, key=lambda cdr: cdr.id)]


def log(world: Routed) -> list[str]:
    return [line for _, line, _ in world.lines]


# -- groups ---------------------------------------------------------------------------------------


def test_a_group_has_its_gateways_and_limits() -> None:
    config = config_of(text(group="cps = 7", a="cps = 3"))
    cheap = config.groups["cheap"]
    assert (cheap.lines, cheap.cps, cheap.limited) == (2, 7, True)
    assert not config.groups["dear"].limited
    assert config.gateways["a"].candidate == Candidate(
        "gateway:a", UNLIMITED, 3, (Hold("group:cheap", 2, 7),)
    )
    assert config.gateways["c"].candidate == Candidate("gateway:c")
    assert [one.name for one in config.members["cheap"]] == ["a", "b"]


def test_a_groups_lines_are_those_of_all_its_gateways_together() -> None:
    world = routed()
    world.behaviours["a"] = REFUSING
    for _ in range(3):
        start(world)
    assert [entries[-1] for entries in decisions(world)] == ["b: taken", "b: taken", "c: taken"]
    assert "a: every line of group cheap in use" in decisions(world)[2]
    assert world.store.usage("group:cheap").in_use == 2
    assert world.store.verify() == []


def test_the_gateways_of_a_group_are_a_list_whatever_their_prefixes() -> None:
    world = routed(list='group("cheap")')
    world.behaviours["a"] = REFUSING
    world.place("4930")
    assert world.cdr.gateway == "b"
    assert world.cdr.decision[1] == "candidates: a */1, b */2"
    empty = Routed(text(list="group($rU)"))
    empty.place("cheap")
    assert empty.cdr.gateway == "a"
    nobody = Routed(text(list="group($rU)"))
    assert nobody.place("nothing").status == 404


def test_a_trunk_may_be_kept_to_groups() -> None:
    world = routed(trunk="groups = dear")
    world.place("8613800")
    assert world.cdr.gateway == "c"
    assert world.cdr.decision[2:] == [
        "a: it is in no group of trunk acme/office", "b: it is in no group of trunk acme/office",
        "c: taken",
    ]


# -- calls a second -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "entry"),
    [
        ({"account": "cps = 2"}, "account:acme: calls per second used up"),
        ({"trunk": "cps = 2"}, "trunk:acme/office: calls per second used up"),
        ({"top": "cps = 2"}, "server:: calls per second used up"),
        ({"top": "lines = 2"}, "server:: every line in use"),
        ({"account": "lines = 2"}, "account:acme: every line in use"),
    ],
)
def test_a_limit_of_the_whole_call_refuses_the_third(parts: dict[str, str], entry: str) -> None:
    world = routed(**parts)
    calls = [start(world) for _ in range(3)]
    assert [call.status for call in calls] == [200, 200, 503]
    assert decisions(world)[2][-1] == entry
    (refused,) = world.store.cdrs.values()
    assert refused.end_reason == "ConnectionLimitExceeded"


def test_a_call_of_nobody_counts_for_the_server_too() -> None:
    world = Routed("lines = 1\ngateway g { address = 10.0.1.1 }\nrequest_route { call(g); }")
    calls = [start(world) for _ in range(2)]
    assert [call.status for call in calls] == [200, 503]


@pytest.mark.parametrize("parts", [{"a": "cps = 1"}, {"a": "lines = 1"}])
def test_a_limit_of_a_gateway_leads_to_the_next(parts: dict[str, str]) -> None:
    world = routed(**parts)
    start(world)
    start(world)
    assert [entries[-1] for entries in decisions(world)] == ["a: taken", "b: taken"]


def test_after_a_second_the_pace_is_free_again() -> None:
    world = routed(account="cps = 1")
    assert start(world).status == 200
    assert start(world).status == 503
    world.network.run_for(900)
    assert start(world).status == 200


# -- lines in use ---------------------------------------------------------------------------------


def test_lines_in_use_are_read_as_they_were_before_this_call() -> None:
    world = routed(
        route='log(info, str(lines_used(a)) + str($account.lines_used) + str(lines_used($trunk))'
        " + str(lines_used($account)) + str($trunk.lines_used));"
    )
    for _ in range(3):
        start(world)
    assert log(world) == ["00000", "11111", "22222"]
    assert world.store.usage("trunk:acme/office").in_use == 3


def test_a_trunk_without_limits_is_counted_only_where_somebody_asks() -> None:
    assert config_of(text()).trunks.find("192.0.2.1", "") is not None
    quiet = config_of(text()).trunks.find("192.0.2.1", "")
    asking = config_of(text(route="if ($trunk.lines_used > 3) end(AccountLocked);")).trunks
    found = asking.find("192.0.2.1", "")
    assert quiet is not None and found is not None
    assert [hold.key for hold in quiet.holds] == ["account:acme"]
    assert [hold.key for hold in found.holds] == ["account:acme", "trunk:acme/office"]


def test_the_gateways_lines_are_seen_in_its_branch() -> None:
    world = Routed(
        text(list="gateways($rU), on_branch = B")
        + "branch_route[B] { log(info, $gateway.id + str($gateway.lines_used)); }"
    )
    start(world)
    start(world)
    assert log(world) == ["a1", "a2"]


# -- shared values --------------------------------------------------------------------------------


def test_a_shared_value_is_seen_at_once_and_later_until_its_end() -> None:
    world = routed(
        route='let before = cache_get($fU, "none");\n'
        'if (before == "none") cache_set($fU, $rU, 10s);\n'
        'log(info, before + " " + cache_get($fU) + "|" + cache_get("other"));'
    )
    start(world, "8613")
    start(world, "8614")
    world.network.run_for(10_000)
    start(world, "8615")
    assert log(world) == ["none 8613|", "8613 8613|", "none 8615|"]


def test_two_requests_of_one_turn_see_each_others_values() -> None:
    world = routed(route='log(info, cache_get("k", "none")); cache_set("k", $rU, 1m);')
    for callee in ("8613", "8614"):
        world.caller.place(callee, "1000", Flow("udp", *US, 0))
    world.network.run_for(50)
    assert log(world) == ["none", "8613"]
    assert world.store.recall("k", T0 + 50) == "8614"


def test_a_value_can_be_taken_back_and_one_that_is_too_long_is_not_shared() -> None:
    world = routed(
        route='cache_set("k", "v", 1m); cache_set("k", "", 0s);\nlog(info, cache_get("k", "gone"));'
        '\ncache_set("k", $hdr(X-Long), 1m);\nlog(info, cache_get("k", "gone"));'
    )
    world.place("8613", extra=f"X-Long: {'x' * 1025}\r\n")
    assert log(world) == [
        "gone", "cache_set: a value of 1025 characters is too long to be shared", "gone",
    ]
    assert world.lines[1][0] == "warning"


def test_a_request_that_is_no_call_shares_too() -> None:
    world = routed(other='cache_set("seen", $rm, 1m); if (!rate_limit($si, 1, 1s)) reply(503);')
    for number in range(2):
        options = (
            f"OPTIONS sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK{number}"
            "\r\nFrom: <sip:b@x>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 4 OPTIONS\r\n\r\n"
        ).encode()
        world.engine.receive(options, Flow("udp", "192.0.2.10", 5060, 0), T0)
    sent = [data.split(b"\r\n")[0] for data, _ in world.engine.take_sends()]
    assert sent == [b"SIP/2.0 404 Not Found", b"SIP/2.0 503 Service Unavailable"]
    world.network.run_for(10)
    assert world.store.recall("seen", T0 + 10) == "OPTIONS"


# -- rates ----------------------------------------------------------------------------------------


def test_a_rate_lets_so_many_through_in_its_time() -> None:
    world = routed(route="if (!rate_limit($fU, 2, 10s)) end(ConnectionLimitExceeded);")
    statuses = [start(world).status for _ in range(4)]
    assert statuses == [200, 200, 503, 503]
    world.network.run_for(10_000)
    assert start(world).status == 200


def test_each_kind_of_key_is_its_own() -> None:
    world = routed(
        top="",
        route='log(info, str(rate_limit("acme", 1, 1m)) + str(rate_limit($account, 1, 1m))'
        " + str(rate_limit($trunk, 1, 1m)) + str(rate_limit($si, 1, 1m))"
        " + str(rate_limit(a, 1, 1m)));",
    )
    start(world)
    start(world)
    assert log(world) == ["true" * 5, "false" * 5]


# -- what the core does with them -----------------------------------------------------------------


def test_a_shared_value_of_a_turn_that_could_not_be_committed_is_not_tried_again() -> None:
    world = routed(other='cache_set("seen", $rm, 1m);')
    options = (
        b"OPTIONS sip:x@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n"
        b"From: <sip:b@x>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 4 OPTIONS\r\n\r\n"
    )
    world.engine.receive(options, Flow("udp", "192.0.2.10", 5060, 0), T0)
    assert len(world.engine.take_ops()) == 1
    world.engine.on_commit_failed(T0)
    world.network.run_for(5_000)
    assert world.store.recall("seen", T0 + 5_000) is None
