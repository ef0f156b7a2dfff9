"""Which answers have no ACK yet: each worker says so with its heartbeat, once a second.

A record keeps its `answer` until it is stored again after the ACK, which for most calls is never,
since an ACK is no reason for a commit. So when a worker dies, what its generation said last tells
which answers were acknowledged: all that were given before, but for those it named. What is not
known to be heard is sent again.

Generations are counted by one supervisor. The preparation of the next start therefore settles what
was said before: records lose what was heard, and the words are forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import lmdb
import msgspec

from router.store.databases import LiveDatabases
from router.store.records import CallRecord, decode_call, encode_call

MAX_NAMED = 10_000
"""With more of them nothing new is said, and more is sent again after a death."""


class Unheard(msgspec.Struct, array_like=True, gc=False):
    """The ids of the calls that waited for the ACK of their answer at a time, epoch ms."""

    at_ms: int
    ids: set[str]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Unheard)


def forget_heard(record: CallRecord, said: Mapping[int, Unheard]) -> bool:
    """Takes the answer out of a record if its caller has acknowledged it; whether it had."""
    last = said.get(record.generation)
    if not record.answer or last is None:
        return False
    if record.cdr.answered >= last.at_ms or record.id in last.ids:
        return False
    record.answer = b""
    return True


def note_unheard(
    txn: lmdb.Transaction[bytes], databases: LiveDatabases, generation: int, now_ms: int,
    ids: Collection[str],
) -> None:
    """Stores what the worker of a generation says now."""
    if len(ids) <= MAX_NAMED:
        value = _encoder.encode(Unheard(now_ms, set(ids)))
        txn.put(b"%d" % generation, value, db=databases.unheard)


def read_unheard(
    txn: lmdb.Transaction[bytes], databases: LiveDatabases
) -> dict[int, Unheard]:
    """What each generation said last."""
    with txn.cursor(databases.unheard) as cursor:
        return {int(key): _decoder.decode(value) for key, value in cursor}


def settle_answers(txn: lmdb.Transaction[bytes], databases: LiveDatabases) -> None:
    """Takes every answer that was heard out of the stored records, and forgets what was said."""
    said = read_unheard(txn, databases)
    heard = []
    with txn.cursor(databases.calls) as cursor:
        for key, value in cursor:
            record = decode_call(value)
            if forget_heard(record, said):
                heard.append((key, encode_call(record)))
    for key, value in heard:
        txn.put(key, value, db=databases.calls)
    txn.drop(databases.unheard, delete=False)
