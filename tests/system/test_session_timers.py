"""Session timers with real peers: who refreshes, what is too small, and what becomes of silence.

The router's session_expires is 4 s, so a session is refreshed after 2 s and given up after 2.7.
"""

from __future__ import annotations

import os
import signal
import time

import pytest
from harness.ports import wait_until
from harness.routes import Routes
from harness.switch import Switch

ALIVE_MS = 4_500
"""a call that lasts longer than its timer was refreshed"""


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=12, settings={"session_expires": "4s"}))


@pytest.mark.parametrize(
    ("caller", "gateway", "least_ms"),
    [
        ("caller_is_refreshed", "gateway_answers", 3_900),
        ("caller_is_reinvited", "gateway_answers", 1_900),
        ("caller_refreshes", "gateway_answers", 5_900),
        ("caller_hangs_up", "gateway_is_refreshed", ALIVE_MS),
        ("caller_hangs_up", "gateway_refreshes", ALIVE_MS - 500),
        ("caller_asks_for_longer", "gateway_answers", 1_000),
        ("caller_hangs_up", "gateway_asks_for_longer", 1_000),
        ("caller_refreshes", "gateway_is_refreshed", 5_900),
    ],
)
def test_each_leg_keeps_its_session(
    switch: Switch, sipp, caller: str, gateway: str, least_ms: int
) -> None:
    pair = switch.routes.pair()
    hold_ms = least_ms if caller in ("caller_hangs_up", "caller_asks_for_longer") else 0
    called = sipp(gateway, port=pair.first)
    calling = sipp(
        caller, target=switch.port, number=pair.number, call_id=f"{caller}-{gateway}",
        hold_ms=hold_ms,
    )
    calling.succeeds()
    called.succeeds()
    cdr = switch.cdr(f"{caller}-{gateway}")
    assert (cdr["end_reason"], cdr["end_side"]) == ("Normal", "caller")
    assert cdr["duration_ms"] >= least_ms
    assert len(cdr["attempts"]) == 1
    switch.is_idle()


def test_a_caller_that_does_not_refresh_is_hung_up_on_and_so_is_the_gateway(
    switch: Switch, sipp
) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first)
    caller = sipp(
        "caller_is_hung_up_on", target=switch.port, number=pair.number, call_id="silent-caller",
        changes={
            "      Max-Forwards: 70\n      Content-Type": "      Max-Forwards: 70\n"
            "      Supported: timer\n      Session-Expires: 4;refresher=uac\n      Content-Type"
        },
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("silent-caller")
    assert (cdr["end_reason"], cdr["end_side"]) == ("SessionTimeout", "server")
    assert 2_600 <= cdr["duration_ms"] < 4_000
    assert cdr["decision"][-1] == "session: the caller sent no refresh in 4 s"
    for peer in (caller, gateway):
        assert "Reason: Q.850;cause=102" in (peer.folder / "messages.log").read_text()
    switch.is_idle()


def test_a_gateway_that_does_not_refresh_is_hung_up_on_and_so_is_the_caller(
    switch: Switch, sipp
) -> None:
    pair = switch.routes.pair()
    gateway = sipp(
        "gateway_answers", port=pair.first,
        changes={
            "      Content-Type: application/sdp": "      Require: timer\n"
            "      Session-Expires: 4;refresher=uas\n      Content-Type: application/sdp"
        },
    )
    caller = sipp(
        "caller_is_hung_up_on", target=switch.port, number=pair.number, call_id="silent-gateway"
    )
    caller.succeeds()
    gateway.succeeds()
    cdr = switch.cdr("silent-gateway")
    assert cdr["end_reason"] == "SessionTimeout"
    assert cdr["decision"][-1] == "session: the callee sent no refresh in 4 s"
    switch.is_idle()


def test_a_session_goes_on_after_its_worker_was_killed(run_switch, sipp) -> None:
    switch = run_switch(Routes(pairs=1, settings={"session_expires": "4s"}))
    pair = switch.routes.pair()
    gateway = sipp("gateway_is_refreshed", port=pair.first)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="killed",
        hold_ms=ALIVE_MS,
    )
    wait_until(lambda: sum(switch.in_use().values()), "the call is there")
    time.sleep(1)
    os.kill(switch.worker_pids()[0], signal.SIGKILL)
    caller.succeeds()
    gateway.succeeds()
    assert switch.cdr("killed")["end_reason"] == "Normal"
    switch.is_idle()
