"""`trunkline test`: the test blocks of a routes.cfg, tried in virtual time, and what failed.

What is wrong with the configuration is shown as `trunkline check` shows it, and nothing is tried.
"""

from __future__ import annotations

import json as json_text
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from dsl.findings import ConfigError, Finding, findings_json
from dsl.program import Program
from dsl.sources import SourceError
from dsl.trials import Trial
from router.admin.loaded_rates import state_of
from router.cli.findings_text import show_findings
from router.cli.ladder import Lane, render_ladder
from router.routing.trial.results import Failure, TrialResult
from router.routing.trial.run import run_trials
from router.runtime.hook_loop import HookLoop
from router.runtime.routes_file import load_routes
from router.store.cdr_lines import plain
from router.store.errors import StoreError
from router.store.rates import loaded_rates

INDENT = " " * 8
DEEPER = " " * 10
WIDEST_TITLE = 72


def test(
    file: Annotated[Path, Parameter(help="The configuration.")] = Path("routes.cfg"),
    *,
    k: Annotated[
        str,
        Parameter(name="-k", help="Only tests with this in their title, in upper or lower case."),
    ] = "",
    json: Annotated[
        bool, Parameter(negative="", help="One JSON object with all results instead of text.")
    ] = False,
) -> int:
    """Try the test blocks of a configuration: no sockets, no waiting.

    The exit code is 1 if a test fails, if none has the title asked for, or if the configuration has
    an error.
    """
    try:
        program = load_routes(file)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    except ConfigError as error:
        _show_errors(error.findings, json)
        return 1

    def chosen(trial: Trial) -> bool:
        return k.lower() in trial.title.lower()

    state = state_of(program.path, program.settings)
    try:
        with HookLoop() as loop, loaded_rates(state) as rates:
            results = run_trials(
                program, chosen, stopwatch=time.perf_counter, run_wait=loop.run_wait, rates=rates
            )
    except StoreError as error:
        print(f"trunkline: {plain(str(error))}", file=sys.stderr)
        return 1
    if json:
        print(results_json(results))
    else:
        _show(program, file, results, k)
    missed = bool(k) and not results
    return 1 if missed or not all(result.passed for result in results) else 0


def _show_errors(findings: Sequence[Finding], json: bool) -> None:
    if json:
        print(findings_json(findings))
        return
    texts = {finding.file: _text_of(finding.file) for finding in findings}
    show_findings(findings, texts, Console(highlight=False, soft_wrap=True))


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", "replace")
    except OSError:
        return ""


# For people


def _show(program: Program, file: Path, results: Sequence[TrialResult], pattern: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not program.tests:
        console.print(Text(f'{file} has no tests: they are written test "…" {{ … }}'))
        return
    if not results:
        count = len(program.tests)
        console.print(
            Text(f'None of the {_counted(count, "test")} of {file} has "{pattern}" in its title.')
        )
        return
    width = min(WIDEST_TITLE, max(cell_len(plain(result.title)) for result in results))
    for result in results:
        console.print(_line(result, width))
    for result in results:
        if result.failure is not None:
            console.print()
            _show_failure(result, result.failure, console)
    console.print()
    console.print(_summary(results))


def _line(result: TrialResult, width: int) -> Text:
    word, style = ("passed", "green") if result.passed else ("FAILED", "bold red")
    line = Text()
    line.append(word, style)
    title = plain(result.title)
    line.append(f"  {title}{' ' * max(0, width - cell_len(title))}  ")
    virtual = f", {result.virtual_ms / 1000:g} s of calls" if result.virtual_ms else ""
    line.append(f"{result.took_s * 1000:.1f} ms{virtual}", "dim")
    return line


def _show_failure(result: TrialResult, failure: Failure, console: Console) -> None:
    console.print(Text(f"FAILED  {plain(result.title)}", "bold red"))
    console.print(Text(f"{failure.position}: {plain(failure.step)}"))
    console.print(Text(f"{INDENT}{plain(failure.sentence)}", "bold"))
    lanes = [Lane(name, (name, 0)) for name in failure.lanes]
    ladder = render_ladder(
        failure.wires, lanes, console.width - len(DEEPER), ascii_only=console.options.ascii_only
    )
    for title, lines in (
        ("the messages of the call", ladder.split() if ladder else []),
        ("the decision", [Text(plain(line)) for line in failure.decision]),
        ("the log", [Text(plain(line)) for entry in failure.log for line in entry.splitlines()]),
    ):
        if lines:
            console.print(Text(f"{INDENT}{title}:", "dim"))
        for line in lines:
            console.print(Text(DEEPER) + line, no_wrap=True, overflow="crop")


def _summary(results: Sequence[TrialResult]) -> Text:
    failed = sum(not result.passed for result in results)
    passed = len(results) - failed
    took_s = sum(result.took_s for result in results)
    parts = [f"{passed} passed"] if passed else []
    parts += [f"{failed} failed"] if failed else []
    text = f"{_counted(len(results), 'test')}: {', '.join(parts)} in {took_s * 1000:.0f} ms"
    return Text(text, "bold red" if failed else "bold green")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# For programs


def results_json(results: Sequence[TrialResult]) -> str:
    """The results as one JSON object: `tests`, `passed` and `failed`."""
    failed = sum(not result.passed for result in results)
    answer = {
        "tests": [_result(result) for result in results],
        "passed": len(results) - failed,
        "failed": failed,
    }
    return json_text.dumps(answer, ensure_ascii=False, indent=2)


def _result(result: TrialResult) -> dict[str, Any]:
    failure = result.failure
    return {
        "title": result.title,
        "file": result.position.file,
        "line": result.position.line,
        "passed": result.passed,
        "took_ms": round(result.took_s * 1000, 3),
        "virtual_ms": result.virtual_ms,
        "failure": None if failure is None else _failure(failure),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "file": failure.position.file,
        "line": failure.position.line,
        "column": failure.position.column,
        "step": failure.step,
        "expected": failure.expected,
        "happened": failure.happened,
        "messages": [
            {
                "at_ms": wire.at_ms - failure.wires[0].at_ms,
                "from": wire.source[0],
                "to": wire.target[0],
                "message": wire.data.decode("utf-8", "replace"),
            }
            for wire in failure.wires
        ],
        "decision": list(failure.decision),
        "log": list(failure.log),
    }
