"""HEP3: what leaves for a Homer, read by a decoder of its own (EEP/HEP3 revision 12, §4)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.runtime.hep import MOST_BYTES, HepPlan, HepSender, render_hep
from router.store.capture_ring import MAX_CALL_ID, MAX_DATA, Captured


def chunks(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Vendor, type and value of each chunk."""
    assert datagram[:4] == b"HEP3"
    assert int.from_bytes(datagram[4:6]) == len(datagram)
    at = 6
    while at < len(datagram):
        vendor, kind, length = struct.unpack_from("!HHH", datagram, at)
        assert length >= 6
        value = datagram[at + 6 : at + length]
        assert len(value) == length - 6
        yield vendor, kind, value
        at += length


def decoded(datagram: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for vendor, kind, value in chunks(datagram):
        assert vendor == 0, "generic chunks only"
        assert kind not in found
        found[kind] = value
    return found


def message(**given) -> Captured:
    facts = {
        "at_us": 1_795_591_351_794_298, "call": "1f", "call_id": b"a@b", "outward": True,
        "transport": "udp", "here": ("192.0.2.1", 5060), "there": ("198.51.100.7", 5080),
        "data": b"OPTIONS sip:x SIP/2.0\r\n\r\n",
    }
    return Captured(**{**facts, **given})


def test_a_message_over_ipv4_has_the_chunks_that_the_specification_names() -> None:
    assert list(chunks(render_hep(message(), 2_001))) == [
        (0, 0x01, b"\x02"),  # AF_INET
        (0, 0x02, b"\x11"),  # UDP
        (0, 0x03, bytes((192, 0, 2, 1))),
        (0, 0x04, bytes((198, 51, 100, 7))),
        (0, 0x07, (5060).to_bytes(2)),
        (0, 0x08, (5080).to_bytes(2)),
        (0, 0x09, (1_795_591_351).to_bytes(4)),
        (0, 0x0A, (794_298).to_bytes(4)),
        (0, 0x0B, b"\x01"),  # SIP
        (0, 0x0C, (2_001).to_bytes(4)),
        (0, 0x11, b"a@b"),
        (0, 0x0F, b"OPTIONS sip:x SIP/2.0\r\n\r\n"),
    ]


def test_what_comes_in_over_a_stream_and_ipv6() -> None:
    found = decoded(
        render_hep(
            message(
                outward=False, transport="tcp", here=("2001:db8::1", 5060),
                there=("2001:db8::2%eth0", 40_000),
            ),
            1,
        )
    )
    assert (found[1], found[2]) == (b"\x0a", b"\x06")
    assert found[5] == ip_address("2001:db8::2").packed
    assert found[6] == ip_address("2001:db8::1").packed
    assert (int.from_bytes(found[7]), int.from_bytes(found[8])) == (40_000, 5060)
    assert 3 not in found and 4 not in found


def test_addresses_of_two_families_become_one() -> None:
    found = decoded(render_hep(message(there=("2001:db8::2", 5060)), 1))
    assert found[5] == ip_address("::ffff:192.0.2.1").packed


hosts = st.sampled_from(["192.0.2.1", "2001:db8::1"])
ends = st.tuples(hosts, st.integers(0, 65_535))


@given(
    st.integers(0, (1 << 32) * 1_000_000 - 1), st.booleans(), ends, ends,
    st.binary(max_size=MAX_CALL_ID), st.binary(max_size=500), st.integers(0, (1 << 32) - 1),
)
def test_any_message_is_one_datagram_that_says_the_same(
    at_us, outward, here, there, call_id, data, capture_id
) -> None:
    one = message(
        at_us=at_us, outward=outward, here=here, there=there, call_id=call_id, data=data
    )
    found = decoded(render_hep(one, capture_id))
    assert int.from_bytes(found[9]) * 1_000_000 + int.from_bytes(found[10]) == at_us
    assert int.from_bytes(found[7]) == one.source[1]
    assert found[15] == data and found.get(17, b"") == call_id
    assert int.from_bytes(found[12]) == capture_id


def test_a_message_that_fits_no_datagram_is_refused() -> None:
    room = MOST_BYTES - len(render_hep(message(data=b""), 1))
    assert len(render_hep(message(data=bytes(room)), 1)) == MOST_BYTES
    with pytest.raises(ValueError, match="too long"):
        render_hep(message(data=bytes(room + 1)), 1)


@pytest.fixture
def homer() -> Iterator[socket.socket]:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", 0))
    opened.settimeout(5)
    yield opened
    opened.close()


def test_a_batch_is_sent_and_what_does_not_fit_is_counted(homer: socket.socket) -> None:
    sender = HepSender()
    plan = HepPlan(homer.getsockname(), 7)
    batch = [message(), message(data=bytes(MAX_DATA)), message(call_id=b"")]
    assert sender.send(batch, plan) == 1
    assert "too long" in sender.fault
    assert [17 in decoded(homer.recv(65_535)) for _ in range(2)] == [True, False]
    sender.close()


def test_a_homer_that_is_not_there_costs_nothing_but_is_told_of(homer: socket.socket) -> None:
    sender = HepSender()
    plan = HepPlan(homer.getsockname(), 7)
    homer.close()
    lost = sum(sender.send([message()], plan) for _ in range(5))
    assert 0 < lost <= 5
    assert sender.fault == "Homer: connection refused"
    sender.close()


def test_another_homer_is_taken_from_the_next_batch_on(homer: socket.socket) -> None:
    sender = HepSender()
    sender.send([message()], HepPlan(("127.0.0.1", 9), 7))
    assert sender.send([message()], HepPlan(homer.getsockname(), 8)) == 0
    assert int.from_bytes(decoded(homer.recv(65_535))[12]) == 8
    sender.close()


def test_an_address_that_cannot_be_reached_is_told_of() -> None:
    sender = HepSender()
    assert sender.send([message()] * 3, HepPlan(("255.255.255.255", 9060), 7)) == 3
    assert sender.fault.startswith("Homer: ")
