"""Async functions where time is virtual: they are really run, and really limited."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from router.cli.route import route
from router.cli.test import test as run_tests
from router.routing.trial.run import run_trials
from router.runtime.hook_loop import HookLoop
from router.runtime.routes_file import load_routes

HOOKS = """\
import asyncio
from router.routing.hooks import Call, route_function

LOOPS = set()

@route_function
async def lookup(call: Call, number: str) -> str:
    LOOPS.add(id(asyncio.get_running_loop()))
    assert len(LOOPS) == 1
    if number == "slow":
        await asyncio.sleep(30)
    if number == "bad":
        raise ValueError("no such number")
    await asyncio.sleep(0.001)
    return await asyncio.to_thread(str.__add__, "86", number)
"""
ROUTES = """\
hook_timeout = 50ms
gateway g1 { address = 127.0.0.1:5071  prefixes = 86 }
account acme { trunk office { ips = 127.0.0.0/8 } }
import python "hooks.py" as hooks
request_route {
    if (!identify()) end(IllegalCall);
    $rU = hooks.lookup($rU);
    call(gateways($rU));
}
test "a number is looked up" {
    invite from 127.0.0.1 caller "1000" callee "13800";
    expect gateway g1 callee "8613800";
    gateway g1 answers;
    caller hangs up after 5s;
    expect end Normal duration 5s;
}
test "again" {
    invite from 127.0.0.1 caller "1000" callee "13801";
    expect gateway g1 callee "8613801";
    caller cancels after 1s;
    expect end Cancelled;
}
test "one that is too slow costs a 500" {
    invite from 127.0.0.1 caller "1000" callee "slow";
    expect reply 500;
}
test "one that raises fails the test" {
    invite from 127.0.0.1 caller "1000" callee "bad";
    expect gateway g1;
}
"""


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    (tmp_path / "hooks.py").write_text(HOOKS)
    path = tmp_path / "routes.cfg"
    path.write_text(ROUTES)
    return path


def test_test_blocks_run_async_functions(routes: Path) -> None:
    started = time.monotonic()
    with HookLoop() as loop:
        results = run_trials(load_routes(routes), run_wait=loop.run_wait)
    assert time.monotonic() - started < 5
    assert [result.passed for result in results] == [True, True, True, False]
    failure = results[3].failure
    assert failure is not None
    assert "raised ValueError: no such number at" in "\n".join(failure.log)


def test_without_a_loop_a_function_that_waits_is_a_fault(routes: Path) -> None:
    results = run_trials(load_routes(routes))
    assert [result.passed for result in results] == [False, False, True, False]


def test_the_command_test_runs_them(routes: Path) -> None:
    assert run_tests(routes, k="again") == 0
    assert run_tests(routes, k="raises") == 1


def test_the_command_route_runs_them(routes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = route(routes, source="127.0.0.1", caller="1000", callee="13800", as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert (asked, answer["verdict"], answer["numbers_asked"]) == (0, "call", ["8613800"])


def test_what_a_file_left_running_ends_with_the_loop() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("yes")

    class Engine:
        def take_waits(self) -> list[object]:
            return []

        def on_waited(self, *_: object) -> None:
            pass

    class Waiting:
        class wait:
            limit_ms = 1_000
            route = None

    async def begins() -> None:
        Waiting.left = asyncio.ensure_future(endless())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    waiting = Waiting()
    waiting.wait.route = begins()  # type: ignore[assignment]
    with HookLoop() as loop:
        loop.run_wait(Engine(), waiting, 0)  # type: ignore[arg-type]
    assert ended == ["yes"]
