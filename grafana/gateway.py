"""Gateway: everything about one of them, or some, chosen above."""

from __future__ import annotations

from typing import Any

from grafana import panels
from grafana.panels import BAD, CALM, GOOD, WARN, Query, Step
from grafana.queries import asr, finite, ner, pdd, rate

UID = "trunkline-gateway"
CHOSEN = 'gateway=~"$gateway"'


def build() -> Any:
    """The dashboard."""
    page = panels.page(
        UID, "Trunkline / Gateway", "One gateway, or some: lines, attempts, answers, delays.",
        variables=[
            panels.choice("gateway", "Gateway", "label_values(trunkline_gateway_up, gateway)"),
        ],
        down=f"trunkline_gateway_up{{{CHOSEN}}} == 0",
    )
    load = f"trunkline_active_calls{{{CHOSEN}}}"
    for panel in (
        panels.number("Up", Query(f"min(trunkline_gateway_up{{{CHOSEN}}})"), "bool_yes_no",
                      "No: it is down, aside or not registered: trunkline gateways show NAME.",
                      (Step(None, BAD), Step(1, GOOD))),
        panels.number("Lines in use", Query(f"sum({load})"), "short",
                      "Calls on it now.", decimals=0),
        panels.number("Attempts", Query(f"sum({rate('call_attempts_total', CHOSEN)})"), "cps",
                      "INVITEs per second.", decimals=1),
        panels.number("ASR", Query(asr(labels=CHOSEN, window="15m")), "percentunit",
                      "Answered of its attempts, last 15 minutes.",
                      (Step(None, BAD), Step(0.3, WARN), Step(0.5, GOOD)), decimals=1),
        panels.number("PDD, half of the calls", Query(pdd(0.5, labels=CHOSEN)), "s",
                      "INVITE until it rings.",
                      (Step(None, GOOD), Step(4, WARN), Step(8, BAD)), decimals=2),
        panels.number("Cost an hour", Query(
            f"3600 * sum(rate(trunkline_gateway_costs_total{{{CHOSEN}}}[1h])) or vector(0)"),
            "short", "What its vendor asks for the calls of the last hour.", decimals=2),
        panels.lines("Lines", [
            Query(load, "{{gateway}} in use"),
            Query(finite(f"trunkline_gateway_lines{{{CHOSEN}}}"), "{{gateway}} allowed"),
        ], "short", "In use against allowed; none is drawn where there is no limit."),
        panels.lines("Attempts and answers", [
            Query(f"sum by (gateway) ({rate('call_attempts_total', CHOSEN)})",
                  "{{gateway}} attempts"),
            Query(f"sum by (gateway) ({rate('call_answers_total', CHOSEN)})",
                  "{{gateway}} answers"),
        ], "cps", "Attempts without answers: see the end reasons beside."),
        panels.lines("End reasons", [
            Query(f"sum by (reason) ({rate('calls_total', CHOSEN)})", "{{reason}}"),
        ], "cps", "How the calls whose last gateway it was have ended.", stacked=True),
        panels.lines("ASR and NER", [
            Query(asr("gateway", CHOSEN), "{{gateway}} ASR"),
            Query(ner("gateway", CHOSEN), "{{gateway}} NER"),
        ], "percentunit", "NER far under the other gateways': ask its carrier.", maximum=1),
        panels.heat("Post-dial delay", "sum by (le) (increase("
                    f"trunkline_post_dial_delay_seconds_bucket{{{CHOSEN}}}[$__rate_interval]))",
                    "How long calls waited for the first ring: the darker the more calls."),
        panels.lines("Post-dial delay, 95 of 100 calls", [
            Query(pdd(0.95, "gateway", CHOSEN), "{{gateway}}"),
        ], "s", "Against the others: a gateway that is slower than its price deserves."),
        panels.lines("Up and down", [
            Query(f"trunkline_gateway_up{{{CHOSEN}}}", "{{gateway}}"),
        ], "bool_yes_no", "1 while it is a candidate for calls.", maximum=1, table_legend=False),
        panels.lines("OPTIONS missed", [
            Query(f"sum by (gateway) (increase(trunkline_gateway_pings_total"
                  f'{{{CHOSEN},result="missed"}}[5m]))', "{{gateway}}"),
        ], "short", "Three misses in a row take it down.", table_legend=False,
            steps=(Step(None, CALM), Step(3, BAD))),
    ):
        page = page.with_panel(panel)
    return page
