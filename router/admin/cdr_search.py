"""Where CDRs are, and what people write to find them.

Reads the ledger and what still waits for it in the outbox, so a call is there the moment it ends;
works while the router runs and after it has stopped, and changes nothing.
"""

from __future__ import annotations

import difflib
import heapq
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from router.admin.wrong_value import NotThere, WrongValue
from router.core.end_reasons import EndReason
from router.store.boot import LEDGER_DIR, LIVE_DIR, live_is_current
from router.store.errors import StoreError
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.query import CdrQuery
from router.store.records import Cdr

UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
ID_DIGITS: Final = frozenset("0123456789abcdef")


def parse_instant(option: str, text: str, now: datetime) -> int:
    """Epoch ms of a time as people type it, 0 for ""; WrongValue otherwise."""
    word = text.strip().lower()
    if not word:
        return 0
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if word == "now":
        return _epoch_ms(now)
    if word in ("today", "yesterday"):
        return _epoch_ms((midnight - timedelta(days=word == "yesterday")).astimezone())
    try:
        if word[-1] in UNITS_S and word[:-1].isascii() and word[:-1].isdigit():
            return max(_epoch_ms(now) - int(word[:-1]) * UNITS_S[word[-1]] * 1000, 1)
        # Without an offset it is this machine's time, as in the list.
        return max(_epoch_ms(datetime.fromisoformat(text.strip()).astimezone()), 1)
    except (ValueError, OverflowError):
        raise WrongValue(
            f'{option} "{text}" is no time: give 2026-05-01, 2026-05-01T12:30, a span back from '
            "now (90s, 10m, 2h, 3d, 1w), today or yesterday"
        ) from None


def parse_limit(text: str) -> int:
    """A number of CDRs, 0 for all; WrongValue otherwise."""
    if not (text.isascii() and text.isdigit()):
        raise WrongValue(f'--limit "{text}" is no number of CDRs: give 1 or more, or 0 for all')
    return int(text)


def parse_reason(text: str) -> str:
    """The end reason meant, in any case, in English or Chinese; WrongValue when there is none."""
    word, bracket, code = text.strip().partition("(")
    if not word:
        return ""
    known = {reason.name.lower(): reason.name for reason in EndReason}
    known |= {reason.chinese.lower(): reason.name for reason in EndReason}
    name = known.get(word.lower())
    if name is None:
        near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
        parts = [name for key, name in known.items() if word.lower() in key]
        guess = parts[0] if parts else known[near[0]] if near else ""
        hint = f"did you mean {guess}?" if guess else "they are:"
        names = "" if guess else " " + ", ".join(reason.name for reason in EndReason)
        raise WrongValue(f'--reason "{text}" is no end reason: {hint}{names}')
    return name + bracket + code


def _epoch_ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)


def read_cdrs(state: Path, query: CdrQuery) -> Iterator[Cdr]:
    """The matching CDRs of ledger and outbox, newest first, each once; StoreError at once."""
    # The outbox first: what moves on after that is found in the ledger, and counts once.
    waiting = _waiting(state, query)
    ledger = open_ledger(state)
    return _merged(ledger, waiting, query)


def _merged(ledger: LmdbLedger, waiting: list[Cdr], query: CdrQuery) -> Iterator[Cdr]:
    try:
        both = heapq.merge(waiting, ledger.cdrs(query), key=lambda cdr: cdr.id, reverse=True)
        once = (next(same) for _, same in itertools.groupby(both, key=lambda cdr: cdr.id))
        yield from itertools.islice(once, query.limit or None)
    finally:
        ledger.close()


def find_cdr(state: Path, id: str) -> Cdr:
    """The CDR with this id or Call-ID, or the only one whose id ends so.

    StoreError, or WrongValue when there is none. Of calls with one Call-ID it is the newest.
    """
    word = id.strip()
    if not word:
        raise WrongValue("give the id of a CDR, or the end of it as trunkline cdr lists it")
    waiting = {cdr.id: cdr for cdr in _waiting(state, CdrQuery())}
    ledger = open_ledger(state)
    try:
        lower = word.lower()
        found = waiting.get(lower) or ledger.cdr(lower)
        if found is None:
            query = CdrQuery(call_id=word, limit=1)
            found = max(filter(query.matches, waiting.values()), key=_id_of, default=None)
            found = found or next(ledger.cdrs(query), None)
        if found is None and ID_DIGITS.issuperset(lower):
            found = _ending(lower, id, waiting, ledger)
        if found is None:
            raise NotThere(
                f'no CDR in state folder "{state}" has the id or Call-ID {id}, or an id ending so; '
                "a call in progress has none yet, trunkline calls list shows those"
            )
        return found
    finally:
        ledger.close()


def last_cdr(state: Path) -> Cdr:
    """The CDR of the call that arrived last; StoreError, or WrongValue when there is none."""
    for cdr in read_cdrs(state, CdrQuery(limit=1)):
        return cdr
    raise WrongValue(f'there is no CDR in state folder "{state}" yet')


def last_of_number(state: Path, number: str, since: str) -> Cdr:
    """The CDR of the last call from or to a number; StoreError, or WrongValue when there is none.

    `since` is a time as people type it.
    """
    start_ms = parse_instant("--since", since, datetime.now().astimezone())
    for cdr in read_cdrs(state, CdrQuery(since_ms=start_ms, number=number, limit=1)):
        return cdr
    raise WrongValue(
        f"no call from or to {number} has ended since {since}: look further back with --since; "
        "trunkline calls list shows those in progress"
    )


def _id_of(cdr: Cdr) -> str:
    return cdr.id


def _ending(tail: str, given: str, waiting: dict[str, Cdr], ledger: LmdbLedger) -> Cdr | None:
    ids = {key for key in waiting if key.endswith(tail)} | set(ledger.ids_ending(tail))
    if len(ids) > 1:
        raise WrongValue(f"several ids end in {given}: give more of it, such as {max(ids)}")
    return next((waiting.get(match) or ledger.cdr(match) for match in ids), None)


def open_ledger(state: Path) -> LmdbLedger:
    """The ledger of a state folder, for reading; StoreError, one line, when there is none."""
    if not state.is_dir():
        raise StoreError(f'there is no state folder "{state}": name the router\'s with --state')
    if not _is_there(state / LEDGER_DIR / "data.mdb"):
        raise StoreError(
            f'no router has run with state folder "{state}" yet: start one with trunkline run, '
            "or name its folder with --state"
        )
    return LmdbLedger(state / LEDGER_DIR, readonly=True)


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError as error:
        raise StoreError(
            f"{file} cannot be looked at ({error.strerror}): run as the user that runs the router"
        ) from error


def _waiting(state: Path, query: CdrQuery) -> list[Cdr]:
    if not live_is_current(state / LIVE_DIR):
        return []
    live = LmdbLive(state / LIVE_DIR, readonly=True)
    try:
        return live.waiting_cdrs(query)
    finally:
        live.close()
