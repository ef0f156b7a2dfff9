"""What a failing step says: which step, what was expected, what happened instead."""

from __future__ import annotations

import pytest
from tried import ROUTES, failure, sentence

CALL = 'invite from 127.0.0.1 caller "1000" callee "86138";'

SENTENCES = [
    (
        f"{CALL} expect gateway second;",
        "expected the call at second, but it went to first",
    ),
    (
        f"{CALL} gateway second answers;",
        "expected a call at second, but it went to first",
    ),
    (
        'invite from 127.0.0.1 callee "44"; expect gateway first;',
        "expected the call at first, but it ended NotFound with 404",
    ),
    (
        'invite from 127.0.0.1 callee "44"; gateway first answers;',
        "expected a call at first, but it ended NotFound with 404",
    ),
    (
        f"{CALL} gateway first answers; expect gateway second;",
        "expected the call at second, but first had answered it",
    ),
    (
        f"{CALL} gateway first answers; gateway first replies 486;",
        "expected a call at first, but it had answered before",
    ),
    (
        f"{CALL} gateway first replies 486; gateway first answers;",
        "expected a call at first, but it ended UserBusy with 486",
    ),
    (
        f'{CALL} expect gateway first callee "86138";',
        'expected first to get the callee "86138", but it got "0086138"',
    ),
    (
        f'{CALL} expect gateway first caller "2000";',
        'expected first to get the caller "2000", but it got "1000"',
    ),
    (
        f'{CALL} expect gateway first header "X-Account: other";',
        'expected first to get the header "X-Account: other", but its value was "acme"',
    ),
    (
        f'{CALL} expect gateway first header "X-Nothing: 1";',
        'expected first to get the header "X-Nothing: 1", but there was no such header',
    ),
    (
        f'{CALL} expect gateway first header "X-Account:";',
        'expected first to get the header "X-Account: ", but its value was "acme"',
    ),
    (
        f"{CALL} gateway first replies 486; expect reply 603;",
        "expected the caller to get 603, but it got 486",
    ),
    (
        f"{CALL} gateway first rings; caller cancels; expect reply 183;",
        "expected the caller to get 183, but it got 487",
    ),
    (
        f"{CALL} gateway first replies 403; expect end UserBusy;",
        "expected the call to end UserBusy, but it ended GatewayRejected(403) with 403",
    ),
    (
        f"{CALL} gateway first answers; caller hangs up after 9s; expect end Normal duration 10s;",
        "expected a duration of 10s, but it was 9s",
    ),
    (
        f"{CALL} gateway first answers; caller hangs up after 1500ms;"
        " expect end Normal duration 1s;",
        "expected a duration of 1s, but it was 1500ms",
    ),
    (
        f"{CALL} gateway first answers; caller cancels after 5s;",
        "expected the caller to cancel, but first had answered it",
    ),
    (
        f"{CALL} gateway first replies 486; caller cancels;",
        "expected the caller to cancel, but it ended UserBusy with 486",
    ),
    (
        f"{CALL} gateway first stays silent; caller hangs up after 5s;",
        "expected the caller to hang up, but it was at first",
    ),
    (
        f"{CALL} gateway first rings; callee hangs up;",
        "expected the callee to hang up, but it was at first",
    ),
    (
        f"{CALL} gateway first answers; caller hangs up; callee hangs up after 1s;",
        "expected the callee to hang up, but it ended Normal",
    ),
    (
        f"{CALL} gateway first stays silent; gateway first answers after 11s;",
        "expected the call at first to wait for 11s, but its attempt was over before that: "
        "ConnectionTimeout",
    ),
    (
        f"{CALL} expect gateway first; caller hangs up after 5s;",
        "expected the caller to hang up, but it was at first: first rang, since no step told it "
        "what to do",
    ),
    (
        f"{CALL} expect gateway first; expect gateway second;",
        "expected the call at second, but it ended ResponseTimeout with 408: first rang, since no "
        "step told it what to do",
    ),
    (
        'invite from 127.0.0.1 callee "86138" header "User-Agent: Scanner 1"; expect end Normal;',
        "expected the call to end Normal, but the routes dropped it: it got no answer and leaves "
        "no CDR",
    ),
    (
        'invite from 127.0.0.1 callee "86138" header "User-Agent: Scanner 1"; expect reply 403;',
        "expected the caller to get 403, but the routes dropped it: it got no answer and leaves "
        "no CDR",
    ),
    (
        'invite from 127.0.0.1 callee "86138" header "User-Agent: Scanner 1";'
        " expect gateway first;",
        "expected the call at first, but the routes dropped it: it got no answer and leaves no CDR",
    ),
    (
        f'now "2026-03-01"; {CALL} wait 25h; now "2026-03-02";',
        "expected this time to come, but it is over: the calls before it took longer",
    ),
    (
        'invite from 127.0.0.1:5060 callee "86138"; expect gateway first;',
        "expected a caller at 127.0.0.1:5060, but that is where the router itself listens",
    ),
    (
        'invite from 127.0.0.1 caller "0" callee "86500"; expect gateway first;',
        "expected the call at first, but it ended ServerFailure with 500: a request failed, "
        "ZeroDivisionError: integer division or modulo by zero",
    ),
]


