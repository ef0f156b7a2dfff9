"""Every metric that Trunkline exports: name, kind, labels and what to do with it.

The one list of names: the workers' flusher, the metrics process, docs/metrics.md and the tests
all follow it. Nothing here knows how a metric is counted or read.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

PREFIX: Final = "trunkline_"
SCRIPT: Final = "script_"
"""How the names of what routes count by themselves go on: trunkline_script_NAME_total."""
OTHER: Final = "other"
"""The label value for everything beyond a cap, or unknown."""
NO_GATEWAY: Final = "none"
"""The gateway label of calls that ended before a gateway was chosen."""
NO_ACCOUNT: Final = "none"
"""The account label of calls of which nobody knows who pays."""
IN_MILLIONTHS: Final = frozenset(("account_charges", "gateway_costs"))
"""What the files hold in millionths and a scrape shows in units of the currency."""
Labels = tuple[str, ...]


class Metric(NamedTuple):
    """One metric family: its name without the prefix and without `_total`, and its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: Labels
    help: str


CATALOGUE: Final[tuple[Metric, ...]] = (
    Metric(
        "call_attempts",
        "counter",
        ("gateway",),
        "Attempts to place a call through a gateway. Compare gateways: one that gets none is down, "
        "full, or its prefixes match nothing.",
    ),
    Metric(
        "call_answers",
        "counter",
        ("gateway",),
        "Attempts that were answered; divided by call_attempts it is the ASR. If it falls on one "
        "gateway only, demote it and ask its carrier.",
    ),
    Metric(
        "call_attempt_failures",
        "counter",
        ("gateway", "code"),
        "Attempts that failed, by the gateway's final status, or the end reason where it gave none "
        "in time. Counted also when another gateway then took the call.",
    ),
    Metric(
        "calls",
        "counter",
        ("gateway", "reason"),
        "Calls that have ended, by last gateway and end reason. A reason that rises tells where to "
        "look: trunkline cdr --reason NAME.",
    ),
    Metric(
        "call_duration_seconds",
        "histogram",
        (),
        "Answer to end of answered calls (ACD is sum / count). A sudden fall means calls are cut "
        "or carry no audio.",
    ),
    Metric(
        "post_dial_delay_seconds",
        "histogram",
        ("gateway",),
        "INVITE sent to a gateway until it rang or answered (PDD). If one gateway is slow, lower "
        "its priority or ask its carrier.",
    ),
    Metric(
        "active_calls",
        "gauge",
        ("gateway",),
        "Lines in use on a gateway now. Near gateway_lines, calls overflow to the next gateway: "
        "raise lines or add a gateway.",
    ),
    Metric(
        "gateway_lines",
        "gauge",
        ("gateway",),
        "Lines a gateway may use, +Inf when routes.cfg sets no limit. Alert on active_calls / "
        "gateway_lines.",
    ),
    Metric(
        "gateway_up",
        "gauge",
        ("gateway",),
        "1 when the gateway is a candidate, 0 while it is down, set aside, or has not registered "
        "us. At 0 ask trunkline status why; check address and network.",
    ),
    Metric(
        "gateway_pings",
        "counter",
        ("gateway", "result"),
        "OPTIONS to a gateway, answered or missed. If misses rise, packets are lost or it is "
        "overloaded: three in a row take it down.",
    ),
    Metric(
        "media_requests",
        "counter",
        ("relay", "result"),
        "Questions to rtpengine, answered, missed or refused. If one is missed it is down: calls "
        "go to the others, or fail when there is none.",
    ),
    Metric(
        "account_balance",
        "gauge",
        ("account",),
        "What an account has left, in its currency. Alert before it is used up; trunkline accounts "
        "topup adds to it.",
    ),
    Metric(
        "account_reserved",
        "gauge",
        ("account",),
        "What calls in progress have reserved of an account's balance. It should be 0 without "
        "calls: trunkline ledger verify proves it.",
    ),
    Metric(
        "account_calls",
        "counter",
        ("account", "reason"),
        "Calls that have ended, by account and end reason. A customer complains: see which reason "
        "rose, then trunkline cdr --account NAME.",
    ),
    Metric(
        "account_charges",
        "counter",
        ("account",),
        "What calls have cost their account, in its currency; its rate is revenue. If it falls "
        "while calls do not, look at the deck.",
    ),
    Metric(
        "gateway_costs",
        "counter",
        ("gateway",),
        "What calls have cost us at a gateway; charges less costs is the margin. If it is "
        "negative, see trunkline cdr stats --by gateway.",
    ),
    Metric(
        "account_active_calls",
        "gauge",
        ("account",),
        "Calls in progress of an account. Near account_lines its callers hear 503: raise lines, "
        "or ask what it is doing.",
    ),
    Metric(
        "account_lines",
        "gauge",
        ("account",),
        "Calls that an account may have at once, +Inf without a limit. Alert on "
        "account_active_calls / account_lines.",
    ),
    Metric(
        "registered_phones",
        "gauge",
        (),
        "Phones that are online. If it falls at once, look at the network towards them.",
    ),
    Metric(
        "registers",
        "counter",
        ("code",),
        "REGISTERs that save() has answered, by status. Many 423: a phone asks for less than "
        "min_expires; 403: see trunkline phones and the account.",
    ),
    Metric(
        "auth_failures",
        "counter",
        ("reason",),
        "Requests with wrong credentials: password (of a phone that is known) or unknown_user. "
        "If it rises, somebody guesses: see trunkline blocks.",
    ),
    Metric(
        "blocked_addresses",
        "gauge",
        (),
        "Addresses that are blocked after too many wrong credentials. See who: trunkline blocks "
        "list; trunkline blocks lift ends one.",
    ),
    Metric(
        "blocked_requests",
        "counter",
        (),
        "Requests of blocked addresses, all refused. If it stays high, close the firewall to them.",
    ),
    Metric(
        "unrecorded_calls",
        "counter",
        ("reason",),
        "Refused calls of strangers that left no CDR, because their address has many already. A "
        "flood: close the firewall to it.",
    ),
    Metric(
        "sip_requests",
        "counter",
        ("method", "direction"),
        "SIP requests, resends not counted. Many of a method you do not serve come from scanners.",
    ),
    Metric(
        "sip_responses",
        "counter",
        ("method", "code", "direction"),
        "SIP responses, resends not counted. Codes in are the gateways' answers, codes out are "
        "what callers hear.",
    ),
    Metric(
        "sip_retransmissions",
        "counter",
        (),
        "Messages that had to be sent or answered again. If it rises, packets are lost or a peer "
        "or this machine is overloaded.",
    ),
    Metric(
        "sip_parse_errors",
        "counter",
        (),
        "Datagrams and stream messages that are not SIP. If it rises, find the sender in the log: "
        "a scanner, or a broken peer.",
    ),
    Metric(
        "route_duration_seconds",
        "histogram",
        ("route",),
        "Time a route of routes.cfg ran. A slow route holds up every call of its worker: look at "
        "its regexes and Python functions.",
    ),
    Metric(
        "route_errors",
        "counter",
        (),
        "Requests that ended with 500 because a route raised an error. The log names the line of "
        "routes.cfg: correct it.",
    ),
    Metric(
        "route_slow",
        "counter",
        ("route",),
        "Times a route held up its worker for more than 50 ms. The log names the Python function "
        "if it was one: make it async, or faster.",
    ),
    Metric(
        "hook_duration_seconds",
        "histogram",
        ("hook",),
        "Time a Python function took, waiting included. If it is long, look at the server or the "
        "file that it asks.",
    ),
    Metric(
        "hook_slow",
        "counter",
        ("hook",),
        "Times a Python function held up its worker for more than 50 ms. Make it async, or move "
        "the work into a thread.",
    ),
    Metric(
        "hook_errors",
        "counter",
        ("hook", "reason"),
        "Calls of a Python function that failed, each a 500. The log has the lines of routes.cfg "
        "and of the function: correct it.",
    ),
    Metric(
        "worker_up",
        "gauge",
        ("slot",),
        "1 when the worker's last heartbeat is younger than 5 seconds. At 0 it hangs or is being "
        "restarted: read the log.",
    ),
    Metric(
        "worker_strays",
        "counter",
        (),
        "Messages that reached a worker other than their call's and were handed over. Some are "
        "normal; all of them mean that kernel steering is off.",
    ),
    Metric(
        "worker_loop_lag_seconds",
        "histogram",
        (),
        "How late a worker comes to what is due. If it grows, calls wait: too few workers, or a "
        "route that is slow.",
    ),
    Metric(
        "process_cpu_seconds",
        "counter",
        ("process",),
        "Processor time of each process. A worker near one second a second is full: add workers, "
        "or cores.",
    ),
    Metric(
        "process_resident_bytes",
        "gauge",
        ("process",),
        "Memory of each process, shared parts included. If it only grows for hours, report it; "
        "a restart costs no answered call.",
    ),
    Metric(
        "process_start_time_seconds",
        "gauge",
        ("process",),
        "When each process was started, epoch seconds. If it changes, the process died: read the "
        "log.",
    ),
    Metric(
        "udp_queue_bytes",
        "gauge",
        (),
        "Bytes that wait in the UDP sockets. If it stays high, the workers cannot keep up.",
    ),
    Metric(
        "udp_drops",
        "counter",
        (),
        "Datagrams that the kernel dropped because a socket was full. Peers send them again: add "
        "workers, or raise net.core.rmem_max.",
    ),
    Metric(
        "store_used_bytes",
        "gauge",
        ("store",),
        "Size of live state and of the ledger. Alert on store_used_bytes / store_map_bytes.",
    ),
    Metric(
        "store_map_bytes",
        "gauge",
        ("store",),
        "How large a store may become. If the used bytes come near, export old CDRs and ask for a "
        "larger map.",
    ),
    Metric(
        "store_transactions",
        "counter",
        ("store",),
        "Commits of a store. If the ledger's stand still while calls end, see cdr_backlog.",
    ),
    Metric(
        "cdr_backlog",
        "gauge",
        (),
        "CDRs that wait for the ledger. If it only grows, the ledger process is down or its disk "
        "is full or slow; no CDR is lost.",
    ),
    Metric(
        "cdr_file_waiting",
        "gauge",
        (),
        "CDRs that the ledger has and the file of cdr_file does not. If it grows, the disk of the "
        "file is full or its folder cannot be written; no line is lost.",
    ),
    Metric(
        "config_info",
        "gauge",
        ("hash",),
        "Always 1; the label is the hash of the routes.cfg that decides. The same hash stands in "
        "every CDR.",
    ),
    Metric(
        "reloads",
        "counter",
        ("result",),
        "Reloads of routes.cfg, by how they ended: applied, refused (its findings), failed (ours). "
        "After a refusal the old configuration runs on: see trunkline check.",
    ),
    Metric(
        "api_requests",
        "counter",
        ("endpoint", "method", "code"),
        "Requests to the HTTP API by path, method and status. Many 5xx: see the log; many 503: "
        "clients ask for more than it does at once.",
    ),
    Metric(
        "api_request_duration_seconds",
        "histogram",
        ("endpoint",),
        "How long requests to the HTTP API took, by path. If it grows, narrow searches with since "
        "and until.",
    ),
    Metric(
        "api_auth_failures",
        "counter",
        ("reason",),
        "Requests to the HTTP API that were turned away by token or role. If wrong_token or "
        "too_often rises, somebody guesses.",
    ),
)

BY_NAME: Final = {metric.name: metric for metric in CATALOGUE}
