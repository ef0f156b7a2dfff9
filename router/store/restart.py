"""The CDRs of calls that were open when the machine went down, made from their openings."""

from __future__ import annotations

from router.store.records import Cdr

RESTART_REASON = "SystemRestart"
RESTART_Q850 = 41  # temporary failure


def charge_nothing(cdr: Cdr) -> None:
    """How calls are billed that a power cut ended, where nobody says better: not at all."""
    cdr.charges, cdr.cost_terms = [], []


def closed_by_restart(cdr: Cdr, ended_ms: int) -> Cdr:
    """The CDR of a call that was open when the machine went down, ended at `ended_ms`.

    Never before its answer: a call answered after the last heartbeat lasted 0 ms.
    """
    ended = max(ended_ms, cdr.answered)
    cdr.ended = ended
    cdr.duration_ms = ended - cdr.answered if cdr.answered else 0
    cdr.end_reason = RESTART_REASON
    cdr.end_side = "server"
    cdr.q850 = RESTART_Q850
    if 0 < cdr.attempt <= len(cdr.attempts):
        attempt = cdr.attempts[cdr.attempt - 1]
        attempt.ended = attempt.ended or ended
        attempt.reason = attempt.reason or RESTART_REASON
    return cdr
