"""Who pays for a call that a phone passed on: prices, reserve, credit, deaths of workers.

Accounts: `payer` calls, `owner` has the phones that forward, `bare` has one and no deck.
"""

from __future__ import annotations

import pytest
from routed import T0, Routed

from router.core.agent import Behaviour
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.store.ops import Funds
from router.store.records import decode_call, encode_call

US = Flow("udp", "10.0.0.1", 5060, 0)
FILES = {
    "inside.csv": "prefix,rate_per_min\n3,0.60\n86,0.60\n",
    "outside.csv": "prefix,rate_per_min\n86,1.20\n",
    "top.csv": "prefix,rate_per_min\n86,0.30\n",
    "vendor.csv": "prefix,rate_per_min\n86,0.90\n",
}
ROUTES = """
deck inside { file = "inside.csv" }
deck outside { file = "outside.csv" }
deck top { file = "top.csv" }
deck vendor { file = "vendor.csv" }
gateway g { address = 10.0.1.1:5071  prefixes = 86  deck = vendor %s }
account payer {
    deck = inside
    balance = 10
    trunk t { ips = 192.0.2.0/24  max_duration = %s }
    phone 3004 { password = "s"  forward_always = "86138" }
}
account agent { deck = top  balance = 10 }
account owner {
    agent = agent
    deck = outside
    balance = 2.00
    phone 3001 { password = "s"  forward_always = "86138" }
    phone 3005 { password = "s"  forward_offline = "86138" }
    phone 3003 { password = "s"  forward_always = "3004" }
}
account bare {
    phone 3002 { password = "s"  forward_always = "86138" }
}
request_route {
    if (!identify()) end(IllegalCall);
    if (registered($rU)) call(phone($rU));
    call(gateways($rU), on_failure = HOME);
}
failure_route[HOME] {
    if ($rs == 404) call(phone("3002"));
    end();
}
end_route { log(info, "ended " + $account.id + "/" + $phone.id + "/" + $gateway.id); }
"""


def world(gateway: str = "", max_duration: str = "1h") -> Routed:
    return Routed(ROUTES % (gateway, max_duration), 1, FILES)


def paid(routed: Routed) -> dict[str, int]:
    """What each account has given, in cents; nothing is reserved any more."""
    given = {}
    for account, opening in (("payer", 10), ("owner", 2), ("agent", 10)):
        balance, reserved = routed.store.money(account)
        assert reserved == 0
        given[account] = (opening * 1_000_000 - balance) // 10_000
    return given


def test_both_pay_each_by_its_own_deck_and_the_cdr_has_the_price_of_who_forwarded() -> None:
    routed = world()
    routed.place("3001", hang_up_after_ms=10_000)
    cdr = routed.cdr
    assert paid(routed) == {"payer": 10, "owner": 20, "agent": 5}
    assert (cdr.account, cdr.agent_path, cdr.trunk) == ("owner", "agent/owner", "t")
    assert (cdr.callee_in, cdr.callee_out, cdr.gateway) == ("3001", "86138", "g")
    assert (cdr.charge, cdr.rate_prefix, cdr.rate) == (200_000, "86", 1_200_000)
    assert [(one.account, one.kind, one.amount) for one in cdr.charges] == [
        ("payer", "retail", 100_000), ("owner", "retail", 200_000), ("agent", "agent", 50_000),
    ]


def test_who_forwards_and_has_no_deck_pays_nothing_and_the_cdr_says_so() -> None:
    routed = world()
    routed.place("3002", hang_up_after_ms=10_000)
    cdr = routed.cdr
    assert paid(routed) == {"payer": 10, "owner": 0, "agent": 0}
    assert (cdr.account, cdr.charge, cdr.rate_prefix, cdr.rate) == ("bare", 0, "", 0)
    assert [(one.account, one.amount) for one in cdr.charges] == [("payer", 100_000)]


def test_the_margin_is_taken_of_the_price_of_who_forwards() -> None:
    routed = world("min_margin = 0.10")
    routed.place("3001")
    assert routed.cdr.end_reason == "Normal"  # 1.20 against 0.90
    routed = world("min_margin = 0.10")
    routed.place("3002")  # nobody's price: the caller's 0.60 is for the phone
    assert routed.cdr.end_reason == "Normal"
    routed = world("min_margin = 0.10")
    routed.place("3004")  # his own price for the gateway's number: 0.60 against 0.90
    assert routed.cdr.end_reason == "NoAvailableRouter"


