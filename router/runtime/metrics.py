"""From a worker's tally to the metrics files that the metrics process reads.

Once a second the worker's loop calls `MetricsFlusher.flush`: what the tally has gained since the
last time is added to prometheus_client's memory-mapped values. The files are named by worker
slot, not by process: the successor of a dead worker opens its predecessor's files and counts on,
and the number of files stays the number of slots (client_python #367, #568).

This module does not know HTTP, and it reads no live state: gauges of state are read at scrape
time by router/admin/metrics_process.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from router.core.tally import ScriptMetric, Series, Tally
from router.runtime.metrics_catalogue import (
    NO_ACCOUNT,
    NO_GATEWAY,
    OTHER,
    PREFIX,
    SCRIPT,
    Labels,
    Metric,
)
from router.runtime.metrics_files import Counters, Histograms, MetricsFile, Value

MAX_GATEWAYS: Final = 1000
MAX_NAMES: Final = 200
"""Most end reasons, and most route names, that get a label value of their own."""
MAX_CODES: Final = 64
"""Most codes of failed attempts: gateways that make some up do not make the files grow."""

METHODS: Final = frozenset(
    (
        *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS"),
        *("PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
    )
)


def prepare_metrics(directory: Path) -> None:
    """Make the directory of the metrics files, and empty it of an earlier run's.

    Called once by the supervisor before it starts workers: the counters of a router that has just
    been started begin at 0.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for file in directory.glob("*.db"):
        file.unlink()


def _bounded(limit: int, known: set[str] | None = None) -> Callable[[str], str]:
    """A function that gives the first `limit` different names back and OTHER for all further.

    `known` are the names that a predecessor has let in: they count, so that the files stay as
    bounded as one worker's, however often workers are restarted.
    """
    known = known if known is not None else set()

    def name_or_other(name: str) -> str:
        if name not in known:
            if len(known) >= limit:
                return OTHER
            known.add(name)
        return name

    return name_or_other


_LIMITED: Final = {
    "gateway": None, "account": None, "route": None, "hook": None, "metric": None,
    "reason": ("calls", "account_calls"), "code": ("call_attempt_failures",),
}
"""The labels whose values are limited in number, and the metrics that share the limit; all: None.
"""


def _known(files: Iterable[MetricsFile]) -> dict[str, set[str]]:
    """By label what the files have of it already, beside OTHER and the words for none."""
    known: dict[str, set[str]] = {label: set() for label in _LIMITED}
    for file in files:
        for name, labels in file.series():
            stem = name.removeprefix(PREFIX)
            if stem.startswith(SCRIPT):
                continue
            for label, value in labels.items():
                if label in _LIMITED and stem in (_LIMITED[label] or (stem,)):
                    known[label].add(value)
    for values in known.values():
        values -= {OTHER, NO_GATEWAY, NO_ACCOUNT}
    return known


def _method(name: str) -> str:
    return name if name in METHODS else OTHER


def _code(status: int) -> str:
    return str(status) if 100 <= status <= 699 else OTHER


class _ScriptCounters:
    """The metrics that routes count by themselves, each a counter of its own."""

    def __init__(self, file: MetricsFile) -> None:
        self._file = file
        self._values: dict[Series, Value] = {}
        self._carried: dict[Series, int] = {}

    def carry(self, counted: Mapping[Series, int]) -> None:
        carried = self._carried
        for series, count in counted.items():
            before = carried.get(series)
            if count != before:
                value = self._values.get(series) or self._open(series)
                value.add(count - (before or 0))
                carried[series] = count

    def left(self) -> Iterator[Series]:
        """The series that the file has."""
        for name, labels in self._file.series():
            stem = name.removeprefix(PREFIX + SCRIPT)
            if stem != name:
                names = tuple(sorted(labels))
                yield ScriptMetric(stem, names), tuple(labels[one] for one in names)

    def _open(self, series: Series) -> Value:
        (name, labels), values = series
        metric = Metric(SCRIPT + name, "counter", labels, "")
        # A peer's bytes may stand in a value, and the file is UTF-8.
        texts = tuple(text.encode("utf-8", "backslashreplace").decode() for text in values)
        value = self._values[series] = self._file.value(metric, "_total", labels, texts)
        return value


