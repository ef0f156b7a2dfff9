"""Gateway: everything about one of them, or some, chosen above."""

from __future__ import annotations

from typing import Any

from grafana import pages, panels
from grafana.colours import BAD, CALM, GOOD, WARN, Step
from grafana.panels import Query
from grafana.queries import asr, finite, ner, pdd, rate

UID = "trunkline-gateway"
CHOSEN = 'gateway=~"$gateway"'
LOAD = f"trunkline_active_calls{{{CHOSEN}}}"


def build() -> Any:
    """The dashboard."""
    page = pages.page(
        UID, "Trunkline / Gateway", "One gateway, or some: lines, attempts, answers, delays.",
        variables=[
            pages.choice("gateway", "Gateway", "label_values(trunkline_gateway_up, gateway)"),
        ],
        events=[pages.gateway_down(CHOSEN)],
    )
    for panel in (*_numbers(), *_traffic(), *_quality()):
        page = page.with_panel(panel)
    return page


def _numbers() -> list[Any]:
    return [
        panels.number("Up", Query(f"min(trunkline_gateway_up{{{CHOSEN}}})"), "bool_yes_no",
                      "No: one of the chosen is down, aside or not registered: trunkline gateways "
                      "show NAME.", (Step(None, BAD), Step(1, GOOD))),
        panels.number("Lines in use", Query(f"sum({LOAD})"), "short", "Calls on it now.",
                      decimals=0),
        panels.number("Attempts", Query(f"sum({rate('call_attempts_total', CHOSEN)})"), "cps",
                      "INVITEs per second.", decimals=1),
        panels.number("ASR", Query(asr(labels=CHOSEN, window="15m")), "percentunit",
                      "Answered of its attempts, last 15 minutes.",
                      (Step(None, BAD), Step(0.3, WARN), Step(0.5, GOOD)), decimals=1),
        panels.number("PDD, half of the calls", Query(pdd(0.5, labels=CHOSEN)), "s",
                      "INVITE until it rings.",
                      (Step(None, GOOD), Step(4, WARN), Step(8, BAD))),
        panels.number("Cost, last hour", Query(
            f"sum(increase(trunkline_gateway_costs_total{{{CHOSEN}}}[1h])) or vector(0)"),
            "short", "What its vendor asks for the calls that ended in it.", decimals=2),
    ]


def _traffic() -> list[Any]:
    return [
        panels.lines("Lines", [
            Query(LOAD, "{{gateway}}"),
            Query(finite(f"trunkline_gateway_lines{{{CHOSEN}}}"), "{{gateway}} allowed",
                  limit=True),
        ], "short", "In use against allowed; none is drawn where there is no limit.", by="gateway"),
        panels.states("Up and down", Query(
            f"max by (gateway) (trunkline_gateway_up{{{CHOSEN}}})", "{{gateway}}"),
            "Whether it is a candidate for calls.", {1: ("up", GOOD), 0: ("down", BAD)}),
        panels.lines("Attempts by gateway", [
            Query(f"sum by (gateway) ({rate('call_attempts_total', CHOSEN)})", "{{gateway}}"),
        ], "cps", "INVITEs to it, failed ones too.", by="gateway", stacked=True),
        panels.lines("Answers by gateway", [
            Query(f"sum by (gateway) ({rate('call_answers_total', CHOSEN)})", "{{gateway}}"),
        ], "cps", "Attempts without answers: see codes and end reasons.", by="gateway",
            stacked=True),
        panels.lines("Codes", [
            Query(f"sum by (code) ({rate('call_attempt_failures_total', CHOSEN)})", "{{code}}"),
        ], "cps", "With what it refuses INVITEs; a word where it gave no final answer in time.",
            stacked=True, by="code", none="it has refused nothing"),
        panels.lines("End reasons", [
            Query(f"sum by (reason) ({rate('calls_total', CHOSEN)})", "{{reason}}"),
        ], "cps", "How the calls whose last gateway it was have ended.", stacked=True,
            by="reason"),
    ]


def _quality() -> list[Any]:
    return [
        panels.lines("ASR by gateway", [Query(asr("gateway", CHOSEN, "15m"), "{{gateway}}")],
                     "percentunit", "Answered of its attempts, over 15 minutes.", maximum=1,
                     by="gateway"),
        panels.lines("NER by gateway", [Query(ner("gateway", CHOSEN, "15m"), "{{gateway}}")],
                     "percentunit", "Far under the other gateways': ask its carrier.", maximum=1,
                     by="gateway"),
        panels.heat("Post-dial delay", "sum by (le) (increase("
                    f"trunkline_post_dial_delay_seconds_bucket{{{CHOSEN}}}[$__rate_interval]))",
                    "How long calls waited for the first ring: the brighter the more calls."),
        panels.lines("Post-dial delay, 95 of 100 calls", [
            Query(pdd(0.95, "gateway", CHOSEN, "15m"), "{{gateway}}"),
        ], "s", "Over 15 minutes, against the others: is it slower than its price deserves?",
            by="gateway"),
        panels.lines("OPTIONS missed", [
            Query(f"sum by (gateway) (increase(trunkline_gateway_pings_total"
                  f'{{{CHOSEN},result="missed"}}[5m]))', "{{gateway}}"),
        ], "short", "In five minutes. Three misses in a row take it down.", by="gateway",
            steps=(Step(None, CALM), Step(3, BAD))),
        panels.lines("Cost a minute", [
            Query(f"60 * sum by (gateway) ({rate('gateway_costs_total', CHOSEN)})",
                  "{{gateway}}"),
        ], "short", "What its vendor asks, by the minute in which calls ended.", by="gateway",
            stacked=True),
    ]
