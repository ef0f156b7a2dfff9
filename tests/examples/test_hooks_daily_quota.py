"""The daily quota: counted for each account and day, over restarts, and never one too many."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dsl.imports import PythonModule

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
Make = Callable[[str], Any]
NAME = "hooks_daily_quota"
SMALL = "127.0.0.2"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "below" / "quota.sqlite"
    monkeypatch.setenv("QUOTA_FILE", str(path))
    return path


def module(file: Path) -> Any:
    """The Python file by itself."""
    path = EXAMPLES / NAME / "hooks.py"
    loaded = PythonModule(str(path), path.read_text(), "quota")
    assert file == loaded.module.FILE
    return loaded


def statuses(router: Any, calls: int, source: str = SMALL) -> list[int]:
    return [router.call("1000", "8613800", source)[0].status for _ in range(calls)]


def test_calls_beyond_the_quota_are_refused_and_the_log_says_so(example: Make, file: Path) -> None:
    router = example(NAME)
    assert statuses(router, 4) == [200, 200, 480, 480]
    assert router.lines[0] == "info: small has used all 2 calls of today"


def test_each_account_has_its_own(example: Make, file: Path) -> None:
    router = example(NAME)
    assert statuses(router, 3) == [200, 200, 480]
    assert statuses(router, 3, "127.0.0.1") == [200, 200, 200]


def test_the_count_survives_a_restart_and_a_reload(example: Make, file: Path) -> None:
    assert statuses(example(NAME), 1) == [200]
    assert statuses(example(NAME), 2) == [200, 480]


def test_a_new_day_begins_with_nothing_used_and_old_days_are_forgotten(file: Path) -> None:
    loaded = module(file)
    take = loaded.module._take
    days = ["2026-01-01", "2026-01-01", "2026-01-01", "2026-01-02", "2026-03-01"]
    assert [take("a", day, 2) for day in days] == [True, True, False, True, True]
    with sqlite3.connect(file) as connection:
        rows = connection.execute("SELECT account, day, calls FROM used").fetchall()
    assert rows == [("a", "2026-03-01", 1)]
    assert loaded.module._used("a", "2026-03-01") == 1
    assert loaded.module._used("nobody", "2026-03-01") == 0


def test_however_many_ask_at_once_not_one_call_too_many_is_given(file: Path) -> None:
    loaded = module(file)
    take = loaded.module._take
    take("a", "2026-01-01", 50)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: take("a", "2026-01-01", 50), range(120)))
    assert sum(taken) == 49
    assert loaded.module._used("a", "2026-01-01") == 50


def test_trying_a_configuration_uses_nothing_of_the_quota(file: Path) -> None:
    from router.routing.trial.run import run_trials
    from router.runtime.hook_loop import HookLoop
    from router.runtime.routes_file import load_routes

    with HookLoop() as loop:
        program = load_routes(EXAMPLES / NAME / "routes.cfg")
        assert all(one.passed for one in run_trials(program, run_wait=loop.run_wait))
    assert not file.exists()
