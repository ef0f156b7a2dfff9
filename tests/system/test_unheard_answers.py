"""kill -9 between the answer of a call and its ACK: who pays for a call has heard its 200."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from harness.ports import wait_until
from harness.processes import alive
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, Call, Heard, Peer

DIES = '''\
"""The worker that is about to send the 200 of a call dies there, after the commit: once."""

import os
import signal
from pathlib import Path

from router.runtime.driver import Driver

DIED = Path({died!r})
send = Driver._send_all


def send_or_die(self, sends):
    for data, flow in sends:
        if data.startswith(b"SIP/2.0 200") and b" INVITE\\r\\n" in data and not DIED.exists():
            DIED.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
    return send(self, sends)


Driver._send_all = send_or_die
'''
POLICY = """
import python "dies.py" as dies
request_route {
    if ($rm == "OPTIONS") reply(200);
    if (!identify()) end(IllegalCall);
    call(gateways($rU));
}
"""


def kill(pid: int) -> None:
    """kill -9, and waits until it is dead."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), f"process {pid} dies")


def answered(switch: Switch, caller: Peer, gateway: Peer, number: str) -> tuple[Call, Heard]:
    """A call whose gateway has answered, and has its ACK; the 200 that the caller heard."""
    call = Call(caller, switch.port, number)
    call.invite()
    gateway.reply(gateway.expect("INVITE"), 200, tag="g", body=ANSWER)
    gateway.expect("ACK")
    return call, caller.expect("200 INVITE")


def ends_well(switch: Switch, call: Call, gateway: Peer) -> None:
    """The caller hangs up, the gateway hears of it, the CDR is an ordinary one."""
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    call.peer.expect("200 BYE")
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["end_side"]) == ("Normal", "caller")


@pytest.mark.parametrize("gives_up", [False, True], ids=["talks", "gives-up"])
def test_a_worker_that_dies_between_the_commit_and_the_sending(
    run_switch, peer, tmp_path: Path, gives_up: bool
) -> None:
    died = tmp_path / "died"
    switch = run_switch(Routes(pairs=2, policy=POLICY), start=False)
    (switch.folder / "dies.py").write_text(DIES.format(died=str(died)))
    switch.start()
    pid = switch.worker_pids()[0]
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    call.invite()
    invite = gateway.expect("INVITE")
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    ok = caller.expect("200 INVITE", timeout=8)
    assert died.read_text() == str(pid)
    assert not alive(pid)
    assert ok.body == ANSWER.encode()
    if gives_up:
        call.cancel()
        caller.expect("200 CANCEL")
        gateway.reply(gateway.expect("BYE"), 200)
        call.ack(ok)
        caller.reply(caller.expect("BYE"), 200)
        assert switch.cdr(call.call_id)["end_reason"] == "Cancelled"
        return
    call.ack(ok)
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    assert gateway.expect("ACK").cseq[0] == invite.cseq[0]
    ends_well(switch, call, gateway)


def test_an_answer_that_is_lost_before_its_worker_dies(run_switch, peer) -> None:
    """The caller did not get it, whatever it says here; another got it and said so long ago."""
    switch = run_switch(Routes(pairs=2))
    pair = switch.routes.pair()
    caller, other, gateway = peer(), peer(), peer(pair.first)
    early, ok = answered(switch, other, gateway, pair.number)
    early.ack(ok)
    time.sleep(1.4)  # the worker says once a second who waits for an ACK
    call, lost = answered(switch, caller, gateway, pair.number)
    kill(switch.worker_pids()[0])
    caller.heard.clear()
    again = caller.expect("200 INVITE", timeout=8)
    assert again.raw == lost.raw
    call.ack(again)
    caller.hears_nothing(1.2)
    assert other.listen(0.01) == [], "its ACK was known of"
    ends_well(switch, call, gateway)
    early.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    assert switch.cdr(early.call_id)["end_reason"] == "Normal"


def test_the_next_start_sends_an_answer_that_nobody_acknowledged(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2), workers=2)
    pair = switch.routes.pair()
    caller, others, gateway = peer(), peer(), peer(pair.first)
    talks = [answered(switch, others, gateway, pair.number) for _ in range(4)]
    for early, ok in talks:
        early.ack(ok)
    time.sleep(1.4)
    call, lost = answered(switch, caller, gateway, pair.number)
    switch.kill()
    others.listen(0.1)
    caller.heard.clear()
    switch.workers = 3
    switch.start()
    again = caller.expect("200 INVITE")
    assert again.raw == lost.raw
    call.ack(again)
    assert others.listen(0.6) == [], "their ACKs were known of"
    ends_well(switch, call, gateway)
    for early, _ in talks:
        early.bye()
        gateway.reply(gateway.expect("BYE"), 200)
    assert {cdr["end_reason"] for cdr in switch.cdrs("hand-", 5)} == {"Normal"}
    switch.is_idle()
