"""Groups of gateways, calls a second, and what routes share: for every live store."""

from __future__ import annotations

from typing import Any

from live_suite import in_use
from store_samples import BACKUP, MOBILE, NOW_MS, sample_call, sample_cdr

from router.store.ops import (
    Admission,
    Admit,
    Candidate,
    Credit,
    Finish,
    Hold,
    Leave,
    Rehunt,
    Remember,
    Save,
)

CHEAP = Hold("group:cheap", 2)
FIRST = Candidate("gateway:first", 5, holds=(CHEAP,))
SECOND = Candidate("gateway:second", 5, holds=(CHEAP,))
NO_LINE = "every line of group cheap in use"


def admit(live: Any, number: int, *tiers: Candidate, holds: tuple[Hold, ...] = (),
          at_ms: int = NOW_MS) -> tuple[Admit, Admission]:
    """A call that may use these gateways, one after the other."""
    op = Admit(sample_call(number), holds, tuple((one,) for one in tiers))
    (admission,) = live.commit([op], at_ms)
    return op, admission


class GroupSuite:
    """Lines that a gateway has in common with others."""

    def test_a_call_takes_a_line_of_its_gateways_group(self, live: Any) -> None:
        op, admission = admit(live, 1, FIRST, holds=(Hold("account:acme", 3),))
        assert admission == Admission("gateway:first", [], None)
        assert op.record.holds == ["account:acme", "group:cheap"]
        assert in_use(live) == {"account:acme": 1, "gateway:first": 1, "group:cheap": 1}
        assert live.verify() == []
        live.commit([Finish(op.record.id, sample_cdr(1))], NOW_MS)
        assert in_use(live) == {}

    def test_a_full_group_drops_all_its_gateways_and_no_other(self, live: Any) -> None:
        admit(live, 1, FIRST)
        admit(live, 2, SECOND)
        _, admission = admit(live, 3, FIRST, SECOND, MOBILE)
        assert admission.gateway == MOBILE.key
        assert admission.dropped == [("gateway:first", NO_LINE), ("gateway:second", NO_LINE)]
        _, admission = admit(live, 4, FIRST)
        assert admission == Admission(None, [("gateway:first", NO_LINE)], None)
        assert in_use(live)["group:cheap"] == 2

    def test_the_next_gateway_gives_the_groups_line_back_and_takes_its_own(
        self, live: Any
    ) -> None:
        op, _ = admit(live, 1, FIRST, holds=(Hold("account:acme", 3),))
        admit(live, 2, FIRST)
        record = op.record
        (admission,) = live.commit([Rehunt(record, ((SECOND,),))], NOW_MS)
        assert admission.gateway == "gateway:second"
        assert record.holds == ["account:acme", "group:cheap"]
        (admission,) = live.commit([Rehunt(record, ((BACKUP,),))], NOW_MS)
        assert admission.gateway == BACKUP.key
        assert record.holds == ["account:acme"]
        assert in_use(live) == {
            "account:acme": 1, BACKUP.key: 1, "gateway:first": 1, "group:cheap": 1,
        }
        (admission,) = live.commit([Rehunt(record, ())], NOW_MS)
        assert admission.gateway is None
        live.commit([Save(record), Finish(record.id, sample_cdr(1))], NOW_MS)
        assert in_use(live) == {"gateway:first": 1, "group:cheap": 1}
        assert live.verify() == []

    def test_two_of_a_turn_cannot_take_the_groups_last_line(self, live: Any) -> None:
        admit(live, 1, FIRST)
        ops = [Admit(sample_call(number), (), ((FIRST,), (SECOND,))) for number in (2, 3)]
        one, other = live.commit(ops, NOW_MS)
        assert (one.gateway, other.gateway) == ("gateway:first", None)


