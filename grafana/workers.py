"""Workers and store: does the machine keep up."""

from __future__ import annotations

from typing import Any

from grafana import pages, panels, tables
from grafana.colours import BAD, CALM, GOOD, LIMIT, WARN, Step
from grafana.panels import Query
from grafana.queries import rate
from grafana.tables import Column

UID = "trunkline-workers"
WORKERS = 'process=~"worker.*"'
FULL = "trunkline_store_used_bytes / trunkline_store_map_bytes"
LAG = "sum by (le) (rate(trunkline_worker_loop_lag_seconds_bucket[$__rate_interval]))"
FILLING = (Step(None, GOOD), Step(0.7, WARN), Step(0.9, BAD))


def build() -> Any:
    """The dashboard."""
    page = pages.page(
        UID, "Trunkline / Workers and store", "Processes, sockets, routes and files.",
        events=[pages.RESTARTS],
    )
    for panel in (*_numbers(), *_processes(), *_network(), *_store(), *_configuration()):
        page = page.with_panel(panel)
    return page


def _numbers() -> list[Any]:
    return [
        panels.number("Workers up", Query("sum(trunkline_worker_up)"), "short",
                      "Fewer than configured: read the log.", decimals=0),
        panels.number("Busiest worker", Query(
            f"max({rate('process_cpu_seconds_total', WORKERS)})"), "percentunit",
            "Processor time of the busiest: near 100 % calls wait.", FILLING, decimals=0),
        panels.number("CDRs waiting", Query("trunkline_cdr_backlog"), "short",
                      "For the ledger. Only growing: its disk is full or slow; nothing is lost.",
                      (Step(None, GOOD), Step(1000, WARN), Step(10000, BAD)), decimals=0),
        panels.number("Datagrams dropped", Query("increase(trunkline_udp_drops_total[15m])"),
                      "short", "By the kernel in 15 minutes, because a socket was full.",
                      (Step(None, GOOD), Step(1, BAD)), decimals=0),
        panels.number("Route errors", Query("increase(trunkline_route_errors_total[15m])"), "short",
                      "Requests that got 500 in 15 minutes. The log names the line of routes.cfg.",
                      (Step(None, GOOD), Step(1, BAD)), decimals=0),
        panels.number("Fullest store", Query(f"max({FULL})"), "percentunit",
                      "Used of what it may become. Full: nothing more can be written.", FILLING),
    ]


def _processes() -> list[Any]:
    return [
        panels.lines("Processor time", [
            Query(rate("process_cpu_seconds_total"), "{{process}}"),
        ], "percentunit", "Of one core each. Workers are alike when the kernel steers well.",
            by="process"),
        panels.lines("Memory", [
            Query("trunkline_process_resident_bytes", "{{process}}"),
        ], "bytes", "Resident, with what is shared. It rises for half a minute of load, then not.",
            by="process"),
        panels.lines("How late workers are", [
            Query(f"histogram_quantile(0.5, {LAG})", "half of the looks", CALM),
            Query(f"histogram_quantile(0.99, {LAG})", "99 of 100", WARN),
        ], "s", "What a call may wait. Over 50 ms: more workers, or a slow route."),
        panels.lines("Time of routes, 99 of 100 runs", [
            Query("histogram_quantile(0.99, sum by (route, le) "
                  f"({rate('route_duration_seconds_bucket')}))", "{{route}}"),
        ], "s", "A route over 50 ms holds up every call of its worker.", by="route"),
    ]


def _network() -> list[Any]:
    return [
        panels.lines("Datagrams waiting in sockets", [
            Query("trunkline_udp_queue_bytes", "waiting", CALM),
        ], "bytes", "What came between two turns. Growing: the workers do not keep up."),
        panels.lines("Dropped, handed over, sent again", [
            Query(rate("worker_strays_total"), "handed to another worker", CALM),
            Query(rate("sip_retransmissions_total"), "sent again", WARN),
            Query(rate("udp_drops_total"), "dropped by the kernel", BAD),
            Query(rate("sip_parse_errors_total"), "not SIP", "purple"),
        ], "pps", "All messages handed over: kernel steering is off, see the log at the start.",
            by="kind"),
    ]


def _store() -> list[Any]:
    return [
        panels.lines("Transactions", [
            Query(rate("store_transactions_total"), "{{store}}"),
        ], "ops", "Commits: turns of workers in live state, batches of the ledger.", by="store"),
        panels.lines("CDRs waiting for the ledger", [
            Query("trunkline_cdr_backlog", "waiting", CALM),
        ], "short", "Peaks are batches; a slope is a ledger that stands."),
        panels.lines("Size of stores", [
            Query("trunkline_store_used_bytes", "{{store}}"),
        ], "bytes", "The ledger grows with its CDRs: trunkline cdr export, then move it away.",
            by="store"),
    ]


def _configuration() -> list[Any]:
    return [
        tables.ranking("Processes", [
            Column("Started", "trunkline_process_start_time_seconds * 1000", "dateTimeFromNow"),
            Column("Memory", "trunkline_process_resident_bytes", "bytes", 1),
            Column("Processor", "rate(trunkline_process_cpu_seconds_total[5m])", "percentunit", 1),
        ], ["process"], "One that is much younger than the others has died and was replaced."),
        panels.lines("Reloads", [
            Query("sum(increase(trunkline_reloads_total[5m]))", "all", LIMIT),
            Query('sum(increase(trunkline_reloads_total{result="refused"}[5m]))', "refused", WARN),
            Query('sum(increase(trunkline_reloads_total{result="failed"}[5m]))', "failed", BAD),
        ], "short", "In five minutes. Refused: the configuration had errors, and the old one runs "
            "on."),
        tables.ranking("Configuration", [
            Column("Routers", "count by (hash) (trunkline_config_info)"),
        ], ["hash"], "The hash that is on every CDR: the same on all hosts, or a reload is "
            "missing."),
    ]
