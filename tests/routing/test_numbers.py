"""Numbers on their way: rewritten in and out, screened, and what the caller is told."""

from __future__ import annotations

from typing import Any

import pytest
from routed import Routed

from router.core.agent import Behaviour

GATEWAYS = """
gateway g1 { address = 10.0.1.1:5071  prefixes = 86  priority = 1 %s }
gateway g2 { address = 10.0.1.2:5072  prefixes = 86  priority = 2 }
account acme { trunk office { ips = 192.0.2.0/24 %s } }
branch_route[OUT] { log(info, "out " + $rU + " " + $fU); }
request_route {
    %s
    if (!identify()) end(IllegalCall);
    if (!identify()) end(IllegalCall);
    log(info, "in " + $rU + " " + $fU);
    call(gateways($rU), on_branch = OUT);
}
"""
REFUSING = Behaviour(status=503, ring_after_ms=None)


def routed(gateway: str = "", trunk: str = "", first: str = "") -> Routed:
    return Routed(GATEWAYS % (gateway, trunk, first))


def log(world: Routed) -> list[str]:
    return [text for _, text, _ in world.lines]


def test_a_trunks_rules_change_both_numbers_when_it_is_identified_and_once() -> None:
    world = routed(trunk='callee_in = "9:, 0086:86"  caller_in = "1:11"')
    world.place("98613800", "1000")
    assert log(world) == ["in 8613800 11000", "out 8613800 11000"]
    assert world.sent_to("g1").uri == "sip:8613800@10.0.1.1:5071"
    cdr = world.cdr
    assert (cdr.callee_in, cdr.caller_in) == ("98613800", "1000")
    assert (cdr.callee_out, cdr.caller_out) == ("8613800", "11000")
    assert cdr.decision == [
        "trunk acme/office: network 192.0.2.0/24",
        "callee 98613800 > 8613800: callee_in of trunk acme/office",
        "caller 1000 > 11000: caller_in of trunk acme/office",
        "candidates: g1 86/1, g2 86/2",
        "g1: taken",
    ]


def test_a_gateways_rules_change_what_goes_there_alone_and_branch_route_sees_it() -> None:
    world = routed('callee_out = "86:0086"  caller_out = "1000:"')
    world.behaviours["g1"] = REFUSING
    world.place("8613800", "1000")
    assert log(world) == ["in 8613800 1000", "out 008613800 ", "out 8613800 1000"]
    assert world.sent_to("g1").uri == "sip:008613800@10.0.1.1:5071"
    assert world.sent_to("g1").get("from").startswith("<sip:10.0.0.1")
    assert world.sent_to("g2").uri == "sip:8613800@10.0.1.2:5072"
    first, second = world.cdr.attempts
    assert (first.callee_out, first.caller_out) == ("008613800", "")
    assert (second.callee_out, second.caller_out) == ("8613800", "1000")
    assert "callee 8613800 > 008613800: callee_out of gateway g1" in world.cdr.decision
    assert "caller 1000 > : caller_out of gateway g1" in world.cdr.decision


def test_of_several_targets_one_call_takes_the_same_at_every_attempt() -> None:
    world = routed(trunk='callee_in = "0:8613|8615"')
    world.behaviours["g1"] = REFUSING
    world.place("0800")
    first, second = world.cdr.attempts
    assert first.callee_out == second.callee_out
    assert first.callee_out in ("8613800", "8615800")


def test_the_language_rewrites_too() -> None:
    world = routed(first='$rU = rewrite($rU, "00*:*, 1?:2?");')
    world.place("008613800")
    assert log(world)[0] == "in 8613800 1000"


@pytest.mark.parametrize(
    ("trunk", "callee", "caller", "status", "reason", "why"),
    [
        ("callee_allow = 86", "8613", "1000", 200, "Normal", ""),
        (
            "callee_allow = 49", "8613", "1000", 403, "CalledNumberRestricted",
            "callee 8613 begins with nothing of callee_allow",
        ),
        (
            "callee_deny = 861", "8613", "1000", 403, "CalledNumberRestricted",
            "callee 8613 begins with 861 of callee_deny",
        ),
        (
            "caller_deny = 10", "8613", "1000", 403, "CallerNumberRestricted",
            "caller 1000 begins with 10 of caller_deny",
        ),
        (
            "caller_allow = 2", "8613", "1000", 403, "CallerNumberRestricted",
            "caller 1000 begins with nothing of caller_allow",
        ),
        (
            'number_length = 6-8  callee_in = "9:"', "98613800", "100000", 200, "Normal", "",
        ),
        (
            'number_length = 8-9  callee_in = "9:"', "8613800", "100000", 484,
            "CalledNumberRestricted", "callee 8613800 is shorter than 8",
        ),
        (
            'callee_deny = 9  callee_in = "9:"', "98613800", "1000", 403,
            "CalledNumberRestricted", "callee 98613800 begins with 9 of callee_deny",
        ),
    ],
)
def test_a_trunk_screens_the_numbers_as_they_came(
    trunk: str, callee: str, caller: str, status: int, reason: str, why: str
) -> None:
    world = routed(trunk=trunk)
    call = world.place(callee, caller)
    assert (call.status, world.cdr.end_reason) == (status, reason)
    refused = [entry for entry in world.cdr.decision if entry.startswith("refused: ")]
    assert refused == ([f"refused: {why}"] if why else [])


