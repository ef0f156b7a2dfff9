"""Reloads through a supervisor with small processes: all workers change, or none does."""

from __future__ import annotations

import os
import random
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.runtime.child import Life
from router.runtime.logs import configure_logs
from router.runtime.posts import Limits, Post
from router.runtime.reload import Reloader, ReloadLimits
from router.runtime.reload_channel import Follower
from router.runtime.reload_control import Control, NoRouter, Request, ask
from router.runtime.reload_memory import Deployment, write_memory
from router.runtime.reload_report import APPLIED, FAILED, REFUSED, SOUND, Answer, Checked
from router.runtime.supervisor import Supervisor

QUICK = Limits(
    shutdown_ms=5_000,
    at_once_ms=2_000,
    stage_ms=2_000,
    silence_ms=5_000,
    boot_ms=5_000,
    first_delay_ms=20,
    longest_delay_ms=50,
)
PATIENT = ReloadLimits(check_ms=5_000, load_ms=5_000, swap_ms=5_000)

Start = Callable[[Callable[[], int]], Any]
Wait = Callable[..., object]


class FileChecker:
    """Takes what is in a file for the image.

    The file's words are orders: to the check ("refuse", "hang", "exit", "raise"), or to the workers
    when they load or swap (see `worker`).
    """

    def __init__(self, routes: Path) -> None:
        self.routes = routes

    def run(self, image: int, report: int) -> int:
        text = self.routes.read_text()
        checked = Checked(config_hash=text, shutdown_ms=5_000, tests=3)
        if "hang" in text:
            signal.sigtimedwait([], 60)
        if "exit" in text:
            return 3
        if "raise" in text:
            raise ValueError("a fault of the check")
        if "refuse" in text:
            checked.sentence = "it is refused"
            checked.findings = ["a finding\nof two lines"]
            checked.lines = ["a finding"]
        write_memory(image, text.encode())
        write_memory(report, msgspec.msgpack.encode(checked))
        return 0


def worker(name: str, folder: Path, deployment: Deployment) -> Callable[[Life], int]:
    """A process that follows reloads and keeps in a file which version it runs.

    The version's words are orders: "loadfail" raises, "loaddie" and "swapdie" end the process,
    "swapstill" stands still; "@1" behind one: only this worker does so, and with "once" only the
    first of its processes.
    """
    file = folder / name
    once = folder / f"{name}.once"

    def note(version: str, life: Life) -> None:
        fresh = file.with_suffix(".fresh")
        fresh.write_text(f"{version} {os.getpid()} {life.generation}")
        fresh.rename(file)

    def does(what: str, version: str) -> bool:
        if what not in version or not ("@" not in version or f"@{name[-1]}" in version):
            return False
        if "once" in version:
            if once.exists():
                return False
            once.touch()
        return True

    def run(life: Life) -> int:
        born = deployment.read() or b"start"
        note(born.decode(), life)

        def load(raw: bytes) -> Any:
            version = raw.decode()
            if does("loadfail", version):
                raise ValueError(f"{name} cannot")
            if does("loaddie", version):
                os._exit(9)

            def swap(_: int) -> None:
                if does("swapdie", version):
                    os._exit(9)
                if does("swapstill", version):
                    signal.sigtimedwait([], 60)
                note(version, life)

            return lambda: swap

        def aside(work: Any, done: Any) -> None:
            try:
                result = work()
            except Exception as error:
                result = error
            done(result)

        assert life.channel is not None
        follower = Follower(life.channel, load, lambda: 0, print, aside)
        while not life.order:
            life.beat()
            readable, _, _ = select.select([life.channel], [], [], 0.02)
            if readable:
                follower.read()
        return 0

    return run


