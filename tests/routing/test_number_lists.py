"""Lists of numbers: what a file may say, and a million of them in little time and room."""

from __future__ import annotations

import pickle
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.number_lists import MAX_TOLD, NumberList, Numbers, read_list


def found(raw: bytes, number: str) -> str:
    numbers, faults = read_list(raw)
    assert not faults
    assert numbers is not None
    return numbers.find(number)[1]


@pytest.mark.parametrize(
    "raw",
    [
        b"900\n", b"900", b"900\r\n901\r\n", b"number\n900\n", b"number,note\n900,x\n",
        b"\xef\xbb\xbf900\n", b'"900","a, b"\n', b" 900 ; x\n", b"# a list\n#\n## 901\n\n  \n900\n",
    ],
)
def test_a_file_is_read_as_people_write_it(raw: bytes) -> None:
    assert found(raw, "900") == "900"
    assert found(raw, "90") == found(raw, "9000") == ""


@pytest.mark.parametrize(
    ("entry", "number", "hit"),
    [
        ("0900", "0900", True), ("0900", "900", False), ("900", "0900", False),
        ("+4930", "+4930", True), ("+4930", "4930", False), ("4930", "+4930", False),
        ("900*", "900", True), ("900*", "9001", True), ("900*", "90", False),
        ("+49*", "+4930", True), ("*21#", "*21#", True), ("#2*", "#21", True),
        ("1" * 32, "1" * 32, True), ("1" * 17, "1" * 17, True), ("1" * 18, "1" * 18, True),
        ("1" * 18, "1" * 17, False), ("900", "٩٠٠", False), ("900", "", False), ("900", "x", False),
    ],
)
def test_an_entry_means_itself(entry: str, number: str, hit: bool) -> None:
    assert bool(found(entry.encode(), number)) is hit


@pytest.mark.parametrize("entry", ["Alice", "900 1", "+", "*", "9" * 33, "900-1", "٩٠٠", "++49"])
def test_what_is_no_number_is_told_with_its_line(entry: str) -> None:
    numbers, faults = read_list(f"900\n{entry},x\n901\n".encode())
    assert numbers is None
    assert [(fault.line, fault.code) for fault in faults] == [(2, "bad-list")]


def test_many_wrong_lines_are_told_together() -> None:
    _, faults = read_list(b"x\n" * (MAX_TOLD + 7))
    assert len(faults) == MAX_TOLD + 1
    assert faults[-1].message == "7 more lines are no numbers"


def test_a_line_that_is_no_text_is_told() -> None:
    _, faults = read_list(b"900\n\xff\xff\n")
    assert [fault.line for fault in faults] == [2]


numbers = st.from_regex(r"\+?[0-9#*]{0,20}[0-9#]", fullmatch=True)


@given(st.sets(numbers), numbers)
def test_it_holds_what_a_set_holds(held: set[str], number: str) -> None:
    made = Numbers(held)
    assert len(made) == len(held)
    assert (number in made) is (number in held)
    assert all(one in made for one in held)


def test_a_list_travels_to_the_workers_as_it_is() -> None:
    made = pickle.loads(pickle.dumps(NumberList(["900", "+49*", "1" * 30])))
    assert [made.find(one)[1] for one in ("900", "+4930", "1" * 30, "9")] == [
        "900", "+49*", "1" * 30, "",
    ]


def test_a_million_numbers_take_seconds_and_eight_bytes_each() -> None:
    raw = "".join(f"{49_000_000_000 + 7 * at},spam\n" for at in range(1_000_000)).encode()
    began = time.process_time()
    made, faults = read_list(raw)
    seconds = time.process_time() - began
    assert made is not None and not faults
    assert len(made) == 1_000_000
    assert seconds < 10
    assert sys.getsizeof(made.numbers._packed) < 8_100_000
    assert made.find(str(49_000_000_000 + 7 * 777_777))[0] > 0
    began = time.process_time()
    for at in range(20_000):
        made.find(str(49_000_000_000 + 31 * at))
    assert (time.process_time() - began) / 20_000 < 10e-6
