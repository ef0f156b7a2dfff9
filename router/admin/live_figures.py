"""What `trunkline top` shows at one moment: read from live state, outbox, ledger and metrics files.

Everything is opened for reading, asks nothing of the router, and looks at a bounded number of calls
however many there are. `Reader.read` may be called in a thread, by one caller at a time.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from router.admin.cdr_search import read_cdrs
from router.admin.counted_calls import NOTHING, Counted, counted_calls
from router.admin.gateway_health import span
from router.admin.status_facts import Gateway, Status, read_status
from router.store.boot import LIVE_DIR
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.quality import UNKNOWN, Quality
from router.store.query import CdrQuery
from router.store.records import CallRecord, Cdr

FAILURES, ENDED, CALLS = "failures", "ended", "calls"
VIEWS: Final = (FAILURES, ENDED, CALLS)
MOST_LOOKED_AT: Final = 300
"""CDRs and calls that are looked at each time, the newest."""
HISTORY: Final = 300
RATE_OVER_MS: Final = 10_000
REASONS_OVER_MS: Final = 60_000
QUALITY_OVER_MS: Final = 300_000
"""ASR and PDD are those of five minutes, or since the router was started if top is younger."""
ORDINARY: Final = frozenset(("Normal", "Cancelled"))
WATCHED_EVERY_MS: Final = 10_000
"""How far apart the moments are that it compares with."""
METRICS_DIR: Final = "metrics"


class Row(msgspec.Struct, frozen=True):
    """One gateway, with how its attempts went of late."""

    gateway: Gateway
    quality: Quality = UNKNOWN

    @property
    def share(self) -> float:
        """Of its lines those in use, 0 where there is no limit."""
        lines = self.gateway.lines
        return self.gateway.lines_used / lines if lines else 0.0

    @property
    def asr(self) -> float | None:
        """Answered attempts in percent."""
        attempts = self.quality.attempts
        return 100 * self.quality.answered / attempts if attempts else None


class Snapshot(msgspec.Struct):
    """Everything at one moment; `trouble` is what could not be read, in a line.

    `per_s` holds the calls per second so far, newest last; None where that is not known yet.
    """

    at_ms: int
    status: Status | None = None
    trouble: str = ""
    rows: list[Row] = []
    cps: float | None = None
    cps_over_ms: int = 0
    reasons_over_ms: int = 0
    per_s: list[float] = []
    reasons: list[tuple[str, int]] = []
    """Ends by reason within `reasons_over_ms`, a minute where it is asked so often, the most
    frequent first."""
    ended: list[Cdr] = []
    calls: list[CallRecord] = []

    @property
    def running(self) -> bool:
        """Whether a router runs."""
        return self.status is not None and self.status.running

    @property
    def quality(self) -> Quality:
        """How the attempts of all gateways went of late."""
        known = [row.quality for row in self.rows]
        rang = [one for one in known if one.pdd_ms >= 0]
        weight = sum(one.attempts for one in rang)
        return Quality(
            sum(one.attempts for one in known),
            sum(one.answered for one in known),
            sum(one.pdd_ms * one.attempts for one in rang) // weight if weight else -1,
        )

    @property
    def headline(self) -> str:
        """Whether it runs, since when, and who is up."""
        status = self.status
        if status is None:
            return self.trouble or "reading …"
        up = sum(worker.up for worker in status.workers)
        if not status.running:
            beats = [one.heartbeat_age_ms for one in status.workers]
            ages = [age for age in beats if age is not None]
            last = f", last heartbeat {span(min(ages))} ago" if ages else ""
            return f"NOT RUNNING{last}: this is what it left"
        since = f" for {span(self.at_ms - status.started_ms)}" if status.started_ms else ""
        workers = f"workers {up} of {len(status.workers)}"
        return f"running{since}, {workers} up" + (f"; {self.trouble}" if self.trouble else "")


class _Moment(msgspec.Struct):
    at_ms: int
    started: float
    counted: Counted

    @property
    def reasons(self) -> Counter[str]:
        """Calls that had ended, by reason."""
        return self.counted.reasons


class Reader:
    """Reads snapshots of one state folder, and remembers enough to tell rates."""

    def __init__(
        self, state: Path, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self.state = state
        self._now_ms = now_ms
        self._history: deque[_Moment] = deque(maxlen=HISTORY)
        self._watched: deque[_Moment] = deque(maxlen=QUALITY_OVER_MS // WATCHED_EVERY_MS + 1)
        self._per_s: deque[float] = deque(maxlen=HISTORY)
        self._ended: tuple[tuple[str, float, int], list[Cdr]] | None = None

    def read(self, view: str) -> Snapshot:
        """What is so now; of ended calls, failures or calls in progress only what `view` asks."""
        now_ms = self._now_ms()
        found = Snapshot(now_ms)
        try:
            found.status = read_status(self.state, now_ms)
        except StoreError as error:
            found.trouble = str(error)
        counted = counted_calls(self.state / METRICS_DIR)
        if found.status is not None:
            if counted is not None:
                self._tell_rates(found, found.status, counted)
            found.rows = self._rows(found, found.status.gateways, counted or NOTHING)
        try:
            if view == CALLS:
                found.calls = self._calls()
            else:
                found.ended = self._newest(view, found)
        except StoreError as error:
            found.trouble = found.trouble or str(error)
        return found

    def calls_of(self, gateway: str, limit: int) -> list[Cdr]:
        """The newest calls that were tried on a gateway; StoreError when there is no ledger."""
        return list(read_cdrs(self.state, CdrQuery(gateway=gateway, limit=limit)))

    def _rows(self, found: Snapshot, gateways: list[Gateway], counted: Counted) -> list[Row]:
        before = NOTHING
        start_ms = found.at_ms - QUALITY_OVER_MS
        for moment in self._watched:
            if moment.at_ms > start_ms:
                break
            before = moment.counted
        return [Row(one, counted.since(before, one.name)) for one in gateways]

    def _calls(self) -> list[CallRecord]:
        live = LmdbLive(self.state / LIVE_DIR, readonly=True)
        try:
            return list(itertools.islice(live.calls(), MOST_LOOKED_AT))
        finally:
            live.close()

    def _newest(self, view: str, found: Snapshot) -> list[Cdr]:
        """The newest CDRs, read again only when a call has ended since."""
        total = self._history[-1].reasons.total() if self._history else 0.0
        backlog = found.status.cdr_backlog if found.status is not None else 0
        mark = (view, total, backlog)
        # Without a count of ends there is nothing to go by.
        if self._ended is None or self._ended[0] != mark or not total:
            newest = read_cdrs(self.state, CdrQuery(limit=MOST_LOOKED_AT))
            kept = [one for one in newest if view == ENDED or one.end_reason not in ORDINARY]
            self._ended = (mark, kept)
        return self._ended[1]

    # -- rates ------------------------------------------------------------------------------------

    def _tell_rates(self, found: Snapshot, status: Status, counted: Counted) -> None:
        reasons = counted.reasons
        started = reasons.total() + status.active_calls
        history = self._history
        if history and reasons.total() < history[-1].reasons.total():
            history.clear()  # the counters are new: another state folder, or it was emptied
            self._per_s.clear()
            self._watched.clear()
        moment = _Moment(found.at_ms, started, counted)
        history.append(moment)
        if not self._watched or found.at_ms - self._watched[-1].at_ms >= WATCHED_EVERY_MS:
            self._watched.append(moment)
        before = _moment_before(history, found.at_ms - RATE_OVER_MS)
        if before.at_ms < found.at_ms:
            found.cps_over_ms = found.at_ms - before.at_ms
            seconds = found.cps_over_ms / 1000
            found.cps = max(0.0, started - before.started) / seconds
            self._per_s.append(found.cps)
        found.per_s = list(self._per_s)
        past = _moment_before(history, found.at_ms - REASONS_OVER_MS)
        found.reasons_over_ms = found.at_ms - past.at_ms
        found.reasons = [
            (reason, int(count)) for reason, count in (reasons - past.reasons).most_common(6)
        ]


def _moment_before(history: Sequence[_Moment], at_ms: int) -> _Moment:
    """The first moment that is not older than this; the last but one, where only the last is."""
    if len(history) > 1 and history[-2].at_ms < at_ms:
        return history[-2]
    return next(one for one in history if one.at_ms >= at_ms)

