"""The order of hunting, for random tables and loads, against one sort over everything at once."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.core.protect import NEVER, protected_last
from router.routing.objects import DEFAULT_SWITCH_ON, Gateway, Group
from router.routing.selection import PrefixTable, with_reserves
from router.store.interface import Usage
from router.store.memory import MemoryLive
from router.store.ops import UNLIMITED, Admit, Rehunt, untried
from router.store.records import CallRecord, GatewayState

NOW_MS = 1_700_000_000_000


class Row(NamedTuple):
    """One gateway of a table, and what it has on its hands."""

    prefixes: tuple[str, ...]
    priority: int
    lines: int
    terminates: bool
    group: str
    protect: int | None
    in_use: int
    handed: int
    state: str


class Shared(NamedTuple):
    """A group: its lines, those it reserves, those in use."""

    lines: int
    reserved: int
    in_use: int


def row(
    *, lines: int = UNLIMITED, in_use: int = 0, handed: int = 0, priority: int = 0,
    protect: int | None = None,
) -> Row:
    return Row(("",), priority, lines, False, "", protect, in_use, handed, "up")


DIGITS = st.sampled_from(["", "", "1", "1", "12", "2", "121"])
ROWS = st.builds(
    Row, st.lists(DIGITS, min_size=1, max_size=3).map(tuple), st.integers(0, 1),
    st.sampled_from([UNLIMITED, 0, 1, 2, 4, 4]), st.integers(0, 5).map(lambda dice: dice == 0),
    st.sampled_from(["", "", "x", "y"]), st.sampled_from([None, None, None, NEVER, 0, 500]),
    st.integers(0, 4), st.integers(0, 2),
    st.sampled_from(["up", "up", "up", "aside", "aside before", "down", "unregistered"]),
)
GROUPS = st.fixed_dictionaries({
    name: st.builds(Shared, st.integers(-1, 4), st.integers(0, 3), st.integers(0, 4))
    for name in "xy"
})
NO_GROUPS = {"x": Shared(UNLIMITED, 0, 0), "y": Shared(UNLIMITED, 0, 0)}
STATES = {
    "aside": GatewayState("", down_until_ms=NOW_MS + 1),
    "aside before": GatewayState("", down_until_ms=NOW_MS),
    "down": GatewayState("", down=True),
    "unregistered": GatewayState("", unregistered=True),
}


def expected(
    rows: dict[str, Row], groups: dict[str, Shared], mine: frozenset[str], number: str,
    waited_ms: int,
) -> list[str]:
    """The names in the order that 4-calls, section 2, gives them: one sort over all."""
    length = {
        name: max(len(prefix) for prefix in row.prefixes if number[: len(prefix)] == prefix)
        for name, row in rows.items()
        if any(number[: len(prefix)] == prefix for prefix in row.prefixes)
    }
    shortest = max((length[name] for name in length if rows[name].terminates), default=0)

    def usable(name: str) -> bool:
        row = rows[name]
        if length[name] < shortest or row.state in ("aside", "down", "unregistered"):
            return False
        if mine and row.group not in mine:
            return False
        if row.lines != UNLIMITED and row.in_use >= row.lines:
            return False
        group = groups.get(row.group)
        if group is None or group.lines == UNLIMITED:
            return True
        kept = 0 if row.group in mine else group.reserved
        return group.lines - group.in_use > kept

    def place(name: str) -> tuple[bool, int, int, Fraction, int, str]:
        row = rows[name]
        late = row.protect is not None and (row.protect == NEVER or waited_ms < row.protect)
        load = Fraction(row.in_use, row.lines) if row.lines > 0 else Fraction(0)
        return late, -length[name], row.priority, load, row.handed, f"gateway:{name}"

    return sorted(filter(usable, length), key=place)


@given(
    st.lists(ROWS, max_size=7), GROUPS, st.sets(st.sampled_from("xy")), st.text("12", max_size=4),
    st.sampled_from([0, 499, 500]),
)
@example([row(lines=3, in_use=1), row(lines=1, handed=9)], NO_GROUPS, set(), "1", 0)
@example([row(handed=1), row(handed=0)], NO_GROUPS, set(), "1", 0)
@example([row(lines=4, in_use=2, handed=1), row(lines=2, in_use=1)], NO_GROUPS, set(), "1", 0)
@example([row(protect=500), row(priority=1)], NO_GROUPS, set(), "1", 500)
@example([row(protect=500), row(priority=1)], NO_GROUPS, set(), "1", 499)
@settings(max_examples=300)
def test_gateways_are_tried_in_the_specified_order(
    table: list[Row], shared: dict[str, Shared], named: set[str], number: str, waited_ms: int
) -> None:
    rows = {f"g{index}": row for index, row in enumerate(table)}
    mine = frozenset(named)
    groups = {
        name: Group(name, one.lines, UNLIMITED, one.reserved) for name, one in shared.items()
    }
    gateways = {
        name: Gateway(
            name, "udp", "10.0.0.1", 5060, row.prefixes, row.priority, row.lines,
            DEFAULT_SWITCH_ON, False, False, {}, terminates=row.terminates,
            group=groups.get(row.group), protect_ms=row.protect,
        )
        for name, row in rows.items()
    }
    by_key = {one.key: one for one in gateways.values()}
    usages = {f"gateway:{name}": Usage(row.in_use, row.handed) for name, row in rows.items()}
    usages |= {f"group:{name}": Usage(one.in_use, 0) for name, one in shared.items()}
    states = {
        f"gateway:{name}": STATES[row.state] for name, row in rows.items() if row.state in STATES
    }
    store = MemoryLive(usages, states)
    tiers = PrefixTable(gateways.values()).find(number).tiers
    if mine:  # what a trunk's `groups` do to its candidates
        outside = [
            key for key, one in by_key.items() if one.group is None or one.group.name not in mine
        ]
        tiers = with_reserves(untried(tiers, outside), mine, by_key)
    protected = {one.key: one.protect_ms for one in gateways.values() if one.protect_ms is not None}
    tiers = protected_last(tiers, protected, waited_ms)
    record = CallRecord(id="c")
    tried: list[str] = []
    [admission] = store.commit([Admit(record, (), tiers)], NOW_MS)
    while admission is not None and admission.gateway is not None:  # type: ignore[union-attr]
        tried.append(admission.gateway)  # type: ignore[union-attr]
        [admission] = store.commit([Rehunt(record, untried(tiers, tried))], NOW_MS)
    wanted = expected(rows, shared, mine, number, waited_ms)
    assert [key.removeprefix("gateway:") for key in tried] == wanted
