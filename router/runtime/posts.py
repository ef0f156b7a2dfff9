"""What the supervisor keeps filled: posts, the process on each, and the times it goes by."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from router.runtime.child import Life


class Limits(NamedTuple):
    """Times in milliseconds after which the supervisor acts; the defaults are for production."""

    shutdown_ms: int = 30_000
    """How long running calls may go on after the first signal."""
    at_once_ms: int = 5_000
    """How long a worker may take to end its calls after the second."""
    stage_ms: int = 30_000
    """How long a process of a later stage may take to end."""
    silence_ms: int = 10_000
    boot_ms: int = 60_000
    healthy_ms: int = 60_000
    first_delay_ms: int = 100
    longest_delay_ms: int = 10_000
    boots: int = 3
    """Boots that may fail in a row before the supervisor gives up."""


class Post(NamedTuple):
    """A place that one process fills at a time."""

    name: str
    title: str
    """Name of the process in the kernel, at most 15 bytes."""
    run: Callable[[Life], int]
    stage: int = 0
    """Stop order: 0 the workers, then 1, 2 …"""
    beats: bool = True
    """Whether the process promises a heartbeat; if not, it counts as booted at once."""
    rouses: bool = False
    """Whether the process hears when it is roused because it stands still."""
    reloads: bool = False
    """Whether the process follows reloads through `Life.channel`."""


class Seat:
    """A post and the process on it."""

    __slots__ = (
        "born_ms",
        "cell",
        "delay_ms",
        "due_ms",
        "failed_boots",
        "lost",
        "pid",
        "post",
        "told",
    )

    def __init__(self, post: Post, cell: int) -> None:
        self.post = post
        self.cell = cell
        self.pid = 0
        self.born_ms = 0
        self.due_ms = 0
        self.delay_ms = 0
        self.failed_boots = 0
        self.lost = False
        """Given up: nobody could be made to boot here."""
        self.told = 0
        """The highest order sent to this process."""
