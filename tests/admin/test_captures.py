"""Captures as operators order them and see them: by command's words, and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_client import ROUTES, Api, serving

from router.admin.capture_orders import (
    MAX_SPAN_MS,
    CaptureWish,
    capture_status,
    start_capture,
    stop_captures,
)
from router.admin.captured import list_captured, messages_of, messages_of_call, text_of
from router.admin.object_changes import Known, read_known
from router.admin.wrong_value import Clash, NotThere, WrongValue
from router.store.capture_ring import CAPTURE_DIR, Captured, RingWriter
from router.store.objects import MAX_CAPTURES
from router.store.state import prepare_state

US, CALLER, GATEWAY = ("192.0.2.1", 5060), ("198.51.100.7", 5070), ("203.0.113.9", 5080)
NOW_MS = 1_795_591_351_000
ID, OTHER = "01a2119cd1ce014289fe97", "01a2119cd33d01e57d2fc3"


def message(
    at_us: int, start: str, call_id: str, *, call: str = ID, a: str = "a@x", outward: bool = False
) -> Captured:
    there = CALLER if call_id == a else GATEWAY
    data = f"{start}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n".encode()
    return Captured(at_us, call, a.encode(), outward, "udp", US, there, data)


MESSAGES = [
    message(5, "SIP/2.0 200 OK", "b", outward=False),
    message(1, "INVITE sip:8613@x SIP/2.0", "a@x"),
    message(2, "SIP/2.0 100 Trying", "a@x", outward=True),
    message(3, "INVITE sip:8613@gw SIP/2.0", "b", outward=True),
    message(4, "SIP/2.0 503 No", "c"),
    message(6, "SIP/2.0 486 Busy Here", "a@x", outward=True),
    message(7, "SIP/2.0 500 Later", "a@x", outward=True),
    message(0, "SIP/2.0 407 Who", "a@x", call="", outward=True),
    message(8, "INVITE sip:49@x SIP/2.0", "d@x", call=OTHER, a="d@x"),
    message(9, "OPTIONS sip:x SIP/2.0", "o", call="", a="o"),
]


@pytest.fixture
def known(tmp_path: Path) -> Known:
    (tmp_path / "routes.cfg").write_text(ROUTES)
    prepare_state(tmp_path / "state")
    return read_known(tmp_path / "routes.cfg", tmp_path / "state")


@pytest.fixture
def ring(known: Known) -> Path:
    writer = RingWriter(known.state / CAPTURE_DIR, 0, 1_000_000)
    writer.write(MESSAGES)
    writer.close()
    return known.state


WISHES = [
    (CaptureWish(), "all calls, until"),
    (CaptureWish(account="acme", sample="1/20"), "5% of calls of account acme, until"),
    (CaptureWish(number="+8613", gateway="out"), "calls from or to 8613… tried on gateway out,"),
    (CaptureWish(source="192.0.2.7/24", sample="0.5%"), "0.5% of calls from 192.0.2.0/24, until"),
    (CaptureWish(source="2001:DB8::7", credentials=True), "from 2001:db8::7 with credentials,"),
]


@pytest.mark.parametrize(("wish", "words"), WISHES, ids=range(len(WISHES)))
def test_a_wish_is_told_in_words(known: Known, wish: CaptureWish, words: str) -> None:
    start_capture(known, wish, "me", NOW_MS)
    (running,) = capture_status(known.state, NOW_MS).captures
    assert words in running.told
    assert running.until_ms == NOW_MS + 600_000
    assert capture_status(known.state, NOW_MS + 600_000).captures == []


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (CaptureWish(account="acmee"), "acme"),
        (CaptureWish(gateway="nobody"), "out"),
        (CaptureWish(number="86x"), "beginning of a number"),
        (CaptureWish(source="192.0.2"), "no address and no network"),
        (CaptureWish(sample="0%"), "no share"),
        (CaptureWish(sample="2/3"), "no share"),
        (CaptureWish(sample="1/0"), "no share"),
        (CaptureWish(span="0s"), "no span"),
        (CaptureWish(span="8d"), "no span"),
        (CaptureWish(span="forever"), "no span"),
    ],
    ids=range(10),
)
def test_a_wish_that_cannot_be_is_refused(known: Known, wish: CaptureWish, words: str) -> None:
    with pytest.raises((WrongValue, NotThere), match=words):
        start_capture(known, wish, "me", NOW_MS)
    assert capture_status(known.state, NOW_MS).captures == []


def test_captures_run_side_by_side_and_are_ended_one_by_one_or_all(known: Known) -> None:
    for n in range(MAX_CAPTURES):
        assert start_capture(known, CaptureWish(number=str(n)), "me", NOW_MS).id == n + 1
    with pytest.raises(Clash, match=f"{MAX_CAPTURES} captures"):
        start_capture(known, CaptureWish(), "me", NOW_MS)
    assert [one.id for one in stop_captures(known.state, 3, "me", NOW_MS)] == [3]
    with pytest.raises(NotThere):
        stop_captures(known.state, 3, "me", NOW_MS)
    assert len(stop_captures(known.state, 0, "me", NOW_MS)) == MAX_CAPTURES - 1
    assert stop_captures(known.state, 0, "me", NOW_MS) == []


def test_those_that_are_over_make_room(known: Known) -> None:
    for _ in range(MAX_CAPTURES):
        start_capture(known, CaptureWish(), "me", NOW_MS)
    assert start_capture(known, CaptureWish(span="7d"), "me", NOW_MS + MAX_SPAN_MS).id == 1


def test_a_call_is_found_by_its_id_the_end_of_it_and_each_call_id(ring: Path) -> None:
    whole = [one.at_us for one in messages_of_call(ring, ID, "a@x")]
    assert whole == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [one.at_us for one in messages_of(ring, ID.upper())] == whole[1:]
    assert [one.at_us for one in messages_of(ring, ID[-8:])] == whole[1:]
    assert [one.at_us for one in messages_of(ring, "a@x")] == whole
    assert [one.at_us for one in messages_of(ring, "b")] == whole[1:]
    assert [one.at_us for one in messages_of(ring, "o")] == [9]
    assert messages_of(ring, "nothing") == [] and messages_of(ring, "") == []


def test_calls_are_listed_in_order_of_their_beginnings() -> None:
    found = list_captured(MESSAGES)
    assert [(one.call, one.call_id, one.messages, one.first, one.last) for one in found] == [
        ("", "a@x", 1, "SIP/2.0 407 Who", "407 Who"),
        (ID, "a@x", 7, "INVITE 8613", "486 Busy Here"),
        (OTHER, "d@x", 1, "INVITE 49", ""),
        ("", "o", 1, "OPTIONS sip:x", ""),
    ]


def test_a_message_moves_no_cursor() -> None:
    data = b"INVITE sip:\x1b[2Jx SIP/2.0\r\nSubject: a\tb\x00\xff\r\n\r\n"
    shown = text_of(Captured(0, "", b"", False, "udp", US, CALLER, data))
    assert shown == "INVITE sip:?[2Jx SIP/2.0\nSubject: a b?\\xff"


@pytest.fixture
def api(ring: Path) -> Iterator[Api]:
    with serving(ring) as found:
        yield found


def test_a_capture_over_http_is_begun_seen_by_all_and_ended(api: Api) -> None:
    started = api(
        "POST", "/captures", 201, json={"account": "acme", "span": "5m", "digests": "kept"}
    )
    assert (started["id"], started["account"], started["credentials"]) == (1, "acme", True)
    assert started["started_by"] == "token:operate"
    seen = api("GET", "/captures", role="read")
    assert seen["captures"] == [started] and seen["bytes"] > 0
    assert "acme" in api("POST", "/captures", 404, json={"account": "acmee"})["detail"]
    api("POST", "/captures", 422, json={"sample": "7"})
    assert api("DELETE", "/captures/1") == [started]
    api("DELETE", "/captures/1", 404)
    api("DELETE", "/captures/x", 404)
    assert api("DELETE", "/captures/0") == []
    rows = api("GET", "/audit", role="read")["items"]
    assert [(row["command"], row["what"]) for row in rows[:2]] == [
        ("stop", "capture 1"), ("start", "capture 1"),
    ]


def test_messages_over_http_are_for_operators(api: Api) -> None:
    for path in ("/captured", f"/captured/{ID}", f"/captured/{ID}/pcap"):
        api("GET", path, 403, role="read")
        api("GET", path, 403, role="money")
    first = api("GET", "/captured?limit=2")
    rest = api("GET", f"/captured?limit=2&cursor={first['next']}")
    assert [one["call"] for one in first["items"] + rest["items"]] == ["", ID, OTHER, ""]
    shown = api("GET", f"/captured/{ID}")
    assert [one["at_us"] for one in shown] == [1, 2, 3, 4, 5, 6, 7]
    assert shown[0]["source"] == "198.51.100.7:5070" and shown[0]["direction"] == "in"
    api("GET", "/captured/nothing", 404)
    api("GET", "/captured/nothing/pcap", 404)
    assert api("DELETE", "/captured")["deleted_bytes"] > 0
    assert api("GET", "/captured")["items"] == []
    assert api("GET", "/audit", role="read")["items"][0]["what"] == "captured messages"


def test_a_call_is_downloaded_as_pcap(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.tokens['operate']}"}
    answer = api.client.get(f"/captured/{ID}/pcap", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/vnd.tcpdump.pcap")
    assert answer.content[:4] == (0xA1B2C3D4).to_bytes(4, "little")
    assert answer.content.count(b"INVITE sip:8613@") == 2
    assert json.dumps(api.log) == "[]"
