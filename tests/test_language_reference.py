"""The pages on the language are those that the table makes, and what they show is right."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsl.check.trial_lines import STATEMENTS as TEST_STATEMENTS
from dsl.findings import HINT, render_findings
from dsl.format import format_text
from dsl.outcome import Outcome
from dsl.surface import FAILURE, ROUTE_KINDS, UNNAMED_KINDS
from router.cli.main import COMMANDS
from router.cli.reference import words
from router.cli.reference.examples import EXAMPLES
from router.cli.reference.pages import made_pages
from router.routing.surface import SURFACE

sys.path.insert(0, str(Path(__file__).parent / "dsl"))
from routes_text import WHOLE, check_text

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    DOCS / name
    for name in ("language.md", "coming-from-kamailio.md", "coming-from-vos3000.md")
    if (DOCS / name).exists()
]
PROGRAM = re.compile(r"^```routes\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")

AROUND = """
rtpengine = 192.0.2.8
gateway backup { address = 192.0.2.1  prefixes = 86  group = cheap }
gateway other  { address = 192.0.2.2  prefixes = 1 }
group cheap    { lines = 10 }
account acme {
    trunk office { ips = 198.51.100.0/24 }
}
branch_route[TO_GATEWAY] {
}
failure_route[NEXT] {
    next();
}
"""


def problems(outcome: Outcome) -> str:
    found = [one for one in outcome.findings if one.severity != HINT]
    return render_findings(found, outcome.unit.texts)


@pytest.mark.parametrize("name", made_pages())
def test_a_made_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text() == made_pages()[name], "run `make docs`"


# ------------------------------------------------------------------------------- completeness


def test_every_word_of_the_grammar_is_told() -> None:
    told = {word.name for word in (*words.ITEMS, *words.STATEMENTS)}
    forms = " ".join(word.form for word in words.ITEMS)
    missing = {
        word for word in words.grammar_keywords() - told if not re.search(rf"\b{word}\b", forms)
    }
    assert missing == set()
    assert words.grammar_keywords() >= {"let", "switch", "include", "test", "env", "in"}


def test_every_kind_of_route_is_told() -> None:
    assert [word.name for word in words.KINDS] == list(ROUTE_KINDS)


def test_every_statement_of_a_test_is_told() -> None:
    assert {word.name for word in words.TEST_LINES} == set(TEST_STATEMENTS)


def test_every_entry_of_the_table_is_in_the_reference() -> None:
    page = (DOCS / "language.md").read_text()
    headings = re.findall(r"^####? (.+)$", page, re.MULTILINE)
    assert set(SURFACE.functions) | set(SURFACE.blocks) <= set(headings)
    rows = {row.split("|")[1].strip() for row in page.split("\n") if row.startswith("|")}
    cells = {row.replace("†", "").strip() for row in rows}
    entries = [fact.name for fact in SURFACE.facts]
    assert {f"`${name}`" for name in entries} <= cells
    assert {f"`{name}`" for name in SURFACE.settings} <= cells
    for object_ in SURFACE.objects.values():
        assert {f"`${object_.name}.{name}`" for name in object_.attributes} <= cells
    for schema in SURFACE.blocks.values():
        section = page.partition(f"\n### {schema.kind}\n")[2].partition("\n##")[0]
        assert {f"`{name}`" for name in schema.settings} <= {
            row.split("|")[1].replace("†", "").strip()
            for row in section.split("\n")
            if row.startswith("|")
        }


# ------------------------------------------------------------------------------------ examples


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_function_checks_clean(name: str) -> None:
    # `count` may not be in the table yet.
    if name not in SURFACE.functions:
        pytest.skip("not in the table")
    function = SURFACE.functions[name]
    assert re.search(rf"\b{name}\b", EXAMPLES[name])
    kinds = [FAILURE, *ROUTE_KINDS]
    kind = next(kind for kind in kinds if kind in function.kinds)
    label = "" if kind in UNNAMED_KINDS else "[EXAMPLE]"
    body = f"{{\n    if ($cs == 1) {{\n        {EXAMPLES[name]}\n    }}\n"
    text = AROUND + f"{kind}{label} {body}" + ("    reply(404);\n}\n" if not label else "}\n")
    if label:
        text += "request_route {\n    call(gateways($rU), on_failure = EXAMPLE);\n}\n"
    outcome = check_text(text, surface=WHOLE)
    codes = {"unused-route", "unused-local", "unused-block"}
    outcome.findings[:] = [one for one in outcome.findings if one.code not in codes]
    assert problems(outcome) == ""


def programs() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in PROGRAM.finditer(page.read_text()):
            line = page.read_text()[: found.start()].count("\n") + 1
            yield f"{page.name}:{line}", found.group(1)


@pytest.mark.parametrize(("place", "text"), list(programs()))
def test_a_program_in_the_pages_checks_clean_and_is_laid_out(place: str, text: str) -> None:
    variables = dict.fromkeys(re.findall(r'env\("(\w+)"\)', text), "secret")
    rates = dict.fromkeys(re.findall(r'file = "([^"]+)"', text), RATES)
    hooks = dict.fromkeys(re.findall(r'import python "([^"]+)"', text), HOOKS)
    outcome = check_text(text, surface=WHOLE, variables=variables, more={**rates, **hooks})
    # What is shown is a part of a configuration: what it declares may be used elsewhere.
    # The rates are this test's own and say nothing about the page.
    codes = {"unused-route", "unused-block", "not-supported", "test-not-run"}
    codes |= {"unserved-prefix", "unpriced-prefix", "no-margin"}
    outcome.findings[:] = [one for one in outcome.findings if one.code not in codes]
    assert problems(outcome) == "", place
    assert format_text(text, place, frozenset(SURFACE.blocks)).text == text, place


RATES = "prefix,name,rate_per_min\n86,China,0.1\n852,Hong Kong,0.2\n1,America,0.05\n"
HOOKS = "@route_function\ndef is_vip(number: str) -> bool:\n    return False\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in LINK.findall(text):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
            assert anchor in anchors, link


# --------------------------------------------------------------------------- TextMate grammar


def rules(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from rules(value)
    elif isinstance(node, list):
        for value in node:
            yield from rules(value)


@pytest.fixture(scope="module")
def grammar() -> Any:
    return json.loads(made_pages()["editor/syntaxes/trunkline.tmLanguage.json"])


def test_every_rule_of_the_textmate_grammar_has_a_regex_that_compiles(grammar: Any) -> None:
    patterns = [
        rule[key] for rule in rules(grammar) for key in ("match", "begin", "end") if key in rule
    ]
    assert len(patterns) > 30
    for pattern in patterns:
        re.compile(pattern)


def test_what_the_textmate_grammar_includes_is_there(grammar: Any) -> None:
    included = {rule["include"] for rule in rules(grammar) if "include" in rule}
    assert included == {f"#{name}" for name in grammar["repository"]}


def test_the_textmate_grammar_knows_what_the_table_knows(grammar: Any) -> None:
    text = json.dumps(grammar).replace("\\", "")
    names = {*SURFACE.functions, *SURFACE.blocks, *SURFACE.settings, *SURFACE.objects}
    names |= {name for fact in SURFACE.facts for name in (fact.name, fact.alias)}
    names |= {word for one in SURFACE.enumerations.values() for word in one.values}
    names |= words.grammar_keywords() - {"env", "test", "let", "route"}
    unknown = {one for one in names if not re.search(rf"(?<![\w-]){one}(?![\w-])", text)}
    assert unknown == set()


# ------------------------------------------------------------- coming from something else


def rows(page: str) -> Iterator[tuple[list[str], list[str]]]:
    """The rows of all tables, each with its table's head."""
    head: list[str] = []
    before = ""
    for line in (DOCS / page).read_text().split("\n"):
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not before.startswith("|"):
                head = cells
            elif not set(line) <= set("|- "):
                yield head, cells
        before = line


