"""The locals of a route: declared by `let` and `for`, known until the end of their block."""

from __future__ import annotations

from dataclasses import dataclass

from dsl import ast
from dsl.types import Type


@dataclass(slots=True)
class Local:
    """A local; `loop` is the variable of a `for`."""

    name: str
    type: Type
    span: ast.Span
    loop: bool = False
    used: bool = False


class Scope:
    """The locals that are known at the place the checker has reached."""

    def __init__(self) -> None:
        self._blocks: list[dict[str, Local]] = [{}]
        self.declared: list[Local] = []

    def enter(self) -> None:
        """A block begins."""
        self._blocks.append({})

    def leave(self) -> None:
        """The innermost block ends, and its locals with it."""
        self._blocks.pop()

    def declare(self, local: Local) -> None:
        """Make a local known in the innermost block."""
        self._blocks[-1][local.name] = local
        self.declared.append(local)

    def find(self, name: str) -> Local | None:
        """The local of this name, if one is known here."""
        for block in reversed(self._blocks):
            if name in block:
                return block[name]
        return None

    def names(self) -> list[str]:
        """The names that are known here."""
        return [name for block in self._blocks for name in block]
