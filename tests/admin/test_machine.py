"""What is read of /proc and of the ledger: this process, its sockets, a store of its own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from router.admin.machine import Machine, Reading
from router.store.boot import LEDGER_DIR
from router.store.ledger import LmdbLedger

LIVE = {"used_bytes": 1, "map_bytes": 2, "transactions": 3}


def by_name(readings: list[Reading]) -> dict[str, float]:
    return {one.metric + "/".join(one.labels.values()): one.value for one in readings}


def test_a_process_tells_its_time_memory_and_start(tmp_path: Path) -> None:
    found = by_name(list(Machine(os.getpid(), (), tmp_path).readings(None)))
    assert found["process_cpu_secondssupervisor"] > 0
    assert found["process_resident_bytessupervisor"] > 1 << 20
    assert found["process_start_time_secondssupervisor"] > 1_000_000_000


def test_a_process_that_is_gone_is_left_out(tmp_path: Path) -> None:
    found = by_name(list(Machine(2**22 + 1, (), tmp_path).readings(None)))
    assert not [name for name in found if name.startswith("process")]


def test_what_waits_in_a_socket_is_counted_for_our_ports_only(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        ours.sendto(b"x" * 500, ("127.0.0.1", port))
        found = by_name(list(Machine(os.getpid(), (port,), tmp_path).readings(None)))
        assert found["udp_queue_bytes"] >= 500
        assert found["udp_drops"] == 0
        assert by_name(list(Machine(os.getpid(), (), tmp_path).readings(None)))[
            "udp_queue_bytes"
        ] == 0


def test_a_full_socket_drops_and_that_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        for _ in range(50):
            ours.sendto(b"x" * 1000, ("127.0.0.1", port))
        found = by_name(list(Machine(os.getpid(), (port,), tmp_path).readings(None)))
        assert found["udp_drops"] > 0


def test_stores_tell_their_size_once_they_are_there(tmp_path: Path) -> None:
    machine = Machine(os.getpid(), (), tmp_path)
    found = by_name(list(machine.readings(LIVE)))
    assert found["store_transactionslive"] == 3
    assert "store_used_bytesledger" not in found
    LmdbLedger(tmp_path / LEDGER_DIR).close()
    assert by_name(list(machine.readings(LIVE)))["store_used_bytesledger"] > 0