class BranchSuite:
    """Calls that ring several gateways at once: each takes a line, and gives it back by itself."""

    def ring(self, live: Any, number: int, *candidates: Candidate, branches: int = 16) -> Any:
        op = Admit(
            sample_call(number), (Hold("account:acme", 9),), tuple((one,) for one in candidates),
            branches=branches,
        )
        (admission,) = live.commit([op], NOW_MS)
        return op.record, admission

    def test_every_gateway_that_rings_takes_its_line(self, live: Any) -> None:
        record, admission = self.ring(live, 1, MOBILE, FIRST, BACKUP)
        assert admission == Admission(MOBILE.key, others=["gateway:first", BACKUP.key])
        assert record.gateway == MOBILE.key
        assert record.holds == ["account:acme", "gateway:first", "group:cheap", BACKUP.key]
        assert in_use(live) == {
            "account:acme": 1, MOBILE.key: 1, "gateway:first": 1, "group:cheap": 1, BACKUP.key: 1,
        }
        assert live.verify() == []
        live.commit([Finish(record.id, sample_cdr(1))], NOW_MS)
        assert in_use(live) == {}

    def test_no_more_ring_than_may(self, live: Any) -> None:
        _, admission = self.ring(live, 1, MOBILE, FIRST, BACKUP, branches=2)
        assert (admission.gateway, admission.others) == (MOBILE.key, ["gateway:first"])

    def test_what_is_full_is_passed_over_and_said_once(self, live: Any) -> None:
        full = Candidate("gateway:full", 1)
        self.ring(live, 1, full)
        record, admission = self.ring(live, 2, full, MOBILE, FIRST, SECOND, BACKUP)
        assert admission.dropped == [("gateway:full", "full")]
        assert admission.others == ["gateway:first", "gateway:second", BACKUP.key]
        _, admission = self.ring(live, 3, FIRST, full)
        assert admission.gateway is None
        assert admission.dropped == [("gateway:first", NO_LINE), ("gateway:full", "full")]
        live.commit([Finish(record.id, sample_cdr(2))], NOW_MS)
        assert in_use(live) == {"account:acme": 1, "gateway:full": 1}

    def test_one_leaves_and_an_heir_takes_the_place_of_the_first(self, live: Any) -> None:
        record, _ = self.ring(live, 1, MOBILE, FIRST, BACKUP)
        live.commit([Leave(record, (FIRST,))], NOW_MS)
        assert (record.gateway, record.holds) == (MOBILE.key, ["account:acme", BACKUP.key])
        live.commit([Leave(record, (MOBILE,), BACKUP.key)], NOW_MS)
        assert (record.gateway, record.holds) == (BACKUP.key, ["account:acme"])
        assert in_use(live) == {"account:acme": 1, BACKUP.key: 1}
        assert live.verify() == []
        live.commit([Leave(record, (FIRST,))], NOW_MS)
        (admission,) = live.commit([Rehunt(record, ((MOBILE,), (FIRST,)), branches=16)], NOW_MS)
        assert (admission.gateway, admission.others) == (MOBILE.key, ["gateway:first"])
        assert in_use(live) == {
            "account:acme": 1, MOBILE.key: 1, "gateway:first": 1, "group:cheap": 1,
        }
        live.commit([Finish(record.id, sample_cdr(1)), Leave(record, (MOBILE,))], NOW_MS)
        assert in_use(live) == {}
        assert live.verify() == []

    def test_the_lines_of_the_call_itself_stay_when_a_callee_of_the_same_name_leaves(
        self, live: Any
    ) -> None:
        own = Candidate("phone:1001", 5)
        op = Admit(sample_call(1), (Hold("phone:1001", 5),), ((MOBILE,), (own,)), branches=16)
        live.commit([op], NOW_MS)
        assert live.usage("phone:1001").in_use == 2
        live.commit([Leave(op.record, (own,))], NOW_MS)
        assert live.usage("phone:1001").in_use == 1
        assert op.record.holds == ["phone:1001"]

    def test_a_call_that_goes_on_may_need_more_or_is_refused(self, live: Any) -> None:
        record, _ = self.ring(live, 1, MOBILE)
        hold = Hold("phone:1001", 1)
        more = Rehunt(record, ((BACKUP,),), holds=(hold, Hold("account:other", 5)))
        (admission,) = live.commit([more], NOW_MS)
        assert admission.gateway == BACKUP.key
        assert record.holds == ["account:acme", "phone:1001", "account:other"]
        other, _ = self.ring(live, 2, MOBILE)
        (refused,) = live.commit(
            [Rehunt(other, ((BACKUP,),), holds=(Hold("account:other", 5), hold))], NOW_MS
        )
        assert refused == Admission(refused="phone:1001")
        assert (other.gateway, other.holds) == ("", ["account:acme"])
        assert in_use(live) == {
            "account:acme": 2, "account:other": 1, "phone:1001": 1, BACKUP.key: 1,
        }
        credit = Credit("poor", 100)
        (refused,) = live.commit([Rehunt(other, ((BACKUP,),), credits=(credit,))], NOW_MS)
        assert refused == Admission(refused="credit:poor")
        live.commit([Finish(record.id, sample_cdr(1)), Finish(other.id, sample_cdr(2))], NOW_MS)
        assert in_use(live) == {}
        assert live.verify() == []

    def test_what_a_gateway_reserves_goes_back_when_it_leaves(self, live: Any) -> None:
        asks = [
            Candidate(f"gateway:v{at}", credits=(Credit("vendor", need, -1000),))
            for at, need in enumerate((100, 200, 300))
        ]
        record, _ = self.ring(live, 1, *asks)
        assert live.money("vendor").reserved == 600
        live.commit([Leave(record, (asks[1],))], NOW_MS)
        assert live.money("vendor").reserved == 400
        live.commit([Leave(record, (asks[0],), asks[2].key)], NOW_MS)
        assert live.money("vendor").reserved == 300
        assert record.gateway == asks[2].key
        assert live.verify() == []
        live.commit([Finish(record.id, sample_cdr(1))], NOW_MS)
        assert live.money("vendor").reserved == 0


