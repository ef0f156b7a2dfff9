"""The trade's figures in PromQL, each written once: dashboards, alerts' twins and docs agree.

Counted per call attempt (one INVITE to one gateway), never per packet.

    ASR    answered attempts / attempts                                (RFC 6076 §4.6.2's SER, less)
    NER    attempts that reached the called network / attempts: answered, busy, no answer, rejected
    ACD    seconds talked / answered calls
    PDD    INVITE to the gateway until it rings or answers             (RFC 6076 §4.3, SRD)
"""

from __future__ import annotations

REACHED = "Normal|UserBusy|ResponseTimeout|Cancelled|SessionTimeout|InsufficientBalance"
"""End reasons with which the network did its part: the called party decided, or the caller did."""


def rate(metric: str, labels: str = "", window: str = "$__rate_interval") -> str:
    """A counter's rate."""
    return f"rate(trunkline_{metric}{{{labels}}}[{window}])" if labels else (
        f"rate(trunkline_{metric}[{window}])"
    )


def asr(by: str = "", labels: str = "", window: str = "$__rate_interval") -> str:
    """The answer-seizure ratio, 0 to 1."""
    group = f" by ({by})" if by else ""
    answers = rate("call_answers_total", labels, window)
    attempts = rate("call_attempts_total", labels, window)
    return f"sum{group} ({answers}) / (sum{group} ({attempts}) > 0)"


def ner(by: str = "", labels: str = "", window: str = "$__rate_interval") -> str:
    """The network effectiveness ratio, 0 to 1, over ended calls that were tried on a gateway."""
    group = f" by ({by})" if by else ""
    tried = f'gateway!="none"{"," + labels if labels else ""}'
    reached = rate("calls_total", f'{tried},reason=~"{REACHED}"', window)
    ended = rate("calls_total", tried, window)
    return f"sum{group} ({reached}) / (sum{group} ({ended}) > 0)"


def acd(window: str = "$__rate_interval") -> str:
    """The average call duration in seconds."""
    total = f"sum(rate(trunkline_call_duration_seconds_sum[{window}]))"
    count = f"sum(rate(trunkline_call_duration_seconds_count[{window}]))"
    return f"{total} / ({count} > 0)"


def pdd(quantile: float, by: str = "", labels: str = "") -> str:
    """A quantile of the post-dial delay in seconds."""
    group = f"{by}, le" if by else "le"
    buckets = rate("post_dial_delay_seconds_bucket", labels)
    return f"histogram_quantile({quantile}, sum by ({group}) ({buckets}))"


def finite(expr: str) -> str:
    """The expression without its +Inf: limits that are none."""
    return f"({expr} < +Inf)"
