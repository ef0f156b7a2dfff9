from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.cli.main import main

ROUTES = """
gateway first  { address = 192.0.2.91:5060  prefixes = 86  priority = 1 }
gateway second { address = 192.0.2.92:5060  prefixes = 86  priority = 2 }
account acme { trunk office { ips = 127.0.0.1 } }
request_route {
    if ($rm != "INVITE") reply(405);
    if (!identify()) end(IllegalCall);
    log(info, "from " + $fU);
    call(gateways($rU));
}
"""
PASSING = """
test "the first gateway is tried first" {
    invite from 127.0.0.1 callee "86138";
    expect gateway first;
    gateway first answers after 2s;
    caller hangs up after 65s;
    expect end Normal duration 65s;
}
"""
FAILING = """
test "the second is tried first" {
    invite from 127.0.0.1 callee "86138";
    expect gateway second;
}
"""

Run = Callable[..., tuple[Any, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs `trunkline test` on a routes.cfg; exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def go(text: str, *arguments: str) -> tuple[Any, str]:
        Path("routes.cfg").write_text(text)
        monkeypatch.setattr(sys, "argv", ["trunkline", "test", *arguments])
        try:
            code: Any = main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code or 0, captured.out + captured.err

    return go


def test_tests_that_pass_take_a_line_each(run: Run) -> None:
    code, output = run(ROUTES + PASSING, "routes.cfg")
    assert code == 0
    first, _, summary = output.splitlines()
    assert first.startswith("passed  the first gateway is tried first  ")
    assert first.endswith(" ms, 67 s of calls")
    assert summary.startswith("1 test: 1 passed in ")


def test_a_failure_is_shown_in_full(run: Run) -> None:
    code, output = run(ROUTES + PASSING + FAILING, "routes.cfg")
    assert code == 1
    lines = output.splitlines()
    assert lines[0].startswith("passed  ")
    assert lines[1].startswith("FAILED  the second is tried first  ")
    at = lines.index("FAILED  the second is tried first")
    place = (ROUTES + PASSING + FAILING).split("\n").index("    expect gateway second;") + 1
    assert lines[at + 1] == f"routes.cfg:{place}:5: expect gateway second"
    assert lines[at + 2].strip() == "expected the call at second, but it went to first"
    rest = "\n".join(lines[at + 3 :])
    assert "caller" in rest
    assert "trunkline" in rest
    assert rest.count("INVITE") >= 2
    assert "first: taken" in rest
    assert "info: from 1000" in rest
    assert lines[-1].startswith("2 tests: 1 passed, 1 failed in ")


def test_the_file_is_routes_cfg_unless_another_is_named(run: Run) -> None:
    assert run(ROUTES + PASSING)[0] == 0
    code, output = run(ROUTES + PASSING, "other.cfg")
    assert code == 1
    assert "other.cfg: cannot be read: no such file or directory" in output


def test_a_file_without_tests_says_so(run: Run) -> None:
    code, output = run(ROUTES, "routes.cfg")
    assert (code, output) == (0, 'routes.cfg has no tests: they are written test "…" { … }\n')


def test_a_pattern_chooses_by_title(run: Run) -> None:
    code, output = run(ROUTES + PASSING + FAILING, "routes.cfg", "-k", "FIRST GATEWAY")
    assert code == 0
    assert "1 test: 1 passed" in output


def test_a_pattern_that_no_title_has_is_no_success(run: Run) -> None:
    code, output = run(ROUTES + PASSING + FAILING, "routes.cfg", "-k", "third")
    assert code == 1
    assert output == 'None of the 2 tests of routes.cfg has "third" in its title.\n'


def test_what_is_wrong_with_the_configuration_is_shown_and_nothing_tried(run: Run) -> None:
    code, output = run(ROUTES + PASSING.replace("gateway first", "gateway frist"), "routes.cfg")
    assert code == 1
    assert "error: there is no gateway `frist` [unknown-gateway]" in output
    assert "did you mean `first`?" in output
    assert "passed" not in output


def test_json_holds_what_the_text_does(run: Run) -> None:
    code, output = run(ROUTES + PASSING + FAILING, "routes.cfg", "--json")
    assert code == 1
    answer = json.loads(output)
    assert (answer["passed"], answer["failed"]) == (1, 1)
    good, bad = answer["tests"]
    assert (good["title"], good["passed"], good["virtual_ms"], good["failure"]) == (
        "the first gateway is tried first", True, 67_000, None,
    )
    failure = bad["failure"]
    assert failure["step"] == "expect gateway second"
    assert failure["expected"] == "the call at second"
    assert failure["happened"] == "it went to first"
    first = failure["messages"][0]
    assert (first["at_ms"], first["from"], first["to"]) == (0, "caller", "trunkline")
    assert first["message"].startswith("INVITE sip:86138@127.0.0.1:5060 SIP/2.0\r\n")
    assert "first: taken" in failure["decision"]
    assert failure["log"] == ["info: from 1000"]


def test_json_of_a_configuration_with_errors_is_that_of_check(run: Run) -> None:
    code, output = run(ROUTES + FAILING.replace("second;", "third;"), "routes.cfg", "--json")
    assert code == 1
    answer = json.loads(output)
    assert (answer["errors"], answer["findings"][0]["code"]) == (1, "unknown-gateway")


def test_json_without_tests_is_empty(run: Run) -> None:
    code, output = run(ROUTES, "routes.cfg", "--json")
    assert (code, json.loads(output)) == (0, {"tests": [], "passed": 0, "failed": 0})


def test_titles_cannot_move_the_cursor(run: Run) -> None:
    text = PASSING.replace("the first gateway is tried first", "a\\nb\x1b[2J")
    code, output = run(ROUTES + text, "routes.cfg")
    assert code == 0
    assert "passed  a\\x0ab\\x1b[2J" in output
