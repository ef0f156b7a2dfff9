"""What differs between two programs, in the words of routes.cfg."""

from __future__ import annotations

import dis
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any, NamedTuple

from dsl.constants import is_constant_name
from dsl.program import Block, Handler, Program
from dsl.running import NetworkSet
from router.runtime.reload_report import ADDED, CHANGED, REMOVED, Change


class Portrait(NamedTuple):
    """What can be compared of a program, as plain data: to be kept without the program."""

    hash: str
    settings: dict[str, Any]
    blocks: dict[tuple[str, str], Block]
    routes: dict[tuple[str, str], object]
    """What each route does, whatever lines it stands on."""
    imports: dict[str, str]
    data_files: dict[str, str]


def portrait_of(program: Program) -> Portrait:
    """The portrait of a program whose code has not been let go."""
    routes = {key: _shape_of(handler, program) for key, handler in program.routes.items()}
    return Portrait(
        program.hash,
        program.settings,
        _by_key(program.blocks),
        routes,
        dict(program.imports),
        dict(program.data_files),
    )


def changes_between(old: Portrait, new: Portrait) -> list[Change]:
    """All differences that change what calls meet: settings, blocks, routes, other files.

    Comments, layout and order do not count. Values are not shown: they may be secrets.
    """
    return [
        *_compare(old.settings, new.settings, str, _nothing),
        *_compare(old.blocks, new.blocks, " ".join, _block_details),
        *_compare(old.routes, new.routes, _route_name, _nothing),
        *_compare(old.imports, new.imports, "python {}".format, _nothing),
        *_compare(old.data_files, new.data_files, str, _nothing),
    ]


def _compare(
    old: Mapping[Any, Any],
    new: Mapping[Any, Any],
    name: Callable[[Any], str],
    details: Callable[[Any, Any], tuple[str, ...]],
) -> list[Change]:
    found = [Change(ADDED, name(key)) for key in new if key not in old]
    found += [Change(REMOVED, name(key)) for key in old if key not in new]
    found += [
        Change(CHANGED, name(key), details(old[key], new[key]))
        for key in new
        if key in old and not _alike(old[key], new[key])
    ]
    return found


def _by_key(blocks: Sequence[Block]) -> dict[tuple[str, str], Block]:
    return {(block.kind, block.name): block for block in blocks}


def _alike(old: Any, new: Any) -> bool:
    if isinstance(old, Block):
        # Where it stands in the file is no difference.
        return old.settings == new.settings and not _block_details(old, new)
    return bool(old == new)


def _block_details(old: Block, new: Block) -> tuple[str, ...]:
    details = [change.name for change in _compare(old.settings, new.settings, str, _nothing)]
    for change in _compare(_by_key(old.children), _by_key(new.children), " ".join, _block_details):
        more = ", ".join(change.details) if change.what == CHANGED else change.what
        details.append(f"{change.name}: {more}")
    return tuple(details)


def _nothing(_: Any, __: Any) -> tuple[str, ...]:
    return ()


def _route_name(key: tuple[str, str]) -> str:
    kind, name = key
    return f"{kind}[{name}]" if name else kind


def _shape_of(handler: Handler, program: Program) -> object:
    code = getattr(handler, "__code__", None)
    return _shape(code, program.namespace) if isinstance(code, CodeType) else repr(handler)


def _shape(code: CodeType, namespace: Mapping[str, Any]) -> object:
    """What the code does, whatever lines it stands in."""
    steps: list[tuple[str, object]] = []
    says_where = False
    for one in dis.get_instructions(code):
        value = one.argval
        if one.opcode in dis.hasconst and one.arg is not None:
            value = code.co_consts[one.arg]
            known: object = None if says_where else (type(value).__name__, value)
            steps.append(
                ("", _shape(value, namespace) if isinstance(value, CodeType) else known)
            )
        elif isinstance(value, str) and is_constant_name(value) and value in namespace:
            # They are numbered through the file: a new one in another route must not count here.
            steps.append((one.opname, _meaning(namespace[value])))
        else:
            steps.append((one.opname, value))
        says_where = one.opname in ("LOAD_METHOD", "LOAD_ATTR") and value == "at"
    return tuple(steps), code.co_varnames


def _meaning(value: Any) -> object:
    return value.networks if isinstance(value, NetworkSet) else value
