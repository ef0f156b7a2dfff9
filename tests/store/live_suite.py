"""What every live store must do. A second backend subclasses these with a `live` fixture."""

from __future__ import annotations

from typing import Any

import pytest
from store_samples import (
    ACCOUNT,
    BACKUP,
    MOBILE,
    NOW_MS,
    SERVER,
    TRUNK,
    call_id,
    sample_admit,
    sample_bind,
    sample_call,
    sample_cdr,
    sample_contact,
)

from router.store.interface import Block, Usage
from router.store.ops import (
    Admission,
    Admit,
    Bind,
    BlockAddress,
    Bound,
    Candidate,
    Finish,
    Forget,
    GatewayNews,
    GatewayState,
    Hold,
    Keep,
    Opened,
    Outcomes,
    Rehunt,
    Save,
    outcome,
)
from router.store.quality import UNKNOWN, Quality
from router.store.query import CdrQuery
from router.store.records import NEVER_MS, CallRecord, Registration
from router.store.unheard import MAX_NAMED, Unheard


def in_use(live: Any) -> dict[str, int]:
    """The keys with lines in use."""
    return {key: usage.in_use for key, usage in live.usages("").items() if usage.in_use}


def records(live: Any) -> list[CallRecord]:
    """The calls in progress."""
    kept = getattr(live, "records", None)
    return list(live.calls()) if kept is None else list(kept.values())


