"""Metrics of who calls: accounts and their money, phones, strangers."""

from __future__ import annotations

from typing import Final

from router.runtime.catalogue.shape import Metric, Section

ACCOUNTS: Final = Section("Accounts", (
    Metric(
        "account_balance", "gauge", ("account",),
        "What an account has left, in its currency.",
        "Alert before it is used up; trunkline accounts topup adds to it.",
        "The ledger's balance and what waits for it; the first 1,000 accounts by name.",
    ),
    Metric(
        "account_reserved", "gauge", ("account",),
        "What calls in progress have reserved of an account's balance.",
        "It should be 0 without calls: trunkline ledger verify proves it.",
        "What a call does not use of it, it gives back.",
    ),
    Metric(
        "account_calls", "counter", ("account", "reason"),
        "Calls that have ended, by account and end reason.",
        "A customer complains: see which reason rose, then trunkline cdr --account NAME.",
        "`none`: nobody was identified.",
    ),
    Metric(
        "account_charges", "counter", ("account",),
        "What calls have cost their account, in its currency; its rate is revenue.",
        "If it falls while calls do not, look at the deck.",
    ),
    Metric(
        "account_active_calls", "gauge", ("account",),
        "Calls in progress of an account.",
        "Near account_lines its callers hear 503: raise lines, or ask what it is doing.",
    ),
    Metric(
        "account_lines", "gauge", ("account",),
        "Calls that an account may have at once, +Inf without a limit.",
        "Alert on account_active_calls / account_lines.",
    ),
))

CALLERS: Final = Section("Phones and strangers", (
    Metric(
        "registered_phones", "gauge", (),
        "Phones that are online.",
        "If it falls at once, look at the network towards them.",
    ),
    Metric(
        "registers", "counter", ("code",),
        "REGISTERs that save() has answered, by status.",
        "Many 423: a phone asks for less than min_expires; 403: see trunkline phones and the "
        "account.",
        "The challenge before is not counted.",
    ),
    Metric(
        "auth_failures", "counter", ("reason",),
        "Requests with wrong credentials: password (of a phone that is known) or unknown_user.",
        "If it rises, somebody guesses: see trunkline blocks.",
    ),
    Metric(
        "blocked_addresses", "gauge", (),
        "Addresses that are blocked after too many wrong credentials.",
        "See who: trunkline blocks list; trunkline blocks lift ends one.",
    ),
    Metric(
        "blocked_requests", "counter", (),
        "Requests of blocked addresses, all refused.",
        "If it stays high, close the firewall to them.",
        "Those outside of any call.",
    ),
    Metric(
        "unrecorded_calls", "counter", ("reason",),
        "Refused calls of strangers that left no CDR, because their address has many already.",
        "A flood: close the firewall to it.",
        "After 30 of one address, or 300 addresses, in a minute of a worker.",
    ),
))