class PaceSuite:
    """Calls a second."""

    def test_an_account_may_call_so_often_in_a_second(self, live: Any) -> None:
        holds = (Hold("account:acme", -1, 2),)
        admissions = [
            admit(live, at, MOBILE, holds=holds, at_ms=NOW_MS + at * 100)[1] for at in (1, 2, 3)
        ]
        assert [one.gateway for one in admissions[:2]] == [MOBILE.key, MOBILE.key]
        assert admissions[2] == Admission(None, [], "account:acme", True)
        assert in_use(live) == {"account:acme": 2, MOBILE.key: 2}
        _, later = admit(live, 4, BACKUP, holds=holds, at_ms=NOW_MS + 1_100)
        assert later.gateway == BACKUP.key

    def test_what_is_refused_does_not_count(self, live: Any) -> None:
        holds = (Hold("account:acme", -1, 1),)
        admit(live, 1, holds=holds)  # no gateway
        assert admit(live, 2, MOBILE, holds=holds)[1].gateway == MOBILE.key
        for at in range(20):
            admit(live, 3 + at, MOBILE, holds=holds, at_ms=NOW_MS + at * 50)
        assert admit(live, 50, BACKUP, holds=holds, at_ms=NOW_MS + 1_000)[1].gateway == BACKUP.key

    def test_a_gateway_that_is_too_fast_is_passed_over(self, live: Any) -> None:
        slow = Candidate("gateway:slow", -1, 1)
        assert admit(live, 1, slow, MOBILE)[1].gateway == "gateway:slow"
        _, admission = admit(live, 2, slow, MOBILE)
        assert admission == Admission(
            MOBILE.key, [("gateway:slow", "calls per second used up")], None
        )
        assert admit(live, 3, slow, MOBILE, at_ms=NOW_MS + 1_000)[1].gateway == "gateway:slow"

    def test_each_attempt_counts_for_its_gateway_and_group(self, live: Any) -> None:
        group = Hold("group:cheap", -1, 2)
        first, second = (Candidate(f"gateway:{name}", -1, 2, (group,)) for name in "ab")
        op, _ = admit(live, 1, first)
        live.commit([Rehunt(op.record, ((second,),))], NOW_MS)
        why = "calls per second of group cheap used up"
        assert admit(live, 2, first, second)[1].dropped == [
            ("gateway:a", why), ("gateway:b", why),
        ]

    def test_two_of_a_turn_count_for_each_other(self, live: Any) -> None:
        slow = Candidate("gateway:slow", -1, 1)
        ops = [Admit(sample_call(number), (), ((slow,),)) for number in (1, 2)]
        one, other = live.commit(ops, NOW_MS)
        assert (one.gateway, other.gateway) == ("gateway:slow", None)