def _unlabelled(_: Any) -> Labels:
    return ()


class MetricsFlusher:
    """Carries one worker's tally into the metrics files of its slot.

    Made after the fork. Raises OSError when the directory cannot be written or the disk is full.
    """

    RETRY_MS: Final = 10_000
    """How long carrying rests after the files could not be made larger."""

    def __init__(self, directory: Path, slot: int) -> None:
        self._resting_until_ms = 0
        counters = MetricsFile(directory, "counter", slot)
        histograms = MetricsFile(directory, "histogram", slot)
        self._files = (counters, histograms)
        self.renewed = counters.renewed or histograms.renewed
        """Whether a predecessor's file could not be read, and counting begins anew in it."""
        known = _known(self._files)
        gateway = _bounded(MAX_GATEWAYS, known["gateway"])
        reason = _bounded(MAX_NAMES, known["reason"])
        route = _bounded(MAX_NAMES, known["route"])
        self._script = _ScriptCounters(counters)
        script = _bounded(MAX_NAMES, known["metric"])
        self._over_budget = Counters(
            counters, "series_over_budget", lambda key: (script(key),)
        )
        self._retransmissions = Counters(counters, "sip_retransmissions", _unlabelled)
        self._parse_errors = Counters(counters, "sip_parse_errors", _unlabelled)
        self._route_errors = Counters(counters, "route_errors", _unlabelled)
        self._strays = Counters(counters, "worker_strays", _unlabelled)
        self._captured = Counters(counters, "captured_messages", _unlabelled)
        self._uncaptured = Counters(
            counters, "capture_dropped_messages", lambda key: (key,)
        )
        self._attempts = Counters(counters, "call_attempts", lambda key: (gateway(key),))
        account = _bounded(MAX_GATEWAYS, known["account"])
        self._answers = Counters(counters, "call_answers", lambda key: (gateway(key),))
        code = _bounded(MAX_CODES, known["code"])
        self._failures = Counters(
            counters, "call_attempt_failures", lambda key: (gateway(key[0]), code(key[1]))
        )
        self._account_calls = Counters(
            counters,
            "account_calls",
            lambda key: (account(key[0]) if key[0] else NO_ACCOUNT, reason(key[1])),
        )
        self._charged = Counters(counters, "account_charges", lambda key: (account(key),))
        self._costs = Counters(counters, "gateway_costs", lambda key: (gateway(key),))
        self._talked = Counters(counters, "call_answered_seconds", lambda key: (gateway(key),))
        self._registrations = Counters(
            counters, "gateway_registrations", lambda key: (gateway(key[0]), key[1])
        )
        self._loop_lag = Histograms(histograms, "worker_loop_lag_seconds", _unlabelled)
        self._calls = Counters(
            counters,
            "calls",
            lambda key: (gateway(key[0]) if key[0] else NO_GATEWAY, reason(key[1])),
        )
        self._pings = Counters(counters, "gateway_pings", lambda key: (gateway(key[0]), key[1]))
        self._relays = Counters(counters, "media_requests", lambda key: key)
        self._requests = Counters(counters, "sip_requests", lambda key: (_method(key[0]), key[1]))
        self._responses = Counters(
            counters, "sip_responses", lambda key: (_method(key[0]), _code(key[1]), key[2])
        )
        self._call_duration = Histograms(histograms, "call_duration_seconds", _unlabelled)
        self._pdd = Histograms(
            histograms, "post_dial_delay_seconds", lambda key: (gateway(key),)
        )
        self._failed_delay = Histograms(
            histograms, "call_failure_delay_seconds", lambda key: (gateway(key),)
        )
        self._disconnect = Histograms(histograms, "disconnect_delay_seconds", _unlabelled)
        self._mos = Histograms(histograms, "call_mos", lambda key: (gateway(key),))
        self._registering = Histograms(
            histograms, "gateway_registration_delay_seconds", lambda key: (gateway(key),)
        )
        self._route_duration = Histograms(
            histograms, "route_duration_seconds", lambda key: (route(key),)
        )
        self._slow_routes = Counters(counters, "route_slow", lambda key: (route(key),))
        self._registers = Counters(counters, "registers", lambda key: (_code(key),))
        self._auth_failures = Counters(counters, "auth_failures", lambda key: (key,))
        self._blocked = Counters(counters, "blocked_requests", _unlabelled)
        self._unrecorded = Counters(counters, "unrecorded_calls", lambda key: (key,))
        hook = _bounded(MAX_NAMES, known["hook"])
        self._hook_duration = Histograms(
            histograms, "hook_duration_seconds", lambda key: (hook(key),)
        )
        self._slow_hooks = Counters(counters, "hook_slow", lambda key: (hook(key),))
        self._hook_errors = Counters(counters, "hook_errors", lambda key: (hook(key[0]), key[1]))
        # What has no labels is there from the start, with 0: a rate needs a first value.
        self._carry(Tally())

    def recall(self, tally: Tally) -> None:
        """Tell a fresh tally which series of routes' own a predecessor has made."""
        for series in self._script.left():
            tally.recall(series)

    def flush(self, tally: Tally, now_ms: int) -> None:
        """Add what the tally has gained since the last call; always the same tally.

        Never raises for a full disk: what could not be carried stays in the tally, and is tried
        again RETRY_MS later.
        """
        if now_ms < self._resting_until_ms:
            return
        try:
            self._carry(tally)
        except OSError:
            self._resting_until_ms = now_ms + self.RETRY_MS

    def _carry(self, tally: Tally) -> None:
        self._script.carry(tally.counted)
        self._over_budget.carry(tally.over_budget)
        self._retransmissions.carry({"": tally.retransmissions})
        self._parse_errors.carry({"": tally.parse_errors})
        self._route_errors.carry({"": tally.route_errors})
        self._strays.carry({"": tally.strays})
        self._captured.carry({"": tally.captured})
        self._uncaptured.carry(tally.capture_dropped)
        self._blocked.carry({"": tally.blocked})
        self._registers.carry(tally.registers)
        self._auth_failures.carry(tally.auth_failures)
        self._unrecorded.carry(tally.unrecorded)
        self._call_duration.carry({"": tally.call_duration})
        self._loop_lag.carry({"": tally.loop_lag})
        self._attempts.carry(tally.attempts)
        self._answers.carry(tally.answers)
        self._failures.carry(tally.failures)
        self._account_calls.carry(tally.account_calls)
        self._charged.carry(tally.charged)
        self._costs.carry(tally.costs)
        self._talked.carry(tally.talked_ms)
        self._registrations.carry(tally.registrations)
        self._calls.carry(tally.calls)
        self._pings.carry(tally.pings)
        self._relays.carry(tally.relays)
        self._requests.carry(tally.requests)
        self._responses.carry(tally.responses)
        self._pdd.carry(tally.pdd)
        self._failed_delay.carry(tally.failed_delay)
        self._disconnect.carry({"": tally.disconnect_delay})
        self._mos.carry(tally.mos)
        self._registering.carry(tally.registration_delay)
        self._route_duration.carry(tally.route_duration)
        self._slow_routes.carry(tally.slow_routes)
        self._hook_duration.carry(tally.hook_duration)
        self._slow_hooks.carry(tally.slow_hooks)
        self._hook_errors.carry(tally.hook_errors)

    def close(self) -> None:
        """Let go of the files; what was counted stays in them."""
        for file in self._files:
            file.close()
