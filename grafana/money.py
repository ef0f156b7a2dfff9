"""Accounts and money: who is blocked, what comes in and goes out, whose credit ends."""

from __future__ import annotations

from typing import Any

from grafana import pages, panels, tables
from grafana.colours import BAD, CALM, GOOD, WARN, Step
from grafana.panels import Query
from grafana.queries import finite, rate
from grafana.tables import Column, Link

UID = "trunkline-money"
CHOSEN = 'account=~"$account"'
BLOCKED = (
    "AccountLocked|AccountExpired|InsufficientBalance|RateNotFound|CallNotPermitted|Unregistered"
    "|AuthFailed|IpBlocked|IllegalCall|CallerNumberRestricted|CalledNumberRestricted"
    "|ConnectionLimitExceeded"
)
REFUSED = f'reason=~"{BLOCKED}",{CHOSEN}'
REVENUE = f"60 * sum({rate('account_charges_total')})"
COST = f"60 * sum({rate('gateway_costs_total')})"
THIS = f"/d/{UID}?var-account=${{__data.fields.Account}}&${{__url_time_range}}"
NOTHING = " or vector(0)"


def build() -> Any:
    """The dashboard."""
    page = pages.page(
        UID, "Trunkline / Accounts and money",
        "Calls, limits and money of accounts. Amounts are in the accounts' currency.",
        variables=[
            pages.choice("account", "Account", "label_values(trunkline_account_lines, account)"),
        ],
    )
    for panel in (*_numbers(), *_money(), *_calls()):
        page = page.with_panel(panel)
    return page


def _numbers() -> list[Any]:
    return [
        panels.number("Revenue a minute", Query(REVENUE + NOTHING), "short",
                      "What ended calls of all accounts were charged.", decimals=2),
        panels.number("Cost a minute", Query(COST + NOTHING), "short",
                      "What vendors ask for all calls.", decimals=2),
        panels.number("Margin a minute", Query(f"({REVENUE}{NOTHING}) - ({COST}{NOTHING})"),
                      "short", "Below zero calls lose money: trunkline cdr stats --by "
                      "gateway,account.", (Step(None, BAD), Step(0, GOOD)), decimals=2),
        panels.number("Calls in progress",
                      Query(f"sum(trunkline_account_active_calls{{{CHOSEN}}})"), "short",
                      "Of the chosen accounts.", decimals=0),
        panels.number("Blocked calls", Query(
            f"sum(increase(trunkline_account_calls_total{{{REFUSED}}}[15m])){NOTHING}"), "short",
            "Refused in the last 15 minutes before a gateway was asked: see below why.",
            (Step(None, GOOD), Step(10, WARN), Step(100, BAD)), decimals=0),
        panels.number("Phones online", Query("trunkline_registered_phones"), "short",
                      "Registered now. trunkline phones list names them.", decimals=0),
    ]


def _money() -> list[Any]:
    left = f"trunkline_account_balance{{{CHOSEN}}} - trunkline_account_reserved{{{CHOSEN}}}"
    lowest = f"bottomk(20, {left})"
    spent = f"sum by (account) (increase(trunkline_account_charges_total{{{CHOSEN}}}[1h])) > 0"
    return [
        panels.lines("Revenue, cost and margin a minute", [
            Query(REVENUE + NOTHING, "revenue", GOOD),
            Query(COST + NOTHING, "cost", WARN),
            Query(f"({REVENUE}{NOTHING}) - ({COST}{NOTHING})", "margin", CALM),
        ], "short", "Of all accounts, by the minute in which calls ended.", minimum=None,
            decimals=2),
        panels.lines("Revenue a minute by account", [
            Query(f"60 * sum by (account) ({rate('account_charges_total', CHOSEN)})",
                  "{{account}}"),
        ], "short", "Who pays for it.", stacked=True, by="account", decimals=2),
        tables.ranking("Lowest credit", [
            Column("Left", lowest, decimals=2, steps=(Step(None, BAD), Step(0, WARN),
                                                      Step(10, CALM))),
            Column("Reserved", f"trunkline_account_reserved{{{CHOSEN}}} and on (account) {lowest}",
                   decimals=2),
            Column("Lasts", f"3600 * ({lowest}) / on (account) group_left () ({spent})", "s", 1,
                   (Step(None, BAD), Step(3600, WARN), Step(86400, GOOD))),
        ], ["account"], "Who calls next for a top-up: trunkline accounts topup NAME AMOUNT. "
            "Lasts: at the pace of the last hour, without the overdraft.", sort="Left", up=True,
            links=[Link("Account", "Only this account", THIS)],
            none="no account has a balance"),
        panels.lines("Balance", [
            Query(f"trunkline_account_balance{{{CHOSEN}}}", "{{account}}"),
        ], "short", "A fall that is steeper than usual: fraud, or a new customer.", minimum=None,
            by="account", none="no account has a balance", decimals=2),
    ]