class Reloading:
    """A running supervisor of workers 0 and 1, and what it says."""

    def __init__(self, folder: Path, start: Start, wait: Wait, limits: ReloadLimits) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir()
        self.routes = folder / "routes"
        self.settled = folder / "settled"
        self.wait = wait
        self.run = start(lambda: self.body(limits))
        self.run.wait_for_text('"event": "running"')

    def body(self, limits: ReloadLimits) -> int:
        configure_logs("debug")
        deployment = Deployment()
        posts = [
            Post(
                f"worker {slot}",
                f"t-w{slot}",
                worker(f"w{slot}", self.folder, deployment),
                reloads=True,
            )
            for slot in range(2)
        ]
        posts.append(Post("metrics", "t-metrics", self.idle, stage=1))
        reloader = Reloader(
            FileChecker(self.routes), Control(self.state), deployment, self.settle, limits
        )
        return Supervisor(posts, limits=QUICK, reloader=reloader).run()

    def idle(self, life: Life) -> int:
        assert life.channel is None
        while not life.order:
            life.beat()
            signal.sigtimedwait([], 0.02)
        return 0

    def settle(self, answer: Answer, checked: Checked, counts: dict[str, int]) -> None:
        with self.settled.open("a") as file:
            file.write(f"{answer.result} {checked.config_hash} {counts[answer.result]};")

    def reload(self, version: str, *, dry_run: bool = False) -> Answer:
        self.routes.write_text(version)
        return ask(self.state, Request(dry_run=dry_run), 10)

    def running(self, name: str) -> tuple[str, int, int]:
        """(version, pid, generation) of a worker."""
        version, pid, generation = (self.folder / name).read_text().split()
        return version, int(pid), int(generation)

    def versions(self) -> list[str]:
        return [self.running(name)[0] for name in ("w0", "w1")]

    def stop(self) -> None:
        self.run.signal(signal.SIGTERM)
        assert self.run.wait() == 0
        assert "Traceback" not in self.run.text()


@pytest.fixture
def reloading(tmp_path: Path, start: Start, wait: Wait) -> Callable[..., Reloading]:
    return lambda limits=PATIENT: Reloading(tmp_path, start, wait, limits)


def test_every_worker_runs_the_new_version_when_the_reload_returns(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading()
    assert one.versions() == ["start", "start"]
    for number in range(20):
        answer = one.reload(f"v{number}")
        assert (answer.result, answer.config_hash) == (APPLIED, f"v{number}")
        assert (answer.workers, answer.tests) == (2, 3)
        assert one.versions() == [f"v{number}"] * 2
    assert one.running("w0")[2] == 1
    assert "applied v19 20;" in one.settled.read_text()
    one.stop()


def test_a_refused_reload_changes_nothing(reloading: Callable[..., Reloading]) -> None:
    one = reloading()
    answer = one.reload("refuse")
    assert (answer.result, answer.sentence) == (REFUSED, "it is refused")
    assert answer.findings == ["a finding\nof two lines"]
    assert one.versions() == ["start", "start"]
    assert one.settled.read_text() == "refused refuse 1;"
    assert one.reload("v1").result == APPLIED
    one.stop()


def test_a_dry_run_changes_nothing_and_is_not_counted(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading()
    assert one.reload("v1", dry_run=True).result == SOUND
    assert one.reload("refuse", dry_run=True).result == REFUSED
    assert one.versions() == ["start", "start"]
    assert not one.settled.exists()
    one.stop()


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("exit", "checking ended unexpectedly (3), the log says more"),
        ("raise", "checking ended unexpectedly (70), the log says more"),
        ("loadfail@1", "worker 1 could not load it: ValueError: w1 cannot"),
        ("loaddie@0", "worker 0 died while it loaded the configuration"),
    ],
)
def test_what_fails_before_the_swap_fails_everywhere(
    reloading: Callable[..., Reloading], version: str, sentence: str
) -> None:
    one = reloading()
    answer = one.reload(version)
    assert (answer.result, answer.sentence) == (FAILED, sentence)
    one.wait(lambda: one.versions() == ["start", "start"], "both on the old version")
    assert one.reload("v1").result == APPLIED
    assert one.versions() == ["v1", "v1"]
    one.run.signal(signal.SIGTERM)
    assert one.run.wait() == 0


