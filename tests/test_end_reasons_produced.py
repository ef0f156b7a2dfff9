"""Which test makes a real call end for each reason, in tests/system: on routers, over sockets."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from router.core.end_reasons import EndReason

SYSTEM = Path(__file__).parent / "system"
REFUSED = "test_end_reasons.py::test_a_refused_call_has_its_code_cause_and_reason"
UNAFFORDABLE = "test_credit.py::test_a_call_that_its_account_may_not_make"

PRODUCED_BY = {
    "Normal": "test_calls.py::test_a_call_is_answered_and_the_caller_hangs_up",
    "Cancelled": "test_calls.py::test_the_caller_gives_up_while_it_rings",
    "UserBusy": REFUSED,
    "NoAvailableRouter": "test_calls.py::test_both_gateways_refuse_and_the_caller_gets_503",
    "NotFound": "test_refusals.py::test_a_number_without_a_prefix_is_not_found",
    "CalledNotOnline": REFUSED,
    "ResponseTimeout": "test_timeouts.py::"
    "test_a_gateway_that_stops_half_way_is_cancelled_and_the_reason_names_the_phase",
    "ProceedingTimeout": "test_timeouts.py::"
    "test_a_gateway_that_stops_half_way_is_cancelled_and_the_reason_names_the_phase",
    "ConnectionTimeout": "test_timeouts.py::test_two_silent_gateways_are_a_connection_timeout",
    "SessionTimeout": "test_timeouts.py::"
    "test_the_longest_duration_ends_an_answered_call_on_both_sides",
    "AccountLocked": UNAFFORDABLE,
    "AccountExpired": UNAFFORDABLE,
    "InsufficientBalance": UNAFFORDABLE,
    "RateNotFound": UNAFFORDABLE,
    "CallNotPermitted": UNAFFORDABLE,
    "AuthFailed": "test_end_reasons.py::"
    "test_wrong_credentials_end_in_auth_failed_and_then_in_ip_blocked",
    "IpBlocked": "test_end_reasons.py::"
    "test_wrong_credentials_end_in_auth_failed_and_then_in_ip_blocked",
    "IllegalCall": REFUSED,
    "ConnectionLimitExceeded": "test_refusals.py::"
    "test_when_the_accounts_lines_are_taken_the_connection_limit_is_exceeded",
    "CallerNumberRestricted": REFUSED,
    "CalledNumberRestricted": REFUSED,
    "Unregistered": "test_phones.py::"
    "test_a_phone_that_has_to_be_registered_calls_only_while_it_is",
    "ForwardingLoop": "test_phone_calls.py::test_forwarding_in_a_circle_ends",
    "CodecMismatch": REFUSED,
    "MediaTimeout": "test_media.py::test_a_call_whose_media_stop_ends_as_media_timeout",
    "GatewayRejected": REFUSED,
    "ScriptRejected": REFUSED,
    "Overloaded": "test_stopping.py::"
    "test_running_calls_go_on_and_new_ones_are_refused",
    "OperatorKill": "test_end_reasons.py::"
    "test_an_operator_who_stops_the_router_twice_ends_its_calls",
    "ServerFailure": "test_crashes.py::test_a_call_that_was_ringing_when_its_worker_died_is_closed",
    "SystemRestart": "test_end_reasons.py::"
    "test_a_call_open_at_a_power_cut_is_closed_at_the_next_start",
}


def test_each_reason_is_produced_by_a_real_call() -> None:
    assert set(PRODUCED_BY) == {reason.name for reason in EndReason}


@pytest.mark.parametrize("reason", PRODUCED_BY)
def test_the_test_is_there_and_asserts_the_reason(reason: str) -> None:
    file, _, name = PRODUCED_BY[reason].partition("::")
    text = (SYSTEM / file).read_text()
    module = ast.parse(text)
    functions = [
        one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == name
    ]
    assert functions, f"{file} has no test {name}"
    # What it is given as a parameter stands above it, or in a table of the module.
    first = min([functions[0].lineno, *(one.lineno for one in functions[0].decorator_list)])
    source = "\n".join(text.splitlines()[first - 1 : functions[0].end_lineno])
    tables = [
        ast.get_source_segment(text, one) or ""
        for one in module.body
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) in source
    ]
    assert f'"{reason}' in source + "".join(tables)
