"""The pcap file: layers with right lengths and checksums, read by hand and by tshark."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from router.admin.pcap import MAX_UDP, PcapWriter
from router.store.capture_ring import MAX_DATA, Captured

US, THEM = ("192.0.2.1", 5060), ("198.51.100.7", 5080)
US6, THEM6 = ("2001:db8::1", 5060), ("2001:db8::7", 5080)
START_US = 1_795_591_351_000_000
INVITE = (
    b"INVITE sip:8613@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5080;branch=z9hG4bKa\r\n"
    b"From: <sip:1@x>;tag=a\r\nTo: <sip:8613@x>\r\nCall-ID: first@x\r\nCSeq: 1 INVITE\r\n"
    b"Max-Forwards: 70\r\nContact: <sip:1@198.51.100.7:5080>\r\nContent-Length: 0\r\n\r\n"
)
RINGING = INVITE.replace(b"INVITE sip:8613@192.0.2.1 SIP/2.0", b"SIP/2.0 180 Ringing")


def message(
    data: bytes = INVITE, *, outward: bool = False, transport: str = "udp", at_us: int = 0,
    here: tuple[str, int] = US, there: tuple[str, int] = THEM,
) -> Captured:
    return Captured(START_US + at_us, "1f", b"a", outward, transport, here, there, data)


def written(messages: list[Captured]) -> bytes:
    file = io.BytesIO()
    assert PcapWriter(file).write_all(messages) == len(messages)
    return file.getvalue()


def packets(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """When (epoch us), and the frame."""
    assert struct.unpack_from("<IHHiIII", raw) == (0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    at = 24
    while at < len(raw):
        seconds, micros, kept, length = struct.unpack_from("<IIII", raw, at)
        assert kept == length and micros < 1_000_000
        yield seconds * 1_000_000 + micros, raw[at + 16 : at + 16 + kept]
        at += 16 + kept
    assert at == len(raw)


def ones(raw: bytes) -> int:
    """The sum that is 0xFFFF over a packet whose checksum is right (RFC 1071)."""
    total = 0
    for at in range(0, len(raw), 2):
        total += int.from_bytes(raw[at : at + 2].ljust(2, b"\0"))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def unpacked(frame: bytes) -> tuple[str, str, int, bytes]:
    """Source, target, protocol and what is in the IP packet, all checked."""
    kind, ip = frame[12:14], frame[14:]
    assert frame[:6] != frame[6:12]
    if kind == b"\x08\x00":
        assert ip[0] == 0x45 and int.from_bytes(ip[2:4]) == len(ip)
        assert ones(ip[:20]) == 0xFFFF
        source, target, protocol, inner = ip[12:16], ip[16:20], ip[9], ip[20:]
    else:
        assert kind == b"\x86\xdd" and ip[0] >> 4 == 6
        assert int.from_bytes(ip[4:6]) == len(ip) - 40
        source, target, protocol, inner = ip[8:24], ip[24:40], ip[6], ip[40:]
    pseudo = source + target + struct.pack("!II", len(inner), protocol)
    assert ones(pseudo + inner) == 0xFFFF
    return str(ip_address(source)), str(ip_address(target)), protocol, inner


def test_datagrams_of_both_families_and_directions() -> None:
    raw = written(
        [message(), message(RINGING, outward=True, at_us=1_234), message(here=US6, there=THEM6)]
    )
    found = [(at - START_US, *unpacked(frame)) for at, frame in packets(raw)]
    assert [one[:4] for one in found] == [
        (0, "198.51.100.7", "192.0.2.1", 17),
        (1_234, "192.0.2.1", "198.51.100.7", 17),
        (0, "2001:db8::7", "2001:db8::1", 17),
    ]
    for (_, _, _, _, datagram), data in zip(found, (INVITE, RINGING, INVITE), strict=True):
        assert int.from_bytes(datagram[4:6]) == len(datagram)
        assert datagram[8:] == data
    assert struct.unpack_from("!HH", found[0][4]) == (5080, 5060)
    assert struct.unpack_from("!HH", found[1][4]) == (5060, 5080)


def test_a_stream_begins_with_a_handshake_and_loses_nothing() -> None:
    long = INVITE + bytes(5_000)
    raw = written(
        [
            message(long, transport="tcp"),
            message(RINGING, outward=True, transport="tcp"),
            message(INVITE, transport="tcp"),
        ]
    )
    streams: dict[str, bytes] = {}
    following: dict[str, int] = {}
    flags = []
    for _, frame in packets(raw):
        source, _, protocol, segment = unpacked(frame)
        assert protocol == 6
        sequence, acknowledged, offset, bits = struct.unpack_from("!IIBB", segment, 4)
        data = segment[(offset >> 4) * 4 :]
        assert following.get(source, sequence) == sequence
        following[source] = sequence + len(data) + (bits & 0x02) // 2
        others = [seen for who, seen in following.items() if who != source]
        assert acknowledged == (others[0] if others else 0)
        streams[source] = streams.get(source, b"") + data
        flags.append(bits)
    assert flags[:3] == [0x02, 0x12, 0x10]
    assert streams == {"198.51.100.7": long + INVITE, "192.0.2.1": RINGING}


ends = st.tuples(
    st.sampled_from(["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "a.name"]), st.integers(0, 65_535)
)


@given(
    st.lists(
        st.builds(
            Captured, st.integers(0, (1 << 32) * 1_000_000 - 1), st.just("c"), st.just(b"a"),
            st.booleans(), st.sampled_from(["udp", "tcp", "tls"]), ends, ends,
            st.one_of(st.binary(max_size=40), st.integers(0, MAX_DATA).map(bytes)),
        ),
        max_size=5,
    )
)
def test_whatever_was_captured_is_a_file_of_sound_packets(messages: list[Captured]) -> None:
    inside = 0
    for _, frame in packets(written(messages)):
        _, _, protocol, inner = unpacked(frame)
        inside += len(inner) - (8 if protocol == 17 else 20)
    assert inside == sum(
        min(len(one.data), MAX_UDP) if one.transport == "udp" else len(one.data)
        for one in messages
    )


def test_tshark_reads_sip_on_any_port_over_each_transport(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    assert tshark, "tshark is not installed: .ci/setup packages installs it"
    sdp = b"v=0\r\n" + b"a=x:" + b"y" * 4_000 + b"\r\n"
    long = INVITE.replace(b"Content-Length: 0", b"Content-Length: %d" % len(sdp)) + sdp
    messages = []
    for transport in ("udp", "tcp"):
        for here, there in ((US, THEM), (US6, THEM6)):
            there = (there[0], 37_123)
            both = {"here": (here[0], 25_062), "there": there, "transport": transport}
            messages.append(message(long, **both))
            messages.append(message(RINGING, outward=True, at_us=250_001, **both))
    file = tmp_path / "calls.pcap"
    file.write_bytes(written(messages))
    fields = (
        "frame.time_epoch", "ip.src", "ipv6.src", "sip.Method", "sip.Status-Code", "sip.Call-ID",
        "_ws.malformed", "tcp.analysis.flags", "ip.checksum.status", "udp.checksum.status",
        "tcp.checksum.status",
    )
    done = subprocess.run(
        [
            tshark, "-r", str(file), "-Y", "sip", "-T", "fields", "-E", "separator=|",
            "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
            "-o", "tcp.check_checksum:TRUE",
            *(word for one in fields for word in ("-e", one)),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )
    rows = [dict(zip(fields, line.split("|"), strict=True)) for line in done.stdout.splitlines()]
    assert [(row["sip.Method"], row["sip.Status-Code"]) for row in rows] == [
        ("INVITE", ""), ("", "180"),
    ] * 4
    assert [row["ip.src"] or row["ipv6.src"] for row in rows] == [
        THEM[0], US[0], THEM6[0], US6[0],
    ] * 2
    for row in rows:
        assert row["sip.Call-ID"] == "first@x"
        assert row["_ws.malformed"] == "" and row["tcp.analysis.flags"] == ""
        assert row["ip.checksum.status"] in ("1", "")
        assert (row["udp.checksum.status"] or row["tcp.checksum.status"]) == "1"
    times = [float(row["frame.time_epoch"]) for row in rows[:2]]
    assert times == [START_US / 1e6, START_US / 1e6 + 0.250001]
