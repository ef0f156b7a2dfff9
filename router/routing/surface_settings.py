"""The settings and blocks of routes.cfg, as entries of the function table."""

from __future__ import annotations

from dsl.surface import BlockSchema, Setting, ValueType, by_name
from router.billing.rate import KINDS
from router.core.end_reasons import EndReason
from router.routing.surface_api import API
from router.routing.surface_callers import (
    CALLED_SETTINGS,
    CALLEES,
    CALLER_SETTINGS,
    CALLERS,
    LIST,
)
from router.routing.surface_capture import CAPTURE
from router.routing.surface_functions import GATEWAY
from router.routing.surface_media import GATEWAY_MEDIA, GLOBAL_MEDIA, MEDIA
from router.routing.surface_metrics import METRICS

STRING = ValueType("string")
BOOL = ValueType("bool")
DECIMAL = ValueType("decimal")
AMOUNT = ValueType("amount")
DURATION = ValueType("duration")
POSITIVE = ValueType("int", minimum=1)
NATURAL = ValueType("int", minimum=0)
NETWORKS = ValueType("network", many=True)
PREFIX = ValueType("prefix")
PREFIXES = ValueType("prefix", many=True)
CODES = ValueType("codes", many=True)
RULES = ValueType("rules")
TIMES = ValueType("times")
CODE_PAIRS = ValueType("code_pair", many=True)
REASONS = ValueType(
    "code_reason",
    many=True,
    # The others end calls that were answered.
    choices=tuple(reason.name for reason in EndReason if reason.status),
)
LENGTHS = ValueType("lengths", minimum=1, maximum=64)
DATE = ValueType("date")
MINUTES = ValueType("amount", maximum=1_440)
DECIMALS = ValueType("int", minimum=0, maximum=6)
LINES = ValueType("int", minimum=0)


def _word(*choices: str, many: bool = False) -> ValueType:
    return ValueType("word", many=many, choices=choices)


def _reference(kind: str, many: bool = False) -> ValueType:
    return ValueType("reference", many=many, refers=kind)


TIMERS = (
    Setting(
        "invite_timeout",
        DURATION,
        "No response at all to the INVITE: ConnectionTimeout.",
        "10s",
        ("SS_SIP_TIMEOUT_INVITE",),
    ),
    Setting(
        "trying_timeout",
        DURATION,
        "100 and nothing more: ProceedingTimeout.",
        "20s",
        ("SS_SIP_TIMEOUT_TRYING",),
    ),
    Setting(
        "progress_timeout",
        DURATION,
        "183 without SDP: ProceedingTimeout.",
        "20s",
        ("SS_SIP_TIMEOUT_SESSION_PROGRESS",),
    ),
    Setting(
        "media_progress_timeout",
        DURATION,
        "183 with SDP: ResponseTimeout.",
        "120s",
        ("SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP",),
    ),
    Setting(
        "ringing_timeout",
        DURATION,
        "180 and no answer: ResponseTimeout.",
        "120s",
        ("SS_SIP_TIMEOUT_RINGING", "SS_TIMEOUT_PHONE_HANGUP"),
    ),
    Setting(
        "max_duration",
        DURATION,
        "The longest call: SessionTimeout.",
        "7200s",
        ("SS_SIP_NO_TIMER_REINVITE_INTERVAL",),
    ),
    Setting(
        "session_expires",
        DURATION,
        "The session timer of the peer's own leg (RFC 4028), refreshed at half; 0s: none. "
        "Not refreshed: SessionTimeout.",
        "600s",
        ("SS_SIP_SESSION_TTL",),
    ),
)
_LENGTH = Setting(
    "number_length",
    LENGTHS,
    "How long caller and callee may be, as in 1-32.",
    "1-32",
    ("SS_CALLERALLOWLENGTH",),
)

_MUST_REGISTER = Setting(
    "must_register",
    BOOL,
    "Whether a phone may call only while it is registered: Unregistered.",
    "false",
)
_REASONS = Setting(
    "reason_of",
    REASONS,
    "What final codes of gateways mean: 403:CalledNumberRestricted, 480:UserBusy.",
    "docs/end-reasons.md",
)

PHONES = (
    Setting("realm", STRING, "The realm that phones prove themselves in.", "trunkline"),
    Setting(
        "digest",
        _word("md5", "sha256", many=True),
        "The algorithms that phones are offered, the preferred one first, as md5, sha256; some old "
        "phones know md5 only, and give up when there is another.",
        "md5",
    ),
    Setting("nonce_lifetime", DURATION, "How long a nonce is good.", "5m"),
    Setting(
        "block_after",
        NATURAL,
        "After so many wrong credentials an address is blocked, unless it is a trunk's; 0: never.",
        "10",
    ),
    Setting("block_within", DURATION, "The time in which they count.", "1m"),
    Setting("block_time", DURATION, "How long an address is blocked.", "10m"),
    Setting("min_expires", DURATION, "The shortest registration; else 423.", "60s"),
    Setting("max_expires", DURATION, "The longest registration; longer ones are cut.", "1h"),
    Setting("max_contacts", POSITIVE, "How many contacts a phone may have.", "10"),
    _MUST_REGISTER,
)

