"""The supervisor with small processes of its own: order, restarts, limits, exit codes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.runtime.child import END_AT_ONCE, CannotBoot, Life
from router.runtime.logs import configure_logs
from router.runtime.posts import Limits, Post
from router.runtime.supervisor import Supervisor

QUICK = Limits(
    shutdown_ms=5_000,
    at_once_ms=2_000,
    stage_ms=2_000,
    silence_ms=300,
    boot_ms=1_000,
    first_delay_ms=20,
    longest_delay_ms=50,
)

Start = Callable[[Callable[[], int]], Any]
Wait = Callable[..., object]


def obedient(name: str, *, ends_at: int = 1) -> Callable[[Life], int]:
    """A process that beats, says what it hears and ends at the order `ends_at`."""

    def run(life: Life) -> int:
        print(f"{name} up {os.getpid()} generation {life.generation};", flush=True)
        heard = 0
        while heard < ends_at:
            life.beat()
            signal.sigtimedwait([], 0.02)
            if life.order > heard:
                heard = life.order
                print(f"{name} heard {heard};", flush=True)
        print(f"{name} down;", flush=True)
        return 0

    return run


def supervised(*posts: Post, limits: Limits = QUICK, prepare: Any = None) -> Callable[[], int]:
    def body() -> int:
        configure_logs("debug")
        return Supervisor(posts, limits=limits, prepare=prepare).run()

    return body


def pid_of(text: str, name: str, life: int = -1) -> int:
    lives = [part.split(f"{name} up ")[1] for part in text.split(";") if f"{name} up " in part]
    return int(lives[life].split()[0])


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_workers_end_first_and_the_ledger_after_them_with_exit_0(start: Start) -> None:
    run = start(
        supervised(
            Post("worker 0", "t-w0", obedient("w0")),
            Post("worker 1", "t-w1", obedient("w1")),
            Post("ledger", "t-ledger", obedient("ledger"), stage=1),
            Post("metrics", "t-metrics", obedient("metrics"), stage=2),
        )
    )
    run.wait_for_text('"event": "running"')
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    text = run.text()
    assert text.index("w0 down") < text.index("ledger heard 1")
    assert text.index("w1 down") < text.index("ledger heard 1")
    assert text.index("ledger down") < text.index("metrics heard 1")


def test_the_second_signal_ends_at_once_what_the_first_let_go_on(start: Start) -> None:
    run = start(supervised(Post("worker 0", "t-w0", obedient("w0", ends_at=END_AT_ONCE))))
    run.wait_for_text("w0 up")
    run.signal(signal.SIGINT)
    run.wait_for_text("w0 heard 1")
    assert run.poll() is None
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert "w0 heard 2" in run.text()


def test_running_calls_are_ended_when_the_limit_is_over(start: Start) -> None:
    run = start(
        supervised(
            Post("worker 0", "t-w0", obedient("w0", ends_at=END_AT_ONCE)),
            limits=QUICK._replace(shutdown_ms=150),
        )
    )
    run.wait_for_text("w0 up")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert "w0 heard 2" in run.text()


def test_a_process_that_does_not_end_is_killed_and_the_next_stage_still_ends_in_peace(
    start: Start,
) -> None:
    run = start(
        supervised(
            Post("worker 0", "t-w0", obedient("w0", ends_at=99)),
            Post("ledger", "t-ledger", obedient("ledger"), stage=1),
            limits=QUICK._replace(shutdown_ms=100, at_once_ms=100),
        )
    )
    run.wait_for_text("ledger up")
    run.wait_for_text("w0 up")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert "does not end, killed" in run.text()
    assert "ledger down" in run.text()


def test_a_killed_process_is_replaced_at_once_by_a_higher_generation(
    start: Start, wait: Wait
) -> None:
    run = start(supervised(Post("worker 0", "t-w0", obedient("w0"))))
    run.wait_for_text('"event": "running"')
    first = pid_of(run.text(), "w0")
    before = time.monotonic()
    os.kill(first, signal.SIGKILL)
    run.wait_for_text("w0 up", times=2)
    assert time.monotonic() - before < 2
    assert "generation 1;" in run.text()
    assert "generation 2;" in run.text()
    assert '"signal": "SIGKILL"' in run.text()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_a_worker_that_dies_while_it_finishes_is_replaced_and_told_to_finish(start: Start) -> None:
    run = start(supervised(Post("worker 0", "t-w0", obedient("w0", ends_at=END_AT_ONCE))))
    run.wait_for_text('"event": "running"')
    run.signal(signal.SIGTERM)
    run.wait_for_text("w0 heard 1")
    os.kill(pid_of(run.text(), "w0"), signal.SIGKILL)
    run.wait_for_text("w0 heard 1", times=2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_a_process_whose_loop_stands_still_is_killed_and_replaced(start: Start) -> None:
    def stuck(life: Life) -> int:
        print(f"stuck up {os.getpid()};", flush=True)
        life.beat()
        signal.sigtimedwait([], 60)
        return 0

    run = start(supervised(Post("worker 0", "t-w0", stuck)))
    run.wait_for_text("stuck up", times=2)
    assert "silent, killed" in run.text()


def test_a_process_that_never_boots_is_killed_after_the_boot_time(start: Start) -> None:
    def hung(_: Life) -> int:
        signal.sigtimedwait([], 60)
        return 0

    run = start(supervised(Post("w", "w", hung), limits=QUICK._replace(boot_ms=50)))
    assert run.wait() == 1
    assert run.text().count("silent, killed") == 3
    assert "cannot start, giving up" in run.text()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (CannotBoot("the state is of another version"), "the state is of another version"),
        (ValueError("a fault of ours"), "ValueError: a fault of ours"),
    ],
)
def test_boots_that_fail_in_a_row_stop_everything_with_exit_1(
    start: Start, fault: Exception, said: str
) -> None:
    def fail(_: Life) -> int:
        raise fault

    run = start(
        supervised(
            Post("worker 0", "t-w0", fail), Post("ledger", "t-l", obedient("ledger"), stage=1)
        )
    )
    assert run.wait() == 1
    text = run.text()
    assert text.count(said) == 3
    assert text.count("could not start") == 2
    assert text.count("cannot start, giving up") == 1
    assert "ledger down" in text


def test_the_state_is_prepared_before_anything_starts(start: Start) -> None:
    def prepare(_: Life) -> int:
        print("prepared;", flush=True)
        return 0

    run = start(supervised(Post("worker 0", "t-w0", obedient("w0")), prepare=prepare))
    run.wait_for_text("w0 up")
    assert run.text().index("prepared;") < run.text().index("w0 up")
    run.signal(signal.SIGTERM)
    assert run.wait() == 0


def test_a_state_that_cannot_be_prepared_stops_with_exit_1_and_starts_nothing(start: Start) -> None:
    def prepare(_: Life) -> int:
        raise CannotBoot("the state belongs to a newer Trunkline")

    run = start(supervised(Post("worker 0", "t-w0", obedient("w0")), prepare=prepare))
    assert run.wait() == 1
    assert "the state belongs to a newer Trunkline" in run.text()
    assert "w0 up" not in run.text()


def test_children_die_with_a_killed_supervisor(start: Start, wait: Wait) -> None:
    run = start(supervised(Post("worker 0", "t-w0", obedient("w0"))))
    run.wait_for_text("w0 up")
    pid = pid_of(run.text(), "w0")
    assert alive(pid)
    run.signal(signal.SIGKILL)
    wait(lambda: not alive(pid), "the death of the child")


def test_a_hangup_signal_changes_nothing_and_says_so(start: Start) -> None:
    run = start(supervised(Post("worker 0", "t-w0", obedient("w0"))))
    run.wait_for_text("w0 up")
    run.signal(signal.SIGHUP)
    run.wait_for_text("SIGHUP ignored")
    assert run.poll() is None
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert run.text().count("w0 up") == 1


def test_a_process_bears_its_title(start: Start) -> None:
    run = start(supervised(Post("worker 0", "trunkline-w0", obedient("w0"))))
    run.wait_for_text("w0 up")
    assert Path(f"/proc/{pid_of(run.text(), 'w0')}/comm").read_text() == "trunkline-w0\n"
