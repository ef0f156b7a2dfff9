"""Random strings for tags, branches and Call-IDs: unguessable, and cheap enough for each leg."""

from __future__ import annotations

import os

TOKEN_LENGTH = 16
_BATCH = 512


class TokenSource:
    """Each call returns a fresh token of 16 hexadecimal digits (64 random bits)."""

    __slots__ = ("_at", "_digits")

    def __init__(self) -> None:
        self._digits = ""
        self._at = 0

    def __call__(self) -> str:
        start = self._at
        if start >= len(self._digits):
            # One system call for many tokens.
            self._digits = os.urandom(_BATCH * TOKEN_LENGTH // 2).hex()
            start = 0
        self._at = start + TOKEN_LENGTH
        return self._digits[start : start + TOKEN_LENGTH]
