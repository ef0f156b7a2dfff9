"""add, set, remove, lock and unlock, whoever asks for it."""

from __future__ import annotations

import re
import time
from pathlib import Path

from dsl.check.report import article
from router.admin.amounts import money
from router.admin.object_changes import Known, change, read_settings
from router.admin.object_facts import place_of
from router.admin.wrong_value import Clash, WrongValue
from router.runtime.added_blocks import INNER
from router.store.boot import LEDGER_DIR
from router.store.cdr_lines import CONTROL
from router.store.ledger import LmdbLedger
from router.store.objects import OBJECTS_DIR, AuditRow, LmdbObjects, Lock

MAX_NOTE = 200
# A word of routes.cfg: nothing that would end it, or the block it stands in.
_NAME = re.compile(r"""[^\s"'#,;{}()=/\x00-\x1f\x7f]{1,128}""")


def order(
    known: Known, kind: str, name: str, command: str, words: list[str], who: str
) -> list[str]:
    """add, set or remove one object; what to tell. WrongValue, and nothing has changed."""
    given = read_settings(kind, words)
    full = _new_name(known, kind, name) if command == "add" else known.full_name(kind, name)
    if command != "add":
        _owned(known, kind, full)
    if command == "remove" and kind == "account":
        _nobody_inside(known, full)
    if command == "set" and not given:
        raise WrongValue("nothing to set: write SETTING=VALUE, such as lines=30")

    def edit(old: dict[str, str] | None) -> dict[str, str] | None:
        if command == "remove":
            return None
        settings = {**(old or {}), **given}
        return {key: value for key, value in settings.items() if value}

    told = _balance_stands(known.state, full) if kind == "account" and "balance" in given else []
    return change(known, kind, full, command, edit, who) + told


def _balance_stands(state: Path, account: str) -> list[str]:
    """What to tell of an account that the ledger knows: its opening balance is not given again."""
    if not (state / LEDGER_DIR / "data.mdb").exists():
        return []
    ledger = LmdbLedger(state / LEDGER_DIR, readonly=True)
    try:
        balance = ledger.balances().get(account)
    finally:
        ledger.close()
    if balance is None:
        return []
    return [
        f"The ledger knows account {account}, and its balance stays {money(balance)}: change it "
        "with trunkline accounts topup or adjust."
    ]


def order_lock(known: Known, kind: str, name: str, note: str, who: str, *, lock: bool) -> str:
    """Lock an object or lift its lock; its full name. Clash when it is so already."""
    if CONTROL.search(note) or len(note) > MAX_NOTE:
        raise WrongValue(f"--note has control characters or is longer than {MAX_NOTE}")
    full = known.full_name(kind, name)
    key = known.key_of(kind, name)
    now_ms = time.time_ns() // 1_000_000
    objects = LmdbObjects(known.state / OBJECTS_DIR)
    try:
        if lock:
            row = AuditRow(now_ms, who, "lock", f"{kind} {full}", "unlocked", "locked")
            row.why = note.strip()
            done = objects.lock(key, Lock(who, now_ms, note.strip()), row)
        else:
            row = AuditRow(now_ms, who, "unlock", f"{kind} {full}", "locked", "unlocked")
            done = objects.unlock(key, row)
    finally:
        objects.close()
    if not done:
        already = "is locked already" if lock else "is not locked by a command"
        raise Clash(f"{kind} {full} {already}")
    return full


def _new_name(known: Known, kind: str, name: str) -> str:
    """The full name of what is to be added."""
    if not all(map(_NAME.fullmatch, name.split("/"))):
        raise WrongValue(f'"{name}" is no name: use letters, digits, "_", "-" and "."')
    if kind in INNER:
        account, slash, own = name.partition("/")
        if not slash or not own:
            raise WrongValue(f"name the account as well: ACCOUNT/{name}")
        known.find("account", account)
    if name in known.all(kind):
        block = known.find(kind, name)
        raise Clash(f"there is {article(kind)} `{name}` already, {place_of(block.node.span)}")
    return name


def _owned(known: Known, kind: str, full: str) -> None:
    """WrongValue where the object is defined by hand."""
    block = known.find(kind, full)
    if block.node.span.file != str(known.added_path):
        raise Clash(
            f"{kind} {full} is defined {place_of(block.node.kind_span)}: change it there and run "
            "trunkline reload"
        )


def _nobody_inside(known: Known, account: str) -> None:
    """Clash where something is in the account: it would go on without its money and limits."""
    inside = [
        f"{kind} {name}"
        for kind in INNER
        for name in known.all(kind)
        if name.startswith(f"{account}/")
    ]
    if inside:
        more = f" and {len(inside) - 3} more" if len(inside) > 3 else ""
        them = "it" if len(inside) == 1 else "them"
        raise Clash(f"account {account} has {', '.join(inside[:3])}{more}: remove {them} before")
