"""The entries of a CDR's decision, and the sentences that they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from virtual_world import World, gateway

from router.core.agent import Behaviour
from router.core.decision import (
    MAX_CANDIDATES,
    NONE_LEFT,
    candidates,
    failed,
    identified,
    listed,
    rewritten,
    sentences,
)
from router.store.ops import Hold

REFUSING = Behaviour(status=503, ring_after_ms=None)

SENTENCES = [
    (
        identified("acme", "office", "192.0.2.0/24", ""),
        "The source lies in 192.0.2.0/24 of trunk office, account acme.",
    ),
    (
        identified("acme", "office", "2001:db8::/32", "49"),
        "The source lies in 2001:db8::/32 of trunk office, account acme, "
        "the caller begins with 49.",
    ),
    (
        "no trunk: 10.0.0.1 is in no network of a trunk",
        "No trunk was found: 10.0.0.1 is in no network of a trunk.",
    ),
    (
        rewritten("callee", "008613", "8613", "callee_in of trunk acme/office"),
        "The callee 008613 became 8613 by callee_in of trunk acme/office.",
    ),
    (
        rewritten("caller", "1", "", "caller_out of gateway a"),
        "The caller 1 became empty by caller_out of gateway a.",
    ),
    ("refused: account acme is locked", "The call was refused: account acme is locked."),
    (
        candidates([("cn_mobile", "8613", 1), ("backup", "", 2)]),
        "Candidates: cn_mobile (prefix 8613, priority 1), backup (any number, priority 2).",
    ),
    (listed(["b", "a"]), "Candidates: b, a."),
    (NONE_LEFT, "Candidates: none."),
    ("no gateway has a prefix of 4930", "No gateway has a prefix of 4930."),
    (
        "credit:acme: 0.6 needed, balance 0.5, overdraft 0.1, reserved 0.2",
        "Account acme could not give 0.6: balance 0.5, overdraft 0.1, reserved 0.2.",
    ),
    (
        "credit:top: used up, balance -0.1, overdraft 0.1, reserved 0",
        "The credit of account top was used up: balance -0.1, overdraft 0.1, reserved 0.",
    ),
    (
        "b: credit of account carrier used up",
        "Gateway b was passed over: credit of account carrier used up.",
    ),
    ("b: full", "Gateway b was passed over: every line of it was in use."),
    ("b: down", "Gateway b was passed over: it was down."),
    (
        "b: caller 1000 is not allowed",
        "Gateway b was passed over: caller 1000 is not allowed.",
    ),
    (
        "trunk:acme/office: every line in use",
        "Trunk acme/office: every line in use; nothing was taken.",
    ),
    ("server:: every line in use", "Server: every line in use; nothing was taken."),
    ("a: taken", "Gateway a was taken."),
    (failed("a", "503", 120), "Gateway a answered 503 after 120 ms."),
    (
        failed("a", "ConnectionTimeout", 10_000),
        "Gateway a gave no final answer: ConnectionTimeout after 10000 ms.",
    ),
    (
        failed("a", "unreachable", 1),
        "Gateway a cannot be reached: nothing listens at its address, or no way leads there "
        "(told after 1 ms).",
    ),
    (
        "hunting ends: no candidate is left",
        "No other gateway was tried: no candidate is left.",
    ),
    ("something of another version", "Something of another version."),
    ("", "."),
]


@pytest.mark.parametrize(("entry", "sentence"), SENTENCES)
def test_an_entry_means_a_sentence(entry: str, sentence: str) -> None:
    assert sentences([entry]) == [sentence]


def test_an_entry_names_a_bounded_number_of_candidates() -> None:
    many = [(f"g{at}", "86", 1) for at in range(MAX_CANDIDATES + 3)]
    assert candidates(many).endswith(f"g{MAX_CANDIDATES - 1} 86/1, and 3 more")
    assert candidates(many[:MAX_CANDIDATES], 7).endswith(", and 7 more")
    assert listed([name for name, *_ in many]).endswith(", and 3 more")
    assert sentences([listed(["a"] * 20)])[0].endswith("a, and 8 more.")


def test_the_trace_tells_every_attempt_and_why_hunting_ended(world: World) -> None:
    world.behaviours |= {"g1": REFUSING, "g2": Behaviour(silent=True), "g3": REFUSING}
    world.place()
    world.run(30_000)
    decision = world.cdr.decision
    assert decision[:3] == ["g1: taken", "g1: 503 after 10 ms", "g2: taken"]
    assert decision[3].startswith("g2: ConnectionTimeout after 100")
    assert decision[4] == "g3: taken"
    assert decision[5].startswith("g3: 503 after 1")
    assert decision[6:] == ["hunting ends: no candidate is left"]
    assert not set(decision) & set(sentences(decision))


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (Behaviour(status=486, ring_after_ms=None), "486 is the callee's own answer"),
        (Behaviour(status=403, ring_after_ms=None), "403 is not in switch_on of g1"),
        (Behaviour(status=503), "g1 rang already (switch_after_ring = false)"),
        (
            Behaviour(status=503, early_media=True),
            "g1 sent early media already (switch_after_media = false)",
        ),
    ],
)
def test_the_trace_says_which_rule_ended_hunting(
    make_world: Callable[..., World], behaviour: Behaviour, why: str
) -> None:
    world = make_world([gateway("g1", 1), gateway("g2", 2)])
    world.behaviours["g1"] = behaviour
    world.place()
    world.run(20_000)
    assert world.cdr.decision[-1] == f"hunting ends: {why}"


def test_the_trace_names_max_attempts(make_world: Callable[..., World]) -> None:
    world = make_world([gateway("g1", 1), gateway("g2", 2)])
    world.routes.max_attempts = 1
    world.behaviours["g1"] = REFUSING
    world.place()
    world.run(20_000)
    assert world.cdr.decision[1:] == ["g1: 503 after 10 ms", "hunting ends: max_attempts = 1"]


def test_when_what_is_left_is_full_the_trace_says_so(make_world: Callable[..., World]) -> None:
    world = make_world([gateway("g1", 1), gateway("g2", 2, lines=0)])
    world.behaviours["g1"] = REFUSING
    world.place()
    world.run(20_000)
    assert world.cdr.decision[2:] == ["g2: full", "hunting ends: no candidate is left"]


def test_a_limit_that_refused_the_call_is_named(make_world: Callable[..., World]) -> None:
    world: Any = make_world()
    world.routes.holds = (Hold("account:acme", 0),)
    world.place()
    world.run(1_000)
    assert world.cdr.decision == ["account:acme: every line in use"]
