"""What `trunkline route` says of phones: where one rings, and where one passes a call on to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from router.core.call import Call
from router.core.tally import PHONE
from router.routing.context import Context
from router.routing.forwarding import Why, target_number
from router.routing.objects import Phone
from router.routing.phones import PhoneTarget
from router.store.memory import MemoryLive
from router.store.records import Contact, Registration


class PhoneFate(msgspec.Struct):
    """A phone that would ring: its contacts in the order in which they do, with their q.

    `forwards` are the numbers that it passes the call on to, by why.
    """

    number: str
    contacts: list[tuple[str, str]]
    forwards: dict[str, str] = {}


class Forwarded(msgspec.Struct):
    """A phone that passes the call on: why, and to which number."""

    phone: str
    why: str
    number: str


class AllOnline:
    """A store in which every phone is registered, somewhere."""

    def __init__(self, store: MemoryLive, phones: Mapping[str, Phone]) -> None:
        self._store = store
        self._phones = phones

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def registration(self, number: str, now_ms: int) -> Registration | None:
        """One contact of any phone that there is."""
        phone = self._phones.get(number)
        if phone is None:
            return None
        contact = Contact(f"sip:{number}@registered.invalid", expires_ms=now_ms + 1)
        return Registration(number, phone.account.name, [contact])


def phones_of(call: Call | None, known: Mapping[str, Phone]) -> list[PhoneFate]:
    """The phones that would ring."""
    dial = call.dial if call is not None else None
    if dial is None:
        return []
    fates = []
    for phone in dial.targets.values():
        if not isinstance(phone, PhoneTarget):
            continue
        number = phone.name.removeprefix(PHONE)
        contacts = [
            (contact.place.uri, f"{contact.q / 1000:g}")
            for contact in sorted(phone.contacts, key=lambda one: -one.q)
            if contact.place is not None
        ]
        # Of several that ring none forwards: another one may answer.
        reasons = (Why.BUSY, Why.NO_ANSWER, Why.OFFLINE) if dial.diverts else ()
        forwards = {why.words: target_number(known[number], why) for why in reasons}
        forwards = {words: to for words, to in forwards.items() if to}
        fates.append(PhoneFate(number, contacts, forwards))
    return fates


def forwards_of(context: Context | None) -> list[Forwarded]:
    """The phones that have passed the call on."""
    hops = context.hops if context is not None else []
    return [
        Forwarded(hop.phone.number, hop.why.words, target_number(hop.phone, hop.why))
        for hop in hops
    ]
