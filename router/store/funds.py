"""Money outside of calls: funds given to accounts, and the rows of the ledger's book.

Stored like all records (`records`): a schema byte and an array, to which fields may be added.
"""

from __future__ import annotations

import msgspec

from router.store.records import broken, readable, unknown_schema

FUNDS_SCHEMA = 1
ROW_SCHEMA = 1
OPENING = "opening"
"""The kind of the balance that routes.cfg gives an account to begin with, and its id's start."""
TOPUP = "topup"
ADJUST = "adjust"


class Funds(msgspec.Struct, array_like=True, gc=False):
    """Money that an account is given or loses other than by a call, once for each `id`.

    `amount` is signed. `kind` is topup, adjust or opening. An id begins with its time like a CDR's
    (`new_funds_id`); that of an opening is `opening_id(account)`, so that there is only one.
    """

    id: str
    account: str
    amount: int
    kind: str = TOPUP
    note: str = ""
    who: str = ""
    at_ms: int = 0


class Row(msgspec.Struct, array_like=True, gc=False):
    """A line of an account's book: what changed its balance, and the balance after it.

    `kind` is that of the funds or of the charge; a charge has the id of its CDR.
    """

    account: str = ""
    seq: int = 0
    at_ms: int = 0
    amount: int = 0
    balance: int = 0
    kind: str = ""
    cdr_id: str = ""
    note: str = ""
    who: str = ""


_encoder = msgspec.msgpack.Encoder()
_funds_decoder = msgspec.msgpack.Decoder(Funds)
_row_decoder = msgspec.msgpack.Decoder(Row)
_FUNDS_BYTE = bytes((FUNDS_SCHEMA,))
_ROW_BYTE = bytes((ROW_SCHEMA,))


def encode_funds(funds: Funds) -> bytes:
    """The stored form of funds, the same in the outbox and in the ledger."""
    try:
        return _FUNDS_BYTE + _encoder.encode(funds)
    except UnicodeEncodeError:
        return _FUNDS_BYTE + _encoder.encode(readable(msgspec.to_builtins(funds)))


def decode_funds(value: bytes | memoryview) -> Funds:
    """The funds of a stored value; StoreError when they cannot be read."""
    if not value or value[0] != FUNDS_SCHEMA:
        raise unknown_schema("payment", value, FUNDS_SCHEMA)
    try:
        return _funds_decoder.decode(value[1:])
    except msgspec.DecodeError as error:
        raise broken("payment", error) from error


def encode_row(row: Row) -> bytes:
    """The stored form of a row of the ledger."""
    try:
        return _ROW_BYTE + _encoder.encode(row)
    except UnicodeEncodeError:
        return _ROW_BYTE + _encoder.encode(readable(msgspec.to_builtins(row)))


def decode_row(value: bytes | memoryview) -> Row:
    """The row of a stored value; StoreError when it cannot be read."""
    if not value or value[0] != ROW_SCHEMA:
        raise unknown_schema("row", value, ROW_SCHEMA)
    try:
        return _row_decoder.decode(value[1:])
    except msgspec.DecodeError as error:
        raise broken("row", error) from error


def opening_id(account: str) -> str:
    """The id of the one opening balance of an account."""
    return f"{OPENING}:{account}"


def new_funds_id(at_ms: int, token: str) -> str:
    """The id of funds given at a time; `token` is what nobody else has."""
    return f"{at_ms:012x}-{token}"
