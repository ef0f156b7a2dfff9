"""All sockets of Trunkline, opened once by the supervisor and kept open for its whole life.

Worker i inherits member i of every group. Closing one member of a SO_REUSEPORT group would move
the last one into its place, and a dead worker's queue would be lost: so the supervisor holds them
all, and a worker's successor finds what its predecessor has not read.

This module knows addresses; it does not know SIP.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
from collections.abc import Sequence

from router.core.flow import Listener
from router.runtime.bpf import GROUP_BYTES, SCANNED_GROUPS, attach_steering

TRANSPORTS = ("udp", "tcp")
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
SEND_BUFFER_BYTES = 1024 * 1024
STRAY_BUFFER_BYTES = 1024 * 1024
TCP_BACKLOG = 512


class ListenError(Exception):
    """A listening address cannot be used; the text is one line that says what to do."""


class SlotSockets:
    """What one worker reads from and writes to; the lists follow the order of the listeners."""

    __slots__ = ("stray_in", "stray_out", "tcp", "udp")

    def __init__(
        self,
        udp: list[tuple[int, socket.socket]],
        tcp: list[tuple[int, socket.socket]],
        stray_in: socket.socket,
        stray_out: list[socket.socket],
    ) -> None:
        self.udp = udp
        """(index of the listener, its socket)"""
        self.tcp = tcp
        self.stray_in = stray_in
        self.stray_out = stray_out
        """one for each slot, to write to that slot"""


class Sockets:
    """Every listening socket and every pair for strays, for `slots` workers.

    `listeners` are the addresses as peers should see them: with the port that was taken where 0
    was asked for, and an address of this machine where a wildcard was.
    """

    def __init__(self, listeners: list[Listener], slots: list[SlotSockets]) -> None:
        self.listeners = listeners
        self.slots = slots
        self.steered_bytes = 0
        """How far into a datagram the kernel looks for the Call-ID; 0: it does not."""
        self.steering_fault = ""

    def steer(self) -> None:
        """Attach the kernel's filter to every UDP group; what it refuses stands in the fault."""
        try:
            self.steered_bytes = min(
                (attach_steering(member, len(self.slots)) for _, member in self.slots[0].udp),
                default=0,
            )
        except OSError as error:
            self.steering_fault = error.strerror or str(error)

    @property
    def steers_short(self) -> bool:
        """Whether the kernel took only a shortened filter (net.core.optmem_max is small)."""
        return 0 < self.steered_bytes < SCANNED_GROUPS * GROUP_BYTES

    def close(self) -> None:
        """Close everything: only for a supervisor that ends without having started workers."""
        for slot in self.slots:
            for _, opened in (*slot.udp, *slot.tcp):
                opened.close()
            slot.stray_in.close()
        for opened in self.slots[0].stray_out:
            opened.close()


def allow_many_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: each TCP connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_sockets(asked: Sequence[Listener], slots: int) -> Sockets:
    """Open every listener's group of `slots` sockets, in slot order, and the pairs for strays.

    Raises ListenError for an address that is taken or is not ours; nothing stays open then.
    """
    groups: list[list[socket.socket]] = []
    for transport, host, port in asked:
        if transport not in TRANSPORTS:
            known = " and ".join(TRANSPORTS)
            raise ListenError(f"listen {transport}:{host}:{port}: only {known} are supported")
    try:
        for listener in asked:
            groups.append([])
            _open_group(listener, slots, groups[-1])
        # All members listen only now: a member that listens cannot be joined half-way.
        for listener, group in zip(asked, groups, strict=True):
            if listener.transport == "tcp":
                for member in group:
                    member.listen(TCP_BACKLOG)
    except OSError as error:
        for group in groups:
            for member in group:
                member.close()
        raise ListenError(_explain(listener, error)) from error
    pairs = [_stray_pair() for _ in range(slots)]
    stray_out = [sender for _, sender in pairs]
    per_slot = [
        SlotSockets(
            [(i, g[slot]) for i, g in enumerate(groups) if asked[i].transport == "udp"],
            [(i, g[slot]) for i, g in enumerate(groups) if asked[i].transport == "tcp"],
            pairs[slot][0],
            stray_out,
        )
        for slot in range(slots)
    ]
    seen = [_advertised(a, g[0].getsockname()[1]) for a, g in zip(asked, groups, strict=True)]
    return Sockets(seen, per_slot)


def open_tcp_listener(host: str, port: int, purpose: str) -> socket.socket:
    """One listening TCP socket, for a process of its own; `purpose` stands in a ListenError."""
    listener = Listener("tcp", host, port)
    opened = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(TCP_BACKLOG)
    except OSError as error:
        opened.close()
        raise ListenError(_explain(listener, error, purpose)) from error
    return opened


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _open_group(listener: Listener, slots: int, group: list[socket.socket]) -> None:
    """Append `slots` bound sockets to `group`, which keeps those already open on an error."""
    stream = listener.transport == "tcp"
    kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    port = listener.port
    for slot in range(slots):
        member = socket.socket(_family(listener.host), kind)
        group.append(member)
        member.setblocking(False)
        if member.family == socket.AF_INET6:
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if stream:
            # Connections of an earlier run in TIME_WAIT must not keep us from the port.
            member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            member.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            member.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if slot > 0:
            member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        member.bind((listener.host, port))
        if slot == 0:
            # The first binds alone, so that a second Trunkline of the same user is refused
            # instead of joining the group and taking half of its calls; only then may the
            # others join.
            member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            port = member.getsockname()[1]


def _stray_pair() -> tuple[socket.socket, socket.socket]:
    """(receiver, sender): a connected pair is limited by bytes, not by max_dgram_qlen."""
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    sender.setblocking(False)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STRAY_BUFFER_BYTES)
    return receiver, sender


def _advertised(asked: Listener, port: int) -> Listener:
    host = asked.host
    if host in ("0.0.0.0", "::"):
        host = _own_address(_family(host))
    return Listener(asked.transport, host, port)


def _own_address(family: socket.AddressFamily) -> str:
    """The address this machine speaks from towards others; no packet is sent to find out."""
    elsewhere, loopback = (
        ("2001:db8::1", "::1") if family == socket.AF_INET6 else ("192.0.2.1", "127.0.0.1")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return loopback


def _explain(listener: Listener, error: OSError, purpose: str = "listen") -> str:
    transport, host, port = listener
    shown = f"[{host}]" if ":" in host else host
    asked = f"{purpose} {transport}:{shown}:{port}"
    if error.errno == errno.EADDRINUSE:
        look = "ss -lntp" if transport == "tcp" else "ss -lnup"
        return (
            f"{asked}: address already in use (another program has it: "
            f"`{look}` shows which; stop it or choose another port)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{asked}: not an address of this machine (`ip address` shows them)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{asked}: not allowed (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
    return f"{asked}: {error.strerror or error}"
