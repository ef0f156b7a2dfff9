"""What the HTTP API counts, and its way into the metrics files of its process.

Raised on the API's loop and carried once a second, as workers do (`runtime/metrics.py`); a
successor of the process counts on. What a client can invent, paths and methods, never becomes a
label: an endpoint is the template of a path that there is.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

from router.core.tally import Histogram
from router.runtime.metrics_catalogue import OTHER
from router.runtime.metrics_files import Counters, Histograms, MetricsFile

PROCESS: Final = "api"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS: Final = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
NO_TOKEN, WRONG_TOKEN, TOO_OFTEN, NO_ROLE = "no_token", "wrong_token", "too_often", "no_role"
REASONS: Final = (NO_TOKEN, WRONG_TOKEN, TOO_OFTEN, NO_ROLE)


def _seconds() -> Histogram:
    return Histogram(SECONDS)


class ApiTally:
    """Plain numbers of one process: requests, how long they took, who was turned away."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        """by endpoint, method and status"""
        self.duration: defaultdict[str, Histogram] = defaultdict(_seconds)
        self.failures = dict.fromkeys(REASONS, 0)

    def request(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count a request; "" for an endpoint that there is not."""
        endpoint = endpoint or OTHER
        self.requests[endpoint, method if method in METHODS else OTHER, status] += 1
        self.duration[endpoint].observe(seconds)


class ApiFlusher:
    """Carries the tally into the files; OSError when they cannot be written."""

    def __init__(self, directory: Path) -> None:
        counters = MetricsFile(directory, "counter", PROCESS)
        histograms = MetricsFile(directory, "histogram", PROCESS)
        self._files = (counters, histograms)
        self._requests = Counters(
            counters, "api_requests", lambda key: (key[0], key[1], str(key[2]))
        )
        self._failures = Counters(counters, "api_auth_failures", lambda key: (key,))
        self._duration = Histograms(
            histograms, "api_request_duration_seconds", lambda key: (key,)
        )
        self.flush(ApiTally())

    def flush(self, tally: ApiTally) -> None:
        """Add what the tally has gained; always the same one. OSError when the disk is full."""
        self._requests.carry(tally.requests)
        self._failures.carry(tally.failures)
        self._duration.carry(tally.duration)

    def close(self) -> None:
        """Let go of the files; what was counted stays in them."""
        for file in self._files:
            file.close()
