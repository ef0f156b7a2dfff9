"""What is told about a reload: by the child that checks, and to whoever asked for it."""

from __future__ import annotations

import msgspec

ADDED, REMOVED, CHANGED = "added", "removed", "changed"

APPLIED, SOUND, REFUSED, FAILED = "applied", "sound", "refused", "failed"
"""How a reload ends. SOUND: it was only checked; REFUSED: the configuration is at fault."""


class Change(msgspec.Struct, frozen=True):
    """One thing that was added, removed or changed; `details` say what of it."""

    what: str
    name: str
    """As in routes.cfg: `gateway cn_mobile`, `failure_route[NEXT]`, `ringing_timeout`."""
    details: tuple[str, ...] = ()


class Checked(msgspec.Struct):
    """What the child reports; `sentence` is "" when the configuration may be loaded."""

    sentence: str = ""
    config_hash: str = ""
    previous_hash: str = ""
    findings: list[str] = []
    lines: list[str] = []
    """The findings again, one line each, for the log."""
    failures: list[str] = []
    """Test blocks that failed, each with its story."""
    tests: int = 0
    changes: list[Change] = []
    restart: list[str] = []
    """Changed settings that wait for a restart."""
    gateways: list[tuple[str, int]] = []
    accounts: list[tuple[str, int]] = []
    shutdown_ms: int = 0


class Answer(msgspec.Struct):
    """How it went; `sentence` says why not, in one line. The other fields are as in Checked."""

    result: str
    sentence: str = ""
    routes: str = ""
    config_hash: str = ""
    """Of the configuration that decides from now on, or would."""
    previous_hash: str = ""
    changes: list[Change] = []
    restart: list[str] = []
    findings: list[str] = []
    failures: list[str] = []
    tests: int = 0
    workers: int = 0
    took_ms: int = 0


def read_report(raw: bytes) -> Checked:
    """What a child has reported; msgspec.DecodeError when it did not get so far."""
    return msgspec.msgpack.decode(raw, type=Checked)