class AdmissionSuite:
    """Admit, Rehunt, Save, Finish and gateway health, with the usage they leave."""

    def test_an_admitted_call_holds_its_lines_and_its_gateway(self, live: Any) -> None:
        admit = sample_admit(1)
        (admission,) = live.commit([admit], NOW_MS)
        assert admission == Admission("gateway:cn_mobile", [], None)
        assert admit.record.holds == ["account:acme", "trunk:acme/office", "server:"]
        assert admit.record.gateway == "gateway:cn_mobile"
        assert in_use(live) == {
            "account:acme": 1,
            "trunk:acme/office": 1,
            "server:": 1,
            "gateway:cn_mobile": 1,
        }
        assert live.usage("gateway:cn_mobile") == Usage(1, 1)
        assert live.verify() == []

    def test_a_call_that_waits_is_kept_without_lines_and_may_be_admitted_later(
        self, live: Any
    ) -> None:
        record = sample_call(1)
        live.commit([Keep(record)], NOW_MS)
        assert records(live) == [record]
        assert in_use(live) == {}
        admit = sample_admit(1)
        (admission,) = live.commit([admit], NOW_MS)
        assert admission.gateway == "gateway:cn_mobile"
        assert [one.gateway for one in records(live)] == ["gateway:cn_mobile"]
        assert live.verify() == []
        live.commit([Finish(admit.record.id, sample_cdr(1))], NOW_MS)
        assert in_use(live) == {}
        assert records(live) == []

    def test_a_call_that_waits_ends_with_a_cdr_or_without_one(self, live: Any) -> None:
        first, second = (sample_call(n) for n in (1, 2))
        live.commit([Keep(first), Keep(second)], NOW_MS)
        live.commit([Finish(first.id, first.cdr), Forget(second.id), Forget("nobody")], NOW_MS)
        assert records(live) == []
        assert live.verify() == []

    def test_what_holds_lines_is_neither_kept_again_nor_forgotten(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit], NOW_MS)
        live.commit([Keep(sample_call(1))], NOW_MS)
        live.commit([Forget(admit.record.id)], NOW_MS)
        assert [one.gateway for one in records(live)] == ["gateway:cn_mobile"]
        assert live.verify() == []

    def test_a_call_over_a_limit_is_refused_and_takes_nothing(self, live: Any) -> None:
        live.commit([sample_admit(n) for n in range(3)], NOW_MS)
        before = live.usages("")
        admit = sample_admit(3)
        (admission,) = live.commit([admit], NOW_MS)
        assert admission == Admission(None, [], "account:acme")
        assert (admit.record.holds, admit.record.gateway) == ([], "")
        assert live.usages("") == before

    def test_a_refusal_by_the_last_hold_gives_the_earlier_ones_back(self, live: Any) -> None:
        none_left = Hold("trunk:closed", 0)
        (admission,) = live.commit([sample_admit(1, (ACCOUNT, SERVER, none_left))], NOW_MS)
        assert admission.refused == "trunk:closed"
        assert in_use(live) == {}

    def test_without_a_usable_gateway_nothing_is_taken(self, live: Any) -> None:
        closed = Candidate("gateway:closed", 0)
        live.commit([GatewayState(MOBILE.key, NOW_MS + 1)], NOW_MS)
        (admission,) = live.commit([sample_admit(1, tiers=((MOBILE,), (closed,)))], NOW_MS)
        assert admission == Admission(None, [(MOBILE.key, "down"), ("gateway:closed", "full")])
        assert in_use(live) == {}

    def test_without_any_candidate_nothing_is_taken(self, live: Any) -> None:
        (admission,) = live.commit([sample_admit(1, tiers=())], NOW_MS)
        assert admission == Admission()
        assert in_use(live) == {}

    def test_a_full_first_tier_leads_to_the_second(self, live: Any) -> None:
        answers = live.commit([sample_admit(n) for n in range(3)], NOW_MS)
        assert [answer.gateway for answer in answers] == [MOBILE.key, MOBILE.key, BACKUP.key]
        assert answers[2].dropped == [(MOBILE.key, "full")]

    def test_later_operations_of_a_turn_see_what_earlier_ones_did(self, live: Any) -> None:
        one_line = (Hold("account:small", 1),)
        first, second, third = (sample_admit(n, one_line) for n in range(3))
        answers = live.commit(
            [first, second, Finish(first.record.id, first.record.cdr), third], NOW_MS
        )
        assert [answer and answer.gateway for answer in answers] == [
            MOBILE.key,
            None,
            None,
            MOBILE.key,
        ]
        assert answers[1].refused == "account:small"
        assert live.usage("account:small").in_use == 1
        assert live.verify() == []

    def test_a_gateway_that_goes_down_in_a_turn_is_skipped_in_it(self, live: Any) -> None:
        down = GatewayState(MOBILE.key, NOW_MS + 30_000, 5)
        _, admission = live.commit([down, sample_admit(1)], NOW_MS)
        assert admission == Admission(BACKUP.key, [(MOBILE.key, "down")])

    @pytest.mark.parametrize(("later_ms", "gateway"), [(29_999, BACKUP.key), (30_000, MOBILE.key)])
    def test_a_gateway_is_a_candidate_again_when_its_time_is_over(
        self, live: Any, later_ms: int, gateway: str
    ) -> None:
        live.commit([GatewayState(MOBILE.key, NOW_MS + 30_000, 5)], NOW_MS)
        (admission,) = live.commit([sample_admit(1)], NOW_MS + later_ms)
        assert admission.gateway == gateway

    def test_calls_go_round_between_gateways_that_are_equally_loaded(self, live: Any) -> None:
        tier = ((Candidate("gateway:b"), Candidate("gateway:a")),)
        answers = live.commit([sample_admit(n, (), tier) for n in range(4)], NOW_MS)
        assert [answer.gateway for answer in answers] == ["gateway:a", "gateway:b"] * 2

    def test_rehunt_gives_the_gateway_back_and_takes_the_next(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit], NOW_MS)
        (admission,) = live.commit([Rehunt(admit.record, ((BACKUP,),))], NOW_MS)
        assert admission == Admission(BACKUP.key)
        assert admit.record.gateway == BACKUP.key
        assert live.usage(MOBILE.key) == Usage(0, 1)
        assert live.usage(BACKUP.key) == Usage(1, 1)
        assert live.usage("account:acme").in_use == 1
        assert live.verify() == []

    def test_rehunt_without_a_gateway_keeps_the_lines_of_the_account(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit], NOW_MS)
        (admission,) = live.commit([Rehunt(admit.record, ())], NOW_MS)
        assert admission.gateway is None
        assert admit.record.gateway == ""
        assert in_use(live) == {"account:acme": 1, "trunk:acme/office": 1, "server:": 1}
        assert live.verify() == []

    def test_rehunt_may_take_the_very_line_it_gave_back(self, live: Any) -> None:
        only = Candidate("gateway:only", 1)
        admit = sample_admit(1, tiers=((only,),))
        _, admission = live.commit([admit, Rehunt(admit.record, ((only,),))], NOW_MS)
        assert admission.gateway == "gateway:only"
        assert live.usage("gateway:only") == Usage(1, 2)

    def test_rehunt_of_a_finished_call_takes_nothing(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit, Finish(admit.record.id, admit.record.cdr)], NOW_MS)
        (admission,) = live.commit([Rehunt(admit.record, ((BACKUP,),))], NOW_MS)
        assert admission == Admission()
        assert in_use(live) == {}
        assert live.verify() == []

    def test_finish_gives_everything_back(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit], NOW_MS)
        live.commit([Finish(admit.record.id, admit.record.cdr)], NOW_MS)
        assert in_use(live) == {}
        assert live.usage(MOBILE.key) == Usage(0, 1)
        assert live.verify() == []

    def test_finishing_twice_releases_once(self, live: Any) -> None:
        first, second = sample_admit(1), sample_admit(2)
        finish = Finish(first.record.id, first.record.cdr)
        live.commit([first, second, finish, finish], NOW_MS)
        live.commit([finish], NOW_MS)
        assert live.usage("account:acme").in_use == 1
        assert live.usage(MOBILE.key).in_use == 1
        assert live.verify() == []

    def test_a_call_refused_at_the_door_still_leaves_a_cdr(self, live: Any) -> None:
        live.commit([Finish(call_id(1), sample_cdr(1, gateway="", end_reason="IllegalCall"))], 1)
        assert in_use(live) == {}

    def test_save_after_finish_does_not_bring_the_call_back(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit, Finish(admit.record.id, admit.record.cdr), Save(admit.record)], 1)
        assert in_use(live) == {}
        assert live.verify() == []

    def test_usages_are_those_under_the_prefix_only(self, live: Any) -> None:
        holds = (Hold("gatewax:x"), Hold("gateway"), Hold("gatewaz:"))
        live.commit([sample_admit(1, holds, ((MOBILE,),))], NOW_MS)
        assert list(live.usages("gateway:")) == [MOBILE.key]
        assert live.usage("gateway:never") == Usage(0, 0)

    def test_the_newest_health_of_a_gateway_stands(self, live: Any) -> None:
        live.commit([GatewayState("gateway:a", 10, 1), GatewayState("gateway:b", 20, 2)], 1)
        live.commit([GatewayState("gateway:a", 0, 0)], 2)
        assert live.gateway_states() == {
            "gateway:a": GatewayState("gateway:a", 0, 0),
            "gateway:b": GatewayState("gateway:b", 20, 2),
        }

    def test_news_of_a_gateway_change_what_they_name_and_nothing_else(self, live: Any) -> None:
        key = "gateway:a"
        live.commit([GatewayNews(key, down=True, trouble="silent")], 7)
        live.commit([GatewayState(key, 10, 1), GatewayNews(key, unregistered=True)], 8)
        live.commit([GatewayNews(key, unregistered=False, registered_until_ms=99)], 9)
        assert live.gateway_state(key) == GatewayState(
            key, 10, 1, down=True, registered_until_ms=99, trouble="silent", trouble_ms=7
        )
        assert live.gateway_state(key).out_until_ms == NEVER_MS
        live.commit([GatewayNews(key, down=False, trouble="")], 11)
        assert live.gateway_state(key) == GatewayState(key, 10, 1, registered_until_ms=99)
        assert live.gateway_state(key).out_until_ms == 10
        assert live.gateway_state("gateway:b") is None

    @pytest.mark.parametrize("news", [{"down": True}, {"unregistered": True}])
    def test_a_gateway_that_is_down_or_unregistered_is_no_candidate(
        self, live: Any, news: dict[str, bool]
    ) -> None:
        live.commit([GatewayNews(MOBILE.key, **news)], NOW_MS)
        [answer] = live.commit([sample_admit(1, (), ((MOBILE,),))], NOW_MS)
        assert answer.gateway is None and answer.dropped == [(MOBILE.key, "down")]
        back = GatewayNews(MOBILE.key, down=False, unregistered=False)
        [_, answer] = live.commit([back, sample_admit(2, (), ((MOBILE,),))], NOW_MS)
        assert answer.gateway == MOBILE.key

    def test_outcomes_of_attempts_are_kept_by_gateway(self, live: Any) -> None:
        live.commit([Outcomes("gateway:a", outcome(True, 50) + outcome(False, -1))], 1)
        live.commit([Outcomes("gateway:a", outcome(True, 150)), Outcomes("gateway:b", b"")], 2)
        assert live.quality("gateway:a") == Quality(3, 2, 100)
        assert live.quality("gateway:b") == live.quality("gateway:c") == UNKNOWN
        live.commit([Outcomes("gateway:a", outcome(False, -1) * 199)], 3)
        assert live.quality("gateway:a") == Quality(200, 1, 150)

    def test_a_turn_without_operations_is_answered_without_any(self, live: Any) -> None:
        assert live.commit([], NOW_MS) == []


