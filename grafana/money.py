"""Accounts and money: who is blocked, what comes in and goes out, whose credit ends."""

from __future__ import annotations

from typing import Any

from grafana import panels
from grafana.panels import BAD, CALM, GOOD, WARN, Query, Step
from grafana.queries import finite, rate

UID = "trunkline-money"
CHOSEN = 'account=~"$account"'
BLOCKED = (
    "AccountLocked|AccountExpired|InsufficientBalance|RateNotFound|CallNotPermitted|Unregistered"
    "|AuthFailed|IpBlocked|IllegalCall|CallerNumberRestricted|CalledNumberRestricted"
    "|ConnectionLimitExceeded"
)


def build() -> Any:
    """The dashboard."""
    page = panels.page(
        UID, "Trunkline / Accounts and money",
        "Calls, limits and money of accounts. Amounts are in the accounts' currency.",
        variables=[
            panels.choice("account", "Account", "label_values(trunkline_account_lines, account)"),
        ],
    )
    revenue = f"60 * sum({rate('account_charges_total', CHOSEN)})"
    cost = f"60 * sum({rate('gateway_costs_total')})"
    for panel in (
        panels.number("Revenue a minute", Query(f"{revenue} or vector(0)"), "short",
                      "What ended calls were charged.", decimals=2),
        panels.number("Cost a minute", Query(f"{cost} or vector(0)"), "short",
                      "What vendors ask for all calls, whoever made them.", decimals=2),
        panels.number("Margin a minute", Query(
            f"(60 * sum({rate('account_charges_total')}) or vector(0)) - ({cost} or vector(0))"),
            "short", "Over all accounts. Below zero calls lose money: trunkline cdr stats --by "
            "gateway,account.", (Step(None, BAD), Step(0, GOOD)), decimals=2),
        panels.number("Calls in progress",
                      Query(f"sum(trunkline_account_active_calls{{{CHOSEN}}})"), "short",
                      "Of the chosen accounts.", decimals=0),
        panels.number("Blocked calls", Query(
            f'sum(increase(trunkline_account_calls_total{{reason=~"{BLOCKED}"}}[15m])) '
            "or vector(0)"), "short", "Refused in the last 15 minutes for a reason of the "
            "account's: see below which.", (Step(None, GOOD), Step(10, WARN), Step(100, BAD)),
            decimals=0),
        panels.number("Phones online", Query("trunkline_registered_phones"), "short",
                      "Registered now. trunkline phones list names them.", decimals=0),
        panels.lines("Revenue, cost and margin a minute", [
            Query(f"{revenue} or vector(0)", "revenue"),
            Query(f"{cost} or vector(0)", "cost"),
            Query(f"({revenue} or vector(0)) - ({cost} or vector(0))", "margin"),
        ], "short", "By the minute in which calls ended.", minimum=None),
        panels.lines("Blocked calls by reason", [
            Query("sum by (reason) (rate(trunkline_account_calls_total"
                  f'{{reason=~"{BLOCKED}"}}[$__rate_interval])) '
                  'or label_replace(vector(0), "reason", "none", "", "")', "{{reason}}"),
        ], "cps", "Why calls are refused before a gateway is asked.", stacked=True),
        panels.lines("Calls in progress by account", [
            Query(f"trunkline_account_active_calls{{{CHOSEN}}}", "{{account}}"),
        ], "short", "Who talks now.", stacked=True),
        panels.lines("Lines used of those allowed", [
            Query(f"trunkline_account_active_calls{{{CHOSEN}}} / "
                  f"{finite(f'trunkline_account_lines{{{CHOSEN}}}')}", "{{account}}"),
        ], "percentunit", "At 100 % callers hear 503 (ConnectionLimitExceeded).", maximum=1,
            steps=(Step(None, CALM), Step(0.9, BAD))),
        panels.ranking("Lowest credit", [
            ("Balance", f"bottomk(20, trunkline_account_balance{{{CHOSEN}}})", "short"),
            ("Reserved", f"trunkline_account_reserved{{{CHOSEN}}} and "
             f"bottomk(20, trunkline_account_balance{{{CHOSEN}}})", "short"),
        ], ["account"], "Who calls next for a top-up: trunkline accounts topup NAME AMOUNT."),
        panels.lines("Balance", [
            Query(f"trunkline_account_balance{{{CHOSEN}}}", "{{account}}"),
        ], "short", "A fall that is steeper than usual: fraud, or a new customer.", minimum=None),
        panels.ranking("Accounts of the last hour", [
            ("Calls", f"sum by (account) (increase(trunkline_account_calls_total{{{CHOSEN}}}[1h]))",
             "short"),
            ("Answered", "sum by (account) (increase(trunkline_account_calls_total"
             f'{{{CHOSEN},reason="Normal"}}[1h]))', "short"),
            ("Charged", "sum by (account) (increase(trunkline_account_charges_total"
             f"{{{CHOSEN}}}[1h]))", "short"),
        ], ["account"], "Calls, those answered and hung up, and what they paid.", sort="Calls"),
        panels.lines("Wrong credentials and blocked addresses", [
            Query(f"sum by (reason) ({rate('auth_failures_total')}) or vector(0)", "{{reason}}"),
            Query("trunkline_blocked_addresses", "addresses blocked"),
        ], "short", "A burst is somebody guessing: trunkline blocks list.", table_legend=False),
    ):
        page = page.with_panel(panel)
    return page
