from __future__ import annotations

import pytest

from router.sip.errors import SipError
from router.sip.name_addr import NameAddr, header_tag, header_uri, parse_name_addr
from router.sip.quoting import end_of_quoted, is_closed, quote, split_outside_quotes, unquote

ADDRESSES = [
    ("<sip:a@h>", NameAddr("", "sip:a@h", {})),
    ("sip:a@h", NameAddr("", "sip:a@h", {})),
    (" <sip:a@h> ; tag = x ", NameAddr("", "sip:a@h", {"tag": "x"})),
    ("sip:a@h;tag=x;lr", NameAddr("", "sip:a@h", {"tag": "x", "lr": ""})),
    ("<sip:a@h;lr;tag=no>", NameAddr("", "sip:a@h;lr;tag=no", {})),
    ("Alice B. <sip:a@h>;X=1;TAG=x;x=2", NameAddr("Alice B.", "sip:a@h", {"x": "1", "tag": "x"})),
    ("A<sip:a@h>", NameAddr("A", "sip:a@h", {})),
    (
        r'"Al \"ice\\" <sip:a@h>;tag=x',
        NameAddr(r'"Al \"ice\\"', "sip:a@h", {"tag": "x"}),
    ),
    ('"" <sip:a@h>', NameAddr('""', "sip:a@h", {})),
    (
        '"<sip:no>;tag=no" <sip:a@h>;tag=x',
        NameAddr('"<sip:no>;tag=no"', "sip:a@h", {"tag": "x"}),
    ),
    (
        '<sip:a@h>;x="a;tag=no>";tag=x',
        NameAddr("", "sip:a@h", {"x": '"a;tag=no>"', "tag": "x"}),
    ),
    ('sip:a@h;x="<no>;tag=no";tag=x', NameAddr("", "sip:a@h", {"x": '"<no>;tag=no"', "tag": "x"})),
    ("<sip:a@[::1]:5060>;tag=x", NameAddr("", "sip:a@[::1]:5060", {"tag": "x"})),
    ("王 <sip:a@h>;tag=Ψ", NameAddr("王", "sip:a@h", {"tag": "Ψ"})),
    ("*", NameAddr("", "*", {})),
    ("<tel:+86>;tagged=1;xtag=2", NameAddr("", "tel:+86", {"tagged": "1", "xtag": "2"})),
    ("<sip:a@h>;;;tag=x;", NameAddr("", "sip:a@h", {"tag": "x"})),
]


@pytest.mark.parametrize(("value", "address"), ADDRESSES)
def test_an_address_is_parsed(value: str, address: NameAddr) -> None:
    assert parse_name_addr(value) == address


@pytest.mark.parametrize(("value", "address"), ADDRESSES)
def test_the_fast_looks_agree_with_the_parser(value: str, address: NameAddr) -> None:
    assert header_tag(value.strip()) == address.params.get("tag", "")
    assert header_uri(value.strip()) == address.uri


@pytest.mark.parametrize(
    "value",
    [
        "",
        "<>",
        "<sip:a@h",
        '"open <sip:a@h>;tag=x',
        "alice",
        "<alice>",
        "<sip:a@h> x",
        "<sip:a@h>x;tag=1",
        "Alice sip:a@h",
        '"Alice" sip:a@h',
        "<sip:a b@h>",
        ";tag=x",
    ],
)
def test_an_address_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SipError) as refused:
        parse_name_addr(value)
    assert refused.value.status == 400
    assert isinstance(header_tag(value), str)
    assert isinstance(header_uri(value), str)


def test_the_first_of_several_addresses_is_the_uri() -> None:
    assert header_uri("<sip:a@h>;q=1, <sip:b@h>") == "sip:a@h"
    assert header_uri("sip:a@h, sip:b@h") == "sip:a@h"


@pytest.mark.parametrize(
    ("text", "separator", "parts"),
    [
        ("", ",", []),
        (" a ", ",", ["a"]),
        ("a,b , c", ",", ["a", "b", "c"]),
        (",a,,b,", ",", ["a", "b"]),
        ('"a,b",c', ",", ['"a,b"', "c"]),
        (r'"a\",b",c', ",", [r'"a\",b"', "c"]),
        (r'"a\\",b', ",", [r'"a\\"', "b"]),
        ("<a,b>,c", ",", ["<a,b>", "c"]),
        ('"x<" <a,">,b', ",", ['"x<" <a,">', "b"]),
        ('"open,b', ",", ['"open,b']),
        ("<open,b", ",", ["<open,b"]),
        ('a;b=";";c', ";", ["a", 'b=";"', "c"]),
    ],
)
def test_separators_count_outside_quotes_and_brackets(
    text: str, separator: str, parts: list[str]
) -> None:
    assert split_outside_quotes(text, separator) == parts


@pytest.mark.parametrize(
    ("text", "end"),
    [('"a"b', 3), ('"a\\"b"c', 6), ('"a\\\\"b', 5), ('"', 1), ('"\\"', 3), ('""', 2)],
)
def test_the_end_of_a_quoted_string_is_found(text: str, end: int) -> None:
    assert end_of_quoted(text, 0) == end


@pytest.mark.parametrize("text", ["", "a>", '"a<"', '<a">', r'"a\"" <b>', '"" <>;x="<"'])
def test_what_opens_and_closes_is_closed(text: str) -> None:
    assert is_closed(text)


@pytest.mark.parametrize("text", ['"', "<", r'"a\"', '"a" <b', '<a>"', '<a> "b>'])
def test_what_opens_only_is_not_closed(text: str) -> None:
    assert not is_closed(text)


@pytest.mark.parametrize(
    ("quoted", "text"), [('"a"', "a"), (r'"a\"b\\"', 'a"b\\'), ("a", "a"), ('""', ""), ('"', '"')]
)
def test_quotes_come_off(quoted: str, text: str) -> None:
    assert unquote(quoted) == text


def test_a_quoted_string_holds_no_line_break() -> None:
    assert quote('a"\\\r\nVia: x') == '"a\\"\\\\  Via: x"'
