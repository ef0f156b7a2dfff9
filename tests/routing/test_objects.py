"""Gateways, accounts and trunks as the routes and the core see them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.parameters import CallTimers
from router.routing.objects import (
    DEFAULT_SWITCH_ON,
    NO_ACCOUNT,
    NO_GATEWAY,
    NO_TRUNK,
    Account,
    Gateway,
    Trunk,
    call_timers,
)
from router.store.ops import UNLIMITED, Candidate, Hold


def gateway(switch_on: tuple[tuple[int, int], ...]) -> Gateway:
    return Gateway("g", "udp", "10.0.0.1", 5060, (), 1, 7, switch_on, False, False, {})


def trunk(account: Account, lines: int) -> Trunk:
    return Trunk(account, "office", (), "", 1, lines, (1, 32), {})


@pytest.mark.parametrize("status", range(300, 700))
def test_by_default_408_and_5xx_switch_save_501_and_505(status: int) -> None:
    expected = status == 408 or (500 <= status <= 599 and status not in (501, 505))
    assert gateway(DEFAULT_SWITCH_ON).switches_on(status) is expected


@given(
    codes=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), max_size=5),
    status=st.integers(300, 699),
)
def test_a_gateway_switches_on_what_its_ranges_hold(
    codes: list[tuple[int, int]], status: int
) -> None:
    expected = any(low <= status <= high for low, high in codes)
    assert gateway(tuple(codes)).switches_on(status) is expected


def test_no_range_makes_an_answer_switch() -> None:
    switching = gateway(((0, 999),))
    assert not any(switching.switches_on(status) for status in (100, 180, 200, 299, 700))


def test_a_gateway_is_a_candidate_with_its_lines() -> None:
    assert gateway(()).candidate == Candidate("gateway:g", 7)
    assert str(gateway(())) == "g"


@pytest.mark.parametrize(
    ("moment", "expired"),
    [
        (datetime(2026, 11, 25, 0, 0, tzinfo=UTC), False),
        (datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 26, 0, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 24, 12, 0, tzinfo=UTC), False),
    ],
)
def test_an_account_is_valid_until_the_end_of_its_last_day(
    moment: datetime, expired: bool
) -> None:
    account = Account("acme", UNLIMITED, False, date(2026, 11, 25))
    assert account.expired(int(moment.timestamp() * 1000)) is expired


def test_an_account_without_a_date_never_expires() -> None:
    assert not Account("acme", UNLIMITED, False, None).expired(10**14)


def test_a_trunk_holds_its_accounts_line_and_its_own_when_it_has_a_limit() -> None:
    account = Account("acme", 30, False, None)
    assert trunk(account, UNLIMITED).holds == (Hold("account:acme", 30),)
    assert trunk(account, 5).holds == (Hold("account:acme", 30), Hold("trunk:acme/office", 5))


def test_an_account_without_limit_is_counted_all_the_same() -> None:
    assert trunk(Account("acme", UNLIMITED, False, None), UNLIMITED).holds == (
        Hold("account:acme", UNLIMITED),
    )


def test_nobody_holds_nothing() -> None:
    assert NO_TRUNK.holds == ()
    assert (NO_TRUNK.id, NO_ACCOUNT.id, NO_GATEWAY.id) == ("", "", "")


def test_the_nearest_level_of_timers_wins() -> None:
    near = {"ringing_timeout": 1, "invite_timeout": 2}
    middle = {"ringing_timeout": 3, "max_duration": 4}
    far = {"ringing_timeout": 5, "max_duration": 6, "trying_timeout": 7}
    assert call_timers(near, middle, far) == CallTimers(
        ringing_ms=1, invite_ms=2, max_duration_ms=4, trying_ms=7
    )
    assert call_timers({}, {}) == CallTimers()