class RegistrationSuite:
    """Bind and its index: who is online, where, until when (RFC 3261 §10.3)."""

    def test_a_phone_is_online_from_its_registration_to_its_expiry(self, live: Any) -> None:
        contact = sample_contact()
        assert live.registration("1001", NOW_MS) is None
        (answer,) = live.commit([sample_bind(contact)], NOW_MS)
        assert answer == Bound([contact])
        registration = Registration("1001", "acme", [contact])
        assert live.registration("1001", NOW_MS) == registration
        assert list(live.registrations()) == [registration]
        assert live.registered_phones() == 1
        assert live.registration("1001", contact.expires_ms - 1) == registration
        assert live.registration("1001", contact.expires_ms) is None
        assert live.registration("1002", NOW_MS) is None

    def test_a_later_register_refreshes_and_another_address_is_added(self, live: Any) -> None:
        live.commit([sample_bind(sample_contact())], NOW_MS)
        later = sample_contact(cseq=2, expires_ms=NOW_MS + 7_200_000)
        other = sample_contact("sip:1001@192.0.2.8", call_id="r2", q=500)
        assert live.commit([sample_bind(later)], NOW_MS) == [Bound([later])]
        assert live.commit([sample_bind(other)], NOW_MS) == [Bound([later, other])]
        assert live.registration("1001", NOW_MS).contacts == [later, other]

    def test_an_address_is_the_same_however_it_is_written(self, live: Any) -> None:
        live.commit([sample_bind(sample_contact("sip:1001@Phone.example;ob"))], NOW_MS)
        again = sample_contact("sip:%31001@phone.EXAMPLE", cseq=2)
        assert live.commit([sample_bind(again)], NOW_MS) == [Bound([again])]

    @pytest.mark.parametrize(("call_id", "cseq", "refused"), [
        ("r1@192.0.2.7", 1, True),
        ("r1@192.0.2.7", 0, True),
        ("r1@192.0.2.7", 2, False),
        ("another", 0, False),
    ])
    def test_an_older_register_of_the_same_call_id_changes_nothing(
        self, live: Any, call_id: str, cseq: int, refused: bool
    ) -> None:
        contact = sample_contact()
        live.commit([sample_bind(contact)], NOW_MS)
        new = sample_contact("sip:1001@192.0.2.9", call_id=call_id, cseq=cseq)
        late = sample_contact(call_id=call_id, cseq=cseq, q=1)
        (answer,) = live.commit([sample_bind(new, late)], NOW_MS)
        assert answer == (Bound([contact], True) if refused else Bound([late, new]))
        assert live.registration("1001", NOW_MS).contacts == answer.contacts

    def test_a_contact_that_expires_at_once_is_removed(self, live: Any) -> None:
        first, second = sample_contact(), sample_contact("sip:1001@192.0.2.8")
        live.commit([sample_bind(first, second)], NOW_MS)
        gone = sample_contact(cseq=2, expires_ms=NOW_MS)
        unknown = sample_contact("sip:1001@192.0.2.9", cseq=2, expires_ms=NOW_MS)
        assert live.commit([sample_bind(gone, unknown)], NOW_MS) == [Bound([second])]
        gone = sample_contact(second.uri, cseq=3, expires_ms=NOW_MS)
        assert live.commit([sample_bind(gone)], NOW_MS) == [Bound([])]
        assert live.registration("1001", NOW_MS) is None
        assert live.registered_phones() == 0

    def test_a_star_removes_all_contacts_unless_it_comes_late(self, live: Any) -> None:
        contacts = [sample_contact(cseq=5), sample_contact("sip:1001@192.0.2.8", call_id="r2")]
        live.commit([sample_bind(*contacts)], NOW_MS)
        late = sample_bind(clear=True, call_id="r1@192.0.2.7", cseq=5)
        assert live.commit([late], NOW_MS) == [Bound(contacts, True)]
        star = sample_bind(clear=True, call_id="r1@192.0.2.7", cseq=6)
        assert live.commit([star], NOW_MS) == [Bound([])]
        assert live.registered_phones() == 0

    def test_of_too_many_contacts_those_go_that_would_expire_first(self, live: Any) -> None:
        contacts = [
            sample_contact(f"sip:1001@192.0.2.{n}", expires_ms=NOW_MS + 1_000 * n)
            for n in (3, 1, 2)
        ]
        live.commit([sample_bind(*contacts)], NOW_MS)
        soon = sample_contact("sip:1001@192.0.2.4", expires_ms=NOW_MS + 10)
        (answer,) = live.commit([sample_bind(soon, max_contacts=2)], NOW_MS)
        assert answer == Bound([contacts[0], soon])

    def test_what_has_expired_is_swept_and_the_rest_stays(self, live: Any) -> None:
        short = sample_contact(expires_ms=NOW_MS + 1_000)
        long = sample_contact("sip:1001@192.0.2.8", expires_ms=NOW_MS + 9_000)
        other = Bind("1002", "acme", (sample_contact("sip:1002@192.0.2.7"),))
        live.commit([sample_bind(short, long), other], NOW_MS)
        assert live.sweep_registrations(NOW_MS + 999) == 0
        assert live.sweep_registrations(NOW_MS + 1_000) == 1
        assert next(live.registrations()).contacts == [long]
        assert live.sweep_registrations(NOW_MS + 1_000) == 0
        assert live.sweep_registrations(NOW_MS + 9_000) == 1
        assert [one.number for one in live.registrations()] == ["1002"]
        assert live.registered_phones() == 1

    def test_a_refreshed_phone_is_not_swept_at_its_first_expiry(self, live: Any) -> None:
        live.commit([sample_bind(sample_contact(expires_ms=NOW_MS + 1_000))], NOW_MS)
        live.commit([sample_bind(sample_contact(cseq=2))], NOW_MS + 500)
        assert live.sweep_registrations(NOW_MS + 2_000) == 0
        assert live.registration("1001", NOW_MS + 2_000) is not None


