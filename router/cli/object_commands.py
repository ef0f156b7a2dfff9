"""add, set, remove, lock and unlock, alike for gateways, accounts, trunks and phones."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from getpass import getpass
from pathlib import Path

from cyclopts import App

from dsl.ast import Span
from dsl.check.report import article
from dsl.sources import SourceError
from router.cli.account_facts import Config, State
from router.cli.cdr_query import WrongValue
from router.cli.object_changes import SECRET, Known, change, read_known, read_settings
from router.cli.operator import who
from router.routing.surface import OBJECTS_FILE, SURFACE
from router.runtime.added_blocks import INNER
from router.store.cdr_lines import CONTROL, plain
from router.store.errors import StoreError
from router.store.objects import OBJECTS_DIR, AuditRow, LmdbObjects, Lock

MAX_NOTE = 200
FROM_INPUT = f"{SECRET}=-"


def attach(app: App, kind: str) -> None:
    """Give an app the commands that change objects of this kind."""
    name = "ACCOUNT/NAME" if kind in INNER else "NAME"

    def add(
        name: str, /, *settings: str, config: Config = Path("routes.cfg"), state: State = None
    ) -> int:
        return _change(kind, name, config, state, "add", list(settings))

    def set_(
        name: str, /, *settings: str, config: Config = Path("routes.cfg"), state: State = None
    ) -> int:
        return _change(kind, name, config, state, "set", list(settings))

    def remove(name: str, /, *, config: Config = Path("routes.cfg"), state: State = None) -> int:
        return _change(kind, name, config, state, "remove", [])

    def lock(
        name: str, /, *, note: str = "", config: Config = Path("routes.cfg"), state: State = None
    ) -> int:
        return _lock(kind, name, config, state, note, lock=True)

    def unlock(name: str, /, *, config: Config = Path("routes.cfg"), state: State = None) -> int:
        return _lock(kind, name, config, state, "", lock=False)

    a = article(kind)
    has_secret = SECRET in SURFACE.blocks[kind].settings
    secret = f" {FROM_INPUT} reads it from the terminal." if has_secret else ""
    app.command(
        add,
        name="add",
        help=f"Add {a}: {name} SETTING=VALUE …, the settings of routes.cfg.{secret} It is checked "
        "with everything else, and the running router takes it at once or not at all.",
    )
    app.command(
        set_,
        name="set",
        help=f"Change settings of {a} that a command has added: {name} SETTING=VALUE …; an empty "
        "VALUE takes the setting away.",
    )
    app.command(
        remove,
        name="remove",
        help=f"Remove {a} that a command has added; its calls in progress go on.",
    )
    effect = "It gets no new calls" if kind == "gateway" else "It may make no new calls"
    app.command(
        lock,
        name="lock",
        help=f"Lock {a}, wherever it is defined. {effect} from the next second on; calls in "
        "progress go on. It stays locked over reloads and restarts.",
    )
    app.command(unlock, name="unlock", help=f"Lift the lock of {a}.")


def _change(
    kind: str, name: str, config: Path, state: Path | None, command: str, words: list[str]
) -> int:
    def run() -> None:
        known = read_known(config, state)
        given = read_settings(kind, [_asked(word) for word in words])
        full = _new_name(known, kind, name) if command == "add" else known.full_name(kind, name)
        if command != "add":
            _owned(known, kind, full)
        if command == "set" and not given:
            raise WrongValue("nothing to set: write SETTING=VALUE, such as lines=30")

        def edit(old: dict[str, str] | None) -> dict[str, str] | None:
            if command == "remove":
                return None
            settings = {**(old or {}), **given}
            return {key: value for key, value in settings.items() if value}

        for line in change(known, kind, full, command, edit):
            print(line)

    return obey(run)


def obey(run: Callable[[], None]) -> int:
    """The exit code of a command, with what went wrong on standard error."""
    try:
        run()
        return 0
    except (SourceError, StoreError, WrongValue) as error:
        told = str(error)
    except OSError as error:
        told = f"{error.filename}: {(error.strerror or '').lower()}"
    first, *rest = told.splitlines() or [""]
    for line in (f"trunkline: {first}", *rest):
        print(plain(line), file=sys.stderr)
    return 1


def _asked(word: str) -> str:
    """A password is better not on the command line, where everybody can read it."""
    if word != FROM_INPUT:
        return word
    typed = getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not typed:
        raise WrongValue("no password was given")
    escaped = typed.replace("\\", "\\\\").replace('"', '\\"')
    return f'{SECRET}="{escaped}"'


def _new_name(known: Known, kind: str, name: str) -> str:
    """The full name of what is to be added."""
    if kind in INNER:
        account, slash, own = name.partition("/")
        if not slash or not own:
            raise WrongValue(f"name the account as well: ACCOUNT/{name}")
        known.find("account", account)
    if name in known.all(kind):
        block = known.find(kind, name)
        raise WrongValue(f"there is {article(kind)} `{name}` already, {place_of(block.node.span)}")
    return name


def _owned(known: Known, kind: str, full: str) -> None:
    """WrongValue where the object is defined by hand."""
    block = known.find(kind, full)
    if block.node.span.file != str(known.added_path):
        raise WrongValue(
            f"{kind} {full} is defined {place_of(block.node.kind_span)}: change it there and run "
            "trunkline reload"
        )


def place_of(span: Span) -> str:
    """Where something is defined, in words."""
    where = f"in {span.file}:{span.line}"
    return f"by command ({where})" if Path(span.file).name == OBJECTS_FILE else where


def _lock(
    kind: str, name: str, config: Path, state: Path | None, note: str, *, lock: bool
) -> int:
    def run() -> None:
        if CONTROL.search(note) or len(note) > MAX_NOTE:
            raise WrongValue(f"--note has control characters or is longer than {MAX_NOTE}")
        known = read_known(config, state)
        full = known.full_name(kind, name)
        key = known.key_of(kind, name)
        now_ms = time.time_ns() // 1_000_000
        objects = LmdbObjects(known.state / OBJECTS_DIR)
        try:
            if lock:
                row = AuditRow(now_ms, who(), "lock", f"{kind} {full}", "unlocked", "locked")
                row.why = note.strip()
                done = objects.lock(key, Lock(who(), now_ms, note.strip()), row)
            else:
                row = AuditRow(now_ms, who(), "unlock", f"{kind} {full}", "locked", "unlocked")
                done = objects.unlock(key, row)
        finally:
            objects.close()
        word = "locked" if lock else "unlocked"
        if not done:
            already = "is locked already" if lock else "is not locked by a command"
            raise WrongValue(f"{kind} {full} {already}")
        print(plain(f"{kind} {full} is {word}: a running router knows it within a second."))

    return obey(run)
