"""Calls that never reach a gateway: the code, the reason, and that nothing is taken for them."""

from __future__ import annotations

import pytest
from harness.routes import ACME, SMALL, STRANGER, Routes
from harness.switch import Switch
from harness.wire import Call


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    routes = Routes(pairs=8, first={"lines": "2"}, second={"lines": "1"})
    return module_switch(routes, workers=2)


def refused(sipp, switch: Switch, number: str, call_id: str, status: int, ip: str = ACME):
    return sipp(
        "caller_is_refused",
        target=switch.port,
        number=number,
        call_id=call_id,
        ip=ip,
        changes={'response="404"': f'response="{status}"'},
    ).succeeds()


def test_a_number_without_a_prefix_is_not_found(switch: Switch, sipp) -> None:
    refused(sipp, switch, switch.routes.unserved_number, "no-prefix", 404)
    cdr = switch.cdr("no-prefix")
    assert (cdr["end_reason"], cdr["sip_code"], cdr["q850"]) == ("NotFound", 404, 1)
    assert cdr["account"] == "acme"
    assert cdr["attempts"] == []
    assert cdr["attempt"] == 0
    switch.is_idle()


def test_an_unknown_source_is_an_illegal_call(switch: Switch, sipp, peer) -> None:
    pair = switch.routes.pair()
    gateway = peer(pair.first)
    refused(sipp, switch, pair.number, "stranger", 403, ip=STRANGER)
    gateway.hears_nothing(0.3)
    cdr = switch.cdr("stranger")
    assert (cdr["end_reason"], cdr["sip_code"]) == ("IllegalCall", 403)
    assert cdr["account"] == ""
    assert cdr["source"].startswith(STRANGER)
    switch.is_idle()


def test_when_every_line_of_every_gateway_is_taken_there_is_no_available_router(
    switch: Switch, sipp
) -> None:
    pair = switch.routes.pair()
    sipp("gateway_answers", port=pair.first, calls=2)
    sipp("gateway_answers", port=pair.second)
    talking = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="full-talk",
        calls=3,
        rate=50,
        hold_ms=3000,
    )
    switch.metric_reaches(1, "active_calls", gateway=pair.second_name)
    assert switch.in_use() == {
        "account:acme": 3,
        f"gateway:{pair.first_name}": 2,
        f"gateway:{pair.second_name}": 1,
    }
    refused(sipp, switch, pair.number, "full-no", 503)
    cdr = switch.cdr("full-no")
    assert (cdr["end_reason"], cdr["sip_code"]) == ("NoAvailableRouter", 503)
    assert cdr["attempts"] == []
    decision = " ".join(cdr["decision"])
    assert pair.first_name in decision and pair.second_name in decision, "it says who was full"
    talking.succeeds()
    gateways = sorted(cdr["gateway"] for cdr in switch.cdrs("full-talk", 3))
    assert gateways == [pair.first_name, pair.first_name, pair.second_name]
    switch.is_idle()


def test_when_the_accounts_lines_are_taken_the_connection_limit_is_exceeded(
    switch: Switch, sipp
) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first)
    talking = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="small-talk",
        ip=SMALL,
        hold_ms=2500,
    )
    switch.metric_reaches(1, "active_calls", gateway=pair.first_name)
    refused(sipp, switch, pair.number, "small-no", 503, ip=SMALL)
    cdr = switch.cdr("small-no")
    assert (cdr["end_reason"], cdr["sip_code"]) == ("ConnectionLimitExceeded", 503)
    assert "small" in " ".join(cdr["decision"]), "the CDR names what was full"
    talking.succeeds()
    gateway.succeeds()
    switch.is_idle()


def test_the_line_limit_is_never_overshot_by_two_workers(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    first = sipp("gateway_answers", port=pair.first, calls=2)
    second = sipp("gateway_answers", port=pair.second, calls=1)
    callers = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="race",
        calls=40,
        rate=1000,
        hold_ms=2000,
    )
    assert callers.wait() == 1, "37 of the 40 are refused"
    assert callers.count("SuccessfulCall") == 3
    first.succeeds()
    second.succeeds()
    cdrs = switch.cdrs("race", 40)
    assert sum(cdr["end_reason"] == "Normal" for cdr in cdrs) == 3
    assert sum(cdr["end_reason"] == "NoAvailableRouter" for cdr in cdrs) == 37
    switch.is_idle()


def test_options_outside_a_call_is_answered_200(switch: Switch, peer) -> None:
    caller = peer()
    call = Call(caller, switch.port, "")
    call.uri = call.target = f"sip:127.0.0.1:{switch.port}"
    call.request("OPTIONS")
    answer = caller.expect(200)
    assert answer.to_tag, "RFC 3261 §8.2.6.2: a response that is not 100 has a To tag"
    assert answer.cseq == (1, "OPTIONS")


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE"])
def test_methods_the_routes_do_not_serve_get_405(switch: Switch, peer, method: str) -> None:
    caller = peer()
    Call(caller, switch.port, "1000").request(method)
    answer = caller.expect(405)
    assert "INVITE" in answer.get("Allow"), "RFC 3261 §8.2.1: a 405 names what is allowed"


def test_a_method_nobody_knows_gets_405_or_501(switch: Switch, peer) -> None:
    caller = peer()
    Call(caller, switch.port, "1000").request("DANCE")
    caller.expect(405, 501)


def test_an_invite_without_hops_left_gets_483(switch: Switch, peer) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite(max_forwards=0)
    call.ack(caller.expect(483))
    gateway.hears_nothing(0.3)
    switch.is_idle()


def test_requests_inside_no_call_get_481(switch: Switch, peer) -> None:
    caller = peer()
    for method in ("BYE", "INFO", "UPDATE", "INVITE"):
        call = Call(caller, switch.port, "1000")
        call.request(method, to_tag="nothing-known")
        answer = caller.expect(481)
        if method == "INVITE":
            call.invite_branch = call.branch
            call.ack(answer)


def test_a_cancel_that_matches_nothing_gets_481(switch: Switch, peer) -> None:
    caller = peer()
    call = Call(caller, switch.port, "1000")
    call.invite_cseq = 1
    call.cancel()
    caller.expect(481)


def test_an_ack_that_matches_nothing_is_silence(switch: Switch, peer) -> None:
    caller = peer()
    call = Call(caller, switch.port, "1000")
    call.request("ACK", to_tag="nothing-known")
    caller.hears_nothing(0.4)
