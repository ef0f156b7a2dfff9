from __future__ import annotations

import sys
import tempfile
from itertools import count, pairwise
from pathlib import Path

import msgspec
import pytest

from router.cli import demo as demo_module
from router.cli.demo import demo, next_steps
from router.cli.demo_calls import CALLER, GATEWAYS, PREFIX, SCENES, Play, behaviour_of
from router.cli.demo_router import WORKERS, DemoRouter, routes_text
from router.core.agent import Agent
from router.core.engine import Engine
from router.core.flow import Flow, Listener
from router.core.network import Network
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.routing.config import build_config
from router.routing.switch import build_switch
from router.runtime.routes_file import check_file, load_routes
from router.sip.message import Request, parse_message
from router.store.memory import MemoryLive
from router.store.records import Cdr

T0 = 1_700_000_000_000
ROUTER = Flow("udp", "127.0.0.1", 5060, 0)
STEP_MS = 20


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    """The demo's routes.cfg, with ports that nobody opens."""
    path = tmp_path / "routes.cfg"
    path.write_text(routes_text(ROUTER.port, [5091, 5092]))
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which temporary folders are made, to see what is left of them."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class World:
    """The demo's calls against the real engine and its routes, in virtual time."""

    def __init__(self, routes: Path, *, stranger: bool = True) -> None:
        program = load_routes(routes)
        config = build_config(program)
        tally = Tally()
        numbers = count(1)

        def token() -> str:
            return f"{next(numbers):016x}"

        engine = Engine(
            build_switch(
                program, config, tally=tally, stopwatch=lambda: 0.0, log=lambda *_, **__: None
            ),
            listeners=config.listeners,
            slot=0,
            slots=1,
            generation=1,
            token=token,
            tally=tally,
            now_ms=T0,
            timers=TimerDefaults(),
        )

        def agent(host: str, port: int, gateway: str = "") -> Agent:
            listener = Listener("udp", host, port)
            if not gateway:
                return Agent(listener, token=token, now_ms=T0)
            return Agent(listener, token=token, now_ms=T0, behave=behaviour_of(gateway))

        caller, other = agent("127.0.0.1", 5070), agent("127.0.0.2", 5070)
        gateways = [agent("127.0.0.1", 5091 + at, name) for at, name in enumerate(GATEWAYS)]
        self.store = MemoryLive()
        self.network = Network(engine, self.store, [caller, other, *gateways], T0)
        self.play = Play(caller, other if stranger else None, ROUTER)

    def run(self, limit_ms: int = 10_000) -> None:
        while not self.play.over and self.network.now < T0 + limit_ms:
            for agent in self.network.agents.values():
                agent.on_timers(self.network.now)
            self.play.step(self.network.now)
            self.network.run_for(STEP_MS)
        self.network.run_for(500)

    def cdrs(self) -> dict[str, Cdr]:
        return {cdr.call_id: cdr for cdr in self.store.cdrs.values()}


def test_the_routes_of_the_demo_are_without_findings(routes: Path) -> None:
    assert check_file(routes).findings == []


def test_the_routes_of_the_demo_say_what_the_demo_says(routes: Path) -> None:
    config = build_config(load_routes(routes))
    assert config.listeners == [Listener("udp", "127.0.0.1", 5060)]
    assert config.workers == WORKERS
    assert config.state == routes.parent / "state"
    first, second = (config.gateways[name] for name in GATEWAYS)
    assert (first.port, second.port) == (5091, 5092)
    assert first.priority < second.priority
    assert first.prefixes == second.prefixes == (PREFIX,)


def test_every_call_ends_as_it_is_meant_to(routes: Path) -> None:
    world = World(routes)
    world.run()
    assert world.play.over
    assert world.play.faults(world.cdrs()) == []
    assert len(world.cdrs()) == len(SCENES)


def test_the_calls_take_a_few_seconds_and_overlap(routes: Path) -> None:
    world = World(routes)
    world.run()
    assert world.network.now - T0 < 5_000
    spans = [(call.started_ms, call.ended_ms) for _, call in world.play.played]
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans))


def test_without_a_second_address_the_strangers_call_is_left_out(routes: Path) -> None:
    world = World(routes, stranger=False)
    world.run()
    assert world.play.faults(world.cdrs()) == []
    assert len(world.cdrs()) == len(SCENES) - 1