class GuardSuite:
    """Nonces, and addresses that are blocked."""

    def test_the_secret_is_always_the_same(self, live: Any) -> None:
        assert live.secret() == live.secret() != b""

    def test_the_counts_of_a_nonce_have_to_rise(self, live: Any) -> None:
        until = NOW_MS + 1_000
        assert [live.use_nonce("n", count, until, NOW_MS) for count in (1, 1, 3, 2, 3, 4)] == [
            True, False, True, False, False, True,
        ]
        assert live.use_nonce("other", 1, until, NOW_MS)
        assert live.use_nonce("large", 0xFFFFFFFF, until, NOW_MS)
        assert not live.use_nonce("large", 0xFFFFFFFF, until, NOW_MS)

    def test_a_nonce_without_a_count_is_good_for_one_request(self, live: Any) -> None:
        assert live.use_nonce("n", 0, NOW_MS + 1_000, NOW_MS)
        assert not live.use_nonce("n", 0, NOW_MS + 1_000, NOW_MS)
        assert live.use_nonce("n", 1, NOW_MS + 1_000, NOW_MS)

    def test_a_replayed_register_changes_nothing(self, live: Any) -> None:
        proof = {"nonce": "n", "nonce_count": 1, "nonce_until_ms": NOW_MS + 1_000}
        contact, later = sample_contact(), sample_contact(cseq=2)
        assert live.commit([sample_bind(contact, **proof)], NOW_MS) == [Bound([contact])]
        assert live.commit([sample_bind(later, **proof)], NOW_MS) == [Bound([], replayed=True)]
        assert live.registration("1001", NOW_MS).contacts == [contact]
        proof["nonce_count"] = 2
        assert live.commit([sample_bind(later, **proof)], NOW_MS) == [Bound([later])]

    def test_a_blocked_address_is_blocked_for_a_time(self, live: Any) -> None:
        assert live.blocks(NOW_MS) == {}
        live.commit([BlockAddress("192.0.2.1", NOW_MS + 1_000)], NOW_MS)
        live.commit([BlockAddress("192.0.2.1", NOW_MS + 500)], NOW_MS + 10)
        blocks = {"192.0.2.1": Block(NOW_MS, NOW_MS + 1_000)}
        assert live.blocks(NOW_MS + 999) == blocks
        assert live.blocks(NOW_MS + 1_000) == {}
        live.commit([BlockAddress("192.0.2.1", NOW_MS + 3_000)], NOW_MS + 2_000)
        assert live.blocks(NOW_MS + 2_000) == {"192.0.2.1": Block(NOW_MS + 2_000, NOW_MS + 3_000)}

    def test_a_block_can_be_lifted(self, live: Any) -> None:
        live.commit([BlockAddress(f"192.0.2.{n}", NOW_MS + 1_000) for n in (1, 2)], NOW_MS)
        assert live.lift_block("192.0.2.1", NOW_MS)
        assert not live.lift_block("192.0.2.1", NOW_MS)
        assert not live.lift_block("192.0.2.2", NOW_MS + 1_000)
        assert live.blocks(NOW_MS) == {}

    def test_what_was_counted_before_a_block_begins_anew(self, live: Any) -> None:
        assert [live.permit("auth", 2, 60_000, NOW_MS) for _ in range(3)] == [True, True, False]
        live.commit([BlockAddress("192.0.2.1", NOW_MS + 1_000, "60000/auth")], NOW_MS)
        assert live.permit("auth", 2, 60_000, NOW_MS)