GLOBAL = (
    Setting(
        "listen",
        ValueType("listener", many=True),
        "Where SIP is received: udp:127.0.0.1:5060, tcp:127.0.0.1:5060.",
        "udp:127.0.0.1:5060",
    ),
    Setting(
        "workers",
        ValueType("count", choices=("auto",), minimum=1, maximum=240),
        "How many worker processes; auto is one for each core.",
        "auto",
    ),
    Setting("state", STRING, "The folder of the LMDB files, from this file's folder.", "state"),
    *METRICS,
    *API,
    Setting(
        "cdr_file",
        ValueType("file_by_time"),
        'The file that every CDR is written to, .csv or .jsonl: "cdrs/%Y%m%d-%H.csv".',
        "none",
    ),
    Setting(
        "cdr_file_mb",
        POSITIVE,
        "At how many megabytes another part follows: calls.csv, calls.1.csv.",
        "no limit",
    ),
    Setting(
        "log_calls",
        _word("all", "failed", "none"),
        "Which calls have a line in the log when they have ended; failed: those without an answer.",
        "all",
    ),
    *CAPTURE,
    Setting("max_attempts", POSITIVE, "How many gateways one call tries at most.", "5"),
    Setting("max_hops", POSITIVE, "How often one call is forwarded at most.", "5"),
    Setting(
        "hook_timeout",
        DURATION,
        "How long a route may wait for async Python functions, all together.",
        "2s",
    ),
    Setting("shutdown_timeout", DURATION, "How long running calls may go on at a stop.", "30s"),
    Setting("t1", DURATION, "RFC 3261's T1, the round trip.", "500ms"),
    Setting("t2", DURATION, "RFC 3261's T2, the longest resend interval.", "4s"),
    *TIMERS,
    _LENGTH,
    _REASONS,
    *PHONES,
    *CALLEES,
    *CALLERS,
    *GLOBAL_MEDIA,
    Setting("lines", LINES, "Lines of the whole server.", "unlimited"),
    Setting("cps", POSITIVE, "Calls per second of the whole server.", "unlimited"),
)

_NUMBERS = (
    Setting("callee_in", RULES, 'Rewrite rules for the callee as it arrives: "0086:86".'),
    Setting("caller_in", RULES, "Rewrite rules for the caller as it arrives."),
)
_NUMBERS_OUT = (
    Setting("callee_out", RULES, 'Rewrite rules for the callee as it leaves: "86:0086".'),
    Setting("caller_out", RULES, "Rewrite rules for the caller as it leaves."),
)
_LINES = Setting("lines", LINES, "How many calls at once.", "unlimited")
_CPS = Setting("cps", POSITIVE, "How many calls per second.", "unlimited")
_PRIORITY = Setting("priority", NATURAL, "The smaller number goes first.", "1")

GATEWAY_SETTINGS = (
    Setting(
        "address",
        ValueType("address", many=True),
        "Where calls are sent: 192.0.2.1:5060, with ;transport=tcp over TCP. Of several the next "
        "is tried when one fails; one that gave no answer comes last from then on.",
        required=True,
    ),
    Setting("prefixes", PREFIXES, "The beginnings of the numbers it serves."),
    _PRIORITY,
    _LINES,
    Setting(
        "switch_on",
        CODES,
        "Final codes after which the next gateway is tried.",
        "408, 500, 502-504, 506-599",
    ),
    _REASONS,
    Setting("switch_after_ring", BOOL, "Whether to go on after it rang.", "false"),
    Setting("switch_after_media", BOOL, "Whether to go on after early media.", "false"),
    Setting("deck", _reference("deck"), "The rates the vendor asks."),
    Setting("max_rate", DECIMAL, "The highest rate a minute that is paid."),
    Setting("min_margin", DECIMAL, "The lowest margin a minute that is accepted."),
    Setting(
        "clearing",
        _reference("account"),
        "The account that the vendor's cost is taken from; used up, no call goes here.",
    ),
    *TIMERS,
    Setting(
        "prefix_mode",
        _word("continue", "terminate"),
        "Whether gateways with shorter prefixes follow; after terminate none does, also when this "
        "gateway is full or down.",
        "continue",
    ),
    *_NUMBERS_OUT,
    *CALLED_SETTINGS,
    *CALLERS,
    Setting(
        "in_time",
        TIMES,
        'When it takes calls: "Mo-Fr 08:00-18:00 Asia/Shanghai"; UTC without a zone.',
        "always",
    ),
    _CPS,
    Setting("group", _reference("group"), "The group it belongs to."),
    Setting(
        "ping",
        DURATION,
        "How often OPTIONS asks whether it is up, at least 1s; 0s: never. It is down after three "
        "pings in a row without an answer, or with 503, and up again after two answers.",
        "30s",
    ),
    Setting(
        "protect",
        BOOL,
        "Whether it is kept for when all others have failed, whatever prefixes and priorities.",
        "false",
    ),
    Setting(
        "protect_delay",
        DURATION,
        "How long a call has to hunt until a protected gateway stands at its ordinary place; "
        "without it, it only joins after the others.",
    ),
    Setting("username", STRING, "The user name that answers its 401 and 407."),
    Setting("password", STRING, 'The password of that user, best as env("NAME").'),
    Setting(
        "register",
        BOOL,
        "Whether to register with it as that user. It is down while we are not registered; its "
        "calls come in as those of a trunk with its address.",
        "false",
    ),
    *GATEWAY_MEDIA,
)

