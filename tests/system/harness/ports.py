"""Ports that nobody uses at this moment, for UDP and TCP alike."""

from __future__ import annotations

import socket
import time
from pathlib import Path

LOOPBACK = "127.0.0.1"
_handed: set[int] = set()


def free_ports(count: int) -> list[int]:
    """`count` distinct ports free for UDP and TCP on every address, never handed before."""
    held: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held.append(udp)
            udp.bind(("0.0.0.0", 0))
            port = udp.getsockname()[1]
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(tcp)
            try:
                tcp.bind(("0.0.0.0", port))
            except OSError:
                continue
            if port not in _handed:
                _handed.add(port)
                ports.append(port)
    finally:
        for each in held:
            each.close()
    return ports


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
