"""What a configuration becomes when it is loaded: settings, blocks and compiled routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dsl.trials import Trial
    from dsl.types import Type

Handler = Callable[[Any], Any]
"""A compiled route: takes the context, is True when a terminal action has decided.

One that reaches an async function of a Python file is a coroutine function with the same result.
"""


class Position(NamedTuple):
    """A place in a configuration file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Address(NamedTuple):
    """Where to listen or to send; the transport is "udp", "tcp" or "tls".

    The host is an IP address (IPv6 without its brackets) or a name.
    """

    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}:{host}:{self.port}"


@dataclass(slots=True)
class Block:
    """One `gateway`, `account`, `trunk` … with the settings that were given in it, and no others.

    `places` tells where each setting stands. Values are str, int, bool, Decimal, Address,
    ipaddress objects, date or lists of these; a duration is an int in milliseconds; codes are a
    list of (lowest, highest) pairs, lengths are one such pair; rewrite rules stay the str that was
    written.
    """

    kind: str
    name: str
    settings: dict[str, Any]
    children: list[Block]
    position: Position
    places: dict[str, Position] = field(default_factory=dict)


@dataclass(slots=True)
class Program:
    """A checked and compiled configuration.

    `routes` holds the handlers by (kind, name); the name of request_route, dialog_route and
    end_route is "". `settings` are the global ones that were given. `hash` changes with the text
    of any file that was read, `files` are those, `source` is the text of the first. `tests` are the
    test blocks. `namespace` is where the handlers live: they and it refer to each other, so who is
    done with a program for good empties it, and need not wait for the garbage collector.
    `variables` are the types of the `$call` variables, `imports` the texts of the Python files by
    the names they have in routes, `tables` what the data files of blocks hold, by the block's name,
    `data_files` digests of those files by their paths.
    `periods` are the timers by name, every how many ms their event_route runs.
    """

    hash: str
    settings: dict[str, Any]
    blocks: list[Block]
    routes: dict[tuple[str, str], Handler]
    source: str
    path: str
    files: tuple[str, ...] = ()
    places: Mapping[str, Position] = field(default_factory=dict)
    tests: tuple[Trial, ...] = ()
    namespace: dict[str, Any] = field(default_factory=dict, repr=False)
    variables: Mapping[str, Type] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    data_files: Mapping[str, str] = field(default_factory=dict)
    periods: Mapping[str, int] = field(default_factory=dict)

    def blocks_of(self, kind: str) -> list[Block]:
        """The top-level blocks of a kind, in the order in which they were written."""
        return [block for block in self.blocks if block.kind == kind]
