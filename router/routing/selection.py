"""Choosing gateways: longest prefix, then priority; the rest is decided where lines are taken.

The full order is: longest prefix, priority number, current calls / lines, calls handed so far,
gateway id (4-calls, section 2). The first two are fixed by routes.cfg and make tiers here, once
for each prefix; the others change with every call, so the store applies them inside a tier, in
the transaction that takes the line. Pure: no clock, no store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Any, TypeVar

from msgspec.structs import replace

from router.core.decision import MAX_CANDIDATES, candidates
from router.routing.objects import Gateway, Phone
from router.store.ops import Candidate, Tiers

Rank = TypeVar("Rank", int, tuple[int, int])


class Candidates(list[Gateway]):
    """Gateways in the order of routes.cfg, with the tiers the store chooses by.

    `prefixes` are the prefixes that matched, by the gateway's key.
    """

    __slots__ = ("_entry", "prefixes", "tiers")

    def __init__(self, tiers: Sequence[Sequence[Gateway]], prefixes: Mapping[str, str]) -> None:
        super().__init__(gateway for tier in tiers for gateway in tier)
        self.prefixes = prefixes
        self.tiers: Tiers = tuple(
            tuple(gateway.candidate for gateway in tier) for tier in tiers if tier
        )
        self._entry = ""

    @property
    def entry(self) -> str:
        """What a call's decision says of these candidates."""
        if not self._entry:
            named = self[:MAX_CANDIDATES]
            self._entry = candidates(
                ((one.name, self.prefixes[one.key], one.priority) for one in named),
                len(self) - len(named),
            )
        return self._entry


NO_CANDIDATES = Candidates((), {})


def in_tiers(gateways: Iterable[Gateway]) -> Candidates:
    """Gateways by priority, whatever their prefixes."""
    ordered = sorted(gateways, key=lambda gateway: (gateway.priority, gateway.id))
    tiers = [list(tier) for _, tier in groupby(ordered, key=lambda gateway: gateway.priority)]
    return Candidates(tiers, {gateway.key: "" for gateway in ordered})


def tiers_of(gateways: Iterable[Gateway]) -> Tiers:
    """The tiers of a list: those it came with, else each gateway by itself, in the list's order."""
    if isinstance(gateways, Candidates):
        return gateways.tiers
    return tuple((gateway.candidate,) for gateway in gateways)


def ranked(
    candidates: Sequence[Gateway], ranks: Mapping[str, Rank]
) -> list[Gateway]:
    """The candidates by their ranks, by key; of one rank the order stays, and what load decides."""
    if not isinstance(candidates, Candidates):
        return sorted(candidates, key=lambda gateway: ranks[gateway.key])
    by_key = {gateway.key: gateway for gateway in candidates}
    return Candidates(
        [
            [by_key[one.key] for one in tier if ranks[one.key] == rank]
            for rank in sorted(set(ranks.values()))
            for tier in candidates.tiers
        ],
        candidates.prefixes,
    )


def with_reserves(
    tiers: Tiers, groups: frozenset[str], gateways: Mapping[str, Gateway]
) -> Tiers:
    """The tiers for a trunk that names these groups: their reserved lines are for it too."""
    return tuple(
        tuple(_with_reserve(candidate, groups, gateways[candidate.key]) for candidate in tier)
        for tier in tiers
    )


def _with_reserve(candidate: Candidate, groups: frozenset[str], gateway: Gateway) -> Candidate:
    group = gateway.group
    if group is None or not group.reserved or group.name not in groups:
        return candidate
    return replace(candidate, holds=(group.whole,))

def shuffled(candidates: Sequence[Any], call_id: str) -> list[Any]:
    """The list in an order of chance that is always the same for one Call-ID."""
    salt = call_id.encode("utf-8", "surrogateescape")

    def chance(one: Any) -> bytes:
        return blake2b(one.key.encode() + b" " + salt, digest_size=8).digest()

    return sorted(candidates, key=chance)


def phones_in(candidates: Iterable[object]) -> list[Phone]:
    """The phones of what is called, none where gateways are."""
    return [one for one in candidates if isinstance(one, Phone)]


def without(gateways: Sequence[Gateway], gateway: Gateway) -> list[Gateway]:
    """The list less one gateway; what is left keeps its order and its tiers."""
    if not isinstance(gateways, Candidates):
        return [one for one in gateways if one is not gateway]
    by_key = {one.key: one for one in gateways}
    return Candidates(
        [
            [by_key[candidate.key] for candidate in tier if candidate.key != gateway.key]
            for tier in gateways.tiers
        ],
        gateways.prefixes,
    )


class PrefixTable:
    """All gateways by prefix."""

    def __init__(self, gateways: Iterable[Gateway]) -> None:
        self._by_prefix: dict[str, list[Gateway]] = {}
        for gateway in gateways:
            for prefix in dict.fromkeys(gateway.prefixes):  # one said twice counts once
                self._by_prefix.setdefault(prefix, []).append(gateway)
        lengths = {len(prefix) for prefix in self._by_prefix}
        self._lengths = tuple(sorted(lengths, reverse=True))
        # All prefixes of the longest match that exist match too: it determines the whole list.
        self._made: dict[str, Candidates] = {}

    def find(self, number: str) -> Candidates:
        """The gateways whose prefix begins the number, longest prefix first; empty when none."""
        table = self._by_prefix
        for length in self._lengths:
            prefix = number[:length]
            if len(prefix) == length and prefix in table:
                made = self._made.get(prefix)
                return made if made is not None else self._make(prefix)
        return NO_CANDIDATES

    def matches(self, number: str) -> dict[str, str]:
        """The longest prefix of each gateway that begins the number, by the gateway's key."""
        return {
            gateway.key: number[:length]
            for length in reversed(self._lengths)
            if length <= len(number)
            for gateway in self._by_prefix.get(number[:length], ())
        }

    def _make(self, longest: str) -> Candidates:
        tiers: list[list[Gateway]] = []
        prefixes: dict[str, str] = {}
        for length in range(len(longest), -1, -1):
            matching = [
                gateway
                for gateway in self._by_prefix.get(longest[:length], ())
                if gateway.key not in prefixes
            ]
            prefixes.update((gateway.key, longest[:length]) for gateway in matching)
            for priority in sorted({gateway.priority for gateway in matching}):
                tier = [gateway for gateway in matching if gateway.priority == priority]
                tiers.append(sorted(tier, key=lambda gateway: gateway.id))
            if any(gateway.terminates for gateway in matching):
                break
        made = Candidates(tiers, prefixes)
        self._made[longest] = made
        return made
