"""Workers and store: does the machine keep up."""

from __future__ import annotations

from typing import Any

from grafana import panels
from grafana.panels import BAD, GOOD, WARN, Query, Step
from grafana.queries import rate

UID = "trunkline-workers"
WORKERS = 'process=~"worker.*"'


def build() -> Any:
    """The dashboard."""
    page = panels.page(
        UID, "Trunkline / Workers and store", "Processes, sockets, routes and files.",
        down="trunkline_worker_up == 0",
    )
    full = "trunkline_store_used_bytes / trunkline_store_map_bytes"
    lag = "sum by (le) (rate(trunkline_worker_loop_lag_seconds_bucket[$__rate_interval]))"
    for panel in (
        panels.number("Workers up", Query("sum(trunkline_worker_up)"), "short",
                      "Fewer than configured: read the log.", decimals=0),
        panels.number("Busiest worker", Query(
            f"max({rate('process_cpu_seconds_total', WORKERS)})"), "percentunit",
            "Processor time of the busiest: near 100 % calls wait.",
            (Step(None, GOOD), Step(0.7, WARN), Step(0.9, BAD)), decimals=0),
        panels.number("CDRs waiting", Query("trunkline_cdr_backlog"), "short",
                      "For the ledger. Only growing: its disk is full or slow; nothing is lost.",
                      (Step(None, GOOD), Step(1000, WARN), Step(10000, BAD)), decimals=0),
        panels.number("Datagrams dropped", Query("increase(trunkline_udp_drops_total[15m])"),
                      "short", "By the kernel in 15 minutes, because a socket was full.",
                      (Step(None, GOOD), Step(1, BAD)), decimals=0),
        panels.number("Route errors", Query("increase(trunkline_route_errors_total[15m])"), "short",
                      "Requests that got 500 in 15 minutes. The log names the line of routes.cfg.",
                      (Step(None, GOOD), Step(1, BAD)), decimals=0),
        panels.number("Fullest store", Query(f"max({full})"), "percentunit",
                      "Used of the map's size.",
                      (Step(None, GOOD), Step(0.7, WARN), Step(0.9, BAD)), decimals=1),
        panels.lines("Processor time", [
            Query(rate("process_cpu_seconds_total"), "{{process}}"),
        ], "percentunit", "Of one core each. Workers are alike when the kernel steers well."),
        panels.lines("Memory", [
            Query("trunkline_process_resident_bytes", "{{process}}"),
        ], "bytes", "Resident, with what is shared. It rises for half a minute of load, then not."),
        panels.lines("How late workers are", [
            Query(f"histogram_quantile(0.5, {lag})", "half of the looks"),
            Query(f"histogram_quantile(0.99, {lag})", "99 of 100"),
        ], "s", "What a call may wait. Over 50 ms: more workers, or a slow route."),
        panels.lines("UDP sockets", [
            Query("trunkline_udp_queue_bytes", "bytes waiting"),
            Query("increase(trunkline_udp_drops_total[$__rate_interval])", "dropped"),
        ], "short", "What waits is seen between two turns; what is dropped was sent for nothing."),
        panels.lines("Strays, resends, not SIP", [
            Query(rate("worker_strays_total"), "handed to another worker"),
            Query(rate("sip_retransmissions_total"), "sent again"),
            Query(rate("sip_parse_errors_total"), "not SIP"),
        ], "cps", "All messages strays: kernel steering is off, see the log at the start."),
        panels.lines("Commits", [
            Query(rate("store_transactions_total"), "{{store}}"),
        ], "ops", "Turns of workers in live state, batches of the ledger."),
        panels.lines("Size of stores", [
            Query("trunkline_store_used_bytes", "{{store}}"),
        ], "bytes", "The ledger grows with its CDRs: trunkline cdr export, then move it away."),
        panels.lines("CDRs waiting for the ledger", [
            Query("trunkline_cdr_backlog", "waiting"),
        ], "short", "Peaks are batches; a slope is a ledger that stands.", table_legend=False),
        panels.lines("Time of routes, 99 of 100 runs", [
            Query("histogram_quantile(0.99, sum by (route, le) "
                  f"({rate('route_duration_seconds_bucket')}))", "{{route}}"),
        ], "s", "A route over 50 ms holds up every call of its worker."),
        panels.lines("Reloads", [
            Query("sum by (result) (increase(trunkline_reloads_total[5m]))", "{{result}}"),
        ], "short", "Refused: the configuration had errors, and the old one runs on.",
            table_legend=False),
        panels.ranking("Processes", [
            ("Started", "trunkline_process_start_time_seconds * 1000", "dateTimeFromNow"),
            ("Memory", "trunkline_process_resident_bytes", "bytes"),
            ("Processor", "rate(trunkline_process_cpu_seconds_total[5m])", "percentunit"),
        ], ["process"], "One that is much younger than the others has died and was replaced."),
        panels.ranking("Configuration", [
            ("Hash", "trunkline_config_info", "short"),
        ], ["hash"], "The hash on every CDR: the same on all hosts, or a reload is missing."),
    ):
        page = page.with_panel(panel)
    return page
