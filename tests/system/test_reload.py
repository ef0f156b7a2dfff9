"""Reload: a changed routes.cfg in every worker or in none, and no call that notices.

`make soak` plays 500 reloads during 300 calls a second; here is a short storm, and each promise.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from harness.ports import free_port, wait_until
from harness.processes import alive
from harness.routes import Pair, Routes
from harness.storm import Storm
from harness.switch import PROGRAM, Switch
from harness.wire import ANSWER, Call, Heard, Peer


def rewrite(switch: Switch, *changes: tuple[str, str]) -> None:
    """Edits routes.cfg: each first text, which must stand in it, becomes the second."""
    text = switch.file.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    switch.file.write_text(text)


def reload(switch: Switch, *options: str) -> subprocess.CompletedProcess[str]:
    """`trunkline reload`."""
    return switch.command("reload", "--state", str(switch.state), *options)


def reloads(switch: Switch, *changes: tuple[str, str]) -> str:
    """Edits and reloads; what the command says. AssertionError unless it was applied."""
    rewrite(switch, *changes)
    done = reload(switch)
    assert done.returncode == 0, done.stderr
    return done.stdout


def hash_of(switch: Switch) -> str:
    """The hash of the configuration that decides, from /metrics."""
    [found] = [
        sample.labels["hash"]
        for sample in switch.metrics().samples
        if sample.name == "trunkline_config_info"
    ]
    return found


def ring(switch: Switch, pair: Pair, caller: Peer, gateway: Peer) -> tuple[Call, Heard]:
    """A call that has reached the gateway."""
    call = Call(caller, switch.port, pair.number)
    call.invite()
    return call, gateway.expect("INVITE")


def talk(switch: Switch, pair: Pair, caller: Peer, gateway: Peer) -> Call:
    """A call that is answered."""
    call, invite = ring(switch, pair, caller, gateway)
    gateway.reply(invite, 200, tag="g", body=ANSWER)
    call.ack(caller.expect("200 INVITE"))
    gateway.expect("ACK")
    return call


def hang_up(call: Call, caller: Peer, gateway: Peer) -> None:
    """The caller ends an answered call."""
    call.bye()
    gateway.reply(gateway.expect("BYE"), 200)
    caller.expect("200 BYE")


# -- under load -----------------------------------------------------------------------------------


def test_reloads_under_load_fail_no_call_and_leave_no_worker_behind(run_switch, sipp) -> None:
    switch = run_switch(Routes(pairs=1), workers=2)
    pair = switch.routes.pair()
    rate, seconds = 80, 8
    more = {"calls": rate * seconds, "messages": False, "limit_s": seconds + 30}
    gateway = sipp("gateway_answers", port=pair.first, **more)
    caller = sipp(
        "caller_hangs_up",
        target=switch.port,
        number=pair.number,
        call_id="storm",
        rate=rate,
        hold_ms=300,
        **more,
    )
    storm = Storm(switch)
    number = 0
    while caller.process.poll() is None:
        storm.reload(number)
        number += 1
        time.sleep(0.1)
    caller.succeeds()
    gateway.succeeds()
    switch.is_idle()
    assert len(storm.applied) > 9
    wait_until(lambda: len(switch.all_cdrs()) == rate * seconds, "every CDR is stored")
    storm.check_versions(pair, rate * seconds)
    metrics = switch.metrics()
    assert metrics.value("reloads_total", result="applied") == len(storm.applied)
    assert metrics.value("reloads_total", result="refused") == storm.refused > 0
    assert metrics.value("reloads_total", result="failed") == 0
    assert hash_of(switch) == storm.applied[-1].hash


def test_a_worker_killed_during_reloads_leaves_no_mixture(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=40), workers=2)
    expected: dict[str, str] = {}
    for number in range(6):
        victim = switch.worker_pids()[number % 2]
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.0{number}; kill -9 {victim}"])
        before = hash_of(switch)
        switch.file.write_text(switch.file_text(str(switch.state)) + f"# version {number}\n")
        done = reload(switch)
        killer.wait(5)
        wait_until(lambda victim=victim: not alive(victim), "the worker is dead")
        wait_until(lambda: len(switch.worker_pids()) == 2, "the worker is replaced")
        now = hash_of(switch)
        assert (now != before) == (done.returncode == 0), done.stderr
        # Calls of either worker meet the same configuration.
        for _ in range(4):
            pair = switch.routes.pair()
            caller, gateway = peer(), peer(pair.first)
            call = talk(switch, pair, caller, gateway)
            hang_up(call, caller, gateway)
            expected[call.call_id] = now
    assert len(set(expected.values())) > 1, "no reload was applied"
    cdrs = switch.cdrs("hand-", len(expected))
    assert {cdr["call_id"]: cdr["config"] for cdr in cdrs} == expected
    assert {cdr["worker"] for cdr in cdrs} == {0, 1}


# -- what is not loaded ---------------------------------------------------------------------------


def test_a_refused_reload_shows_everything_and_changes_nothing(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2), workers=2)
    before = hash_of(switch)
    good = switch.file.read_text()
    rewrite(
        switch, ("identify()", "identity()"), ("next();", "nxt();"), ("lines = 1000", "lines = 0")
    )
    done = reload(switch)
    assert done.returncode == 1
    assert done.stdout == ""
    for part in ("identity", "did you mean `identify`?", "nxt", "^^^", "lines", "errors in the"):
        assert part in done.stderr
    assert done.stderr.endswith(f"{before} runs on\n")
    assert hash_of(switch) == before
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = talk(switch, pair, caller, gateway)
    hang_up(call, caller, gateway)
    assert switch.cdr(call.call_id)["config"] == before
    assert switch.metrics().value("reloads_total", result="refused") == 1
    switch.file.write_text(good + "# better\n")
    assert reload(switch).returncode == 0
    assert hash_of(switch) != before


def test_a_test_block_that_fails_refuses_the_reload(run_switch) -> None:
    switch = run_switch(Routes(pairs=1))
    before = hash_of(switch)
    number = switch.routes.pair().number
    block = (
        f'test "calls" {{ invite from 127.0.0.1 caller "1" callee "{number}"; expect end %s; }}\n'
    )
    text = switch.file.read_text()
    switch.file.write_text(text + block % "AccountLocked")
    done = reload(switch)
    assert done.returncode == 1
    assert 'test "calls" failed: expected' in done.stderr
    assert "not loaded: 1 of 1 test failed" in done.stderr
    assert hash_of(switch) == before
    switch.file.write_text(text + 'test "no" { invite from 127.0.0.9; expect end IllegalCall; }\n')
    done = reload(switch)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 test passed" in done.stdout


def test_a_file_that_is_gone_is_one_line(run_switch) -> None:
    switch = run_switch(Routes(pairs=1))
    before = hash_of(switch)
    switch.file.unlink()
    done = reload(switch)
    assert done.returncode == 1
    assert "cannot be read: no such file or directory" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert hash_of(switch) == before


def test_a_dry_run_tells_and_changes_nothing(run_switch) -> None:
    switch = run_switch(Routes(pairs=1))
    before = hash_of(switch)
    rewrite(switch, ("lines = 5000", "lines = 4000"))
    done = reload(switch, "--dry-run")
    assert done.returncode == 0
    assert "can be loaded" in done.stdout
    assert "~ account acme (lines)" in done.stdout
    assert hash_of(switch) == before
    assert switch.metrics().value("reloads_total") == 0


def test_without_a_router_the_command_says_so_in_one_line(run_switch) -> None:
    switch = run_switch(Routes(pairs=1))
    switch.kill()
    done = reload(switch)
    assert done.returncode == 1
    assert done.stderr.startswith("trunkline: no router runs with state folder")
    assert len(done.stderr.splitlines()) == 1
    # The socket that the killed one has left is no hindrance.
    switch.start()
    assert reload(switch).returncode == 0


# -- calls in progress ----------------------------------------------------------------------------


def test_a_call_in_progress_keeps_its_failure_route(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call, invite = ring(switch, pair, caller, gateway)
    before = hash_of(switch)
    reloads(switch, ("    next();", "    end(AccountLocked);"))
    second = peer(pair.second)
    gateway.reply(invite, 503, tag="g")
    gateway.expect("ACK")
    # It goes on to the next gateway, as the old route says.
    invite = second.expect("INVITE")
    second.reply(invite, 486, tag="s")
    second.expect("ACK")
    call.ack(caller.expect(486))
    assert switch.cdr(call.call_id)["config"] == before
    # The next call meets the new one.
    call, invite = ring(switch, pair, peer(), gateway)
    gateway.reply(invite, 503, tag="h")
    gateway.expect("ACK")
    call.ack(call.peer.expect(403))
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["config"]) == ("AccountLocked", hash_of(switch))


def test_a_gateway_that_was_removed_drains(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2))
    pair = switch.routes.pair()
    caller, gateway, second = peer(), peer(pair.first), peer(pair.second)
    call = talk(switch, pair, caller, gateway)
    text = switch.file.read_text()
    block = text[text.index(f"gateway {pair.first_name}") : text.index("gateway second_")]
    said = reloads(switch, (block, f"gateway other {{ address = 127.0.0.1:{free_port()} }}\n"))
    assert f"- gateway {pair.first_name}" in said
    assert "+ gateway other" in said
    assert switch.in_use()[f"gateway:{pair.first_name}"] == 1
    assert switch.metrics().value("active_calls", gateway=pair.first_name) == 1
    # New calls go elsewhere; the running one takes requests and ends in its own time.
    other = peer()
    new = talk(switch, pair, other, second)
    call.request("INFO")
    gateway.reply(gateway.expect("INFO"), 200)
    caller.expect("200 INFO")
    hang_up(call, caller, gateway)
    hang_up(new, other, second)
    assert switch.cdr(call.call_id)["end_reason"] == "Normal"
    switch.is_idle()
    assert pair.first_name not in {
        sample.labels.get("gateway")
        for sample in switch.metrics().samples
        if sample.name == "trunkline_active_calls"
    }


def test_an_answered_call_survives_a_reload_and_then_its_worker(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2))
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = talk(switch, pair, caller, gateway)
    before = hash_of(switch)
    reloads(switch, (f"gateway {pair.first_name}", f"gateway new_{pair.prefix}"))
    [pid] = switch.worker_pids()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: switch.worker_pids() not in ([pid], []), "the worker is replaced")
    hang_up(call, caller, gateway)
    cdr = switch.cdr(call.call_id)
    assert (cdr["end_reason"], cdr["config"]) == ("Normal", before)
    # The successor runs the new configuration.
    call = talk(switch, pair, caller, gateway)
    hang_up(call, caller, gateway)
    cdr = switch.cdr(call.call_id)
    assert (cdr["gateway"], cdr["config"]) == (f"new_{pair.prefix}", hash_of(switch))
    switch.is_idle()


# -- what changes ---------------------------------------------------------------------------------


def test_changed_lines_count_for_the_next_call(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=1, first={"lines": "1"}, second={"lines": "1"}), workers=2)
    pair = switch.routes.pair()
    first, second = peer(pair.first), peer(pair.second)
    held = [(talk(switch, pair, caller := peer(), one), caller, one) for one in (first, second)]
    refused = Call(peer(), switch.port, pair.number)
    refused.invite()
    refused.ack(refused.peer.expect(503))
    reloads(switch, ("lines = 1\n", "lines = 2\n"))
    assert switch.metrics().value("gateway_lines", gateway=pair.first_name) == 2
    held += [(talk(switch, pair, caller := peer(), one), caller, one) for one in (first, second)]
    assert switch.in_use()[f"gateway:{pair.first_name}"] == 2
    # Fewer lines than are in use: nobody is cut off, and nobody new let in.
    reloads(switch, ("lines = 2\n", "lines = 1\n"))
    refused = Call(peer(), switch.port, pair.number)
    refused.invite()
    refused.ack(refused.peer.expect(503))
    for each in held:
        hang_up(*each)
    switch.is_idle()


def test_a_gateway_at_a_new_address_is_not_held_to_what_the_old_one_did(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2), workers=2)
    pair = switch.routes.pair()
    first, second, moved = peer(pair.first), peer(pair.second), peer()
    call, invite = ring(switch, pair, peer(), first)
    first.reply(invite, 503, tag="g", extra=["Retry-After: 600"])
    first.expect("ACK")
    second.reply(second.expect("INVITE"), 486, tag="s")
    second.expect("ACK")
    call.ack(call.peer.expect(486))
    switch.metric_reaches(0, "gateway_up", gateway=pair.first_name)
    # A change of something else leaves it aside; a new address does not.
    reloads(switch, ("lines = 1000", "lines = 999"))
    assert switch.metrics().value("gateway_up", gateway=pair.first_name) == 0
    reloads(switch, (f":{pair.first}\n", f":{moved.port}\n"))
    assert switch.metrics().value("gateway_up", gateway=pair.first_name) == 1
    caller = peer()
    call = talk(switch, pair, caller, moved)
    hang_up(call, caller, moved)
    assert switch.cdr(call.call_id)["gateway"] == pair.first_name


def test_an_account_comes_and_goes(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2))
    pair = switch.routes.pair()
    stranger, gateway = peer(host="127.0.0.2"), peer(pair.first)
    call = Call(stranger, switch.port, pair.number)
    call.invite()
    call.ack(stranger.expect(403))
    text = switch.file.read_text()
    switch.file.write_text(text + "account guest { trunk t { ips = 127.0.0.2 } }\n")
    done = reload(switch)
    assert "+ account guest" in done.stdout
    call = talk(switch, pair, stranger, gateway)
    switch.file.write_text(text)
    done = reload(switch)
    assert "- account guest" in done.stdout
    hang_up(call, stranger, gateway)
    assert switch.cdr(call.call_id)["account"] == "guest"
    again = Call(stranger, switch.port, pair.number)
    again.invite()
    again.ack(stranger.expect(403))
    switch.is_idle()


def test_what_needs_a_restart_is_said_and_the_rest_is_applied(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=2))
    said = reloads(
        switch,
        (f"listen = udp:127.0.0.1:{switch.port}", f"listen = udp:127.0.0.1:{free_port()}"),
        ("lines = 5000", "lines = 4000"),
    )
    assert "~ account acme (lines)" in said
    assert "! `listen` is not the one Trunkline was started with: it waits for a restart" in said
    assert '"setting": "listen"' in switch.log()
    pair = switch.routes.pair()
    caller, gateway = peer(), peer(pair.first)
    call = talk(switch, pair, caller, gateway)
    hang_up(call, caller, gateway)


def test_status_tells_the_configuration_that_was_reloaded(run_switch) -> None:
    switch = run_switch(Routes(pairs=1, first={"lines": "7"}))
    reloads(switch, ("lines = 7\n", "lines = 8\n"))
    told = switch.command("status", "--state", str(switch.state))
    assert hash_of(switch) in told.stdout
    [line] = [line for line in told.stdout.splitlines() if line.startswith("first_")]
    assert line.split()[2] == "8"


HOOKS = """
from router.routing.hooks import route_function
import tariffs_beside

