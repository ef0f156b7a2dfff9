"""The tokens of the HTTP API: made, listed, removed, and asked whether they are right."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from router.admin.wrong_value import Clash, NotThere, WrongValue
from router.store.api_access import ACCESS_DIR, LmdbAccess, Token, digest_of
from router.store.objects import DONE, OBJECTS_DIR, AuditRow, LmdbObjects

READ, OPERATE, MONEY = ROLES = ("read", "operate", "money")
"""Every token may read; operate changes objects, calls, rates; money pays."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
BEGINNING: Final = "tl_"


def make_token(state: Path, name: str, roles: Iterable[str], who: str) -> str:
    """A new token of this name; it cannot be shown again. WrongValue, and none was made."""
    if not NAME.fullmatch(name):
        raise WrongValue(f'"{name}" is no name: up to 64 letters, digits, ".", "_" and "-"')
    given = tuple(role for role in ROLES if role in set(roles) or role == READ)
    for role in roles:
        if role not in ROLES:
            raise WrongValue(f"there is no role `{role}`: they are {', '.join(ROLES)}")
    secret = BEGINNING + secrets.token_urlsafe(32)
    now_ms = time.time_ns() // 1_000_000
    access = LmdbAccess(state / ACCESS_DIR)
    try:
        if not access.add(name, Token(digest_of(secret), given, now_ms, who)):
            raise Clash(f"there is a token `{name}` already: remove it first, or take another name")
    finally:
        access.close()
    _note(state, who, "add", name, "", "roles " + ", ".join(given))
    return secret


def read_tokens(state: Path) -> dict[str, Token]:
    """All tokens by name; none where none was ever made."""
    if not (state / ACCESS_DIR / "data.mdb").exists():
        return {}
    access = LmdbAccess(state / ACCESS_DIR, readonly=True)
    try:
        return access.tokens()
    finally:
        access.close()


def remove_token(state: Path, name: str, who: str) -> None:
    """Remove a token: a running API refuses it within a second. NotThere when there is none."""
    tokens = read_tokens(state)
    if name not in tokens:
        known = f"they are {', '.join(tokens)}" if tokens else "there are none"
        raise NotThere(f"there is no token `{name}`: {known}")
    access = LmdbAccess(state / ACCESS_DIR)
    try:
        access.remove(name)
    finally:
        access.close()
    _note(state, who, "remove", name, "roles " + ", ".join(tokens[name].roles), "")


def find_token(tokens: dict[str, Token], secret: str) -> tuple[str, Token] | None:
    """The token that this is, with its name; all are compared, each in constant time."""
    digest = digest_of(secret)
    found = None
    for name, token in tokens.items():
        if hmac.compare_digest(token.digest, digest):
            found = name, token
    return found


def _note(state: Path, who: str, command: str, name: str, before: str, after: str) -> None:
    row = AuditRow(
        time.time_ns() // 1_000_000, who, command, f"token {name}", before, after, DONE
    )
    objects = LmdbObjects(state / OBJECTS_DIR)
    try:
        objects.begin(row)
    finally:
        objects.close()
