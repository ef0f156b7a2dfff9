r"""Every message of tests/sip/corpus against the expectation written above it.

A file is notes, "----", and a message in the spirit of RFC 4475 and with its markup:
<hex>00FF</hex> for raw bytes, <repeat count=3>x</repeat>, and <lf> for a line that ends with LF
alone; all other line ends are CRLF. The notes are lines "; key = value":

    ; expect: request METHOD | response STATUS | reject STATUS "reason" answerable|silent
    ; call_id = x            an attribute of the message, as text
    ; via.host = x           an attribute of its top Via
    ; header subject = x     the value of a header ("absent" when it must not be there)
    ; count vias = 2         how many values
    ; body = 3               how many bytes
    ; rendered = why         it does not render as it came (line ends, cut, ...)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from router.sip.errors import SipError
from router.sip.framing import StreamFramer
from router.sip.head import Limits
from router.sip.message import Request, Response, parse_message
from router.sip.render import render_message, render_response, reply_head

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.sip"))


class Case(NamedTuple):
    data: bytes
    expect: str
    checks: list[tuple[str, str]]


def _to_bytes(text: str) -> bytes:
    def repeated(match: re.Match[str]) -> str:
        return match[2] * int(match[1])

    text = re.sub(r"<repeat count=(\d+)>(.*?)</repeat>", repeated, text, flags=re.DOTALL)
    return re.sub(
        rb"<hex>([0-9A-F]+)</hex>", lambda match: bytes.fromhex(match[1].decode()), text.encode()
    )


def load(path: Path) -> Case:
    notes, _, message = path.read_bytes().decode().partition("\n----\n")
    expect = ""
    checks = []
    for line in notes.split("\n")[1:]:
        if line.startswith("; expect: "):
            expect = line.removeprefix("; expect: ")
        else:
            key, equals, value = line.removeprefix("; ").partition(" =")
            assert equals, f"{path.name}: {line}"
            checks.append((key, _to_bytes(value[1:]).decode("utf-8", "surrogateescape")))
    return Case(_to_bytes(message.replace("\n", "\r\n").replace("<lf>\r\n", "\n")), expect, checks)


CASES = {path.stem: load(path) for path in CORPUS}


def each(*ends: str) -> pytest.MarkDecorator:
    """Runs a test with every case whose expectation begins or ends with one of the words."""
    names = [
        name
        for name, case in CASES.items()
        if case.expect.startswith(ends) or case.expect.endswith(ends)
    ]
    return pytest.mark.parametrize("case", [CASES[name] for name in names], ids=names)


def test_the_corpus_is_there() -> None:
    assert len([path for path in CORPUS if path.stem.startswith("valid-")]) >= 25
    assert len([path for path in CORPUS if path.stem.startswith("broken-")]) >= 35


def _seen(message: Request | Response, key: str) -> str:
    kind, _, name = key.partition(" ")
    if kind == "header":
        return message.get(name, "absent")
    if kind == "count":
        if name == "contacts":
            return str(len(message.values("contact")))
        return str(len(getattr(message, name)))
    if kind == "body":
        return str(len(message.body))
    if kind.startswith("via."):
        return str(getattr(message.top_via, kind.removeprefix("via.")))
    return str(getattr(message, kind))


@each("")
def test_a_message_is_understood_or_refused_as_its_notes_say(case: Case) -> None:
    kind, _, rest = case.expect.partition(" ")
    if kind == "reject":
        status, reason, answerable = re.fullmatch(
            r'(\d{3}) "(.*)" (answerable|silent)', rest
        ).groups()  # type: ignore[union-attr]
        with pytest.raises(SipError) as refused:
            parse_message(case.data)
        error = refused.value
        assert (str(error.status), error.reason) == (status, reason)
        assert (error.request is not None) == (answerable == "answerable")
        return
    message = parse_message(case.data)
    if kind == "request":
        assert isinstance(message, Request)
        assert message.method == rest
    else:
        assert kind == "response"
        assert isinstance(message, Response)
        assert str(message.status) == rest
    for key, value in case.checks:
        if key != "rendered":
            assert (key, _seen(message, key)) == (key, value)


@each("request", "response")
def test_a_message_renders_as_it_came_up_to_folding(case: Case) -> None:
    message = parse_message(case.data)
    rendered = render_message(message)
    head = case.data[: len(case.data) - len(message.body)]
    folded = b"\r\n " in head or b"\r\n\t" in head
    if folded or any(key == "rendered" for key, _ in case.checks):
        again = parse_message(rendered)
        assert (again.lines, again.keys, again.body) == (message.lines, message.keys, message.body)
        assert render_message(again) == rendered
    else:
        assert rendered == case.data


@each(" answerable")
def test_a_refusal_can_be_answered_where_it_says_so(case: Case) -> None:
    with pytest.raises(SipError) as refused:
        parse_message(case.data)
    error = refused.value
    request = error.request
    assert request is not None
    assert request.top_via.host
    answer = render_response(error.status, error.reason, reply_head(request, "us"))
    head = answer.decode("utf-8", "surrogateescape")
    start, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    assert start == f"SIP/2.0 {error.status} {error.reason}"
    expected = [line for line, key in zip(request.lines, request.keys, strict=True) if key == "via"]
    for key in ("from", "to", "call-id", "cseq"):
        expected.append(request.lines[request.keys.index(key)])
        if key == "to" and not request.to_tag:
            expected[-1] += ";tag=us"
    assert lines == [*expected, "Content-Length: 0"]


@each("")
def test_a_message_cut_anywhere_raises_nothing_but_sip_errors(case: Case) -> None:
    data = case.data[:2_000]
    for end in range(len(data)):
        for piece in (data[:end], data[end:]):
            try:
                parse_message(piece)
            except SipError as error:
                assert 400 <= error.status < 700


@each("")
def test_a_framer_survives_every_message(case: Case) -> None:
    framer = StreamFramer(Limits(message_bytes=4_096))
    try:
        for start in range(0, len(case.data), 7):
            framer.feed(case.data[start : start + 7])
    except SipError as error:
        assert error.status in (400, 413)
