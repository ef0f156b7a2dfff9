"""Python functions in a running router: faults cost their own request, waits block nobody else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness.ports import wait_until
from harness.routes import Routes
from harness.switch import Switch
from harness.wire import ANSWER, Call, Heard, Peer

HOOKS = '''\
"""Functions that do what the tests ask for, and some that should never be written."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from router.routing.hooks import Call, route_function

HERE = Path(__file__).parent


@route_function
def raises(number: str) -> bool:
    return {}[number]


@route_function
def crawls() -> None:
    time.sleep(0.12)


@route_function
def endless() -> None:
    while True:
        try:
            time.sleep(1)
        except Exception:
            pass


@route_function
def lies() -> str:
    return 5


@route_function
async def never(call: Call) -> None:
    (HERE / "begun").write_text("begun")
    try:
        await asyncio.Event().wait()
    finally:
        (HERE / "ended").write_text("ended")


@route_function
async def slow() -> str:
    await asyncio.sleep(0.8)
    return "found"


@route_function
async def blocks() -> None:
    time.sleep(0.12)


@route_function
async def thread(number: str) -> str:
    return await asyncio.to_thread(str.upper, "late" + number)
'''
POLICY = """
hook_timeout = 1500ms
import python "hooks.py" as hooks
request_route {
    switch ($rm) {
        case "OPTIONS":
            if ($hdr(X-Do) == "slow" && hooks.slow() != "found") reply(500);
            reply(200);
        case "INVITE":  route(CALL);
        default:        reply(405);
    }
}
route[CALL] {
    if (!identify()) end(IllegalCall);
    switch ($hdr(X-Do)) {
        case "raises":  if (hooks.raises($rU)) drop;
        case "crawls":  hooks.crawls();
        case "endless": hooks.endless();
        case "lies":    log(info, hooks.lies());
        case "never":   hooks.never();
        case "slow":    $call.found = hooks.slow();
        case "blocks":  hooks.blocks();
        case "thread":  set_header("X-Found", hooks.thread($fU));
    }
    call(gateways($rU), on_branch = SENT, on_failure = NEXT);
}
branch_route[SENT] {
    if ($hdr(X-Do) == "branch") set_header("X-Found", hooks.slow());
}
failure_route[NEXT] {
    if ($hdr(X-Do) == "failure" && hooks.slow() == "found") next();
    end(UserBusy);
}
"""
Peers = Callable[..., Peer]


def routes() -> Routes:
    return Routes(pairs=12, policy=POLICY)


def started(run: Any, *, workers: int = 1) -> Switch:
    """A router with the functions beside its routes."""
    switch: Switch = run(routes(), workers=workers, start=False)
    (switch.folder / "hooks.py").write_text(HOOKS)
    switch.throws = True
    return switch.start()


@pytest.fixture(scope="module")
def switch(module_switch: Any) -> Switch:
    return started(module_switch)


def place(switch: Switch, caller: Peer, number: str, do: str = "") -> Call:
    call = Call(caller, switch.port, number)
    call.invite(extra=[f"X-Do: {do}"] if do else [])
    return call


def complete(call: Call, caller: Peer, gateway: Peer, timeout: float = 4.0) -> Heard:
    """The gateway answers, and the caller hangs up; the INVITE that the gateway got."""
    invite = gateway.expect("INVITE", timeout=timeout)
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")
    return invite


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_one_that_raises_costs_its_caller_a_500_and_names_both_lines(
    switch: Switch, peer: Peers
) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = place(switch, caller, pair.number, "raises")
    call.ack(caller.expect(500))
    switch.metric_reaches(1, "hook_errors_total", hook="hooks.raises", reason="raised")
    in_routes = line_of(switch.file.read_text(), "hooks.raises($rU)")
    in_python = line_of(HOOKS, "return {}[number]")
    log = switch.log(1 << 20)
    folder = str(switch.folder)
    assert (
        f"hooks.raises, called at {folder}/routes.cfg:{in_routes}, raised KeyError: '{pair.number}'"
        f" at {folder}/hooks.py:{in_python}"
    ) in log
    assert f'routes.cfg\\", line {in_routes}, in route_CALL' in log
    assert f'hooks.py\\", line {in_python}, in raises' in log
    assert switch.cdr(call.call_id)["end_reason"] == "ServerFailure"
    complete(place(switch, caller, pair.number), caller, gateway)


def test_one_that_gives_back_another_type_is_such_an_exception(switch: Switch, peer: Peers) -> None:
    pair = switch.routes.pair()
    caller = peer()
    call = place(switch, caller, pair.number, "lies")
    call.ack(caller.expect(500))
    switch.metric_reaches(1, "hook_errors_total", hook="hooks.lies", reason="wrong_type")
    assert "returned int 5, and not str" in switch.log()


@pytest.mark.parametrize("name", ["crawls", "blocks"])
def test_one_that_holds_up_everybody_is_counted_and_named(
    switch: Switch, peer: Peers, name: str
) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    complete(place(switch, caller, pair.number, name), caller, gateway)
    switch.metric_reaches(1, "hook_slow_total", hook=f"hooks.{name}")
    assert switch.metrics().value("route_slow_total", route="request_route") >= 1
    line = line_of(switch.file.read_text(), f"hooks.{name}()")
    named = [text for text in switch.log(1 << 20).split("\n") if f'"hooks.{name}"' in text]
    assert len(named) == 1
    assert f"routes.cfg:{line}" in named[0]


def test_one_that_waits_holds_up_nobody(switch: Switch, peer: Peers) -> None:
    pair = switch.routes.pair()
    caller, other, gateway = peer(), peer(), peer(pair.first)
    began = time.monotonic()
    waiting = [place(switch, caller, pair.number, "slow") for _ in range(20)]
    for _ in waiting:
        caller.expect(100, skip=())
    assert time.monotonic() - began < 0.6
    complete(place(switch, other, pair.number), other, gateway)
    assert time.monotonic() - began < 0.75
    invites = [gateway.expect("INVITE", timeout=2) for _ in waiting]
    assert time.monotonic() - began < 2.5
    for invite in invites:
        gateway.reply(invite, 486, tag="b")
    by_id = {call.call_id: call for call in waiting}
    for _ in waiting:
        response = caller.expect(486)
        by_id.pop(response.get("Call-ID")).ack(response)
    assert by_id == {}
    assert switch.cdr(waiting[0].call_id)["variables"] == {"found": "found"}


def test_a_request_that_waits_is_answered_once_however_often_it_comes(
    switch: Switch, peer: Peers
) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number)
    raw = call.invite(extra=["X-Do: slow"])
    first = caller.expect(100, skip=())
    call.send(raw)
    assert caller.expect(100, skip=()).raw == first.raw
    complete(call, caller, gateway)
    assert len(switch.cdrs(call.call_id)) == 1
    ping = Call(caller, switch.port, "")
    raw = ping.send(ping.compose("OPTIONS", cseq=1, extra=["X-Do: slow"]))
    ping.send(raw)
    caller.expect(200)
    caller.hears_nothing(0.3)


def test_branch_and_failure_routes_wait_too(switch: Switch, peer: Peers) -> None:
    pair = switch.routes.pair()
    caller, first, second = peer(), peer(pair.first), peer(pair.second)
    call = place(switch, caller, pair.number, "branch")
    assert complete(call, caller, first).get("X-Found") == "found"
    call = place(switch, caller, pair.number, "failure")
    first.reply(first.expect("INVITE"), 503, tag="f")
    first.expect("ACK")
    second.hears_nothing(0.5)
    complete(call, caller, second)


def test_work_in_a_thread_is_waited_for(switch: Switch, peer: Peers) -> None:
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    invite = complete(place(switch, caller, pair.number, "thread"), caller, gateway)
    assert invite.get("X-Found") == "LATE1000"


def test_one_that_never_returns_ends_its_request_in_time_and_the_worker_lives(
    switch: Switch, peer: Peers
) -> None:
    pair = switch.routes.pair()
    (worker,) = switch.worker_pids()
    ended = switch.folder / "ended"
    ended.unlink(missing_ok=True)
    caller, gateway = peer(), peer(pair.first)
    began = time.monotonic()
    call = place(switch, caller, pair.number, "never")
    caller.expect(100, skip=())
    call.ack(caller.expect(500))
    assert 1.4 < time.monotonic() - began < 2.5
    wait_until(ended.exists, "the function is cancelled", 2)
    switch.metric_reaches(1, "hook_errors_total", hook="hooks.never", reason="timeout")
    line = line_of(HOOKS, "await asyncio.Event().wait()")
    assert (
        f"did not return within hook_timeout = 1.5 s; it waits at {switch.folder}/hooks.py:{line}"
        in (switch.log(1 << 20))
    )
    assert switch.cdr(call.call_id)["end_reason"] == "ServerFailure"
    assert switch.worker_pids() == [worker]
    complete(place(switch, caller, pair.number), caller, gateway)
    switch.is_idle()


def test_the_caller_who_hangs_up_ends_the_function_too(switch: Switch, peer: Peers) -> None:
    pair = switch.routes.pair()
    begun, ended = switch.folder / "begun", switch.folder / "ended"
    begun.unlink(missing_ok=True)
    ended.unlink(missing_ok=True)
    caller = peer()
    call = place(switch, caller, pair.number, "never")
    caller.expect(100, skip=())
    wait_until(begun.exists, "the function begins", 1)
    call.cancel()
    caller.expect("200 CANCEL")
    call.ack(caller.expect(487))
    wait_until(ended.exists, "the function is cancelled", 1)
    assert switch.cdr(call.call_id)["end_reason"] == "Cancelled"


def test_a_sync_one_that_never_returns_is_broken_off_and_the_worker_lives(
    switch: Switch, peer: Peers
) -> None:
    pair = switch.routes.pair()
    (worker,) = switch.worker_pids()
    caller, gateway = peer(), peer(pair.first)
    call = place(switch, caller, pair.number, "endless")
    call.ack(caller.expect(500, timeout=9))
    assert switch.worker_pids() == [worker]
    switch.metric_reaches(1, "hook_errors_total", hook="hooks.endless", reason="stuck")
    line = line_of(switch.file.read_text(), "hooks.endless()")
    assert f"hooks.endless, called at {switch.folder}/routes.cfg:{line}, did not return" in (
        switch.log(1 << 20)
    )
    complete(place(switch, caller, pair.number), caller, gateway)
    switch.is_idle()


def test_a_successor_answers_the_callers_of_a_worker_that_died(
    run_switch: Any, peer: Peers
) -> None:
    switch = started(run_switch)
    pair = switch.routes.pair()
    caller = peer()
    call = place(switch, caller, pair.number, "never")
    caller.expect(100, skip=())
    (worker,) = switch.worker_pids()
    os.kill(worker, signal.SIGKILL)
    call.ack(caller.expect(500))
    assert switch.cdr(call.call_id)["end_reason"] == "ServerFailure"
    switch.is_idle()


def test_a_reload_imports_the_file_afresh_and_refuses_a_broken_one(
    run_switch: Any, peer: Peers
) -> None:
    switch = started(run_switch, workers=2)
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)

    def found() -> str:
        invite = complete(place(switch, caller, pair.number, "thread"), caller, gateway)
        return str(invite.get("X-Found"))

    assert found() == "LATE1000"
    file = switch.folder / "hooks.py"
    file.write_text(HOOKS.replace('"late" +', '"soon" +'))
    done = switch.command("reload", "--state", str(switch.state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "python hooks" in done.stdout
    assert [found() for _ in range(4)] == ["SOON1000"] * 4
    file.write_text(HOOKS.replace('"late" +', '"never" +') + "nowhere\n")
    done = switch.command("reload", "--state", str(switch.state))
    assert done.returncode == 1
    told = " ".join((done.stdout + done.stderr).split())
    assert "NameError: name 'nowhere' is not defined" in told
    assert found() == "SOON1000"
