"""The trade's figures in PromQL, each written once: dashboards, alerts' twins and docs agree.

Counted per call attempt (one INVITE to one gateway), never per packet.

    ASR    answered attempts / attempts                                (RFC 6076 §4.6's SER, less)
    NER    attempts that reached the called network / attempts: answered, busy, not taken,
           absent or declined, given up by the caller                  (ITU-T E.425)
    ACD    seconds talked / answered calls
    PDD    INVITE to the gateway until it rings or answers             (RFC 6076 §4.3, SRD)

An attempt's end may fall into a later window than its beginning: ratios are kept between 0 and 1.
"""

from __future__ import annotations

REACHED = "480|486|600|603|ResponseTimeout"
"""How attempts fail with which the network did its part: the called party decided."""
FAULTS = f'code!~"{REACHED}"'
"""The other ways: the gateway's, its network's, or ours."""


def rate(metric: str, labels: str = "", window: str = "$__rate_interval") -> str:
    """A counter's rate."""
    return f"rate(trunkline_{metric}{{{labels}}}[{window}])" if labels else (
        f"rate(trunkline_{metric}[{window}])"
    )


def asr(by: str = "", labels: str = "", window: str = "$__rate_interval") -> str:
    """The answer-seizure ratio, 0 to 1."""
    group = f" by ({by})" if by else ""
    answers = rate("call_answers_total", labels, window)
    attempts = f"sum{group} ({rate('call_attempts_total', labels, window)})"
    # What has never been answered has no series of answers, and is what must be seen: 0.
    return (
        f"clamp_max((sum{group} ({answers}) or 0 * {attempts}) / ({attempts} > 0), 1)"
    )


def ner(by: str = "", labels: str = "", window: str = "$__rate_interval") -> str:
    """The network effectiveness ratio, 0 to 1."""
    group = f" by ({by})" if by else ""
    faults = rate("call_attempt_failures_total", f"{labels},{FAULTS}" if labels else FAULTS, window)
    attempts = f"sum{group} ({rate('call_attempts_total', labels, window)})"
    # Where nothing has failed yet there is no series that could be subtracted.
    return (
        f"clamp_min(1 - (sum{group} ({faults}) or 0 * {attempts}) / ({attempts} > 0), 0)"
    )


def acd(window: str = "$__rate_interval") -> str:
    """The average call duration in seconds."""
    total = f"sum(rate(trunkline_call_duration_seconds_sum[{window}]))"
    count = f"sum(rate(trunkline_call_duration_seconds_count[{window}]))"
    return f"{total} / ({count} > 0)"


def pdd(
    quantile: float, by: str = "", labels: str = "", window: str = "$__rate_interval"
) -> str:
    """A quantile of the post-dial delay in seconds."""
    group = f"{by}, le" if by else "le"
    buckets = rate("post_dial_delay_seconds_bucket", labels, window)
    return f"histogram_quantile({quantile}, sum by ({group}) ({buckets}))"


def finite(expr: str) -> str:
    """The expression without its +Inf: limits that are none."""
    return f"({expr} < +Inf)"
