"""Who calls: the trunk by its source network (4-calls, section 1, step 2).

The narrowest network wins; among trunks of the same network the one whose caller prefix is the
longest that matches, then the smallest priority number, then the order of routes.cfg.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from router.core.decision import NOBODY, identified, owner_of_trunk
from router.routing.caller_id import claimed
from router.routing.objects import NO_TRUNK, Network, Trunk
from router.sip.message import Request
from router.store.records import Cdr

MAX_REMEMBERED = 10_000


class TrunkMatch:
    """A network of a trunk; `entry` is what a call's decision says when a call comes from there."""

    __slots__ = ("entry", "network", "trunk")

    def __init__(self, network: Network, trunk: Trunk) -> None:
        self.network = network
        self.trunk = trunk
        self.entry = identified(trunk.account.name, trunk.name, network, trunk.caller_prefix)


class TrunkTable:
    """All trunks by network."""

    def __init__(self, trunks: Iterable[Trunk]) -> None:
        self.trunks = tuple(trunks)
        trunks = tuple(trunks)
        self._by_name = {(trunk.account.name, trunk.name): trunk for trunk in trunks}
        self._entries = sorted(
            (TrunkMatch(network, trunk) for trunk in self.trunks for network in trunk.ips),
            key=lambda entry: (
                -entry.network.prefixlen, -len(entry.trunk.caller_prefix), entry.trunk.priority,
            ),
        )
        self._remembered: dict[str, tuple[TrunkMatch, ...]] = {}

    def named(self, account: str, name: str) -> Trunk:
        """The trunk of this name in an account, NO_TRUNK if there is none."""
        return self._by_name.get((account, name), NO_TRUNK)

    def of_call(self, cdr: Cdr) -> Trunk:
        """The trunk that a call came from, NO_TRUNK if none; a phone may have passed it on."""
        if not cdr.trunk:
            return NO_TRUNK
        # The account of the CDR is that of the phone then; the decision tells whose the trunk is.
        account = owner_of_trunk(cdr.decision, cdr.trunk) or cdr.account
        return self.named(account, cdr.trunk)

    def find(self, source: str, caller: str) -> Trunk | None:
        """The trunk of a source address (as text) and a caller number, or None."""
        found = self.match(source, caller)
        return found.trunk if found is not None else None

    def match(
        self, source: str, caller: str, request: Request | None = None
    ) -> TrunkMatch | None:
        """The trunk with the network that it was found by.

        A trunk that reads the caller from another header than From reads it in `request`.
        """
        matching = self._remembered.get(source)
        if matching is None:
            matching = self._matching(source)
        for entry in matching:
            trunk, number = entry.trunk, caller
            if trunk.caller_header and trunk.caller_prefix and request is not None:
                claim = claimed(request, trunk.caller_header)
                number = claim.number if claim is not None else caller
            if number.startswith(trunk.caller_prefix):
                return entry
        return None

    def knows(self, source: str) -> bool:
        """Whether a source address lies in a network of a trunk."""
        return bool(self._matching(source))

    def why_not(self, source: str, caller: str) -> str:
        """Why there is no trunk for them, as a call's decision says it."""
        prefixes = [entry.trunk.caller_prefix for entry in self._matching(source)]
        if not prefixes:
            return f"{NOBODY}{source} is in no network of a trunk"
        return f"{NOBODY}caller {caller} begins with no caller_prefix: {', '.join(prefixes)}"

    def _matching(self, source: str) -> tuple[TrunkMatch, ...]:
        try:
            address = ip_address(source)
        except ValueError:
            return ()
        found = tuple(entry for entry in self._entries if address in entry.network)
        # A stranger can come from any number of addresses; only a bounded number is remembered.
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[source] = found
        return found
