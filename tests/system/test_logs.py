"""The log of a running router: a line a call, readers that do not read, and no secrets anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from harness.handset import Handset
from harness.ports import LOOPBACK, wait_until
from harness.routes import ACME, STRANGER, Routes
from harness.switch import PROGRAM, Switch
from harness.wire import Call


def ended(switch: Switch) -> list[dict[str, Any]]:
    """The lines of calls."""
    lines = [json.loads(line) for line in switch.log(1 << 30).splitlines() if line[:1] == "{"]
    return [line for line in lines if line.get("event") == "call ended"]


def test_each_call_has_one_line_with_its_id(run_switch, sipp) -> None:
    routes = Routes(pairs=2)
    pair, refusing = routes.pair(), routes.pair()
    switch = run_switch(routes, workers=2)
    sipp("gateway_answers", port=pair.first, calls=20)
    sipp("gateway_refuses", port=refusing.first, changes={"503 Service Unavailable": "486 Busy"})
    sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="good", calls=20,
        rate=50, hold_ms=50,
    ).succeeds()
    sipp(
        "caller_is_refused", target=switch.port, number=refusing.number, call_id="busy",
        changes={'response="404"': 'response="486"'},
    ).succeeds()
    cdrs = switch.cdrs("good", 20) + switch.cdrs("busy")
    wait_until(lambda: len(ended(switch)) >= 21, "all lines")
    lines = {line["id"]: line for line in ended(switch)}
    assert sorted(lines) == sorted(cdr["id"] for cdr in cdrs)
    assert len(ended(switch)) == 21
    for cdr in cdrs:
        line = lines[cdr["id"]]
        for name in ("call_id", "account", "gateway", "end_reason", "duration_ms", "callee_in"):
            assert line[name] == cdr[name]


def test_no_call_is_without_a_line_when_processes_are_killed(run_switch, sipp) -> None:
    routes = Routes(pairs=1)
    pair = routes.pair()
    switch = run_switch(routes, workers=2)
    sipp("gateway_answers", port=pair.first, calls=200, messages=False)
    caller = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id="killed", calls=60,
        rate=40, hold_ms=50, messages=False,
    )
    for count in (10, 30):
        wait_until(lambda count=count: len(ended(switch)) >= count, f"{count} lines")
        os.kill(switch.ledger_pid(), signal.SIGKILL)
        wait_until(switch.ledger_pid, "another ledger process")
    caller.succeeds()
    ids = {cdr["id"] for cdr in switch.cdrs("killed", 60)}
    wait_until(lambda: {line["id"] for line in ended(switch)} == ids, "a line of each call")


class Unread(Switch):
    """A router whose standard error is a pipe that nobody reads."""

    def launch(self) -> None:
        self.file.write_text(self.file_text(str(self.state)))
        self.process = subprocess.Popen(
            [str(PROGRAM), "run", str(self.file), "--workers", str(self.workers)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
        )


CHATTY = """
request_route {
    if ($rm == "OPTIONS") reply(200);
    if (!identify()) end(IllegalCall);
    log(error, "0123456789012345678901234567890123456789012345678901234567890123456789" + $rU);
    call(gateways($rU));
}
"""


def test_a_log_that_nobody_reads_holds_up_no_call(tmp_path: Path, sipp) -> None:
    routes = Routes(pairs=1, policy=CHATTY)
    pair = routes.pair()
    switch = Unread(routes, tmp_path / "router", workers=1)
    switch.start()
    try:
        calls = 250
        sipp("gateway_answers", port=pair.first, calls=calls, messages=False)
        caller = sipp(
            "caller_hangs_up", target=switch.port, number=pair.number, call_id="deaf",
            calls=calls, rate=100, hold_ms=10, messages=False,
        ).succeeds()
        assert caller.count("FailedCall") == 0
        assert len(switch.cdrs("deaf", calls)) == calls
        assert switch.process is not None and switch.process.stderr is not None
        switch.process.send_signal(signal.SIGTERM)
        assert switch.process.wait(20) == 0
        told = switch.process.stderr.read()
        assert told.startswith(b"{") and len(told) < 200_000
    finally:
        switch.sweep()


SECRETS = {
    "phone": "geheim-phone-4711",
    "gateway": "geheim-gateway-4712",
    "guessed": "geheim-guess-4713",
    "variable": "geheim-variable-4714",
}
ACCOUNTS = f"""
account acme {{
    trunk office {{ ips = {ACME} }}
    phone 1001 {{ password = "{SECRETS["phone"]}" }}
    phone 1002 {{ password = env("TRUNKLINE_TEST_PASSWORD") }}
}}
"""
POLICY = """
request_route {
    if ($rm == "OPTIONS") reply(200);
    if ($rm == "REGISTER") {
        if (!authenticate()) challenge();
        save();
    }
    if (!identify()) end(IllegalCall);
    if ($rU == "777") log(info, str(1 / len($hdr(X-None))));
    call(gateways($rU));
}
"""


def everything(folder: Path) -> dict[str, bytes]:
    """The bytes of all files below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_secrets_are_nowhere(tmp_path: Path, run_switch, peer, monkeypatch) -> None:
    monkeypatch.setenv("TRUNKLINE_TEST_PASSWORD", SECRETS["variable"])
    routes = Routes(
        pairs=1, accounts=ACCOUNTS, policy=POLICY, settings={"block_after": "50"},
        first={"username": '"8001"', "password": f'"{SECRETS["gateway"]}"'},
    )
    pair = routes.pair()
    switch = run_switch(routes, options=("--log-level", "debug"))
    switch.throws = True
    phone = peer(host="127.0.0.31")
    for number, password in (("1001", "phone"), ("1002", "variable"), ("1001", "guessed")):
        handset = Handset(phone, switch.port, number, SECRETS[password])
        challenge = handset.ask(f"Contact: {handset.contact}")
        line = handset.credentials(challenge, password=SECRETS[password])
        answer = handset.ask(f"Contact: {handset.contact}", line)
        assert answer.status == (401 if password == "guessed" else 200)
    handset.ask(f"Contact: {handset.contact}", f'Authorization: Basic {SECRETS["guessed"]}')
    handset.ask(f"Contact: {handset.contact}", f'Authorization: Digest x="{SECRETS["guessed"]}')

    caller, gateway = peer(), peer(pair.first)
    call = Call(caller, switch.port, pair.number, call_id="challenged")
    call.invite()
    invite = gateway.expect("INVITE")
    extra = ['Proxy-Authenticate: Digest realm="x", nonce="n", algorithm=MD5']
    gateway.reply(invite, 407, tag="g", extra=extra)
    gateway.expect("ACK")
    gateway.reply(gateway.expect("INVITE"), 407, tag="h", extra=extra)
    gateway.expect("ACK")
    call.ack(caller.expect(504))
    wrong = Call(caller, switch.port, "777", call_id="wrong-route")
    wrong.invite()
    wrong.ack(caller.expect(500))
    stranger = peer(host=STRANGER)
    refused = Call(stranger, switch.port, pair.number, call_id="stranger")
    refused.invite()
    refused.ack(stranger.expect(403))

    state = ("--state", str(switch.state))
    config = ("--config", str(switch.file))
    shown = [
        switch.command(*words, *state)
        for words in (
            ("status",), ("status", "--json"), ("cdr",), ("cdr", "--json"),
            ("explain", "challenged"), ("explain", "challenged", "--json"),
            ("gateways", "show", pair.first_name, *config), ("gateways", "list", "--json", *config),
            ("phones", "show", "1001", *config), ("phones", "list", "--json"), ("audit",),
        )
    ]
    assert [(done.args, done.stdout, done.stderr) for done in shown if done.returncode] == []
    good = switch.file.read_text()
    broken = good.replace(f'password = "{SECRETS["phone"]}"', f'passwort = "{SECRETS["phone"]}"')
    assert broken != good
    switch.file.write_text(broken)
    os.kill(switch.pid, signal.SIGHUP)
    wait_until(lambda: "unknown-setting" in switch.log(1 << 30), "the reload is refused")
    shown.append(switch.command("reload", *state))
    assert "unknown-setting" in shown[-1].stdout + shown[-1].stderr
    texts = {
        "log": switch.log(1 << 30).encode(),
        "metrics": "\n".join(map(str, switch.metrics().samples)).encode(),
        **{" ".join(done.args[1:]): (done.stdout + done.stderr).encode() for done in shown},
        **everything(switch.state),
    }
    found = {
        (name, which)
        for which, secret in SECRETS.items()
        for name, text in texts.items()
        if secret.encode() in text
    }
    assert found == set()
    assert LOOPBACK.encode() in texts["log"]
