"""What `trunkline cdr stats` counts: calls, or attempts at gateways, in groups, and their ratios.

The unit is the call, one for each INVITE that came in and each CDR. Grouped by gateway it is the
attempt, one for each INVITE that went out; a call that reached no gateway is one attempt at `-`.
Retransmissions and other packets are never counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from router.billing.charges import RETAIL
from router.core.decision import number_after
from router.store.records import Attempt, Cdr

MAX_GROUPS: Final = 50_000
"""Peers choose what they dial: groups beyond these are counted together."""
OTHERS: Final = "(others)"
NOBODY: Final = "-"
KEYS: Final = ("reason", "gateway", "prefix", "account", "hour", "trunk")

FORMULAS: Final = {
    "ASR": "answered / attempts (RFC 6076 SER, which leaves out 3xx answers)",
    "NER": "(answered + busy + rang unanswered + declined or absent: 480, 486, 600, 603) / attempts"
    " (ITU-T E.425; RFC 6076 SEER, which does not count ringing)",
    "ACD": "talk time / answered (RFC 6076 SDT)",
    "PDD": "INVITE until it rings, or the answer, mean over those that did (RFC 6076 SRD)",
}
_CALLEES_OWN: Final = frozenset({480, 486, 600, 603})
_CALLEES_REASONS: Final = frozenset(
    {"UserBusy", "CalledNotOnline", *(f"GatewayRejected({code})" for code in _CALLEES_OWN)}
)


class Counts(msgspec.Struct):
    """What was counted in one group; amounts in millionths."""

    attempts: int = 0
    answered: int = 0
    effective: int = 0
    redirected: int = 0
    talk_ms: int = 0
    pdd_ms: int = 0
    rang: int = 0
    charge: int = 0
    cost: int = 0

    def add(self, other: Counts) -> None:
        """Adds the counts of another group."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def asr(self) -> float | None:
        """Answer seizure ratio in percent."""
        return _percent(self.answered, self.attempts)

    @property
    def ner(self) -> float | None:
        """Network effectiveness ratio in percent."""
        return _percent(self.effective, self.attempts)

    @property
    def ser(self) -> float | None:
        """RFC 6076 §4.6 session establishment ratio in percent."""
        return _percent(self.answered, self.attempts - self.redirected)

    @property
    def acd_s(self) -> float | None:
        """Average call duration in seconds."""
        return round(self.talk_ms / self.answered / 1000, 3) if self.answered else None

    @property
    def mean_pdd_ms(self) -> int | None:
        """Mean post-dial delay."""
        return round(self.pdd_ms / self.rang) if self.rang else None


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole > 0 else None


def count_calls(
    cdrs: Iterable[Cdr], by: Sequence[str], digits: int
) -> dict[tuple[str, ...], Counts]:
    """The counts of each group that occurs, keyed by the values of `by`.

    `digits` are as many of a called number as make its prefix.
    """
    groups: dict[tuple[str, ...], Counts] = {}
    per_attempt = "gateway" in by
    keys = [_KEYS[name] for name in by]
    for cdr in cdrs:
        for attempt in _attempts(cdr) if per_attempt else (None,):
            key = tuple(of(cdr, attempt, digits) for of in keys)
            counts = _group(groups, key)
            if attempt is None:
                _count_call(counts, cdr)
            else:
                _count_attempt(counts, cdr, attempt)
            if attempt is None or attempt.answered:
                _count_others(groups, key, by, cdr)
    return groups


def _group(groups: dict[tuple[str, ...], Counts], key: tuple[str, ...]) -> Counts:
    if key not in groups and len(groups) >= MAX_GROUPS:
        key = (OTHERS,) * len(key)
    return groups.setdefault(key, Counts())


def _count_others(
    groups: dict[tuple[str, ...], Counts], key: tuple[str, ...], by: Sequence[str], cdr: Cdr
) -> None:
    """What accounts pay besides the caller's: those whose phones forwarded the call."""
    for charge in cdr.charges:
        if charge.kind == RETAIL and charge.account != cdr.account and charge.amount:
            payer = tuple(
                charge.account if name == "account" else value
                for name, value in zip(by, key, strict=True)
            )
            _group(groups, payer).charge += charge.amount


def _attempts(cdr: Cdr) -> Iterator[Attempt | None]:
    if cdr.attempts:
        yield from cdr.attempts
    else:
        yield None


def _count_call(counts: Counts, cdr: Cdr) -> None:
    counts.attempts += 1
    if cdr.answered:
        counts.answered += 1
        counts.talk_ms += cdr.duration_ms
    if cdr.answered or cdr.ringing or cdr.end_reason in _CALLEES_REASONS:
        counts.effective += 1
    if cdr.end_reason.startswith("GatewayRejected(3"):
        counts.redirected += 1
    if cdr.pdd_ms >= 0:
        counts.rang += 1
        counts.pdd_ms += cdr.pdd_ms
    counts.charge += cdr.charge
    counts.cost += cdr.cost


def _count_attempt(counts: Counts, cdr: Cdr, attempt: Attempt) -> None:
    counts.attempts += 1
    if attempt.answered:
        counts.answered += 1
        counts.talk_ms += cdr.duration_ms
        counts.charge += cdr.charge
        counts.cost += cdr.cost
    if attempt.answered or attempt.ringing or attempt.sip_code in _CALLEES_OWN:
        counts.effective += 1
    if 300 <= attempt.sip_code < 400:
        counts.redirected += 1
    if rang := attempt.ringing or attempt.answered:
        counts.rang += 1
        counts.pdd_ms += rang - attempt.started


def _reason(cdr: Cdr, attempt: Attempt | None, _: int) -> str:
    return (cdr.end_reason if attempt is None else attempt.reason) or NOBODY


def _gateway(cdr: Cdr, attempt: Attempt | None, _: int) -> str:
    return (cdr.gateway if attempt is None else attempt.gateway) or NOBODY


def _prefix(cdr: Cdr, _: Attempt | None, digits: int) -> str:
    return number_after(cdr.decision, "callee", cdr.callee_in)[:digits] or NOBODY


def _account(cdr: Cdr, _: Attempt | None, __: int) -> str:
    return cdr.account or NOBODY


def _trunk(cdr: Cdr, _: Attempt | None, __: int) -> str:
    return f"{cdr.account}/{cdr.trunk}" if cdr.trunk else NOBODY


def _hour(cdr: Cdr, _: Attempt | None, __: int) -> str:
    return time.strftime("%Y-%m-%d %H:00", time.localtime(cdr.started / 1000))


_KEYS: Final[dict[str, Callable[[Cdr, Attempt | None, int], str]]] = {
    "reason": _reason,
    "gateway": _gateway,
    "prefix": _prefix,
    "account": _account,
    "hour": _hour,
    "trunk": _trunk,
}
