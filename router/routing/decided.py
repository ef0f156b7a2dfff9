"""What is asked of a decision run, and its answer: plain data for people and machines."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from router.routing.decision_levels import LevelFate
from router.routing.decision_phones import Forwarded, PhoneFate
from router.routing.live_view import SharedState
from router.store.interface import Usage
from router.store.money import Money
from router.store.records import GatewayState


class Question(msgspec.Struct, frozen=True):
    """Who calls whom, from where and when (epoch ms); `headers` are further lines of the INVITE."""

    source: str
    caller: str
    callee: str
    now_ms: int
    headers: tuple[str, ...] = ()
    call_id: str = "trunkline-route"


class GatewayFate(msgspec.Struct):
    """What became of one gateway.

    `place` counts the candidates in the order in which they would be tried, 0 for one that is
    none. `prefix` is the prefix that matched, None if none did. `lines` None is unlimited. `rate`
    is what its vendor asks for a minute, "" without a deck or a rate in it.
    """

    name: str
    place: int
    why: str
    prefix: str | None
    priority: int
    lines_used: int
    lines: int | None
    rate: str = ""


class Price(msgspec.Struct):
    """What the account pays: the rate for a minute, its prefix, and the deck that it stands in."""

    rate: str
    connect_fee: str
    prefix: str
    deck: str


class Sent(msgspec.Struct):
    """The INVITE that would go out: the gateway, its address and what stands in it."""

    gateway: str
    address: str
    request_uri: str
    from_header: str
    headers_added: list[str]
    headers_removed: list[str]


class Decided(msgspec.Struct):
    """All there is to know of a decision.

    `verdict` is call, answer or silence; `status` the final answer to the caller, 0 for none.
    `faults` are tracebacks of what failed in a route.
    """

    verdict: str
    account: str
    trunk: str
    decision: list[str]
    gateways_asked: bool
    """whether the routes got as far as calling"""
    gateways: list[GatewayFate]
    sent: Sent | None = None
    price: Price | None = None
    levels: list[LevelFate] = []
    """the account and the agents above it"""
    status: int = 0
    phrase: str = ""
    end_reason: str = ""
    holds: dict[str, tuple[int, int]] = {}
    """what the call needs a line of: lines in use, and the limit (-1 is unlimited)"""
    logs: list[tuple[str, str]] = []
    faults: list[str] = []
    numbers_asked: list[str] = []
    """the numbers for which the routes asked for gateways"""
    phones: list[PhoneFate] = []
    forwarded: list[Forwarded] = []
    also_sent: list[Sent] = []
    """the INVITEs that would go out at the same time as `sent`"""


class LiveNow(msgspec.Struct, frozen=True):
    """What is in use, and who is down, at the moment of the decision; by the store's keys."""

    usages: Mapping[str, Usage] = {}
    states: Mapping[str, GatewayState] = {}
    monies: Mapping[str, Money] | None = None
    """what accounts have; None: what they have in the beginning"""
    shared: SharedState | None = None
    """where values and rates are read; they are not changed"""
    locks: frozenset[str] = frozenset()
    """what operators have locked by command"""

    def down_until(self, key: str) -> int:
        """Until when a gateway is no candidate, epoch ms."""
        state = self.states.get(key)
        return state.out_until_ms if state is not None else 0
