"""`trunkline phones` and `trunkline blocks`, on a state folder as a router leaves it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from router.admin.phones_online import read_phones
from router.cli.blocks import lift, list_blocks
from router.cli.phones import list_phones, show
from router.store.boot import LIVE_DIR
from router.store.live import LmdbLive
from router.store.ops import Bind, BlockAddress, Op
from router.store.records import Contact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    return state


@pytest.fixture
def store(folder: Path) -> Callable[..., int]:
    def do(*ops: Callable[[int], Op]) -> int:
        now_ms = time.time_ns() // 1_000_000
        live = LmdbLive(folder / LIVE_DIR, map_bytes=1 << 23)
        live.commit([op(now_ms) for op in ops], now_ms)
        live.close()
        return now_ms

    return do


def online(now_ms: int) -> Bind:
    contacts = (
        Contact(
            "sip:1001@192.168.1.5:5060", 500, now_ms + 60_000, "c", 1, "udp", "198.51.100.7",
            40_000, 0, user_agent="phone/1.0 \x1b[31m",
        ),
        Contact(
            "sip:1001@[2001:db8::1]", 1000, now_ms + 90_500, "d", 1, "tcp", "2001:db8::1", 5060
        ),
    )
    return Bind("1001", "acme", contacts)


def test_one_phone_is_shown_with_its_settings_and_where_it_is(
    store: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = folder.parent / "routes.cfg"
    config.write_text(
        'account acme { phone 1001 { password = "s3cret"  lines = 2 }  phone 1002 '
        '{ password = "s3cret" } }\nrequest_route { reply(404); }\n'
    )
    assert show("1002", config=config) == 0  # before any router ran
    assert "registered    no\n" in capsys.readouterr().out
    store(online)
    assert show("acme/1001", config=config, state=folder) == 0
    shown = capsys.readouterr().out
    assert "phone         acme/1001\n" in shown and "state         active\n" in shown
    assert f"defined       in {config}:1\n" in shown
    assert "registered    yes\n" in shown and "lines in use  0/2\n" in shown
    assert "sip:1001@192.168.1.5:5060 from udp:198.51.100.7:40000 for " in shown
    assert "\x1b" not in shown and "s3cret" not in shown
    assert show("1001", config=config, state=folder, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(one["source"] for one in told["contacts"]) == [
        "tcp:[2001:db8::1]:5060", "udp:198.51.100.7:40000",
    ]
    assert told["settings"] == {"password": "***", "lines": "2"}
    assert show("1003", config=config, state=folder) == 1
    said = capsys.readouterr().err
    assert "there is no phone `1003`: " in said


def test_phones_are_shown_with_where_they_are_and_until_when(
    store: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_ms = store(online)
    assert list_phones(state=folder) == 0
    shown = capsys.readouterr().out
    assert "1001" in shown and "acme" in shown and "udp:198.51.100.7:40000" in shown
    assert "tcp:[2001:db8::1]:5060" in shown and "phone/1.0" in shown
    assert "\x1b" not in shown
    assert list_phones(state=folder, as_json=True) == 0
    phone = json.loads(capsys.readouterr().out)
    assert (phone["number"], phone["account"]) == ("1001", "acme")
    first, second = phone["contacts"]
    assert first["contact"] == "sip:1001@192.168.1.5:5060"
    assert (first["q"], first["expires_ms"]) == (0.5, now_ms + 60_000)
    assert 80 <= second["expires_in_s"] <= 90


def test_what_has_expired_is_not_online(
    store: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_ms = store(online)
    (phone,) = read_phones(folder, now_ms + 70_000)
    assert len(phone.contacts) == 1
    assert read_phones(folder, now_ms + 100_000) == []
    store()
    assert list_phones(state=folder) == 0


def test_blocks_are_shown_and_lifted(
    store: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(lambda now_ms: BlockAddress("192.0.2.1", now_ms + 60_000))
    assert list_blocks(state=folder) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[0] == ["ADDRESS", "BLOCKED", "FOR", "ENDS", "IN"]
    assert shown[1][0] == "192.0.2.1" and shown[1][3].startswith("5")
    assert list_blocks(state=folder, as_json=True) == 0
    block = json.loads(capsys.readouterr().out)
    assert block["address"] == "192.0.2.1"
    assert block["until_ms"] - block["since_ms"] == 60_000
    assert lift("192.0.2.1", state=folder) == 0
    assert list_blocks(state=folder) == 0
    assert "No address is blocked." in capsys.readouterr().out


@pytest.mark.parametrize("address", ["2001:db8::7", "2001:db8::/64", "2001:DB8:0::1"])
def test_of_ipv6_a_whole_network_is_lifted(
    store: Callable[..., int], folder: Path, address: str
) -> None:
    store(lambda now_ms: BlockAddress("2001:db8::/64", now_ms + 60_000))
    assert lift(address, state=folder) == 0


@pytest.mark.parametrize(("address", "says"), [
    ("192.0.2.9", "192.0.2.9 is not blocked"), ("nobody", "'nobody' is no IP address"),
])
def test_what_cannot_be_lifted_is_said_in_a_line(
    store: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str],
    address: str, says: str,
) -> None:
    store()
    assert lift(address, state=folder) == 1
    assert says in capsys.readouterr().err


def test_without_live_state_there_is_a_line_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (list_phones, list_blocks):
        assert command(state=tmp_path) == 1
        assert "no router has run" in capsys.readouterr().err
    assert lift("192.0.2.1", state=tmp_path) == 1
    assert list(tmp_path.iterdir()) == []
