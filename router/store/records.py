"""What the store keeps, as plain data: calls in progress and call detail records.

Every stored value is one schema byte followed by a msgpack array of the struct's fields in
order. A field may be added at the end, with a default, without a new schema byte: older readers
skip it and older values take the default. Anything else (removing, moving, retyping) needs a new
byte, and a byte we do not know is a `StoreError` and never a guess.

Times are epoch milliseconds, 0 for "never happened". Durations are milliseconds. Amounts are
integers in millionths of the account's currency unit.
"""

from __future__ import annotations

import msgspec

from router.store.errors import StoreError

CALL_SCHEMA = 1
CDR_SCHEMA = 1
GATEWAY_STATE_SCHEMA = 1
REGISTRATION_SCHEMA = 1
NEVER_MS = 1 << 62
"""In place of a time that nobody can tell yet."""


class Attempt(msgspec.Struct, array_like=True, gc=False):
    """One B leg of a call: to which gateway, with which numbers, when, and how it ended."""

    gateway: str = ""
    b_call_id: str = ""
    callee_out: str = ""
    caller_out: str = ""
    started: int = 0
    ringing: int = 0
    answered: int = 0
    ended: int = 0
    sip_code: int = 0
    reason: str = ""


class Charge(msgspec.Struct, array_like=True, gc=False):
    """What an account pays for a call: `amount` is taken from its balance when the call ends.

    `kind` is retail (the account), agent (one above it) or vendor (the gateway's clearing account).
    `rate` is the price of a minute; it and what follows `billed_s` are the terms that the call was
    admitted by, so that it can be billed where there are no decks (`billing.charges`).
    """

    account: str
    amount: int = 0
    kind: str = "retail"
    rate_prefix: str = ""
    rate: int = 0
    billed_s: int = 0
    connect_fee: int = 0
    first_s: int = 1
    cycle_s: int = 1
    free_s: int = 0
    hold_precision_ms: int = 50
    fee_decimals: int = 6


class Cdr(msgspec.Struct, array_like=True, gc=False):
    """The call detail record: one for each call, with all its attempts.

    `id` sorts by time of arrival: 12 hex digits of epoch ms, 2 hex digits of the worker slot, and
    random hex digits. `attempt` is the 1-based index of the last (or answering) attempt, 0 for
    none. `pdd_ms` is to the first sign of ringing or else the
    answer, -1 when there was neither. `end_side` is caller, callee or server. `charges` are what
    each account pays; `charge` repeats the retail account's, `cost` the vendor's. `route_lines` are
    the branches of routes.cfg that the call went by, as "CALL:61". `cost_terms` has what the vendor
    asks, as a charge of no account, where no clearing account pays it. `mos_hundredths` is what a
    media relay said last of how the call sounds, 100 to 500, 0 for nothing.
    """

    id: str = ""
    call_id: str = ""
    b_call_id: str = ""
    account: str = ""
    agent_path: str = ""
    trunk: str = ""
    phone: str = ""
    source: str = ""
    caller_in: str = ""
    callee_in: str = ""
    caller_out: str = ""
    callee_out: str = ""
    gateway: str = ""
    attempt: int = 0
    attempts: list[Attempt] = []
    started: int = 0
    ringing: int = 0
    answered: int = 0
    ended: int = 0
    pdd_ms: int = -1
    duration_ms: int = 0
    billed_s: int = 0
    rate_prefix: str = ""
    rate: int = 0
    charge: int = 0
    cost: int = 0
    end_reason: str = ""
    end_side: str = ""
    sip_code: int = 0
    q850: int = 0
    codec: str = ""
    config: str = ""
    worker: int = 0
    variables: dict[str, str] = {}
    decision: list[str] = []
    charges: list[Charge] = []
    route_lines: list[str] = []
    cost_terms: list[Charge] = []
    mos_hundredths: int = 0