def test_a_check_that_hangs_is_killed(reloading: Callable[..., Reloading]) -> None:
    one = reloading(PATIENT._replace(check_ms=200))
    answer = one.reload("hang")
    assert (answer.result, answer.sentence) == (FAILED, "checking did not end within 0.2 s")
    assert one.reload("v1").result == APPLIED
    one.stop()


def test_a_worker_that_does_not_load_in_time_fails_the_reload(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading(PATIENT._replace(load_ms=300))
    _, pid, _ = one.running("w1")
    os.kill(pid, signal.SIGSTOP)
    answer = one.reload("v1")
    os.kill(pid, signal.SIGCONT)
    assert (answer.result, answer.sentence) == (FAILED, "worker 1 did not load it within 0.3 s")
    assert one.versions() == ["start", "start"]
    # What it was told meanwhile it does not do later.
    assert one.reload("v2").result == APPLIED
    assert one.versions() == ["v2", "v2"]
    assert one.running("w1")[1] == pid
    one.stop()


def test_a_worker_that_does_not_swap_in_time_is_replaced_by_one_of_the_new_version(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading(PATIENT._replace(swap_ms=300))
    _, pid, _ = one.running("w0")
    assert one.reload("swapstill@0once").result == APPLIED
    one.wait(lambda: one.running("w0")[1] != pid, "a successor")
    assert one.versions() == ["swapstill@0once"] * 2
    assert "did not swap to the new configuration in time" in one.run.text()
    assert one.reload("v2").result == APPLIED
    one.stop()


def test_a_worker_that_dies_in_the_swap_is_replaced_by_one_of_the_new_version(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading()
    _, pid, _ = one.running("w1")
    assert one.reload("swapdie@1").result == APPLIED
    one.wait(lambda: one.running("w1")[1] != pid, "a successor")
    assert one.versions() == ["swapdie@1"] * 2
    one.stop()


def test_a_worker_that_is_killed_later_is_replaced_by_one_of_the_new_version(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading()
    assert one.reload("v1").result == APPLIED
    assert one.reload("refuse").result == REFUSED
    _, pid, _ = one.running("w0")
    os.kill(pid, signal.SIGKILL)
    one.wait(lambda: one.running("w0")[1] != pid, "a successor")
    assert one.versions() == ["v1", "v1"]
    assert one.reload("v2").result == APPLIED
    assert one.versions() == ["v2", "v2"]
    one.stop()


@pytest.mark.parametrize("seed", range(3))
def test_workers_killed_at_any_moment_never_stay_on_different_versions(
    reloading: Callable[..., Reloading], seed: int
) -> None:
    chance = random.Random(seed)
    print("seed", seed)
    one = reloading()
    last = "start"
    for number in range(15):
        version = f"v{number}"
        one.routes.write_text(version)
        victim = one.running(chance.choice(("w0", "w1")))[1]
        pid = os.fork()
        if pid == 0:
            signal.sigtimedwait([], chance.random() * 0.02)
            os.kill(victim, signal.SIGKILL)
            os._exit(0)
        answer = ask(one.state, Request(), 10)
        os.waitpid(pid, 0)
        if answer.result == APPLIED:
            last = version
        else:
            assert "died while it loaded" in answer.sentence
        wanted = [last, last]
        one.wait(lambda wanted=wanted: one.versions() == wanted, f"both on {last}")
        one.wait(
            lambda victim=victim: victim not in (one.running("w0")[1], one.running("w1")[1]),
            "a successor",
        )
        assert one.versions() == wanted
    one.stop()


def test_a_hangup_signal_reloads_and_the_log_tells(reloading: Callable[..., Reloading]) -> None:
    one = reloading()
    one.routes.write_text("v1")
    one.run.signal(signal.SIGHUP)
    one.run.wait_for_text('"event": "configuration reloaded"')
    assert one.versions() == ["v1", "v1"]
    one.routes.write_text("refuse")
    one.run.signal(signal.SIGHUP)
    one.run.wait_for_text('"event": "reload refused"')
    one.run.wait_for_text('"finding": "a finding"')
    assert one.versions() == ["v1", "v1"]
    one.stop()


def test_many_hangups_are_one_reload_at_a_time_and_the_last_is_heard(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading()
    for number in range(50):
        fresh = one.folder / "fresh"
        fresh.write_text(f"v{number}")
        fresh.rename(one.routes)
        one.run.signal(signal.SIGHUP)
    one.wait(lambda: one.versions() == ["v49", "v49"], "the last version")
    one.stop()
    assert one.settled.read_text().count(";") <= 50


def test_reloads_asked_for_at_once_are_done_one_after_another(
    reloading: Callable[..., Reloading], start: Start
) -> None:
    one = reloading()
    one.routes.write_text("v1")

    def client() -> int:
        return 0 if ask(one.state, Request(), 10).result == APPLIED else 1

    clients = [start(client) for _ in range(12)]
    assert [each.wait() for each in clients] == [0] * 12
    assert one.settled.read_text().count("applied v1") == 12
    one.stop()


def test_a_client_that_leaves_does_not_stop_its_reload(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading()
    one.routes.write_text("v1")
    with pytest.raises(NoRouter, match="has not answered"):
        ask(one.state, Request(), 0.001)
    one.wait(lambda: one.versions() == ["v1", "v1"], "the new version")
    one.stop()


def test_an_unknown_command_is_refused_in_words(reloading: Callable[..., Reloading]) -> None:
    one = reloading()
    answer = ask(one.state, Request(command="explode"), 10)
    assert answer.result == FAILED
    assert answer.sentence == "this version of Trunkline does not know `explode`"
    one.stop()


def test_a_stop_gives_up_a_reload_that_has_not_swapped(
    reloading: Callable[..., Reloading], start: Start
) -> None:
    one = reloading()
    one.routes.write_text("hang")
    client = start(lambda: print(ask(one.state, Request(), 10).sentence) or 0)
    one.wait(lambda: checks_of(one.run.pid), "the check")
    one.run.signal(signal.SIGTERM)
    assert one.run.wait() == 0
    client.wait_for_text("Trunkline is being stopped")
    assert not checks_of(one.run.pid)
    with pytest.raises(NoRouter, match="no router runs"):
        ask(one.state, Request(), 10)


def checks_of(supervisor: int) -> list[str]:
    """The checking processes of a supervisor."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            text = (path / "stat").read_text() if path.name.isdigit() else ""
        except OSError:
            continue
        if "(tl-check)" in text and text.rpartition(")")[2].split()[1] == str(supervisor):
            found.append(path.name)
    return found


def test_without_a_socket_the_signal_still_reloads(
    tmp_path: Path, start: Start, wait: Wait
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "control.sock").mkdir()  # nothing can be bound there

    class Without(Reloading):
        def __init__(self) -> None:
            self.folder, self.state = tmp_path, tmp_path / "state"
            self.routes, self.settled = tmp_path / "routes", tmp_path / "settled"
            self.wait = wait
            self.run = start(lambda: self.body(PATIENT))
            self.run.wait_for_text('"event": "running"')

    one = Without()
    one.routes.write_text("v1")
    one.run.signal(signal.SIGHUP)
    one.wait(lambda: one.versions() == ["v1", "v1"], "the new version")
    assert "trunkline reload will not reach this router" in one.run.text()
    one.stop()


def test_the_supervisor_keeps_no_descriptor_and_no_child_of_a_reload(
    reloading: Callable[..., Reloading],
) -> None:
    one = reloading()

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{one.run.pid}/fd"))

    one.reload("v0")
    one.reload("refuse")
    before = descriptors()
    for number in range(30):
        one.reload(("v1", "refuse", "loadfail@1", "exit")[number % 4])
    one.wait(lambda: descriptors() <= before, "as many descriptors as before")
    assert not checks_of(one.run.pid)
    one.run.signal(signal.SIGTERM)
    assert one.run.wait() == 0
