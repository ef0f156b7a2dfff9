"""Decks against blocks; the findings themselves are in tests/dsl/errors/decks.cfg."""

from __future__ import annotations

from dsl.program import Block, Position
from router.billing.deck import Deck
from router.billing.rate import Rate
from router.routing.decks import TABLES, compare_decks


def deck(**prices: int) -> Deck:
    return Deck(Rate(prefix[1:], price) for prefix, price in prices.items())


def block(kind: str, name: str, **settings: object) -> Block:
    return Block(kind, name, settings, [], Position("routes.cfg", 1, 1))


def told(blocks: list[Block], decks: dict[str, Deck]) -> list[tuple[str, str]]:
    return [(remark.code, remark.message) for remark in compare_decks(blocks, decks)]


ACCOUNT = block("account", "acme", deck="retail")


def test_a_gateway_of_a_part_or_of_more_serves_a_prefix() -> None:
    retail = {"retail": deck(p86=1)}
    for prefix in ("8613", "86", "8", ""):
        assert told([ACCOUNT, block("gateway", "g", prefixes=[prefix])], retail) == []
    found = told([ACCOUNT, block("gateway", "g", prefixes=["85"])], retail)
    assert [code for code, _ in found] == ["unserved-prefix"]


def test_one_gateway_that_is_cheap_enough_is_enough() -> None:
    decks = {"retail": deck(p86=5), "dear": deck(p86=6), "fair": deck(p8=5)}
    dear = block("gateway", "dear", prefixes=["86"], deck="dear")
    assert [code for code, _ in told([ACCOUNT, dear], decks)] == ["no-margin"]
    for other in (
        block("gateway", "fair", prefixes=["8"], deck="fair"),
        block("gateway", "ours", prefixes=["86"]),
    ):
        assert told([ACCOUNT, dear, other], decks) == []


def test_a_finding_names_a_few_prefixes_and_counts_the_others() -> None:
    decks = {"retail": Deck(Rate(str(number), 1) for number in range(10, 18))}
    ((_, message),) = told([ACCOUNT], decks)
    assert "prefixes 10, 11, 12, 13, 14 and 3 more" in message


def test_a_deck_without_a_file_that_was_read_is_not_spoken_of() -> None:
    assert told([ACCOUNT, block("gateway", "g", prefixes=["1"], deck="vendor")], {}) == []


def test_faults_of_a_file_come_with_line_and_code() -> None:
    found, faults = TABLES.read(b"prefix,rate_per_min\n86,-1\n")
    assert found is None
    assert [(fault.line, fault.code) for fault in faults] == [(2, "negative-price")]