def test_an_account_that_comes_in_twice_pays_twice_and_the_cdr_has_the_sum() -> None:
    routed = world()
    routed.place("3003", hang_up_after_ms=10_000)  # payer > owner > payer
    cdr = routed.cdr
    assert cdr.account == "payer"
    assert [(one.account, one.amount) for one in cdr.charges] == [
        ("payer", 100_000), ("payer", 100_000),
    ]
    assert cdr.charge == 200_000
    assert paid(routed) == {"payer": 20, "owner": 0, "agent": 0}


@pytest.mark.parametrize("worker_dies", [False, True])
def test_the_credit_of_who_forwards_ends_the_call_for_all(worker_dies: bool) -> None:
    routed = world()
    routed.caller.place("3001", "1000", US, hang_up_after_ms=None)
    routed.network.run_for(30_000)
    assert routed.store.money("owner").reserved > 0 < routed.store.money("payer").reserved
    if worker_dies:
        records = [decode_call(encode_call(one)) for one in routed.store.records.values()]
        routed.store.records.update({record.id: record for record in records})
        successor = Engine(
            routed.switch, listeners=routed.config.listeners, slot=0, slots=1, generation=2,
            token=routed.token, tally=Tally(), now_ms=T0, timers=TimerDefaults(),
        )
        successor.adopt(records, routed.network.now)
        routed.engine = routed.network.engine = successor
    routed.network.run_for(200_000)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.charge) == ("InsufficientBalance", 2_000_000)
    assert 100_000 <= cdr.duration_ms <= 100_010
    assert "credit:owner" in cdr.decision[-1]
    assert paid(routed) == {"payer": 100, "owner": 200, "agent": 50}


def test_a_successor_knows_the_trunk_of_a_call_that_somebody_else_pays_for() -> None:
    routed = world(max_duration="20s")
    routed.caller.place("3001", "1000", US, hang_up_after_ms=None)
    routed.network.run_for(1_000)
    (record,) = routed.store.records.values()
    assert (record.cdr.account, record.cdr.trunk) == ("owner", "t")
    assert routed.config.trunks.of_call(record.cdr).account.name == "payer"
    assert routed.config.max_duration_ms(record.cdr) == 20_000


def test_who_forwards_without_credit_is_named_and_nothing_stays_reserved() -> None:
    routed = world()
    routed.store.commit([Funds("f", "owner", -1_999_999, "adjust", "", "me", T0)], T0)
    routed.place("3001")
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.account, cdr.charges) == ("InsufficientBalance", "owner", [])
    assert any("credit:owner" in entry for entry in cdr.decision)
    assert paid(routed) == {"payer": 0, "owner": 199, "agent": 0}


@pytest.mark.parametrize("number", ["3001", "3005"])
def test_a_phone_that_is_locked_does_not_forward_at_its_accounts_cost(number: str) -> None:
    routed = world()
    routed.config.phones[number].locked = True
    routed.place(number)
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.account) == ("CalledNotOnline", "payer")
    assert paid(routed) == {"payer": 0, "owner": 0, "agent": 0}
    routed.config.phones[number].locked = False
    routed.store.cdrs.clear()
    routed.place(number)
    assert (routed.cdr.end_reason, routed.cdr.account) == ("Normal", "owner")


def test_the_number_has_to_be_one_that_the_account_of_the_phone_may_call() -> None:
    routed = Routed(
        (ROUTES % ("", "1h")).replace("agent = agent", "agent = agent  callee_deny = 8613"),
        1, FILES,
    )
    routed.place("3001")
    cdr = routed.cdr
    assert (cdr.end_reason, cdr.account) == ("CalledNumberRestricted", "owner")
    assert "forwarding of phone 3001: " in cdr.decision[-1]
    assert paid(routed) == {"payer": 0, "owner": 0, "agent": 0}
    routed.store.cdrs.clear()
    routed.place("86138")  # the caller's own account may
    assert routed.cdr.end_reason == "Normal"


def test_a_number_tried_before_leaves_no_price_behind() -> None:
    routed = world()
    routed.behaviours["g"] = Behaviour(status=404)
    routed.place("86138")  # 404: then to the phone of bare, which forwards to the gateway again
    cdr = routed.cdr
    assert (cdr.account, cdr.rate_prefix, cdr.rate, cdr.charge) == ("bare", "", 0, 0)
    assert paid(routed) == {"payer": 0, "owner": 0, "agent": 0}
