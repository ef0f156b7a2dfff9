from __future__ import annotations

import importlib
import os
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from router.cli import main as main_module
from router.cli.main import COMMANDS, Command, main


@pytest.fixture
def trunkline(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `trunkline ARGUMENTS` in this process; its exit code."""

    def run(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["trunkline", *arguments])
        try:
            return main()
        except SystemExit as stop:
            return stop.code

    return run


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Makes a function the only command, `go`."""

    def put(function: Callable[..., Any]) -> None:
        module = types.ModuleType("stand_in_command")
        module.go = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "stand_in_command", module)
        monkeypatch.setattr(main_module, "COMMANDS", (Command("go", "stand_in_command:go", "Go."),))

    return put


def test_help_names_every_command(
    trunkline: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trunkline("--help") == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f" {command.name} " in text
        assert command.help in text


def test_without_arguments_help_is_shown(
    trunkline: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trunkline() == 0
    assert "Usage: trunkline" in capsys.readouterr().out


def test_help_loads_no_command() -> None:
    """Loading the store, lark and the engine would make each help and completion slow."""
    script = (
        "import sys; sys.argv = ['trunkline', '--help']\n"
        "from router.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('lmdb', 'lark', 'prometheus_client', 'router.store', 'dsl')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_that_of_the_distribution(
    trunkline: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trunkline("--version") == 0
    assert capsys.readouterr().out.strip().count(".") == 2


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_where_help_says_it_is(command: Command) -> None:
    module, _, name = command.path.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself(
    command: Command, trunkline: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trunkline(command.name, "--help") == 0
    assert f"trunkline {command.name}" in capsys.readouterr().out


def test_an_unknown_command_suggests_the_one_meant(
    trunkline: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trunkline("stauts") != 0
    said = capsys.readouterr()
    assert "Did you mean" in said.err
    assert "status" in said.err
    assert said.out == ""


def test_an_unknown_option_is_an_error_in_a_line_of_its_own(
    trunkline: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trunkline("status", "--jsno") != 0
    assert "Did you mean --json?" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_exit_code_of_a_command_is_passed_on(
    code: int, trunkline: Callable[..., Any], stand_in: Callable[..., None]
) -> None:
    def go() -> int:
        return code

    stand_in(go)
    assert trunkline("go") == code


def test_ctrl_c_ends_quietly(
    trunkline: Callable[..., Any],
    stand_in: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def go() -> int:
        raise KeyboardInterrupt

    stand_in(go)
    assert trunkline("go") == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    """As in `trunkline --help | true`."""
    script = (
        "import sys; sys.argv = ['trunkline', '--help']\n"
        "from router.cli.main import main\n"
        "sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    process.wait(30)
    assert b"Traceback" not in said
    assert b"BrokenPipe" not in said


def test_a_terminal_that_knows_only_ascii_is_no_traceback() -> None:
    script = (
        "import sys, types\n"
        "from router.cli import main\n"
        "module = types.ModuleType('stand_in')\n"
        "module.go = lambda: print('a… ─')\n"
        "sys.modules['stand_in'] = module\n"
        "main.COMMANDS = (main.Command('go', 'stand_in:go', 'Go.'),)\n"
        "sys.argv = ['trunkline', 'go']\n"
        "sys.exit(main.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "a? ?\n", "")