@route_function
def code(number: str) -> int:
    return tariffs_beside.CODE
"""


def test_python_files_change_with_the_reload_and_not_before(run_switch, peer) -> None:
    routes = Routes(
        pairs=1,
        more='import python "hooks.py" as hooks\n',
        policy="""request_route {
            if ($rm == "OPTIONS") reply(200);
            if (hooks.code($rU) == 480) reply(480);
            reply(486);
        }""",
        accounts="",
    )
    switch = run_switch(routes, start=False)
    hooks, beside = switch.folder / "hooks.py", switch.folder / "tariffs_beside.py"
    hooks.write_text(HOOKS)
    beside.write_text("CODE = 480\n")
    switch.start()

    def status() -> int:
        call = Call(peer(), switch.port, "1")
        call.invite()
        answer = call.peer.expect(480, 486)
        call.ack(answer)
        return answer.status

    assert status() == 480
    beside.write_text("CODE = 486\n")
    assert status() == 480
    assert reload(switch).returncode == 0
    assert status() == 486
    # What is broken now is not loaded, neither by a reload nor by a worker that is born.
    beside.write_text("CODE = nowhere\n")
    done = reload(switch)
    assert done.returncode == 1
    assert "NameError" in done.stderr
    [pid] = switch.worker_pids()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: switch.worker_pids() not in ([pid], []), "the worker is replaced")
    assert status() == 486


# -- who asks -------------------------------------------------------------------------------------


def test_a_hangup_signal_reloads_and_the_log_shows_the_findings(run_switch) -> None:
    switch = run_switch(Routes(pairs=1), workers=2)
    before = hash_of(switch)
    rewrite(switch, ("lines = 5000", "lines = 4000"))
    switch.process.send_signal(signal.SIGHUP)
    wait_until(lambda: hash_of(switch) != before, "the new configuration decides")
    assert '"event": "configuration reloaded"' in switch.log()
    after = hash_of(switch)
    rewrite(switch, ("next();", "nxt();"))
    switch.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "unknown-function" in switch.log(), "the finding is logged")
    assert '"event": "reload refused"' in switch.log()
    assert hash_of(switch) == after


def test_reloads_at_once_are_all_served(run_switch) -> None:
    switch = run_switch(Routes(pairs=1), workers=2)
    rewrite(switch, ("lines = 5000", "lines = 4000"))
    argv = [str(PROGRAM), "reload", "--state", str(switch.state)]
    commands = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = [command.communicate(timeout=30) for command in commands]
    assert [command.returncode for command in commands] == [0] * 6, said
    assert sum("~ account acme (lines)" in out for out, _ in said) == 1, "the first of them"
    assert switch.metrics().value("reloads_total", result="applied") == 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_router_that_ends_meanwhile_is_told_in_one_line(run_switch, number) -> None:
    switch = run_switch(Routes(pairs=1))
    # A great many tests: the check takes long enough to be met by the signal.
    block = 'test "{0}" {{ invite from 127.0.0.9; expect end IllegalCall; }}\n'
    switch.file.write_text(
        switch.file.read_text() + "".join(block.format(each) for each in range(3_000))
    )
    argv = [str(PROGRAM), "reload", "--state", str(switch.state)]
    command = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: b"tl-check" in names_of_children(switch.pid), "it checks")
    switch.process.send_signal(number)
    _, said = command.communicate(timeout=20)
    assert command.returncode == 1
    assert "Trunkline is being stopped" in said or "ended before it answered" in said
    switch.process.wait(15)


def names_of_children(pid: int) -> list[bytes]:
    """The names of a process's children."""
    listed = subprocess.run(["ps", "-o", "comm=", "--ppid", str(pid)], capture_output=True)
    return [line.strip() for line in listed.stdout.splitlines()]
