"""The sockets through which a worker asks media relays: one for each family, opened when needed.

They are no listeners: what a dead worker has asked is nobody's any more, so its successor opens
its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable

from router.core.media.relays import Place
from router.runtime.udp import DATAGRAMS_PER_TURN

MAX_ANSWER = 65_535


class RelayPort:
    """Sends questions and tells `deliver(data, place)` of each answer."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deliver: Callable[[bytes, Place], None]
    ) -> None:
        self._loop = loop
        self._deliver = deliver
        self._sockets: dict[socket.AddressFamily, socket.socket] = {}

    def send(self, sends: Iterable[tuple[bytes, Place]]) -> None:
        """Send these; what the kernel does not take is as if it were lost on the way."""
        for data, place in sends:
            family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
            try:
                opened = self._sockets.get(family) or self._open(family)
                opened.sendto(data, place)
            except OSError:
                continue

    def stop(self) -> None:
        """Read no more."""
        for opened in self._sockets.values():
            self._loop.remove_reader(opened)
            opened.close()
        self._sockets.clear()

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sockets[family] = opened
        self._loop.add_reader(opened, self._read, opened)
        return opened

    def _read(self, opened: socket.socket) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, address = opened.recvfrom(MAX_ANSWER)
            except OSError:
                return
            self._deliver(data, (address[0], address[1]))
