"""What operators have locked by command, on top of what routes.cfg says.

A locked gateway gets no new call, a locked account, trunk or phone makes none. Calls in progress
go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.routing.config import Config


def locked_by_status(config: Config) -> frozenset[str]:
    """The keys of the accounts that routes.cfg locks, before any command did."""
    return frozenset(one.key for one in config.accounts.values() if one.locked)


def apply_locks(config: Config, by_status: frozenset[str], keys: frozenset[str]) -> None:
    """Lock the objects with these keys ("gateway:backup", "trunk:acme/office"), no others."""
    for account in config.accounts.values():
        account.locked = account.key in by_status or account.key in keys
    for trunk in config.trunks.trunks:
        trunk.locked = trunk.key in keys
    for phone in config.phones.values():
        phone.locked = phone.key in keys
    for gateway in config.gateways.values():
        gateway.locked = gateway.key in keys
    config.choosy = frozenset(one.key for one in config.gateways.values() if one.choosy)
