"""The kernel's part of steering: a classic BPF program that sends a datagram to its call's owner.

Attached to a SO_REUSEPORT group it sees the UDP payload from offset 0 and returns the index of the
socket to take, which is the order in which the sockets joined the group. It computes what
`router.core.steering` computes. What it cannot find (compact `i:`, a Call-ID too far down, a
truncated message) it leaves to the kernel's own hash of the addresses, and the worker that gets
such a datagram hands it to the owner: this is an optimisation, correctness never rests on it.

Classic BPF only jumps forward, so everything is unrolled:

    scan    every sixth byte offset: load a word, compare it with the six words that stand inside
            "\\nCall-ID:" in any case; one of them must meet such an offset, and jumps to its pad.
            Only "Call" has to be spelled so, for "sip:callee@..." is too common
    pad     X = where the line feed must be, one per word and group
    check   is it really "\\nCall-ID:" in any case? If not, on with the next group: a false hit
            leaves at most the rest of its group unseen
    sum     12 words of the value at once, two lanes of 16 bits; the word with the CR byte by byte;
            return sum % 240 % slots

Every load becomes some 15 instructions of the kernel's own, and those are limited (see
`attach_steering`): that is why it loads words and not bytes.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

from router.core.steering import BUCKETS, HASHED_BYTES

SO_ATTACH_REUSEPORT_CBPF = 51

MAX_INSTRUCTIONS = 4096
STEP_BYTES = 6
GROUP_STEPS = 8
GROUP_BYTES = STEP_BYTES * GROUP_STEPS
SCANNED_GROUPS = 30
"""1,440 bytes: a datagram that fills an Ethernet frame."""

# Opcodes of <linux/filter.h>.
LD_WORD_AT = 0x20
LD_WORD_X = 0x40
LD_BYTE_X = 0x50
LD_LENGTH = 0x80
LD_SCRATCH = 0x60
LDX_CONSTANT = 0x01
LDX_SCRATCH = 0x61
STORE_A = 0x02
STORE_X = 0x03
ADD_CONSTANT = 0x04
ADD_X = 0x0C
SUBTRACT_CONSTANT = 0x14
OR_CONSTANT = 0x44
OR_X = 0x4C
AND_CONSTANT = 0x54
SHIFT_RIGHT = 0x74
MODULO = 0x94
JUMP = 0x05
JUMP_IF_EQUAL = 0x15
JUMP_IF_AT_LEAST = 0x35
A_TO_X = 0x07
X_TO_A = 0x87
RETURN_CONSTANT = 0x06
RETURN_A = 0x16

NO_SUCH_SOCKET = 0xFFFFFFFF
"""An index outside the group: the kernel then chooses by its hash of the addresses."""

NEEDLE = b"\nCall-ID:"
FOLD = 0x20202020
LANES = 0x00FF00FF
SUM, VALUE, WORD = 0, 1, 2  # cells of the scratch memory


def _word(text: bytes) -> int:
    """Four bytes as the program loads them."""
    return int.from_bytes(text, "big")


class _Assembler:
    """Instructions with named targets; a conditional jump reaches 255 instructions, JUMP any."""

    def __init__(self) -> None:
        self.code: list[tuple[int, int, str, str]] = []
        self.labels: dict[str, int] = {}

    def add(self, opcode: int, value: int = 0, *, then: str = "", otherwise: str = "") -> None:
        self.code.append((opcode, value, then, otherwise))

    def label(self, name: str) -> None:
        self.labels[name] = len(self.code)

    def _distance(self, place: int, target: str) -> int:
        return self.labels[target] - place - 1 if target else 0

    def assembled(self) -> bytes:
        """Array of `struct sock_filter`."""
        packed = bytearray()
        for place, (opcode, value, then, otherwise) in enumerate(self.code):
            yes, no = self._distance(place, then), self._distance(place, otherwise)
            if opcode == JUMP:
                packed += struct.pack("=HBBI", opcode, 0, 0, yes)
            else:
                packed += struct.pack("=HBBI", opcode, yes, no, value)
        return bytes(packed)


def _add_group(code: _Assembler, start: int) -> None:
    """Scan GROUP_BYTES from `start`; falls through when nothing is there."""
    leads = range(STEP_BYTES)
    scan, check, end = (f"{start} {part}" for part in ("scan", "check", "end"))
    # A load behind the end would end the program with socket 0, for everything short.
    code.add(LD_LENGTH)
    code.add(JUMP_IF_AT_LEAST, start + GROUP_BYTES, then=scan)
    code.add(JUMP, then="unknown")
    code.label(scan)
    for offset in range(start, start + GROUP_BYTES, STEP_BYTES):
        code.add(LDX_CONSTANT, offset)
        code.add(LD_WORD_AT, offset)
        if offset:
            code.add(JUMP_IF_EQUAL, _word(b"Call"), then=f"{start} pad 1")
        code.add(OR_CONSTANT, FOLD)
        for lead in leads:
            if lead != 1 and lead <= offset:
                word = _word(NEEDLE[lead : lead + 4]) | FOLD
                code.add(JUMP_IF_EQUAL, word, then=f"{start} pad {lead}")
    code.add(JUMP, then=end)
    for lead in leads:
        code.label(f"{start} pad {lead}")
        code.add(X_TO_A)
        code.add(SUBTRACT_CONSTANT, lead)
        code.add(A_TO_X)
        if lead != leads[-1]:
            code.add(JUMP, then=check)
    code.label(check)
    code.add(LD_WORD_X, 0)
    code.add(OR_CONSTANT, FOLD)
    code.add(JUMP_IF_EQUAL, _word(NEEDLE[:4]) | FOLD, otherwise=end)
    code.add(LD_WORD_X, len(NEEDLE) - 4)
    code.add(OR_CONSTANT, FOLD)
    code.add(JUMP_IF_EQUAL, _word(NEEDLE[-4:]) | FOLD, otherwise=end)
    code.add(JUMP, then="found")
    code.label(end)


def _add_sum(code: _Assembler, slots: int) -> None:
    """Hash the value whose header line begins at the line feed at X."""
    code.add(STORE_X, VALUE)
    code.add(LDX_CONSTANT, 0)
    code.add(STORE_X, SUM)
    code.add(LDX_SCRATCH, VALUE)
    code.add(LD_BYTE_X, len(NEEDLE))
    code.add(JUMP_IF_EQUAL, ord(" "), otherwise="no space")
    code.add(X_TO_A)
    code.add(ADD_CONSTANT, 1)
    code.add(A_TO_X)
    code.add(STORE_X, VALUE)
    code.label("no space")
    for offset in range(len(NEEDLE), len(NEEDLE) + HASHED_BYTES, 4):
        code.add(LD_WORD_X, offset)
        code.add(STORE_A, WORD)
        # A byte with neither bit 5 nor bit 6 is no character of a Call-ID: the CR, nearly always.
        code.add(SHIFT_RIGHT, 1)
        code.add(A_TO_X)
        code.add(LD_SCRATCH, WORD)
        code.add(OR_X)
        code.add(AND_CONSTANT, FOLD)
        code.add(JUMP_IF_EQUAL, FOLD, then=f"whole {offset}")
        code.add(JUMP, then="last word")
        code.label(f"whole {offset}")
        code.add(LD_SCRATCH, WORD)
        code.add(SHIFT_RIGHT, 8)
        code.add(AND_CONSTANT, LANES)
        code.add(A_TO_X)
        code.add(LD_SCRATCH, WORD)
        code.add(AND_CONSTANT, LANES)
        code.add(ADD_X)
        code.add(LDX_SCRATCH, SUM)
        code.add(ADD_X)
        code.add(STORE_A, SUM)
        code.add(LDX_SCRATCH, VALUE)
    code.add(JUMP, then="done")
    code.label("last word")
    for shift in (24, 16, 8, 0):
        code.add(LD_SCRATCH, WORD)
        code.add(SHIFT_RIGHT, shift)
        code.add(AND_CONSTANT, 0xFF)
        code.add(JUMP_IF_EQUAL, ord("\r"), then="done")
        code.add(LDX_SCRATCH, SUM)
        code.add(ADD_X)
        code.add(STORE_A, SUM)
    code.add(RETURN_CONSTANT, NO_SUCH_SOCKET)  # a control character inside a Call-ID
    code.label("done")
    code.add(LD_SCRATCH, SUM)
    code.add(SHIFT_RIGHT, 16)
    code.add(A_TO_X)
    code.add(LD_SCRATCH, SUM)
    code.add(AND_CONSTANT, 0xFFFF)
    code.add(ADD_X)
    code.add(MODULO, BUCKETS)
    code.add(MODULO, slots)
    code.add(RETURN_A)


def steering_program(slots: int, groups: int = SCANNED_GROUPS) -> bytes:
    """Array of `struct sock_filter` that returns the owner's slot, 0 to slots - 1.

    It scans `groups` times GROUP_BYTES of the payload.
    """
    code = _Assembler()
    for group in range(groups):
        _add_group(code, group * GROUP_BYTES)
    code.label("unknown")
    code.add(RETURN_CONSTANT, NO_SUCH_SOCKET)
    code.label("found")
    _add_sum(code, slots)
    return code.assembled()


def attach_steering(member: socket.socket, slots: int) -> int:
    """Steer the SO_REUSEPORT group of `member` by Call-ID; how many bytes of a datagram it scans.

    The kernel charges the program, in its own longer form, against net.core.optmem_max (20 kB
    before Linux 6.7, 128 kB since): what does not fit is shortened. Raises OSError when the kernel
    refuses even the shortest.
    """
    groups = SCANNED_GROUPS
    while True:
        program = steering_program(slots, groups)
        memory = ctypes.create_string_buffer(program, len(program))
        fprog = struct.pack("HP", len(program) // 8, ctypes.addressof(memory))
        try:
            member.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, fprog)
        except OSError as error:
            groups = groups * 9 // 10
            if error.errno != errno.ENOMEM or groups < 2:
                raise
        else:
            return groups * GROUP_BYTES
