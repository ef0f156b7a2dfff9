"""Where in the ledger the CDRs of a call id, an account, a gateway, a reason or a number are.

    index   kind + what + CDR id     nothing; the key says it all

    kind  what
    c     digest of a Call-ID        of the caller's leg and of every attempt
    a     digest of the account
    g     digest of the gateway      of every attempt
    r     digest of the end reason   without the code in brackets
    n     called number + 0          as it was dialled; a prefix of it is a range

Ids sort by time, so the entries of one account do too. Digests have eight bytes: an entry may be
another's by chance, so who reads here holds the CDR against the query as well.

A ledger that was written without an index gets it in steps, oldest CDR first, while the router
runs; `meta` "indexed" is the last id that was done, and ALL when there is nothing left to do.
Until then readers do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

import lmdb

from router.store.environment import page_backward
from router.store.query import CdrQuery
from router.store.records import Cdr

INDEX_DATABASE = "index"
INDEXED = b"indexed"
ALL = b"\xff"
NUMBER_BYTES = 32
"""as many of a called number's bytes as the index holds"""
FEW_IDS = 20_000
"""Up to so many CDRs with a number's prefix are put in order; more are found soon by time."""

_Found = tuple[bytes, bytes]


def index_keys(id: bytes, cdr: Cdr) -> Iterator[bytes]:
    """The entries of one CDR; the same one may come twice."""
    yield _key(b"c", cdr.call_id) + id
    if cdr.account:
        yield _key(b"a", cdr.account) + id
    yield _key(b"r", cdr.end_reason.partition("(")[0]) + id
    yield _number(cdr.callee_in) + b"\0" + id
    for attempt in cdr.attempts:
        yield _key(b"c", attempt.b_call_id) + id
        yield _key(b"g", attempt.gateway) + id


def put_index(
    txn: lmdb.Transaction[bytes], database: lmdb._Database, cdrs: Iterable[tuple[bytes, Cdr]]
) -> None:
    """Adds the entries of CDRs, in the transaction that stores them; doing it twice is no harm."""
    entries = sorted({(key, b"") for id, cdr in cdrs for key in index_keys(id, cdr)})
    with txn.cursor(database) as cursor:
        cursor.putmulti(entries)


def ids_by_index(
    env: lmdb.Environment, database: lmdb._Database, query: CdrQuery
) -> Iterator[bytes] | None:
    """The ids of the CDRs that may match, newest first; None: only a look at all of them tells."""
    for kind, what in (
        (b"c", query.call_id),
        (b"a", query.account),
        (b"g", query.gateway),
        (b"r", query.end_reason.partition("(")[0]),
    ):
        if what:
            return _ids_under(env, database, _key(kind, what), query)
    if query.callee_prefix:
        return _ids_of_number(env, database, query)
    return None


def _ids_under(
    env: lmdb.Environment, database: lmdb._Database, start: bytes, query: CdrQuery
) -> Iterator[bytes]:
    first = start + (query.first_id().encode() if query.since_ms else b"")
    end = start + (query.end_id().encode() if query.until_ms else ALL)
    for page in page_backward(env, database, first, end):
        for key, _ in page:
            yield key[len(start) :]


def _ids_of_number(
    env: lmdb.Environment, database: lmdb._Database, query: CdrQuery
) -> Iterator[bytes] | None:
    start = _number(query.callee_prefix)
    ids: list[bytes] = []
    for page in page_backward(env, database, start, start + ALL):
        ids += [key.partition(b"\0")[2] for key, _ in page]
        if len(ids) > FEW_IDS:
            return None
    first, end = query.first_id().encode(), query.end_id().encode()
    ids = [id for id in ids if first <= id and (not query.until_ms or id < end)]
    ids.sort(reverse=True)
    return iter(ids)


def _key(kind: bytes, what: str) -> bytes:
    """The beginning of an entry; there are few accounts, gateways and reasons: hashed once."""
    return _digest(kind, what) if kind == b"c" else _known(kind, what)


def _digest(kind: bytes, what: str) -> bytes:
    return kind + blake2b(what.encode("utf-8", "backslashreplace"), digest_size=8).digest()


_known = lru_cache(4_096)(_digest)


def _number(number: str) -> bytes:
    return b"n" + number.encode("utf-8", "backslashreplace")[:NUMBER_BYTES].replace(b"\0", b"")
