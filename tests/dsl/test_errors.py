"""Wrong programs and the findings that they give, no more and no fewer.

The files of tests/dsl/errors hold programs between lines of `---`. A finding is expected by a
comment on a line of its own before the line that it stands on:

    # !! code: a regex that is found in "message; help"

`# !!3 code: …` expects it on the program's line 3 instead. A program without a request_route gets
one that answers; `# whole` as its first line checks against the table with everything ready.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from routes_text import WHOLE, check_text, with_request_route

from dsl.codes import CODES
from dsl.findings import Finding, render_finding
from router.routing.surface import SURFACE

FOLDER = Path(__file__).parent / "errors"
EXPECTATION = re.compile(r"^\s*# !!(\d*) ([a-z0-9-]+)(?:: (.*))?$")


class Expected(NamedTuple):
    """A finding that a program has to give."""

    line: int
    code: str
    pattern: str


def programs() -> list[tuple[str, str]]:
    """Each program with the place where it begins."""
    found = []
    for path in sorted(FOLDER.glob("*.cfg")):
        line = 1
        for text in re.split(r"^---\n", path.read_text(), flags=re.MULTILINE):
            found.append((f"{path.name}:{line}", text))
            line += text.count("\n") + 1
    return found


def expectations(text: str) -> list[Expected]:
    """What a program's comments expect."""
    lines = text.split("\n")
    found = []
    for at, line in enumerate(lines):
        match = EXPECTATION.match(line)
        if match is None:
            assert "!!" not in line, f"no expectation: {line}"
            continue
        where, code, pattern = match.groups()
        following = at
        while EXPECTATION.match(lines[following]):
            following += 1
        found.append(Expected(int(where) if where else following + 1, code, pattern or ""))
    return found


def _text(finding: Finding) -> str:
    return f"{finding.message}; {finding.help}"


PROGRAMS = programs()


@pytest.mark.parametrize(("place", "text"), PROGRAMS, ids=[place for place, _ in PROGRAMS])
def test_a_wrong_program_gives_the_findings_that_it_says(place: str, text: str) -> None:
    surface = WHOLE if text.startswith("# whole\n") else SURFACE
    outcome = check_text(
        with_request_route(text), surface=surface, more={"more.cfg": "", "latin.cfg": b"\xe9"}
    )
    wanted = expectations(text)
    assert wanted, "the program expects no finding"
    shown = "\n".join(
        f"  {found.line}:{found.column} {found.code}: {_text(found)}" for found in outcome.findings
    )
    left = list(outcome.findings)
    for expected in wanted:
        assert expected.code in CODES
        matching = [
            found
            for found in left
            if (found.line, found.code) == (expected.line, expected.code)
            and re.search(expected.pattern, _text(found))
        ]
        assert matching, f"{place} gave no {expected}, but\n{shown}"
        left.remove(matching[0])
    assert not left, f"{place} gave more than expected:\n{shown}"


def test_there_are_many_wrong_programs_and_they_cover_every_code() -> None:
    covered = {expected.code for _, text in PROGRAMS for expected in expectations(text)}
    assert CODES - covered == set()
    assert len(PROGRAMS) >= 420, "what was refused once is refused for ever"


def test_a_password_in_a_quoted_line_is_covered_and_the_caret_stays() -> None:
    text = 'account acme { phone 1001 { passwort = "geheim"  ips = nowhere } }\n'
    outcome = check_text(text)
    shown = [render_finding(found, text) for found in outcome.findings]
    assert shown and all('passwort = "******"  ips' in one for one in shown)
    assert not any("geheim" in one for one in shown)
    caret = next(one for one in shown if "passwort" in one.splitlines()[0]).splitlines()
    assert caret[2].index("^") == caret[1].index("passwort")
