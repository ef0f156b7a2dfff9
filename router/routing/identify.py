"""Who calls: the trunk by its source network (4-calls, section 1, step 2).

The narrowest network wins; among trunks of the same network the one whose caller prefix is the
longest that matches, then the smallest priority number, then the order of routes.cfg.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from router.routing.objects import Trunk

MAX_REMEMBERED = 10_000


class TrunkTable:
    """All trunks by network."""

    def __init__(self, trunks: Iterable[Trunk]) -> None:
        self._entries = sorted(
            ((network, trunk) for trunk in trunks for network in trunk.ips),
            key=lambda entry: (
                -entry[0].prefixlen, -len(entry[1].caller_prefix), entry[1].priority,
            ),
        )
        self._remembered: dict[str, tuple[Trunk, ...]] = {}

    def find(self, source: str, caller: str) -> Trunk | None:
        """The trunk of a source address (as text) and a caller number, or None."""
        matching = self._remembered.get(source)
        if matching is None:
            matching = self._matching(source)
        for trunk in matching:
            if caller.startswith(trunk.caller_prefix):
                return trunk
        return None

    def _matching(self, source: str) -> tuple[Trunk, ...]:
        try:
            address = ip_address(source)
        except ValueError:
            return ()
        found = tuple(trunk for network, trunk in self._entries if address in network)
        # A stranger can come from any number of addresses; only a bounded number is remembered.
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[source] = found
        return found
