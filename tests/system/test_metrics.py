"""/metrics over real calls: right across workers, and never backwards when a worker is replaced."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from harness.ports import wait_until
from harness.routes import STRANGER, Pair, Routes
from harness.switch import Switch

# issue 2, "Metrics of this slice"
PROMISED = [
    "call_attempts_total",
    "calls_total",
    "call_duration_seconds_count",
    "post_dial_delay_seconds_count",
    "active_calls",
    "gateway_lines",
    "gateway_up",
    "sip_requests_total",
    "sip_responses_total",
    "sip_retransmissions_total",
    "sip_parse_errors_total",
    "route_duration_seconds_count",
    "route_errors_total",
    "worker_up",
    "worker_strays_total",
    "cdr_backlog",
    "config_info",
]


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=6), workers=2)


@pytest.fixture(scope="module")
def pair(switch: Switch) -> Pair:
    return switch.routes.pair()


def calls(switch: Switch, sipp, pair: Pair, count: int, name: str) -> None:
    """`count` calls that are answered and hung up, seen in the counters."""
    before = switch.metrics().value("calls_total", gateway=pair.first_name, reason="Normal")
    gateway = sipp("gateway_answers", port=pair.first, calls=count)
    sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id=name,
        calls=count,
        rate=40,
        hold_ms=200,
    ).succeeds()
    gateway.succeeds()
    switch.metric_reaches(before + count, "calls_total", gateway=pair.first_name, reason="Normal")


def refused(switch: Switch, sipp, number: str, status: int, **more) -> None:
    sipp(
        "caller_is_refused",
        target=switch.port,
        number=number,
        changes={'response="404"': f'response="{status}"'},
        **more,
    ).succeeds()


def test_every_call_is_counted_once_whatever_worker_took_it(
    switch: Switch, sipp, pair: Pair
) -> None:
    before = switch.metrics()
    calls(switch, sipp, pair, 20, "counted")
    after = switch.metrics()

    def grown(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    gateway = pair.first_name
    assert grown("call_attempts_total", gateway=gateway) == 20
    assert grown("call_attempts_total", gateway=pair.second_name) == 0
    assert grown("calls_total") == 20
    assert grown("call_duration_seconds_count") == 20
    assert 20 * 0.15 < grown("call_duration_seconds_sum") < 20 * 1.0
    assert grown("post_dial_delay_seconds_count", gateway=gateway) == 20
    assert grown("sip_requests_total", method="INVITE", direction="in") == 20
    assert grown("sip_requests_total", method="INVITE", direction="out") == 20
    assert grown("sip_requests_total", method="ACK", direction="in") == 20
    assert grown("sip_requests_total", method="BYE", direction="out") == 20
    assert grown("sip_responses_total", method="INVITE", code="200", direction="in") == 20
    assert grown("sip_responses_total", method="INVITE", code="200", direction="out") == 20
    assert grown("sip_responses_total", method="BYE", code="200", direction="in") == 20
    assert grown("route_duration_seconds_count", route="request_route") >= 20
    assert grown("sip_retransmissions_total") == 0
    assert after.value("active_calls") == 0
    assert after.value("gateway_lines", gateway=gateway) == 1000
    assert after.value("gateway_up", gateway=gateway) == 1
    assert after.value("worker_up", slot="0") == after.value("worker_up", slot="1") == 1
    assert after.value("config_info") == 1


def test_ends_are_counted_by_reason(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp(
        "gateway_refuses", port=pair.first, changes={"503 Service Unavailable": "486 Busy Here"}
    )
    refused(switch, sipp, pair.number, 486)
    gateway.succeeds()
    refused(switch, sipp, switch.routes.unserved_number, 404)
    refused(switch, sipp, pair.number, 403, ip=STRANGER)
    switch.metric_reaches(1, "calls_total", gateway=pair.first_name, reason="UserBusy")
    switch.metric_reaches(1, "calls_total", reason="NotFound")
    switch.metric_reaches(1, "calls_total", reason="IllegalCall")


def test_active_calls_follow_the_calls(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, calls=7)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        calls=7,
        rate=100,
        hold_ms=1500,
    )
    switch.metric_reaches(7, "active_calls", gateway=pair.first_name)
    caller.succeeds()
    gateway.succeeds()
    switch.metric_reaches(0, "active_calls", gateway=pair.first_name)


def test_counters_do_not_go_back_when_a_worker_is_replaced(
    switch: Switch, sipp, pair: Pair
) -> None:
    calls(switch, sipp, pair, 10, "before")
    time.sleep(1.2)  # whatever is not flushed yet is lost with the worker, and may be
    before = counters(switch)
    workers = switch.worker_pids()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: len(set(switch.worker_pids()) - set(workers)) == 2, "both workers are replaced"
    )
    switch.metric_reaches(2, "worker_up")
    after = counters(switch)
    backwards = {
        key: (was, after.get(key)) for key, was in before.items() if after.get(key, -1) < was
    }
    assert not backwards
    calls(switch, sipp, pair, 10, "after")
    now = counters(switch)
    assert all(now[key] >= was for key, was in after.items())


def counters(switch: Switch) -> dict:
    """All counters but the processor time of a process, which begins with the process."""
    return {
        key: value
        for key, value in switch.metrics().counters().items()
        if key[0] != "trunkline_process_cpu_seconds_total"
    }


def test_a_metrics_file_that_a_worker_has_only_just_made_does_not_break_a_scrape(
    switch: Switch,
) -> None:
    (made,) = {path.parent for path in switch.state.rglob("counter_0.db")}
    fresh = made / "counter_239.db"
    fresh.touch()
    try:
        assert switch.metrics().value("worker_up") == 2
    finally:
        fresh.unlink()


def test_every_promised_metric_is_there_and_no_label_names_a_person(
    switch: Switch, sipp, pair: Pair
) -> None:
    metrics = switch.metrics()
    assert set(PROMISED) - metrics.names() == set()
    for sample in metrics.samples:
        for name, value in sample.labels.items():
            if name == "le":
                continue
            assert not re.search(r"@|\d+\.\d+\.\d+|sip:", value), sample
            assert value not in ("1000", pair.number), sample
