"""Bencode against its definition, and against bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.sip.bencode import MAX_DEPTH, BencodeError, decode, encode

INTS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.recursive(
    INTS | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.binary(max_size=8), inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, b"i0e"), (-7, b"i-7e"), ("ping", b"4:ping"), (b"", b"0:"), ([], b"le"), ({}, b"de"),
        ("é", b"2:\xc3\xa9"), (["a", 1], b"l1:ai1ee"),
        ({"sdp": b"v=0", "command": "offer"}, b"d7:command5:offer3:sdp3:v=0e"),
        ({"codec": {"transcode": ["PCMU", "G722"]}}, b"d5:codecd9:transcodel4:PCMU4:G722eee"),
    ],
)
def test_values_are_written_as_bep_3_says(value: object, data: bytes) -> None:
    assert encode(value) == data  # type: ignore[arg-type]


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    assert decode(encode(value)) == value  # type: ignore[arg-type]


@given(st.binary(max_size=60) | st.text("ilde0123456789:-ab", max_size=40).map(str.encode))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        value = decode(data)
    except BencodeError:
        return
    assert decode(encode(value)) == value


@given(VALUES, st.data())
def test_a_part_of_a_value_is_none(value: object, data: st.DataObject) -> None:
    whole = encode(value)  # type: ignore[arg-type]
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BencodeError):
        decode(whole[:cut])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"i", b"ie", b"i-e", b"i1", b"i--1e", b"i 1e", b"i1.5e", b"i+1e", b"5:abcd", b"-1:a",
        b"1a", b"l", b"d", b"di1ei2ee", b"d1:ae", b"d1:ai1e", b"e", b"x", b"4:ping ", b"i1ei2e",
        b"99999999999999999999999:a", b"i" + b"9" * 5_000 + b"e", "i\u0661e".encode(),
        b"l" * (MAX_DEPTH + 2) + b"e" * (MAX_DEPTH + 2), b"l" * 60_000,
    ],
)
def test_what_is_no_value_is_refused(data: bytes) -> None:
    with pytest.raises(BencodeError):
        decode(data)


def test_a_value_may_be_as_deep_as_rtpengines_are() -> None:
    deep = b"l" * MAX_DEPTH + b"e" * MAX_DEPTH
    assert encode(decode(deep)) == deep
