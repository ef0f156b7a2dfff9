"""Who may use the HTTP API, and which payments it was already asked for.

    tokens    name                    Token: a hash of the token, its roles, since when
    keys      hash of token and key   Asked: the id that the payment has, and what it is about
    ids       id of the funds         the hash, so that the oldest can be forgotten

Durable. A token itself is never stored: it is 256 random bits, so a plain hash of it cannot be
turned back. An idempotency key is kept for KEEP_MS; the ledger keeps the payment for good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import msgspec

from router.store.boot import check_writable
from router.store.environment import fault, open_databases, open_environment, reading
from router.store.errors import StoreError

ACCESS_DIR = "api.lmdb"
MAP_BYTES = 1 << 30
DATABASES = ("tokens", "keys", "ids")
KEEP_MS = 90 * 86_400_000
FORGET_AT_ONCE = 16
MAX_TOKENS = 1_000
SCHEMA = b"\x01"


class Token(msgspec.Struct, array_like=True, frozen=True):
    """A token: `digest` is SHA-256 of it, `roles` what it may do, `made_ms` since when."""

    digest: bytes
    roles: tuple[str, ...]
    made_ms: int
    who: str = ""
    """Who made it."""


class Asked(msgspec.Struct, array_like=True, frozen=True):
    """A payment that was asked for with an idempotency key: its id, and the words of it."""

    id: str
    about: str


_encoder = msgspec.msgpack.Encoder()
_token_decoder = msgspec.msgpack.Decoder(Token)
_asked_decoder = msgspec.msgpack.Decoder(Asked)


def digest_of(secret: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


class LmdbAccess:
    """Tokens and keys of one state folder; StoreError when they cannot be read or written.

    Without `readonly` the folder is made if it is missing, for nobody else to read.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        if not readonly:
            check_writable(path.parent)
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise fault(error, path) from error
        self._env = open_environment(
            path, databases=len(DATABASES), map_bytes=MAP_BYTES, durable=True, readonly=readonly
        )
        try:
            self._tokens, self._keys, self._ids = open_databases(self._env, DATABASES)
        except StoreError:
            self._env.close()
            raise

    def tokens(self) -> dict[str, Token]:
        """All tokens by name."""
        with reading(self._env) as txn, txn.cursor(self._tokens) as cursor:
            return {
                bytes(key).decode(): _token_decoder.decode(bytes(value)[1:])
                for key, value in cursor
            }

    def add(self, name: str, token: Token) -> bool:
        """Add a token; False when there is one of this name. StoreError when there are too many."""
        with self._writing() as txn:
            if txn.stat(self._tokens)["entries"] >= MAX_TOKENS:
                raise StoreError(f"there are {MAX_TOKENS} tokens: remove some")
            value = SCHEMA + _encoder.encode(token)
            return bool(txn.put(name.encode(), value, overwrite=False, db=self._tokens))

    def remove(self, name: str) -> bool:
        """Remove a token; False when there is none of this name."""
        with self._writing() as txn:
            return bool(txn.delete(name.encode(), db=self._tokens))

    def ask(self, token: str, key: str, asked: Asked, now_ms: int) -> Asked:
        """What the key was first used for by this token: `asked`, if never before.

        `asked.id` begins with its time, as ids of funds do.
        """
        digest = digest_of(f"{token}\n{key}")
        with self._writing() as txn:
            self._forget(txn, f"{max(0, now_ms - KEEP_MS):012x}".encode())
            known = txn.get(digest, None, self._keys)
            if known is not None:
                return _asked_decoder.decode(bytes(known)[1:])
            txn.put(digest, SCHEMA + _encoder.encode(asked), db=self._keys)
            txn.put(asked.id.encode(), digest, db=self._ids)
            return asked

    def close(self) -> None:
        """Release the environment."""
        self._env.close()

    def _forget(self, txn: lmdb.Transaction[bytes], before: bytes) -> None:
        with txn.cursor(self._ids) as cursor:
            for _ in range(FORGET_AT_ONCE):
                if not cursor.first() or bytes(cursor.key()) >= before:
                    return
                txn.delete(bytes(cursor.value()), db=self._keys)
                cursor.delete()

    @contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction[bytes]]:
        try:
            with self._env.begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            raise fault(error, self.path) from error
