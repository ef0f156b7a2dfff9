"""One log line for each call, when it has ended and its CDR is durable.

The ledger process writes it, which costs the workers nothing: between storing CDRs and taking them
out of the outbox. So each call that the ledger has got has its line at least once; it has it twice
only if this process was killed between the two.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from router.runtime.logs import LEFT_OUT, MAX_TEXT, Sink, structlog_emitter
from router.store.cdr_lines import decimal, plain
from router.store.cdr_search import readable
from router.store.records import Cdr

ALL, FAILED, NONE = "all", "failed", "none"
LINES_PER_SECOND: Final = 1_000
BURST_LINES: Final = 5_000
EVENT: Final = "call ended"


class CallLog:
    """Writes the lines of calls into `sink`; `which` is all, failed or none."""

    def __init__(self, sink: Sink, which: str) -> None:
        self._sink = sink
        self._which = which if sink.takes("info") else NONE
        self._line = json_line if sink.is_json else text_line
        self._emit = structlog_emitter(process="ledger")
        self._credit = BURST_LINES
        self._granted_ms = 0
        self._left_out = 0

    @property
    def is_on(self) -> bool:
        """Whether any call may have a line."""
        return self._which != NONE

    def tell(self, cdrs: Iterable[bytes], now_ms: int) -> None:
        """Lines for these stored CDRs, as many as the rate allows."""
        if not self.is_on:
            return
        self._grant(now_ms)
        lines: list[str] = []
        for value in cdrs:
            cdr = readable(value)
            if not cdr.id or (self._which == FAILED and cdr.answered):
                continue
            if len(lines) < self._credit:
                lines.append(self._line(cdr, now_ms))
            else:
                self._left_out += 1
        if lines:
            self._credit -= len(lines)
            self._sink.write("".join(lines))

    def _grant(self, now_ms: int) -> None:
        seconds, self._granted_ms = (now_ms - self._granted_ms) / 1_000, now_ms
        granted = int(max(seconds, 0) * LINES_PER_SECOND)
        self._credit = min(BURST_LINES, self._credit + granted)
        if self._left_out and self._credit:
            fields = {"lines": self._left_out, "events": {EVENT: self._left_out}}
            self._left_out = 0
            self._emit("warning", LEFT_OUT, fields)


def json_line(cdr: Cdr, now_ms: int) -> str:
    """The line as JSON: the fields of the CDR that tell one call from another, under its names."""
    return json.dumps(
        {
            "timestamp": _utc(now_ms),
            "level": "info",
            "event": EVENT,
            "process": "ledger",
            "id": cdr.id,
            "call_id": cdr.call_id[:MAX_TEXT],
            "account": cdr.account,
            "trunk": cdr.trunk,
            "phone": cdr.phone,
            "source": cdr.source,
            "caller_in": cdr.caller_in[:MAX_TEXT],
            "callee_in": cdr.callee_in[:MAX_TEXT],
            "gateway": cdr.gateway,
            "attempts": len(cdr.attempts),
            "started": _utc(cdr.started),
            "pdd_ms": cdr.pdd_ms,
            "duration_ms": cdr.duration_ms,
            "sip_code": cdr.sip_code,
            "end_reason": cdr.end_reason,
            "end_side": cdr.end_side,
            "charge": decimal(cdr.charge),
            "cost": decimal(cdr.cost),
        }
    ) + "\n"


def text_line(cdr: Cdr, now_ms: int) -> str:
    """The line for people; its id is what `trunkline explain` takes."""
    who = "/".join(filter(None, (cdr.account, cdr.trunk or cdr.phone))) or "nobody"
    ways = f" by {cdr.gateway}" if cdr.gateway else ""
    tries = f", {len(cdr.attempts)} attempts" if len(cdr.attempts) > 1 else ""
    took = (
        f"talked {cdr.duration_ms / 1000:.1f} s" if cdr.answered
        else f"after {max(cdr.ended - cdr.started, 0) / 1000:.1f} s"
    )
    called = f"{cdr.caller_in[:MAX_TEXT] or '-'} > {cdr.callee_in[:MAX_TEXT] or '-'}"
    at = datetime.fromtimestamp(now_ms / 1000).strftime("%H:%M:%S")
    return plain(
        f"{at} [info     ] {EVENT}   {cdr.end_reason} {cdr.sip_code}, {took}{tries}: "
        f"{who}, {called}{ways}  id={cdr.id}"
    ) + "\n"


def _utc(ms: int) -> str:
    seconds, ms = divmod(ms, 1_000)
    return f"{_second(seconds)}.{ms:03}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    """Many calls end in one second; the text takes longer than the rest of their lines."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
