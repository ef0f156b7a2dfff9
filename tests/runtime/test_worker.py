"""Workers under a supervisor, as real processes: owners, death, finishing, ending."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import weakref
from collections.abc import Callable
from typing import Any

import echo
import pytest

from router.core.flow import Listener
from router.core.steering import owner_slot
from router.runtime.child import CannotBoot
from router.runtime.logs import configure_logs
from router.runtime.posts import Limits, Post
from router.runtime.sockets import Sockets, open_sockets
from router.runtime.supervisor import Supervisor
from router.runtime.worker import Birth, Equipment, run_worker

Start = Callable[[Callable[[], int]], Any]


class Peer:
    """A UDP peer of a supervisor with echoing workers."""

    def __init__(self, sockets: Sockets, run: Any) -> None:
        self.run = run
        self.opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.opened.settimeout(5)
        self.opened.connect(("127.0.0.1", sockets.listeners[0].port))

    def send(self, command: str, call_id: str, **more: Any) -> None:
        self.opened.send(echo.request(command, call_id, **more))

    def hear(self) -> bytes:
        return self.opened.recv(65535)

    def ask(self, command: str, call_id: str, **more: Any) -> dict[str, str]:
        self.send(command, call_id, **more)
        return echo.fields(self.hear())


@pytest.fixture
def serve(start: Start) -> Any:
    """Start `slots` workers; the peer that talks to them."""
    opened: list[Any] = []

    def begin(
        slots: int,
        *,
        steering: bool = True,
        equip: Callable[[Birth], Equipment] = echo.equip,
        limits: Limits | None = None,
    ) -> Peer:
        sockets = open_sockets([Listener("udp", "127.0.0.1", 0)], slots)
        if steering:
            sockets.steer()

        def body() -> int:
            configure_logs("debug")
            posts = [
                Post(
                    f"worker {slot}",
                    f"trunkline-w{slot}",
                    lambda life, slot=slot: run_worker(
                        life, slot=slot, sockets=sockets, equip=equip
                    ),
                )
                for slot in range(slots)
            ]
            return Supervisor(posts, limits=limits).run()

        peer = Peer(sockets, start(body))
        # The supervisor alone keeps the sockets alive, as in a real run.
        sockets.close()
        opened.append(peer.opened)
        return peer

    yield begin
    for one in opened:
        one.close()


def test_each_call_is_served_by_its_owner_and_the_kernel_makes_no_strays(serve: Any) -> None:
    peer = serve(3)
    seen = set()
    for n in range(60):
        call_id = f"{n}-a84b4c76e66710@pc33"
        answer = peer.ask("ECHO", call_id)
        assert int(answer["X-Slot"]) == owner_slot(call_id, 3)
        assert answer["X-Strays"] == "0"
        seen.add(answer["X-Pid"])
    assert len(seen) == 3


@pytest.mark.parametrize(("steering", "compact"), [(False, False), (True, True)])
def test_without_the_kernels_help_strays_reach_their_owner(
    serve: Any, steering: bool, compact: bool
) -> None:
    peer = serve(3, steering=steering)
    strays = {}
    for n in range(60):
        call_id = f"{n}-a84b4c76e66710@pc33"
        answer = peer.ask("ECHO", call_id, compact=compact)
        assert int(answer["X-Slot"]) == owner_slot(call_id, 3)
    for n in range(60):
        answer = peer.ask("ECHO", f"{n}-x", compact=compact)
        strays[answer["X-Slot"]] = int(answer["X-Strays"])
    assert max(strays.values()) >= 20


def test_what_waits_for_a_killed_worker_is_answered_by_its_successor(serve: Any) -> None:
    peer = serve(2)
    mine = [f"c{n}" for n in range(40) if owner_slot(f"c{n}", 2) == 0]
    others = f"c{next(n for n in range(40) if owner_slot(f'c{n}', 2) == 1)}"
    first = int(peer.ask("ECHO", mine[0])["X-Pid"])
    os.kill(first, signal.SIGSTOP)
    for call_id in mine:
        peer.send("ECHO", call_id)
    assert int(peer.ask("ECHO", others)["X-Pid"]) != first
    os.kill(first, signal.SIGKILL)
    answers = [echo.fields(peer.hear()) for _ in mine]
    assert [answer["Call-ID"] for answer in answers] == mine
    assert {answer["X-Generation"] for answer in answers} == {"3"}
    assert first not in {int(answer["X-Pid"]) for answer in answers}


def test_finishing_refuses_new_calls_and_ends_when_the_last_one_has(serve: Any) -> None:
    peer = serve(2)
    for call_id in ("c0", "c1"):
        assert peer.ask("CALL", call_id)
    peer.ask("WATCH", "c0")
    peer.run.signal(signal.SIGTERM)
    assert peer.hear() == b"DRAINING"
    peer.send("CALL", "c0")
    assert peer.hear().startswith(b"SIP/2.0 503")
    peer.ask("HANG", "c0")
    # Its worker has nothing left, yet it refuses on for as long as the other one talks.
    peer.send("CALL", "c0")
    assert peer.hear().startswith(b"SIP/2.0 503")
    assert peer.run.poll() is None
    peer.ask("HANG", "c1")
    assert peer.run.wait() == 0


def test_a_second_signal_ends_the_calls_at_once(serve: Any) -> None:
    peer = serve(1)
    peer.ask("CALL", "c0")
    peer.ask("WATCH", "c0")
    peer.run.signal(signal.SIGTERM)
    assert peer.hear() == b"DRAINING"
    peer.run.signal(signal.SIGTERM)
    assert peer.hear() == b"ENDING 1"
    assert peer.run.wait() == 0


def test_calls_are_ended_when_the_time_limit_is_over(serve: Any) -> None:
    peer = serve(1, limits=Limits(shutdown_ms=100))
    peer.ask("CALL", "c0")
    peer.ask("WATCH", "c0")
    peer.run.signal(signal.SIGTERM)
    assert [peer.hear(), peer.hear()] == [b"DRAINING", b"ENDING 1"]
    assert peer.run.wait() == 0


def test_a_single_worker_told_to_finish_is_replaced_when_it_has(serve: Any) -> None:
    peer = serve(1)
    first = int(peer.ask("CALL", "c0")["X-Pid"])
    os.kill(first, signal.SIGTERM)
    peer.run.wait_for_text('"event": "finishing"')
    assert int(peer.ask("HANG", "c0")["X-Pid"]) == first
    peer.run.wait_for_text('"generation": 2')
    assert int(peer.ask("ECHO", "c0")["X-Pid"]) != first


def test_a_worker_that_cannot_boot_says_why_and_stops_the_rest(serve: Any) -> None:
    def refuse(birth: Birth) -> Equipment:
        raise CannotBoot("the state is of another version")

    peer = serve(1, equip=refuse, limits=Limits(first_delay_ms=10))
    assert peer.run.wait() == 1
    assert "trunkline-w0: the state is of another version" in peer.run.text()
    assert "Traceback" not in peer.run.text()


def test_each_seconds_work_is_done_again_after_it_failed_once(serve: Any) -> None:
    def equip(birth: Birth) -> Equipment:
        seconds = itertools.count(1)

        def on_second(now_ms: int) -> None:
            print("second;", flush=True)
            if next(seconds) == 2:
                raise ValueError("a fault of ours")

        return echo.equip(birth)._replace(on_second=on_second)

    peer = serve(1, equip=equip)
    peer.run.wait_for_text("second;", times=3)
    assert peer.run.text().count("fault in the driver") == 1
    assert "ValueError: a fault of ours" in peer.run.text()


class Ring:
    """Refers to itself, as what libraries leave behind does."""

    def __init__(self) -> None:
        self.me = self


@pytest.mark.parametrize("hooks", [True, False])
def test_where_python_functions_run_their_garbage_goes_every_second(
    serve: Any, hooks: bool
) -> None:
    def equip(birth: Birth) -> Equipment:
        left: list[weakref.ref[Ring]] = []
        if hooks:
            birth.tally.hook_duration["hooks.f"].observe(0.1)

        def on_second(now_ms: int) -> None:
            alive = sum(ring() is not None for ring in left)
            print(f"{len(left)} left, {alive} alive;", flush=True)
            left.append(weakref.ref(Ring()))

        return echo.equip(birth)._replace(on_second=on_second)

    peer = serve(1, equip=equip)
    peer.run.wait_for_text("2 left, ")
    assert f"2 left, {0 if hooks else 2} alive;" in peer.run.text()
