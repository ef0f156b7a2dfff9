"""trunkline check and trunkline compile: what is printed, and the exit code."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from router.cli.check import check
from router.cli.compile import compile_routes
from router.cli.main import make_app
from router.runtime.check_cache import recall

CLEAN = 'gateway a { address = 192.0.2.1:5060 }\nrequest_route { reply(200, "[bold]hi[/bold]"); }\n'
WARNING = CLEAN + "route[UNUSED] { drop; }\n"
ERRORS = """\
gateway a { adress = 192.0.2.1:5060 }
request_route {
\tif ($ua =~ /[a-z]+(/) drop;      # [red]no markup[/red]
    reply(200)
}
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path("routes.cfg")


def test_a_clean_file_is_summed_up_in_one_line(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes.write_text(CLEAN)
    assert check(routes) == 0
    assert capsys.readouterr().out == "routes.cfg: 1 gateway, 1 route: no findings\n"


def test_warnings_leave_the_exit_code_at_0(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes.write_text(WARNING)
    assert check(routes) == 0
    out = capsys.readouterr().out
    assert "routes.cfg:3:1: warning: route[UNUSED] is never called [unused-route]" in out
    assert out.endswith("1 gateway, 2 routes: 1 warning\n")


def test_errors_are_all_shown_with_place_line_caret_and_help(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes.write_text(ERRORS)
    assert check(routes) == 1
    shown = capsys.readouterr().out
    assert shown == (
        "routes.cfg:1:13: error: a gateway has no setting `adress` [unknown-setting]\n"
        "    1 | gateway a { adress = 192.0.2.1:5060 }\n"
        "      |             ^^^^^^\n"
        "      help: did you mean `address`?\n"
        "\n"
        "routes.cfg:3:13: error: the regex does not compile: missing ), unterminated subpattern"
        " at position 6 [bad-regex]\n"
        "    3 | \tif ($ua =~ /[a-z]+(/) drop;      # [red]no markup[/red]\n"
        "      | \t           ^^^^^^^^^\n"
        "\n"
        "routes.cfg:4:15: error: expected `;` here [syntax]\n"
        "    4 |     reply(200)\n"
        "      |               ^\n"
        "\n"
        "routes.cfg: 1 gateway, 1 route: 3 errors\n"
    )


@pytest.mark.parametrize("json", [False, True])
@pytest.mark.parametrize("text", [CLEAN, WARNING, ERRORS])
def test_the_same_is_shown_again_out_of_what_was_kept(
    routes: Path, capsys: pytest.CaptureFixture[str], text: str, json: bool
) -> None:
    routes.write_text(text)
    code = check(routes, json=json)
    shown = capsys.readouterr().out
    assert recall(str(routes)) is not None
    assert check(routes, json=json) == code
    assert capsys.readouterr().out == shown


def test_json_is_one_object_with_the_fields_of_a_finding(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes.write_text(ERRORS + "route[UNUSED] { drop; }\n")
    assert check(routes, json=True) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["errors"], answer["warnings"]) == (3, 1)
    assert answer["findings"][0] == {
        "file": "routes.cfg",
        "line": 1,
        "column": 13,
        "end_line": 1,
        "end_column": 19,
        "severity": "error",
        "code": "unknown-setting",
        "message": "a gateway has no setting `adress`",
        "help": "did you mean `address`?",
        "chain": [],
    }


def test_a_chain_of_calls_is_shown(routes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes.write_text(
        "request_route { call(gateways($rU), on_branch = B); }\n"
        "branch_route[B] { route(A); }\n"
        "route[A] { reply(503); }\n"
    )
    assert check(routes) == 1
    assert "      routes.cfg:2:19: branch_route[B] calls route[A]\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", [check, compile_routes])
@pytest.mark.parametrize("kind", ["missing", "folder", "latin"])
def test_a_file_that_cannot_be_read_is_one_line(
    routes: Path, capsys: pytest.CaptureFixture[str], kind: str, command: object
) -> None:
    if kind == "folder":
        routes.mkdir()
    elif kind == "latin":
        routes.write_bytes(b"# gr\xfc\xdfe\n")
    assert command(routes) == 1  # type: ignore[operator]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("routes.cfg:")
    assert len(captured.err.splitlines()) == 1


def test_compile_prints_python(routes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes.write_text(CLEAN)
    assert compile_routes(routes) == 0
    source = capsys.readouterr().out
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    assert [ast.unparse(one) for one in functions] == [
        "def request_route(c):\n    c.at('request_route:2')\n"
        "    c.reply(200, '[bold]hi[/bold]')\n    return True"
    ]


def test_compile_shows_the_findings_of_a_file_with_errors(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes.write_text(ERRORS)
    assert compile_routes(routes) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "unknown-setting" in captured.err


@pytest.mark.parametrize(("text", "code"), [(CLEAN, 0), (ERRORS, 1)])
def test_the_program_ends_with_the_commands_exit_code(routes: Path, text: str, code: int) -> None:
    routes.write_text(text)
    with pytest.raises(SystemExit) as left:
        make_app()(["check", "routes.cfg"])
    assert left.value.code == code
