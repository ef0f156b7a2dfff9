"""A call decided and not made: what is said of every gateway, and what would be sent."""

from __future__ import annotations

import re
from typing import Any

import pytest
from routed import T0, US, program_of

from router.routing.decided import Decided, GatewayFate, LiveNow, Price, Question
from router.routing.decision_levels import LevelFate
from router.routing.decision_run import DecisionRun
from router.store.interface import Usage
from router.store.money import Money
from router.store.records import GatewayState

ROUTES = """
listen = udp:10.0.0.1:5060, udp:[2001:db8::1]:5060
max_attempts = 3
gateway mobile { address = 10.0.1.1  prefixes = 8613  lines = 10 }
gateway near   { address = 10.0.1.2  prefixes = 86, 44  lines = 2 }
gateway far    { address = 10.0.1.3  prefixes = 86  priority = 2 }
gateway spare  { address = 10.0.1.4  prefixes = 86  priority = 3 }
gateway other  { address = 10.0.1.5  prefixes = 49 }
gateway two    { address = 10.0.1.6  prefixes = 33, 34 }
gateway bare   { address = 10.0.1.7 }
account acme { lines = 5  trunk office { ips = 192.0.2.0/24, [2001:db8::]/64 } }
branch_route[OUT] { set_header("X-Account", $account.id); remove_header("Subject"); }
request_route {
    if ($ua == "scanner") drop;
    if ($fU == "911") reply(603, "No");
    if (!identify()) end(IllegalCall);
    if (starts_with($rU, "00")) $rU = strip($rU, 2);
    log(info, "callee " + $rU);
    if ($hdr(X-Name) == "yes") call(far);
    call(without(gateways($rU), spare), on_branch = OUT);
}
"""


def decide(callee: str = "8613800", live: LiveNow | None = None, **more: Any) -> Decided:
    more = {"source": "192.0.2.10", "caller": "1000", "now_ms": T0, **more}
    program = program_of(more.pop("routes", ROUTES))
    return DecisionRun(program, Question(callee=callee, **more), live or LiveNow()).decide()


def fate(decided: Decided, name: str) -> GatewayFate:
    (found,) = (one for one in decided.gateways if one.name == name)
    return found


def told(decided: Decided) -> dict[str, tuple[int, str]]:
    return {one.name: (one.place, one.why) for one in decided.gateways}


def test_every_gateway_has_its_place_or_the_rule_that_dropped_it() -> None:
    decided = decide()
    assert told(decided) == {
        "mobile": (1, "taken"),
        "near": (2, "next if those before it fail"),
        "far": (3, "next if those before it fail"),
        "spare": (0, "the route left it out"),
        "other": (0, "its prefix 49 does not begin 8613800"),
        "two": (0, "none of its prefixes 33, 34 begins 8613800"),
        "bare": (0, "it has no prefixes"),
    }
    assert [one.name for one in decided.gateways[:3]] == ["mobile", "near", "far"]
    assert fate(decided, "mobile") == GatewayFate("mobile", 1, "taken", "8613", 1, 0, 10)
    assert (fate(decided, "far").lines, fate(decided, "far").priority) == (None, 2)
    assert fate(decided, "spare").prefix == "86"
    assert fate(decided, "other").prefix is None


def test_what_would_be_sent_is_shown_and_not_sent() -> None:
    decided = decide("008613800", headers=("Subject: hello",))
    assert decided.verdict == "call"
    assert decided.numbers_asked == ["8613800"]
    assert decided.sent is not None
    assert decided.sent.gateway == "mobile"
    assert decided.sent.address == "udp:10.0.1.1:5060"
    assert decided.sent.request_uri == "sip:8613800@10.0.1.1:5060"
    assert decided.sent.from_header == f"<sip:1000@{US[0]}:5060>"
    assert decided.sent.headers_added == ["X-Account: acme"]
    assert decided.sent.headers_removed == ["subject"]
    assert decided.logs == [("info", "callee 8613800")]
    assert decided.holds == {"account:acme": (0, 5)}
    assert (decided.account, decided.trunk) == ("acme", "office")


def test_the_trace_is_the_one_of_the_cdr() -> None:
    assert decide().decision == [
        "trunk acme/office: network 192.0.2.0/24",
        "candidates: mobile 8613/1, near 86/1, far 86/2",
        "mobile: taken",
    ]


@pytest.mark.parametrize("news", [{"down": True}, {"unregistered": True}])
def test_a_gateway_that_pings_or_a_registration_hold_down_is_passed_over(
    news: dict[str, bool],
) -> None:
    states = {"gateway:mobile": GatewayState("gateway:mobile", **news)}
    decided = decide(live=LiveNow({}, states))
    assert fate(decided, "mobile").why == "down"
    assert decided.sent is not None and decided.sent.gateway != "mobile"