ACCOUNT_SETTINGS = (
    Setting("status", _word("active", "locked"), "Whether it may call.", "active"),
    Setting("expires", DATE, "The last day on which it may call."),
    Setting("deck", _reference("deck"), "The rates it pays."),
    Setting("fee_decimals", DECIMALS, "Decimals of a charge.", "6"),
    Setting("hold_precision", DURATION, "Remainders below it are not billed.", "50ms"),
    _LINES,
    _CPS,
    *TIMERS,
    _LENGTH,
    *CALLEES,
    *CALLERS,
    _MUST_REGISTER,
    Setting(
        "agent",
        _reference("account"),
        "The account above it, whose lock, expiry, limits and credit hold for it too, and which "
        "pays by its own deck.",
    ),
    Setting(
        "balance",
        AMOUNT,
        "The opening balance; from then on the ledger's. Without one there is no limit of credit.",
    ),
    Setting("overdraft", AMOUNT, "How far below zero the balance may go.", "0"),
    Setting(
        "balance_low",
        AMOUNT,
        "Below this balance event_route[balance:low] runs, once.",
        "never",
        event="balance:low",
    ),
    Setting(
        "permit",
        _word(*KINDS, many=True),
        "The kinds of call it may make: the kind of the number's rate.",
        "all",
    ),
    Setting(
        "reserve_minutes",
        MINUTES,
        "For how long a call sets credit aside at a time; its first period at least.",
        "1",
    ),
    MEDIA,
)

TRUNK_SETTINGS = (
    Setting(
        "ips", NETWORKS, "The networks its calls come from.", required=True, unless="password"
    ),
    Setting("username", STRING, "The user name that it proves itself under.", "its name"),
    Setting(
        "password",
        STRING,
        "With one its calls have to prove themselves by digest; without `ips` they may come from "
        "anywhere, and every stranger is asked for credentials.",
    ),
    Setting("caller_prefix", PREFIX, "Only calls whose caller begins with this."),
    _PRIORITY,
    _LINES,
    *TIMERS,
    _LENGTH,
    *_NUMBERS,
    *CALLEES,
    *CALLERS,
    *CALLER_SETTINGS,
    Setting("replace_codes", CODE_PAIRS, "Codes to its callers replaced: 503:480.", "none"),
    _CPS,
    Setting(
        "groups",
        _reference("group", many=True),
        "The groups of gateways it may use.",
        "all gateways",
    ),
    MEDIA,
)

PHONE_SETTINGS = (
    Setting("password", STRING, "The password of its registration.", required=True),
    Setting("ips", NETWORKS, "The networks it may come from.", "all"),
    _MUST_REGISTER,
    _LINES,
    *_NUMBERS,
    Setting("forward_always", STRING, "Where every call is forwarded."),
    Setting("forward_busy", STRING, "Where calls are forwarded when it is busy."),
    Setting("forward_no_answer", STRING, "Where calls are forwarded that nobody answers."),
    Setting("forward_offline", STRING, "Where calls are forwarded when it is offline."),
    Setting("forward_after", DURATION, "How long it rings before that.", "20s"),
    *_NUMBERS_OUT,
    MEDIA,
)

BLOCKS = {
    "gateway": BlockSchema(
        "gateway",
        by_name(*GATEWAY_SETTINGS),
        "A peer that calls are sent to.",
        expression=GATEWAY,
    ),
    "account": BlockSchema(
        "account",
        by_name(*ACCOUNT_SETTINGS),
        "A customer, who pays.",
        children=("trunk", "phone"),
    ),
    "trunk": BlockSchema(
        "trunk",
        by_name(*TRUNK_SETTINGS),
        "A customer's peer, known by its networks.",
        top=False,
    ),
    "phone": BlockSchema(
        "phone",
        by_name(*PHONE_SETTINGS),
        "A phone that registers; its number is its user name.",
        top=False,
        unique=True,
    ),
    "deck": BlockSchema(
        "deck",
        by_name(
            Setting(
                "file",
                STRING,
                "The CSV file of its rates. Without one they are loaded by trunkline load rates.",
            )
        ),
        "A list of rates.",
        unused=True,
    ),
    "list": LIST,
    "group": BlockSchema(
        "group",
        by_name(
            _LINES,
            _CPS,
            Setting(
                "reserved_lines",
                LINES,
                "How many of its lines are kept for trunks that name the group in `groups`; when "
                "no more are free, its gateways take no calls of others.",
                "0",
            ),
        ),
        "Gateways that share limits.",
        unused=True,
    ),
}
