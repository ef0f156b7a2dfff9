"""Metrics of the router itself: workers, processes, sockets, stores, configuration, HTTP API."""

from __future__ import annotations

from typing import Final

from router.runtime.catalogue.shape import Metric, Section

ITSELF: Final = Section("The router itself", (
    Metric(
        "worker_up", "gauge", ("slot",),
        "1 when the worker's last heartbeat is younger than 5 seconds.",
        "At 0 it hangs or is being restarted: read the log.",
    ),
    Metric(
        "worker_strays", "counter", (),
        "Messages that reached a worker other than their call's and were handed over.",
        "Some are normal; all of them mean that kernel steering is off.",
    ),
    Metric(
        "captured_messages", "counter", (),
        "SIP messages that were captured.",
        "If it rises and nobody looks for anything, run trunkline capture stop.",
        "See [capture](capture.md).",
    ),
    Metric(
        "capture_dropped_messages", "counter", ("reason",),
        "Messages of captured calls that were left out.",
        "Capture fewer calls, or see the log: the disk or the Homer may be at fault.",
        "`budget`: more came than the ring takes in a second; `memory`: too much waited to be "
        "matched; `disk`, `homer`: could not be written or sent.",
    ),
    Metric(
        "worker_loop_lag_seconds", "histogram", (),
        "How late a worker comes to what is due.",
        "If it grows, calls wait: too few workers, or a route that is slow.",
        "Measured at what it does every second: what a call may have waited.",
    ),
    Metric(
        "process_cpu_seconds", "counter", ("process",),
        "Processor time of each process.",
        "A worker near one second a second is full: add workers, or cores.",
        "`supervisor`, `worker-0` …, `ledger`, `metrics`, `api`; begins anew with the process.",
    ),
    Metric(
        "process_resident_bytes", "gauge", ("process",),
        "Memory of each process, shared parts included.",
        "If it only grows for hours, report it; a restart costs no answered call.",
    ),
    Metric(
        "process_start_time_seconds", "gauge", ("process",),
        "When each process was started, epoch seconds.",
        "If it changes, the process died: read the log.",
    ),
    Metric(
        "udp_queue_bytes", "gauge", (),
        "Bytes that wait in the UDP sockets.",
        "If it stays high, the workers cannot keep up.",
    ),
    Metric(
        "udp_drops", "counter", (),
        "Datagrams that the kernel dropped because a socket was full.",
        "Peers send them again: add workers, or raise net.core.rmem_max.",
    ),
    Metric(
        "store_used_bytes", "gauge", ("store",),
        "Size of live state and of the ledger.",
        "Alert on store_used_bytes / store_map_bytes.",
        "The high-water mark of `live` and of `ledger`.",
    ),
    Metric(
        "store_map_bytes", "gauge", ("store",),
        "How large a store may become.",
        "If the used bytes come near, export old CDRs and ask for a larger map.",
    ),
    Metric(
        "store_transactions", "counter", ("store",),
        "Commits of a store.",
        "If the ledger's stand still while calls end, see cdr_backlog.",
        "Turns of workers, batches of the ledger.",
    ),
    Metric(
        "cdr_backlog", "gauge", (),
        "CDRs that wait for the ledger.",
        "If it only grows, the ledger process is down or its disk is full or slow; no CDR is lost.",
    ),
    Metric(
        "cdr_file_waiting", "gauge", (),
        "CDRs that the ledger has and the file of cdr_file does not.",
        "If it grows, the disk of the file is full or its folder cannot be written; no line is "
        "lost.",
    ),
    Metric(
        "config_info", "gauge", ("hash",),
        "Always 1; the label is the hash of the routes.cfg that decides.",
        "The same hash stands in every CDR.",
    ),
    Metric(
        "reloads", "counter", ("result",),
        "Reloads of routes.cfg, by how they ended: applied, refused (its findings), failed (ours).",
        "After a refusal the old one runs on: see trunkline check.",
        "`refused`: the configuration has errors, or a test of it failed; `failed`: it could not "
        "be loaded everywhere.",
    ),
))

API: Final = Section("The HTTP API", (
    Metric(
        "api_requests", "counter", ("endpoint", "method", "code"),
        "Requests to the HTTP API by path, method and status.",
        "Many 5xx: see the log; many 503: clients ask for more than it does at once.",
        "The path is as the schema of the [API](api.md) has it (`/accounts/{name}`), `other` for "
        "what is none; 499: the client went away.",
    ),
    Metric(
        "api_request_duration_seconds", "histogram", ("endpoint",),
        "How long requests to the HTTP API took, by path.",
        "If it grows, narrow searches with since and until.",
        "From the head of the request to the end of its answer, with the waiting for others.",
    ),
    Metric(
        "api_auth_failures", "counter", ("reason",),
        "Requests to the HTTP API that were turned away by token or role.",
        "If wrong_token or too_often rises, somebody guesses.",
        "`no_token`, `wrong_token`, `too_often` (429, after ten wrong ones in a minute) or "
        "`no_role`.",
    ),
))