def test_what_is_full_or_down_now_is_passed_over() -> None:
    live = LiveNow(
        {"gateway:near": Usage(2, 7), "account:acme": Usage(4, 0)},
        {"gateway:mobile": GatewayState("gateway:mobile", T0 + 1, 5)},
    )
    decided = decide(live=live)
    assert fate(decided, "mobile").why == "down"
    assert (fate(decided, "near").why, fate(decided, "near").lines_used) == ("full", 2)
    assert (fate(decided, "far").why, fate(decided, "far").place) == ("taken", 1)
    assert decided.holds == {"account:acme": (4, 5)}


def test_inside_a_tier_the_less_loaded_goes_first_as_in_the_store() -> None:
    routes = ROUTES.replace("priority = 2", "priority = 1  lines = 10")
    live = LiveNow({"gateway:near": Usage(1, 0), "gateway:far": Usage(1, 0)})
    decided = decide(live=live, routes=routes)
    assert [one.name for one in decided.gateways[:3]] == ["mobile", "far", "near"]


def test_a_gateway_beyond_max_attempts_is_not_tried() -> None:
    decided = decide(routes=ROUTES.replace("max_attempts = 3", "max_attempts = 2"))
    assert (fate(decided, "far").place, fate(decided, "far").why) == (
        3, "not tried: max_attempts = 2",
    )


def test_a_limit_that_is_used_up_ends_the_call_before_any_gateway() -> None:
    decided = decide(live=LiveNow({"account:acme": Usage(5, 0)}))
    assert (decided.verdict, decided.status, decided.end_reason) == (
        "answer", 503, "ConnectionLimitExceeded",
    )
    assert fate(decided, "mobile").why == "not looked at: the call was not admitted"
    assert decided.decision[-1] == "account:acme: every line in use"


def test_a_number_that_nobody_serves() -> None:
    decided = decide("7")
    assert (decided.verdict, decided.status, decided.end_reason) == ("answer", 404, "NotFound")
    assert decided.gateways_asked
    assert fate(decided, "mobile").why == "its prefix 8613 does not begin 7"


def test_a_stranger_ends_before_gateways_are_asked_for() -> None:
    decided = decide(source="198.51.100.1")
    assert (decided.end_reason, decided.status) == ("IllegalCall", 403)
    nobody, where = decided.decision
    assert nobody == "no trunk: 198.51.100.1 is in no network of a trunk"
    assert re.fullmatch(r"route: end\(IllegalCall\) at \S+:\d+", where)
    assert not decided.gateways_asked
    assert {one.why for one in decided.gateways} == {
        "not asked for: the call ended before"
    }


def test_a_route_may_answer_by_itself_or_stay_silent() -> None:
    answered = decide(caller="911")
    assert (answered.verdict, answered.status, answered.phrase) == ("answer", 603, "No")
    assert answered.end_reason == "ScriptRejected"
    silent = decide(headers=("User-Agent: scanner",))
    assert (silent.verdict, silent.status, silent.sent) == ("silence", 0, None)


def test_a_gateway_named_by_the_script_is_the_only_candidate() -> None:
    decided = decide(headers=("X-Name: yes",))
    assert fate(decided, "far").why == "taken"
    assert fate(decided, "mobile").why == "the route does not name it"
    assert decided.decision[1] == "candidates: far"


def test_a_caller_of_the_other_kind_of_address_comes_to_its_own_listener() -> None:
    decided = decide(source="2001:db8::7")
    assert decided.sent is not None
    assert decided.sent.request_uri == "sip:8613800@10.0.1.1:5060"


@pytest.mark.parametrize("number", ["", "a b", "用户", "+86", "x@y;z"])
def test_any_number_can_be_asked_about(number: str) -> None:
    decided = decide(number)
    assert decided.faults == []
    assert len(decided.logs) == 1 and "\n" not in decided.logs[0][1]


def test_a_route_that_fails_is_told_with_its_line() -> None:
    program = program_of(ROUTES)

    def broken(context: Any) -> None:
        raise RuntimeError("broken")

    program.routes["request_route", ""] = broken
    question = Question("192.0.2.10", "1000", "8613800", T0)
    decided = DecisionRun(program, question, LiveNow()).decide()
    assert (decided.status, decided.end_reason) == (500, "ServerFailure")
    assert "RuntimeError: broken" in decided.faults[0]


# -- rules and prices of gateways -----------------------------------------------------------------

