"""What a reload does before any worker hears of it: in a child process, checked, compiled, tried.

The supervisor is kept out of it: the checker's memory goes with the child, a fault of it ends the
child alone, and the store is never near.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from dsl.findings import HINT, Finding, render_finding
from dsl.load import check_routes, make_image
from dsl.outcome import Outcome
from dsl.program import Program
from dsl.sources import SourceError
from router.routing.config import Config
from router.routing.surface import OBJECTS_FILE, SURFACE
from router.routing.trial.results import Failure
from router.routing.trial.run import run_trials
from router.runtime.child import EXIT_OK
from router.runtime.hook_loop import HookLoop
from router.runtime.reload_changes import changes_between, portrait_of
from router.runtime.reload_image import RESTART_SETTINGS, load_image, pack_image, portrait_in
from router.runtime.reload_memory import Deployment, write_memory
from router.runtime.reload_report import Checked
from router.runtime.routes_file import DiskFiles
from router.store.errors import StoreError
from router.store.rates import loaded_rates

NICENESS = 10
"""The calls come first: checking may take longer while they need the processor."""
MAX_FINDINGS = 500


class Checker:
    """Checks the configuration that was started as it stands now, against what runs.

    `started` is the program of the start with its configuration, on which the sockets and files
    are that no reload can change.
    """

    def __init__(
        self, routes: Path, program: Program, started: Config, deployment: Deployment
    ) -> None:
        self.routes = routes
        self._program = program
        self._started = started
        self._deployment = deployment

    def run(self, image: int, report: int) -> int:
        """In the child: fill the two memory files; the exit code."""
        os.nice(NICENESS)
        checked, raw = self.check()
        write_memory(image, raw)
        write_memory(report, msgspec.msgpack.encode(checked))
        return EXIT_OK

    def check(self) -> tuple[Checked, bytes]:
        """The report, and the packed image if there is nothing against it."""
        deployed = self._deployment.read()
        running = portrait_of(self._program) if deployed is None else portrait_in(deployed)
        try:
            outcome = check_routes(
                str(self.routes), SURFACE, DiskFiles(), loading=True,
                additions=str(self._started.state / OBJECTS_FILE),
            )
            checked = _found(outcome)
            checked.previous_hash = running.hash
            if outcome.errors:
                checked.sentence = f"{_count(outcome.errors, 'error')} in the configuration"
                return checked, b""
            image = make_image(outcome, SURFACE).to_bytes()
            # From the image, as the workers will: what cannot be loaded fails here.
            program, config = load_image(image)
        except SourceError as error:
            return Checked(str(error), previous_hash=running.hash), b""
        portrait = portrait_of(program)
        checked.config_hash = program.hash
        checked.gateways = [(one.name, one.lines) for one in config.gateways.values()]
        checked.accounts = [(one.name, one.lines) for one in config.accounts.values()]
        checked.shutdown_ms = config.shutdown_ms
        checked.restart = [
            name
            for name in RESTART_SETTINGS
            if program.settings.get(name) != self._program.settings.get(name)
        ]
        checked.changes = changes_between(running, portrait)
        checked.sentence = self._try(program, checked)
        return checked, b"" if checked.sentence else pack_image(image, portrait)

    def _try(self, program: Program, checked: Checked) -> str:
        """Run the tests; "" if all passed."""
        try:
            with HookLoop() as loop, loaded_rates(self._started.state) as rates:
                results = run_trials(program, run_wait=loop.run_wait, rates=rates)
        except StoreError as error:
            return str(error)
        checked.tests = len(results)
        checked.failures = [_told(one.title, one.failure) for one in results if one.failure]
        if not checked.failures:
            return ""
        return f"{len(checked.failures)} of {_count(len(results), 'test')} failed"


def _found(outcome: Outcome) -> Checked:
    shown: list[Finding] = [one for one in outcome.findings if one.severity != HINT]
    texts = outcome.unit.texts
    checked = Checked(
        findings=[render_finding(one, texts.get(one.file, "")) for one in shown[:MAX_FINDINGS]],
        lines=[
            f"{one.file}:{one.line}:{one.column}: {one.severity}: {one.message} [{one.code}]"
            for one in shown[:MAX_FINDINGS]
        ],
    )
    if len(shown) > MAX_FINDINGS:
        more = f"and {len(shown) - MAX_FINDINGS} findings more: trunkline check shows all"
        checked.findings.append(more)
        checked.lines.append(more)
    return checked


def _told(title: str, failure: Failure) -> str:
    lines = [f'{failure.position}: test "{title}" failed: {failure.sentence}']
    lines.append(f"      at: {failure.step}")
    lines += [f"      decision: {line}" for line in failure.decision]
    lines += [f"      log: {line}" for line in failure.log]
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
