"""Owner of a call: the arithmetic that kernel, workers and B legs have to agree on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.steering import (
    BUCKETS,
    MAX_TOKEN_BYTES,
    SUFFIXES,
    bytes_hash,
    call_hash,
    call_id_like,
    owner_slot,
)

wire_call_ids = st.binary(min_size=0, max_size=120).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
tokens = st.text("0123456789abcdefXYZ-.@", max_size=MAX_TOKEN_BYTES)


def test_every_residue_has_a_suffix_of_four_alphanumerics_that_sums_to_it() -> None:
    assert len(SUFFIXES) == BUCKETS
    for residue, suffix in enumerate(SUFFIXES):
        assert len(suffix) == 4
        assert suffix.isascii()
        assert suffix.isalnum()
        assert call_hash(suffix) == residue


@pytest.mark.parametrize(
    ("call_id", "bucket"),
    [
        ("", 0),
        ("a", 97),
        ("abc@host", (97 + 98 + 99 + 64 + 104 + 111 + 115 + 116) % 240),
        ("1" * 48, 49 * 48 % 240),
        ("1" * 48 + "beyond the hashed part", 49 * 48 % 240),
        ("\u00e9", (0xC3 + 0xA9) % 240),
        ("\udcff", 0xFF % 240),
    ],
)
def test_the_hash_is_the_sum_of_the_first_48_bytes(call_id: str, bucket: int) -> None:
    assert call_hash(call_id) == bucket


@given(wire_call_ids, tokens)
def test_a_b_leg_has_its_a_legs_owner_for_every_number_of_workers(call_id: str, token: str) -> None:
    fresh = call_id_like(call_id, token)
    assert fresh.startswith(token)
    assert len(fresh) == len(token) + 4
    assert all(
        owner_slot(fresh, slots) == owner_slot(call_id, slots) for slots in range(1, BUCKETS + 1)
    )


@given(st.binary(max_size=120))
def test_the_hash_of_the_text_is_the_hash_of_the_bytes_on_the_wire(raw: bytes) -> None:
    assert bytes_hash(raw) == call_hash(raw.decode("utf-8", "surrogateescape"))


def test_a_token_whose_suffix_would_not_be_hashed_is_refused() -> None:
    call_id_like("x", "t" * MAX_TOKEN_BYTES)
    with pytest.raises(ValueError, match="at most 44"):
        call_id_like("x", "t" * (MAX_TOKEN_BYTES + 1))
