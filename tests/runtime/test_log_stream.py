"""Standard error that never blocks: pipes nobody reads, terminals, sockets, readers that go."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import threading
from pathlib import Path

from router.runtime.log_stream import MAX_KEPT, SteadyStream

LINE = "x" * 999 + "\n"


def read_all(descriptor: int) -> bytes:
    """Everything that can be read now."""
    os.set_blocking(descriptor, False)
    got = b""
    while True:
        try:
            part = os.read(descriptor, 1 << 20)
        except (BlockingIOError, OSError):
            return got
        if not part:
            return got
        got += part


def test_a_pipe_that_nobody_reads_holds_up_nobody() -> None:
    reader, writer = os.pipe()
    stream = SteadyStream(writer)
    lines = 2_000
    for _ in range(lines):
        assert stream.write(LINE) == len(LINE)
    left_out = stream.take_left_out()
    assert 0 < left_out < lines
    assert stream.take_left_out() == 0
    got = read_all(reader)
    while True:
        stream.flush()
        part = read_all(reader)
        if not part:
            break
        got += part
    assert got == LINE.encode() * (lines - left_out), "whole lines, in their order"
    assert len(got) >= MAX_KEPT
    stream.write("and on\n")
    assert read_all(reader) == b"and on\n"


def test_the_inherited_descriptor_keeps_its_mode() -> None:
    """It is the shell's as well: a shell whose terminal does not block reads its end."""
    _, writer = os.pipe()
    stream = SteadyStream(writer)
    stream.write(LINE)
    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK


def test_a_reader_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    stream = SteadyStream(writer)
    os.close(reader)
    for _ in range(3):
        stream.write(LINE)
    stream.flush()


def test_a_file_is_appended_to_where_the_shell_writes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(b"begin\n")
        file.flush()
        stream = SteadyStream(file.fileno())
        stream.write("größer \udcff\n")
        assert not stream.isatty()
    assert path.read_text() == "begin\ngrößer \\udcff\n"


def test_a_socket_that_nobody_reads() -> None:
    ours, theirs = socket.socketpair()
    stream = SteadyStream(ours.fileno())
    for _ in range(2_000):
        stream.write(LINE)
    assert stream.take_left_out() > 0
    assert theirs.recv(1_000) == LINE.encode()
    theirs.close()
    stream.write(LINE)


def test_a_terminal() -> None:
    outer, inner = pty.openpty()
    stream = SteadyStream(inner)
    assert stream.isatty()
    stream.write("hello\n")
    assert read_all(outer) == b"hello\r\n"


def test_before_the_end_a_slow_reader_is_waited_for() -> None:
    reader, writer = os.pipe()
    stream = SteadyStream(writer)
    for _ in range(100):
        stream.write(LINE)
    got = bytearray()

    def read() -> None:
        while len(got) < 100 * len(LINE):
            got.extend(os.read(reader, 4_096))

    thread = threading.Thread(target=read)
    thread.start()
    stream.settle(10)
    thread.join(10)
    assert bytes(got) == LINE.encode() * 100


def test_nobody_is_waited_for_longer_than_that() -> None:
    _, writer = os.pipe()
    stream = SteadyStream(writer)
    for _ in range(100):
        stream.write(LINE)
    stream.settle(0.01)


def test_a_child_does_not_write_what_its_parent_keeps() -> None:
    reader, writer = os.pipe()
    stream = SteadyStream(writer)
    while not stream._kept:
        stream.write(LINE)
    child = os.fork()
    if child == 0:
        os._exit(0 if not stream._kept and not stream.take_left_out() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert stream._kept
    os.close(reader)
