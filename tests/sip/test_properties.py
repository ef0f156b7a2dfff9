"""What holds for every message, drawn by hypothesis.

A failure prints the drawn example and a `@reproduce_failure` line that draws it again.
"""

from __future__ import annotations

import string

from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.sip.errors import SipError
from router.sip.framing import StreamFramer
from router.sip.head import DEFAULT_LIMITS, Limits, canonical_key
from router.sip.message import Request, Response, is_keepalive, parse_message
from router.sip.name_addr import header_tag, header_uri, parse_name_addr
from router.sip.quoting import is_closed, quote, split_outside_quotes, unquote
from router.sip.render import (
    render_header,
    render_message,
    render_request,
    render_response,
    reply_head,
)
from router.sip.uri import (
    Uri,
    escape_user,
    parse_uri,
    render_uri,
    replace_uri_user,
    unescape,
    uri_host,
    uri_host_port,
    uri_user,
)
from router.sip.via import parse_via, response_target, stamp_source

thorough = settings(max_examples=300, deadline=None, print_blob=True)

TOKEN = string.ascii_letters + string.digits + "-.!%*_+`'~"
MANDATORY = ("via", "from", "to", "call-id", "cseq")
SINGLE = {"from", "to", "call-id", "cseq", "max-forwards", "content-length"}

