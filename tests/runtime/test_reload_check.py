"""What a reload checks before a worker hears of it, as a function."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from reloading import ROUTES, changed, memory, program, written

from router.routing.config import build_config
from router.runtime.reload_check import MAX_FINDINGS, Checker
from router.runtime.reload_image import load_image, open_image, portrait_in
from router.runtime.reload_memory import Deployment, new_memory, read_memory
from router.runtime.reload_report import ADDED, CHANGED, Change, Checked, read_report

TEST = """
test "a call goes to one" {
    invite from 127.0.0.1 caller "1000" callee "8613";
    expect gateway one;
    gateway one answers after 1s;
    caller hangs up after 5s;
    expect end Normal;
}
"""


@pytest.fixture
def checker(tmp_path: Path) -> Checker:
    started = program()
    return Checker(written(tmp_path), started, build_config(started), Deployment())


Check = Callable[..., tuple[Checked, bytes]]


@pytest.fixture
def check(checker: Checker, tmp_path: Path) -> Check:
    """The check of a text against ROUTES, which runs."""

    def run(text: str) -> tuple[Checked, bytes]:
        written(tmp_path, text)
        return checker.check()

    return run


def test_a_sound_configuration_is_an_image_of_what_was_checked(check: Check) -> None:
    text = changed(("lines = 5", "lines = 6"))
    checked, raw = check(text)
    assert checked.sentence == ""
    assert checked.previous_hash == program().hash
    assert checked.config_hash == program(text).hash != checked.previous_hash
    assert checked.changes == [Change(CHANGED, "gateway one", ("lines",))]
    assert checked.gateways == [("one", 6), ("two", -1)]
    assert checked.restart == []
    assert load_image(pickle.loads(raw)[0])[0].source == text


def test_errors_are_all_told_and_make_no_image(check: Check) -> None:
    checked, raw = check(changed(("drop;", "dropp;"), ("next();", "nexxt();")))
    assert raw == b""
    assert checked.sentence.endswith("errors in the configuration")
    assert checked.previous_hash == program().hash
    shown = "\n\n".join(checked.findings)
    assert "dropp" in shown
    assert "nexxt" in shown
    assert "^" in shown
    assert len(checked.lines) == len(checked.findings)
    assert all("\n" not in line for line in checked.lines)


def test_one_error_is_one_error(check: Check) -> None:
    checked, _ = check(changed(("next();", "next(); next();")))
    assert checked.sentence == "1 error in the configuration"


def test_warnings_are_told_and_stop_nothing(check: Check) -> None:
    checked, raw = check(ROUTES + "route[UNUSED] { return; }")
    assert checked.sentence == ""
    assert raw
    assert "unused-route" in checked.findings[0]


def test_a_flood_of_findings_is_cut_with_a_word(check: Check) -> None:
    checked, _ = check(ROUTES + "route[X] { nothing(); }\n" * (MAX_FINDINGS + 10))
    assert len(checked.findings) == MAX_FINDINGS + 1
    assert "trunkline check shows all" in checked.findings[-1]


def test_a_file_that_is_gone_is_one_sentence(checker: Checker) -> None:
    checker.routes.unlink()
    checked, raw = checker.check()
    assert checked.sentence.endswith("cannot be read: no such file or directory")
    assert (raw, checked.findings) == (b"", [])


def test_the_tests_of_the_file_are_run(check: Check) -> None:
    checked, raw = check(ROUTES + TEST)
    assert (checked.sentence, checked.tests, checked.failures) == ("", 1, [])
    assert raw


def test_a_failing_test_makes_no_image_and_tells_its_story(check: Check) -> None:
    checked, raw = check(ROUTES + TEST + TEST.replace("goes to one", "x").replace("one;", "two;"))
    assert raw == b""
    assert checked.sentence == "1 of 2 tests failed"
    [story] = checked.failures
    assert 'test "a call x" failed: expected the call at two' in story
    assert "at: expect gateway two" in story


def test_an_unset_variable_of_the_environment_is_an_error(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = changed(("ringing_timeout = 60s", 'state = env("NOWHERE_SET")'))
    monkeypatch.delenv("NOWHERE_SET", raising=False)
    checked, raw = check(text)
    assert raw == b""
    assert "NOWHERE_SET" in checked.findings[0]
    monkeypatch.setenv("NOWHERE_SET", "state")
    checked, raw = check(text)
    assert (checked.sentence, checked.findings) == ("", [])
    assert raw


@pytest.mark.parametrize(
    ("old", "new", "setting"),
    [
        ("udp:127.0.0.1:5060", "udp:127.0.0.1:5061", "listen"),
        ("ringing_timeout = 60s", "workers = 7", "workers"),
        ("ringing_timeout = 60s", 'state = "elsewhere"', "state"),
        ("ringing_timeout = 60s", "metrics = 127.0.0.1:9999", "metrics"),
    ],
)
def test_what_needs_a_restart_is_named_and_the_rest_is_applied(
    check: Check, old: str, new: str, setting: str
) -> None:
    checked, raw = check(changed((old, new)))
    assert raw
    assert checked.restart == [setting]


def test_what_needs_a_restart_is_told_as_long_as_it_differs_from_the_start(
    tmp_path: Path,
) -> None:
    started = program()
    deployment = Deployment()
    text = changed(("udp:127.0.0.1:5060", "udp:127.0.0.1:5061"))
    checker = Checker(written(tmp_path, text), started, build_config(started), deployment)
    _, raw = checker.check()
    deployment.replace(memory(raw))
    checked, _ = checker.check()
    assert checked.restart == ["listen"]
    assert checked.changes == []


def test_changes_are_those_to_what_was_loaded_last(tmp_path: Path) -> None:
    started = program()
    deployment = Deployment()
    first = changed(("lines = 5", "lines = 6"), ("198.51.100.0/24", "198.51.101.0/24"))
    checker = Checker(written(tmp_path, first), started, build_config(started), deployment)
    _, raw = checker.check()
    deployment.replace(memory(raw))
    written(tmp_path, first.replace("lines = 30", "lines = 31"))
    checked, _ = checker.check()
    assert checked.changes == [Change(CHANGED, "account acme", ("lines",))]


def test_a_child_leaves_image_and_report_in_its_memory_files(
    checker: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.nice", lambda by: by)
    image, report = new_memory("image"), new_memory("report")
    assert checker.run(image, report) == 0
    assert read_report(read_memory(report)).config_hash == program().hash
    assert portrait_in(read_memory(image)).hash == program().hash


HOOKS = """
from router.routing.hooks import route_function
import tariffs_beside