def test_the_scenes_show_what_the_demo_promises() -> None:
    reasons = {scene.reason for scene in SCENES}
    assert {"Normal", "UserBusy", "NotFound", "NoAvailableRouter", "Cancelled"} < reasons
    assert {"ResponseTimeout", "IllegalCall"} < reasons
    assert len({scene.number for scene in SCENES}) == len(SCENES) == 12
    for scene in SCENES:
        assert scene.number.startswith(PREFIX) or not scene.tried
        assert len(scene.story) <= 62, "number and story fit into 80 columns"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("end_reason", "NotFound", "end reason NotFound, meant was Normal"),
        ("end_side", "server", "ended by server, meant was caller"),
        ("attempts", [], "tried none, meant was gateway1"),
        ("duration_ms", 0, "talked for 0 ms, meant was 1000 ms"),
        ("duration_ms", 9_000, "talked for 9000 ms, meant was 1000 ms"),
    ],
)
def test_a_call_that_ended_otherwise_is_named(
    routes: Path, field: str, value: object, said: str
) -> None:
    world = World(routes)
    world.run()
    cdrs = world.cdrs()
    call_id = world.play.played[0][1].leg.call_id
    cdrs[call_id] = msgspec.structs.replace(cdrs[call_id], **{field: value})
    (fault,) = world.play.faults(cdrs)
    assert fault == f"{SCENES[0].number} ({SCENES[0].story}): {said}"


def test_a_call_without_a_cdr_or_with_another_final_response_is_named(routes: Path) -> None:
    world = World(routes)
    world.run()
    cdrs = world.cdrs()
    cdrs.pop(world.play.played[0][1].leg.call_id)
    world.play.played[4][1].status = 0
    first, second = world.play.faults(cdrs)
    assert first.endswith("there is no CDR")
    assert second.endswith("the caller got no final response, meant was 486")


def test_calls_that_were_never_placed_are_faults(routes: Path) -> None:
    world = World(routes)
    faults = world.play.faults({})
    assert len(faults) == len(SCENES)
    assert all("never placed" in fault for fault in faults)


def test_calls_begin_one_after_another(routes: Path) -> None:
    play = World(routes).play
    assert play.step(T0) is SCENES[0]
    assert play.step(T0 + 1) is None
    assert play.step(T0 + 1_000) is SCENES[1]
    assert play.played[0][1].number == SCENES[0].number
    assert f"<sip:{CALLER}@" in play.played[0][1].leg.local


def test_a_number_that_no_scene_has_is_refused_by_both_gateways() -> None:
    head = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:869@h>\r\n"
    rest = "Call-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\r\n"
    request = parse_message(f"INVITE sip:869@h SIP/2.0\r\n{head}{rest}".encode())
    assert isinstance(request, Request)
    for gateway in GATEWAYS:
        assert behaviour_of(gateway)(request).status == 500


def fake_router(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A router that is another program."""
    monkeypatch.setattr(DemoRouter, "command", lambda _: [sys.executable, "-c", script])


def test_a_router_that_does_not_start_is_shown_with_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], temporary: Path
) -> None:
    fake_router(monkeypatch, "print('no port is free today'); raise SystemExit(1)")
    assert demo() == 1
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "trunkline: the demo's router did not start. It said:",
        "no port is free today",
    ]
    assert list(temporary.iterdir()) == []


def test_a_router_that_says_too_much_is_shown_with_the_end_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], temporary: Path
) -> None:
    fake_router(monkeypatch, "for i in range(100): print('line', i)")
    assert demo() == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "... 70 lines before these"
    assert lines[-1] == "line 99"


def test_a_router_that_is_deaf_is_killed(
    monkeypatch: pytest.MonkeyPatch, temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )
    fake_router(monkeypatch, deaf)
    monkeypatch.setattr(demo_module, "START_LIMIT_MS", 300)
    monkeypatch.setattr("router.cli.demo_router.PATIENCE_S", (0.05, 0.05))
    routers: list[DemoRouter] = []
    start = DemoRouter.start

    def remembered(router: DemoRouter) -> None:
        routers.append(router)
        start(router)

    monkeypatch.setattr(DemoRouter, "start", remembered)
    assert demo() == 1
    assert "deaf" in capsys.readouterr().err
    assert routers[0].exit_code == -9
    assert routers[0].how_it_ended() == "it had to be killed"
    assert list(temporary.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert demo() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "nowhere" in said.err


def test_the_folder_is_kept_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], temporary: Path
) -> None:
    fake_router(monkeypatch, "print('gone')")
    assert demo(keep=True) == 1
    (folder,) = temporary.iterdir()
    assert (folder / "routes.cfg").read_text().startswith("# Made by `trunkline demo`")
    assert (folder / "router.log").read_text() == "gone\n"
    assert str(folder / "state") in capsys.readouterr().out


def test_the_next_steps_fit_into_a_small_terminal() -> None:
    for kept in (False, True):
        text = next_steps(".venv/bin/trunkline", kept)
        assert max(map(len, text.splitlines())) <= 80
        assert ("demo --keep" in text) is not kept
