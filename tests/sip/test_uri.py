from __future__ import annotations

import pytest

from router.sip.errors import SipError
from router.sip.uri import (
    Uri,
    escape_user,
    parse_uri,
    render_uri,
    replace_uri_user,
    split_host_port,
    unescape,
    uri_host,
    uri_host_port,
    uri_number,
    uri_user,
)

URIS = [
    ("sip:h", Uri("sip", "", None, "h", None)),
    ("sip:1001@h", Uri("sip", "1001", None, "h", None)),
    ("sips:a:secret@h:5061", Uri("sips", "a", "secret", "h", 5061)),
    ("sip:a:@h", Uri("sip", "a", "", "h", None)),
    ("sip:a:b:c@h", Uri("sip", "a", "b:c", "h", None)),
    (
        "sip:a@[2001:db8::1]:5070;transport=tcp;lr",
        Uri("sip", "a", None, "2001:db8::1", 5070, {"transport": "tcp", "lr": None}),
    ),
    ("sip:[fe80::1%25eth0]", Uri("sip", "", None, "fe80::1%25eth0", None)),
    (
        "sip:%2B86%20x@h;method=INVITE;x=?to=b%40c&subject=%00",
        Uri(
            "sip", "%2B86%20x", None, "h", None, {"method": "INVITE", "x": ""},
            "to=b%40c&subject=%00",
        ),
    ),
    (
        "sip:1;phone-context=+86@h;user=phone",
        Uri("sip", "1;phone-context=+86", None, "h", None, {"user": "phone"}),
    ),
    ("sip:a?b/c@h", Uri("sip", "a?b/c", None, "h", None)),
    ("tel:+86-10-(1)", Uri("tel", "+86-10-(1)", None, "", None)),
    (
        "tel:863-1234;phone-context=+1-914;ext=5",
        Uri("tel", "863-1234", None, "", None, {"phone-context": "+1-914", "ext": "5"}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "uri"), URIS)
def test_a_uri_is_parsed_and_renders_the_same(text: str, uri: Uri) -> None:
    assert parse_uri(text) == uri
    assert render_uri(uri) == text


@pytest.mark.parametrize(("text", "uri"), URIS)
def test_the_fast_looks_agree_with_the_parser(text: str, uri: Uri) -> None:
    assert uri_user(text) == uri.user
    assert uri_host(text) == uri.host
    assert uri_host_port(text) == (uri.host, uri.port)


def test_scheme_and_parameter_names_become_lower_case_and_the_first_of_two_counts() -> None:
    uri = parse_uri("SIP:Alice@Example.COM;Transport=TCP;transport=udp;LR")
    assert render_uri(uri) == "sip:Alice@Example.COM;transport=TCP;lr"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("1001", 400),
        (":x", 400),
        ("1sip:x", 400),
        ("sip:", 400),
        ("sip:@h", 400),
        ("sip::pw@h", 400),
        ("sip:a@", 400),
        ("sip:a@:5060", 400),
        ("sip:a@h:", 400),
        ("sip:a@h:0", 400),
        ("sip:a@h:70000", 400),
        ("sip:a@h:+1", 400),
        ("sip:a@h x", 400),
        ("sip:a@[::1", 400),
        ("sip:a@[::1]5060", 400),
        ("sip:a@[zz]", 400),
        ("sip:a@b@c", 400),
        ("tel:", 400),
        ("mailto:a@h", 416),
        ("http://h/", 416),
    ],
)
def test_a_uri_that_is_none_is_refused(text: str, status: int) -> None:
    with pytest.raises(SipError) as refused:
        parse_uri(text)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "text", ["", ":", "@", "sip:", "sip:@", "a@", "sip:[", "sip:[::1", "tel:", ";", "?", "sip:?@;"]
)
def test_the_fast_looks_take_anything(text: str) -> None:
    assert isinstance(uri_user(text), str)
    assert isinstance(uri_host(text), str)
    try:
        uri_host_port(text)
    except SipError as error:
        assert error.status == 400


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("h", ("h", None)),
        ("h:1", ("h", 1)),
        ("[::1]", ("::1", None)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_host_and_port_come_apart(text: str, pair: tuple[str, int | None]) -> None:
    assert split_host_port(text) == pair


@pytest.mark.parametrize(
    ("text", "user", "result"),
    [
        ("sip:1001@h:5060;user=phone?a=b", "8613", "sip:8613@h:5060;user=phone?a=b"),
        ("sip:h:5060", "8613", "sip:8613@h:5060"),
        ("sips:a:secret@[::1]", "b", "sips:b@[::1]"),
        ("sip:a@h;x=1", "", "sip:h;x=1"),
        ("tel:123;phone-context=+1", "+8613", "tel:+8613;phone-context=+1"),
        ("sip:a@h", "x@y", "sip:x%40y@h"),
        ("sip:a@h", "x\r\nVia: y", "sip:x%0D%0AVia%3A%20y@h"),
        ("sip:a@h", "%2B86%", "sip:%2B86%25@h"),
        ("sip:a@h", "号", "sip:%E5%8F%B7@h"),
        ("sip:a@h", "\udcff", "sip:%FF@h"),
        ("sip:a@h", "+86-(1)#", "sip:+86-(1)%23@h"),
    ],
)
def test_the_user_is_replaced_and_escaped(text: str, user: str, result: str) -> None:
    assert replace_uri_user(text, user) == result
    assert uri_user(result) == escape_user(user)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("", ""), ("abc", "abc"), ("%2B86", "+86"), ("%", "%"), ("%zz%41", "%zzA"), ("%FF", "\udcff")],
)
def test_escapes_are_resolved(text: str, plain: str) -> None:
    assert unescape(text) == plain


@pytest.mark.parametrize(
    ("user", "number"),
    [
        ("1001", "1001"),
        ("%2321%23", "#21#"),
        ("86%C3%A9", "86é"),
        ("86%2523", "86%2523"),
        ("86%FF", "86%FF"),
        ("86%0D%0A", "86%0D%0A"),
        ("86%1B", "86%1B"),
        ("86%zz", "86%zz"),
    ],
)
def test_a_number_is_text_that_escapes_to_the_same_user(user: str, number: str) -> None:
    assert uri_number(f"sip:{user}@h") == number
    assert unescape(escape_user(number)) == unescape(user)
