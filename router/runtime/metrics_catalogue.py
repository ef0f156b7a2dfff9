"""Every metric that Trunkline exports; router/runtime/catalogue has what is said of each.

The one list of names: the workers' flusher, the metrics process, docs/metrics.md and the tests
all follow it. Nothing here knows how a metric is counted or read.
"""

from __future__ import annotations

from typing import Final

from router.runtime.catalogue.accounts import ACCOUNTS, CALLERS
from router.runtime.catalogue.calls import CALLS, GATEWAYS
from router.runtime.catalogue.itself import API, ITSELF
from router.runtime.catalogue.requests import ROUTES, SIP
from router.runtime.catalogue.shape import Labels, Metric, Section

__all__ = ["Labels", "Metric", "Section"]

PREFIX: Final = "trunkline_"
SCRIPT: Final = "script_"
"""How the names of what routes count by themselves go on: trunkline_script_NAME_total."""
OTHER: Final = "other"
"""The label value for everything beyond a cap, or unknown."""
NO_GATEWAY: Final = "none"
"""The gateway label of calls that ended before a gateway was chosen."""
NO_ACCOUNT: Final = "none"
"""The account label of calls of which nobody knows who pays."""
PARTS: Final = {
    "account_charges": 1_000_000, "gateway_costs": 1_000_000, "call_answered_seconds": 1_000,
}
"""What workers count as integers of a smaller unit, and how many of those make the one shown."""

SECTIONS: Final = (CALLS, GATEWAYS, ACCOUNTS, CALLERS, SIP, ROUTES, ITSELF, API)
"""In the order of the page and of a scrape."""
CATALOGUE: Final[tuple[Metric, ...]] = tuple(
    metric for section in SECTIONS for metric in section.metrics
)
BY_NAME: Final = {metric.name: metric for metric in CATALOGUE}


def exported_name(metric: Metric) -> str:
    """The name as it is asked for in Prometheus; of a histogram the stem."""
    return PREFIX + metric.name + ("_total" if metric.kind == "counter" else "")
