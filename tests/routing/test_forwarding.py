"""Forwarding as arithmetic: why a phone passes a call on, where it has been, what headers say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from router.core.end_reasons import EndReason
from router.routing.forwarding import (
    MAX_READ,
    Hop,
    Why,
    header_lines,
    numbers_left,
    target_number,
    why_unanswered,
)
from router.routing.objects import NO_ACCOUNT, Phone
from router.sip.message import Request, parse_message

US = "192.0.2.1:5060"


def phone(number: str, **forwards: str) -> Phone:
    return Phone(NO_ACCOUNT, number, "secret", **forwards)


def invite(*lines: str) -> Request:
    head = "".join(f"{line}\r\n" for line in lines)
    message = parse_message(
        f"INVITE sip:1001@{US} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:1@a>;tag=1\r\nTo: <sip:2@b>\r\nCall-ID: x\r\n"
        f"CSeq: 1 INVITE\r\n{head}Content-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize(
    ("status", "failure", "rang", "media", "why"),
    [
        (486, None, True, False, Why.BUSY),
        (603, None, False, False, Why.BUSY),
        (600, None, False, False, Why.BUSY),
        (0, EndReason.ResponseTimeout, True, False, Why.NO_ANSWER),
        (480, None, True, False, Why.NO_ANSWER),
        (408, None, False, True, Why.NO_ANSWER),
        (480, None, False, False, Why.OFFLINE),
        (404, None, False, False, Why.OFFLINE),
        (0, EndReason.ConnectionTimeout, False, False, Why.OFFLINE),
        (0, EndReason.ProceedingTimeout, False, False, Why.OFFLINE),
    ],
)
def test_why_a_phone_did_not_answer(
    status: int, failure: EndReason | None, rang: bool, media: bool, why: Why
) -> None:
    last: Any = SimpleNamespace(status=status, failure=failure, rang=rang, media=media)
    assert why_unanswered(last) is why


def test_a_phone_without_a_free_line_is_busy() -> None:
    assert why_unanswered(None) is Why.BUSY


def test_each_reason_has_a_number_of_its_own() -> None:
    forwards = phone(
        "1001", forward_always="1", forward_busy="2", forward_no_answer="3", forward_offline="4"
    )
    assert [target_number(forwards, why) for why in Why] == ["1", "2", "3", "4"]
    assert target_number(phone("1002"), Why.BUSY) == ""


def test_the_headers_tell_every_hop_the_last_diversion_first() -> None:
    hops = [Hop(phone("1001"), Why.BUSY), Hop(phone("1002"), Why.OFFLINE)]
    assert header_lines(hops, "86#1", US, None).splitlines() == [
        f"Diversion: <sip:1002@{US}>;reason=unavailable;counter=1",
        f"Diversion: <sip:1001@{US}>;reason=user-busy;counter=1",
        f"History-Info: <sip:1001@{US}>;index=1",
        f"History-Info: <sip:1002@{US};cause=486>;index=1.1;mp=1",
        f"History-Info: <sip:86%231@{US};cause=503>;index=1.1.1;mp=1.1",
    ]


def test_what_came_with_the_call_stays_in_its_order() -> None:
    request = invite(
        "Diversion: <sip:7@a>;reason=no-answer", "Diversion: \"B, C\" <sip:8@a>, <sip:9@a>",
        "History-Info: <sip:7@a>;index=1, <sip:8@a>;index=1.1",
    )
    hops = [Hop(phone("1001"), Why.ALWAYS)]
    assert header_lines(hops, "1002", US, request).splitlines() == [
        f"Diversion: <sip:1001@{US}>;reason=unconditional;counter=1",
        "Diversion: <sip:7@a>;reason=no-answer",
        "Diversion: \"B, C\" <sip:8@a>, <sip:9@a>",
        "History-Info: <sip:7@a>;index=1",
        "History-Info: <sip:8@a>;index=1.1",
        f"History-Info: <sip:1001@{US}>;index=3",
        f"History-Info: <sip:1002@{US};cause=302>;index=3.1;mp=3",
    ]
    assert numbers_left(hops, request) == ["9", "8", "7", "1001"]


def test_a_peers_diversions_are_bounded_and_may_be_anything() -> None:
    hops = [Hop(phone("1001"), Why.ALWAYS)]
    many = invite(*(f"Diversion: <sip:{number}@a>" for number in range(50)))
    assert len(numbers_left(hops, many)) == MAX_READ + 1
    odd = invite("Diversion: <", "Diversion: ;;;", "Diversion: sip:3@a")
    assert numbers_left(hops, odd)[-1] == "1001"
    assert header_lines(hops, "2", US, odd).count("Diversion:") == 4
