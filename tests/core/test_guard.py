"""What strangers cost at most."""

from __future__ import annotations

import pytest

from router.core.guard import ADDRESSES, CALLS_OF_ADDRESS, WINDOW_MS, Guard, shorten, source_of
from router.store.records import Cdr

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(("address", "source"), [
    ("192.0.2.1", "192.0.2.1"),
    ("2001:db8::1", "2001:db8::/64"),
    ("2001:db8::ffff:1", "2001:db8::/64"),
    ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
    ("fe80::1%eth0", "fe80::/64"),
    ("::ffff:192.0.2.1", "192.0.2.1"),
    ("::nonsense::", "::nonsense::"),
])
def test_who_is_meant_by_an_address(address: str, source: str) -> None:
    assert source_of(address) == source


def test_a_block_is_over_at_its_end() -> None:
    guard = Guard()
    guard.block("2001:db8::1", NOW_MS + 10)
    guard.block("192.0.2.1", NOW_MS + 20)
    assert guard.is_blocked("2001:db8::2", NOW_MS + 9)
    assert not guard.is_blocked("2001:db8::2", NOW_MS + 10)
    assert guard.is_blocked("192.0.2.1", NOW_MS + 10)
    assert not guard.is_blocked("192.0.2.2", NOW_MS)


def test_so_many_calls_of_an_address_are_recorded_in_a_minute() -> None:
    guard = Guard()
    recorded = [guard.records("192.0.2.1", NOW_MS + n) for n in range(100)]
    assert recorded == [True] * CALLS_OF_ADDRESS + [False] * (100 - CALLS_OF_ADDRESS)
    assert guard.records("192.0.2.2", NOW_MS + 100)
    assert not guard.records("192.0.2.1", NOW_MS + WINDOW_MS - 1)
    assert guard.records("192.0.2.1", NOW_MS + WINDOW_MS)


def test_so_many_addresses_are_recorded_in_a_minute() -> None:
    guard = Guard()
    count = sum(guard.records(f"10.0.{n // 250}.{n % 250}", NOW_MS) for n in range(1_000))
    assert count == ADDRESSES
    assert guard.records("10.0.0.1", NOW_MS)


def test_what_is_short_stays_and_what_is_long_is_cut() -> None:
    cdr = Cdr(call_id="c" * 500, caller_in="1000", callee_in="8" * 201, decision=["x", "y" * 999])
    shorten(cdr)
    assert (len(cdr.call_id), cdr.caller_in, len(cdr.callee_in)) == (200, "1000", 200)
    assert [len(entry) for entry in cdr.decision] == [1, 400]
