"""What every live store must do with money. A second backend subclasses with a `live` fixture."""

from __future__ import annotations

from typing import Any

from live_suite import in_use
from store_samples import BACKUP, MOBILE, NOW_MS, call_id, sample_admit, sample_cdr

from router.store.funds import opening_id
from router.store.money import Money
from router.store.ops import (
    Admission,
    Admit,
    Candidate,
    Credit,
    Finish,
    Finished,
    Funds,
    GatewayState,
    Hold,
    Keep,
    Rehunt,
    Renew,
    Renewed,
    Save,
)
from router.store.query import CdrQuery
from router.store.records import Charge

ACME = Credit("acme", 100)
TOP = Credit("top", 70, -50)
CARRIER = Credit("carrier", 30)
PAID = Candidate("gateway:paid", credits=(CARRIER,))


def fund(live: Any, **amounts: int) -> None:
    """Gives accounts money."""
    for account, amount in amounts.items():
        live.commit([Funds(f"fund-{account}", account, amount)], NOW_MS)


def admit(number: int, *credits: Credit, tiers: Any = ((MOBILE,), (BACKUP,))) -> Admit:
    """The admission of a call that needs money and no lines."""
    wanted = sample_admit(number, (), tiers)
    wanted.credits = credits
    return wanted


def finish(number: int, **amounts: int) -> Finish:
    """The end of a call with what each account pays."""
    charges = [Charge(account, amount) for account, amount in amounts.items()]
    return Finish(call_id(number), sample_cdr(number, charges=charges))


