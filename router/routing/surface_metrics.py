"""The settings of metrics: where they are served, and how many series routes may make."""

from __future__ import annotations

from dsl.surface import Setting, ValueType

METRICS = (
    Setting("metrics", ValueType("endpoint"), "Where /metrics is served."),
    Setting(
        "script_metric_series",
        ValueType("int", minimum=1, maximum=1_000),
        "How many sets of label values of each metric that routes count a worker keeps apart; what "
        "comes after them is `other`.",
        "200",
    ),
)
