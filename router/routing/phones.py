"""Phones as targets: a phone with the contacts it registered, as the core rings them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.core.end_reasons import BY_STATUS, EndReason
from router.core.flow import Flow
from router.core.identity import FROM_ONLY
from router.core.parameters import Login
from router.core.tally import PHONE
from router.core.verdicts import Place
from router.routing.objects import Phone
from router.routing.rewrite import NumberRules
from router.store.ops import Candidate
from router.store.records import Contact, Registration

NO_CONTACTS: tuple[PhoneTarget, ...] = ()
BUSY = frozenset((486, 600, 603))
"""What a phone says that rings and is not taken up on purpose, or that talks already."""

_ENDS_URI = str.maketrans({" ": "%20", "\t": "%09"})
_REASONS: Mapping[int, EndReason] = {**BY_STATUS, 603: EndReason.UserBusy}


class PhoneTarget:
    """A phone that is called, or one of its contacts; made for one call.

    After a busy contact no other of the phone rings, but with `goes_on` the next phone of a list.
    """

    __slots__ = (
        "_goes_on", "contacts", "host", "key", "name", "outward", "place", "port", "q",
        "transport",
    )
    ping_ms = 0
    login: Login | None = None
    registers = False
    switch_after_ring = True
    switch_after_media = True
    reasons = _REASONS
    identity = FROM_ONLY

    def __init__(
        self, phone: Phone, goes_on: bool, *, place: Place | None = None, q: int = 1000,
        contacts: Sequence[PhoneTarget] = NO_CONTACTS,
    ) -> None:
        self.name = f"{PHONE}{phone.number}"
        self.key = phone.key
        self.outward: NumberRules | None = phone.outward
        self.place = place
        flow = place.flow if place is not None else Flow("udp", "", 0)
        self.transport, self.host, self.port = flow[:3]
        self.q = q
        self.contacts = contacts
        self._goes_on = goes_on

    def switches_on(self, status: int) -> bool:
        """Whether the next contact, or the next phone of a list, rings after this final status."""
        return self._goes_on or status not in BUSY


def target_of(phone: Phone, registration: Registration, goes_on: bool) -> PhoneTarget:
    """The phone with all its contacts."""
    contacts = tuple(
        PhoneTarget(phone, goes_on, place=place_of(contact), q=contact.q)
        for contact in registration.contacts
    )
    return PhoneTarget(phone, goes_on, contacts=contacts)


def place_of(contact: Contact) -> Place:
    """The contact's URI, and the way that its REGISTER came.

    A request URI has no headers (RFC 3261 §19.1.1), and nothing that would end it.
    """
    return Place(
        contact.uri.partition("?")[0].translate(_ENDS_URI),
        Flow(
            contact.transport, contact.host, contact.port, contact.listener, contact.connection,
            contact.slot,
        ),
    )


def candidate_of(phone: Phone) -> Candidate:
    """What the store admits a call to a phone by: its lines are for calls to it and from it."""
    return Candidate(phone.key, phone.lines)
