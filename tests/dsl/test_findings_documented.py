"""docs/findings.md against the checker: every code is there, and its examples do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from routes_text import WHOLE, check_text, codes, with_request_route

from dsl.codes import CODES
from router.routing.surface import SURFACE

PAGE = Path(__file__).parents[2] / "docs/findings.md"
OF_THIS_VERSION = ("not-supported",)


def _sections() -> dict[str, str]:
    parts = re.split(r"^### (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


SECTIONS = _sections()


def _example(code: str, kind: str) -> str:
    found = re.findall(rf"^```routes {kind}\n(.*?)^```$", SECTIONS[code], re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"{code} has {len(found)} {kind} examples"
    return found[0]


def _codes_of(code: str, kind: str) -> list[str]:
    surface = SURFACE if code in OF_THIS_VERSION else WHOLE
    text = with_request_route(_example(code, kind))
    return codes(check_text(text, surface=surface, more={"more.cfg": ""}))


def test_every_code_is_documented_and_no_other() -> None:
    assert sorted(SECTIONS) == sorted(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_the_wrong_example_gives_exactly_its_code(code: str) -> None:
    found = _codes_of(code, "wrong")
    assert found == [code]


@pytest.mark.parametrize("code", sorted(CODES))
def test_the_right_example_gives_no_finding(code: str) -> None:
    assert _codes_of(code, "right") == []


@pytest.mark.parametrize("code", sorted(CODES))
def test_the_section_says_the_severity_first(code: str) -> None:
    surface = SURFACE if code in OF_THIS_VERSION else WHOLE
    text = with_request_route(_example(code, "wrong"))
    finding = check_text(text, surface=surface, more={"more.cfg": ""}).findings[0]
    assert SECTIONS[code].strip().lower().startswith(finding.severity)
