"""`trunkline fmt`: configurations in their one layout, written back only where they differ."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, NamedTuple

from cyclopts import Parameter
from rich.console import Console

from dsl.format import LayoutError, format_text
from dsl.sources import MAX_BYTES, SourceError, read_text
from router.cli.findings_text import show_findings
from router.routing.surface import SURFACE
from router.runtime.routes_file import DiskFiles

STDIN = Path("-")


class Layout(NamedTuple):
    """A file's bytes as they are and as they should be."""

    name: str
    before: bytes
    after: bytes


class _Given:
    """One text that is there already, as a file."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def read(self, path: str) -> bytes:
        return self._raw

    def matches(self, pattern: str) -> list[str]:
        return []

    def variable(self, name: str) -> str | None:
        return None


def fmt(
    *files: Annotated[
        Path,
        Parameter(
            help="Configurations; without one routes.cfg. - reads one and writes it to the output.",
            allow_leading_hyphen=True,
        ),
    ],
    check: Annotated[
        bool, Parameter(negative="", help="Write nothing; name the files that would change.")
    ] = False,
    diff: Annotated[
        bool, Parameter(negative="", help="Write nothing; show what would change.")
    ] = False,
) -> int:
    """Bring configurations into their one layout.

    Comments are kept, and the meaning stays the same. A file with syntax errors is left alone and
    the errors are shown; the exit code is then 1, and also if --check or --diff finds a difference.
    """
    files = files or (Path("routes.cfg"),)
    for file in files:
        # Because `-` is a file here, a misspelt option would be one too.
        if file != STDIN and str(file).startswith("-"):
            print(f"unknown option: {file}", file=sys.stderr)
            return 1
    failed = False
    changed = 0
    for file in files:
        layout = _lay_out(file)
        if layout is None:
            failed = True
            continue
        differs = layout.before != layout.after
        changed += differs
        if diff:
            sys.stdout.write(_difference(layout))
        if check and differs:
            print(f"would change {layout.name}")
        if not (check or diff):
            failed |= not (_print(layout) if file == STDIN else _write(file, layout))
    if check or diff:
        print(_summary(changed, len(files), "would change"), file=sys.stderr)
        return 1 if failed or changed else 0
    if len(files) > 1 and not failed:
        print(_summary(changed, len(files), "changed"), file=sys.stderr)
    return 1 if failed else 0


def _lay_out(file: Path) -> Layout | None:
    """The file's layout; None, and the reason is printed, if there is none."""
    name = "<stdin>" if file == STDIN else str(file)
    try:
        if file == STDIN:
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            raw = DiskFiles().read(name)
        text = read_text(name, _Given(raw))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(f"{name}: cannot be read: {reason}", file=sys.stderr)
        return None
    except SourceError as error:
        print(error, file=sys.stderr)
        return None
    try:
        result = format_text(text, name, frozenset(SURFACE.blocks))
    except LayoutError as error:
        print(f"{error}; the file is left alone. This is a fault of Trunkline.", file=sys.stderr)
        return None
    if result.findings:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        show_findings(result.findings, {name: text}, console)
        print(f"{name}: left alone because of its syntax errors", file=sys.stderr)
        return None
    return Layout(name, raw, result.text.encode())


def _print(layout: Layout) -> bool:
    sys.stdout.flush()
    sys.stdout.buffer.write(layout.after)
    sys.stdout.buffer.flush()
    return True


def _write(file: Path, layout: Layout) -> bool:
    """Put the new text in place of the old at once; False, and a reason is printed, if not."""
    if layout.before == layout.after:
        return True
    try:
        # Through a link the file that it names is written, not the link.
        target = file.resolve()
        status = target.stat()
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(descriptor, "wb") as out:
                out.write(layout.after)
                out.flush()
                os.fsync(descriptor)
                with contextlib.suppress(PermissionError):
                    os.fchown(descriptor, status.st_uid, status.st_gid)
                os.fchmod(descriptor, status.st_mode & 0o7777)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(f"{layout.name}: cannot be written: {reason}", file=sys.stderr)
        return False
    print(f"changed {layout.name}")
    return True


def _difference(layout: Layout) -> str:
    before, after = (raw.decode("utf-8-sig") for raw in (layout.before, layout.after))
    lines = unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        layout.name,
        f"{layout.name} (its layout)",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _summary(changed: int, count: int, what: str) -> str:
    files = f"{count} file{'' if count == 1 else 's'}"
    return f"{changed} of {files} {what}"
