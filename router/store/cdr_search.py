"""Finding CDRs in the ledger: by the index where it helps, else by a look at all in a span of time.

A ledger of an older version has no index yet; `index_more` makes it, in steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import lmdb

from router.store.environment import PAGE_ENTRIES, Access, page_backward, page_forward, reading
from router.store.errors import StoreError
from router.store.ledger_index import ALL, INDEXED, ids_by_index, put_index
from router.store.query import CdrQuery
from router.store.records import Cdr, decode_cdr


class CdrSearch:
    """The index of one ledger; `index` None where a reader found none."""

    def __init__(
        self, access: Access, cdrs: lmdb._Database, meta: lmdb._Database,
        index: lmdb._Database | None,
    ) -> None:
        self._access = access
        self._cdrs = cdrs
        self._meta = meta
        self._index = index

    def begin(self) -> None:
        """An empty ledger has nothing to be indexed later."""
        with self._access.writing() as txn:
            if txn.get(INDEXED, db=self._meta) is None and not txn.stat(self._cdrs)["entries"]:
                txn.put(INDEXED, ALL, db=self._meta)

    def is_complete(self) -> bool:
        """Whether the index knows every CDR."""
        return self._index is not None and self._done() == ALL

    def _done(self) -> bytes:
        with reading(self._access.environment()) as txn:
            return txn.get(INDEXED, b"", self._meta)

    def add(self, txn: lmdb.Transaction[bytes], new: Sequence[tuple[bytes, Cdr]]) -> None:
        """Indexes CDRs in the transaction that stores them."""
        assert self._index is not None
        put_index(txn, self._index, new)

    def index_more(self, entries: int) -> int:
        """Index so many CDRs that were stored before there was an index; how many there were."""
        done = self._done()
        if done == ALL:
            return 0
        start = done + b"\0" if done else b""
        pages = page_forward(self._access.environment(), self._cdrs, start)
        old = list(itertools.islice(itertools.chain.from_iterable(pages), entries))
        with self._access.writing() as txn:
            self.add(txn, [(key, readable(value)) for key, value in old])
            txn.put(INDEXED, ALL if len(old) < entries else old[-1][0], db=self._meta)
        return len(old)

    def find(self, query: CdrQuery) -> Iterator[Cdr]:
        """The CDRs that match, newest first."""
        ids = None
        if self._index is not None and self.is_complete():
            ids = ids_by_index(self._access.environment(), self._index, query)
        found = self.by_time(query) if ids is None else self._by_ids(ids)
        return itertools.islice(filter(query.matches, found), query.limit or None)

    def by_time(self, query: CdrQuery) -> Iterator[Cdr]:
        """All CDRs of the query's span of time, newest first; its other filters are not asked."""
        first = query.first_id().encode() if query.since_ms else b""
        end = query.end_id().encode() if query.until_ms else b""
        for page in page_backward(self._access.environment(), self._cdrs, first, end):
            for _, value in page:
                yield decode_cdr(value)

    def _by_ids(self, ids: Iterator[bytes]) -> Iterator[Cdr]:
        while some := list(itertools.islice(ids, PAGE_ENTRIES)):
            with reading(self._access.environment()) as txn:
                values = [txn.get(id, db=self._cdrs) for id in dict.fromkeys(some)]
            for value in values:
                if value is not None:
                    yield decode_cdr(value)


def readable(value: bytes) -> Cdr:
    """The CDR, or an empty one where it is damaged: the others must not wait for it."""
    try:
        return decode_cdr(value)
    except StoreError:
        return Cdr()
