"""`trunkline run` with a program made by hand: what stops it, what it says, that it serves."""

from __future__ import annotations

import signal
import socket
import urllib.request
from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from dsl.findings import ERROR, ConfigError, Finding
from dsl.program import Address, Block, Position, Program
from dsl.sources import SourceError
from router.cli.run import CannotRun, parse_host_port, parse_listener, run
from router.core.flow import Listener
from router.runtime.run_record import read_run_record
from router.store.state import prepare_state

NOWHERE = Position("routes.cfg", 1, 1)


def answer(context: Any) -> bool:
    context.reply(200)
    return True


def program(folder: Path, **settings: Any) -> Program:
    """Answers everything with 200."""
    given = {
        "listen": [Address("udp", "127.0.0.1", 0)],
        "workers": 1,
        "state": "state",
        **settings,
    }
    trunk = Block("trunk", "office", {"ips": [ip_network("127.0.0.1/32")]}, [], NOWHERE)
    return Program(
        hash="0a1b2c",
        settings=given,
        blocks=[Block("account", "acme", {}, [trunk], NOWHERE)],
        routes={("request_route", ""): answer},
        source="",
        path=str(folder / "routes.cfg"),
    )


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """What loading routes.cfg gives: a program, or an exception."""

    def put(result: Any) -> None:
        def load_routes(_: Path, additions: object = None) -> Program:
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr("router.cli.run.load_routes", load_routes)

    return put


def refused(capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    """What a run says that ends with exit 1 before anything was started."""
    with pytest.raises(SystemExit) as ended:
        run(**options)
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("udp:127.0.0.1:5080", Listener("udp", "127.0.0.1", 5080)),
        ("TCP:127.0.0.1:5080", Listener("tcp", "127.0.0.1", 5080)),
        ("udp:127.0.0.1", Listener("udp", "127.0.0.1", 5060)),
        ("127.0.0.1:5080", Listener("udp", "127.0.0.1", 5080)),
        ("127.0.0.1", Listener("udp", "127.0.0.1", 5060)),
        ("tcp:[2001:db8::1]:5080", Listener("tcp", "2001:db8::1", 5080)),
        ("[::1]", Listener("udp", "::1", 5060)),
        ("udp:0.0.0.0:0", Listener("udp", "0.0.0.0", 0)),
    ],
)
def test_listening_addresses_are_read_as_in_the_configuration(
    text: str, listener: Listener
) -> None:
    assert parse_listener(text) == listener


@pytest.mark.parametrize(
    "text",
    ["", "udp", "udp:", "udp::5060", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "udp:[::1"],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CannotRun, match=r"such as udp:127\.0\.0\.1:5060"):
        parse_listener(text)


def test_the_address_of_metrics_needs_a_port() -> None:
    assert parse_host_port("127.0.0.1:9464") == ("127.0.0.1", 9464)
    with pytest.raises(CannotRun, match=r"--metrics 127\.0\.0\.1: not an address"):
        parse_host_port("127.0.0.1")


def test_a_file_that_cannot_be_read_is_one_line(load: Any, capsys: Any) -> None:
    load(SourceError("routes.cfg: no such file"))
    assert refused(capsys) == "routes.cfg: no such file\n"


def test_every_mistake_of_the_configuration_is_shown(
    load: Any, capsys: Any, tmp_path: Path
) -> None:
    file = tmp_path / "routes.cfg"
    file.write_text("gateway x { adress = 1 }\nroute { }\n")
    load(
        ConfigError(
            [
                Finding(str(file), 1, 13, 1, 19, ERROR, "unknown-setting", "no setting adress"),
                Finding(str(file), 2, 1, 2, 6, ERROR, "syntax", "a route needs a name"),
            ]
        )
    )
    said = refused(capsys)
    assert f"{file}:1:13: error: no setting adress" in said
    assert "gateway x { adress = 1 }" in said
    assert f"{file}:2:1: error: a route needs a name" in said


def test_a_taken_port_is_one_line_and_makes_no_state(
    load: Any, capsys: Any, tmp_path: Path
) -> None:
    load(program(tmp_path))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        said = refused(capsys, listen=[f"udp:127.0.0.1:{port}"])
    assert said.startswith(f"listen udp:127.0.0.1:{port}: address already in use")
    assert said.count("\n") == 1
    assert not (tmp_path / "state").exists()


def test_a_state_folder_that_cannot_be_is_one_line(load: Any, capsys: Any, tmp_path: Path) -> None:
    load(program(tmp_path))
    (tmp_path / "state").write_text("a file")
    said = refused(capsys)
    assert str(tmp_path / "state") in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("workers", [-1, 241])
def test_a_number_of_workers_that_cannot_share_the_calls_is_refused(
    load: Any, capsys: Any, tmp_path: Path, workers: int
) -> None:
    load(program(tmp_path))
    assert refused(capsys, workers=workers).startswith(f"workers: {workers} is not a number")


def options_request(port: int) -> bytes:
    return (
        f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"
        "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>\r\nCall-ID: q@x\r\n"
        "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_a_run_says_what_it_does_serves_and_stops_with_exit_0(
    load: Any, start: Any, tmp_path: Path
) -> None:
    load(program(tmp_path))

    def body() -> int:
        run(Path("routes.cfg"), workers=2, metrics="127.0.0.1:0")
        return 99

    running = start(body)
    running.wait_for_text("Stop it with Ctrl-C")
    text = running.text()
    port = int(text.split("listens  udp:127.0.0.1:")[1].split()[0])
    for line in (
        "is running (pid",
        "routes   routes.cfg (0a1b2c)",
        "workers  2, each call's messages steered to its worker by the kernel",
        f"state    {tmp_path / 'state'}",
    ):
        assert line in text
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(5)
        peer.sendto(options_request(port), ("127.0.0.1", port))
        assert peer.recv(4096).startswith(b"SIP/2.0 200")
    metrics = text.split("metrics  http://")[1].split()[0]
    with urllib.request.urlopen(f"http://{metrics}", timeout=5) as page:
        assert b'trunkline_worker_up{slot="1"} 1' in page.read()
    record = read_run_record(tmp_path / "state")
    assert record is not None
    assert (record.pid, record.slots, record.config_hash) == (running.pid, 2, "0a1b2c")
    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    assert "Traceback" not in running.text()


def test_a_second_run_on_the_same_state_is_refused(
    load: Any, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(program(tmp_path))
    monkeypatch.setattr("router.runtime.service.prepare_state", partial(prepare_state, wait_s=0.1))
    first = start(lambda: run(Path("routes.cfg")) or 99)
    first.wait_for_text("Stop it with Ctrl-C")
    second = start(lambda: run(Path("routes.cfg")) or 99)
    assert second.wait() == 1
    assert "is in use by another Trunkline" in second.text()
    assert "Traceback" not in second.text()
    assert first.poll() is None
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
