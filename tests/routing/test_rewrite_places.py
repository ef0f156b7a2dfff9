"""Rewrite rules where they stand: trunk in, gateway out, phone in and out, against an oracle.

The oracle is the naive matcher of `test_rewrite`; the calls are made by the real engine.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routed import Routed, config_of
from test_rewrite import naive_apply, rule

from router.routing.objects import NO_PHONE
from router.routing.rewrite import number_rules
from router.sip.uri import uri_user

ROUTES = """
gateway g { address = 10.0.1.1:5071 }
account acme { trunk office { ips = 192.0.2.0/24 } }
request_route {
    if (!identify()) end(IllegalCall);
    call(g);
}
"""
Rules = list[tuple[str, str]]
lists = st.lists(rule(), max_size=5)
numbers = st.text("12", min_size=1, max_size=7)


def text_of(rules: Rules) -> str:
    return ", ".join(f"{orig}:{target}" for orig, target in rules)


@settings(max_examples=80, deadline=None)
@given(
    callee_in=lists, caller_in=lists, callee_out=lists, caller_out=lists, callee=numbers,
    caller=numbers,
)
def test_a_call_leaves_as_two_lists_on_its_way_make_it(
    callee_in: Rules, caller_in: Rules, callee_out: Rules, caller_out: Rules, callee: str,
    caller: str,
) -> None:
    world = Routed(ROUTES)
    (trunk,) = world.config.trunks.trunks
    gateway = world.config.gateways["g"]
    trunk.inward = number_rules(text_of(callee_in), text_of(caller_in), "in", "trunk")
    gateway.outward = number_rules(text_of(callee_out), text_of(caller_out), "out", "gateway")
    world.place(callee, caller)
    invite, cdr = world.sent_to("g"), world.cdr
    callee_to = naive_apply(callee_out, naive_apply(callee_in, callee))
    caller_to = naive_apply(caller_out, naive_apply(caller_in, caller))
    assert (uri_user(invite.uri), uri_user(invite.from_uri)) == (callee_to, caller_to)
    assert (cdr.callee_in, cdr.caller_in) == (callee, caller)
    assert (cdr.callee_out, cdr.caller_out) == (callee_to, caller_to)
    told = [entry for entry in cdr.decision if " > " in entry]
    changed = [
        naive_apply(callee_in, callee) != callee,
        naive_apply(caller_in, caller) != caller,
        callee_to != naive_apply(callee_in, callee),
        caller_to != naive_apply(caller_in, caller),
    ]
    assert len(told) == sum(changed)


@pytest.mark.parametrize("side", ["in", "out"])
@given(callees=lists, callers=lists, callee=numbers, caller=numbers)
def test_a_phones_rules_are_the_same(
    side: str, callees: Rules, callers: Rules, callee: str, caller: str
) -> None:
    rules = number_rules(text_of(callees), text_of(callers), side, "phone 1001")
    numbers = SimpleNamespace(callee=callee, caller=caller)
    call: Any = SimpleNamespace(
        a=SimpleNamespace(call_id="c"), cdr=SimpleNamespace(decision=[])
    )
    if rules is not None:
        rules.rewrite(numbers, call)  # type: ignore[arg-type]
    assert numbers.callee == naive_apply(callees, callee)
    assert numbers.caller == naive_apply(callers, caller)


def test_a_phone_has_the_rules_of_its_settings() -> None:
    phone = config_of(
        'account acme { phone 1001 { password = "x"  callee_in = "0:49"  callee_out = "49:0" } }'
    ).phones["1001"]
    assert phone is not NO_PHONE
    for rules, before, after in ((phone.inward, "030", "4930"), (phone.outward, "4930", "030")):
        numbers = SimpleNamespace(callee=before, caller="1")
        call: Any = SimpleNamespace(
            a=SimpleNamespace(call_id="c"), cdr=SimpleNamespace(decision=[])
        )
        assert rules is not None
        rules.rewrite(numbers, call)  # type: ignore[arg-type]
        assert (numbers.callee, numbers.caller) == (after, "1")
