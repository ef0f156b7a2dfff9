"""Where bytes come from and go to, as values: the core names peers, the driver owns sockets."""

from __future__ import annotations

from typing import NamedTuple


class Listener(NamedTuple):
    """One address we listen on, as peers should see it (in Via and Contact)."""

    transport: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """host:port as it stands in a URI."""
        return authority_of(self.host, self.port)


class Flow(NamedTuple):
    """One path to a peer.

    `transport` is "udp" or "tcp"; `listener` the index of our listening socket (-1: the driver
    chooses); `connection` a stream's number in the worker that owns it (0: none yet); `slot` that
    worker (-1: not a stream).
    """

    transport: str
    host: str
    port: int
    listener: int = -1
    connection: int = 0
    slot: int = -1


def authority_of(host: str, port: int) -> str:
    """host:port as it stands in a URI: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
