"""objects.cfg: read, changed and written, it says what it said before and the change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.surface import SURFACE
from router.runtime.added_blocks import HEADER, AddedBlocks, write_added, written_value

KINDS = frozenset(SURFACE.blocks)
WORDS = st.text("abcdefgh0123456789_", min_size=1, max_size=8).map(lambda text: "n" + text)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=20)


def read(text: str) -> AddedBlocks:
    return AddedBlocks(text, "objects.cfg", KINDS)


def test_trunks_and_phones_stand_in_their_account() -> None:
    added = read("")
    added.blocks["gateway", "hk"] = {"address": "192.0.2.1", "prefixes": "852, 853"}
    added.blocks["account", "new"] = {"lines": "5"}
    added.blocks["trunk", "new/a"] = {"ips": "192.0.2.0/24"}
    added.blocks["phone", "old/1001"] = {"password": '"x"'}
    assert added.render() == HEADER + (
        "\n"
        "gateway hk {\n    address  = 192.0.2.1\n    prefixes = 852, 853\n}\n"
        "\n"
        "account new {\n    lines = 5\n    trunk a {\n        ips = 192.0.2.0/24\n    }\n}\n"
        "\n"
        "account old {\n    phone 1001 {\n        password = \"x\"\n    }\n}\n"
    )


def test_an_account_that_only_adds_is_no_account_of_its_own() -> None:
    added = read("account old { trunk t { ips = 192.0.2.1 } }\naccount mine { }\n")
    assert added.blocks == {("trunk", "old/t"): {"ips": "192.0.2.1"}, ("account", "mine"): {}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gateway {", "has syntax errors"),
        ("request_route { drop; }", "objects.cfg:1: only blocks belong here"),
        ("listen = udp:127.0.0.1:1", "only blocks belong here"),
    ],
)
def test_what_is_not_of_this_layout_is_left_alone(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(text)


@pytest.mark.parametrize(
    ("text", "quoted", "written"),
    [
        ("30", False, "30"),
        ("852, 853", False, "852, 853"),
        ("192.0.2.1:5060;transport=tcp", False, "192.0.2.1:5060;transport=tcp"),
        ("86:0086", True, '"86:0086"'),
        ('"as it is"', True, '"as it is"'),
        ('env("X")', True, 'env("X")'),
        ('a"b\\', True, '"a\\"b\\\\"'),
        ("a } gateway evil { lines = 1", False, '"a } gateway evil { lines = 1"'),
    ],
)
def test_a_value_is_written_so_that_it_is_one_value(text: str, quoted: bool, written: str) -> None:
    assert written_value(text, quoted) == written


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["gateway", "account", "group"]), WORDS),
        st.dictionaries(WORDS, VALUES.map(lambda text: written_value(text, True)), max_size=3),
        max_size=4,
    ),
    st.dictionaries(
        st.tuples(st.sampled_from(["trunk", "phone"]), st.tuples(WORDS, WORDS).map("/".join)),
        st.dictionaries(WORDS, VALUES.map(lambda text: written_value(text, True)), max_size=3),
        max_size=4,
    ),
)
def test_what_was_written_is_read_again(
    outer: dict[tuple[str, str], dict[str, str]], inner: dict[tuple[str, str], dict[str, str]]
) -> None:
    added = read("")
    added.blocks = {**outer, **inner}
    again = read(added.render())
    assert again.render() == read(again.render()).render()
    for key, settings in added.blocks.items():
        if key in again.blocks:
            assert again.blocks[key].keys() == settings.keys()
        else:  # an empty account whose trunks stand in it needs no block of its own
            assert key[0] == "account" and not settings


def test_writing_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "objects.cfg"
    path.write_text("old")
    write_added(path, "new")
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["objects.cfg"]
    with pytest.raises(OSError):
        write_added(tmp_path / "none" / "objects.cfg", "new")
