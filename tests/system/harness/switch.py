"""One router: `trunkline run` on a generated routes.cfg, and everything a test asks it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.metrics import Metrics, scrape
from harness.ports import tcp_listening, udp_bound, wait_until
from harness.processes import alive, children
from harness.routes import Routes
from harness.wire import Call, Peer

from router.store.live import LmdbLive

PROGRAM = Path(sys.executable).with_name("trunkline")
START_S = 20.0
STOP_S = 15.0


class Switch:
    """A router process with its own state folder; it can be stopped and started again."""

    def __init__(
        self, routes: Routes, folder: Path, *, workers: int = 1, options: tuple[str, ...] = ()
    ) -> None:
        self.routes = routes
        self.folder = folder
        self.state = folder / "state"
        self.file = folder / "routes.cfg"
        self.log_path = folder / "router.log"
        self.workers = workers
        self.options = options
        self.file_text = routes.text
        self.throws = False
        """Whether tracebacks in the log are what the test wants."""
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    # -- life -------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Starts the process and does not wait for anything."""
        self.file.write_text(self.file_text(str(self.state)))
        argv = [str(PROGRAM), "run", str(self.file), "--workers", str(self.workers), *self.options]
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(
                argv,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                start_new_session=True,
            )

    def start(self) -> Switch:
        """Starts the router and waits until it answers, with all its workers."""
        self.launch()
        assert self.process is not None
        wait_until(
            lambda: self.process.poll() is not None or self._ready(),
            "the router answers OPTIONS and has its workers",
            START_S,
        )
        assert self.process.poll() is None, f"trunkline run ended at once:\n{self.log()}"
        return self

    def _ready(self) -> bool:
        if not (udp_bound(self.port) and tcp_listening(self.routes.metrics_port)):
            return False
        try:
            if scrape(self.routes.metrics_port).value("worker_up") < self.workers:
                return False
        except OSError:
            return False
        return answers_options(self.port)

    @property
    def port(self) -> int:
        """The SIP port, UDP and TCP."""
        return self.routes.port

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self.process is not None
        return self.process.pid

    def stop(self, seconds: float = STOP_S) -> int:
        """SIGTERM and the exit status; kills, by pid, what is still there after `seconds`."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"the router was still there {seconds} s after SIGTERM\n{self.log()}"
            ) from None

    def kill(self) -> None:
        """kill -9 of the supervisor; waits until its children are gone as well."""
        assert self.process is not None
        family = children(self.pid)
        self.process.kill()
        self.process.wait(5)
        wait_until(lambda: not any(map(alive, family)), "the children die with the supervisor", 5)

    def sweep(self) -> None:
        """Ends whatever is left, for the end of a test."""
        if self.process is None or self.process.poll() is not None:
            return
        family = children(self.pid)
        self.process.kill()
        self.process.wait(5)
        for pid in family:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)

    # -- processes --------------------------------------------------------------------------------

    def posts(self) -> dict[str, int]:
        """The living process on each post ("worker 0", "ledger" ...), from the log's own words."""
        found: dict[str, int] = {}
        for line in self.log(1 << 30).splitlines():
            if line.startswith("{") and '"post"' in line:
                entry = json.loads(line)
                if entry.get("event") == "started":
                    found[entry["post"]] = entry["pid"]
        return {post: pid for post, pid in found.items() if alive(pid)}

    def worker_pids(self) -> list[int]:
        """The living workers, by slot."""
        return [pid for post, pid in sorted(self.posts().items()) if "worker" in post]

    def ledger_pid(self) -> int:
        """The ledger process; 0 when there is none at the moment."""
        return next((pid for post, pid in self.posts().items() if "ledger" in post), 0)

    # -- what it knows ----------------------------------------------------------------------------

    def log(self, limit: int = 8000) -> str:
        """The end of the log."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text[-limit:]

    def metrics(self) -> Metrics:
        """A scrape."""
        return scrape(self.routes.metrics_port)

    def metric_reaches(self, expected: float, name: str, seconds: float = 5, **labels: str) -> None:
        """Waits for a metric, which the workers flush once a second, to have a value."""
        last: list[float] = []

        def reached() -> bool:
            last[:] = [self.metrics().value(name, **labels)]
            return last[0] == expected

        try:
            wait_until(reached, f"{name} {labels} becomes {expected}", seconds, every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {last[0]}") from None

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs another trunkline command."""
        return subprocess.run(
            [str(PROGRAM), *words], capture_output=True, text=True, timeout=30, check=False
        )

    def all_cdrs(self) -> list[dict[str, Any]]:
        """Every CDR as `trunkline cdr --json` prints it."""
        done = self.command("cdr", "--state", str(self.state), "--json", "--limit", "0")
        assert done.returncode == 0, f"trunkline cdr: {done.stdout}{done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]

    def cdrs(self, call_id: str, count: int = 1, seconds: float = 8.0) -> list[dict[str, Any]]:
        """The CDRs of calls whose Call-ID begins so, oldest first, once there are `count`."""
        end = time.monotonic() + seconds
        while True:
            found = [cdr for cdr in self.all_cdrs() if cdr["call_id"].startswith(call_id)]
            if len(found) >= count or time.monotonic() > end:
                break
            time.sleep(0.2)
        assert len(found) == count, (
            f"{len(found)} CDRs for Call-ID {call_id}..., wanted {count}: {found}"
        )
        return sorted(found, key=lambda cdr: cdr["id"])

    def cdr(self, call_id: str) -> dict[str, Any]:
        """The one CDR of the call with this Call-ID (or its beginning)."""
        return self.cdrs(call_id)[0]

    def in_use(self) -> dict[str, int]:
        """Every key with lines in use, and how many, read from the live store."""
        return self.ask_live(
            lambda live: {
                key: usage.in_use for key, usage in live.usages("").items() if usage.in_use
            }
        )

    def is_idle(self, seconds: float = 8.0) -> None:
        """AssertionError unless, in time, every line is free and no call is open."""
        wait_until(
            lambda: not self._busy(),
            "every line is free and no call is open",
            seconds,
        )
        assert self.ask_live(lambda live: live.verify()) == []

    def _busy(self) -> dict[str, int]:
        busy = self.in_use()
        open_calls = self.ask_live(lambda live: live.active_calls())
        return {**busy, "open calls": open_calls} if open_calls else busy

    def ask_live(self, ask: Callable[[LmdbLive], Any]) -> Any:
        """What `ask` makes of the live store, opened for reading."""
        live = LmdbLive(self.state / "live.lmdb", readonly=True)
        try:
            return ask(live)
        finally:
            live.close()


def answers_options(port: int) -> bool:
    """Whether something at this UDP port answers OPTIONS with 200."""
    peer = Peer()
    try:
        Call(peer, port, "").send(Call(peer, port, "ping").compose("OPTIONS", cseq=1))
        answer = peer.next(1.0)
        return answer is not None and answer.status == 200
    finally:
        peer.close()
