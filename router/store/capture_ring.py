"""The ring of captured SIP messages: segments in STATE/capture, the oldest of which goes first.

    FIRSTTIME-SLOT.cap    MAGIC, then for each message its length and CRC-32 (4 bytes each, little
                          endian) and a msgpack array

Every worker writes segments of its own and takes away the oldest of all, whoever wrote it, so that
the folder stays within its size whatever the number of workers. Nothing is fsynced. What a killed
worker has left cut short is the end of its last segment: its length or its CRC shows it, readers
go no further there, and its successor begins another segment. A disk that takes only half of what
is written leaves no trace: the half is taken back.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import msgspec

from router.store.errors import StoreError

CAPTURE_DIR = "capture"
SUFFIX = ".cap"
MAGIC = b"TLCAP1\n"
SEGMENTS = 16
"""So many make up the ring when one worker writes it: what goes at once is a sixteenth."""
SMALLEST_SEGMENT = 64 * 1024
LARGEST_SEGMENT = 16 * 1024 * 1024
MAX_DATA = 65_535
"""Bytes of one message: no datagram is longer."""
MAX_RECORD = MAX_DATA + 1_024
MAX_CALL_ID = 255
_HEAD = struct.Struct("<II")


class Captured(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message: when (epoch us), of which call, where to, and its bytes.

    `call` is the id of its CDR, "" where it belongs to no call; `call_id` the Call-ID of the
    caller's leg, or the message's own, cut to MAX_CALL_ID; `outward` is true for what we sent;
    `here` and `there` are (host, port), ours and the peer's.
    """

    at_us: int
    call: str
    call_id: bytes
    outward: bool
    transport: str
    here: tuple[str, int]
    there: tuple[str, int]
    data: bytes

    @property
    def source(self) -> tuple[str, int]:
        """Who sent it."""
        return self.here if self.outward else self.there

    @property
    def target(self) -> tuple[str, int]:
        """Who got it."""
        return self.there if self.outward else self.here


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Captured)


class RingWriter:
    """Writes one worker's part of a ring of `size` bytes in all; OSError when it cannot."""

    def __init__(self, folder: Path, slot: int, size: int, slots: int = 1) -> None:
        self._folder = folder
        self._slot = slot
        self._slots = max(1, slots)
        self._fd = -1
        self._written = 0
        self.resize(size)

    def resize(self, size: int) -> None:
        """Stay within another size from the next segment on."""
        self._segment = segment_bytes(size, self._slots)
        # Every other worker may fill its segment meanwhile.
        self._room = max(size - self._segment * self._slots, 0)

    def write(self, messages: Iterable[Captured]) -> None:
        """Append messages; what one segment does not hold goes to the next.

        OSError when the disk does not take them: those before may be there or not, none in part.
        """
        chunk = bytearray()
        for message in messages:
            raw = _encoder.encode(message)
            size = _HEAD.size + len(raw)
            if self._fd < 0 or self._written + len(chunk) + size > self._segment:
                self._append(chunk)
                chunk = bytearray()
                self._begin(message.at_us)
            chunk += _HEAD.pack(len(raw), crc32(raw))
            chunk += raw
        self._append(chunk)

    def close(self) -> None:
        """Close the segment; it stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, chunk: bytearray) -> None:
        if not chunk:
            return
        if os.fstat(self._fd).st_nlink == 0:  # a busier worker needed the room, or clear
            first = bytes(chunk[_HEAD.size : _HEAD.size + _HEAD.unpack_from(chunk)[0]])
            self._begin(_decoder.decode(first).at_us)
        left = memoryview(chunk)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self._written)
            self.close()
            raise
        self._written += len(chunk)

    def _begin(self, at_us: int) -> None:
        self.close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room()
        while True:
            path = self._folder / f"{at_us:016x}-{self._slot:03d}{SUFFIX}"
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
                break
            except FileExistsError:
                at_us += 1
        try:
            self._written = os.write(fd, MAGIC)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def _make_room(self) -> None:
        """Take the oldest segments away, until one more fits in."""
        found = segments(self._folder)
        sizes = [_size_of(path) for path in found]
        excess = sum(sizes) - self._room
        for path, size in zip(found, sizes, strict=True):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


def segment_bytes(size: int, slots: int) -> int:
    """How large a segment becomes in a ring of `size` bytes that `slots` workers write."""
    # Each of them has one in work, and one beside it that is whole.
    most = size // (2 * max(1, slots))
    wanted = max(SMALLEST_SEGMENT, min(size // SEGMENTS // max(1, slots), LARGEST_SEGMENT))
    return max(min(wanted, most), MAX_RECORD + _HEAD.size + len(MAGIC))


def segments(folder: Path) -> list[Path]:
    """The segments of a ring, oldest first; none where nothing was ever captured."""
    try:
        return sorted(folder.glob(f"*{SUFFIX}"))
    except OSError:
        return []


def ring_bytes(folder: Path) -> int:
    """How much the ring holds now."""
    return sum(map(_size_of, segments(folder)))


def clear_ring(folder: Path) -> int:
    """Take everything away; how many bytes. A worker that writes goes on in a new segment."""
    gone = 0
    for path in segments(folder):
        size = _size_of(path)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: {(error.strerror or '').lower()}") from error
        gone += size
    return gone


def read_ring(folder: Path) -> Iterator[Captured]:
    """Every message, segment by segment; StoreError for a folder that may not be read.

    Within a segment they are in order of writing, which is nearly that of time.
    """
    if not os.access(folder, os.R_OK | os.X_OK) and folder.exists():
        raise StoreError(f"{folder}: permission denied")
    for path in segments(folder):
        try:
            raw = path.read_bytes()
        except FileNotFoundError:  # overwritten meanwhile
            continue
        except OSError as error:
            raise StoreError(f"{path}: {(error.strerror or '').lower()}") from error
        if raw.startswith(MAGIC):
            yield from _messages_in(raw)


def _messages_in(raw: bytes) -> Iterator[Captured]:
    at = len(MAGIC)
    while at + _HEAD.size <= len(raw):
        length, checksum = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        record = raw[at : at + length]
        # Cut short: the writer was killed here, the machine was, or it writes on at this moment.
        if length > MAX_RECORD or len(record) < length or crc32(record) != checksum:
            return
        with suppress(msgspec.DecodeError):
            yield _decoder.decode(record)
        at += length


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
