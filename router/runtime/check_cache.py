"""What `check` found, kept for the next time: nothing is parsed again while nothing has changed.

An entry holds what the check asked of the machine (the bytes of files, what patterns matched, which
variables were set), and what it found. It is good as long as the same questions get the same
answers, by the same program. Whatever is wrong with an entry or with the folder, there is no entry
then; the check itself is never hindered. Loading the checker costs more than an answer from here,
so that this module does without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import sys
import time
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import msgspec

from dsl.findings import Finding

MAGIC: Final = b"trunkline check 1\n"
DIGEST_BYTES: Final = hashlib.sha256().digest_size
MAX_ENTRIES: Final = 100
MAX_ENTRY_BYTES: Final = 16 * 1024 * 1024
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""of a file that is read; what is larger is not kept"""
ABANDONED_S: Final = 3600.0
"""after which time a half-written entry has no writer any more"""
SUFFIX: Final = ".check"
HALF_WRITTEN: Final = ".new"


class Found(msgspec.Struct):
    """What a check found; `texts` are the files that findings stand in, `summary` is one line."""

    findings: list[Finding]
    texts: dict[str, str]
    summary: str


class Outside(Protocol):
    """What a check asks of the machine, as in dsl.sources."""

    def read(self, path: str) -> bytes:
        """The bytes of a file; raises OSError."""

    def matches(self, pattern: str) -> list[str]:
        """The files that a pattern matches."""

    def variable(self, name: str) -> str | None:
        """An environment variable."""


class _Entry(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """An entry; of variables only a salted digest is kept, for their values may be secret."""

    files: list[tuple[str, int, bytes]]
    patterns: list[tuple[str, list[str]]]
    variables: list[tuple[str, bytes | None]]
    salt: bytes
    texts: list[str]
    findings: list[Finding]
    summary: str


class Recorder:
    """Passes on what a check asks, and remembers the answers for `keep`."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._salt = secrets.token_bytes(16)
        self._files: dict[str, tuple[int, bytes]] = {}
        self._patterns: dict[str, list[str]] = {}
        self._variables: dict[str, bytes | None] = {}
        self._lasting = True

    def read(self, path: str) -> bytes:
        """The bytes of a file; raises OSError."""
        try:
            raw = self._outside.read(path)
        except OSError:
            self._lasting = False  # whatever made it fail may be over at the next try
            raise
        read = len(raw), hashlib.sha256(raw).digest()
        if len(raw) > MAX_FILE_BYTES or self._files.setdefault(path, read) != read:
            self._lasting = False
        return raw

    def matches(self, pattern: str) -> list[str]:
        """The files that a pattern matches."""
        found = self._outside.matches(pattern)
        if self._patterns.setdefault(pattern, sorted(found)) != sorted(found):
            self._lasting = False
        return found

    def variable(self, name: str) -> str | None:
        """An environment variable."""
        value = self._outside.variable(name)
        self._variables[name] = _digest_of(value, self._salt)
        return value

    def keep(self, path: str, found: Found) -> None:
        """Keep what the check of the configuration at `path` found, if it can be kept."""
        if not self._lasting:
            return
        entry = _Entry(
            [(name, *known) for name, known in self._files.items()],
            list(self._patterns.items()),
            list(self._variables.items()),
            self._salt,
            list(found.texts),
            found.findings,
            found.summary,
        )
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            payload = msgspec.msgpack.encode(entry)
            folder = _folder()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_ours(folder.stat()):
                _write(folder, _name(path), MAGIC + hashlib.sha256(payload).digest() + payload)
                _prune(folder)


def recall(path: str) -> Found | None:
    """What the last check of the configuration found, if a new one would find the same."""
    try:
        entry = _read(_folder() / _name(path))
        return _answer(entry) if entry is not None else None
    except (OSError, ValueError, RuntimeError, msgspec.MsgspecError):
        return None


def _answer(entry: _Entry) -> Found | None:
    """What an entry says, if it still holds."""
    for name, known in entry.variables:
        if _digest_of(os.environ.get(name), entry.salt) != known:
            return None
    for pattern, matched in entry.patterns:
        if sorted(glob(pattern)) != matched:
            return None
    wanted = {finding.file for finding in entry.findings} & set(entry.texts)
    texts: dict[str, str] = {}
    for name, size, digest in entry.files:
        with open(name, "rb") as file:
            raw = file.read(size + 1) if os.fstat(file.fileno()).st_size == size else b""
        if len(raw) != size or hashlib.sha256(raw).digest() != digest:
            return None
        if name in wanted:
            texts[name] = raw.decode("utf-8-sig")
    return Found(entry.findings, texts, entry.summary)


def _digest_of(value: str | None, salt: bytes) -> bytes | None:
    if value is None:
        return None
    return hashlib.sha256(salt + value.encode("utf-8", "surrogateescape")).digest()


# ------------------------------------------------------------------------------- on the disk


def _folder() -> Path:
    """The folder of entries; RuntimeError where there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # By the XDG specification a relative path is to be ignored.
    home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return home / "trunkline" / "check"


def _name(path: str) -> str:
    """The name of the entry for a configuration, as seen from here by this program."""
    digest = hashlib.sha256(_program())
    digest.update(os.path.abspath(path).encode("utf-8", "surrogateescape") + b"\0")
    digest.update(path.encode("utf-8", "surrogateescape") + b"\0" + os.getcwdb())
    return digest.hexdigest()[:40] + SUFFIX


def _program() -> bytes:
    """A digest that changes with whatever could find something else: ours, lark and Python."""
    digest = hashlib.sha256(sys.version.encode())
    for package in ("dsl", "router", "lark"):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError(f"{package} is in no folder")
        for folder in spec.submodule_search_locations:
            lines = _modules(folder, deep=package != "lark")
            # The folder beside it that says which version was installed.
            lines += [name for name in os.listdir(os.path.dirname(folder)) if _is_version(name)]
            digest.update("\n".join(sorted(lines)).encode("utf-8", "surrogateescape"))
    return digest.digest()


def _is_version(name: str) -> bool:
    return name.startswith(("trunkline-", "lark-")) and name.endswith((".dist-info", ".egg-info"))


def _modules(folder: str, deep: bool) -> list[str]:
    """The modules and grammars of a package, each with its size and time of change."""
    lines = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".py", ".lark")):
                known = entry.stat()
                lines.append(f"{entry.path} {known.st_size} {known.st_mtime_ns}")
            elif deep and entry.name != "__pycache__" and entry.is_dir(follow_symlinks=False):
                lines += _modules(entry.path, deep)
    return lines


