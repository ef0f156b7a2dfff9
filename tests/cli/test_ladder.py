from __future__ import annotations

import pytest

from router.cli.ladder import Lane, render_ladder, wires_of
from router.core.network import Wire

CALLER = Lane("caller", ("127.0.0.1", 5070))
SWITCH = Lane("trunkline", ("127.0.0.1", 5060))
FIRST = Lane("gateway1", ("127.0.0.1", 5091))
SECOND = Lane("gateway2", ("127.0.0.1", 5092))
LANES = (CALLER, SWITCH, FIRST, SECOND)
T0 = 1_700_000_000_000


def wire(
    at_ms: int, source: Lane, target: Lane, start: str, cseq: str = "1 INVITE", call_id: str = "a"
) -> Wire:
    line = f"{start} sip:86@127.0.0.1 SIP/2.0" if start.isalpha() else f"SIP/2.0 {start}"
    text = (
        f"{line}\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:1@a>;tag=1\r\n"
        f"To: <sip:86@b>\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\nMax-Forwards: 70\r\n\r\n"
    )
    return Wire(T0 + at_ms, source.address, target.address, text.encode())


FAILOVER = [
    wire(0, CALLER, SWITCH, "INVITE"),
    wire(1, SWITCH, CALLER, "100 Trying"),
    wire(1, SWITCH, FIRST, "INVITE", call_id="b"),
    wire(2, FIRST, SWITCH, "503 Service Unavailable", call_id="b"),
    wire(3, SWITCH, FIRST, "ACK", "1 ACK", call_id="b"),
    wire(4, SWITCH, SECOND, "INVITE", call_id="c"),
    wire(5, SECOND, SWITCH, "200 OK", call_id="c"),
    wire(1005, CALLER, SWITCH, "BYE", "2 BYE"),
]


def drawn(wires: list[Wire], width: int = 80, **more: bool) -> list[str]:
    return render_ladder(wires, LANES, width, **more).plain.splitlines()


def test_a_failover_is_drawn_as_people_draw_it() -> None:
    assert drawn(FAILOVER) == [
        "   ms caller         trunkline                    gateway1   gateway2 CSeq",
        "    0    │─── INVITE ───►│                            │          │    1 INVITE",
        "    1    │◄─ 100 Trying ─│                            │          │    1 INVITE",
        "    1    │               │───────── INVITE ──────────►│          │    1 INVITE",
        "    2    │               │◄─ 503 Service Unavailable ─│          │    1 INVITE",
        "    3    │               │─────────── ACK ───────────►│          │    1 ACK",
        "    4    │               │───────── INVITE ───────────┼─────────►│    1 INVITE",
        "    5    │               │◄───────── 200 OK ──────────┼──────────│    1 INVITE",
        " 1005    │──── BYE ─────►│                            │          │    2 BYE",
    ]


@pytest.mark.parametrize("width", [60, 72, 80, 120])
def test_it_fits_into_the_terminal(width: int) -> None:
    assert max(map(len, drawn(FAILOVER, width))) <= width


def test_a_label_without_room_is_cut_and_its_status_stays() -> None:
    text = "\n".join(drawn(FAILOVER, 60))
    assert "503 S" in text
    assert "…" in text
    assert "Unavailable" not in text


def test_lifelines_stand_one_below_the_other() -> None:
    for row in drawn(FAILOVER)[1:]:
        assert [row[at] for at in (9, 25, 65)] == ["│", "│", "│"]
        assert row[54] in "│┼"


def test_a_retransmission_is_called_one() -> None:
    invite = wire(0, SWITCH, FIRST, "INVITE")
    again = invite._replace(at_ms=T0 + 500)
    rows = drawn([invite, again])
    assert "again" not in rows[1]
    assert "INVITE, again" in rows[2]
    assert rows[2].split()[0] == "500"


def test_a_label_wider_than_every_gap_widens_one_even_across_lanes() -> None:
    rows = drawn([wire(0, SECOND, SWITCH, "480 Temporarily Unavailable")])
    assert "◄─ 480 Temporarily Unavailable ─┼" in rows[1]


def test_a_response_without_a_reason_is_its_status() -> None:
    assert "─ 200 ─" in drawn([wire(0, FIRST, SWITCH, "200 ")])[1]


def test_a_peer_cannot_move_the_cursor() -> None:
    assert "\x1b" not in "\n".join(drawn([wire(0, FIRST, SWITCH, "200 \x1b[2J")]))


def test_an_ascii_terminal_gets_ascii() -> None:
    text = "\n".join(drawn(FAILOVER, 60, ascii_only=True))
    assert text.isascii()
    assert "|-" in text and "->|" in text


def test_messages_of_strangers_and_what_is_no_message_are_left_out() -> None:
    stranger = Lane("stranger", ("127.0.0.9", 1))
    noise = Wire(T0, CALLER.address, SWITCH.address, b"\r\n\r\n")
    rows = drawn(
        [wire(0, stranger, SWITCH, "INVITE"), noise, wire(7, CALLER, SWITCH, "BYE", "2 BYE")]
    )
    assert len(rows) == 2
    assert rows[1].split()[0] == "0", "time begins with the first message that is drawn"


def test_without_messages_there_is_no_ladder() -> None:
    assert render_ladder([], LANES, 80).plain == ""


def test_the_messages_of_a_call_are_those_of_all_its_legs() -> None:
    noise = Wire(T0, CALLER.address, SWITCH.address, b"\0\0")
    assert wires_of([*FAILOVER, noise], {"a", "c"}) == [
        one for one in FAILOVER if b"Call-ID: b" not in one.data
    ]
    assert wires_of(FAILOVER, set()) == []
