"""Records the tests of the store work with."""

from __future__ import annotations

from router.store.ops import Admit, Bind, Candidate, Hold
from router.store.records import Attempt, CallRecord, Cdr, Contact

NOW_MS = 1_700_000_000_000
ACCOUNT = Hold("account:acme", 3)
TRUNK = Hold("trunk:acme/office", 5)
SERVER = Hold("server:", -1)
MOBILE = Candidate("gateway:cn_mobile", 2)
BACKUP = Candidate("gateway:backup", 2)


def call_id(number: int, slot: int = 0) -> str:
    """The id of the call that arrived `number` ms after NOW_MS."""
    return f"{NOW_MS + number:012x}{slot:02x}{number:016x}"


def sample_cdr(number: int, **fields: object) -> Cdr:
    """The CDR of an answered call."""
    started = NOW_MS + number
    cdr = Cdr(
        id=call_id(number),
        call_id=f"a-{number}@caller",
        b_call_id=f"b-{number}",
        account="acme",
        trunk="office",
        source="192.0.2.7",
        caller_in="1000",
        callee_in="8613800138000",
        gateway="cn_mobile",
        attempt=1,
        attempts=[
            Attempt("cn_mobile", f"b-{number}", "008613800138000", "1000", started, started + 400)
        ],
        started=started,
        ringing=started + 400,
        answered=started + 2_000,
        ended=started + 9_000,
        pdd_ms=400,
        duration_ms=7_000,
        end_reason="Normal",
        end_side="caller",
        sip_code=200,
        q850=16,
        config="0123abcd",
        variables={"customer": "vip"},
        decision=["cn_mobile: taken"],
    )
    for name, value in fields.items():
        setattr(cdr, name, value)
    return cdr


def sample_call(number: int, slot: int = 0) -> CallRecord:
    """A call nobody has admitted yet."""
    return CallRecord(
        id=call_id(number, slot),
        slot=slot,
        generation=1,
        call_id=f"a-{number}@caller",
        b_call_id=f"b-{number}",
        cdr=sample_cdr(number),
        dialog=b"\x00\xffsnapshot",
    )


def sample_admit(
    number: int,
    holds: tuple[Hold, ...] = (ACCOUNT, TRUNK, SERVER),
    tiers: tuple[tuple[Candidate, ...], ...] = ((MOBILE,), (BACKUP,)),
) -> Admit:
    """The admission of call `number`: three lines of the account, two of each gateway."""
    return Admit(sample_call(number), holds, tiers)


def sample_contact(uri: str = "sip:1001@192.0.2.7:5062", **fields: object) -> Contact:
    """A contact for an hour from NOW_MS, by the first REGISTER of a phone."""
    contact = Contact(
        uri, 1000, NOW_MS + 3_600_000, "r1@192.0.2.7", 1, "udp", "198.51.100.7", 40_000, 0,
        user_agent="phone/1.0",
    )
    for name, value in fields.items():
        setattr(contact, name, value)
    return contact


def sample_bind(*contacts: Contact, **fields: object) -> Bind:
    """The binding of phone 1001's contacts."""
    bind = Bind("1001", "acme", contacts)
    for name, value in fields.items():
        setattr(bind, name, value)
    return bind
