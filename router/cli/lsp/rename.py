"""Another name for a route, a block, a local or a variable of the call, wherever it is named."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsl.check.statements import KEYWORDS
from dsl.surface import Surface
from router.cli.lsp.session import Analysis
from router.cli.lsp.symbols import BLOCK, IMPORT, LOCAL, ROUTE, VARIABLE, Occurrence, Symbol

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLOCK_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


class RenameError(Exception):
    """Why something cannot have the name, in a sentence."""


def renameable(analysis: Analysis, path: str, line: int, column: int) -> Occurrence:
    """The name at a place; raises RenameError if there is none that can be another one."""
    found = analysis.symbols.at(path, line, column)
    if found is None or found.symbol not in analysis.symbols.declared:
        raise RenameError("only what is declared in the configuration has another name")
    if found.symbol.sort == IMPORT:
        raise RenameError("the name of an import stands in calls that are not looked into")
    if found.symbol.sort == ROUTE and found.symbol.kind == "event_route":
        raise RenameError("an event_route is called after its event")
    if analysis.is_broken:
        raise RenameError(
            "text with syntax errors could not be read and may name it too: correct them first"
        )
    return found


def renamed(
    analyses: Sequence[Analysis], symbol: Symbol, name: str, surface: Surface
) -> list[Occurrence]:
    """All places of a symbol in these configurations, each once.

    Raises RenameError if the name is none, or is taken.
    """
    pattern = _BLOCK_NAME if symbol.sort == BLOCK else _NAME
    if pattern.fullmatch(name) is None or (symbol.sort != VARIABLE and name in KEYWORDS):
        raise RenameError(f"`{name}` cannot be a name here")
    found: dict[Occurrence, None] = {}
    for analysis in analyses:
        if analysis.is_broken:
            raise RenameError(f"{analysis.root} has syntax errors and may name it too")
        if _is_taken(analysis, symbol, name, surface):
            raise RenameError(f"there is a `{name}` already")
        found |= dict.fromkeys(analysis.symbols.occurrences.get(symbol, ()))
    return list(found)


def _is_taken(analysis: Analysis, symbol: Symbol, name: str, surface: Surface) -> bool:
    declared = analysis.symbols.declared
    if symbol.sort != LOCAL:
        if symbol._replace(name=name) in declared:
            return True
        schema = surface.blocks.get(symbol.kind)
        # A local of that name would hide the block.
        hides = symbol.sort == BLOCK and schema is not None and schema.expression is not None
        return hides and any(one.sort == LOCAL and one.name == name for one in declared)
    places = analysis.symbols.occurrences[symbol]
    visible = (
        one for place in places for one in analysis.symbols.locals_at(place.file, place.line)
    )
    blocks = (one for one in declared if one.sort == BLOCK)
    return any(one.name == name for one in (*visible, *blocks))