tokens = st.text(TOKEN, min_size=1, max_size=12)
# Bytes of a line as text: everything but CR and LF, NUL and broken UTF-8 included.
line_texts = st.binary(max_size=40).map(
    lambda data: data.replace(b"\r", b"").replace(b"\n", b"").decode("utf-8", "surrogateescape")
)
address_texts = line_texts.filter(is_closed)
colons = st.sampled_from([":", ": ", " :", "\t: ", " : \t"])
other_names = tokens.filter(lambda name: canonical_key(name) not in (*SINGLE, "via"))
other_lines = st.tuples(other_names, colons, line_texts).map("".join)
mandatory_lines = st.tuples(
    st.sampled_from(["Via: ", "v:", "VIA : "]).map(
        lambda start: f"{start}SIP/2.0/UDP 192.0.2.2:5070;branch=z9hG4bKx;rport"
    ),
    st.tuples(st.sampled_from(["From: ", "f:"]), address_texts).map("".join),
    st.tuples(st.sampled_from(["To: ", "t:"]), address_texts).map("".join),
    st.tuples(st.sampled_from(["Call-ID:", "i: "]), tokens).map("".join),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A whole well-formed message whose values are arbitrary bytes."""
    method = draw(tokens)
    start = draw(
        st.sampled_from(["request", "response"]).flatmap(
            lambda kind: (
                line_texts.map(lambda reason: f"SIP/2.0 200 {reason}")
                if kind == "response"
                else tokens.map(lambda uri: f"{method} sip:{uri} SIP/2.0")
            )
        )
    )
    lines = [*draw(mandatory_lines), f"CSeq: {draw(st.integers(0, 2**31 - 1))} {method}"]
    lines = draw(st.permutations(lines + draw(st.lists(other_lines, max_size=6))))
    body = draw(st.binary(max_size=60))
    if draw(st.booleans()):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([start, *lines, "", ""])
    return head.encode("utf-8", "surrogateescape") + body


def touch(message: Request | Response) -> None:
    """Asks a message everything; what may raise, raises SipError."""
    assert message.lines is not None
    assert len(message.lines) == len(message.keys)
    for line in message.lines:
        assert "\r" not in line
        assert "\n" not in line
    for key in message.keys:
        assert message.has(key)
        assert message.get(key) == message.get_all(key)[0]
        message.values(key)
    assert message.call_id
    assert 0 <= message.cseq < 2**31
    assert isinstance(message.from_tag + message.to_tag, str)
    assert isinstance(message.contact_uri + message.from_uri + message.to_uri, str)
    assert message.max_forwards is None or message.max_forwards >= 0
    assert all(message.vias + message.routes + message.record_routes)
    for key in ("from", "to", "contact"):
        try:
            parse_name_addr(message.get(key))
        except SipError as error:
            assert error.request is None
    for uri in (message.contact_uri, message.from_uri, message.to_uri):
        uri_user(uri)
        uri_host(uri)
        for parse in (uri_host_port, parse_uri):
            try:
                parse(uri)
            except SipError as error:
                assert error.status in (400, 416)
    try:
        host, port = response_target(message.top_via)
    except SipError as error:
        assert error.request is None
    else:
        assert host
        assert 0 < port < 65_536
        if isinstance(message, Request):
            stamp_source(message, "192.0.2.77", 7_777)
            assert parse_via(message.get("via")).received == "192.0.2.77"


@given(messages())
@thorough
def test_a_message_that_is_parsed_renders_the_same(data: bytes) -> None:
    message = parse_message(data)
    assert render_message(message) == data
    head, _, body = data.decode("utf-8", "surrogateescape").partition("\r\n\r\n")
    assert message.lines == head.split("\r\n")[1:]
    assert message.body == body.encode("utf-8", "surrogateescape")
    assert message.passthrough(frozenset()) == head.partition("\r\n")[2] + "\r\n"
    touch(message)


@given(messages(), st.data())
@thorough
def test_folding_changes_white_space_only(data: bytes, drawn: st.DataObject) -> None:
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    folded = []
    for line in lines:
        name, _, value = line.partition(b":")
        for at in range(len(value) - 1, -1, -1):
            if value[at : at + 1] in (b" ", b"\t") and drawn.draw(st.booleans()):
                value = (
                    value[:at] + b"\r\n" + drawn.draw(st.sampled_from([b" ", b"\t "])) + value[at:]
                )
        folded.append(name + b":" + value)
    flat = parse_message(data)
    message = parse_message(b"\r\n".join([start, *folded, b"", b""]) + body)
    assert message.keys == flat.keys
    assert message.body == flat.body

    def squeezed(line: str) -> str:
        return " ".join(part for part in line.replace("\t", " ").split(" ") if part)

    assert [squeezed(line) for line in message.lines] == [squeezed(line) for line in flat.lines]
    touch(message)


@given(messages())
@thorough
def test_line_feeds_alone_give_the_same_message(data: bytes) -> None:
    head, _, body = data.partition(b"\r\n\r\n")
    message = parse_message(head.replace(b"\r\n", b"\n") + b"\n\n" + body)
    assert message.lines == parse_message(data).lines
    assert message.body == body


@given(st.binary(max_size=300))
@example(b"SIP/2.0 200 OK\r\n\r\n")
@example(b"\n \n\n")
@example(b":\r\n\r\n")
@example(b"SIP/2.0 200 OK, but long\r\n\r\n")
@thorough
def test_random_bytes_raise_nothing_but_sip_errors(data: bytes) -> None:
    is_keepalive(data)
    # The default limits are out of reach for drawn bytes: small ones are not.
    for limits in (DEFAULT_LIMITS, Limits(60, 2, 12, 6)):
        try:
            touch(parse_message(data, limits))
        except SipError as error:
            assert 400 <= error.status < 700


@given(messages(), st.data())
@settings(parent=thorough, max_examples=800)
def test_a_damaged_message_raises_nothing_but_sip_errors(data: bytes, drawn: st.DataObject) -> None:
    for _ in range(drawn.draw(st.integers(1, 3))):
        at = drawn.draw(st.integers(0, len(data)))
        cut = drawn.draw(st.integers(0, 12))
        put = drawn.draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from([b"\r\n", b"\r", b"\n", b"\r\n\r\n", b":", b'"', b"<", b">", b";"]),
                st.sampled_from([b"\r\n ", b",", b"\r\nVia:", b"\r\nl:9", b" ", b"SIP/2.0", b"["]),
            )
        )
        data = data[:at] + put + data[at + cut :]
    limits = drawn.draw(
        st.just(DEFAULT_LIMITS)
        | st.builds(
            Limits,
            message_bytes=st.integers(50, 500),
            header_count=st.integers(0, 12),
            line_chars=st.integers(0, 80),
            uri_chars=st.integers(0, 40),
        )
    )
    try:
        touch(parse_message(data, limits))
    except SipError as error:
        assert 400 <= error.status < 700
        request = error.request
        if request is not None:
            assert request.method != "ACK"
            assert request.top_via.host
            answer = render_response(error.status, error.reason, reply_head(request, "us"))
            names = [
                canonical_key(line.partition(":")[0].strip())
                for line in answer.decode("utf-8", "surrogateescape").split("\r\n")[1:-2]
            ]
            assert set(names) - {"record-route", "timestamp"} == {*MANDATORY, "content-length"}
            assert all(names.count(name) == 1 for name in names if name in SINGLE)


@given(messages())
@thorough
def test_a_response_begins_with_lines_of_the_request_only(data: bytes) -> None:
    request = parse_message(data)
    if isinstance(request, Response):
        return
    head = reply_head(request, "")
    assert set(head.split("\r\n")[:-1]) <= set(request.lines)
    assert all(line in head for line, key in zip(request.lines, request.keys) if key in MANDATORY)  # noqa: B905
    extra = request.passthrough(frozenset({*MANDATORY, "content-length", "record-route"}))
    response = parse_message(render_response(180, "Ringing", head, extra, request.body))
    assert isinstance(response, Response)
    assert response.body == request.body
    assert response.call_id == request.call_id
    assert response.vias == request.vias
    forwarded = parse_message(render_request(request.method, request.uri, head, extra))
    assert forwarded.passthrough(frozenset()) == head + extra + "Content-Length: 0\r\n"


@given(st.text(max_size=40), st.text(max_size=10))
@thorough
def test_no_value_from_outside_makes_a_line_of_its_own(value: str, name: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    line = render_header("X-A", value)
    assert line.count("\r") == line.count("\n") == 1
    assert line.endswith("\r\n")
    try:
        render_header(name, "x")
    except ValueError:
        return
    assert set(name) <= set(TOKEN)


def _outcome(data: bytes, sizes: list[int]) -> tuple[list[bytes], int, str]:
    framer = StreamFramer(Limits(message_bytes=400, line_chars=120))
    seen: list[bytes] = []
    at = 0
    try:
        for size in [*sizes, len(data)]:
            seen += framer.feed(data[at : at + size])
            at += size
        if framer.error is not None:
            raise framer.error
    except SipError as error:
        return seen, framer.pings, str(error)
    return seen, framer.pings, ""


pieces = st.one_of(
    messages(),
    messages().map(lambda data: data.replace(b"\r\n", b"\n")),
    st.sampled_from([b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"GET / HTTP/1.1\r\n", b"x" * 130]),
    st.sampled_from([b"A SIP/2.0\r\n", b"l: 3\r\n", b"l: 500\r\n", b"\r\n\r\nabc"]),
    st.sampled_from([b"\n\n", b"\n\r\n", b"\n\n\r\n", b"\r\n\n"]),
    st.binary(max_size=5),
)  # fmt: skip


@given(st.lists(pieces, max_size=5).map(b"".join), st.lists(st.integers(0, 60), max_size=40))
@settings(parent=thorough, max_examples=800)
def test_chunks_do_not_matter_to_the_framer(data: bytes, sizes: list[int]) -> None:
    assert _outcome(data, sizes) == _outcome(data, [])
    assert _outcome(data, [1] * len(data)) == _outcome(data, [])


@given(st.lists(messages(), max_size=4))
@thorough
def test_a_framer_hands_out_what_the_parser_takes(datas: list[bytes]) -> None:
    datas = [data for data in datas if parse_message(data).has("content-length")]
    framer = StreamFramer()
    assert framer.feed(b"".join(datas)) == datas


uris = st.builds(
    Uri,
    scheme=st.sampled_from(["sip", "sips"]),
    user=st.text(min_size=1, max_size=10).map(
        lambda text: escape_user(text.encode("utf-8", "replace").decode())
    ),
    password=st.none() | st.text("abc&=+$,%0", max_size=4),
    host=st.sampled_from(["h", "sbc-1.example.com", "192.0.2.1", "2001:db8::1"]),
    port=st.none() | st.integers(1, 65_535),
    params=st.dictionaries(
        st.text(string.ascii_lowercase + "-._", min_size=1, max_size=6),
        st.none() | st.text(string.ascii_letters + "[]/:&+$%", max_size=6),
        max_size=3,
    ),
    headers=st.text(string.ascii_letters + "=&%[]/?:+$", max_size=10),
)


@given(uris)
@thorough
def test_a_uri_that_is_rendered_parses_the_same(uri: Uri) -> None:
    text = render_uri(uri)
    assert parse_uri(text) == uri
    assert (uri_user(text), uri_host(text)) == (uri.user, uri.host)
    assert uri_host_port(text) == (uri.host, uri.port)
    assert header_uri(f'"<x>;" <{text}>;tag=1') == text
    assert parse_name_addr(f"<{text}>;tag=1") == ("", text, {"tag": "1"})


@given(uris, st.text(max_size=12))
@thorough
def test_a_replaced_user_changes_nothing_else(uri: Uri, user: str) -> None:
    user = user.encode("utf-8", "replace").decode()
    result = parse_uri(replace_uri_user(render_uri(uri), user))
    uri.user, uri.password = escape_user(user), None
    assert result == uri
    if "%" not in user:
        assert unescape(result.user) == user


@given(st.text(max_size=20), tokens, st.lists(st.tuples(tokens, st.text('a";,<>\\', max_size=5))))
@thorough
def test_a_tag_is_found_whatever_stands_around_it(
    display: str, tag: str, params: list[tuple[str, str]]
) -> None:
    display = quote(display.encode("utf-8", "replace").decode())
    around = "".join(f";{name}={quote(value)}" for name, value in params if name.lower() != "tag")
    for value in (
        f"{display} <sip:a@h;tag=no>{around};tag={tag}",
        f"<sip:a@h>;tag={tag}{around}",
        f"sip:a@h{around};tag={tag}",
    ):
        assert header_tag(value) == parse_name_addr(value).params["tag"] == tag
        assert split_outside_quotes(f"{value}, {value}", ",") == [value, value]
    assert header_tag(f"{display} <sip:a@h;tag=no>{around}") == ""


@given(st.text(max_size=20))
@thorough
def test_quoting_is_undone_by_unquoting(text: str) -> None:
    assert unquote(quote(text)) == text.replace("\r", " ").replace("\n", " ")
