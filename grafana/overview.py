"""Overview: is everything well, and if not, where to look."""

from __future__ import annotations

from typing import Any

from grafana import pages, panels, tables
from grafana.colours import BAD, CALM, GOOD, LIMIT, WARN, Step
from grafana.panels import Query
from grafana.queries import FAULTS, acd, asr, finite, ner, pdd, rate
from grafana.reasons import MEANINGS
from grafana.tables import Column, Link

UID = "trunkline-overview"
IN, OUT = 'direction="in"', 'direction="out"'
GATEWAY_LINK = "/d/trunkline-gateway?var-gateway=${__data.fields.Gateway}&${__url_time_range}"
REASON_LINK = "/d/trunkline-reasons?var-reason=${__data.fields.Reason}&${__url_time_range}"
QUALITY = (Step(None, BAD), Step(0.3, WARN), Step(0.5, GOOD))
EFFECT = (Step(None, BAD), Step(0.8, WARN), Step(0.95, GOOD))


def build() -> Any:
    """The dashboard."""
    page = pages.page(
        UID, "Trunkline / Overview", "Calls, how many succeed, and what stops the others.",
        events=[pages.gateway_down()],
    )
    for panel in (*_numbers(), *_curves(), *_rankings()):
        page = page.with_panel(panel)
    return page


def _numbers() -> list[Any]:
    return [
        panels.number("Calls in progress", Query("sum(trunkline_active_calls)"), "short",
                      "Lines in use on all gateways now.", decimals=0),
        panels.number("Call attempts", Query(f"sum({rate('call_attempts_total')})"), "cps",
                      "INVITEs to gateways per second. None while callers call: see end reasons.",
                      decimals=1),
        panels.number("ASR", Query(asr(window="15m")), "percentunit",
                      "Answered attempts of all, last 15 minutes. If it falls, look which gateway "
                      "and which end reason below.", QUALITY, decimals=1),
        panels.number("NER", Query(ner(window="15m")), "percentunit",
                      "Attempts that reached the called network, last 15 minutes: what is missing "
                      "to 100 % is the network's fault or ours.", EFFECT, decimals=1),
        panels.number("ACD", Query(acd("15m")), "s",
                      "Average duration of answered calls. A sudden fall means no audio, or cuts."),
        panels.number("Gateways down", Query("count(trunkline_gateway_up == 0) or vector(0)"),
                      "short", "trunkline gateways list tells why.",
                      (Step(None, GOOD), Step(1, BAD)), decimals=0),
    ]


def _curves() -> list[Any]:
    limits = f"sum{finite('trunkline_gateway_lines')}"
    return [
        panels.lines("Calls in progress and lines", [
            Query("sum(trunkline_active_calls)", "in progress", CALM),
            Query(limits, "lines of gateways with a limit", LIMIT, limit=True),
        ], "short", "When the two meet, calls overflow or are refused."),
        panels.lines("Call attempts by gateway", [
            Query(f"sum by (gateway) ({rate('call_attempts_total')})", "{{gateway}}"),
        ], "cps", "Who carries the traffic.", stacked=True, by="gateway"),
        panels.lines("ASR and NER", [
            Query(asr(), "ASR", GOOD), Query(ner(), "NER", CALM),
        ], "percentunit", "ASR is the callers' view, NER the network's.", maximum=1),
        panels.lines("Post-dial delay", [
            Query(pdd(0.5), "half of the calls wait less", CALM),
            Query(pdd(0.95), "95 of 100 wait less", WARN),
        ], "s", "INVITE to the gateway until it rings. Slow gateways: lower their priority."),
        panels.lines("End reasons", [
            Query(f"sum by (reason) ({rate('calls_total')})", "{{reason}}"),
        ], "cps", "How calls end. A reason that grows tells where to look.", stacked=True,
            by="reason"),
        panels.bars("Load of gateways", Query(
            f"trunkline_active_calls / {finite('trunkline_gateway_lines')}", "{{gateway}}"),
            "percentunit", "Lines in use of those allowed, now; over 90 % more lines are due.",
            (Step(None, CALM), Step(0.7, WARN), Step(0.9, BAD))),
    ]


def _rankings() -> list[Any]:
    failed = (
        "topk(10, sum by (gateway) (increase(trunkline_call_attempt_failures_total"
        f"{{{FAULTS}}}[1h])) > 0)"
    )
    attempts = "sum by (gateway) (increase(trunkline_call_attempts_total[1h]))"
    why = (
        'topk(10, sum by (reason) (increase(trunkline_calls_total{reason!="Normal"}[1h])) > 0)'
    )
    return [
        tables.ranking("Top failing gateways", [
            Column("Failed", failed, decimals=0, width=110),
            Column("Of its attempts", f"clamp_max(({failed}) / on (gateway) {attempts}, 1)",
                   "percentunit", 0, (Step(None, CALM), Step(0.1, WARN), Step(0.3, BAD)),
                   gauge=True),
            Column("ASR", f"({asr('gateway', window='1h')}) and on (gateway) ({failed})",
                   "percentunit", 0, QUALITY, width=110),
        ], ["gateway"], "Attempts of the last hour that the gateway or its network failed, also "
            "where another gateway then took the call; not those that were busy, not taken or "
            "given up.", none="no attempt has failed", sort="Failed",
            links=[Link("Gateway", "This gateway", GATEWAY_LINK)]),
        tables.ranking("Why calls failed", [
            Column("Calls", why, decimals=0, width=110),
        ], ["reason"], "End reasons of the last hour; click one for who and where.",
            none="no call has failed", sort="Calls", words=[MEANINGS], widths={"Reason": 210},
            links=[Link("Reason", "This end reason", REASON_LINK)]),
        panels.states("Gateways", Query("max by (gateway) (trunkline_gateway_up)", "{{gateway}}"),
                      "Down: it leaves OPTIONS or INVITEs unanswered, is aside, or has not "
                      "registered us. trunkline gateways show NAME.",
                      {1: ("up", GOOD), 0: ("down", BAD)}),
        panels.lines("SIP", [
            Query(f"sum({rate('sip_requests_total', IN)})", "requests in", CALM),
            Query(f"sum({rate('sip_requests_total', OUT)})", "requests out", "light-blue"),
            Query(rate("sip_retransmissions_total"), "sent again", WARN),
            Query(rate("sip_parse_errors_total"), "not SIP", BAD),
        ], "reqps", "Resends that rise: packets are lost, or somebody is overloaded.",
            by="kind"),
    ]
