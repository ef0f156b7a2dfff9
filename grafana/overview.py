"""Overview: is everything well, and if not, where to look."""

from __future__ import annotations

from typing import Any

from grafana import panels
from grafana.panels import BAD, CALM, GOOD, WARN, Query, Step
from grafana.queries import acd, asr, finite, ner, pdd, rate

UID = "trunkline-overview"
IN, OUT = 'direction="in"', 'direction="out"'
GATEWAY_LINK = "/d/trunkline-gateway?var-gateway=${__data.fields.Gateway}&${__url_time_range}"
REASON_LINK = "/d/trunkline-reasons?var-reason=${__data.fields.Reason}&${__url_time_range}"


def build() -> Any:
    """The dashboard."""
    in_use = "sum(trunkline_active_calls)"
    limits = f"sum{finite('trunkline_gateway_lines')}"
    quality = (Step(None, BAD), Step(0.3, WARN), Step(0.5, GOOD))
    page = panels.page(
        UID, "Trunkline / Overview", "Calls, how many succeed, and what stops the others.",
        down="trunkline_gateway_up == 0",
    )
    for panel in (
        panels.number("Calls in progress", Query(in_use), "short",
                      "Lines in use on all gateways now.", decimals=0),
        panels.number("Call attempts", Query(f"sum({rate('call_attempts_total')})"), "cps",
                      "INVITEs to gateways per second. None while callers call: see end reasons.",
                      decimals=1),
        panels.number("ASR", Query(asr(window="15m")), "percentunit",
                      "Answered attempts of all, last 15 minutes. If it falls, look which gateway "
                      "and which end reason below.", quality, decimals=1),
        panels.number("NER", Query(ner(window="15m")), "percentunit",
                      "Calls that reached the called network, last 15 minutes: what is missing to "
                      "100 % is the network's fault or ours.",
                      (Step(None, BAD), Step(0.8, WARN), Step(0.95, GOOD)), decimals=1),
        panels.number("ACD", Query(acd("15m")), "s",
                      "Average duration of answered calls. A sudden fall means no audio, or cuts."),
        panels.number("Gateways down", Query("count(trunkline_gateway_up == 0) or vector(0)"),
                      "short", "trunkline gateways list tells why.",
                      (Step(None, GOOD), Step(1, BAD)), decimals=0),
        panels.lines("Calls in progress and lines", [
            Query(in_use, "in progress"), Query(limits, "lines of gateways with a limit"),
        ], "short", "When the two meet, calls overflow or are refused."),
        panels.lines("Call attempts by gateway", [
            Query(f"sum by (gateway) ({rate('call_attempts_total')})", "{{gateway}}"),
        ], "cps", "Who carries the traffic.", stacked=True),
        panels.lines("ASR and NER", [
            Query(asr(), "ASR"), Query(ner(), "NER"),
        ], "percentunit", "ASR is the callers' view, NER the network's.", maximum=1),
        panels.lines("Post-dial delay", [
            Query(pdd(0.5), "half"), Query(pdd(0.95), "95 of 100"),
        ], "s", "INVITE to the gateway until it rings. Slow gateways: lower their priority."),
        panels.lines("End reasons", [
            Query(f"sum by (reason) ({rate('calls_total')})", "{{reason}}"),
        ], "cps", "How calls end. A reason that grows tells where to look.", stacked=True),
        panels.ranking("Top failing gateways", [
            ("Failed", "topk(10, sum by (gateway) (increase(trunkline_calls_total"
             '{reason!~"Normal|UserBusy|Cancelled|ResponseTimeout",gateway!="none"}[1h])))',
             "short"),
        ], ["gateway"], "Calls of the last hour that the network failed, by their last gateway.",
            sort="Failed", width=6, links=[("Gateway", "This gateway", GATEWAY_LINK)]),
        panels.ranking("Why calls failed", [
            ("Calls", 'topk(10, sum by (reason) (increase(trunkline_calls_total{reason!="Normal"}'
             "[1h])))", "short"),
        ], ["reason"], "End reasons of the last hour.", sort="Calls", width=6,
            links=[("Reason", "This end reason", REASON_LINK)]),
        panels.lines("Load of gateways", [
            Query(f"trunkline_active_calls / {finite('trunkline_gateway_lines')}", "{{gateway}}"),
        ], "percentunit", "Lines in use of those allowed; over 90 % more lines are due.",
            maximum=1, steps=(Step(None, CALM), Step(0.9, BAD))),
        panels.lines("SIP", [
            Query(f"sum({rate('sip_requests_total', IN)})", "requests in"),
            Query(f"sum({rate('sip_requests_total', OUT)})", "requests out"),
            Query(rate("sip_retransmissions_total"), "sent again"),
            Query(rate("sip_parse_errors_total"), "not SIP"),
        ], "reqps", "Resends that rise: packets are lost, or somebody is overloaded."),
    ):
        page = page.with_panel(panel)
    return page
