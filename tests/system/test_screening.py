"""Each screening rule with a real caller: what it gets, and what the CDR names as the cause."""

from __future__ import annotations

import pytest
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import Call

ACCOUNTS = """
callee_deny = 79
list black { file = "black.csv" }
list white { file = "white.csv" }
account acme {
    caller_deny = 2222
    trunk lists  { ips = 127.0.0.1  callee_deny = 7000556, black  caller_deny = black }
    trunk white  { ips = 127.0.0.2  callee_allow = 70005, white }
    trunk length { ips = 127.0.0.3  number_length = 4-7 }
}
"""
BLACK = "number,why\n7000557,never paid\n70099*,fraud\n3333,spam\n"
LISTS, WHITE, LENGTH = (f"127.0.0.{last}" for last in range(1, 4))


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    made = module_switch(Routes(pairs=10, accounts=ACCOUNTS), start=False)
    (made.folder / "black.csv").write_text(BLACK)
    (made.folder / "white.csv").write_text("7001999\n")
    return made.start()


def refused(
    switch: Switch, sipp, call_id: str, number: str, status: int, *, ip: str = LISTS
) -> dict:
    """The CDR of a call that SIPp saw refused with this status."""
    sipp(
        "caller_is_refused", target=switch.port, number=number, call_id=call_id, ip=ip,
        changes={'response="404"': f'response="{status}"'},
    ).succeeds()
    return switch.cdr(call_id)


@pytest.mark.parametrize(
    ("ip", "number", "status", "why"),
    [
        (LISTS, "7000556", 403, "begins with 7000556 of callee_deny"),
        (LISTS, "7000557", 403, "is 7000557 of list black"),
        (LISTS, "700991", 403, "begins with 70099* of list black"),
        (LISTS, "7911", 403, "begins with 79 of callee_deny (for all calls)"),
        (WHITE, "7001998", 403, "begins with nothing of callee_allow"),
        (LENGTH, "70005551", 403, "is longer than 7"),
        (LENGTH, "700", 484, "is shorter than 4"),
    ],
)
def test_a_called_number_is_refused_and_the_decision_says_why(
    switch: Switch, sipp, ip: str, number: str, status: int, why: str
) -> None:
    cdr = refused(switch, sipp, f"is-{number}-refused", number, status, ip=ip)
    assert (cdr["end_reason"], cdr["sip_code"]) == ("CalledNumberRestricted", status)
    assert cdr["decision"][-1] == f"refused: callee {number} {why}"
    assert cdr["attempts"] == []
    switch.is_idle()


@pytest.mark.parametrize(
    ("caller", "why"),
    [
        ("3333", "is 3333 of list black"),
        ("2222", "begins with 2222 of caller_deny (account acme)"),
    ],
)
def test_a_caller_is_refused_and_the_decision_says_why(
    switch: Switch, peer, caller: str, why: str
) -> None:
    call = Call(peer(), switch.port, "7000555", caller=caller)
    call.invite()
    call.peer.expect("403 INVITE")
    cdr = switch.cdr(call.call_id)
    assert cdr["end_reason"] == "CallerNumberRestricted"
    assert cdr["decision"][-1] == f"refused: caller {caller} {why}"


def test_a_number_of_the_whitelist_and_others_pass(switch: Switch, sipp) -> None:
    pairs = [switch.routes.pair(), switch.routes.pair()]
    for pair, number, ip in ((pairs[0], pairs[0].number, LISTS), (pairs[1], "7001999", WHITE)):
        gateway = sipp("gateway_answers", port=pair.first)
        sipp(
            "caller_hangs_up", target=switch.port, number=number, call_id=f"free-{number}", ip=ip
        ).succeeds()
        gateway.succeeds()
        assert switch.cdr(f"free-{number}")["end_reason"] == "Normal"


def test_a_reload_reads_the_lists_again_and_refuses_a_wrong_one(switch: Switch, sipp) -> None:
    black = switch.folder / "black.csv"
    black.write_text(BLACK + "Alice\n")
    done = switch.command("reload", "--state", str(switch.state))
    assert done.returncode == 1
    assert "black.csv:5:1" in done.stdout + done.stderr
    assert "`Alice` is no number" in done.stdout + done.stderr
    black.write_text(BLACK + "7002*\n")
    assert switch.command("reload", "--state", str(switch.state)).returncode == 0
    cdr = refused(switch, sipp, "reloaded", "7002555", 403)
    assert cdr["decision"][-1] == "refused: callee 7002555 begins with 7002* of list black"
