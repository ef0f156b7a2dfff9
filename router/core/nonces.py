"""Nonces without any state: when they were made, for whom, and our signature (RFC 7616 §3.3).

    nonce  =  time (epoch ms, 12 hex digits)  salt (8)  signature of time, salt and address (24)

Every worker knows the nonces of the others by the secret that they share. One is good for the
address it was given to and for no other, so that nobody can spoil somebody else's, or use one that
he has heard. How often it was used is the store's to know.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b

SALT = 8
_HEAD = 12 + SALT
_SIGNATURE = 24


class Nonces:
    """Makes nonces and knows them again."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, source: str, now_ms: int, token: str) -> str:
        """A nonce for an address; `token` are at least 8 random letters and digits."""
        head = f"{now_ms:012x}{token[:SALT]}"
        return head + self._sign(head, source)

    def age_ms(self, nonce: str, source: str, now_ms: int) -> int | None:
        """How long ago we made it for this address; None: we did not."""
        if len(nonce) != _HEAD + _SIGNATURE or not nonce.isascii():
            return None
        head = nonce[:_HEAD]
        if not hmac.compare_digest(nonce[_HEAD:], self._sign(head, source)):
            return None
        return now_ms - int(head[:12], 16)

    def _sign(self, head: str, source: str) -> str:
        # Keyed BLAKE2 (RFC 7693) is a MAC by itself, at a fifth of what HMAC costs.
        text = f"{head}{source}".encode("utf-8", "surrogateescape")
        return blake2b(text, digest_size=_SIGNATURE // 2, key=self._secret).hexdigest()
