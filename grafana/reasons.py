"""End reasons: the troubleshooting table as a drill-down, from share to diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grafana import pages, panels, tables
from grafana.colours import REASONS
from grafana.panels import Query
from grafana.queries import rate
from grafana.tables import Column, Link, Words
from router.core.end_reasons import EndReason
from router.core.reason_guide import DRAWERS, GUIDE

UID = "trunkline-reasons"
CHOSEN = 'reason=~"$reason"'
THIS = f"/d/{UID}?var-reason=${{__data.fields.Reason}}&${{__url_time_range}}"
DIAGNOSIS = "What it means, and what to do"
DIAGNOSIS_ID = 3
"""The number of the panel with the diagnosis: a link opens it for one reason."""


def _texts(of: Callable[[EndReason], str]) -> dict[str, tuple[str, str]]:
    # A cell shows the marks of Markdown as they are.
    return {reason.name: (of(reason).replace("`", ""), "") for reason in EndReason}


MEANINGS = Words("What it means", "reason", _texts(lambda reason: reason.diagnosis))
MEANS = MEANINGS._replace(width=320)
DRAWER = Words(
    "Drawer", "reason",
    {reason.name: (GUIDE[reason].drawer, REASONS[reason]) for reason in EndReason}, width=110,
)
LOOK = Words("Look first at", "reason", _texts(lambda reason: GUIDE[reason].look), width=360)
DO = Words("What to do", "reason", _texts(lambda reason: GUIDE[reason].do), width=300)
COMMAND = Words("Command", "reason", _texts(lambda reason: GUIDE[reason].general_command()))


def build() -> Any:
    """The dashboard."""
    page = pages.page(
        UID, "Trunkline / End reasons", "Why calls end, how often, where, and what to do.",
        variables=[
            pages.choice("reason", "End reason", "label_values(trunkline_calls_total, reason)"),
        ],
    )
    for panel in (*_reasons(), *_where(), _all()):
        page = page.with_panel(panel)
    return page


def _reasons() -> list[Any]:
    calls = "sum by (reason) (increase(trunkline_calls_total[1h]))"
    before = "sum by (reason) (increase(trunkline_calls_total[1h] offset 1h))"
    everything = "sum(increase(trunkline_calls_total[1h]))"
    return [
        tables.ranking("End reasons of the last hour", [
            Column("Calls", calls, decimals=0, width=80),
            Column("Share", f"{calls} / on () group_left () {everything}", "percentunit", 1,
                   gauge=True),
            Column("Hour before", before, decimals=0, width=110),
            Column("Trend", f"{calls} / ({before} > 0) - 1", "percentunit", 0, width=90),
        ], ["reason"], "Click one to see only where it happens, or its diagnosis. Trend: against "
            "the hour before.", sort="Calls", words=[DRAWER], height=12, widths={"Reason": 210},
            links=[
                Link("Reason", "Only this one", THIS),
                Link("Reason", "Its diagnosis", f"{THIS}&viewPanel={DIAGNOSIS_ID}"),
            ], none="no call has ended"),
        panels.lines("Over time", [
            Query(f"sum by (reason) ({rate('calls_total', CHOSEN)})", "{{reason}}"),
        ], "cps", "The chosen reasons: since when?", stacked=True, by="reason", height=12),
        tables.ranking(DIAGNOSIS, [
            Column("Calls", f"sum by (reason) (increase(trunkline_calls_total{{{CHOSEN}}}[1h])) "
                   "> 0", decimals=0, width=70),
        ], ["reason"], "Of the chosen reasons, those of the last hour.", sort="Calls", width=24,
            height=14, words=[MEANS, LOOK, DO, COMMAND], wrap=True, widths={"Reason": 200},
            none="none of the chosen reasons has occurred in the last hour"),
    ]


def _where() -> list[Any]:
    gateways = f"sum by (gateway, reason) (increase(trunkline_calls_total{{{CHOSEN}}}[1h]))"
    accounts = f"sum by (account, reason) (increase(trunkline_account_calls_total{{{CHOSEN}}}[1h]))"
    codes = (
        'sum by (code) (rate(trunkline_sip_responses_total{{direction="{}",method="INVITE",'
        'code=~"[3-6].."}}[$__rate_interval]))'
    )
    return [
        tables.ranking("By gateway", [
            Column("Calls", f"topk(20, {gateways} > 0)", decimals=0, width=90),
        ], ["gateway", "reason"], "One gateway, or all of them?", sort="Calls",
            links=[Link("Gateway", "This gateway", "/d/trunkline-gateway?var-gateway="
                        "${__data.fields.Gateway}&${__url_time_range}")],
            none="no call has ended"),
        tables.ranking("By account", [
            Column("Calls", f"topk(20, {accounts} > 0)", decimals=0, width=90),
        ], ["account", "reason"], "One customer, or all of them?", sort="Calls",
            links=[Link("Account", "This account", "/d/trunkline-money?var-account="
                        "${__data.fields.Account}&${__url_time_range}")],
            none="no call has ended"),
        panels.lines("Codes sent to callers", [
            Query(codes.format("out"), "{{code}}"),
        ], "cps", "What callers hear.", by="code", stacked=True, none="no call was refused"),
        panels.lines("Codes of gateways", [
            Query(codes.format("in"), "{{code}}"),
        ], "cps", "What gateways answer.", by="code", stacked=True,
            none="no gateway has refused a call"),
    ]


def _all() -> Any:
    """The table of troubleshooting, as docs/end-reasons.md has it in full."""
    lines = ["| drawer | reason | what it means | look first at | what to do | command |",
             "|---|---|---|---|---|---|"]
    for drawer in DRAWERS:
        for reason in EndReason:
            guide = GUIDE[reason]
            if guide.drawer == drawer:
                lines.append(
                    f"| {drawer} | **{reason.name}** {reason.chinese} | {reason.diagnosis} | "
                    f"{guide.look} | {guide.do} | `{guide.general_command()}` |"
                )
    return tables.words("Every end reason", "\n".join(lines), height=18)
