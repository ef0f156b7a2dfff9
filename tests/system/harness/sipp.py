"""SIPp runs: start one, wait for it, read what it counted.

Every run is bounded by a number of calls and by a time, writes its files (messages, errors,
statistics) into a folder of its own, and is ended by its own process id.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import shutil
import signal
import subprocess
from pathlib import Path

from harness.ports import LOOPBACK, free_port, tcp_listening, udp_bound, wait_until

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"
_numbers = itertools.count(1)


def sipp_program() -> str:
    """The path of SIPp; AssertionError with the remedy when it is not installed."""
    found = shutil.which("sipp")
    assert found, (
        "SIPp is not installed: the system tests need it. "
        "`make test` installs it (Debian package sip-tester)."
    )
    return found


def variant(scenario: str, folder: Path, changes: dict[str, str]) -> Path:
    """A copy of a scenario with each key, which must stand in it exactly once, replaced."""
    text = (SCENARIOS / f"{scenario}.xml").read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {scenario}.xml"
        text = text.replace(old, new)
    path = folder / f"{scenario}.xml"
    path.write_text(text)
    return path


class Sipp:
    """One SIPp process, playing one scenario a bounded number of calls for a bounded time."""

    def __init__(
        self,
        scenario: str,
        folder: Path,
        *,
        target: int | None = None,
        port: int | None = None,
        ip: str = LOOPBACK,
        number: str = "service",
        calls: int = 1,
        rate: float = 10,
        hold_ms: int = 0,
        transport: str = "u1",
        call_id: str = "",
        changes: dict[str, str] | None = None,
        limit_s: int = 20,
        messages: bool = True,
        extra: tuple[str, ...] = (),
    ) -> None:
        """Starts SIPp; `target` (a port) makes it a caller, `changes` edits the scenario's text.

        `call_id` is the beginning of every Call-ID; `hold_ms` is what `<pause/>` lasts.
        """
        self.scenario = scenario
        self.folder = folder / f"{next(_numbers):03d}-{scenario}"
        self.folder.mkdir(parents=True)
        self.port = port or free_port()
        self.is_caller = target is not None
        self.calls = calls
        self.call_id = call_id
        self.limit_s = limit_s
        path = SCENARIOS / f"{scenario}.xml"
        if changes:
            path = variant(scenario, self.folder, changes)
        argv = [sipp_program()]
        if target is not None:
            argv.append(f"{LOOPBACK}:{target}")
        argv += ["-sf", str(path), "-i", ip, "-p", str(self.port), "-t", transport, "-nostdin"]
        argv += ["-m", str(calls), "-r", str(rate), "-d", str(hold_ms), "-s", number]
        argv += ["-timeout", f"{limit_s}s", "-timeout_error", "-deadcall_wait", "500"]
        argv += ["-trace_stat", "-stf", str(self.folder / "stats.csv"), "-fd", "1"]
        argv += ["-trace_err", "-error_file", str(self.folder / "errors.log")]
        if messages:
            argv += ["-trace_msg", "-message_file", str(self.folder / "messages.log")]
        if call_id:
            argv += ["-cid_str", f"{call_id}-%u"]
        argv += extra
        self._screen = (self.folder / "screen.log").open("w")
        self.process = subprocess.Popen(
            argv,
            stdout=self._screen,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
        )
        if target is None:
            ready = tcp_listening if transport.startswith("t") else udp_bound
            wait_until(
                lambda: ready(self.port) or self.process.poll() is not None,
                f"{scenario} opens port {self.port}",
            )
            assert self.process.poll() is None, f"{scenario} did not start\n{self.evidence()}"

    def wait(self) -> int:
        """SIPp's exit status: 0 when every call went as the scenario says, 1 when one did not."""
        try:
            self.process.wait(self.limit_s + 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self._screen.close()
        return self.process.returncode

    def succeeds(self) -> Sipp:
        """Waits for the end; AssertionError with SIPp's own errors unless every call succeeded."""
        status = self.wait()
        if status != 0:
            raise AssertionError(f"{self.scenario} ended with status {status}\n{self.evidence()}")
        return self

    def finish(self, seconds: float = 5.0) -> None:
        """Lets a caller that is still running end its calls, if it does so in time."""
        if self.is_caller and self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)

    def stop(self) -> None:
        """Ends SIPp at once, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        if not self._screen.closed:
            self._screen.close()

    def statistics(self) -> dict[str, str]:
        """The last line of SIPp's statistics file by column name; names end in (P) or (C)."""
        with (self.folder / "stats.csv").open() as file:
            rows = [row for row in csv.reader(file, delimiter=";") if row]
        return dict(zip(rows[0], rows[-1], strict=False))

    def count(self, column: str) -> int:
        """A cumulated number of the statistics, such as `SuccessfulCall` or `Retransmissions`."""
        return int(self.statistics()[f"{column}(C)"])

    def evidence(self, limit: int = 6000) -> str:
        """What SIPp said about errors, then the messages it sent and received."""
        parts = []
        for name in ("errors.log", "messages.log", "screen.log"):
            path = self.folder / name
            if path.exists() and (text := path.read_text(errors="replace").strip()):
                if name == "screen.log" and parts:
                    continue
                parts.append(f"--- {self.folder.name}/{name}\n{text[-limit:]}")
        return "\n".join(parts) or "(SIPp wrote nothing)"
