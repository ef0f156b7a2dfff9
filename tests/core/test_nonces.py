"""Nonces without state: known again by who made them, for whom they were made."""

from __future__ import annotations

import pytest

from router.core.nonces import Nonces

NOW_MS = 1_700_000_000_000
SECRET = b"s" * 32


def test_a_nonce_is_known_to_all_who_share_the_secret() -> None:
    nonce = Nonces(SECRET).make("192.0.2.1", NOW_MS, "abcdefgh1234")
    assert len(nonce) == 44 and nonce.isalnum()
    assert Nonces(SECRET).age_ms(nonce, "192.0.2.1", NOW_MS + 500) == 500
    assert Nonces(b"other").age_ms(nonce, "192.0.2.1", NOW_MS) is None


def test_it_is_good_for_one_address_and_unlike_any_other() -> None:
    nonces = Nonces(SECRET)
    nonce = nonces.make("192.0.2.1", NOW_MS, "abcdefgh")
    assert nonces.age_ms(nonce, "192.0.2.2", NOW_MS) is None
    assert nonces.make("192.0.2.1", NOW_MS, "ijklmnop") != nonce


def test_nonces_sort_by_their_time() -> None:
    nonces = Nonces(SECRET)
    made = [nonces.make("192.0.2.1", NOW_MS + 1_000 * n, f"{9 - n}zzzzzzz") for n in range(5)]
    assert made == sorted(made)


@pytest.mark.parametrize("change", [
    lambda nonce: "", lambda nonce: nonce[:-1], lambda nonce: nonce + "0",
    lambda nonce: "f" + nonce[1:], lambda nonce: nonce[:-1] + "é", lambda nonce: nonce.upper(),
    lambda nonce: nonce[:12] + "ABCDEFGH" + nonce[20:], lambda nonce: "z" * 44,
])
def test_what_was_changed_is_none_of_ours(change) -> None:  # type: ignore[no-untyped-def]
    nonces = Nonces(SECRET)
    nonce = nonces.make("192.0.2.1", NOW_MS, "abcdefgh")
    assert nonces.age_ms(change(nonce), "192.0.2.1", NOW_MS) is None
