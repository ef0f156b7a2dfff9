"""Ports that nobody uses at this moment, for UDP and TCP alike."""

from __future__ import annotations

import itertools
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"
FIRST, LAST = 10_000, 32_000
"""Below those that the kernel gives by itself: a port that a test keeps closed stays closed."""
SHARES = 4
"""Processes of tests that each have ports of their own; they are numbered by pytest-xdist."""


def _ports() -> Iterator[int]:
    """The ports of this process, from a random one on, round and round."""
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
    size = (LAST - FIRST) // SHARES
    start = random.randrange(size)
    for step in itertools.count():
        yield FIRST + own * size + (start + step) % size


_next_ports = _ports()


def free_ports(count: int) -> list[int]:
    """`count` distinct ports free for UDP and TCP on every address, not handed for a long time."""
    return list(itertools.islice(filter(_is_free, _next_ports), count))


def _is_free(port: int) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
    ):
        try:
            udp.bind(("0.0.0.0", port))
            tcp.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """One free port."""
    return free_ports(1)[0]


def udp_bound(port: int) -> bool:
    """Whether some process has this UDP port open, read from the kernel's own table."""
    wanted = f":{port:04X}"
    rows = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(wanted) for row in rows)


def tcp_listening(port: int) -> bool:
    """Whether some process listens on this TCP port, read from the kernel's own table."""
    wanted, listening = f":{port:04X}", "0A"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(wanted) and row[3] == listening for row in rows)


def wait_until(condition, what: str, seconds: float = 10.0, every: float = 0.05):
    """The first true value of `condition()`; AssertionError that names `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what} (last value: {value!r})")
        time.sleep(every)
