"""End reasons: the troubleshooting table as a drill-down, from share to diagnosis."""

from __future__ import annotations

from typing import Any

from grafana import panels
from grafana.panels import CALM, Query, Step
from grafana.queries import rate
from router.core.end_reasons import EndReason
from router.core.reason_guide import DRAWERS, GUIDE

UID = "trunkline-reasons"
CHOSEN = 'reason=~"$reason"'
THIS = f"/d/{UID}?var-reason=${{__data.fields.Reason}}&${{__url_time_range}}"


def build() -> Any:
    """The dashboard."""
    page = panels.page(
        UID, "Trunkline / End reasons", "Why calls end, how often, where, and what to do.",
        variables=[
            panels.choice("reason", "End reason", "label_values(trunkline_calls_total, reason)"),
        ],
    )
    all_calls = "sum(increase(trunkline_calls_total[1h]))"
    for panel in (
        panels.ranking("End reasons of the last hour", [
            ("Calls", "sum by (reason) (increase(trunkline_calls_total[1h]))", "short"),
            ("Share", "sum by (reason) (increase(trunkline_calls_total[1h])) / on () group_left () "
             f"{all_calls}", "percentunit"),
            ("Hour before", "sum by (reason) (increase(trunkline_calls_total[1h] offset 1h))",
             "short"),
        ], ["reason"], "Choose one to see where it happens.", sort="Calls",
            links=[("Reason", "Only this one", THIS)], height=10),
        panels.lines("Over time", [
            Query(f"sum by (reason) ({rate('calls_total', CHOSEN)})", "{{reason}}"),
        ], "cps", "The chosen reasons: since when?", stacked=True),
        panels.ranking("By gateway", [
            ("Calls", f"topk(20, sum by (gateway, reason) (increase(trunkline_calls_total"
             f"{{{CHOSEN}}}[1h])))", "short"),
        ], ["gateway", "reason"], "One gateway, or all of them?", sort="Calls",
            links=[("Gateway", "This gateway",
                    "/d/trunkline-gateway?var-gateway=${__data.fields.Gateway}"
                    "&${__url_time_range}")]),
        panels.ranking("By account", [
            ("Calls", f"topk(20, sum by (account, reason) (increase(trunkline_account_calls_total"
             f"{{{CHOSEN}}}[1h])))", "short"),
        ], ["account", "reason"], "One customer, or all of them?", sort="Calls",
            links=[("Account", "This account",
                    "/d/trunkline-money?var-account=${__data.fields.Account}"
                    "&${__url_time_range}")]),
        panels.lines("Codes sent to callers", [
            Query('sum by (code) (rate(trunkline_sip_responses_total{direction="out",'
                  'method="INVITE",code=~"[3-6].."}[$__rate_interval]))', "{{code}}"),
        ], "cps", "What callers hear.", steps=(Step(None, CALM),)),
        panels.lines("Codes of gateways", [
            Query('sum by (code) (rate(trunkline_sip_responses_total{direction="in",'
                  'method="INVITE",code=~"[3-6].."}[$__rate_interval]))', "{{code}}"),
        ], "cps", "What gateways answer.", steps=(Step(None, CALM),)),
        panels.words("What each reason means", _guide(), height=24),
    ):
        page = page.with_panel(panel)
    return page


def _guide() -> str:
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
    return "\n".join(lines)
