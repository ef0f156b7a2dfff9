from __future__ import annotations

import gzip
from datetime import UTC, datetime

import pytest

from router.billing.rate import Rate
from router.billing.rates_file import Problem, parse_rates, read_rates

HEADER = "prefix,rate_per_min"


def problems(text: str) -> list[tuple[int, str]]:
    parsed = read_rates(text.encode())
    assert (parsed.deck is None) == bool(parsed.problems)
    return [(problem.line, problem.message) for problem in parsed.problems]


def rates(text: str) -> list[Rate]:
    parsed = read_rates(text.encode())
    assert parsed.problems == []
    assert parsed.deck is not None
    return list(parsed.deck.rates())


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)


def test_columns_are_known_by_their_header_and_empty_fields_are_defaults() -> None:
    text = "\ufeffRate_per_min, Prefix ,first_s,name\n0.12,8613,,\"China, mobile\"\n1,86,6,\n"
    assert rates(text) == [
        Rate("8613", 120_000, name="China, mobile"),
        Rate("86", 1_000_000, first_s=6),
    ]


def test_every_column_is_read() -> None:
    text = (
        "prefix,name,rate_per_min,connect_fee,first_s,cycle_s,free_s,kind,enabled,valid_from,"
        "valid_to\n86,China,0.000001,.5,60,6,3,National,YES,2026-01-01,2026-12-31\n"
    )
    assert rates(text) == [
        Rate("86", 1, 500_000, 60, 6, 3, "national", "China", True, at(2026, 1, 1), at(2027, 1, 1))
    ]


def test_the_last_day_counts_and_a_moment_is_exact() -> None:
    text = f"{HEADER},valid_from,valid_to\n1,1,2026-01-01T08:00+08:00,2026-01-01 12:30\n"
    (rate,) = rates(text)
    assert (rate.valid_from, rate.valid_to) == (at(2026, 1, 1), at(2026, 1, 1, 12, 30))


def test_gzip_is_unpacked() -> None:
    raw = gzip.compress(f"{HEADER}\n86,1\n".encode()) + gzip.compress(b"87,2\n", mtime=0)
    deck = read_rates(raw).deck
    assert deck is not None
    assert list(deck.prefixes()) == ["86", "87"]


CUT_OFF = gzip.compress(b"prefix,rate" * 99, mtime=0)[:-12]


@pytest.mark.parametrize("raw", [b"\x1f\x8bnonsense", CUT_OFF])
def test_a_broken_gzip_is_one_problem(raw: bytes) -> None:
    assert len(read_rates(raw).problems) == 1


def test_what_is_not_text_is_told_by_its_line() -> None:
    assert read_rates(b"prefix,rate_per_min\n86,1\n\xff,1\n").problems == [
        Problem(3, "is not UTF-8 text")
    ]


def test_empty_lines_and_comments_are_passed_over() -> None:
    assert len(rates(f"# rates\n\n{HEADER}\r\n\r\n# more\n86,1\r\n  \n87,2")) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("86x,1", 'prefix: "86x" is not a beginning of numbers'),
        ("1" * 33 + ",1", "prefix: is longer than 32"),
        ("86,", "rate_per_min is missing"),
        ("86", "rate_per_min is missing"),
        ("86,x", 'rate_per_min: "x" is not an amount'),
        ("86,1.", 'rate_per_min: "1." is not an amount'),
        ("86,1e3", 'rate_per_min: "1e3" is not an amount'),
        ("86,\u0661", 'rate_per_min: "\u0661" is not an amount'),
        ("86,-0.1", "rate_per_min: -0.1 is negative"),
        ("86,0.0000001", "rate_per_min: 0.0000001 has more than 6 decimals"),
        ("86,1000000.01", "rate_per_min: 1000000.01 is more than 1000000"),
        ("86,1,-1", "connect_fee: -1 is negative"),
        ("86,1,,-1", 'first_s: "-1" is not a number of seconds'),
        ("86,1,,1,0", "cycle_s: 0 is not between 1 and 86400"),
        ("86,1,,1,1,x", 'free_s: "x" is not a number of seconds'),
        ("86,1,,,,,x", 'kind: "x" is none of net, local, national, international'),
        ("86,1,,,,,,x", 'enabled: "x" is neither yes nor no'),
        ("86,1,,,,,,,x", 'valid_from: "x" is not a date as 2026-12-31 or 2026-12-31T08:00'),
        ("86,1,,,,,,,2026-02-01,2026-01-01", "valid_to lies before valid_from"),
        ("86,1,,,,,,,,,", "has 11 fields, the header has 10"),
    ],
)
def test_a_wrong_field_is_told_by_line_and_column(row: str, message: str) -> None:
    header = f"{HEADER},connect_fee,first_s,cycle_s,free_s,kind,enabled,valid_from,valid_to"
    assert problems(f"{header}\n1,1\n{row}\n") == [(3, message)]


def test_all_problems_are_told_and_nothing_is_loaded() -> None:
    assert problems(f"{HEADER}\n86,1\nx,y\n87,2\n86,3\n") == [
        (3, 'prefix: "x" is not a beginning of numbers'),
        (3, 'rate_per_min: "y" is not an amount'),
        (5, "prefix 86 has a rate already"),
    ]


def test_a_prefix_may_stand_twice_if_its_times_do_not_overlap() -> None:
    header = f"{HEADER},enabled,valid_from,valid_to\n"
    assert len(rates(f"{header}86,1,,,2026-05-31\n86,2,,2026-06-01,\n86,3,no,,\n")) == 2
    assert len(problems(f"{header}86,1,,,2026-06-01\n86,2,,2026-06-01,\n")) == 1


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", ["is empty: there is no header"]),
        ("prefix", ["the column `rate_per_min` is missing"]),
        ("prefix,rate_per_min,prefix", ["the column `prefix` stands there twice"]),
    ],
)
def test_a_wrong_header_is_told(header: str, found: list[str]) -> None:
    assert [message for _, message in problems(header)] == found


def test_an_unknown_column_is_told_with_the_known_ones() -> None:
    ((line, message),) = problems("prefix,rate_per_min,rat\n")
    assert (line, message.partition(":")[0]) == (1, "unknown column `rat`")


def test_broken_quotes_are_told() -> None:
    parsed = parse_rates([f"{HEADER}\n", '86,"1"2\n'])
    assert parsed.deck is None
    assert parsed.problems[0].message.startswith("is not CSV")


def test_a_negative_price_has_a_code_of_its_own() -> None:
    assert read_rates(f"{HEADER}\n86,-1\n".encode()).problems[0].code == "negative-price"
