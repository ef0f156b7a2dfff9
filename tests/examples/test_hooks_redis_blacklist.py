"""The blacklist with a real Redis server: who is on it, who gets onto it, and a Redis that is away.

The server is Debian's; where only its tools are installed, their program is the server too, under
another name.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Make = Callable[[str], Any]
PROGRAM = shutil.which("redis-server") or shutil.which("redis-check-rdb")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Redis on this machine")


class Redis:
    """A Redis server on a socket of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "redis.sock"
        assert PROGRAM is not None
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                "0",
                "--unixsocket",
                str(self.path),
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                str(folder),
            ],
            executable=PROGRAM,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 10
        while not self.path.exists():
            assert self.process.poll() is None and time.monotonic() < end, "Redis does not start"
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def ask(self, *words: str) -> str:
        """A command, and the first line of the answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            client.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
            head, _, rest = client.recv(4096).decode().partition("\r\n")
            return rest.strip() if head.startswith("$") else head

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    made = Redis(tmp_path)
    monkeypatch.setenv("BLACKLIST_URL", made.url)
    yield made
    made.close()


@pytest.fixture
def router(redis: Redis, example: Make) -> Any:
    return example("hooks_redis_blacklist")


def test_a_caller_on_the_list_is_refused_and_the_cdr_says_why(router: Any, redis: Redis) -> None:
    redis.ask("SET", "blacklist:1000", "spam")
    call, cdr = router.call("1000", "8613800")
    assert call.status == 403
    assert (cdr.end_reason, cdr.variables) == ("CallerNumberRestricted", {"blocked": "spam"})
    call, cdr = router.call("2000", "8613800")
    assert (call.status, cdr.gateway) == (200, "carrier")


def test_who_dials_the_honeypot_gets_onto_the_list_for_a_day(router: Any, redis: Redis) -> None:
    assert router.call("1000", "8610000123")[1].end_reason == "CalledNumberRestricted"
    assert router.call("1000", "8613800")[1].variables == {"blocked": "honeypot"}
    assert redis.ask("TTL", "blacklist:1000") in (":86400", ":86399")


def test_a_caller_is_let_in_again_when_the_entry_is_gone(router: Any, redis: Redis) -> None:
    redis.ask("SET", "blacklist:1000", "spam")
    assert router.call("1000", "8613800")[0].status == 403
    redis.ask("DEL", "blacklist:1000")
    assert router.call("1000", "8613800")[0].status == 200


def test_a_redis_that_dies_stops_no_call_and_counts_again_when_it_is_back(
    router: Any, redis: Redis, tmp_path: Path
) -> None:
    redis.ask("SET", "blacklist:1000", "spam")
    assert router.call("1000", "8613800")[0].status == 403
    redis.close()
    redis.path.unlink(missing_ok=True)
    assert router.call("1000", "8613800")[0].status == 200
    assert "the blacklist does not answer" in router.lines[-1]
    again = Redis(tmp_path)
    try:
        again.ask("SET", "blacklist:1000", "spam")
        assert router.call("1000", "8613800")[0].status == 403
    finally:
        again.close()


def test_a_redis_that_does_not_answer_stops_no_call(
    example: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deaf.sock"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        monkeypatch.setenv("BLACKLIST_URL", f"unix://{path}")
        router = example("hooks_redis_blacklist")
        assert router.call("1000", "8613800")[0].status == 200
        assert "the blacklist does not answer: " in router.lines[0]
