"""Changes of gateways, accounts, trunks and phones by command.

What routes.cfg defines stays there. What a command adds goes to objects.cfg of the state folder: it
is checked with everything else first, then written, then the running router is asked to reload. If
that refuses it, the file is put back. Each change is in the audit, before it is tried.
"""

from __future__ import annotations

import fcntl
import glob
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dsl.check.report import article, did_you_mean
from dsl.check.settings import CheckedBlock
from dsl.findings import render_finding
from dsl.outcome import Outcome
from router.admin.loaded_rates import state_of
from router.admin.reload_text import PATIENCE_S, lines_of
from router.admin.wrong_value import Clash, NotThere, WrongValue
from router.routing.surface import OBJECTS_FILE, SURFACE
from router.runtime.added_blocks import INNER, AddedBlocks, Key, write_added, written_value
from router.runtime.reload_control import NoRouter, Request, ask
from router.runtime.reload_report import APPLIED, SOUND, Answer
from router.runtime.routes_file import DiskFiles, check_file, check_file_again
from router.store.objects import DONE, OBJECTS_DIR, REFUSED, AuditRow, LmdbObjects

KINDS = frozenset(SURFACE.blocks)
QUOTED = frozenset(("string", "rules", "times"))
SECRET = "password"
HIDDEN = "***"
Edit = Callable[[dict[str, str] | None], dict[str, str] | None]
"""From the settings of a block in objects.cfg, None for none, to those it shall have."""


class Known(NamedTuple):
    """A configuration with what commands have added to it."""

    config: Path
    state: Path
    outcome: Outcome

    @property
    def added_path(self) -> Path:
        """The file of what commands have added."""
        return self.state / OBJECTS_FILE

    def find(self, kind: str, name: str) -> CheckedBlock:
        """A block by its name; WrongValue with the nearest name where there is none."""
        blocks = self.all(kind)
        found = blocks.get(name)
        if found is None and kind in INNER:
            # The account may be left out where the name alone is clear.
            alike = [key for key in blocks if key.partition("/")[2] == name]
            if len(alike) == 1:
                return blocks[alike[0]]
            if alike:
                raise WrongValue(f"there are several {kind}s `{name}`: {', '.join(alike)}")
        if found is None:
            known = did_you_mean(name, blocks)
            if not known:
                some = ", ".join(list(blocks)[:20])
                known = f"the {kind}s are {some}" if some else f"there are no {kind}s"
            raise NotThere(f"there is no {kind} `{name}`: {known}")
        return found

    def all(self, kind: str) -> dict[str, CheckedBlock]:
        """All blocks of a kind by name; trunks and phones as ACCOUNT/NAME."""
        if kind not in INNER:
            return {one.node.name: one for one in self.outcome.blocks if one.node.kind == kind}
        return {
            f"{block.node.name}/{one.node.name}": one
            for block in self.outcome.blocks
            for one in block.children
            if one.node.kind == kind
        }

    def full_name(self, kind: str, name: str) -> str:
        """The name as ACCOUNT/NAME where it is a trunk's or a phone's."""
        block = self.find(kind, name)
        return next(key for key, one in self.all(kind).items() if one is block)

    def key_of(self, kind: str, name: str) -> str:
        """How live state and locks name it."""
        full = self.full_name(kind, name)
        return f"{kind}:{full.partition('/')[2] if kind == 'phone' else full}"


def read_known(config: Path, state: Path | None) -> Known:
    """The configuration with what was added; WrongValue shows what is wrong with it."""
    additions = None if state is None else str(state / OBJECTS_FILE)
    outcome = check_file_again(config, additions)
    if outcome.errors:
        first = next(one for one in outcome.findings if one.severity == "error")
        raise WrongValue(
            f"{config} has errors, see trunkline check {config}; the first is in "
            f"{first.file}:{first.line}: {first.message}"
        )
    return Known(config, state or state_of(config, outcome.settings.values), outcome)


