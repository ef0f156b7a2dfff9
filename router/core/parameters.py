"""The numbers the core works by: protocol timers and the phases of an unanswered call."""

from __future__ import annotations

import msgspec


class TimerDefaults(msgspec.Struct, frozen=True):
    """RFC 3261 §17.1.1.2's timers, in milliseconds."""

    t1_ms: int = 500
    t2_ms: int = 4_000
    t4_ms: int = 5_000


class Login(msgspec.Struct, frozen=True):
    """What a gateway knows us by: digest credentials."""

    username: str
    password: str


class CallTimers(msgspec.Struct, frozen=True):
    """How long each phase of a call may last, in milliseconds (4-calls, section 4)."""

    invite_ms: int = 10_000
    trying_ms: int = 20_000
    progress_ms: int = 20_000
    media_progress_ms: int = 120_000
    ringing_ms: int = 120_000
    max_duration_ms: int = 7_200_000
    session_ms: int = 600_000
    """the session timer asked of the gateway (RFC 4028), 0: none"""
