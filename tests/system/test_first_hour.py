"""docs/first-hour.md, walked through: every command of the page, in its order, as a newcomer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.ports import LOOPBACK, free_ports, tcp_listening, udp_bound, wait_until

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/first-hour.md"
PORTS = ("5060", "5070", "5091", "5092", "5093", "5094", "9464", "9090")
BLOCK = re.compile(r"^```(console|routes)\n(.*?)^```$", re.M | re.S)
STAYS, FAILS = "# stays", "# fails"
# What differs from one walk to the next: times of the clock, call ids, and how long it took.
LOOSE = (r"\d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\d", r"\d+\.\d\d?s\b", r"…")
# In a page's line any space stands for any width: columns grow with what is in them.
WORDS = re.compile("|".join(LOOSE) + r"|\s+|[^\s…\d]+|\d")


def steps(page: str) -> Iterator[tuple[str, str, list[str]]]:
    """("routes", text, []) or ("command", line, what the page shows of its output)."""
    for kind, text in BLOCK.findall(page):
        if kind == "routes":
            yield kind, text, []
            continue
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, *shown = part.rstrip("\n").split("\n")
            yield "command", command, shown


def pattern(line: str) -> re.Pattern[str]:
    """What matches a line of the page: see LOOSE and WORDS."""
    out = []
    for word in WORDS.findall(line.strip()):
        if word == "…":
            out.append(".*")
        elif word.isspace():
            out.append(r"\s+")
        else:
            out.append(next((one for one in LOOSE if re.fullmatch(one, word)), re.escape(word)))
    return re.compile(r"\s*" + "".join(out) + r"\s*")


def missing(shown: list[str], said: str) -> str:
    """The first line of `shown` that `said` has not, in this order; "" when all are there."""
    lines = iter(said.splitlines())
    for line in shown:
        if line.strip() != "…" and not any(pattern(line).fullmatch(one) for one in lines):
            return line
    return ""


def put(routes: Path, block: str) -> None:
    """Adds a block, or puts it in the place of the one that begins with the same line."""
    text = routes.read_text()
    head = re.escape(block.partition("\n")[0])
    placed, times = re.subn(rf"^{head}\n.*?^}}\n", lambda _: block, text, flags=re.M | re.S)
    routes.write_text(placed if times else f"{text}\n{block}")


class Newcomer:
    """A folder of its own, ports of its own, and the processes that stay."""

    def __init__(self, folder: Path) -> None:
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        self._here = re.compile(rf"\b({'|'.join(PORTS)})\b")
        self._ports = ports
        self.folder, self._start = folder, folder
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
        self._staying: list[subprocess.Popen[bytes]] = []

    def ours(self, text: str) -> str:
        """The page's text with our ports."""
        return self._here.sub(lambda found: self._ports[found[0]], text)

    def type(self, command: str, shown: list[str]) -> None:
        """Does a command; AssertionError when it fails or does not say what the page shows."""
        if command.startswith("git clone "):
            self._clone(command.split()[-1])
        elif command.startswith("cd "):
            self.folder = self._start / command[3:]
        elif command.endswith(STAYS):
            self._stay(self.ours(command.removesuffix(STAYS).strip()))
        else:
            self._run(command, shown)

    def stop(self) -> None:
        """Ends what stays, the last first."""
        for process in reversed(self._staying):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(5)

    def _clone(self, name: str) -> None:
        target = self._start / name
        for part in ("Makefile", "routes.cfg", "pyproject.toml", ".ci", "grafana", "docs"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, target / part)
            else:
                target.mkdir(exist_ok=True)
                shutil.copy(source, target / part)
        # What `make run` makes first takes a network and minutes; its tests are elsewhere.
        program = target / ".venv/bin/trunkline"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m router.cli.main "$@"\n')
        program.chmod(0o755)
        (target / ".venv/.run-ready").touch()
        for path in (target / "routes.cfg", target / "grafana/prometheus.yml"):
            path.write_text(self.ours(path.read_text()))

    def _stay(self, command: str) -> None:
        command = command.replace("prometheus --", f"{prometheus()} --")
        if "prometheus" in command:
            command += f" --web.listen-address={LOOPBACK}:{self._ports['9090']}"
        log = self.folder / f"stays-{len(self._staying)}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )
        self._staying.append(process)
        wait_until(lambda: self._up(command, log) or process.poll() is not None, command, 30)
        assert process.poll() is None, f"{command} ended:\n{log.read_text()}"

    def _up(self, command: str, log: Path) -> bool:
        if command.startswith("sipp"):
            return udp_bound(int(command.split()[-1]))
        if command.startswith("baresip"):
            return "200 OK" in log.read_text(errors="replace")
        if "prometheus" in command:
            return tcp_listening(int(self._ports["9090"]))
        return "is running" in log.read_text()

    def _run(self, command: str, shown: list[str]) -> None:
        fails = command.endswith(FAILS)
        typed = self.ours(command.removesuffix(FAILS))

        def done() -> tuple[int, str]:
            ran = subprocess.run(
                ["bash", "-c", typed], cwd=self.folder, env=self.environment, timeout=60,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            )
            return ran.returncode, ran.stdout + ran.stderr

        wanted = [self.ours(line) for line in shown]
        status, said = done()
        if wanted and missing(wanted, said):
            # A CDR, a charge or a count shows a moment after the call, as a reader finds too.
            wait_until(lambda: not missing(wanted, done()[1]), f"{command}\n{said}", 5, 0.3)
        assert (status != 0) == fails, f"{command}: status {status}\n{said}"


def prometheus() -> str:
    """The path of the program."""
    found = shutil.which("prometheus") or str(ROOT / "build/prometheus/usr/bin/prometheus")
    assert Path(found).exists(), "prometheus is missing: make test fetches it"
    return found


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    one = Newcomer(tmp_path)
    try:
        yield one
    finally:
        one.stop()


def test_the_page_does_what_it_says(newcomer: Newcomer) -> None:
    done = 0
    for kind, text, shown in steps(PAGE.read_text()):
        if kind == "routes":
            put(newcomer.folder / "routes.cfg", newcomer.ours(text))
        else:
            newcomer.type(text, shown)
            done += 1
    assert done > 30


def test_a_line_that_is_not_said_is_missed() -> None:
    assert missing(["a  1", "…", "c 00:00:00"], "a 1\nb\nc  12:30:01 ") == ""
    assert missing(["a 1", "c"], "c\na 1") == "c"
    assert missing(["200 Normal 1"], "200 Normal 2") == "200 Normal 1"
