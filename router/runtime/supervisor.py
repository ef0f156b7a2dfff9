"""The supervisor: starts processes, restarts the dead, stops all in order. Knows no SIP, no store.

It is given posts (a name and what to run there) and keeps a process on each of them:

    vacant   ──(its delay is over)──► manned          a new generation is forked
    manned   ──(exit, death, silence)──► vacant       delay 0 after a healthy minute, else doubled
    manned   ──(SIGTERM to us)──► finishing           stage by stage: workers, ledger, the rest
    finishing──(exit)──► gone

Signal handlers only count; everything happens in the loop, which a wake-up descriptor ends early.
A first SIGTERM or SIGINT lets the workers finish their calls, until the time limit; a second ends
the calls at once; a third kills. The other stages begin when the one before is gone, so the ledger
stores what the workers' last calls left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

import structlog

from router.runtime.child import (
    END_AT_ONCE,
    EXIT_CANNOT_BOOT,
    EXIT_FAILED,
    EXIT_OK,
    FINISH,
    Heartbeats,
    Life,
    spawn,
)
from router.runtime.posts import Limits, Post, Seat
from router.runtime.reload import Reloader
from router.runtime.silence import SilenceWatch

log = structlog.get_logger(process="supervisor")

CLOSE_LOOK_MS = 20

KILL = 3
"""Above FINISH and END_AT_ONCE: a third signal."""

_SIGNAL_OF = {FINISH: signal.SIGTERM, END_AT_ONCE: signal.SIGUSR1, KILL: signal.SIGKILL}


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Supervisor:
    """Runs posts until a signal, or until one of them cannot be filled."""

    def __init__(
        self,
        posts: Sequence[Post],
        *,
        prepare: Callable[[Life], int] | None = None,
        limits: Limits | None = None,
        on_started: Callable[[], None] | None = None,
        reloader: Reloader | None = None,
    ) -> None:
        self._limits = limits if limits is not None else Limits()
        self._prepare = prepare
        self._on_started = on_started
        self._reloader = reloader
        self._heartbeats = Heartbeats(len(posts) + 1)
        self._seats = [Seat(post, cell) for cell, post in enumerate(posts)]
        self._silence = SilenceWatch(self._seats, self._heartbeats)
        self._generation = 0
        self._order = 0
        self._signals: list[int] = []
        self._order_since_ms = 0
        self._stage = 0
        self._stage_since_ms = 0
        self._code = EXIT_OK
        self._announced = False
        self._wake_read, self._wake_write = -1, -1

    def run(self) -> int:
        """Start every post, keep them filled, stop on a signal; the exit code for the program.

        0 after a stop that was asked for, 1 when the state could not be prepared or a post could
        not be filled. Must run in the main thread of a process without other threads: it forks.
        """
        restore = self._listen_for_signals()
        try:
            if self._prepare is not None and not self._prepared(self._prepare):
                return self._code
            if self._reloader is not None:
                self._reloader.open(self)
            while True:
                now_ms = _now_ms()
                self._take_signals(now_ms)
                self._reap(now_ms)
                if self._order and self._stopped(now_ms):
                    break
                self._silence.look(now_ms, self._limits)
                self._relieve(now_ms)
                self._fill(now_ms)
                self._announce()
                if self._reloader is not None:
                    self._reloader.turn(now_ms)
                self._wait(now_ms)
        finally:
            if self._reloader is not None:
                self._reloader.close()
            self._silence.close()
            restore()
        log.info("stopped", exit=self._code)
        return self._code

    def pids(self) -> dict[str, int]:
        """Process on each post that has one, by the post's name."""
        return {seat.post.name: seat.pid for seat in self._seats if seat.pid}

    # Signals and waiting

    def _listen_for_signals(self) -> Callable[[], None]:
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        before = {number: signal.signal(number, self._on_signal) for number in handled}
        wake_before = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

        def restore() -> None:
            signal.set_wakeup_fd(wake_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._let_go()

        return restore

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)

    def _let_go(self) -> None:
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _at_birth(self) -> None:
        """In a child: what belongs to the supervisor's loop is not the child's."""
        signal.set_wakeup_fd(-1)
        self._let_go()
        if self._reloader is not None:
            self._reloader.let_go()

    def _wait(self, now_ms: int) -> None:
        """Until a signal or the next thing to do; heartbeats do not wake, they are looked at."""
        closely = self._order > 0 or any(s.pid and not self._booted(s) for s in self._seats)
        until_ms = now_ms + (CLOSE_LOOK_MS if closely else self._limits.silence_ms // 10)
        for seat in self._seats:
            if not seat.pid and not self._gone(seat):
                until_ms = min(until_ms, seat.due_ms)
        if self._order:
            until_ms = min(until_ms, self._deadline_ms())
        waiting = select.poll()
        waiting.register(self._wake_read, select.POLLIN)
        if self._reloader is not None:
            until_ms = min(until_ms, self._reloader.due_ms() or until_ms)
            for descriptor, events in self._reloader.watched():
                waiting.register(descriptor, events)
        waiting.poll(max(until_ms - now_ms, 1))
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 512):
                pass

    def _take_signals(self, now_ms: int) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGHUP:
                if self._reloader is not None:
                    self._reloader.ask()
                else:
                    log.warning("SIGHUP ignored")
            elif number in (signal.SIGTERM, signal.SIGINT):
                self._raise_order(min(self._order + 1, KILL), now_ms)

    # Processes

    def _prepared(self, prepare: Callable[[Life], int]) -> bool:
        """Run the preparation in a process of its own: the store must not be open in this one."""
        pid = self.launch("tl-preparation", prepare)
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            self._wait(_now_ms())
            if any(number in (signal.SIGTERM, signal.SIGINT) for number in self._signals):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                log.info("stopped while preparing the state")
                return False
        if status == 0:
            return True
        if os.waitstatus_to_exitcode(status) != EXIT_CANNOT_BOOT:  # else it has said why
            log.error("the state cannot be prepared", **_how(status))
        self._code = EXIT_FAILED
        return False

    def _fill(self, now_ms: int) -> None:
        for seat in self._seats:
            if seat.pid or now_ms < seat.due_ms or self._gone(seat):
                continue
            self._generation += 1
            self._heartbeats.clear(seat.cell)
            seat.told = 0
            seat.born_ms = now_ms
            life = Life(self._generation, self._heartbeats, seat.cell)
            life.words = self._silence.descriptor(seat)
            try:
                if self._reloader is not None and seat.post.reloads:
                    life.channel = self._reloader.engage(seat.cell, seat.post.name).theirs
                seat.pid = spawn(seat.post.title, seat.post.run, life, self._at_birth)
            except OSError as error:
                self._put_off(seat, now_ms)
                if self._reloader is not None:
                    self._reloader.lost(seat.cell, now_ms)
                log.error("cannot fork", post=seat.post.name, reason=str(error))
                continue
            if life.channel is not None:
                life.channel.close()
            log.info("started", post=seat.post.name, pid=seat.pid, generation=self._generation)

    def _gone(self, seat: Seat) -> bool:
        """Whether a vacant seat stays vacant.

        While the workers finish, one that dies is replaced: somebody must end its calls.
        """
        if self._order == 0:
            return False
        never_born = seat.born_ms == 0
        return self._order > 1 or self._stage > 0 or seat.lost or never_born or seat.told > 0

    def _booted(self, seat: Seat) -> bool:
        return not seat.post.beats or self._heartbeats.cells[seat.cell] != 0

    def _reap(self, now_ms: int) -> None:
        for seat in self._seats:
            if not seat.pid:
                continue
            done, status = os.waitpid(seat.pid, os.WNOHANG)
            if done:
                self._on_exit(seat, status, now_ms)

    def _on_exit(self, seat: Seat, status: int, now_ms: int) -> None:
        pid, seat.pid = seat.pid, 0
        if self._reloader is not None:
            self._reloader.lost(seat.cell, now_ms)
        code = os.waitstatus_to_exitcode(status)
        if code == EXIT_OK and seat.told:
            log.info("ended", post=seat.post.name, pid=pid)
            seat.due_ms = now_ms
            return
        if self._order == FINISH and seat.post.stage == 0:
            seat.told = 0  # it did not finish its work: see _gone
        failed_boot = code == EXIT_CANNOT_BOOT or not self._booted(seat)
        seat.failed_boots = seat.failed_boots + 1 if failed_boot else 0
        if now_ms - seat.born_ms >= self._limits.healthy_ms:
            seat.delay_ms = 0
        self._put_off(seat, now_ms)
        fields = {"post": seat.post.name, "pid": pid, **_how(status)}
        if seat.failed_boots >= self._limits.boots:
            log.error("cannot start, giving up", **fields, boots=seat.failed_boots)
            seat.lost = True
            self._code = EXIT_FAILED
            self._raise_order(max(self._order, FINISH), now_ms)
        elif not self._gone(seat):
            log.error(
                "could not start" if failed_boot else "died",
                **fields,
                restart_in_ms=seat.due_ms - now_ms,
            )

    def _put_off(self, seat: Seat, now_ms: int) -> None:
        """The first restart is immediate, for callers wait; each further one waits longer."""
        seat.due_ms = now_ms + seat.delay_ms
        seat.delay_ms = min(
            max(seat.delay_ms * 2, self._limits.first_delay_ms), self._limits.longest_delay_ms
        )

    def _relieve(self, now_ms: int) -> None:
        """End the workers that have finished, all of them together.

        One that left earlier would leave its callers without an answer: as long as others still
        talk, it refuses new calls. Without a stop of ours, somebody told a single one to finish.
        """
        manned = [seat for seat in self._seats if seat.pid and seat.post.stage == 0]
        rested = [seat for seat in manned if self._heartbeats.resting[seat.cell]]
        if self._order == FINISH and self._stage == 0 and rested and rested == manned:
            self._raise_order(END_AT_ONCE, now_ms)
            self._press(manned, now_ms)
        elif self._order == 0:
            for seat in rested:
                if seat.told < END_AT_ONCE:
                    seat.told = END_AT_ONCE
                    os.kill(seat.pid, signal.SIGUSR1)

    def _announce(self) -> None:
        """Once, when every process has booted for the first time."""
        if self._announced or self._order:
            return
        if all(seat.pid and self._booted(seat) for seat in self._seats):
            self._announced = True
            log.info("running", processes=len(self._seats))
            if self._on_started is not None:
                self._on_started()

    # What a reload asks

    def launch(self, title: str, run: Callable[[Life], int]) -> int:
        """Fork a process that is on no post; its pid. OSError when it cannot."""
        return spawn(title, run, Life(0, self._heartbeats, len(self._seats)), self._at_birth)

    def kill(self, cell: int, why: str) -> None:
        """Kill the process of a seat; it is replaced as any that died."""
        seat = self._seats[cell]
        if seat.pid:
            log.error("killed", post=seat.post.name, pid=seat.pid, reason=why)
            os.kill(seat.pid, signal.SIGKILL)

    def allow_shutdown(self, shutdown_ms: int) -> None:
        """How long running calls may go on after the first signal, from now on."""
        self._limits = self._limits._replace(shutdown_ms=shutdown_ms)

    # Stopping

    def _raise_order(self, order: int, now_ms: int) -> None:
        if order == self._order:
            return
        self._order = order
        self._order_since_ms = now_ms
        if self._reloader is not None:
            self._reloader.stop(now_ms)
        if order == FINISH:
            self._stage_since_ms = now_ms
            log.info(
                "stopping: no new calls, running ones may go on",
                limit_s=self._limits.shutdown_ms / 1_000,
            )
        elif order == KILL:
            log.warning("stopping: killing what is left")
        else:
            log.info("stopping: ending what is left")

    def _deadline_ms(self) -> int:
        if self._stage > 0:
            return self._stage_since_ms + self._limits.stage_ms
        if self._order == FINISH:
            return self._order_since_ms + self._limits.shutdown_ms
        return self._order_since_ms + self._limits.at_once_ms

    def _stopped(self, now_ms: int) -> bool:
        """Move the stop on; whether nothing is left."""
        last = max((seat.post.stage for seat in self._seats), default=0)
        while True:
            manned = [s for s in self._seats if s.pid and s.post.stage == self._stage]
            owed = [
                s
                for s in self._seats
                if not s.pid and s.post.stage == self._stage and not self._gone(s)
            ]
            if manned or owed:
                self._press(manned, now_ms)
                return False
            if self._stage >= last:
                return True
            self._stage += 1
            self._stage_since_ms = now_ms

    def _press(self, manned: list[Seat], now_ms: int) -> None:
        """Tell the processes of this stage to end, as firmly as it is due."""
        overdue = now_ms >= self._deadline_ms()
        if overdue and self._stage == 0 and self._order == FINISH:
            self._raise_order(END_AT_ONCE, now_ms)
            overdue = False
        order = self._order if self._stage == 0 or self._order == KILL else FINISH
        for seat in manned:
            if overdue and seat.told < KILL:
                log.error("does not end, killed", post=seat.post.name, pid=seat.pid)
                order = KILL
            if seat.told < order:
                seat.told = order
                os.kill(seat.pid, _SIGNAL_OF[order])


def _how(status: int) -> dict[str, object]:
    """How a process ended, as fields of a log line."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return {"exit": code}
    try:
        return {"signal": signal.Signals(-code).name}
    except ValueError:
        return {"signal": -code}
