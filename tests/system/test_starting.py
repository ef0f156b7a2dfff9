"""What keeps a router from starting: one clear line each, exit 1, and nothing left running."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from harness.certificates import make_certificate
from harness.ports import LOOPBACK, free_ports, tcp_listening, udp_bound, wait_until
from harness.processes import children
from harness.routes import Routes
from harness.switch import PROGRAM, Switch
from test_bad_input import a_call_works


def refuses(switch: Switch, *words: str, lines: int = 2) -> str:
    """The router, launched, exits 1 and says why in at most `lines` lines with these words."""
    switch.launch()
    assert switch.process is not None
    assert switch.process.wait(20) == 1, switch.log()
    log = switch.log()
    assert "Traceback" not in log
    said = [line for line in log.splitlines() if line.strip()]
    assert 0 < len(said) <= lines, log
    for word in words:
        assert word in log, f"{word!r} is not in:\n{log}"
    return log


@pytest.fixture
def unstarted(run_switch) -> Switch:
    return run_switch(Routes(pairs=1), start=False)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_a_listening_port_that_is_taken(unstarted: Switch, kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((LOOPBACK, unstarted.port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        refuses(unstarted, str(unstarted.port), "in use")


def test_a_metrics_port_that_is_taken(unstarted: Switch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind((LOOPBACK, unstarted.routes.metrics_port))
        taken.listen()
        refuses(unstarted, str(unstarted.routes.metrics_port), "in use")
    assert not udp_bound(unstarted.port)


def test_an_address_that_is_not_ours(run_switch) -> None:
    switch = run_switch(Routes(pairs=1, settings={}), start=False)
    text = switch.routes.text

    def elsewhere(state: str) -> str:
        return text(state).replace(f"udp:{LOOPBACK}:", "udp:192.0.2.1:")

    switch.file_text = elsewhere
    refuses(switch, "192.0.2.1")


def test_a_second_router_on_the_same_state_is_refused_and_the_first_goes_on(
    run_switch, peer
) -> None:
    first = run_switch(Routes(pairs=2))
    a_call_works(first, peer)
    first.metric_reaches(1, "calls_total")
    before = first.metrics().counters()
    second = run_switch(Routes(pairs=1), start=False)
    second.state = first.state
    refuses(second, str(first.state), "in use", lines=6)
    assert not udp_bound(second.port)
    assert first.process is not None and first.process.poll() is None
    after = first.metrics().counters()
    assert all(after.get(key, -1) >= was for key, was in before.items()), "its metrics are its own"
    a_call_works(first, peer)
    first.metric_reaches(2, "calls_total")
    assert len(first.all_cdrs()) == 2


@pytest.mark.parametrize("place", ["a file", "/proc"])
def test_a_state_folder_that_cannot_be_written(unstarted: Switch, place: str) -> None:
    if place == "a file":
        unstarted.state.write_text("I am a file")
    else:
        unstarted.state = Path("/proc/trunkline-state")
    refuses(unstarted, str(unstarted.state))
    assert not udp_bound(unstarted.port)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(PROGRAM), "run", str(tmp_path / "nowhere.cfg")],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=tmp_path,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == 1
    assert "nowhere.cfg" in said
    assert len(said.splitlines()) == 1, said
    assert list(tmp_path.iterdir()) == [], "nothing was made"


MISTAKES = """
gateway broken { adress = 127.0.0.1:5080  prefixes = 99 }
route[UNUSED_MISTAKE] {
    if ($rU) reply(200);
    call(gatways($rU));
}
"""


def test_a_configuration_with_errors_starts_nothing_and_shows_all_of_them(run_switch) -> None:
    switch = run_switch(Routes(pairs=1, more=MISTAKES), start=False)
    log = refuses(switch, "routes.cfg:", "adress", "gatways", "did you mean", lines=60)
    assert log.count("routes.cfg:") >= 3, "every error, each with its place"
    assert not udp_bound(switch.port)
    assert not switch.state.exists(), "no state was made"
    done = switch.command("check", str(switch.file))
    assert done.returncode == 1
    assert "adress" in done.stdout + done.stderr


def test_a_sound_configuration_passes_check_and_starts_nothing(unstarted: Switch) -> None:
    unstarted.file.write_text(unstarted.routes.text(str(unstarted.state)))
    done = unstarted.command("check", str(unstarted.file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not unstarted.state.exists()


def test_a_router_started_twice_on_its_state_continues_its_ledger(run_switch, peer) -> None:
    switch = run_switch(Routes(pairs=4))
    a_call_works(switch, peer)
    assert switch.stop() == 0
    switch.start()
    a_call_works(switch, peer)
    assert len(switch.all_cdrs()) == 2
    assert len(children(switch.pid)) >= 2


def test_a_state_folder_deleted_under_a_router_is_told_and_no_worker_begins_a_second_one(
    run_switch,
) -> None:
    """A worker that is born again would make a live state of its own, beside that of the others."""
    switch = run_switch(Routes(pairs=1), workers=2)
    shutil.rmtree(switch.state)
    os.kill(switch.worker_pids()[0], signal.SIGKILL)
    assert switch.process is not None
    assert switch.process.wait(20) == 1, switch.log()
    log = switch.log()
    assert f"state folder {switch.state} was deleted while the router runs" in log
    assert "start Trunkline again" in log and "Traceback" not in log
    assert not (switch.state / "live.lmdb").exists()
    switch.start()


WITHOUT_EXTRA = """
from importlib.machinery import PathFinder

found = PathFinder.find_spec

def find_spec(name, path=None, target=None):
    return None if name in ("litestar", "uvicorn") else found(name, path, target)

PathFinder.find_spec = find_spec
"""


@pytest.fixture
def without_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that has neither Litestar nor uvicorn."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_EXTRA)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_an_api_without_what_it_needs_of_python(run_switch, without_extra: None) -> None:
    routes = Routes(pairs=1, settings={"api": f"{LOOPBACK}:9465"})
    said = refuses(run_switch(routes, start=False), "pip install", "trunkline[admin]", lines=1)
    assert not said.startswith("{")


def test_without_the_api_nothing_of_it_is_needed(run_switch, without_extra: None) -> None:
    # It is started when it answers calls, and tells its metrics.
    assert run_switch(Routes(pairs=1)).stop() == 0


def test_a_certificate_that_does_not_fit_its_key(run_switch, tmp_path: Path) -> None:
    for name in ("one", "other"):
        make_certificate(tmp_path, name)
    settings = {
        "api": f"{LOOPBACK}:9465",
        "api_tls_certificate": f'"{tmp_path}/one.pem"',
        "api_tls_key": f'"{tmp_path}/other.key"',
    }
    switch = run_switch(Routes(pairs=1, settings=settings), start=False)
    refuses(switch, "one.pem", "other.key", "cannot be served", lines=1)


def test_an_api_with_a_certificate_speaks_tls(run_switch, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "api")
    (port,) = free_ports(1)
    settings = {
        "api": f"{LOOPBACK}:{port}",
        "api_tls_certificate": f'"{certificate}"',
        "api_tls_key": f'"{key}"',
    }
    switch = run_switch(Routes(pairs=1, settings=settings))
    wait_until(lambda: tcp_listening(port), "the API listens", 10)
    trusted = ssl.create_default_context(cafile=certificate)
    url = f"https://{LOOPBACK}:{port}"
    assert httpx.get(f"{url}/openapi.json", verify=trusted, follow_redirects=True).is_success
    assert f"api      {url}" in switch.log()
    assert "in clear" not in switch.log()