class CallRecord(msgspec.Struct, array_like=True, gc=False):
    """A call in progress and the leases it holds; what a successor needs to adopt it.

    `holds` are the keys of the lines it occupies ("account:acme", "trunk:acme/office",
    "server:"), `gateway` the key of the gateway it occupies ("gateway:cn_mobile", or "").
    `reserved` is the money it has reserved, by account; `gateway_reserved` what it has reserved
    with its gateway, of the clearing account. All four are written by the store when it admits the
    call or renews its credit, and by nothing else. `cdr` is the record so far, `dialog` the core's
    own snapshot, opaque here; `callee` and `caller` the numbers as the routes left them; prices
    are for the first. `paid_until` is the epoch ms until which the reserve pays for the call, 0
    without a limit. `answer` is the core's own too: the 200 for the caller, until its ACK.
    `closing`: nobody can go on with it, `cdr` is complete, and only its end_route is left to run.
    """

    id: str = ""
    slot: int = 0
    generation: int = 0
    call_id: str = ""
    b_call_id: str = ""
    answered: bool = False
    holds: list[str] = []
    gateway: str = ""
    cdr: Cdr = msgspec.field(default_factory=Cdr)
    dialog: bytes = b""
    callee: str = ""
    caller: str = ""
    reserved: list[tuple[str, int]] = []
    paid_until: int = 0
    gateway_reserved: list[tuple[str, int]] = []
    answer: bytes = b""
    closing: bool = False


class Lease(msgspec.Struct, array_like=True, gc=False):
    """The fields of a `CallRecord` that say what it holds, read without building its CDR."""

    id: str = ""
    slot: int = 0
    generation: int = 0
    call_id: str = ""
    b_call_id: str = ""
    answered: bool = False
    holds: list[str] = []
    gateway: str = ""
    cdr: msgspec.Raw = msgspec.Raw(b"")
    dialog: msgspec.Raw = msgspec.Raw(b"")
    callee: msgspec.Raw = msgspec.Raw(b"")
    caller: msgspec.Raw = msgspec.Raw(b"")
    reserved: list[tuple[str, int]] = []
    paid_until: int = 0
    gateway_reserved: list[tuple[str, int]] = []


class GatewayState(msgspec.Struct, array_like=True, gc=False):
    """Health of one gateway: no candidate before `down_until_ms`, while `down` or `unregistered`.

    As an operation it changes what INVITEs tell, `down_until_ms` and `misses` in a row, and nothing
    else. `down` comes from pings, `unregistered` from a registration that we do not have;
    `trouble` is the last thing that went wrong there, in words, since `trouble_ms`.
    """

    key: str
    down_until_ms: int = 0
    misses: int = 0
    down: bool = False
    unregistered: bool = False
    registered_until_ms: int = 0
    trouble: str = ""
    trouble_ms: int = 0

    @property
    def out_until_ms(self) -> int:
        """Until when it is no candidate, epoch ms; NEVER_MS while nobody can say."""
        return NEVER_MS if self.down or self.unregistered else self.down_until_ms


class Contact(msgspec.Struct, array_like=True, gc=False):
    """Where a phone can be reached until a time: the URI it gave, and where it gave it from.

    `q` is in thousandths. `expires_ms` is epoch ms. `call_id` and `cseq` are those of the REGISTER,
    `transport` to `slot` its way in (`router.core.flow.Flow`): a phone behind NAT hears nothing
    that is sent elsewhere.
    """

    uri: str = ""
    q: int = 1000
    expires_ms: int = 0
    call_id: str = ""
    cseq: int = 0
    transport: str = "udp"
    host: str = ""
    port: int = 0
    listener: int = -1
    connection: int = 0
    slot: int = -1
    user_agent: str = ""


class Registration(msgspec.Struct, array_like=True, gc=False):
    """A phone that is online: its number, its account's name and its contacts."""

    number: str = ""
    account: str = ""
    contacts: list[Contact] = []


_encoder = msgspec.msgpack.Encoder()
_call_decoder = msgspec.msgpack.Decoder(CallRecord)
_lease_decoder = msgspec.msgpack.Decoder(Lease)
_cdr_decoder = msgspec.msgpack.Decoder(Cdr)
_gateway_state_decoder = msgspec.msgpack.Decoder(GatewayState)
_registration_decoder = msgspec.msgpack.Decoder(Registration)
_CALL_BYTE = bytes((CALL_SCHEMA,))
_CDR_BYTE = bytes((CDR_SCHEMA,))
_GATEWAY_STATE_BYTE = bytes((GATEWAY_STATE_SCHEMA,))
_REGISTRATION_BYTE = bytes((REGISTRATION_SCHEMA,))


