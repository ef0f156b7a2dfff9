"""Which configuration a file belongs to: its own, or the one that includes it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from glob import glob
from os.path import dirname, isdir, join, normpath

_INCLUDE = re.compile(r'^[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)
_MAGIC = frozenset("*?[")
MAX_LEVELS = 4
"""How many folders above a file are looked through for one that includes it."""
MAX_FILES = 200
MAX_DEPTH = 8

Read = Callable[[str], str | None]


def included_files(path: str, text: str) -> list[str]:
    """The files that a text includes, as `check` finds them, whatever else is wrong with it."""
    found = []
    for pattern in _INCLUDE.findall(text):
        place = join(dirname(path), pattern)
        found += sorted(glob(place)) if _MAGIC & set(pattern) else [place]
    return [normpath(one) for one in found]


def find_root(path: str, read: Read, folders: list[str]) -> str:
    """The file that includes this one, directly or through others; itself if there is none.

    `read` gives the text of a file; looked through are the folder of the file and those above it,
    up to one of the open `folders`.
    """
    root = path
    seen = {path}
    # One that includes it may be included itself.
    for _ in range(MAX_DEPTH):
        outer = next(
            (
                one
                for one in _candidates(root, folders)
                if one not in seen and _includes(one, root, read, MAX_DEPTH)
            ),
            None,
        )
        if outer is None:
            return root
        seen.add(outer)
        root = outer
    return root


def _candidates(path: str, folders: list[str]) -> Iterator[str]:
    """Configurations in the folder of the file, and in those above it; routes.cfg first."""
    folder = dirname(path)
    stops = {normpath(one) for one in folders}
    for _ in range(MAX_LEVELS):
        if not isdir(folder):
            return
        with os.scandir(folder) as entries:
            names = sorted(one.name for one in entries if one.name.endswith(".cfg"))
        names.sort(key=lambda name: name != "routes.cfg")
        yield from (join(folder, name) for name in names[:MAX_FILES])
        if folder in stops or dirname(folder) == folder:
            return
        folder = dirname(folder)


def _includes(path: str, wanted: str, read: Read, depth: int) -> bool:
    text = read(path) if depth else None
    if text is None or "include" not in text:
        return False
    files = included_files(path, text)
    return wanted in files or any(_includes(one, wanted, read, depth - 1) for one in files)