def spans(cell: str) -> list[str]:
    return [span.replace("\\|", "|") for span in re.findall(r"`([^`]+)`", cell)]


STATEMENTS = [
    (span, f"{row[0]} -> {span}")
    for _, row in rows("coming-from-kamailio.md")
    for span in spans(row[1])
    if span.endswith(";") and "…" not in span
]


def test_at_least_thirty_constructs_of_kamailio_are_told() -> None:
    assert len(list(rows("coming-from-kamailio.md"))) >= 30
    assert len(STATEMENTS) >= 20


@pytest.mark.parametrize(
    "statement", [one for one, _ in STATEMENTS], ids=[x for _, x in STATEMENTS]
)
def test_what_stands_beside_kamailios_statement_is_ours(statement: str) -> None:
    if statement.startswith("count(") and "count" not in SURFACE.functions:
        pytest.skip("not in the table yet")
    text = (
        f"{AROUND}\nroute[X] {{\n}}\nroute[CALL] {{\n    let candidates = gateways($rU);\n"
        f"    let value = $rU;\n    if ($cs == 1) {{\n        {statement}\n    }}\n"
        "    call(candidates);\n}\nrequest_route {\n    route(CALL);\n}\n"
    )
    outcome = check_text(text, surface=WHOLE)
    # That it may be legal in another kind of route only is no matter here.
    codes = {"unused-route", "unused-local", "unused-block", "not-here", "unreachable", "no-answer"}
    outcome.findings[:] = [one for one in outcome.findings if one.code not in codes]
    assert problems(outcome) == ""


