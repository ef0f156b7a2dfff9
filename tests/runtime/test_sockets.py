"""Opening the sockets: groups in slot order, and one clear line for an address that is refused."""

from __future__ import annotations

import gc
import socket
from pathlib import Path

import pytest

from router.core.flow import Listener
from router.runtime.sockets import ListenError, open_sockets, open_tcp_listener

BOTH = [Listener("udp", "127.0.0.1", 0), Listener("tcp", "127.0.0.1", 0)]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_every_slot_has_its_own_member_of_every_group() -> None:
    sockets = open_sockets(BOTH, 3)
    udp, tcp = sockets.listeners
    assert udp.port and tcp.port
    for slot in sockets.slots:
        assert [(i, s.getsockname()) for i, s in slot.udp] == [(0, ("127.0.0.1", udp.port))]
        assert [(i, s.getsockname()) for i, s in slot.tcp] == [(1, ("127.0.0.1", tcp.port))]
    numbers = {slot.udp[0][1].fileno() for slot in sockets.slots}
    assert len(numbers) == 3
    sockets.close()


def test_closing_leaves_nothing_open() -> None:
    gc.collect()  # sockets that earlier tests have left are not closed in the middle of this one
    before = open_descriptors()
    open_sockets(BOTH, 4).close()
    assert open_descriptors() == before


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_second_trunkline_of_the_same_user_is_refused_and_does_not_join(transport: str) -> None:
    first = open_sockets([Listener(transport, "127.0.0.1", 0)], 2)
    port = first.listeners[0].port
    before = open_descriptors()
    with pytest.raises(ListenError) as refused:
        open_sockets([*BOTH, Listener(transport, "127.0.0.1", port)], 2)
    assert str(refused.value).startswith(f"listen {transport}:127.0.0.1:{port}: address already")
    assert "ss -ln" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert open_descriptors() == before
    first.close()


def test_a_wildcard_does_not_steal_an_address_either() -> None:
    first = open_sockets([Listener("udp", "127.0.0.1", 0)], 1)
    with pytest.raises(ListenError, match="already in use"):
        open_sockets([Listener("udp", "0.0.0.0", first.listeners[0].port)], 1)
    first.close()


def test_connections_of_an_earlier_run_do_not_keep_us_from_the_port() -> None:
    first = open_sockets([Listener("tcp", "127.0.0.1", 0)], 1)
    port = first.listeners[0].port
    with socket.create_connection(("127.0.0.1", port)):
        member = first.slots[0].tcp[0][1]
        member.setblocking(True)
        accepted, _ = member.accept()
        accepted.close()  # our side closes first: TIME_WAIT stays here
    first.close()
    open_sockets([Listener("tcp", "127.0.0.1", port)], 2).close()


def test_an_address_of_another_machine_is_refused_in_one_line() -> None:
    with pytest.raises(ListenError) as refused:
        open_sockets([Listener("udp", "192.0.2.1", 5060)], 1)
    assert str(refused.value) == (
        "listen udp:192.0.2.1:5060: not an address of this machine (`ip address` shows them)"
    )


def test_a_transport_we_do_not_speak_is_refused() -> None:
    with pytest.raises(ListenError, match="only udp and tcp"):
        open_sockets([Listener("tls", "127.0.0.1", 5061)], 1)


def test_ipv6_and_ipv4_wildcards_share_a_port() -> None:
    sockets = open_sockets([Listener("udp", "0.0.0.0", 0)], 1)
    port = sockets.listeners[0].port
    open_sockets([Listener("udp", "::", port)], 1).close()
    sockets.close()


def test_peers_are_told_an_address_and_not_a_wildcard() -> None:
    sockets = open_sockets([Listener("udp", "0.0.0.0", 0)], 1)
    host = sockets.listeners[0].host
    assert host != "0.0.0.0"
    assert socket.inet_aton(host)
    sockets.close()


def test_a_listener_for_another_purpose_says_which() -> None:
    opened = open_tcp_listener("127.0.0.1", 0, "metrics")
    port = opened.getsockname()[1]
    with pytest.raises(ListenError) as refused:
        open_tcp_listener("127.0.0.1", port, "metrics")
    assert str(refused.value).startswith(f"metrics tcp:127.0.0.1:{port}: address already in use")
    opened.close()


def test_a_kernel_that_refuses_the_filter_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(member: socket.socket, slots: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("router.runtime.sockets.attach_steering", refuse)
    sockets = open_sockets(BOTH, 2)
    sockets.steer()
    assert (sockets.steered_bytes, sockets.steering_fault) == (0, "Operation not permitted")
    sockets.close()


def test_groups_of_udp_sockets_are_steered_and_tcp_ones_are_not() -> None:
    sockets = open_sockets(BOTH, 2)
    sockets.steer()
    assert sockets.steered_bytes > 0
    assert sockets.steering_fault == ""
    sockets.close()
    without_udp = open_sockets([Listener("tcp", "127.0.0.1", 0)], 2)
    without_udp.steer()
    assert without_udp.steered_bytes == 0
    without_udp.close()
