"""docs/metrics.md: every metric, what it says and what to do with it, and queries to begin with."""

from __future__ import annotations

from typing import Final

from router.cli.reference.key_figures import key_figures
from router.runtime.metrics_catalogue import SECTIONS, Metric, Section, exported_name

_HEAD: Final = """\
# Metrics

<!-- Made by `make docs` out of router/runtime/catalogue: do not edit. -->

With `metrics = 127.0.0.1:9464` in routes.cfg, `GET /metrics` on that address answers in the formats
of Prometheus and OpenMetrics, from a process of its own; without the setting nothing is served.
Counters and histograms are the sum over all workers, which write them down once a second: a worker
that is killed costs at most what it had counted in that second. Its successor counts on in the same
files, one of counters and one of histograms for each worker slot, so restarts neither lose counts
nor make more files. They begin at 0 when the router is started. Gauges are read from live state at
the moment of the scrape.

Labels hold names from routes.cfg, SIP methods, response codes and end reasons, never a number, an
address or a Call-ID, and each has a limit, over all restarts and reloads since the start. What is
beyond it is `other`:

| label | own values of each worker | |
|---|---|---|
| `gateway` | 1,000, the first of routes.cfg | `none`: the call ended before a gateway was \
chosen; `(phones)`: all phones that are called; `other`: the sum of the rest, which is up while \
all of them are |
| `account` | 1,000 | `none`: nobody was identified; balances and lines are those of the first \
1,000 by name, for the rest have no sum |
| `method` | 14 | those that an RFC defines |
| `code` | 600 | 100 to 699; of failed attempts 64 |
| `reason`, `route`, `hook`, `metric` | 200 | |

A scrape of 500 gateways, 1,000 accounts and 8 workers with 10,000 calls in progress and 100,000
phones online takes 0.2 s, the first one 0.4 s (`make bench`); it is work of the metrics process and
of no worker. One scrape is made at a time and 16 clients may wait; one that has not sent its
request in 5 s, or not taken its answer in 10 s, is cut off. A file of counts that was damaged, by a
full disk or by hand, is left out and said in the log, and its worker begins it anew at its next
start.
"""

_QUESTIONS: Final = (
    (
        "**What does each gateway answer**",
        "sum by (gateway, code) (increase(trunkline_call_attempt_failures_total[1h]))",
    ),
    (
        "**PDD that 95 of 100 calls stay under**, by gateway",
        "histogram_quantile(0.95, sum by (gateway, le) "
        "(rate(trunkline_post_dial_delay_seconds_bucket[5m])))",
    ),
    (
        "**How full is each gateway** (0 when unlimited)",
        "trunkline_active_calls / trunkline_gateway_lines",
    ),
    (
        "**Why do calls fail**",
        'topk(5, sum by (reason) (rate(trunkline_calls_total{reason!="Normal"}[5m])))',
    ),
    (
        "**Margin a minute**, over all",
        "60 * (sum(rate(trunkline_account_charges_total[15m])) - "
        "sum(rate(trunkline_gateway_costs_total[15m])))",
    ),
    (
        "**Who is near its limit of lines**",
        "trunkline_account_active_calls / trunkline_account_lines > 0.8",
    ),
    (
        "**Did a process die**",
        "changes(trunkline_process_start_time_seconds[15m]) > 0",
    ),
    (
        "**Whose credit ends soon**",
        "trunkline_account_balance - trunkline_account_reserved < 10",
    ),
    (
        "**Is a worker missing**",
        "trunkline_worker_up == 0",
    ),
    (
        "**Do CDRs pile up**",
        "trunkline_cdr_backlog > 1000",
    ),
    (
        "**Was a reload refused**",
        'increase(trunkline_reloads_total{result!="applied"}[10m]) > 0',
    ),
    (
        "**Which Python function holds up calls**",
        "topk(5, sum by (hook) (rate(trunkline_hook_slow_total[5m])))",
    ),
    (
        "**Does a Python function fail**",
        "sum by (hook, reason) (increase(trunkline_hook_errors_total[10m])) > 0",
    ),
    (
        "**Is routes.cfg the same on every host**",
        "count by (hash) (trunkline_config_info)",
    ),
)


def metrics_page() -> str:
    """The text of docs/metrics.md."""
    sections = (_section(section) for section in SECTIONS)
    return "\n".join([_HEAD, *sections, key_figures(), _questions()])


def _section(section: Section) -> str:
    rows = "".join(_row(metric) for metric in section.metrics)
    after = f"\n{section.after}" if section.after else ""
    return (
        f"## {section.title}\n\n"
        "| metric | type | labels | what it is | what to do |\n|---|---|---|---|---|\n"
        f"{rows}{after}"
    )


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    what = f"{metric.what} {metric.more}" if metric.more else metric.what
    return (
        f"| `{exported_name(metric)}` | {metric.kind} | {labels or '—'} | {what} | {metric.do} |\n"
    )


def _questions() -> str:
    rows = "".join(f"- {question}:\n  `{query}`\n" for question, query in _QUESTIONS)
    return f"## Questions and their queries\n\n{rows}"