@pytest.mark.parametrize(("steps", "expected"), SENTENCES)
def test_a_step_that_fails_says_what_happened_instead(steps: str, expected: str) -> None:
    assert sentence(steps) == expected


def test_a_failure_stands_at_its_step() -> None:
    found = failure(f"{CALL}\n  expect gateway first;\n  expect reply\n  486;")
    lines = ROUTES.count("\n")
    assert (found.position.line, found.position.column) == (lines + 4, 3)
    assert found.step == "expect reply 486"


def test_a_failure_shows_messages_by_lane_and_the_decision() -> None:
    found = failure(f"{CALL} gateway first replies 503; gateway second rings; expect reply 486;")
    assert found.lanes == ("caller", "trunkline", "first", "second")
    said = [
        f"{wire.source[0]}>{wire.target[0]} {wire.data.partition(b' ')[0].decode()}"
        for wire in found.wires
    ]
    assert said[:6] == [
        "caller>trunkline INVITE",
        "trunkline>caller SIP/2.0",
        "trunkline>first INVITE",
        "first>trunkline SIP/2.0",
        "trunkline>first ACK",
        "trunkline>second INVITE",
    ]
    assert any("second" in line for line in found.decision)


def test_a_failure_shows_only_the_messages_of_its_call() -> None:
    found = failure(f"{CALL} gateway first answers; {CALL} gateway first replies 486;"
                    " expect end Normal;")
    assert found.lanes == ("caller", "trunkline", "first")
    assert sum(wire.data.startswith(b"INVITE") for wire in found.wires) == 2


def test_what_routes_log_and_what_fails_in_them_is_shown() -> None:
    routes = ROUTES.replace("if (!identify())", 'log(info, "from " + $fU); if (!identify())')
    assert failure(f"{CALL} expect reply 404;", routes).log == ("info: from 1000",)
    log = failure('invite from 127.0.0.1 caller "0" callee "86500"; expect end Normal;').log
    assert "ZeroDivisionError" in log[0]
    assert "routes.cfg" in log[0]


def test_a_route_that_fails_unnoticed_fails_the_test() -> None:
    routes = ROUTES + "\nend_route { let broken = str(1 / (len($rU) - len($rU))); }\n"
    found = failure(f"{CALL} gateway first replies 486; expect reply 486;", routes)
    assert found.sentence.startswith("expected no route to fail, but ")
    assert found.sentence.endswith("ZeroDivisionError: integer division or modulo by zero")
    assert found.step == 'test "t"'


def test_a_router_that_calls_itself_comes_to_an_end() -> None:
    routes = ROUTES.replace("192.0.2.91:5060  prefixes = 86  priority = 1",
                            "127.0.0.1:5060  prefixes = 86  priority = 1")
    routes = routes.replace('$rU = "00" + $rU;', "").replace("lines = 2", "")
    said = sentence(f"{CALL} expect gateway first;", routes)
    assert said.startswith("expected the call at first, but it ")
