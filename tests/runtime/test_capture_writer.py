"""The thread between a worker and the disk: it masks, writes, and drops what it has no time for."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path

import pytest

from router.runtime import capture_writer
from router.runtime.capture_writer import CaptureWriter, Kept
from router.runtime.hep import HepPlan
from router.store.capture_ring import Captured, RingWriter, read_ring

SECRET = b'REGISTER sip:x SIP/2.0\r\nAuthorization: Digest response="abc123"\r\n\r\n'
MASKED = SECRET.replace(b"abc123", b"xxxxxx")


def kept(data: bytes = b"OPTIONS", *, whole: bool = False) -> Kept:
    ends = (("192.0.2.1", 5060), ("198.51.100.7", 5080))
    return Kept(Captured(1, "1f", b"a", True, "udp", *ends, data), whole)


def test_secrets_reach_neither_disk_nor_homer_unless_wanted(tmp_path: Path) -> None:
    homer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    homer.bind(("127.0.0.1", 0))
    homer.settimeout(5)
    plan = HepPlan(homer.getsockname(), 1)
    writer = CaptureWriter(tmp_path, 0, 1, 1_000_000, plan)
    writer.hand_over([kept(SECRET), kept(SECRET, whole=True)])
    writer.close()
    assert [one.data for one in read_ring(tmp_path)] == [MASKED, SECRET]
    assert homer.recv(9_000).endswith(MASKED)
    assert homer.recv(9_000).endswith(SECRET)
    homer.close()
    assert writer.take_lost() == {}


def test_a_disk_that_takes_nothing_costs_the_messages_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RingWriter, messages: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RingWriter, "write", full)
    writer = CaptureWriter(tmp_path, 0, 1, 1_000_000, None)
    writer.hand_over([kept(), kept()])
    writer.hand_over([kept()])
    writer.close()
    assert writer.take_lost() == {"disk": (3, "the ring: no space left on device")}
    assert writer.take_lost() == {}


def test_a_writer_that_is_behind_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_writer, "MAX_BEHIND_BYTES", 1_000)
    go_on = threading.Event()
    real = RingWriter.write

    def slow(self: RingWriter, messages: list[Captured]) -> None:
        go_on.wait(10)
        real(self, messages)

    monkeypatch.setattr(RingWriter, "write", slow)
    writer = CaptureWriter(tmp_path, 0, 1, 1_000_000, None)
    for _ in range(5):
        writer.hand_over([kept(bytes(600))])
    assert writer.take_lost() == {"disk": (3, "the writer is too far behind")}
    go_on.set()
    writer.close()
    assert len(list(read_ring(tmp_path))) == 2


def test_a_writer_that_was_never_used_leaves_no_trace(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path / "capture", 0, 1, 1_000_000, None)
    writer.close()
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == 1 or "capture" not in {
        one.name for one in threading.enumerate()
    }
