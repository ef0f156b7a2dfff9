"""From live state into the ledger: seeding, and what waits in the outbox.

Who has the ledger's lock does this: the preparation of a start, the ledger process, or a command
while no router runs. The steps and their order, so that a kill between any two loses and doubles
nothing:

1. bind. The calls of live state that is gone are closed and charged, and the mark of the present
   one noted, in one transaction of the ledger. Nothing of the present one is in the ledger yet.
2. seed. The ledger's balances are added to live money, the ids of its openings to what was given,
   and the mark that this was done is set: one transaction of live state. Added, and not set, so
   that what calls have changed since live state was made stays; it all still waits in the outbox.
   From here on live money is the ledger's balance and what of it waits in the outbox.
3. store. A batch of the outbox becomes CDRs, charges and rows: one transaction of the ledger.
   Killed behind it, the batch is stored again, and every id in it is found to be there. Then
   whoever wants to hear of CDRs that are durable is told, of each at least once.
4. delete. The batch leaves the outbox. Live money has counted it since it came into the outbox.

An account is opened (`open_accounts`) with the balance that routes.cfg gives it, in live state and
through the outbox, under an id that there is only once for each account. Live state knows of that
opening from step 2, where the ledger has it, or from the transaction that made it: a start, a
reload and every worker may ask for it again. Before step 2 it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from router.store.boot import live_mark
from router.store.errors import StoreError
from router.store.funds import Funds, opening_id
from router.store.ledger import LmdbLedger, is_cdr
from router.store.ledger_check import right_balances
from router.store.live import LmdbLive

BATCH_ENTRIES = 2_000


class Draining:
    """One ledger and the live state it serves; the steps above."""

    def __init__(
        self, ledger: LmdbLedger, live: LmdbLive,
        tell: Callable[[list[bytes], int], None] | None = None,
    ) -> None:
        """`tell` gets the stored CDRs of a batch, encoded, and now_ms."""
        self._tell = tell
        self._ledger = ledger
        self._live = live
        self._bound = False

    def bind(self, now_ms: int) -> int:
        """Steps 1 and 2; how many calls of earlier live state were closed. Twice changes nothing.

        It comes before anything else.
        """
        if self._bound:
            return 0
        closed = self._ledger.bind_live(live_mark(self._live.path), now_ms)
        if not self._live.is_seeded():
            openings = self._ledger.funds_ids(opening_id(""))
            self._live.seed(self._ledger.balances(), openings, now_ms)
        self._bound = True
        return closed

    def correct(self) -> list[str]:
        """Make live balances what ledger and outbox say; what was wrong, a sentence each.

        Nothing should be: it is looked at before workers start, as lines in use are recounted.
        """
        assert self._bound
        return self._live.correct_balances(lambda outbox: right_balances(self._ledger, outbox))

    def move(self, now_ms: int) -> int:
        """Steps 3 and 4 for the oldest entries; how many there were."""
        assert self._bound
        entries = self._live.outbox(BATCH_ENTRIES)
        if entries:
            self._ledger.store(entries, now_ms)
            if self._tell is not None:
                self._tell([value for key, value in entries if is_cdr(key)], now_ms)
            self._live.outbox_delete([key for key, _ in entries])
        return len(entries)


def open_accounts(live: LmdbLive, openings: Sequence[Funds], now_ms: int) -> None:
    """Give accounts their opening balances, each if it never had one.

    StoreError when live state was not seeded: then nobody knows whether it had.
    """
    if not openings:
        return
    if not live.is_seeded():
        raise StoreError(
            f"{live.path} was made while the router ran, without the accounts' balances: "
            "start Trunkline again"
        )
    new = live.not_given(openings)
    if new:
        live.commit(new, now_ms)
