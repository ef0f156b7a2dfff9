"""What one worker counts: plain numbers, raised on the hot path and read once a second.

The engine and the driver raise these; router/runtime/metrics.py carries the differences to the
metrics files. Nothing here knows of Prometheus, of a clock or of a lock: a worker's loop is the
only writer and the only reader.

A key holds a name from routes.cfg, a method, a status or an end reason: never a number that
somebody dialled, an address or a Call-ID. What a peer can invent (methods) is bounded where the
numbers leave the worker.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import NamedTuple

CALL_SECONDS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0)
POST_DIAL_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
DISCONNECT_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
MOS_BOUNDS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4, 4.5)
HOOK_SECONDS = (0.00001, 0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
ROUTE_SECONDS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1)


class Histogram:
    """Observations in seconds, counted by the first bound that is not below them.

    `counts` has one entry more than `bounds`: the last one is what exceeds every bound. The counts
    are not cumulative.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


def _post_dial() -> Histogram:
    return Histogram(POST_DIAL_SECONDS)


def _delay() -> Histogram:
    return Histogram(DISCONNECT_SECONDS)


def _mos() -> Histogram:
    return Histogram(MOS_BOUNDS)


def _route() -> Histogram:
    return Histogram(ROUTE_SECONDS)


def _hook() -> Histogram:
    return Histogram(HOOK_SECONDS)


PHONE = "phone "
"""How the names of phones begin where a gateway's name stands, such as in a CDR."""
PHONES = "(phones)"


def gateway_label(name: str) -> str:
    """The gateway's name as a label; all phones are one, for there may be any number of them."""
    return PHONES if name.startswith(PHONE) else name


class ScriptMetric(NamedTuple):
    """A metric that a route counts: its name and its labels, in order."""

    name: str
    labels: tuple[str, ...]


Series = tuple[ScriptMetric, tuple[str, ...]]
MAX_SERIES = 200
"""Most sets of label values of one metric of a route's own, where routes.cfg does not say."""
MAX_ALL_SERIES = 10_000
"""Most of all metrics of routes' own together, however many names reloads have brought."""
MAX_LABEL = 64
OTHER = "other"


