"""Every form of step that a test block may have, in blocks that pass."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from routed import program_of
from tried import ROUTES, passes, sentence, tried

from router.routing.trial.ground import Ground
from router.routing.trial.run import run_trial

CALL = 'invite from 127.0.0.1 caller "1000" callee "86138";'


def test_the_example_of_the_language_page() -> None:
    result = tried(f"""
        {CALL}
        expect gateway first callee "0086138";
        gateway first replies 503;
        expect gateway second;
        gateway second answers after 2s;
        caller hangs up after 65s;
        expect end Normal duration 65s;
    """)
    assert result.passed
    assert result.virtual_ms == 67_000


def test_gateways_that_share_an_address_are_told_apart() -> None:
    passes(f"""
        {CALL} expect gateway first; gateway first replies 500;
        expect gateway second; gateway second replies 500;
        expect gateway third; gateway third answers;
        callee hangs up after 1s; expect end Normal duration 1s;
    """)


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.1:5099", "[2001:db8::7]:5061"])
def test_a_call_may_come_from_any_address(source: str) -> None:
    passes(f'invite from {source} callee "86138"; expect gateway first; gateway first answers;'
           " caller hangs up after 5s; expect end Normal duration 5s;")


def test_the_ports_of_callers() -> None:
    passes('invite from 127.0.0.1 callee "86138"; expect gateway first header "X-Port: 5061";')
    passes('invite from 127.0.0.1:5062 callee "86138"; expect gateway first header "X-Port: 5062";')


def test_a_call_without_numbers_has_ordinary_ones() -> None:
    routes = ROUTES.replace("prefixes = 86  priority = 1", "prefixes = 1  priority = 1")
    passes(
        'invite from 127.0.0.1; expect gateway first caller "1000" callee "001001";', routes
    )


def test_numbers_with_odd_characters_arrive_as_they_were_written() -> None:
    passes('invite from 127.0.0.1 caller "+1#2" callee "86#*1";'
           ' expect gateway first caller "+1#2" callee "0086#*1";')


def test_headers_go_in_and_out() -> None:
    passes("""
        invite from 127.0.0.1 callee "86138" header "X-Tier: gold" header "Subject:  hello  ";
        expect gateway first header "X-Account: acme" header "x-tier: gold" header "Subject: hello"
            header "X-Nothing:";
    """)


def test_a_header_that_the_routes_read_decides() -> None:
    passes('invite from 127.0.0.1 callee "86138" header "Max-Forwards: 0"; expect reply 483;'
           " expect end ScriptRejected;")


def test_codecs_are_offered_in_their_order() -> None:
    routes = ROUTES.replace("branch_route[TO_GATEWAY] {",
                            'branch_route[TO_GATEWAY] { set_header("X-Body", $rb); ')
    offer = ("v=0  o=- 1 1 IN IP4 127.0.0.1  s=-  c=IN IP4 127.0.0.1  t=0 0  "
             "m=audio 20000 RTP/AVP 18 8 101  a=rtpmap:18 G729/8000  a=rtpmap:8 PCMA/8000  "
             "a=rtpmap:101 telephone-event/8000  a=sendrecv")
    passes('invite from 127.0.0.1 callee "86138" codecs "G729, PCMA, telephone-event";'
           f' expect gateway first header "X-Body: {offer}";', routes)


@pytest.mark.parametrize("source", ["198.51.100.1", "[2001:db9::1]"])
def test_a_stranger_is_refused(source: str) -> None:
    passes(f"invite from {source}; expect reply 403; expect end IllegalCall;")


def test_a_number_without_a_gateway() -> None:
    passes('invite from 127.0.0.1 callee "44"; expect reply 404; expect end NotFound;')


def test_replies_are_heard_in_their_order_and_provisional_ones_may_be_left_out() -> None:
    passes(f"""
        {CALL} expect reply 100; gateway first rings after 1s; expect reply 180;
        gateway first sends early media after 1s; expect reply 183;
        gateway first answers after 1s; expect reply 200; expect reply 200;
    """)
    passes(f"{CALL} gateway first rings; gateway first replies 486; expect reply 486;")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(486, "UserBusy"), (404, "NotFound"), (403, "GatewayRejected"), (302, "GatewayRejected")],
)
def test_a_gateway_refuses(status: int, reason: str) -> None:
    passes(f"{CALL} gateway first replies {status} after 3s; expect end {reason};")


@pytest.mark.parametrize("status", [100, 180, 181, 183, 199])
def test_a_gateway_sends_a_provisional_response(status: int) -> None:
    passes(f"{CALL} gateway first replies {status}; expect reply {status};")


def test_200_as_a_reply_is_an_answer() -> None:
    passes(f"{CALL} gateway first replies 200; callee hangs up; expect end Normal duration 0s;")


def test_a_silent_gateway_is_given_up() -> None:
    result = tried(f"{CALL} expect gateway first; gateway first stays silent;"
                   " expect gateway second; gateway second answers;")
    assert result.passed
    assert result.virtual_ms == 10_000


def test_a_gateway_that_says_only_100_is_given_up_later() -> None:
    result = tried(f"{CALL} gateway first replies 100; expect gateway second;")
    assert result.passed
    assert result.virtual_ms == 20_000


def test_a_gateway_that_nobody_told_anything_rings() -> None:
    result = tried(f"{CALL} expect gateway first; expect end ResponseTimeout;")
    assert result.passed
    assert result.virtual_ms == 120_000
    passes(f"{CALL} expect reply 180; caller cancels after 5s; expect end Cancelled;")


def test_a_gateway_that_answers_later_rings_before() -> None:
    passes(f"{CALL} gateway first answers after 100s; expect reply 180; expect reply 200;")
    passes(f"{CALL} gateway first replies 100; gateway first answers after 15s;"
           " expect reply 200; callee hangs up; expect end Normal;")


def test_a_gateway_that_refuses_later_does_not_ring_before() -> None:
    passes(f"{CALL} gateway first replies 503 after 15s; expect gateway second;"
           " gateway second rings after 15s; gateway second replies 486; expect end UserBusy;")


def test_early_media_keeps_a_call_longer_than_silence() -> None:
    result = tried(f"{CALL} gateway first sends early media; expect end ResponseTimeout;")
    assert result.passed
    assert result.virtual_ms == 120_000


def test_a_caller_gives_up() -> None:
    passes(f"{CALL} gateway first rings after 1s; caller cancels after 4s; expect reply 487;"
           " expect end Cancelled;")
    passes(f"{CALL} gateway first stays silent; caller cancels; expect end Cancelled;")


def test_an_answered_call_ends_by_itself_at_its_longest_duration() -> None:
    routes = "max_duration = 600s\n" + ROUTES
    passes(f"{CALL} gateway first answers; expect end SessionTimeout duration 600s;", routes)


def test_time_passes_and_calls_go_on() -> None:
    passes(f"{CALL} gateway first answers; wait 10m; wait 500ms; caller hangs up after 1s;"
           " expect end Normal duration 601500ms;")


def test_several_calls_in_one_block() -> None:
    passes(f"""
        {CALL} expect gateway first; gateway first answers;
        {CALL} expect gateway first; gateway first answers;
        {CALL} expect reply 503; expect end ConnectionLimitExceeded;
        caller hangs up after 5s; expect end Normal duration 5s;
        caller hangs up after 2s; expect end Normal duration 7s;
        {CALL} expect gateway first;
    """)


def test_a_step_about_a_gateway_speaks_of_the_call_that_is_there() -> None:
    passes(f"""
        {CALL} expect gateway first;
        {CALL} gateway first replies 503; expect gateway second; gateway second answers;
        gateway first replies 486; expect end UserBusy;
        callee hangs up after 3s; expect end Normal duration 3s;
    """)


def test_a_gateway_that_is_down_gets_no_call() -> None:
    passes(f"""
        gateway first down;
        {CALL} expect gateway second; gateway second replies 486; expect end UserBusy;
        gateway first up;
        {CALL} expect gateway first;
    """)
    passes(f"gateway first down; gateway second down; gateway third down; {CALL}"
           " expect end NoAvailableRouter; expect reply 503;")


def test_the_clock_may_be_set() -> None:
    routes = ROUTES.replace("account acme {", "account acme { expires = 2026-11-22 ")
    passes(f'{CALL} expect gateway first;', routes)
    passes(f'now "2026-11-22 23:59"; {CALL} expect gateway first;', routes)
    passes(f'now "2026-11-23"; {CALL} expect end AccountExpired;', routes)
    passes(f'now "2026-11-23 07:59+08:00"; {CALL} expect gateway first;', routes)
    passes(f'{CALL} gateway first replies 486; expect end UserBusy;'
           f' now "2026-11-23 00:00"; {CALL} expect end AccountExpired;', routes)


def test_a_call_goes_on_while_the_clock_is_set() -> None:
    passes(f'now "2026-01-01 10:00"; {CALL} gateway first answers; now "2026-01-01 10:01";'
           " caller hangs up; expect end Normal duration 60s;")


def test_a_route_that_fails_may_be_what_is_expected() -> None:
    passes('invite from 127.0.0.1 caller "0" callee "86500"; expect reply 500;')
    passes('invite from 127.0.0.1 caller "0" callee "86500"; expect end ServerFailure;')


@pytest.mark.parametrize("listen", ["tcp:127.0.0.1:5060", "udp:[::1]:5060", "udp:0.0.0.0:5060",
                                    "tcp:[::]:5060, udp:[::]:5070"])
def test_a_call_passes_whatever_we_listen_on(listen: str) -> None:
    routes = ROUTES.replace("udp:127.0.0.1:5060, tcp:127.0.0.1:5060", listen)
    passes(f"{CALL} gateway first replies 503; gateway second replies 503; gateway third answers;"
           " callee hangs up after 1s; expect end Normal duration 1s;", routes)


def test_a_customer_who_is_a_gateway_too() -> None:
    routes = ROUTES.replace("ips = 127.0.0.1,", "ips = 192.0.2.93,")
    passes('invite from 192.0.2.93:5070 callee "86138"; gateway first replies 503;'
           " gateway second replies 503; expect gateway third; gateway third answers;"
           " caller hangs up after 1s; expect end Normal duration 1s;", routes)


def test_gateways_at_one_address_over_two_transports() -> None:
    routes = ROUTES.replace("gateway second { address = 192.0.2.91:5060",
                            "gateway second { address = 192.0.2.91:5060;transport=tcp")
    passes(f"{CALL} gateway first answers; callee hangs up after 1s; expect end Normal duration 1s;"
           f" {CALL} gateway first replies 503; gateway second answers; callee hangs up after 1s;"
           " expect end Normal duration 1s;", routes)


def test_amounts_are_compared_exactly() -> None:
    program = program_of(ROUTES + f'test "t" {{ {CALL} gateway first answers; caller hangs up;'
                         " expect end Normal; }")
    ground = Ground(program)
    (trial,) = program.tests
    for charge, cost, expected in (
        ("0.00", "0", None),
        ("0.12", None, "expected a charge of 0.12, but it was 0"),
        (None, "0.000001", "expected a cost of 0.000001, but it was 0"),
    ):
        end = replace(
            trial.steps[-1],
            charge=Decimal(charge) if charge else None,
            cost=Decimal(cost) if cost else None,
        )
        failure = run_trial(ground, replace(trial, steps=(*trial.steps[:-1], end))).failure
        assert (failure.sentence if failure is not None else None) == expected


def test_a_long_wait_costs_nothing() -> None:
    passes(f"{CALL} gateway first answers; wait 300d; expect end SessionTimeout duration 2h;")


def test_calls_that_never_come_to_rest_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.routing.trial.world.MAX_EVENTS", 2)
    assert sentence(f"{CALL} gateway first answers; expect end Normal;") == (
        "expected the calls to come to rest, but 2 events later they had not"
    )


COUNTING = ROUTES.replace(
    "call(gateways($rU), on_branch", 'count("calls", caller = $fU); call(gateways($rU), on_branch'
)


def test_a_metric_is_what_routes_have_counted_so_far_with_all_its_labels() -> None:
    passes(
        f"""
        expect metric "calls" 0;
        {CALL} expect metric "calls" 1; caller cancels after 1s; expect end Cancelled;
        invite from 127.0.0.1 caller "2000" callee "86138";
        expect metric "calls" 2;
        """,
        COUNTING,
    )
    said = sentence(f'{CALL} expect metric "calls" 2;', COUNTING)
    assert said == "expected the metric calls to be 2, but it is 1"