OTHERS = [
    (span, f"{row[0]} -> {span}")
    for _, row in rows("coming-from-kamailio.md")
    for span in spans(row[1])
    if not span.endswith(";") or "…" in span
]
FILLED = [
    ("if (…)", "if (true)"),
    ("(…, ", "(candidates, "),
    ("gateway NAME { … }", "gateway NAME { address = 192.0.2.8 }"),
    ('test "…" { … }', 'test "a title" { wait 1s; }'),
    ("{ … }", "{ route(Y); }"),
    (": …", ": drop;"),
    ("/…/", "/^86/"),
    ("$si == …", "$si == 192.0.2.1"),
    (") …", ") drop;"),
]
INSIDE = """
import python "hooks.py" as hooks
branch_route[X]  { log(info, "x"); }
reply_route[X]   { log(info, "x"); }
failure_route[X] { next(); }
route[X] { return true; }
route[Y] { log(info, "y"); }
route[TIER] { return 1; }
request_route {
    let candidates = gateways($rU);
    let list = candidates;
    let x = 1;
    $call.x = "";
    if ($cs == 1) { %s }
    call(candidates);
}
"""
BESIDE = "request_route { call(gateways($rU)); }\nroute[Y] { reply(200); }\n"
NOWHERE_TO_STAND = {"not-here", "no-effect", "no-expectation"}


def ways_to_stand(span: str) -> Iterator[str]:
    """Programs with the span as a statement, a value, an item, a setting."""
    for old, new in FILLED:
        span = span.replace(old, new)
    for statement in (span, f"{span};", f"{span} drop;", f"switch ($rm) {{ {span} }}"):
        yield AROUND + INSIDE % statement
    if "request_route" in span:
        yield AROUND + span + "\nroute[Y] { reply(200); }\n"
    for item in (span, f"state = {span}", f"workers = {span}", f'{span} {{ log(info, "x"); }}'):
        yield f"{AROUND}{item}\n{BESIDE}"
    for block in ("gateway z { address = 192.0.2.9  %s }", "account z { %s }"):
        yield f"{AROUND}{block % span}\n{BESIDE}"
        yield f"{AROUND}{block % f'{span} = {chr(34)}86:0086{chr(34)}'}\n{BESIDE}"


@pytest.mark.parametrize(("span", "place"), OTHERS, ids=[place for _, place in OTHERS])
def test_whatever_stands_beside_kamailios_is_ours(span: str, place: str) -> None:
    if span.startswith("trunkline "):
        assert span.split()[1] in {command.name for command in COMMANDS}
        return
    errors = []
    hooks = "from router.routing.hooks import route_function\n" + HOOKS
    more = {"x.cfg": "", "gateways/a.cfg": "", "hooks.py": hooks}
    for text in ways_to_stand(span):
        outcome = check_text(text, surface=WHOLE, more=more, variables={"X": "1"})
        wrong = [
            one
            for one in outcome.findings
            if one.severity == "error" and one.code not in NOWHERE_TO_STAND
        ]
        if not wrong:
            return
        errors.append(f"{wrong[0].code}: {wrong[0].message}")
    raise AssertionError(f"{place} stands nowhere: {errors}")


def test_something_that_is_not_ours_stands_nowhere() -> None:
    """So that the test above can fail."""
    for span in (
        "t_relay()",
        "$avp(x)",
        "onreply_route[X]",
        "$rU.len",
        "callee_on",
        "children = 8",
    ):
        with pytest.raises(AssertionError, match="stands nowhere"):
            test_whatever_stands_beside_kamailios_is_ours(span, span)


def test_every_field_of_vos3000s_dialogs_has_a_setting_that_is_there() -> None:
    seen = 0
    for head, row in rows("coming-from-vos3000.md"):
        block = re.match(r"in `(\w+) N\w+ \{", head[2])
        if block is None or not spans(row[2]) or row[2].startswith("the `account`"):
            continue
        schema = SURFACE.blocks[block.group(1)]
        names = [one for one in spans(row[2]) if re.fullmatch(r"\w+", one)]
        if names:
            assert set(names) <= set(schema.settings), row[0]
            seen += 1
    assert seen >= 45


def test_every_parameter_of_vos3000_that_is_accepted_is_told_with_our_name_and_default() -> None:
    told = {
        alias: (spans(row[1]), row[2])
        for head, row in rows("coming-from-vos3000.md")
        if head[0] == "VOS3000"
        for alias in spans(row[0])
    }
    for setting in SURFACE.settings.values():
        for alias in setting.aliases:
            names, default = told[alias]
            assert setting.name in names, alias
            assert setting.default in default, alias
