"""add, set, remove, lock and unlock, alike for gateways, accounts, trunks and phones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from getpass import getpass
from pathlib import Path

from cyclopts import App

from dsl.check.report import article
from dsl.sources import SourceError
from router.admin.object_changes import SECRET, read_known
from router.admin.object_orders import order, order_lock
from router.admin.wrong_value import WrongValue
from router.cli.account_facts import Config, State
from router.cli.operator import who
from router.routing.surface import SURFACE
from router.runtime.added_blocks import INNER
from router.store.cdr_lines import plain
from router.store.errors import StoreError

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
        for line in order(known, kind, name, command, [_asked(word) for word in words], who()):
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


def _lock(
    kind: str, name: str, config: Path, state: Path | None, note: str, *, lock: bool
) -> int:
    def run() -> None:
        known = read_known(config, state)
        full = order_lock(known, kind, name, note, who(), lock=lock)
        word = "locked" if lock else "unlocked"
        print(plain(f"{kind} {full} is {word}: a running router knows it within a second."))

    return obey(run)
