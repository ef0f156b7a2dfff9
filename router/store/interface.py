"""The Store interface: what Trunkline asks of live state and of the ledger, and nothing more.

LMDB implements it for one machine. A second backend must pass the same tests
(tests/store/live_suite.py and ledger_suite.py) and need not resemble LMDB in anything else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from router.store.money import Money
from router.store.ops import Answer, Op
from router.store.quality import Quality
from router.store.query import CdrQuery
from router.store.records import CallRecord, Cdr, GatewayState, Registration
from router.store.unheard import Unheard

OutboxEntry = tuple[bytes, bytes]
"""Key and value of one entry of the outbox; only the store knows what is in them."""


class Usage(NamedTuple):
    """Calls in progress on a key, and calls handed to it so far (counted for gateways)."""

    in_use: int
    handed: int


class Block(NamedTuple):
    """Since when an address is blocked, and until when, epoch ms."""

    since_ms: int
    until_ms: int


class LiveStore(Protocol):
    """State of the calls in progress, shared by the workers; lives for one boot of the machine."""

    def commit(self, ops: Sequence[Op], now_ms: int) -> list[Answer | None]:
        """Do all operations in order in one transaction, one answer for each.

        StoreError: nothing of the turn is stored and no record was changed.
        """

    def money(self, account: str) -> Money:
        """Balance and reserve of an account; zeros for one that was never seen.

        The balance is the ledger's and everything of it that still waits in the outbox.
        """

    def monies(self) -> dict[str, Money]:
        """Balance and reserve of every account, by name."""

    def usage(self, key: str) -> Usage:
        """In-use and handed of one key; zeros for a key never used."""

    def recall(self, key: str, now_ms: int) -> str | None:
        """The value that a `Remember` shared under a key; None when there is none, or no longer."""

    def permit(self, key: str, n: int, per_ms: int, now_ms: int) -> bool:
        """Whether this is one of at most n in this time, counting it if it is; over all workers."""

    def usages(self, prefix: str) -> dict[str, Usage]:
        """In-use and handed of every key that begins with the prefix, in key order."""

    def gateway_states(self) -> dict[str, GatewayState]:
        """Health of every gateway that has some, by key."""

    def quality(self, key: str) -> Quality:
        """How well the last attempts at a gateway went."""

    def gateway_state(self, key: str) -> GatewayState | None:
        """Health of one gateway, None when nothing is known of it."""

    def registration(self, number: str, now_ms: int) -> Registration | None:
        """Where a phone can be reached now; None when it is not online."""

    def registrations(self) -> Iterator[Registration]:
        """Every registration by number, some with contacts that have just expired."""

    def registered_phones(self) -> int:
        """How many phones are registered."""

    def sweep_registrations(self, now_ms: int) -> int:
        """Take away contacts that have expired, a bounded number at a time; of how many phones."""

    def secret(self) -> bytes:
        """What nonces are signed with: random, and the same for all who share this store."""

    def use_nonce(self, nonce: str, count: int, until_ms: int, now_ms: int) -> bool:
        """Whether a nonce was never used with this count or a higher one; it is from now on.

        It is remembered until its end. Over all workers, at once.
        """

    def blocks(self, now_ms: int) -> dict[str, Block]:
        """The addresses that a `BlockAddress` blocked and that still are."""

    def lift_block(self, address: str, now_ms: int) -> bool:
        """End the block of an address; whether it was blocked."""

    def calls(self) -> Iterator[CallRecord]:
        """Every call in progress, oldest first; never holds a transaction while suspended."""

    def calls_of_slot(self, slot: int) -> Iterator[CallRecord]:
        """The calls in progress that a worker slot admitted, oldest first."""

    def active_calls(self) -> int:
        """How many calls are in progress."""

    def outbox(self, limit: int) -> list[OutboxEntry]:
        """The oldest entries that wait for the ledger, at most `limit`."""

    def waiting_cdrs(self, query: CdrQuery) -> list[Cdr]:
        """The matching CDRs that the ledger does not have yet, newest first, limit or not."""

    def outbox_delete(self, keys: Sequence[bytes]) -> None:
        """Remove entries the ledger has stored, in transactions short enough for the workers."""

    def backlog(self) -> int:
        """How many entries wait for the ledger."""

    def heartbeat(
        self, slot: int, now_ms: int, generation: int = 0, unheard: Collection[str] = ()
    ) -> None:
        """Note that a worker slot was alive at `now_ms`.

        `unheard` are the calls of its generation whose answer has no ACK yet.
        """

    def heartbeats(self) -> dict[int, int]:
        """The last heartbeat of every slot, epoch ms."""

    def unheard(self) -> Mapping[int, Unheard]:
        """What each generation of workers said last of unheard answers, since the start."""

    def settle_answers(self) -> None:
        """Take what callers have acknowledged out of the records; while no worker runs."""

    def verify(self) -> list[str]:
        """One sentence for each in-use and reserve that is not the sum over the records."""

    def recount(self) -> list[str]:
        """Set in-use and reserves to the sums over the records; what `verify` says was wrong."""

    def stat(self) -> dict[str, int]:
        """Sizes for the metrics: bytes mapped and used, readers, entries of each part."""

    def close(self) -> None:
        """Release what the store holds open."""


class Ledger(Protocol):
    """Durable records of what happened; one process writes, any number read."""

    def store(self, batch: Sequence[OutboxEntry], heartbeat_ms: int = 0) -> int:
        """Store outbox entries durably in one transaction; how many CDRs were new.

        Idempotent by call id, and in any order: the first CDR of a call stays, an opening that
        comes after its CDR is dropped.
        """

    def cdrs(self, query: CdrQuery | None = None) -> Iterator[Cdr]:
        """The CDRs that match, newest first; never holds a transaction while suspended."""

    def cdr(self, call_id: str) -> Cdr | None:
        """The CDR of this id."""

    def open_calls(self) -> Iterator[Cdr]:
        """The answered calls whose CDR has not come yet, as they were at their opening."""

    def close_open(self, ended_ms: int) -> int:
        """Close every open call as SystemRestart at `ended_ms`; how many."""

    def close(self) -> None:
        """Release what the ledger holds open."""