def _calls() -> list[Any]:
    calls = f"sum by (account) (increase(trunkline_account_calls_total{{{CHOSEN}}}[1h]))"
    answered = (
        "sum by (account) (increase(trunkline_account_calls_total"
        f'{{{CHOSEN},reason="Normal"}}[1h]))'
    )
    refused = f"sum by (account) (increase(trunkline_account_calls_total{{{REFUSED}}}[1h]))"
    return [
        panels.lines("Blocked calls by reason", [
            Query(f"sum by (reason) (rate(trunkline_account_calls_total{{{REFUSED}}}"
                  "[$__rate_interval]))", "{{reason}}"),
        ], "cps", "Why calls are refused before a gateway is asked.", stacked=True, by="reason",
            none="no call was blocked"),
        panels.lines("Blocked calls by account", [
            Query(f"sum by (account) (rate(trunkline_account_calls_total{{{REFUSED}}}"
                  "[$__rate_interval]))", "{{account}}"),
        ], "cps", "Whose calls are refused; none is who belongs to no account.", stacked=True,
            by="account", none="no call was blocked"),
        panels.lines("Calls in progress by account", [
            Query(f"trunkline_account_active_calls{{{CHOSEN}}}", "{{account}}"),
        ], "short", "Who talks now.", stacked=True, by="account"),
        panels.bars("Lines used of those allowed", Query(
            f"trunkline_account_active_calls{{{CHOSEN}}} / "
            f"{finite(f'trunkline_account_lines{{{CHOSEN}}}')}", "{{account}}"), "percentunit",
            "Now. At 100 % callers hear 503 (ConnectionLimitExceeded).",
            (Step(None, CALM), Step(0.7, WARN), Step(0.9, BAD)),
            none="no account has a limit of lines"),
        tables.ranking("Accounts of the last hour", [
            Column("Calls", calls, decimals=0),
            Column("Answered", f"{answered} / on (account) ({calls} > 0)", "percentunit", 0,
                   (Step(None, BAD), Step(0.3, WARN), Step(0.5, GOOD))),
            Column("Blocked", f"{refused} / on (account) ({calls} > 0)", "percentunit", 0,
                   (Step(None, CALM), Step(0.2, WARN), Step(0.5, BAD))),
            Column("Charged", "sum by (account) (increase(trunkline_account_charges_total"
                   f"{{{CHOSEN}}}[1h]))", decimals=2),
        ], ["account"], "Calls, how many of them were answered or blocked, and what they paid.",
            sort="Calls", links=[Link("Account", "Only this account", THIS)],
            none="nobody has called"),
        panels.lines("Wrong credentials and blocked addresses", [
            Query(f"60 * sum({rate('auth_failures_total')}){NOTHING}", "wrong, a minute", WARN),
            Query("trunkline_blocked_addresses", "addresses blocked", BAD),
        ], "short", "A burst is somebody guessing: trunkline blocks list."),
    ]
