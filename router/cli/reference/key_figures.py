"""The key figures of docs/metrics.md: what each is, its formula and its recording rule.

ASR, ACD, NER and PDD are the trade's, the others those of RFC 6076. grafana/alerts.yml computes
them, and grafana/figures_test.yml shows that it does.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Figure(NamedTuple):
    """A figure: short name, what it is, the standard, its formula and its recording rule."""

    name: str
    what: str
    standard: str
    formula: str
    record: str


FIGURES: Final = (
    Figure(
        "ASR", "answer-seizure ratio", "ITU-T E.411",
        "answers / attempts",
        "trunkline:gateway_asr:ratio1h",
    ),
    Figure(
        "ACD", "average call duration", "",
        "answered seconds / answers",
        "trunkline:gateway_acd_seconds:mean1h",
    ),
    Figure(
        "NER", "network effectiveness ratio: the called network was reached", "ITU-T E.425",
        "1 − failures but 480, 486, 600, 603 and ResponseTimeout / attempts",
        "trunkline:gateway_ner:ratio15m",
    ),
    Figure(
        "PDD, SRD", "post-dial delay, session request delay of attempts that succeed",
        "RFC 6076 §4.3.1",
        "INVITE → first ringing, or the answer; 95 of 100 are below",
        "trunkline:gateway_pdd_seconds:p95_15m",
    ),
    Figure(
        "MOS", "mean opinion score, of relayed calls whose rtpengine reports one", "ITU-T P.800.1",
        "what rtpengine said last of each; the mean",
        "trunkline:gateway_mos:mean1h",
    ),
    Figure(
        "SRD, failed", "session request delay of attempts that fail", "RFC 6076 §4.3.2",
        "INVITE → its final status, or our time-out; 95 of 100 are below",
        "trunkline:gateway_failure_delay_seconds:p95_15m",
    ),
    Figure(
        "SDD", "session disconnect delay", "RFC 6076 §4.4",
        "our BYE → its answer, or 32 s without one; 95 of 100 are below",
        "trunkline:disconnect_delay_seconds:p95_15m",
    ),
    Figure(
        "SDT", "session duration time", "RFC 6076 §4.5",
        "answer → end; the mean",
        "trunkline:call_duration_seconds:mean1h",
    ),
    Figure(
        "SER", "session establishment ratio", "RFC 6076 §4.6",
        "answers / (attempts − failures by 3xx)",
        "trunkline:gateway_ser:ratio15m",
    ),
    Figure(
        "SEER", "session establishment effectiveness ratio", "RFC 6076 §4.7",
        "(answers + failures by 480, 486, 600, 603) / (attempts − failures by 3xx)",
        "trunkline:gateway_seer:ratio15m",
    ),
    Figure(
        "ISA", "ineffective session attempts", "RFC 6076 §4.8",
        "failures by 408, 500, 503, 504, ConnectionTimeout and ProceedingTimeout / attempts",
        "trunkline:gateway_isa:ratio15m",
    ),
    Figure(
        "SCR", "session completion ratio", "RFC 6076 §4.9",
        "calls with end reason Normal (answered, and one of the two hung up) / attempts",
        "trunkline:gateway_scr:ratio15m",
    ),
    Figure(
        "RRD", "registration request delay, of our registrations with gateways", "RFC 6076 §4.1",
        "REGISTER → its 200; 95 of 100 are below",
        "trunkline:gateway_registration_delay_seconds:p95_15m",
    ),
    Figure(
        "IRA", "ineffective registration attempts, of our registrations with gateways",
        "RFC 6076 §4.2",
        "registrations refused or missed / all",
        "trunkline:gateway_ira:ratio1h",
    ),
    Figure(
        "IRA of phones", "the same of the REGISTERs that phones send us", "RFC 6076 §4.2",
        "registers but 2xx, 401, 402, 407 / all",
        "trunkline:phones_ira:ratio1h",
    ),
)

_HEAD: Final = """\
## Key figures

All are counted per call attempt: one INVITE to one gateway. A call that hunts over three gateways
is three attempts, so the figures of a gateway say what it did; what callers heard in the end is
`trunkline_calls_total`. A resend, and the INVITE again after a challenge, are the same attempt.
What the caller gave up is an attempt and no failure. Ratios are 0 to 1, and a gateway without
attempts has none.

[alerts.yml](../grafana/alerts.yml) has a recording rule for each: by gateway, but SDD, SDT and the
phones' IRA. RRD, IRA and SRD are measured where we are the client; what our callers measure of us
is theirs to tell.

| figure | what it is | standard | formula | recording rule |
|---|---|---|---|---|
"""


def key_figures() -> str:
    """The part of the page with the figures and their formulas."""
    rows = "".join(
        f"| {one.name} | {one.what} | {one.standard or '—'} | {one.formula} | `{one.record}` |\n"
        for one in FIGURES
    )
    return _HEAD + rows
