"""Workers that stand still: freed if that can be, else killed, and the log says where they were."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from router.core.tally import Tally
from router.routing.hook_errors import HookError
from router.routing.hook_meter import HookMeter
from router.routing.route_runs import make_run
from router.runtime.child import Life
from router.runtime.logs import BoundedLog, configure_logs, structlog_emitter
from router.runtime.posts import Limits, Post
from router.runtime.rousing import hear_rousing
from router.runtime.silence import LastWords
from router.runtime.supervisor import Supervisor

QUICK = Limits(
    shutdown_ms=5_000,
    at_once_ms=2_000,
    stage_ms=2_000,
    silence_ms=1_000,
    boot_ms=5_000,
    first_delay_ms=20,
    longest_delay_ms=50,
)
Start = Callable[[Callable[[], int]], Any]


class FakeContext:
    """What running a route asks of a context."""

    hooks = None

    def end_hooks(self) -> None:
        pass


def loops_for_ever() -> None:
    while True:
        pass


def sleeps_for_ever() -> None:
    while True:
        time.sleep(60)


def catches_everything() -> None:
    while True:
        try:
            time.sleep(60)
        except Exception:  # what a function of somebody may do
            continue


def computes_for_ever() -> None:
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2**31 - 1)


def worker(stand: Callable[[], None], *, in_route: bool = True) -> Callable[[Life], int]:
    """A worker that stands still once, in its first life; later it beats until it is told so."""

    def run(life: Life) -> int:
        log = BoundedLog(structlog_emitter(process="worker"))
        hear_rousing(life.words, log.line)
        life.beat()
        print("up", flush=True)
        meter = HookMeter(Tally(), time.perf_counter, log.line)
        route: Any = make_run("request_route", lambda c: stand(), Tally(), meter, 2_000)
        if life.generation == 1:
            try:
                if in_route:
                    route(FakeContext(), lambda c: None)
                else:
                    stand()
            except HookError as error:
                print(f"freed: {error}", flush=True)
        while not life.order:
            life.beat()
            signal.sigtimedwait([], 0.02)
        return 0

    return run


def supervised(run: Callable[[Life], int], *, rouses: bool = True) -> Callable[[], int]:
    def body() -> int:
        configure_logs("debug")
        posts = [Post("worker 0", "t-w0", run, rouses=rouses)]
        return Supervisor(posts, limits=QUICK).run()

    return body


def lines(text: str, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.split("\n") if line.startswith("{")]
    return [line for line in found if line["event"] == event]


@pytest.mark.parametrize("stand", [loops_for_ever, sleeps_for_ever, catches_everything])
def test_a_route_that_does_not_end_is_broken_off_and_the_worker_lives(
    start: Start, stand: Callable[[], None]
) -> None:
    run = start(supervised(worker(stand)))
    run.wait_for_text("freed: request_route did not end and was broken off at ")
    time.sleep(QUICK.silence_ms * 1.5 / 1_000)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    text = run.text()
    assert text.count("up\n") == 1
    assert lines(text, "silent, killed") == []
    (roused,) = lines(text, "silent, roused")
    assert roused["silent_ms"] >= QUICK.silence_ms // 2
    (stood,) = lines(text, "stood still")
    assert stood["broken_off"] is True
    assert stand.__name__ in stood["at"][0]
    assert f"{__file__}:" in stood["at"][0]


def test_one_that_is_stuck_in_foreign_code_is_killed_and_the_log_names_the_line(
    start: Start,
) -> None:
    run = start(supervised(worker(computes_for_ever)))
    run.wait_for_text("up\n", times=2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    (killed,) = lines(run.text(), "silent, killed")
    line = computes_for_ever.__code__.co_firstlineno + 1
    assert killed["stood_at"][0] == f"{__file__}:{line} computes_for_ever"
    assert any("in run" in place or " run" in place for place in killed["stood_at"])
    assert lines(run.text(), "stood still") == []


def test_one_that_stands_still_outside_of_routes_says_where_and_is_killed(start: Start) -> None:
    run = start(supervised(worker(sleeps_for_ever, in_route=False)))
    run.wait_for_text("up\n", times=2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    (stood,) = lines(run.text(), "stood still")
    assert stood["broken_off"] is False
    assert len(lines(run.text(), "silent, killed")) == 1


def test_one_that_is_not_roused_is_killed_without_a_word(start: Start) -> None:
    run = start(supervised(worker(sleeps_for_ever), rouses=False))
    run.wait_for_text("up\n", times=2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert lines(run.text(), "silent, roused") == []
    (killed,) = lines(run.text(), "silent, killed")
    assert "stood_at" not in killed


def test_last_words_are_read_as_often_as_they_are_written() -> None:

    words = LastWords("test")
    try:
        assert words.read() == []
        for name in ("first", "second"):
            words.clear()
            os.write(words.descriptor, f'Stack:\n  File "a.py", line 3 in {name}\n'.encode())
            assert words.read() == [f"a.py:3 {name}"]
    finally:
        words.close()
