"""`trunkline reload`: what it says about an answer, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.admin.reload_text import lines_of
from router.cli.reload import reload
from router.runtime.reload_control import NoRouter, Request
from router.runtime.reload_report import (
    ADDED,
    APPLIED,
    CHANGED,
    FAILED,
    REFUSED,
    REMOVED,
    SOUND,
    Answer,
    Change,
)


def answer(result: str, **more: Any) -> Answer:
    return Answer(
        result,
        routes="routes.cfg",
        **{"config_hash": "bbb", "previous_hash": "aaa", "workers": 2, "took_ms": 42, **more},
    )


def test_what_was_loaded_is_told_with_all_that_changed() -> None:
    changes = [
        Change(ADDED, "gateway one"),
        Change(REMOVED, "route[OLD]"),
        Change(CHANGED, "account acme", ("lines", "trunk office: ips")),
    ]
    assert lines_of(answer(APPLIED, changes=changes, restart=["listen"], tests=3)) == [
        "routes.cfg loaded: aaa → bbb, by 2 workers in 42 ms, 3 tests passed",
        "  + gateway one",
        "  - route[OLD]",
        "  ~ account acme (lines, trunk office: ips)",
        "  ! `listen` is not the one Trunkline was started with: it waits for a restart",
    ]


def test_that_nothing_changed_is_told_too() -> None:
    assert lines_of(answer(APPLIED, workers=1, tests=1)) == [
        "routes.cfg loaded: aaa → bbb, by 1 worker in 42 ms, 1 test passed",
        "  no gateway, account, route or setting differs",
    ]


def test_warnings_come_before_the_success() -> None:
    lines = lines_of(answer(APPLIED, findings=["a warning\n  of two lines"]))
    assert lines[:2] == ["a warning\n  of two lines", ""]
    assert "loaded" in lines[2]


def test_a_dry_run_says_that_it_can_be_loaded() -> None:
    lines = lines_of(answer(SOUND, changes=[Change(ADDED, "gateway one")]))
    assert lines == ["routes.cfg can be loaded: aaa → bbb, in 42 ms", "  + gateway one"]


def test_a_refusal_shows_all_findings_and_what_runs_on() -> None:
    refused = answer(
        REFUSED,
        sentence="2 errors in the configuration",
        findings=["one", "two"],
        failures=["three"],
    )
    assert lines_of(refused) == [
        *("one", "", "two", "", "three", ""),
        "routes.cfg not loaded: 2 errors in the configuration",
        "aaa runs on",
    ]


def test_a_failure_of_which_little_is_known_is_two_words_shorter() -> None:
    assert lines_of(Answer(FAILED, "Trunkline is being stopped")) == [
        "the configuration not loaded: Trunkline is being stopped"
    ]


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Request]]:
    """What was asked; the answer is the attribute of the router's."""
    asked: list[tuple[Path, Request]] = []

    def ask(state: Path, request: Request, timeout_s: float) -> Answer:
        asked.append((state, request))
        if str(state) == "nowhere":
            raise NoRouter("no router runs")
        return answer(str(state))

    monkeypatch.setattr("router.cli.reload.ask", ask)
    return asked


@pytest.mark.parametrize(
    ("result", "code"), [(APPLIED, 0), (SOUND, 0), (REFUSED, 1), (FAILED, 1), ("nowhere", 1)]
)
def test_the_exit_code_and_the_stream_follow_the_result(
    answered: list[Any], capsys: pytest.CaptureFixture[str], result: str, code: int
) -> None:
    assert reload(state=Path(result)) == code
    said = capsys.readouterr()
    assert bool(said.out) == (code == 0)
    assert bool(said.err) == (code == 1)


def test_without_a_router_it_is_one_line(
    answered: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert reload(state=Path("nowhere")) == 1
    assert capsys.readouterr().err == "trunkline: no router runs\n"


def test_a_dry_run_is_asked_for_as_such(answered: list[Any]) -> None:
    reload(state=Path(SOUND), dry_run=True)
    reload(state=Path(APPLIED))
    assert [request.dry_run for _, request in answered] == [True, False]


@pytest.mark.parametrize(("result", "code"), [(APPLIED, 0), (REFUSED, 1)])
def test_json_is_one_object_on_standard_output(
    answered: list[Any], capsys: pytest.CaptureFixture[str], result: str, code: int
) -> None:
    assert reload(state=Path(result), as_json=True) == code
    said = capsys.readouterr()
    fields = json.loads(said.out)
    assert (fields["result"], fields["config_hash"], said.err) == (result, "bbb", "")
