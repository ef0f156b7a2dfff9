"""Which phones are online, from where, until when."""

from __future__ import annotations

from pathlib import Path

import msgspec

from router.store.bindings import current
from router.store.boot import LIVE_DIR, live_is_current
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.records import Contact, Registration


class Online(msgspec.Struct):
    """One contact of a phone: where its REGISTER came from, and until when it holds."""

    contact: str
    source: str
    q: float
    expires_ms: int
    expires_in_s: int
    user_agent: str


class OnlinePhone(msgspec.Struct):
    """A phone that is online."""

    number: str
    account: str
    contacts: list[Online]


def open_live(state: Path, *, readonly: bool = True) -> LmdbLive:
    """Live state of a router that runs or ran; StoreError, in one line, when there is none."""
    path = state / LIVE_DIR
    if not live_is_current(path):
        raise StoreError(
            f'no router has run with state folder "{state}" since this machine was started: '
            "start one with trunkline run, or name its folder with --state"
        )
    return LmdbLive(path, readonly=readonly)


def read_phones(state: Path, now_ms: int) -> list[OnlinePhone]:
    """The phones that are online at `now_ms`, by number; StoreError when that cannot be read."""
    live = open_live(state)
    try:
        found = [_phone(registration, now_ms) for registration in live.registrations()]
    finally:
        live.close()
    return [phone for phone in found if phone.contacts]


def _phone(registration: Registration, now_ms: int) -> OnlinePhone:
    contacts = [_online(one, now_ms) for one in current(registration.contacts, now_ms)]
    return OnlinePhone(registration.number, registration.account, contacts)


def _online(contact: Contact, now_ms: int) -> Online:
    host = f"[{contact.host}]" if ":" in contact.host else contact.host
    return Online(
        contact.uri,
        f"{contact.transport}:{host}:{contact.port}",
        contact.q / 1_000,
        contact.expires_ms,
        (contact.expires_ms - now_ms) // 1_000,
        contact.user_agent,
    )