def _is_ours(known: os.stat_result) -> bool:
    """Whether nobody else could have put something there."""
    return known.st_uid == os.geteuid() and not known.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(path: Path) -> _Entry | None:
    """An entry as it was written; None if it is damaged or somebody else's."""
    with open(path, "rb") as file:
        known = os.fstat(file.fileno())
        if not _is_ours(known) or not stat.S_ISREG(known.st_mode):
            return None
        raw = file.read(MAX_ENTRY_BYTES)
    start = len(MAGIC) + DIGEST_BYTES
    payload = raw[start:]
    if raw[:start] != MAGIC + hashlib.sha256(payload).digest():
        return None
    return msgspec.msgpack.decode(payload, type=_Entry)


def _write(folder: Path, name: str, raw: bytes) -> None:
    """Put an entry in its place at once: who reads meanwhile has the old one or the new one."""
    half = folder / f"{secrets.token_hex(8)}{HALF_WRITTEN}"
    try:
        with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(raw)
        os.replace(half, folder / name)
    except BaseException:
        with contextlib.suppress(OSError):
            half.unlink()
        raise


def _prune(folder: Path) -> None:
    """Remove the oldest entries beyond the number that is kept, and what was left half-written."""
    entries = []
    with os.scandir(folder) as listed:
        for entry in listed:
            with contextlib.suppress(OSError):
                changed = entry.stat(follow_symlinks=False).st_mtime
                if entry.name.endswith(SUFFIX):
                    entries.append((changed, entry.path))
                elif entry.name.endswith(HALF_WRITTEN) and time.time() - changed > ABANDONED_S:
                    os.unlink(entry.path)
    for _, path in sorted(entries)[:-MAX_ENTRIES]:
        with contextlib.suppress(OSError):
            os.unlink(path)
