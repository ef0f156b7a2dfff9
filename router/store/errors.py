"""The one exception of the store."""

from __future__ import annotations


class StoreError(Exception):
    """Storage refused or cannot be trusted; the text is one sentence an operator can act on."""


class LedgerBusyError(StoreError):
    """Another process writes the ledger: the ledger process of a running router."""
