"""Generated code as such: the same every time, readable, with the lines of routes.cfg."""

from __future__ import annotations

import ast
import linecache
import traceback
from pathlib import Path
from typing import Any

import pytest
from fake_context import FakeContext, handlers
from routes_text import check_text

from dsl.generate import generate
from dsl.load import check_routes, compile_routes
from router.routing.surface import SURFACE

SHIPPED = Path(__file__).parents[2] / "routes.cfg"
TEXT = """
gateway a { address = 192.0.2.1:5060 }
request_route {
    if ($ua =~ /scanner/i || $si in [10.0.0.0/8, 198.51.100.0/24]) drop;
    if ($ua =~ /scanner/i && $si in [10.0.0.0/8, 198.51.100.0/24]) drop;
    # größer
    if ($rU =~ /^86/ && "größer" != $fn) { route(DEEPER); }
    reply(200);
}

route[DEEPER] {
    let n = 100
        / len($hdr(X-Divisor));
    if (n > 5)
        end(IllegalCall);
}
"""


def test_the_same_text_gives_the_same_code_to_the_letter() -> None:
    sources = {generate(check_text(TEXT), SURFACE).source() for _ in range(3)}
    assert len(sources) == 1


def test_constants_are_made_once_however_often_they_are_written() -> None:
    source = generate(check_text(TEXT), SURFACE).source()
    assert source.count("re.compile('scanner', re.IGNORECASE)") == 1
    assert source.count("NetworkSet(") == 1
    assert source.count("REGEX_1.search") == 2


def test_shown_code_is_python_that_does_the_same() -> None:
    generated = generate(check_text(TEXT), SURFACE)
    shown = ast.parse(generated.source())
    names = [node.name for node in shown.body if isinstance(node, ast.FunctionDef)]
    assert names == ["route_DEEPER", "request_route"]


def test_a_traceback_names_the_line_of_routes_cfg_and_shows_it() -> None:
    route = handlers(TEXT)["request_route", ""]
    with pytest.raises(ZeroDivisionError) as caught:
        route(FakeContext())
    frames = [frame for frame in traceback.extract_tb(caught.tb) if frame.filename == "routes.cfg"]
    assert [(frame.lineno, frame.name) for frame in frames] == [
        (7, "request_route"),
        (12, "route_DEEPER"),
    ]
    assert frames[1].line == "let n = 100"
    shown = "".join(traceback.format_exception(caught.value))
    assert 'File "routes.cfg", line 7, in request_route' in shown
    assert 'if ($rU =~ /^86/ && "größer" != $fn) { route(DEEPER); }' in shown


def test_an_action_that_raises_is_shown_where_it_is_written() -> None:
    class Raising(FakeContext):
        def end(self, reason: str) -> None:
            raise LookupError(reason)

    with pytest.raises(LookupError) as caught:
        handlers(TEXT)["request_route", ""](Raising(headers={"X-Divisor": "x"}))
    frame = traceback.extract_tb(caught.tb)[-2]
    assert (frame.filename, frame.lineno, frame.line) == ("routes.cfg", 15, "end(IllegalCall);")


def test_columns_are_those_of_the_characters_also_behind_wider_ones() -> None:
    module = generate(check_text(TEXT), SURFACE).modules[0][1]
    line = TEXT.split("\n")[6]
    calls = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node) == "route_DEEPER(c)"
    ]
    assert {call.lineno for call in calls} == {7}
    offset = calls[0].col_offset
    assert line.encode()[offset:].startswith(b"route(DEEPER)")


def test_routes_of_an_included_file_carry_that_files_lines() -> None:
    more = "route[A] {\n    log(info, str(1 / len($hdr(X))));\n}\n"
    outcome = check_text(
        'include "more.cfg"\nrequest_route { route(A); reply(200); }', more={"more.cfg": more}
    )
    route = compile_routes(outcome, SURFACE).run(SURFACE)["request_route", ""]
    with pytest.raises(ZeroDivisionError) as caught:
        route(FakeContext())
    frames = traceback.extract_tb(caught.tb)[1:]
    assert [(frame.filename, frame.lineno) for frame in frames] == [
        ("routes.cfg", 2),
        ("more.cfg", 2),
    ]
    assert frames[1].line == "log(info, str(1 / len($hdr(X))));"


def test_the_loaded_text_is_what_tracebacks_show_whatever_the_file_says_now() -> None:
    handlers(TEXT)
    linecache.checkcache()
    assert linecache.getline("routes.cfg", 8) == "    reply(200);\n"


def test_the_shipped_configuration_is_clean_and_compiles(tmp_path: Path) -> None:
    from router.runtime.routes_file import DiskFiles

    outcome = check_routes(str(SHIPPED), SURFACE, DiskFiles())
    assert outcome.findings == []
    assert ("request_route", "") in generate(outcome, SURFACE).run(SURFACE)


WAYS = """
gateway a { address = 192.0.2.1:5060 }
request_route {
    let turns = 0;
    while (turns < 3) {
        turns = turns + 1;
        if (turns == 2) log(info, "two"); else { log(info, "other"); }
    }
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "INVITE":
            let known = false;
            if ($rU == "1") {
            } else if ($rU =~ /^86/) {
                known = true;
                if (known) route(DEEPER);
            }
            drop;
        default: reply(405);
    }
}
route[DEEPER] {
    if (!identify()) end(IllegalCall);
    log(info, "still here");
}
"""


@pytest.mark.parametrize(
    ("facts", "way"),
    [
        ({"method": "OPTIONS"}, ["request_route:10"]),
        ({}, ["request_route:12", "request_route:15", "request_route:16", "request_route:18"]),
        ({"identified": False},
         ["request_route:12", "request_route:15", "request_route:16", "DEEPER:23"]),
        ({"callee": "1"}, ["request_route:12", "request_route:18"]),
        ({"method": "INFO"}, ["request_route:19"]),
    ],
)
def test_the_way_of_a_call_is_its_branches_and_what_ended_it(
    facts: dict[str, Any], way: list[str]
) -> None:
    context = FakeContext(**facts)
    handlers(WAYS)["request_route", ""](context)
    turns = ["request_route:7"] * 3
    assert context.way == turns + way


def test_the_way_through_an_included_file_names_it() -> None:
    outcome = check_text(
        'include "lcr/more.cfg"\nrequest_route { route(A); }',
        more={"lcr/more.cfg": "route[A] {\n    reply(200);\n}\n"},
    )
    context = FakeContext()
    compile_routes(outcome, SURFACE).run(SURFACE)["request_route", ""](context)
    assert context.way == ["request_route:2", "A:more.cfg:2"]
