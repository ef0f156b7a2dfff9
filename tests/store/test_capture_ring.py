"""The ring of captured messages: bounded, in order, unharmed by whatever cuts a write short."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.store import capture_ring
from router.store.capture_ring import (
    MAX_CALL_ID,
    MAX_DATA,
    MAX_RECORD,
    SMALLEST_SEGMENT,
    Captured,
    RingWriter,
    clear_ring,
    read_ring,
    ring_bytes,
    segment_bytes,
    segments,
)

MB = 1_000_000
HERE, THERE = ("192.0.2.1", 5060), ("198.51.100.7", 5080)


OPTIONS = b"OPTIONS sip:x SIP/2.0\r\n\r\n"


def message(at_us: int, data: bytes = OPTIONS, call: str = "c") -> Captured:
    return Captured(at_us, call, b"call-id", True, "udp", HERE, THERE, data)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own for each example."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made) / "capture"


ends = st.tuples(st.sampled_from(["192.0.2.1", "2001:db8::1"]), st.integers(1, 65_535))
captured = st.builds(
    Captured,
    st.integers(0, 1 << 52),
    st.text("0123456789abcdef", max_size=26),
    st.binary(max_size=MAX_CALL_ID),
    st.booleans(),
    st.sampled_from(["udp", "tcp"]),
    ends,
    ends,
    st.one_of(st.binary(max_size=200), st.integers(0, MAX_DATA).map(bytes)),
)


@given(st.lists(st.lists(captured, max_size=6), max_size=6))
def test_what_is_written_is_read(batches: list[list[Captured]]) -> None:
    with folder() as at:
        writer = RingWriter(at, 0, 64 * MB)
        for batch in batches:
            writer.write(batch)
        writer.close()
        expected = [one for batch in batches for one in batch]
        # Segments are in order of their first messages, and these may have any time.
        assert sorted(read_ring(at), key=repr) == sorted(expected, key=repr)


@given(st.integers(0, 5_000), st.lists(captured, min_size=1, max_size=8), st.binary(max_size=40))
def test_a_torn_end_costs_what_stands_behind_it_and_nothing_else(
    cut: int, batch: list[Captured], rubbish: bytes
) -> None:
    with folder() as at:
        writer = RingWriter(at, 0, 64 * MB)
        writer.write(batch)
        writer.close()
        path = segments(at)[0]
        raw = path.read_bytes()
        kept = raw[: max(len(raw) - cut, 0)]
        path.write_bytes(kept + rubbish)
        found = list(read_ring(at))
        assert found == batch[: len(found)], "nothing is made up"
        if cut == 0:
            assert found == batch
        # The successor goes on in another segment, whatever this one looks like.
        RingWriter(at, 0, 64 * MB).write([message(1 << 52)])
        assert list(read_ring(at)) == [*found, message(1 << 52)]


def test_a_byte_that_the_disk_has_changed_ends_its_segment(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, 0, 64 * MB)
    writer.write([message(n) for n in range(3)])
    path = segments(tmp_path)[0]
    raw = bytearray(path.read_bytes())
    raw[len(raw) * 2 // 3 - 4] ^= 1
    path.write_bytes(raw)
    assert [one.at_us for one in read_ring(tmp_path)] == [0]


@pytest.mark.parametrize("slots", [1, 2, 8])
@pytest.mark.parametrize("size", [MB, 3 * MB])
def test_it_stays_within_its_size_and_the_oldest_go_first(
    tmp_path: Path, size: int, slots: int
) -> None:
    writers = [RingWriter(tmp_path, slot, size, slots) for slot in range(slots)]
    text = b"x" * 1_000
    largest = 0
    for n in range(3 * size // 1_000):
        writers[n % slots].write([message(n, text)])
        if n % 50 == 0:
            largest = max(largest, ring_bytes(tmp_path))
    assert size * 0.6 < largest <= size
    times = sorted(one.at_us for one in read_ring(tmp_path))
    assert times[-1] == 3 * size // 1_000 - 1
    # What is left is what came last, but for what was in the segments with the oldest.
    assert times[0] > size // 1_000


def test_the_largest_messages_wrap_as_well(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, 0, MB)
    for n in range(60):
        writer.write([message(n, bytes(MAX_DATA))])
        assert ring_bytes(tmp_path) <= MB
    assert [one.at_us for one in read_ring(tmp_path)][-1] == 59


def test_a_disk_that_takes_half_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RingWriter(tmp_path, 0, MB)
    writer.write([message(1)])
    real = os.write
    calls: list[int] = []

    def full(fd: int, data: bytes) -> int:
        calls.append(fd)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, bytes(data[:20]))

    monkeypatch.setattr(capture_ring.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        writer.write([message(2)])
    monkeypatch.setattr(capture_ring.os, "write", real)
    assert (tmp_path / segments(tmp_path)[0]).read_bytes().endswith(message(1).data)
    writer.write([message(3)])
    assert [one.at_us for one in read_ring(tmp_path)] == [1, 3]


def test_a_smaller_size_counts_from_the_next_segment_on(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, 0, 4 * MB)
    writer.write([message(n, bytes(10_000)) for n in range(300)])
    assert ring_bytes(tmp_path) > 2 * MB
    writer.resize(MB)
    writer.write([message(300 + n, bytes(10_000)) for n in range(100)])
    assert ring_bytes(tmp_path) <= MB


def test_others_may_not_read_it(tmp_path: Path) -> None:
    at = tmp_path / "capture"
    RingWriter(at, 0, MB).write([message(1)])
    assert stat.S_IMODE(at.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in segments(at)] == [0o600]


def test_a_ring_that_is_cleared_under_its_writer_goes_on(tmp_path: Path) -> None:
    writer = RingWriter(tmp_path, 0, MB)
    writer.write([message(1)])
    assert clear_ring(tmp_path) > 0
    assert clear_ring(tmp_path) == 0
    writer.write([message(2)])
    assert [one.at_us for one in read_ring(tmp_path)] == [2]


def test_a_reader_sees_whole_messages_while_writers_wrap(tmp_path: Path) -> None:
    text = os.urandom(700)
    done = threading.Event()

    def write(slot: int) -> None:
        writer = RingWriter(tmp_path, slot, MB, 2)
        for n in range(60):
            writer.write([message(n * 100 + at, text, f"{slot}") for at in range(50)])
        done.set()

    threads = [threading.Thread(target=write, args=(slot,)) for slot in range(2)]
    for thread in threads:
        thread.start()
    looks = 0
    while not done.is_set() or looks < 3:
        last = {"0": -1, "1": -1}
        for one in read_ring(tmp_path):
            assert one.data == text
            # Nothing comes twice, and nothing before what came earlier.
            assert one.at_us > last[one.call]
            last[one.call] = one.at_us
        looks += 1
    for thread in threads:
        thread.join()


def test_what_is_no_segment_is_passed_over(tmp_path: Path) -> None:
    RingWriter(tmp_path, 0, MB).write([message(1)])
    (tmp_path / "0000000000000000-000.cap").write_bytes(b"")
    (tmp_path / "0000000000000002-000.cap").write_bytes(os.urandom(500))
    (tmp_path / "notes.txt").write_text("hello")
    assert list(read_ring(tmp_path)) == [message(1)]
    assert list(read_ring(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(("size", "slots"), [(MB, 1), (MB, 8), (64 * MB, 2), (1_024 * MB, 8)])
def test_segments_are_neither_tiny_nor_huge(size: int, slots: int) -> None:
    segment = segment_bytes(size, slots)
    assert SMALLEST_SEGMENT <= segment <= 16 * 1_024 * 1_024
    assert segment > MAX_RECORD, "the largest message fits into one"
    if size >= 4 * MB:
        assert segment * slots * 2 <= size