@pytest.mark.parametrize(
    ("gateway", "why"),
    [
        ("caller_deny = 1", "caller 1000 begins with 1 of caller_deny"),
        ("caller_allow = 2", "caller 1000 begins with nothing of caller_allow"),
        # The world's time is Tuesday, 2023-11-14 22:13 UTC.
        ('in_time = "Tu 08:00-22:13"', "it is not Tu 08:00-22:13"),
        ('in_time = "Tu Asia/Shanghai"', "it is not Tu Asia/Shanghai"),
    ],
)
def test_a_gateway_that_does_not_take_this_call_is_passed_over(gateway: str, why: str) -> None:
    world = routed(gateway)
    world.place("8613800")
    assert world.cdr.gateway == "g2"
    assert world.cdr.decision[1:] == ["candidates: g1 86/1, g2 86/2", f"g1: {why}", "g2: taken"]


@pytest.mark.parametrize(
    "gateway", ["caller_allow = 1", 'in_time = "Tu"', 'in_time = "We Asia/Shanghai"']
)
def test_a_gateway_whose_rules_hold_takes_the_call(gateway: str) -> None:
    world = routed(gateway)
    world.place("8613800")
    assert world.cdr.gateway == "g1"


def test_a_gateway_screens_the_caller_as_the_trunk_made_it() -> None:
    world = routed("caller_allow = 49", trunk='caller_in = "1000:491000"')
    world.place("8613800")
    assert world.cdr.gateway == "g1"


def test_when_no_gateway_takes_this_call_no_router_is_available() -> None:
    world = Routed(
        GATEWAYS.replace("priority = 2 }", "priority = 2  caller_deny = 1 }")
        % ("caller_deny = 1", "", "")
    )
    call = world.place("8613800")
    assert (call.status, world.cdr.end_reason) == (503, "NoAvailableRouter")
    assert "g2: caller 1000 begins with 1 of caller_deny" in world.cdr.decision


def test_a_single_gateway_is_asked_as_well() -> None:
    world = Routed(
        GATEWAYS.replace("gateways($rU)", "g1") % ("caller_deny = 1", "", "")
    )
    world.place("8613800")
    assert world.cdr.end_reason == "NoAvailableRouter"


# -- replaced codes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "status", "reason"),
    [
        (Behaviour(status=486, ring_after_ms=None), 600, "UserBusy"),
        (Behaviour(status=403, ring_after_ms=None), 480, "GatewayRejected(403)"),
        (Behaviour(status=404, ring_after_ms=None), 404, "NotFound"),
        (Behaviour(), 200, "Normal"),
    ],
)
def test_a_code_is_replaced_for_the_trunks_callers(
    behaviour: Any, status: int, reason: str
) -> None:
    world = routed(trunk="replace_codes = 486:600, 403:480")
    world.behaviours |= {"g1": behaviour, "g2": behaviour}
    call = world.place("8613800")
    assert (call.status, world.cdr.sip_code, world.cdr.end_reason) == (status, status, reason)


def test_what_a_route_answers_itself_is_not_replaced() -> None:
    routes = GATEWAYS.replace("call(gateways($rU), on_branch = OUT)", "call(g1, on_failure = F)")
    world = Routed(
        routes % ("", "replace_codes = 403:480", "")
        + "branch_route[X] { }\nfailure_route[F] { reply(403); }\n"
    )
    world.behaviours["g1"] = REFUSING
    assert world.place("8613800").status == 403


# -- functions ------------------------------------------------------------------------------------


def test_it_is_that_time_or_not() -> None:
    world = routed(
        first='if (in_time("Tu 22:00-23:00")) log(info, "yes");\n'
        'if (in_time("Tu 22:00-23:00", "Asia/Shanghai")) log(info, "no");\n'
    )
    world.place("8613800")
    assert log(world)[0] == "yes"
    assert "no" not in log(world)


def test_percent_is_of_call_ids_and_stays() -> None:
    world = routed(first='if (percent(30)) reply(480);\nif (percent(30)) reply(404);')
    statuses = [world.place("8613800").status for _ in range(300)]
    assert 404 not in statuses
    assert 55 < statuses.count(480) < 125
    nobody = routed(first="if (percent(0)) reply(480);")
    assert nobody.place("8613800").status == 200
    everybody = routed(first="if (percent(100)) reply(480);")
    assert everybody.place("8613800").status == 480