@route_function
def is_cheap(number: str) -> bool:
    return number in tariffs_beside.CHEAP
"""


@pytest.fixture
def with_hooks(tmp_path: Path) -> Path:
    """A configuration with a Python file and a module beside it."""
    text = 'import python "hooks.py" as hooks\n' + changed(
        ("    if (!identify())", "    if (hooks.is_cheap($rU)) reply(480);\n    if (!identify())")
    )
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "tariffs_beside.py").write_text("CHEAP = {'1'}\n")
    return written(tmp_path, text)


def test_an_image_is_whole_whatever_becomes_of_the_python_files(with_hooks: Path) -> None:
    started = program()
    config = build_config(started)
    deployment = Deployment()
    checker = Checker(with_hooks, started, config, deployment)
    checked, raw = checker.check()
    assert (checked.sentence, checked.findings) == ("", [])
    assert Change(ADDED, "python hooks") in checked.changes
    deployment.replace(memory(raw))
    for name in ("hooks.py", "tariffs_beside.py"):
        (with_hooks.parent / name).write_text("1 / 0\n")
    # A worker that is born now runs what was checked; the next check tells what is wrong.
    loaded, _held = open_image(raw, config)
    assert loaded.imports["hooks"] == HOOKS
    checked, _ = checker.check()
    assert "ZeroDivisionError" in "".join(checked.findings)
    assert checked.previous_hash == loaded.hash


def test_a_python_file_that_does_not_run_a_second_time_is_one_sentence(
    with_hooks: Path,
) -> None:
    started = program()
    once = "import sys\nassert not hasattr(sys, 'hooks_once')\nsys.hooks_once = 1\n"
    (with_hooks.parent / "hooks.py").write_text(once + HOOKS)
    try:
        checked, raw = Checker(with_hooks, started, build_config(started), Deployment()).check()
    finally:
        sys.__dict__.pop("hooks_once", None)
    assert raw == b""
    assert "hooks.py:2: AssertionError" in checked.sentence
