"""STATE/objects.cfg: the blocks that commands have added, as text of routes.cfg.

The file is written whole, in one layout, and replaced at once; what it said before is in the
audit. People may read it, and a reload takes what they write there as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsl import ast
from dsl.parse import parse_text
from router.runtime.routes_file import ALONE

HEADER = (
    "# What trunkline gateways, accounts, trunks and phones have added. Better than by hand it is\n"
    "# changed by their set and remove: they check first, and every change is in the audit.\n"
)
INNER = ("trunk", "phone")
# One value in quotes, or one of the environment, and nothing behind it.
_AS_WRITTEN = re.compile(r'"(?:[^"\\\n]|\\[nt"\\])*"|env\("[A-Za-z0-9_]+"\)')
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/+*#%")

Key = tuple[str, str]
"""kind and name; a trunk's or phone's name is ACCOUNT/NAME"""


class AddedBlocks:
    """The blocks of the file: for each its settings, values as they are written.

    ValueError when the text is none that can be kept in this layout.
    """

    def __init__(self, text: str, path: str, block_kinds: frozenset[str]) -> None:
        self.blocks: dict[Key, dict[str, str]] = {}
        with ALONE:
            parsed = parse_text(text, path, block_kinds)
        if parsed.findings:
            raise ValueError(f"{path} has syntax errors, see trunkline check")
        for item in parsed.items:
            if not isinstance(item, ast.BlockNode):
                raise ValueError(f"{path}:{item.span.line}: only blocks belong here")
            settings = _settings_of(item)
            inner = [one for one in item.members if isinstance(one, ast.BlockNode)]
            if settings or not inner:
                self.blocks[item.kind, item.name] = settings
            for one in inner:
                self.blocks[one.kind, f"{item.name}/{one.name}"] = _settings_of(one)

    def render(self) -> str:
        """The file's text."""
        parts = [HEADER]
        inside: dict[str, list[str]] = {}
        for (kind, name), settings in self.blocks.items():
            if kind in INNER:
                account, _, own = name.partition("/")
                inside.setdefault(account, []).append(_render(kind, own, settings, "    "))
        for (kind, name), settings in self.blocks.items():
            if kind not in INNER:
                children = inside.pop(name, []) if kind == "account" else []
                parts.append(_render(kind, name, settings, "", children))
        parts += [_render("account", name, {}, "", blocks) for name, blocks in inside.items()]
        return "\n".join(parts)


def written_value(text: str, quoted: bool) -> str:
    """A value as it stands in the file; `quoted` where the setting takes text in quotes."""
    if _AS_WRITTEN.fullmatch(text) or (not quoted and _is_plain(text)):
        return text
    return _quote(text)


def write_added(path: Path, text: str) -> None:
    """Replace the file, durably and at once; OSError, and the old one is there."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _settings_of(block: ast.BlockNode) -> dict[str, str]:
    return {
        one.name: ", ".join(_written(value) for value in one.values)
        for one in block.members
        if isinstance(one, ast.Setting)
    }


def _written(value: ast.Value) -> str:
    if value.form == "env":
        return f'env("{value.text}")'
    return _quote(value.text) if value.form == "string" else value.text


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'


def _is_plain(text: str) -> bool:
    """Whether it can stand without quotes: words, numbers, lists, addresses with parameters."""
    return bool(text) and all(char in _BARE or char in ", [];=" for char in text)


def _render(
    kind: str,
    name: str,
    settings: Mapping[str, str],
    indent: str,
    children: Sequence[str] = (),
) -> str:
    width = max(map(len, settings), default=0)
    lines = [f"{indent}    {key.ljust(width)} = {value}\n" for key, value in settings.items()]
    return f"{indent}{kind} {name} {{\n{''.join(lines)}{''.join(children)}{indent}}}\n"
