from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import sample_call, sample_cdr

from router.store import records
from router.store.errors import StoreError
from router.store.records import (
    CallRecord,
    Cdr,
    GatewayState,
    Lease,
    decode_call,
    decode_cdr,
    decode_gateway_state,
    decode_lease,
    encode_call,
    encode_cdr,
    encode_gateway_state,
)

FIELDS_OF_THE_DESIGN = """
    id call_id b_call_id account agent_path trunk phone source caller_in callee_in caller_out
    callee_out gateway attempt attempts started ringing answered ended pdd_ms duration_ms billed_s
    rate_prefix rate charge cost end_reason end_side sip_code q850 codec config worker variables
    decision charges route_lines cost_terms mos_hundredths
"""


def test_every_field_of_a_cdr_has_the_name_that_the_design_gives_it() -> None:
    assert list(Cdr.__struct_fields__) == FIELDS_OF_THE_DESIGN.split()


def test_a_stored_record_is_a_schema_byte_and_a_msgpack_array() -> None:
    value = encode_cdr(sample_cdr(1))
    assert value[0] == records.CDR_SCHEMA
    fields = msgspec.msgpack.decode(value[1:])
    assert isinstance(fields, list)
    assert fields[0] == sample_cdr(1).id


def test_records_are_read_back_as_written() -> None:
    call, cdr = sample_call(1), sample_cdr(1)
    state = GatewayState("gateway:a", 5, 2)
    assert decode_call(encode_call(call)) == call
    assert decode_cdr(encode_cdr(cdr)) == cdr
    assert decode_gateway_state(encode_gateway_state(state)) == state


def test_a_lease_is_the_beginning_of_the_call() -> None:
    assert CallRecord.__struct_fields__[: len(Lease.__struct_fields__)] == Lease.__struct_fields__
    call = sample_call(1)
    call.holds, call.gateway = ["account:a"], "gateway:b"
    lease = decode_lease(encode_call(call))
    assert (lease.id, lease.slot, lease.holds, lease.gateway) == (
        call.id,
        call.slot,
        ["account:a"],
        "gateway:b",
    )


@pytest.mark.parametrize("decode", [decode_call, decode_lease, decode_cdr, decode_gateway_state])
@pytest.mark.parametrize("value", [b"", b"\x00\x90", b"\xff\x90", b"\x01\xc1", b"\x01\x91\x05"])
def test_what_cannot_be_read_is_a_store_error_in_words(
    decode: Callable[[bytes], object], value: bytes
) -> None:
    with pytest.raises(StoreError, match=r"a stored (call record|CDR|gateway state) "):
        decode(value)


def test_a_field_added_at_the_end_is_skipped_by_an_older_reader() -> None:
    fields = msgspec.msgpack.decode(encode_cdr(sample_cdr(1))[1:])
    newer = bytes((records.CDR_SCHEMA,)) + msgspec.msgpack.encode([*fields, "new", 5])
    assert decode_cdr(newer) == sample_cdr(1)


def test_a_field_missing_at_the_end_takes_its_default() -> None:
    fields = msgspec.msgpack.decode(encode_cdr(sample_cdr(1))[1:])
    older = bytes((records.CDR_SCHEMA,)) + msgspec.msgpack.encode(fields[:33])
    cdr = decode_cdr(older)
    assert (cdr.variables, cdr.decision, cdr.charges) == ({}, [], [])


def test_bytes_of_peers_that_are_no_utf8_are_spelled_out() -> None:
    call = sample_call(1)
    call.call_id = b"\xff\xfe@x".decode("utf-8", "surrogateescape")
    call.cdr.variables = {"\udc80": "\ud800 made by a script"}
    stored = decode_call(encode_call(call))
    assert stored.call_id == "\\xff\\xfe@x"
    assert stored.cdr.variables == {"\\x80": "\\ud800 made by a script"}
    assert stored.dialog == call.dialog


TEXT = st.text(st.characters(), max_size=20)


@given(
    call_id=TEXT,
    variables=st.dictionaries(TEXT, TEXT, max_size=3),
    decision=st.lists(TEXT, max_size=3),
    numbers=st.integers(min_value=-(2**63), max_value=2**63 - 1),
)
def test_any_text_and_number_can_be_stored(
    call_id: str, variables: dict[str, str], decision: list[str], numbers: int
) -> None:
    cdr = Cdr(id="x", call_id=call_id, variables=variables, decision=decision, charge=numbers)
    stored = decode_cdr(encode_cdr(cdr))
    assert stored.charge == numbers
    assert decode_cdr(encode_cdr(stored)) == stored
    if not any(0xD800 <= ord(sign) < 0xE000 for sign in repr_text(cdr)):
        assert stored == cdr


def repr_text(cdr: Cdr) -> str:
    """All text of the CDR that may hold surrogates."""
    return "".join([cdr.call_id, *cdr.decision, *cdr.variables, *cdr.variables.values()])