RULED = """
deck retail { file = "retail.csv" }
deck vendor { file = "vendor.csv" }
group cheap { lines = 1 }
gateway mobile { address = 10.0.1.1  prefixes = 8613  deck = vendor  callee_out = "86:0086" }
gateway grouped { address = 10.0.1.2  prefixes = 8613  group = cheap  priority = 2 }
gateway closed { address = 10.0.1.3  prefixes = 8613  priority = 3  in_time = "Su" }
gateway strict { address = 10.0.1.4  prefixes = 8613  priority = 4  caller_deny = 1 }
gateway wide { address = 10.0.1.5  prefixes = 86 }
account acme {
    deck = retail
    trunk office { ips = 192.0.2.0/24  callee_in = "00:"  replace_codes = 503:480 }
}
request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }
"""
RATES = {
    "retail.csv": "prefix,rate_per_min,connect_fee\n86,0.12,0.01\n",
    "vendor.csv": "prefix,rate_per_min\n8613,0.05\n",
}


def ruled(live: LiveNow | None = None, text: str = RULED) -> Decided:
    question = Question("192.0.2.10", "1000", "008613800", T0)
    return DecisionRun(program_of(text, RATES), question, live or LiveNow()).decide()


def test_rules_prices_and_rewrites_are_told() -> None:
    decided = ruled(LiveNow({"group:cheap": Usage(1, 0)}))
    assert told(decided) == {
        "mobile": (1, "taken"),
        "wide": (2, "next if those before it fail"),
        "grouped": (0, "every line of group cheap in use"),
        "closed": (0, "it is not Su"),
        "strict": (0, "caller 1000 begins with 1 of caller_deny"),
    }
    assert decided.price == Price("0.12", "0.01", "86", "retail")
    assert (fate(decided, "mobile").rate, fate(decided, "wide").rate) == ("0.05", "")
    assert decided.sent is not None
    assert decided.sent.request_uri == "sip:008613800@10.0.1.1:5060"
    assert decided.decision[1] == "callee 008613800 > 8613800: callee_in of trunk acme/office"
    assert decided.decision[-1] == "callee 8613800 > 008613800: callee_out of gateway mobile"


def test_a_prefix_that_ends_the_list_is_named() -> None:
    decided = ruled(text=RULED.replace("priority = 2 }", "priority = 2  prefix_mode = terminate }"))
    assert fate(decided, "wide").why == (
        "after prefix 8613 of grouped no shorter one follows (prefix_mode)"
    )


def test_a_number_without_a_price_is_refused_and_told() -> None:
    text = RULED.replace('callee_in = "00:"', 'callee_in = "00:49"')
    decided = ruled(text=text)
    assert (decided.end_reason, decided.price) == ("RateNotFound", None)


# -- levels and their credit ----------------------------------------------------------------------

LEVELS = """
deck retail { file = "retail.csv" }
gateway mobile { address = 10.0.1.1  prefixes = 86  deck = retail  clearing = carrier }
gateway wide { address = 10.0.1.2  prefixes = 86  priority = 2 }
account carrier { balance = 5.00  deck = retail }
account top { balance = 1.00  overdraft = 0.50  deck = retail }
account acme { agent = top  deck = retail  trunk office { ips = 192.0.2.0/24 } }
request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }
"""


def levels(live: LiveNow | None = None, text: str = LEVELS) -> Decided:
    question = Question("192.0.2.10", "1000", "8613800", T0)
    return DecisionRun(program_of(text, RATES), question, live or LiveNow()).decide()


def test_each_level_is_told_with_its_rate_what_it_needs_and_what_it_has() -> None:
    decided = levels()
    assert decided.verdict == "call"
    assert decided.levels == [
        LevelFate("acme", "retail", "0.12", "0.01", "86", "retail"),
        LevelFate(
            "top", "agent", "0.12", "0.01", "86", "retail", "0.13", 60, "1", "0.5", "0",
        ),
    ]


def test_balances_are_those_of_now_where_they_are_known() -> None:
    money = {"carrier": Money(100_000, 0), "top": Money(0, 380_000)}
    decided = levels(LiveNow(monies=money))
    assert decided.end_reason == "InsufficientBalance"
    assert decided.levels[1].why == "it can give 0.12"
    assert decided.decision[-1] == (
        "credit:top: 0.13 needed, balance 0, overdraft 0.5, reserved 0.38"
    )
    assert told(decided)["mobile"] == (0, "credit of account carrier used up")
    assert told(decided)["wide"] == (1, "not looked at: the call was not admitted")


@pytest.mark.parametrize(
    ("settings", "reason", "why"),
    [
        ("status = locked", "AccountLocked", "it is locked"),
        ("expires = 2020-01-01", "AccountExpired", "it was valid until 2020-01-01"),
        (
            "permit = net, local", "CallNotPermitted",
            "the rate is of no kind, and it permits local, net",
        ),
    ],
)
def test_what_stands_against_a_level_is_told(settings: str, reason: str, why: str) -> None:
    decided = levels(text=LEVELS.replace("overdraft = 0.50", settings))
    assert (decided.end_reason, decided.levels[1].why) == (reason, why)
