"""Metrics of SIP messages, of the routes that handle them, and of the Python they call."""

from __future__ import annotations

from typing import Final

from router.runtime.catalogue.shape import Metric, Section

SIP: Final = Section("SIP", (
    Metric(
        "sip_requests", "counter", ("method", "direction"),
        "SIP requests received (in) and sent (out), resends not counted.",
        "Many of a method you do not serve come from scanners.",
    ),
    Metric(
        "sip_responses", "counter", ("method", "code", "direction"),
        "SIP responses by the method they answer, resends not counted.",
        "Codes in are the gateways' answers, codes out are what callers hear.",
    ),
    Metric(
        "sip_retransmissions", "counter", (),
        "Messages that had to be sent or answered again.",
        "If it rises, packets are lost or a peer or this machine is overloaded.",
    ),
    Metric(
        "sip_parse_errors", "counter", (),
        "Datagrams and stream messages that are not SIP.",
        "If it rises, find the sender in the log: a scanner, or a broken peer.",
    ),
))

OF_YOUR_OWN: Final = """\
### Metrics of your own

`count("premium_calls", account = $account.id);` in a route makes the counter
`trunkline_script_premium_calls_total{account="acme"}`. Its name begins with `trunkline_script_`, so
that it can never meet one of this page; `_total` is added. It has up to five labels, the same ones
wherever it is counted (`check` finds others), and it is there from the first time it is counted.
Each worker keeps `script_metric_series` sets of label values of a metric apart (200, at most
1,000; 10,000 of all metrics together), cut to 64 characters. What comes after them counts as
`other` and in `trunkline_series_over_budget_total`, and is said once in the log. Restarts of
workers and reloads do not widen it. A number that somebody dialled makes a bad label: every new
one is a new series until the limit is reached.
"""

ROUTES: Final = Section("Routes", (
    Metric(
        "route_duration_seconds", "histogram", ("route",),
        "Time a route of routes.cfg ran.",
        "A slow route holds up every call of its worker: look at its regexes and Python "
        "functions.",
        "What it waits for async functions does not count.",
    ),
    Metric(
        "route_errors", "counter", (),
        "Requests that ended with 500 because a route raised an error.",
        "The log names the line of routes.cfg: correct it.",
    ),
    Metric(
        "route_slow", "counter", ("route",),
        "Times a route held up its worker for more than 50 ms.",
        "The log names the Python function if it was one: make it async, or faster.",
    ),
    Metric(
        "hook_duration_seconds", "histogram", ("hook",),
        "Time a Python function took, waiting included.",
        "If it is long, look at the server or the file that it asks.",
        "The label is its name, as `hooks.lookup` ([hooks](hooks.md)).",
    ),
    Metric(
        "hook_slow", "counter", ("hook",),
        "Times a Python function held up its worker for more than 50 ms.",
        "Make it async, or move the work into a thread.",
        "The log names the line that called it.",
    ),
    Metric(
        "hook_errors", "counter", ("hook", "reason"),
        "Calls of a Python function that failed, each a 500.",
        "The log has the lines of routes.cfg and of the function: correct it.",
        "`raised` an exception, gave back a `wrong_type`, `timeout` (`hook_timeout` was over), "
        "`stuck` (it did not return and was broken off).",
    ),
    Metric(
        "series_over_budget", "counter", ("metric",),
        "Counts of a route's own metric that went to other, for want of series.",
        "Take the label with so many values out of count(), or raise script_metric_series.",
    ),
), OF_YOUR_OWN)