class SharedSuite:
    """Values and rates that routes share."""

    def test_a_value_is_there_until_its_end(self, live: Any) -> None:
        assert live.recall("colour", NOW_MS) is None
        live.commit([Remember("colour", "blue", NOW_MS + 500)], NOW_MS)
        assert live.recall("colour", NOW_MS) == "blue"
        assert live.recall("colour", NOW_MS + 499) == "blue"
        assert live.recall("colour", NOW_MS + 500) is None
        assert live.recall("other", NOW_MS) is None

    def test_the_newest_value_stands(self, live: Any) -> None:
        live.commit([Remember("k", "old", NOW_MS + 900)], NOW_MS)
        live.commit([Remember("k", "new", NOW_MS + 100), Remember("k2", "", NOW_MS + 9)], NOW_MS)
        assert live.recall("k", NOW_MS) == "new"
        assert live.recall("k2", NOW_MS) == ""
        assert live.recall("k", NOW_MS + 100) is None

    def test_any_text_is_a_key_and_a_value(self, live: Any) -> None:
        for text in ("", "a" * 5_000, "用户", "\udcff\udcfe", "a\0b", "a/b"):
            live.commit([Remember(text, text[:1_000], NOW_MS + 1)], NOW_MS)
            assert live.recall(text, NOW_MS) == text[:1_000]
        assert live.recall("a" * 5_001, NOW_MS) is None

    def test_only_so_many_are_let_through_in_a_time(self, live: Any) -> None:
        let = [live.permit("10.0.0.1", 3, 1_000, NOW_MS + at) for at in range(6)]
        assert let == [True, True, True, False, False, False]
        assert live.permit("10.0.0.2", 3, 1_000, NOW_MS)
        assert not live.permit("10.0.0.1", 3, 1_000, NOW_MS + 960)
        assert live.permit("10.0.0.1", 3, 1_000, NOW_MS + 1_000)

    def test_what_is_refused_does_not_prolong_it(self, live: Any) -> None:
        assert live.permit("k", 1, 1_000, NOW_MS)
        for at in range(0, 960, 10):
            assert not live.permit("k", 1, 1_000, NOW_MS + at)
        assert live.permit("k", 1, 1_000, NOW_MS + 1_000)

    def test_one_key_may_be_held_against_two_times(self, live: Any) -> None:
        assert live.permit("k", 1, 1_000, NOW_MS)
        assert live.permit("k", 1, 60_000, NOW_MS)
        assert not live.permit("k", 1, 60_000, NOW_MS + 59_000 - 1_875)
        assert live.permit("k", 1, 1_000, NOW_MS + 1_000)

    def test_a_rate_and_a_value_of_one_name_are_two_things(self, live: Any) -> None:
        assert live.permit("k", 1, 1_000, NOW_MS)
        assert live.recall("k", NOW_MS) is None
        live.commit([Remember("k", "v", NOW_MS + 9)], NOW_MS)
        assert not live.permit("k", 1, 1_000, NOW_MS)
