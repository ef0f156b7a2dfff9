"""Which trunk a call comes from: the narrowest network, then the caller's prefix, then priority."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing import identify
from router.routing.identify import TrunkTable
from router.routing.objects import Account, Trunk

ACCOUNT = Account("acme", -1, False, None)


def trunk(name: str, *networks: str, prefix: str = "", priority: int = 1) -> Trunk:
    return Trunk(
        ACCOUNT, name, tuple(ip_network(one) for one in networks), prefix, priority, -1, (1, 32),
        {},
    )


def found(table: TrunkTable, source: str, caller: str = "1000") -> str:
    one = table.find(source, caller)
    return one.name if one is not None else ""


def test_the_narrowest_network_wins() -> None:
    table = TrunkTable([
        trunk("all", "0.0.0.0/0"), trunk("net", "10.0.0.0/8"), trunk("host", "10.1.2.3"),
    ])
    assert found(table, "10.1.2.3") == "host"
    assert found(table, "10.1.2.4") == "net"
    assert found(table, "11.0.0.1") == "all"


def test_in_one_network_the_longest_callers_prefix_wins_and_then_priority() -> None:
    table = TrunkTable([
        trunk("any", "10.0.0.0/8", priority=0),
        trunk("four", "10.0.0.0/8", prefix="4"),
        trunk("second", "10.0.0.0/8", prefix="49", priority=2),
        trunk("first", "10.0.0.0/8", prefix="49", priority=1),
    ])
    assert found(table, "10.0.0.1", "4930") == "first"
    assert found(table, "10.0.0.1", "44") == "four"
    assert found(table, "10.0.0.1", "1") == "any"


def test_a_narrower_network_whose_prefix_does_not_match_leads_to_the_wider() -> None:
    table = TrunkTable([trunk("narrow", "10.1.0.0/16", prefix="49"), trunk("wide", "10.0.0.0/8")])
    assert found(table, "10.1.0.1", "1000") == "wide"
    assert found(table, "10.1.0.1", "4930") == "narrow"


def test_alike_in_everything_the_first_in_the_file_wins() -> None:
    table = TrunkTable([trunk("one", "10.0.0.0/8"), trunk("two", "10.0.0.0/8")])
    assert found(table, "10.0.0.1") == "one"


def test_a_trunk_has_as_many_networks_as_it_likes_of_either_kind() -> None:
    table = TrunkTable([trunk("both", "192.0.2.0/24", "2001:db8::/32")])
    assert found(table, "192.0.2.7") == "both"
    assert found(table, "2001:db8::7") == "both"
    assert found(table, "2001:db9::7") == ""


@pytest.mark.parametrize("source", ["10.0.0.1", "", "nonsense", "10.0.0.300", "[::1]"])
def test_nobody_is_no_trunk(source: str) -> None:
    assert TrunkTable([trunk("one", "192.0.2.0/24")]).find(source, "1000") is None


def test_only_a_bounded_number_of_sources_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identify, "MAX_REMEMBERED", 3)
    table = TrunkTable([trunk("one", "10.0.0.0/8")])
    for last in range(20):
        assert found(table, f"10.0.0.{last}") == "one"
        assert found(table, f"11.0.0.{last}") == ""
    assert len(table._remembered) <= 3


networks = st.tuples(st.integers(0, 15), st.integers(28, 32)).map(
    lambda pair: str(ip_network(f"10.0.0.{pair[0]}/{pair[1]}", strict=False))
)
trunks = st.tuples(
    st.lists(networks, min_size=1, max_size=3), st.sampled_from(["", "1", "12", "2"]),
    st.integers(0, 2),
)


@given(made=st.lists(trunks, max_size=6), last=st.integers(0, 15), caller=st.text("12", max_size=3))
def test_find_is_the_naive_sort(
    made: list[tuple[list[str], str, int]], last: int, caller: str
) -> None:
    all_trunks = [
        trunk(f"t{at}", *nets, prefix=prefix, priority=priority)
        for at, (nets, prefix, priority) in enumerate(made)
    ]
    source = f"10.0.0.{last}"
    matching = [
        (-network.prefixlen, -len(one.caller_prefix), one.priority, at, one)
        for at, one in enumerate(all_trunks)
        for network in one.ips
        if ip_address(source) in network and caller.startswith(one.caller_prefix)
    ]
    expected = min(matching, key=lambda entry: entry[:4])[4] if matching else None
    table = TrunkTable(all_trunks)
    assert table.find(source, caller) is expected
    assert table.find(source, caller) is expected
