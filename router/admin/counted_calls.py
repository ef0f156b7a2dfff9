"""What the workers have counted so far of calls and attempts: read from the metrics files.

For views that look every second: only the few families that they need are taken apart.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client.mmap_dict import MmapedDict

from router.runtime.metrics_catalogue import PREFIX
from router.store.quality import UNKNOWN, Quality

_CALLS: Final = f"{PREFIX}calls_total"
_ATTEMPTS: Final = f"{PREFIX}call_attempts_total"
_ANSWERS: Final = f"{PREFIX}call_answers_total"
_WAITED: Final = f"{PREFIX}post_dial_delay_seconds_sum"
_RANG: Final = f"{PREFIX}post_dial_delay_seconds_bucket"
_KEYS: Final = tuple(
    f'["{PREFIX}{family}", '
    for family in ("calls", "call_attempts", "call_answers", "post_dial_delay_seconds")
)
"""How the keys of these families begin: the others are not taken apart."""


class Counted(msgspec.Struct):
    """Counts since the router was started, over all workers; by gateway but for `reasons`."""

    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    """Calls that have ended, by reason."""
    attempts: Counter[str] = msgspec.field(default_factory=Counter)
    answers: Counter[str] = msgspec.field(default_factory=Counter)
    rang: Counter[str] = msgspec.field(default_factory=Counter)
    waited_ms: Counter[str] = msgspec.field(default_factory=Counter)
    """Post-dial delay of those that rang, all together."""

    def since(self, before: Counted, gateway: str) -> Quality:
        """How attempts at a gateway went since then."""
        attempts = self.attempts[gateway] - before.attempts[gateway]
        if attempts <= 0:
            return UNKNOWN
        # An answer may be that of an attempt from before.
        answers = min(attempts, self.answers[gateway] - before.answers[gateway])
        rang = self.rang[gateway] - before.rang[gateway]
        waited = self.waited_ms[gateway] - before.waited_ms[gateway]
        return Quality(attempts, max(0, answers), waited // rang if rang > 0 else -1)


NOTHING: Final = Counted()


def counted_calls(directory: Path) -> Counted | None:
    """The counts in the metrics files of a state folder; None where nobody counts."""
    found = Counted()
    by_name = {
        _ATTEMPTS: found.attempts, _ANSWERS: found.answers, _RANG: found.rang,
    }
    files = [*directory.glob("counter_*.db"), *directory.glob("histogram_*.db")]
    try:
        for file in files:
            if not file.stat().st_size:
                continue
            entries = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
            for key, value, *_ in entries:
                if not key.startswith(_KEYS):
                    continue
                _, name, labels, _ = json.loads(key)
                if name == _CALLS:
                    found.reasons[labels.get("reason", "")] += int(value)
                elif name == _WAITED:
                    found.waited_ms[labels.get("gateway", "")] += round(value * 1_000)
                elif name in by_name:
                    by_name[name][labels.get("gateway", "")] += int(value)
    except (OSError, ValueError):
        return None
    return found if files else None