def read_settings(kind: str, words: list[str]) -> dict[str, str]:
    """SETTING=VALUE words; an empty value stands for "take it away"."""
    given: dict[str, str] = {}
    known = SURFACE.blocks[kind].settings
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise WrongValue(f'"{word}" is no setting: write lines=30')
        if name not in known:
            hint = did_you_mean(name, known) or f"its settings are {', '.join(known)}"
            raise WrongValue(f"{article(kind)} has no setting `{name}`: {hint}")
        if name in given:
            raise WrongValue(f"`{name}` is given twice")
        value = value.strip()
        quoted = known[name].type.name in QUOTED
        given[name] = written_value(value, quoted) if value else ""
    return given


def change(
    known: Known, kind: str, name: str, command: str, edit: Edit, who: str
) -> list[str]:
    """Change one block of objects.cfg; what to tell. WrongValue, and nothing has changed."""
    known.state.mkdir(parents=True, exist_ok=True)
    with _alone(known.state):
        path = known.added_path
        before = path.read_text() if path.exists() else ""
        try:
            added = AddedBlocks(before, str(path), KINDS)
        except ValueError as error:
            raise WrongValue(str(error)) from None
        key: Key = (kind, name)
        old = added.blocks.get(key)
        new = edit(None if old is None else dict(old))
        if new is None:
            added.blocks.pop(key, None)
        else:
            added.blocks[key] = new
        text = added.render()
        _check(known, text)
        running = _nothing_else_waits(known)
        objects = LmdbObjects(known.state / OBJECTS_DIR)
        try:
            row = AuditRow(
                time.time_ns() // 1_000_000, who, command, f"{kind} {name}", _told(old),
                _told(new),
            )
            number = objects.begin(row)
            write_added(path, text)
            answer = ask(known.state, Request(), PATIENCE_S) if running else None
            if answer is not None and answer.result != APPLIED:
                write_added(path, before)
                objects.conclude(number, REFUSED, answer.sentence)
                raise WrongValue("\n".join(lines_of(answer)))
            objects.conclude(number, DONE)
        finally:
            objects.close()
        return _said(answer)


def _check(known: Known, text: str) -> None:
    """WrongValue with the findings when the whole, with this text, has an error."""
    path = str(known.added_path)
    outcome = check_file(known.config, path, _Proposed(path, text))
    if outcome.errors:
        texts = outcome.unit.texts
        shown = [
            render_finding(one, texts.get(one.file, ""))
            for one in outcome.findings
            if one.severity == "error"
        ]
        raise WrongValue("\n".join(["nothing was changed:", *shown]))


def _nothing_else_waits(known: Known) -> bool:
    """Whether a router runs; WrongValue when a reload would bring more than this change."""
    try:
        answer = ask(known.state, Request(dry_run=True), PATIENCE_S)
    except NoRouter as error:
        if "no router runs" in str(error):
            return False
        raise WrongValue(str(error)) from None
    if answer.result != SOUND:
        raise WrongValue("\n".join(lines_of(answer)))
    if answer.changes:
        names = ", ".join(one.name for one in answer.changes[:5])
        raise Clash(
            f"{answer.routes} has changes that the router has not loaded ({names}): run trunkline "
            "reload first, or take them back"
        )
    return True


def _said(answer: Answer | None) -> list[str]:
    if answer is None:
        return ["No router runs here: it counts from the next start."]
    where = f"{answer.workers} worker{'' if answer.workers == 1 else 's'}"
    return [f"{where} {'has' if answer.workers == 1 else 'have'} it after {answer.took_ms} ms."]


def _told(settings: dict[str, str] | None) -> str:
    """The settings for the audit, without what is secret."""
    if settings is None:
        return ""
    shown = {key: HIDDEN if key == SECRET else value for key, value in settings.items()}
    return "  ".join(f"{key} = {value}" for key, value in shown.items()) or "no settings"


class _Proposed(DiskFiles):
    """The files of this machine, one of them with another text."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        return self._text.encode() if path == self._path else super().read(path)

    def matches(self, pattern: str) -> list[str]:
        """The files that a pattern matches."""
        return [self._path] if pattern == glob.escape(self._path) else super().matches(pattern)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """One command changes objects at a time."""
    descriptor = os.open(state / "objects.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Clash("another command is changing objects: try again") from None
        yield
    finally:
        os.close(descriptor)
