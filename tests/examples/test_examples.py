"""Every shipped example: clean, and its own test blocks pass with nothing of the outside there."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.routing.trial.run import run_trials
from router.runtime.hook_loop import HookLoop
from router.runtime.routes_file import check_file, load_routes

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
FILES = sorted([*EXAMPLES.glob("*.cfg"), *EXAMPLES.glob("*/routes.cfg")])


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOOKUP_URL", "http://127.0.0.1:9/numbers")
    monkeypatch.setenv("BLACKLIST_URL", f"unix://{tmp_path}/nothing.sock")
    monkeypatch.setenv("QUOTA_FILE", str(tmp_path / "quota.sqlite"))


def test_there_are_examples() -> None:
    names = {file.parent.name for file in FILES}
    assert names >= {"hooks_http_lookup", "hooks_redis_blacklist", "hooks_daily_quota"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_an_example_has_no_findings_and_passes_its_own_tests(file: Path) -> None:
    assert check_file(file).findings == []
    with HookLoop() as loop:
        results = run_trials(load_routes(file), run_wait=loop.run_wait)
    assert results
    assert [result.title for result in results if not result.passed] == []
