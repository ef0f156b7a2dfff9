"""The kernel's choice of socket against the owner that the workers compute, on real sockets."""

from __future__ import annotations

import errno
import random
import socket
import struct
from collections.abc import Iterator

import pytest

from router.core.steering import owner_slot
from router.runtime.bpf import MAX_INSTRUCTIONS, attach_steering, steering_program

CALL_ID_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789-.!%*_+`'~()<>:\\\"/[]?{}@"


class Group:
    """A SO_REUSEPORT group on a free loopback port, with the filter attached, and its peer."""

    def __init__(self, slots: int) -> None:
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.bind(("127.0.0.1", 0))
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.members = [first]
        for _ in range(slots - 1):
            member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            member.bind(first.getsockname())
            self.members.append(member)
        for member in self.members:
            member.setblocking(False)
        self.scanned_bytes = attach_steering(first, slots)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.connect(first.getsockname())

    def chosen(self, datagram: bytes) -> int:
        """Index of the member that got the datagram: loopback delivers before send returns."""
        self.peer.send(datagram)
        for index, member in enumerate(self.members):
            try:
                assert member.recv(65535) == datagram
            except BlockingIOError:
                continue
            return index
        raise AssertionError("nobody got the datagram")

    def close(self) -> None:
        for opened in (*self.members, self.peer):
            opened.close()


@pytest.fixture(params=[2, 3, 4, 8])
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    opened = Group(request.param)
    yield opened
    opened.close()


def invite(call_id: str, *, padding: int = 0, name: str = "Call-ID: ", user: str = "1000") -> bytes:
    return (
        f"INVITE sip:{user}@192.0.2.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK{'f' * padding};rport\r\n"
        f"From: <sip:caller@192.0.2.7>;tag=1928301774\r\n"
        f"To: <sip:{user}@192.0.2.1>\r\n"
        f"{name}{call_id}\r\n"
        "CSeq: 1 INVITE\r\nContact: <sip:192.0.2.7>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_the_kernel_chooses_the_owner_of_random_call_ids_at_any_place(group: Group) -> None:
    seed = 20261
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(500):
        call_id = "".join(dice.choices(CALL_ID_CHARACTERS, k=dice.randint(1, 80)))
        datagram = invite(
            call_id,
            padding=dice.randint(0, group.scanned_bytes - 400),
            name=dice.choice(["Call-ID: ", "Call-ID:", "Call-Id: ", "Call-id:"]),
        )
        assert group.chosen(datagram) == owner_slot(call_id, len(group.members)), datagram


@pytest.mark.parametrize("name", ["call-id: ", "CALL-ID: "])
def test_a_header_name_in_other_case_is_found_at_five_of_six_places(
    group: Group, name: str
) -> None:
    slots = len(group.members)
    right = sum(
        group.chosen(invite(f"a84b4c76e66710-{n}", padding=n, name=name))
        == owner_slot(f"a84b4c76e66710-{n}", slots)
        for n in range(60)
    )
    assert right >= 50


@pytest.mark.parametrize(
    "user", ["call", "callee", "Callcenter:Call-Info", "install-1", "session-id:x"]
)
def test_words_that_look_like_the_header_do_not_hide_it(group: Group, user: str) -> None:
    # Elsewhere than right in front of it, where a false hit may cost what is left of a group.
    for padding in range(12):
        start, rest = invite("a84b4c76e66710@pc33", padding=padding).split(b"\r\n", 1)
        datagram = start + b"\r\nX: " + user.encode() + b"\r\n" + rest
        assert group.chosen(datagram) == owner_slot("a84b4c76e66710@pc33", len(group.members))


def test_callers_and_callees_by_name_right_in_front_of_the_header_do_not_hide_it(
    group: Group,
) -> None:
    for padding in range(12):
        datagram = invite("a84b4c76e66710@pc33", user="callee", padding=padding)
        assert group.chosen(datagram) == owner_slot("a84b4c76e66710@pc33", len(group.members))


@pytest.mark.parametrize("length", [1, 3, 4, 5, 47, 48, 49, 52, 200])
def test_exactly_the_first_48_bytes_are_hashed(group: Group, length: int) -> None:
    for last in "abcdefgh":
        call_id = "q" * (length - 1) + last
        assert group.chosen(invite(call_id)) == owner_slot(call_id, len(group.members))


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\r\n\r\n",
        b"\0",
        b"x" * 1200,
        b"OPTIONS sip:x SIP/2.0\r\ni: compact\r\n\r\n",
        b"OPTIONS sip:x SIP/2.0\r\nCall-ID:",
        b"OPTIONS sip:x SIP/2.0\r\nCall-ID: \r\n\r\n",
        b"OPTIONS sip:x SIP/2.0\r\nCall-ID: a\x01b\r\nX: " + b"y" * 90,
        invite("far away", padding=1500),
        invite("large", padding=9000),
    ],
    ids=range(10),
)
def test_whatever_has_no_call_id_within_reach_still_arrives(group: Group, datagram: bytes) -> None:
    assert 0 <= group.chosen(datagram) < len(group.members)


def test_datagrams_without_a_call_id_are_spread_over_the_workers() -> None:
    group = Group(2)
    chosen = set()
    for _ in range(64):
        group.peer.close()
        group.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        group.peer.connect(group.members[0].getsockname())
        chosen.add(group.chosen(b"OPTIONS sip:x SIP/2.0\r\ni: compact\r\n" + b"x" * 64))
    group.close()
    assert chosen == {0, 1}


class SmallKernel:
    """A socket whose kernel takes programs of at most `limit` instructions."""

    def __init__(self, limit: int, refusal: int = errno.ENOMEM) -> None:
        self.limit = limit
        self.refusal = refusal
        self.taken = 0

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        count, _ = struct.unpack("HP", value)
        if count > self.limit:
            raise OSError(self.refusal, "refused")
        self.taken = count


def test_a_program_too_long_for_the_kernel_is_shortened() -> None:
    kernel = SmallKernel(1200)
    assert 350 < attach_steering(kernel, 2) < 600  # type: ignore[arg-type]
    assert 900 < kernel.taken <= 1200


@pytest.mark.parametrize("kernel", [SmallKernel(100), SmallKernel(100, errno.EPERM)])
def test_what_the_kernel_refuses_altogether_is_an_error(kernel: SmallKernel) -> None:
    with pytest.raises(OSError, match="refused"):
        attach_steering(kernel, 2)  # type: ignore[arg-type]


def test_the_longest_program_is_within_the_kernels_limit() -> None:
    assert len(steering_program(240)) // 8 <= MAX_INSTRUCTIONS
