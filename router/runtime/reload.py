"""Reload: from a request to the moment when every worker runs the new configuration, or none does.

    idle      ──(request, SIGHUP)──►                checking   a child checks, compiles, runs tests
    checking  ──(there is something against it)──►  idle       refused, all findings told
    checking  ──(sound)──►                          loading    every worker is sent the image
    loading   ──(a worker fails, dies, is late)──►  idle       failed, all others drop the image
    loading   ──(all have loaded)──►                swapping   successors are born with it from now
    swapping  ──(all have swapped)──►               idle       applied

Behind `loading` there is no way back and none is needed: a worker that does not swap in time is
killed, and its successor runs the new configuration. So the workers never differ for longer than
a swap takes. Requests that come meanwhile wait for their turn.

This is a part of the supervisor, driven by its loop: it never waits. It knows no SIP and no store.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import structlog

from router.runtime import reload_channel
from router.runtime.child import EXIT_OK, Life
from router.runtime.reload_channel import DROP, LOADED, SWAP, SWAPPED, Channel
from router.runtime.reload_control import Client, Control
from router.runtime.reload_memory import Deployment, new_memory, read_memory
from router.runtime.reload_report import (
    APPLIED,
    FAILED,
    REFUSED,
    SOUND,
    Answer,
    Checked,
    read_report,
)

log = structlog.get_logger(process="supervisor")

MAX_LOGGED = 100


class ReloadLimits(NamedTuple):
    """How long each part may take, in milliseconds."""

    check_ms: int = 120_000
    load_ms: int = 30_000
    swap_ms: int = 5_000


class Host(Protocol):
    """What a reload asks of the supervisor."""

    def launch(self, title: str, run: Callable[[Life], int]) -> int:
        """Fork a process that is on no post; its pid. OSError when it cannot."""

    def kill(self, cell: int, why: str) -> None:
        """Kill the process of a seat."""

    def allow_shutdown(self, shutdown_ms: int) -> None:
        """How long running calls may go on after the first signal, from now on."""


class Checking(Protocol):
    """What runs in the child: fills two memory files, the image and the report."""

    routes: Path

    def run(self, image: int, report: int) -> int:
        """The exit code."""


class Phase(Enum):
    """Where a reload is."""

    IDLE = "idle"
    CHECKING = "checking"
    LOADING = "loading"
    SWAPPING = "swapping"


class Job:
    """A reload that goes on."""

    __slots__ = ("began_ms", "checked", "client", "dry_run", "due_ms", "image", "pid", "report")

    def __init__(self, client: Client | None, dry_run: bool, now_ms: int) -> None:
        self.client = client
        """Who asked; None: a signal."""
        self.dry_run = dry_run
        self.began_ms = now_ms
        self.due_ms = 0
        self.pid = 0
        self.image = self.report = -1
        self.checked = Checked()


class Reloader:
    """Everything about reloads that the supervisor's process does.

    `on_settled` is told the answer of every reload that was more than a dry run, and how many
    there were by result.
    """

    def __init__(
        self,
        checker: Checking,
        control: Control,
        deployment: Deployment,
        on_settled: Callable[[Answer, Checked, dict[str, int]], None],
        limits: ReloadLimits | None = None,
    ) -> None:
        self._checker = checker
        self._control = control
        self._deployment = deployment
        self._on_settled = on_settled
        self._limits = limits if limits is not None else ReloadLimits()
        self._host: Host
        self._channels: dict[int, Channel] = {}
        self._waiting: deque[tuple[Client | None, bool]] = deque()
        self._phase = Phase.IDLE
        self._job: Job
        self._serial = 0
        self._stopping = False
        self._counts = {APPLIED: 0, REFUSED: 0, FAILED: 0}

    # What the supervisor calls

    def open(self, host: Host) -> None:
        """Hear requests from now on."""
        self._host = host
        try:
            self._control.open()
        except OSError as error:
            log.warning(
                "trunkline reload will not reach this router: SIGHUP does",
                reason=error.strerror or str(error),
            )

    def ask(self) -> None:
        """SIGHUP; one that waits already stands for all."""
        if (None, False) not in self._waiting:
            self._waiting.append((None, False))

    def watched(self) -> Iterator[tuple[int, int]]:
        """Descriptors and the events of `select.poll` to wait for."""
        yield from self._control.watched()
        if self._phase in (Phase.LOADING, Phase.SWAPPING):
            for channel in self._channels.values():
                yield channel.fileno(), select.POLLIN

    def due_ms(self) -> int:
        """When `turn` has something to do, whatever happens until then; 0 for never."""
        dues = [self._control.due_ms(), self._job.due_ms if self._phase is not Phase.IDLE else 0]
        return min((due for due in dues if due), default=0)

    def turn(self, now_ms: int) -> None:
        """Do all that can be done without waiting."""
        for client, request in self._control.turn(now_ms):
            if request.command == "reload":
                self._waiting.append((client, request.dry_run))
            else:
                refusal = f"this version of Trunkline does not know `{request.command}`"
                self._control.answer(client, Answer(FAILED, refusal), now_ms)
        while True:
            before = self._phase
            if before is Phase.IDLE:
                self._begin(now_ms)
            elif before is Phase.CHECKING:
                self._look_after_check(now_ms)
            elif before is Phase.LOADING:
                self._look_after_loading(now_ms)
            else:
                self._look_after_swap(now_ms)
            if self._phase is before:
                return

    def stop(self, now_ms: int) -> None:
        """Trunkline ends: what has not begun to swap will not."""
        self._stopping = True
        if self._phase in (Phase.CHECKING, Phase.LOADING):
            self._give_up("Trunkline is being stopped", now_ms)
        self.turn(now_ms)

    def close(self) -> None:
        """Let go of everything; for the supervisor's own end."""
        if self._phase is Phase.CHECKING:
            self._kill_check()
        self._control.close()
        for channel in self._channels.values():
            channel.close()

    def engage(self, cell: int, name: str) -> Channel:
        """The channel of a worker that is about to be born; its end is `theirs`."""
        channel = self._channels[cell] = Channel(name)
        if self._phase is Phase.SWAPPING:
            # It is born with what is being swapped to.
            channel.asked, channel.serial, channel.word = self._serial, self._serial, SWAPPED
        return channel

    def lost(self, cell: int, now_ms: int) -> None:
        """A worker has died."""
        channel = self._channels.pop(cell, None)
        if channel is None:
            return
        channel.close()
        if self._phase is Phase.LOADING and channel.asked == self._serial:
            self._give_up(f"{channel.name} died while it loaded the configuration", now_ms)

    def let_go(self) -> None:
        """In a child: the supervisor's ends are not ours."""
        self._control.let_go()
        for channel in self._channels.values():
            channel.let_go()

    # The phases

    def _begin(self, now_ms: int) -> None:
        if not self._waiting:
            return
        client, dry_run = self._waiting.popleft()
        job = self._job = Job(client, dry_run, now_ms)
        if self._stopping:
            self._settle(FAILED, "Trunkline is being stopped", now_ms)
            # The phase has not changed, and others may wait.
            self._begin(now_ms)
            return
        self._phase = Phase.CHECKING
        job.due_ms = now_ms + self._limits.check_ms
        try:
            job.image = new_memory("routes")
            job.report = new_memory("report")
            job.pid = self._host.launch(
                "tl-check", lambda _: self._checker.run(job.image, job.report)
            )
        except OSError as error:
            self._give_up(f"no process could be started to check: {error}", now_ms)

    def _look_after_check(self, now_ms: int) -> None:
        job = self._job
        done, status = os.waitpid(job.pid, os.WNOHANG)
        if not done:
            if now_ms >= job.due_ms:
                limit_s = self._limits.check_ms / 1_000
                self._give_up(f"checking did not end within {limit_s:g} s", now_ms)
            return
        job.pid = 0
        code = os.waitstatus_to_exitcode(status)
        try:
            job.checked = read_report(read_memory(job.report))
        except msgspec.DecodeError:
            code = code or EXIT_OK + 1
        if code != EXIT_OK:
            self._give_up(f"checking ended unexpectedly ({code}), the log says more", now_ms)
        elif job.checked.sentence:
            self._settle(REFUSED, job.checked.sentence, now_ms)
        elif job.dry_run:
            self._settle(SOUND, "", now_ms)
        else:
            self._serial += 1
            self._phase = Phase.LOADING
            job.due_ms = now_ms + self._limits.load_ms

    def _look_after_loading(self, now_ms: int) -> None:
        job = self._job
        for channel in self._channels.values():
            # One that was born meanwhile is told as well.
            if channel.asked != self._serial and not channel.load(self._serial, job.image):
                self._give_up(f"{channel.name} takes no orders", now_ms)
                return
            channel.read()
            if channel.is_at(reload_channel.FAILED, self._serial):
                self._give_up(f"{channel.name} could not load it: {channel.reason}", now_ms)
                return
        late = [one.name for one in self._channels.values() if not one.is_at(LOADED, self._serial)]
        if late and now_ms >= job.due_ms:
            limit_s = self._limits.load_ms / 1_000
            self._give_up(f"{', '.join(late)} did not load it within {limit_s:g} s", now_ms)
        elif not late:
            self._deployment.replace(job.image)
            job.image = -1
            self._phase = Phase.SWAPPING
            job.due_ms = now_ms + self._limits.swap_ms
            for channel in self._channels.values():
                channel.tell(SWAP, self._serial)  # unheard: it will be late

    def _look_after_swap(self, now_ms: int) -> None:
        job = self._job
        late = []
        for cell, channel in self._channels.items():
            channel.read()
            if not channel.is_at(SWAPPED, self._serial):
                late.append(cell)
        if not late:
            self._host.allow_shutdown(job.checked.shutdown_ms)
            self._settle(APPLIED, "", now_ms)
        elif now_ms >= job.due_ms:
            # Their successors are born with the new configuration, and take their calls over.
            job.due_ms = now_ms + self._limits.swap_ms
            for cell in late:
                self._host.kill(cell, "did not swap to the new configuration in time")

    # The ends

    def _give_up(self, sentence: str, now_ms: int) -> None:
        if self._phase is Phase.CHECKING:
            self._kill_check()
        for channel in self._channels.values():
            if channel.asked == self._serial and self._phase is Phase.LOADING:
                channel.tell(DROP, self._serial)
        self._settle(FAILED, sentence, now_ms)

    def _kill_check(self) -> None:
        job = self._job
        if job.pid:
            os.kill(job.pid, signal.SIGKILL)
            os.waitpid(job.pid, 0)
            job.pid = 0

    def _settle(self, result: str, sentence: str, now_ms: int) -> None:
        job = self._job
        checked = job.checked
        self._phase = Phase.IDLE
        for descriptor in (job.image, job.report):
            if descriptor >= 0:
                os.close(descriptor)
        answer = Answer(
            result=result,
            sentence=sentence,
            routes=str(self._checker.routes),
            config_hash=checked.config_hash,
            previous_hash=checked.previous_hash,
            changes=checked.changes,
            restart=checked.restart,
            findings=checked.findings,
            failures=checked.failures,
            tests=checked.tests,
            workers=len(self._channels),
            took_ms=_now_ms() - job.began_ms,
        )
        if not job.dry_run:
            self._counts[result] += 1
            self._tell_log(answer, checked)
            self._on_settled(answer, checked, self._counts)
        if job.client is not None:
            self._control.answer(job.client, answer, now_ms)

    def _tell_log(self, answer: Answer, checked: Checked) -> None:
        if answer.result == APPLIED:
            log.info(
                "configuration reloaded",
                hash=answer.config_hash,
                previous=answer.previous_hash,
                changes=len(answer.changes),
                took_ms=answer.took_ms,
            )
            for setting in answer.restart:
                log.warning("a changed setting waits for a restart", setting=setting)
            return
        log.error(
            "reload refused" if answer.result == REFUSED else "reload failed",
            reason=answer.sentence,
        )
        if self._job.client is None:  # nobody else hears of them
            for line in [*checked.lines, *checked.failures][:MAX_LOGGED]:
                log.error("finding", finding=line)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