class MoneySuite:
    """Credit at Admit, Rehunt and Renew, what Finish charges, and Funds."""

    def test_an_account_that_nobody_saw_has_nothing(self, live: Any) -> None:
        assert live.money("nobody") == Money(0, 0)
        assert live.monies() == {}

    def test_an_admitted_call_reserves_what_each_account_must_give(self, live: Any) -> None:
        fund(live, acme=100, top=20)
        wanted = admit(1, ACME, TOP)
        (admission,) = live.commit([wanted], NOW_MS)
        assert admission == Admission(MOBILE.key)
        assert wanted.record.reserved == [("acme", 100), ("top", 70)]
        assert live.monies() == {"acme": Money(100, 100), "top": Money(20, 70)}
        assert live.verify() == []

    def test_a_call_that_one_account_cannot_pay_for_takes_nothing(self, live: Any) -> None:
        fund(live, acme=100, top=19)
        wanted = admit(1, ACME, TOP)
        wanted.holds = (Hold("account:acme", 1),)
        (admission,) = live.commit([wanted], NOW_MS)
        assert admission == Admission(refused="credit:top")
        assert wanted.record.reserved == []
        assert in_use(live) == {}
        assert [money.reserved for money in live.monies().values()] == [0, 0]

    def test_lines_are_asked_before_money(self, live: Any) -> None:
        wanted = admit(1, ACME)
        wanted.holds = (Hold("account:acme", 0),)
        (admission,) = live.commit([wanted], NOW_MS)
        assert admission.refused == "account:acme"

    def test_what_one_call_has_reserved_the_next_cannot_have(self, live: Any) -> None:
        fund(live, acme=199)
        first, second = live.commit([admit(1, ACME), admit(2, ACME)], NOW_MS)
        assert first.gateway == MOBILE.key
        assert second.refused == "credit:acme"
        fund(live, top=1)
        live.commit([Funds("one-more", "acme", 1)], NOW_MS)
        (third,) = live.commit([admit(3, ACME)], NOW_MS)
        assert third.gateway is not None
        assert live.money("acme") == Money(200, 200)

    def test_an_account_asked_twice_must_have_it_all(self, live: Any) -> None:
        fund(live, acme=199)
        (admission,) = live.commit([admit(1, ACME, ACME)], NOW_MS)
        assert admission.refused == "credit:acme"
        live.commit([Funds("one-more", "acme", 1)], NOW_MS)
        live.commit([admit(2, ACME, ACME)], NOW_MS)
        assert live.money("acme") == Money(200, 200)
        assert live.verify() == []

    def test_a_call_without_a_gateway_reserves_nothing(self, live: Any) -> None:
        fund(live, acme=100)
        live.commit([admit(1, ACME, tiers=())], NOW_MS)
        assert live.money("acme") == Money(100, 0)

    def test_a_gateway_whose_clearing_account_is_used_up_is_passed_over(self, live: Any) -> None:
        fund(live, carrier=59)
        tiers = ((PAID,), (BACKUP,))
        answers = live.commit([admit(1, tiers=tiers), admit(2, tiers=tiers)], NOW_MS)
        assert answers == [
            Admission(PAID.key),
            Admission(BACKUP.key, [(PAID.key, "credit of account carrier used up")]),
        ]
        assert live.money("carrier") == Money(59, 30)
        assert live.verify() == []

    def test_one_account_may_be_customer_and_vendor(self, live: Any) -> None:
        fund(live, carrier=59)
        same = admit(1, CARRIER, tiers=((PAID,),))
        (admission,) = live.commit([same], NOW_MS)
        assert admission.dropped == [(PAID.key, "credit of account carrier used up")]
        assert live.money("carrier") == Money(59, 0)
        live.commit([Funds("one-more", "carrier", 1)], NOW_MS)
        live.commit([same], NOW_MS)
        assert live.money("carrier") == Money(60, 60)
        live.commit([Rehunt(same.record, ((BACKUP,),))], NOW_MS)
        assert live.money("carrier") == Money(60, 30)
        assert same.record.reserved == [("carrier", 30)]
        assert live.verify() == []

    def test_rehunt_gives_the_vendors_money_back_and_reserves_the_next_ones(
        self, live: Any
    ) -> None:
        fund(live, acme=100, carrier=30, other=5)
        wanted = admit(1, ACME, tiers=((PAID,),))
        live.commit([wanted], NOW_MS)
        dear = Candidate("gateway:dear", credits=(Credit("other", 6),))
        fair = Candidate("gateway:fair", credits=(Credit("other", 5),))
        (admission,) = live.commit([Rehunt(wanted.record, ((dear,), (fair,)))], NOW_MS)
        assert admission == Admission(fair.key, [(dear.key, "credit of account other used up")])
        assert live.monies() == {
            "acme": Money(100, 100), "carrier": Money(30, 0), "other": Money(5, 5),
        }
        live.commit([Rehunt(wanted.record, ())], NOW_MS)
        assert live.money("other") == Money(5, 0)
        assert wanted.record.reserved == [("acme", 100)]
        assert live.verify() == []

    def test_finish_releases_the_reserve_and_charges(self, live: Any) -> None:
        fund(live, acme=100, carrier=100)
        wanted = admit(1, ACME, tiers=((PAID,),))
        live.commit([wanted, Save(wanted.record)], NOW_MS)
        live.commit([finish(1, acme=40, carrier=20)], NOW_MS)
        assert live.monies() == {"acme": Money(60, 0), "carrier": Money(80, 0)}
        assert live.verify() == []

    def test_finishing_twice_charges_once(self, live: Any) -> None:
        fund(live, acme=200)
        live.commit([admit(1, ACME), admit(2, ACME)], NOW_MS)
        live.commit([finish(1, acme=40), finish(1, acme=40)], NOW_MS)
        live.commit([finish(1, acme=40)], NOW_MS)
        assert live.money("acme") == Money(160, 100)

    def test_finish_says_whose_balance_it_took_below_what_is_watched(self, live: Any) -> None:
        fund(live, acme=100, top=100)
        live.commit([admit(number, Credit("acme", 1)) for number in range(4)], NOW_MS)
        watched = (("acme", 60), ("top", 60))
        said = []
        for number in range(3):
            ended = finish(number, acme=30, top=15)
            ended.watched = watched
            said += live.commit([ended], NOW_MS)
            # The second of the same call takes nothing, and says nothing.
            said += live.commit([ended], NOW_MS)
        assert said == [
            Finished(()), Finished(()), Finished(("acme",)), Finished(()), Finished(("top",)),
            Finished(()),
        ]
        assert live.commit([finish(3, acme=1)], NOW_MS) == [None]

    def test_what_is_charged_may_be_more_than_was_reserved(self, live: Any) -> None:
        fund(live, acme=100)
        live.commit([admit(1, ACME)], NOW_MS)
        live.commit([finish(1, acme=140)], NOW_MS)
        assert live.money("acme") == Money(-40, 0)

    def test_a_call_in_progress_reserves_more(self, live: Any) -> None:
        fund(live, acme=250, top=100)
        wanted = admit(1, ACME, TOP)
        live.commit([wanted], NOW_MS)
        (renewed,) = live.commit([Renew(wanted.record, (ACME, TOP), NOW_MS + 9)], NOW_MS)
        assert renewed == Renewed(True, {"acme": 50, "top": 10})
        assert wanted.record.reserved == [("acme", 200), ("top", 140)]
        assert wanted.record.paid_until == NOW_MS + 9
        assert live.monies() == {"acme": Money(250, 200), "top": Money(100, 140)}
        assert live.verify() == []
        live.commit([finish(1, acme=150, top=140)], NOW_MS)
        assert live.monies() == {"acme": Money(100, 0), "top": Money(-40, 0)}

    def test_a_renewal_that_one_account_cannot_give_reserves_nothing(self, live: Any) -> None:
        fund(live, acme=250, top=20)
        wanted = admit(1, ACME, TOP)
        live.commit([wanted], NOW_MS)
        (renewed,) = live.commit([Renew(wanted.record, (ACME, TOP), NOW_MS + 9)], NOW_MS)
        assert renewed == Renewed(False, {"acme": 150, "top": 0})
        assert (wanted.record.reserved, wanted.record.paid_until) == (
            [("acme", 100), ("top", 70)], 0,
        )
        assert live.monies() == {"acme": Money(250, 100), "top": Money(20, 70)}

    def test_a_call_that_is_gone_is_granted_nothing(self, live: Any) -> None:
        fund(live, acme=250)
        wanted = admit(1, ACME)
        answers = live.commit(
            [wanted, finish(1, acme=40), Renew(wanted.record, (ACME,), 1)], NOW_MS
        )
        assert answers[-1] == Renewed(False)
        assert live.money("acme") == Money(210, 0)

    def test_a_call_that_waited_reserves_when_it_is_admitted(self, live: Any) -> None:
        fund(live, acme=100)
        wanted = admit(1, ACME)
        live.commit([Keep(wanted.record)], NOW_MS)
        live.commit([wanted], NOW_MS)
        assert live.money("acme") == Money(100, 100)
        assert live.verify() == []

    def test_funds_of_one_id_are_given_once(self, live: Any) -> None:
        topup = Funds("0001", "acme", 500, "topup", "wire 17", "root", NOW_MS)
        live.commit([topup, topup], NOW_MS)
        live.commit([topup], NOW_MS)
        live.commit([Funds("0002", "acme", -100, "adjust")], NOW_MS)
        assert live.money("acme") == Money(400, 0)

    def test_an_account_is_opened_once(self, live: Any) -> None:
        for amount in (700, 900):
            live.commit([Funds(opening_id("acme"), "acme", amount, "opening")], NOW_MS)
        assert live.monies() == {"acme": Money(700, 0)}

    def test_an_account_without_money_is_known_after_its_opening(self, live: Any) -> None:
        live.commit([Funds(opening_id("acme"), "acme", 0, "opening")], NOW_MS)
        assert live.monies() == {"acme": Money(0, 0)}
        assert live.verify() == []

    def test_a_need_of_nothing_is_refused_below_the_floor(self, live: Any) -> None:
        nothing = Credit("acme", 0)
        (admission,) = live.commit([admit(1, nothing)], NOW_MS)
        assert admission.gateway == MOBILE.key
        live.commit([Funds("0001", "acme", -1, "adjust")], NOW_MS)
        (admission,) = live.commit([admit(2, nothing)], NOW_MS)
        assert admission.refused == "credit:acme"

    def test_a_gateway_that_is_down_is_not_asked_for_its_money(self, live: Any) -> None:
        live.commit([GatewayState(PAID.key, NOW_MS + 1)], NOW_MS)
        (admission,) = live.commit([admit(1, tiers=((PAID,),))], NOW_MS)
        assert admission.dropped == [(PAID.key, "down")]


class StoredMoneySuite(MoneySuite):
    """What only a store that keeps copies can show."""

    def test_a_record_cannot_gain_or_lose_a_reserve_by_being_saved(self, live: Any) -> None:
        fund(live, acme=100, carrier=30)
        wanted = admit(1, ACME, tiers=((PAID,),))
        live.commit([wanted], NOW_MS)
        wanted.record.reserved = []
        wanted.record.gateway_reserved = [("acme", 9)]
        wanted.record.paid_until = NOW_MS + 60
        live.commit([Save(wanted.record)], NOW_MS)
        (stored,) = live.calls()
        assert stored.reserved == [("acme", 100)]
        assert stored.gateway_reserved == [("carrier", 30)]
        assert stored.paid_until == NOW_MS + 60
        assert live.verify() == []

    def test_funds_wait_in_the_outbox_and_are_no_cdr(self, live: Any) -> None:
        topup = Funds("0001", "acme", 500)
        live.commit([topup, topup], NOW_MS)
        assert live.backlog() == 1
        assert live.waiting_cdrs(CdrQuery()) == []