class LiveStoreSuite(AdmissionSuite, RegistrationSuite, GuardSuite):
    """The rest of `LiveStore`: records for adoption, outbox, heartbeats, sizes."""

    def test_a_call_is_read_back_as_it_was_stored(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit], NOW_MS)
        assert list(live.calls()) == [admit.record]
        admit.record.answered = True
        admit.record.dialog = b"later"
        live.commit([Save(admit.record)], NOW_MS)
        assert list(live.calls()) == [admit.record]
        assert live.active_calls() == 1

    def test_calls_come_oldest_first_and_by_slot(self, live: Any) -> None:
        records = [sample_call(number, slot=number % 2) for number in range(600)]
        tiers = ((Candidate("gateway:a"),),)
        live.commit([Admit(record, (), tiers) for record in reversed(records)], NOW_MS)
        assert [record.id for record in live.calls()] == sorted(r.id for r in records)
        assert [record.id for record in live.calls_of_slot(1)] == [r.id for r in records[1::2]]
        assert live.active_calls() == 600

    def test_calls_may_be_changed_while_they_are_read(self, live: Any) -> None:
        tiers = ((Candidate("gateway:a"),),)
        live.commit([Admit(sample_call(number), (), tiers) for number in range(600)], NOW_MS)
        for record in live.calls():
            live.commit([Finish(record.id, record.cdr)], NOW_MS)
        assert live.active_calls() == 0
        assert live.verify() == []

    def test_a_record_cannot_gain_or_lose_a_lease_by_being_saved(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit], NOW_MS)
        admit.record.gateway = BACKUP.key
        admit.record.holds = []
        live.commit([Save(admit.record)], NOW_MS)
        assert admit.record.gateway == MOBILE.key
        assert live.verify() == []
        live.commit([Finish(admit.record.id, admit.record.cdr)], NOW_MS)
        assert in_use(live) == {}

    def test_a_key_held_twice_counts_twice(self, live: Any) -> None:
        twice = (Hold("account:acme", 2), Hold("account:acme", 2))
        first, second = live.commit([sample_admit(1, twice), sample_admit(2, twice)], NOW_MS)
        assert first.gateway == MOBILE.key
        assert second.refused == "account:acme"
        assert live.usage("account:acme").in_use == 2
        assert live.verify() == []

    def test_every_finished_call_is_once_in_the_outbox(self, live: Any) -> None:
        first = sample_cdr(1, end_reason="Normal")
        second = sample_cdr(1, end_reason="Cancelled")
        live.commit([Finish(first.id, first), Finish(first.id, second)], NOW_MS)
        live.commit([Finish(first.id, second)], NOW_MS)
        assert live.backlog() == 1
        assert live.waiting_cdrs(CdrQuery()) == [first]

    def test_the_outbox_gives_the_oldest_and_forgets_what_is_deleted(self, live: Any) -> None:
        cdrs = [sample_cdr(number) for number in range(700)]
        live.commit([Finish(cdr.id, cdr) for cdr in reversed(cdrs)], NOW_MS)
        oldest = live.outbox(600)
        assert len(oldest) == 600
        live.outbox_delete([key for key, _ in oldest])
        assert live.backlog() == 100
        assert live.waiting_cdrs(CdrQuery()) == cdrs[:599:-1]
        live.outbox_delete([key for key, _ in oldest])
        assert live.backlog() == 100

    def test_an_opening_waits_beside_the_cdr_and_is_no_cdr(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit, Opened(admit.record), Opened(admit.record)], NOW_MS)
        assert live.backlog() == 1
        assert live.waiting_cdrs(CdrQuery()) == []
        (opening,) = live.outbox(10)
        live.commit([Finish(admit.record.id, admit.record.cdr)], NOW_MS)
        assert live.backlog() == 2
        live.outbox_delete([opening[0]])
        assert live.waiting_cdrs(CdrQuery()) == [admit.record.cdr]

    def test_waiting_cdrs_are_filtered(self, live: Any) -> None:
        live.commit([Finish(call_id(n), sample_cdr(n)) for n in range(5)], NOW_MS)
        query = CdrQuery(since_ms=NOW_MS + 1, until_ms=NOW_MS + 3)
        assert [cdr.id for cdr in live.waiting_cdrs(query)] == [call_id(2), call_id(1)]
        assert live.waiting_cdrs(CdrQuery(account="other")) == []

    def test_each_slot_has_its_last_heartbeat(self, live: Any) -> None:
        live.heartbeat(0, NOW_MS)
        live.heartbeat(17, NOW_MS + 1)
        live.heartbeat(0, NOW_MS + 2)
        assert live.heartbeats() == {0: NOW_MS + 2, 17: NOW_MS + 1}

    def test_what_each_generation_said_last_of_unheard_answers(self, live: Any) -> None:
        live.heartbeat(0, NOW_MS, 7, {"one", "two"})
        live.heartbeat(0, NOW_MS + 1_000, 7, {"two"})
        live.heartbeat(1, NOW_MS + 5, 8)
        live.heartbeat(2, NOW_MS)  # not a worker's
        assert live.unheard() == {
            7: Unheard(NOW_MS + 1_000, {"two"}), 8: Unheard(NOW_MS + 5, set())
        }

    def test_with_too_many_unheard_nothing_new_is_said(self, live: Any) -> None:
        live.heartbeat(0, NOW_MS, 7, {"one"})
        live.heartbeat(0, NOW_MS + 1_000, 7, set(map(str, range(MAX_NAMED + 1))))
        assert live.unheard() == {7: Unheard(NOW_MS, {"one"})}
        assert live.heartbeats() == {0: NOW_MS + 1_000}

    def test_answers_that_were_heard_are_settled_at_a_start(self, live: Any) -> None:
        admits = [sample_admit(number) for number in range(4)]
        for number, admit in enumerate(admits):
            admit.record.generation = 8 if number == 3 else 7
            admit.record.answer = b"200"
            admit.record.cdr.answered = NOW_MS + number
        live.commit([*admits[:2], sample_admit(9)], NOW_MS)
        live.commit([Keep(admit.record) for admit in admits[2:]], NOW_MS)
        live.heartbeat(0, NOW_MS + 2, 7, {admits[1].record.id})
        live.settle_answers()
        kept = {record.id: record.answer for record in live.calls() if record.answer}
        # Named, answered when the word was given, of a generation that gave none.
        assert set(kept) == {admit.record.id for admit in admits[1:]}
        assert live.unheard() == {}
        assert live.verify() == []
        live.settle_answers()
        assert len([record for record in live.calls() if record.answer]) == 3

    def test_text_that_is_no_utf8_is_stored_readably(self, live: Any) -> None:
        admit = sample_admit(1)
        admit.record.cdr.caller_in = "10\udcff"
        live.commit([admit, Finish(admit.record.id, admit.record.cdr)], NOW_MS)
        (cdr,) = live.waiting_cdrs(CdrQuery())
        assert cdr.caller_in == "10\\xff"

    def test_a_turn_that_fails_leaves_store_and_records_as_they_were(self, live: Any) -> None:
        admit, other = sample_admit(1), sample_admit(2)
        live.commit([admit], NOW_MS)
        before = live.usages("")
        broken = CallRecord(id="x" * 5_000)
        with pytest.raises(Exception, match=r"live"):
            live.commit(
                [
                    Rehunt(admit.record, ((BACKUP,),)),
                    Save(admit.record),
                    other,
                    Finish(admit.record.id, admit.record.cdr),
                    Admit(broken, (), ((MOBILE,),)),
                ],
                NOW_MS,
            )
        assert admit.record.gateway == MOBILE.key
        assert (other.record.holds, other.record.gateway) == ([], "")
        assert (broken.holds, broken.gateway) == ([], "")
        assert live.usages("") == before
        assert live.backlog() == 0
        assert list(live.calls()) == [admit.record]
        assert live.verify() == []

    def test_the_sizes_say_what_is_there(self, live: Any) -> None:
        admit = sample_admit(1)
        live.commit([admit, Finish(call_id(2), sample_cdr(2))], NOW_MS)
        stat = live.stat()
        assert (stat["calls"], stat["outbox"]) == (1, 1)
        assert 0 < stat["used_bytes"] < stat["map_bytes"]

    def test_a_recount_repairs_what_verify_finds(self, live: Any) -> None:
        live.commit([sample_admit(1, (TRUNK,))], NOW_MS)
        assert live.recount() == []
        assert live.verify() == []
