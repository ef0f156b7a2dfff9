"""Fixtures: routers that live for a module or a test, SIPp runs and hand-played peers of a test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.ports import LOOPBACK
from harness.routes import Routes
from harness.rtpengine import Rtpengine
from harness.sipp import Sipp
from harness.switch import Switch
from harness.wire import Peer, StreamPeer

_running: list[Switch] = []
_played: list[Sipp] = []
_names = itertools.count(1)

RunSwitch = Callable[..., Switch]


def _switches(folder: Path) -> Iterator[RunSwitch]:
    """Starts routers and, at the end, stops those still running: exit 0, nothing thrown."""
    own: list[Switch] = []

    def run(
        routes: Routes,
        *,
        workers: int = 1,
        options: tuple[str, ...] = (),
        start: bool = True,
    ) -> Switch:
        switch = Switch(routes, folder / f"router{next(_names)}", workers=workers, options=options)
        own.append(switch)
        _running.append(switch)
        return switch.start() if start else switch

    try:
        yield run
        for switch in own:
            if switch.process is not None and switch.process.poll() is None:
                status = switch.stop()
                assert status == 0, f"the router ended with status {status}\n{switch.log()}"
            assert switch.throws or "Traceback" not in switch.log(1 << 30), switch.log()
    finally:
        for switch in own:
            switch.sweep()
            _running.remove(switch)


@pytest.fixture(scope="module")
def module_switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunSwitch]:
    """Starts routers that live as long as the module."""
    yield from _switches(tmp_path_factory.mktemp("system"))


@pytest.fixture
def run_switch(tmp_path: Path) -> Iterator[RunSwitch]:
    """Starts routers that live as long as the test."""
    yield from _switches(tmp_path)


@pytest.fixture
def sipp(tmp_path: Path) -> Iterator[Callable[..., Sipp]]:
    """Starts SIPp runs; those still running at the end of the test are ended."""
    own: list[Sipp] = []

    def play(scenario: str, **settings) -> Sipp:
        run = Sipp(scenario, tmp_path / "sipp", **settings)
        own.append(run)
        _played.append(run)
        return run

    try:
        yield play
    finally:
        # After a failing test calls may be open: they must not stay in a router others share.
        for run in own:
            run.finish()
        for run in own:
            run.stop()
            _played.remove(run)


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Opens hand-played peers: `peer(port)` for UDP, `peer(tcp=port)` connected over TCP."""
    own: list[Peer] = []

    def open_peer(port: int = 0, *, tcp: int = 0, host: str = LOOPBACK) -> Peer:
        opened = StreamPeer(tcp, host) if tcp else Peer(port, host)
        own.append(opened)
        return opened

    try:
        yield open_peer
    finally:
        for each in own:
            each.close()


@pytest.fixture(autouse=True)
def nothing_was_thrown() -> Iterator[None]:
    """No router that a test used may have logged a traceback that the test did not ask for."""
    seen = {switch: len(switch.log(1 << 30)) for switch in _running}
    yield
    for switch in _running:
        text = switch.log(1 << 30)[seen.get(switch, 0) :]
        clean = switch.throws or "Traceback" not in text
        assert clean, f"a traceback in the router's log:\n{text[-6000:]}"


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Hangs the router's log and SIPp's messages on a failing test's report."""
    if call.when == "call" and call.excinfo is not None:
        for switch in _running:
            item.add_report_section("call", f"log of {switch.folder.name}", switch.log())
        for run in _played:
            item.add_report_section("call", f"sipp {run.folder.name}", run.evidence(3000))


@pytest.fixture
def rtpengine(tmp_path: Path) -> Iterator[Callable[..., Rtpengine]]:
    """Starts media relays; those still running at the end of the test are ended."""
    own: list[Rtpengine] = []

    def run(**options) -> Rtpengine:
        own.append(Rtpengine(tmp_path / f"rtpengine{len(own)}", **options))
        return own[-1]

    try:
        yield run
    finally:
        for one in own:
            one.stop()
