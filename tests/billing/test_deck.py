from __future__ import annotations

import pickle
import random
from statistics import median
from time import perf_counter_ns

from router.billing.deck import Deck
from router.billing.rate import Rate

NOW = 1_800_000_000_000


def test_the_longest_prefix_wins() -> None:
    deck = Deck([Rate("86", 1), Rate("8613", 2), Rate("", 3)])
    found = [deck.find(number, NOW) for number in ("8613800138000", "8620", "1", "")]
    assert [rate.rate_per_min for rate in found if rate] == [2, 1, 3, 3]


def test_a_number_shorter_than_every_prefix_has_no_rate() -> None:
    assert Deck([Rate("8613", 2)]).find("861", NOW) is None
    assert Deck().find("861", NOW) is None


def test_a_rate_that_does_not_hold_leaves_the_number_to_a_shorter_prefix() -> None:
    deck = Deck([
        Rate("86", 1),
        Rate("8613", 2, enabled=False),
        Rate("8615", 3, valid_from=NOW),
        Rate("8617", 4, valid_to=NOW),
    ])
    assert [deck.find(number, NOW).prefix for number in ("86131", "86151", "86171")] == [
        "86", "8615", "86",
    ]
    assert deck.find("86151", NOW - 1).prefix == "86"
    assert deck.find("86171", NOW - 1).prefix == "8617"


def test_a_price_changes_at_its_moment() -> None:
    deck = Deck([Rate("86", 1, valid_to=NOW), Rate("86", 2, valid_from=NOW)])
    assert [deck.find("86", moment).rate_per_min for moment in (NOW - 1, NOW)] == [1, 2]
    assert len(deck) == 2
    assert list(deck.prefixes()) == ["86"]


def test_a_found_rate_is_the_one_that_was_given() -> None:
    rate = Rate("86", 1, 2, 3, 4, 5, "national", "China", True, 6, NOW + 7)
    deck = Deck([Rate("1", 9), rate])
    assert deck.find("8613", NOW) == rate
    assert list(pickle.loads(pickle.dumps(deck)).rates()) == [Rate("1", 9), rate]


def test_random_decks_find_what_a_search_through_all_rates_finds() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(200):
        prefixes = {"".join(dice.choices("123", k=dice.randrange(6))) for _ in range(30)}
        rates = [
            Rate(
                prefix, index, enabled=dice.random() < 0.8, valid_from=dice.choice((0, 0, 5)),
                valid_to=dice.choice((0, 0, 9)),
            )
            for index, prefix in enumerate(sorted(prefixes))
        ]
        deck = Deck(rates)
        for _ in range(50):
            number = "".join(dice.choices("123", k=dice.randrange(8)))
            now = dice.randrange(12)
            fitting = [r for r in rates if number.startswith(r.prefix) and r.holds_at(now)]
            expected = max(fitting, key=lambda rate: len(rate.prefix), default=None)
            assert deck.find(number, now) == expected


def test_a_look_up_among_many_prefixes_takes_less_than_5_us() -> None:
    dice = random.Random(1)
    prefixes = {str(dice.randrange(10 ** dice.randrange(2, 9))) for _ in range(100_000)}
    deck = Deck(Rate(prefix, 1) for prefix in prefixes)
    numbers = [str(dice.randrange(10**12, 10**13)) for _ in range(5_000)]
    taken = []
    for number in numbers:
        started = perf_counter_ns()
        deck.find(number, NOW)
        taken.append(perf_counter_ns() - started)
    assert median(taken) < 5_000
