"""`trunkline call` against a real router: as a trunk, as a phone, refused, and ended by Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from harness.ports import wait_until
from harness.routes import Routes
from harness.switch import PROGRAM, Switch

OURS = {"s=caller-sendrecv": "s=-"}
"""Our session has no name."""

ACCOUNTS = """
account acme {
    lines = 50
    trunk office { ips = 127.0.0.1 }
    trunk far    { ips = 198.51.100.0/28 }
    phone 3001   { password = "very-secret-3001" }
}
"""


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    return module_switch(Routes(pairs=8, accounts=ACCOUNTS), workers=2)


def argv(switch: Switch, number: str, *words: str) -> list[str]:
    return [str(PROGRAM), "call", number, "--config", str(switch.file), *words]


def play(switch: Switch, number: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(switch, number, *words), capture_output=True, text=True, timeout=40, check=False
    )


def test_a_trunk_calls_and_is_answered(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100, changes=OURS)
    done = play(switch, pair.number, "--as", "acme/office", "--hold", "400ms")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    gateway.succeeds()
    out = done.stdout
    for words in ("No media is sent", "─ INVITE ─", "200 OK", "BYE", "Normal", pair.first_name):
        assert words in out, out
    assert max(map(len, out.splitlines())) <= 100
    switch.is_idle()


def test_a_phone_calls_with_its_password(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100, changes=OURS)
    done = play(switch, pair.number, "--phone", "3001", "--hold", "300ms", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    gateway.succeeds()
    cdr = json.loads(done.stdout)
    assert (cdr["phone"], cdr["caller_in"], cdr["end_reason"]) == ("3001", "3001", "Normal")
    assert "very-secret" not in done.stdout


def test_what_was_expected_decides_the_exit_code(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    sipp("gateway_refuses", port=pair.first, calls=3, changes={
        "503 Service Unavailable": "486 Busy Here"
    })
    sipp("gateway_refuses", port=pair.second, calls=3, changes={
        "503 Service Unavailable": "486 Busy Here"
    })
    office = ("--as", "acme/office")
    done = play(switch, pair.number, *office, "--expect", "UserBusy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "UserBusy" in done.stdout and "What to do" in done.stdout
    assert play(switch, pair.number, *office).returncode == 1
    done = play(switch, pair.number, *office, "--expect", "NotFound")
    assert (done.returncode, "ended with UserBusy, expected NotFound" in done.stderr) == (1, True)


def test_ctrl_c_hangs_up(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    gateway = sipp("gateway_answers", port=pair.first, hold_ms=100, changes=OURS)
    process = subprocess.Popen(
        argv(switch, pair.number, "--as", "acme/office", "--hold", "1m"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        wait_until(
            lambda: any(switch.ask_live(lambda live: [one.answered for one in live.calls()])),
            "the call is answered", 15,
        )
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, ""), out + err
    assert "BYE" in out and "Traceback" not in err
    gateway.succeeds()
    switch.is_idle()


def test_ctrl_c_before_the_answer_cancels(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    sipp("gateway_rings", port=pair.first)
    process = subprocess.Popen(
        argv(switch, pair.number, "--as", "acme/office"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while "180 Ringing" not in said:  # shown while the call goes on, not at its end
            said = process.stdout.readline()
            assert said, "it ended before it rang"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, ""), out + err
    assert "CANCEL" in out and "Cancelled" in out
    switch.is_idle()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "who calls? give --as"),
        (("--as", "acme/far"), "ip addr add 198.51.100.1/32 dev lo"),
        (("--as", "acme/offise"), "office"),
        (("--phone", "3002"), "3001"),
        (("--as", "acme/office", "--hold", "5"), "did you mean `5s`?"),
        (("--as", "acme/office", "--codec", "mp3"), "pcma"),
        (("--as", "acme/office", "--expect", "Bussy"), "UserBusy"),
        (("--as", "acme/office", "--state", "nowhere"), "nowhere"),
        (("--as", "acme/office", "--caller", "1 2"), "cannot be dialled"),
        (("--as", "acme/office", "--router", "there"), "is no IPv4 address"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    switch: Switch, words: tuple[str, ...], said: str
) -> None:
    done = play(switch, "7000555", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