def encode_call(record: CallRecord) -> bytes:
    """The stored form of a call in progress."""
    try:
        return _CALL_BYTE + _encoder.encode(record)
    except UnicodeEncodeError:
        return _CALL_BYTE + _encoder.encode(
            readable(msgspec.to_builtins(record, builtin_types=(bytes,)))
        )


def decode_call(value: bytes | memoryview) -> CallRecord:
    """The call in progress of a stored value; StoreError when it cannot be read."""
    if not value or value[0] != CALL_SCHEMA:
        raise unknown_schema("call record", value, CALL_SCHEMA)
    try:
        return _call_decoder.decode(value[1:])
    except msgspec.DecodeError as error:
        raise broken("call record", error) from error


def decode_lease(value: bytes | memoryview) -> Lease:
    """What a stored call in progress holds; StoreError when it cannot be read."""
    if not value or value[0] != CALL_SCHEMA:
        raise unknown_schema("call record", value, CALL_SCHEMA)
    try:
        return _lease_decoder.decode(value[1:])
    except msgspec.DecodeError as error:
        raise broken("call record", error) from error


def encode_cdr(cdr: Cdr) -> bytes:
    """The stored form of a CDR, the same in the outbox and in the ledger."""
    try:
        return _CDR_BYTE + _encoder.encode(cdr)
    except UnicodeEncodeError:
        return _CDR_BYTE + _encoder.encode(
            readable(msgspec.to_builtins(cdr, builtin_types=(bytes,)))
        )


def decode_cdr(value: bytes | memoryview) -> Cdr:
    """The CDR of a stored value; StoreError when it cannot be read."""
    if not value or value[0] != CDR_SCHEMA:
        raise unknown_schema("CDR", value, CDR_SCHEMA)
    try:
        return _cdr_decoder.decode(value[1:])
    except msgspec.DecodeError as error:
        raise broken("CDR", error) from error


def encode_gateway_state(state: GatewayState) -> bytes:
    """The stored form of a gateway's health."""
    return _GATEWAY_STATE_BYTE + _encoder.encode(state)


def decode_gateway_state(value: bytes | memoryview) -> GatewayState:
    """The gateway's health of a stored value; StoreError when it cannot be read."""
    if not value or value[0] != GATEWAY_STATE_SCHEMA:
        raise unknown_schema("gateway state", value, GATEWAY_STATE_SCHEMA)
    try:
        return _gateway_state_decoder.decode(value[1:])
    except msgspec.DecodeError as error:
        raise broken("gateway state", error) from error


def encode_registration(registration: Registration) -> bytes:
    """The stored form of a phone's registration."""
    try:
        return _REGISTRATION_BYTE + _encoder.encode(registration)
    except UnicodeEncodeError:
        return _REGISTRATION_BYTE + _encoder.encode(readable(msgspec.to_builtins(registration)))


def decode_registration(value: bytes | memoryview) -> Registration:
    """The registration of a stored value; StoreError when it cannot be read."""
    if not value or value[0] != REGISTRATION_SCHEMA:
        raise unknown_schema("registration", value, REGISTRATION_SCHEMA)
    try:
        return _registration_decoder.decode(value[1:])
    except msgspec.DecodeError as error:
        raise broken("registration", error) from error


def readable(value: object) -> object:
    """The value with every byte that peers sent and that is no UTF-8 spelled out, as in \\xff.

    Inside, such bytes are lone surrogates, so that messages render losslessly; msgpack text has
    no room for them.
    """
    if isinstance(value, str):
        try:
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:  # a surrogate that stands for no byte: a script made it
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, (list, tuple)):
        return [readable(item) for item in value]
    if isinstance(value, dict):
        return {readable(key): readable(item) for key, item in value.items()}
    return value


def unknown_schema(what: str, value: bytes | memoryview, known: int) -> StoreError:
    """What to say of a value that begins with a byte that we do not know."""
    found = f"schema {value[0]}" if value else "an empty value"
    return StoreError(
        f"a stored {what} has {found}, this version of Trunkline reads schema {known}: "
        "run the version that wrote it, or move the state folder away"
    )


def broken(what: str, error: msgspec.DecodeError) -> StoreError:
    """What to say of a value whose byte we know and that is damaged nevertheless."""
    return StoreError(f"a stored {what} cannot be decoded ({error}): the state folder is damaged")
