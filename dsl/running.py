"""What generated code needs at run time besides the context and the table's functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dsl.literals import IpAddress, IpNetwork


class Stop(Exception):
    """Raised where a route that gives a value ends the request; entry routes catch it."""


class ShortRegex:
    """A regex that looks at the beginning of a text only, as it would take long over a long one."""

    __slots__ = ("_limit", "_search")

    def __init__(self, regex: re.Pattern[str], limit: int) -> None:
        self._search = regex.search
        self._limit = limit

    def search(self, text: str) -> re.Match[str] | None:
        """As that of a regex."""
        return self._search(text, 0, self._limit)


class NetworkSet:
    """A constant list of networks that is asked whether an address lies in any of them."""

    __slots__ = ("_by_shift", "networks")

    def __init__(self, networks: Iterable[IpNetwork]) -> None:
        self.networks = tuple(networks)
        by_shift: dict[tuple[int, int], set[int]] = {}
        for network in self.networks:
            shift = network.max_prefixlen - network.prefixlen
            prefix = int(network.network_address) >> shift
            by_shift.setdefault((network.version, shift), set()).add(prefix)
        self._by_shift = tuple((*key, frozenset(found)) for key, found in by_shift.items())

    def __contains__(self, address: IpAddress) -> bool:
        number, version = int(address), address.version
        for one, shift, prefixes in self._by_shift:
            if one == version and number >> shift in prefixes:
                return True
        return False

    def __iter__(self) -> Iterator[IpNetwork]:
        return iter(self.networks)

    def __len__(self) -> int:
        return len(self.networks)