class Tally:
    """Everything a worker has counted since it started.

    The dictionaries make a missing entry themselves, so that `tally.attempts[gateway] += 1` is
    the whole of counting.
    """

    __slots__ = (
        "account_calls",
        "answers",
        "attempts",
        "auth_failures",
        "blocked",
        "call_duration",
        "calls",
        "capture_dropped",
        "captured",
        "charged",
        "costs",
        "counted",
        "disconnect_delay",
        "failed_delay",
        "failures",
        "hook_duration",
        "hook_errors",
        "loop_lag",
        "mos",
        "over_budget",
        "parse_errors",
        "pdd",
        "pings",
        "registers",
        "registration_delay",
        "registrations",
        "relays",
        "requests",
        "responses",
        "retransmissions",
        "route_duration",
        "route_errors",
        "series",
        "slow_hooks",
        "slow_routes",
        "strays",
        "talked_ms",
        "unrecorded",
    )

    def __init__(self) -> None:
        self.attempts: dict[str, int] = defaultdict(int)
        """gateway → attempts to place a call through it"""
        self.answers: dict[str, int] = defaultdict(int)
        """gateway → attempts that were answered"""
        self.failures: dict[tuple[str, str], int] = defaultdict(int)
        """(gateway, its final status or the end reason of our own limit) → attempts that failed"""
        self.account_calls: dict[tuple[str, str], int] = defaultdict(int)
        """(account or "", end reason) → calls that have ended"""
        self.charged: dict[str, int] = defaultdict(int)
        """account → what its calls have cost it, in millionths"""
        self.costs: dict[str, int] = defaultdict(int)
        """gateway → what calls have cost us there, in millionths"""
        self.talked_ms: dict[str, int] = defaultdict(int)
        """gateway → how long its answered calls were, in ms"""
        self.registrations: dict[tuple[str, str], int] = defaultdict(int)
        """(gateway, "registered", "refused" or "missed") → our tries to register there"""
        self.loop_lag = Histogram(LAG_SECONDS)
        """how late the worker's turn of the second came"""
        self.calls: dict[tuple[str, str], int] = defaultdict(int)
        """(gateway or "", end reason) → calls that have ended"""
        self.pings: dict[tuple[str, str], int] = defaultdict(int)
        """(gateway, "answered" or "missed") → OPTIONS sent to gateways"""
        self.requests: dict[tuple[str, str], int] = defaultdict(int)
        """(method, "in" or "out") → SIP requests, resends not counted"""
        self.responses: dict[tuple[str, int, str], int] = defaultdict(int)
        """(method, status, "in" or "out") → SIP responses, resends not counted"""
        self.auth_failures: dict[str, int] = defaultdict(int)
        """why → requests whose credentials were wrong"""
        self.registers: dict[int, int] = defaultdict(int)
        """status → REGISTERs of phones answered by save()"""
        self.relays: dict[tuple[str, str], int] = defaultdict(int)
        """(media relay, "answered", "missed" or "refused") → questions to it"""
        self.blocked = 0
        """requests of blocked addresses"""
        self.unrecorded: dict[str, int] = defaultdict(int)
        """end reason → refused calls of strangers that left no CDR"""
        self.counted: dict[Series, int] = {}
        """a metric of a route's own with its labels' values → times it was counted"""
        self.series: dict[ScriptMetric, int] = defaultdict(int)
        """a metric of a route's own → its sets of label values so far"""
        self.over_budget: dict[str, int] = defaultdict(int)
        """name of a metric of a route's own → times it counted as OTHER"""
        self.retransmissions = 0
        self.parse_errors = 0
        self.route_errors = 0
        self.strays = 0
        self.captured = 0
        """messages that were captured"""
        self.capture_dropped: dict[str, int] = {}
        """messages that should have been, by why they were not"""
        self.call_duration = Histogram(CALL_SECONDS)
        """answer to end, of answered calls"""
        self.pdd: dict[str, Histogram] = defaultdict(_post_dial)
        """gateway → our INVITE to its first ringing or answer"""
        self.failed_delay: dict[str, Histogram] = defaultdict(_post_dial)
        """gateway → our INVITE to the end of an attempt that failed"""
        self.disconnect_delay = Histogram(DISCONNECT_SECONDS)
        """our BYE to its answer, or to the end of waiting for one"""
        self.mos: dict[str, Histogram] = defaultdict(_mos)
        """gateway → mean opinion scores of its calls, as media relays say them; 1 to 5"""
        self.registration_delay: dict[str, Histogram] = defaultdict(_delay)
        """gateway → our REGISTER to its 200"""
        self.route_duration: dict[str, Histogram] = defaultdict(_route)
        """route name → time its handler ran"""
        self.slow_routes: dict[str, int] = defaultdict(int)
        """route name → times it held up its worker for more than 50 ms"""
        self.hook_duration: dict[str, Histogram] = defaultdict(_hook)
        """Python function → its call to its return, waiting included"""
        self.hook_errors: dict[tuple[str, str], int] = defaultdict(int)
        """(Python function, why) → calls that failed"""
        self.slow_hooks: dict[str, int] = defaultdict(int)
        """Python function → times it held up its worker for more than 50 ms"""

    def count(
        self, metric: ScriptMetric, values: tuple[str, ...], budget: int = MAX_SERIES
    ) -> bool:
        """Counts one more of a route's own metric; label values are cut, and bounded in number.

        True the first time that the metric is over its budget of sets of label values.
        """
        first_over = False
        counted = self.counted
        series = metric, values
        before = counted.get(series)
        if before is None:
            values = tuple(value[:MAX_LABEL] for value in values)
            if (metric, values) not in counted:
                if self.series[metric] >= budget or len(counted) >= MAX_ALL_SERIES:
                    values = (OTHER,) * len(values)
                    first_over = metric.name not in self.over_budget
                    self.over_budget[metric.name] += 1
                else:
                    self.series[metric] += 1
            series = metric, values
            before = counted.get(series, 0)
        counted[series] = before + 1
        return first_over

    def recall(self, series: Series) -> None:
        """Knows a set of label values that a predecessor counted: it is in the budget."""
        if series not in self.counted:
            self.counted[series] = 0
            if series[1] != (OTHER,) * len(series[1]) or not series[1]:
                self.series[series[0]] += 1
