"""Whatever text comes in: findings, never an exception, and each of them inside the text."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from routes_text import WHOLE, check_text

from dsl.codes import CODES
from dsl.findings import findings_json, render_findings
from dsl.generate import generate
from dsl.outcome import Outcome
from dsl.parse import MAX_FINDINGS
from router.routing.surface import SURFACE

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "routes.cfg").read_text()
WORDS = [
    *("request_route", "route[A]", "route", "failure_route[N]", "branch_route[B]", "route[", "["),
    *("end_route", "event_route[gateway:down]", "gateway", "account", "trunk", "acme", "gw", "]"),
    *("if", "else", "switch", "case", "default", "let", "return", "for", "while", "in", "drop"),
    *("exit", "break", "true", "false", "{", "}", "{", "}", "(", ")", "(", ")", ";", ";", ";"),
    *(",", ":", ".", "=", "==", "!=", "=~", "!~", "<", "<=", "&&", "||", "!", "+", "-", "*", "/"),
    *("..", "$rU", "$rm", "$rs", "$account.id", "$hdr(X-A)", "$call.x", "$", "$avp(x)", "x", "y"),
    *('"text"', '"', "'", "/re/i", "/", "/(a+)+/", "1", "86", "1.5", "30s", "5", "0", "-1"),
    *("127.0.0.1", "10.0.0.0/8", "10.0.0.1/8", "[::1]", "127.0.0.1:5060", "udp:127.0.0.1:5060"),
    *("listen", "state", "prefixes", "address", "lines", "ips", "include", "import", "python"),
    *("as", "test", 'env("X")', "call", "reply", "end", "next", "identify", "gateways", "len"),
    *("log", "info", "NotFound", "on_failure", "on_branch", "route(A)", "# note\n", "/* */", "//"),
    *("\n", "\n", "\n    ", "\t", "é", "\x00", "\\", "@", "``", "\u2028", "\U0001f600"),
]
SOUP = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)
IN_ROUTE = SOUP.map(lambda text: "request_route {\n" + text + "\n}\nroute[A] { reply(200); }\n")

# A fixed number of examples in every run; HYPOTHESIS_EXAMPLES asks for more.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "150"))
CALM = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def holds(outcome: Outcome, text: str) -> None:
    """Whatever the findings are, they are well formed; without errors code can be made."""
    lines = text.split("\n")
    for finding in outcome.findings:
        assert finding.code in CODES
        assert finding.message
        assert 1 <= finding.line <= len(lines) + 1
        assert 1 <= finding.column <= max(map(len, lines)) + 2
    assert len(outcome.findings) <= MAX_FINDINGS * 20
    assert render_findings(outcome.findings, outcome.unit.texts) or not outcome.findings
    findings_json([f for f in outcome.findings if f"{f.message}{f.help}".isprintable()])
    if outcome.unit.skipped:
        assert outcome.errors, "something was skipped, and nobody would miss it"
    if not outcome.errors:
        generated = generate(outcome, WHOLE)
        compile(generated.source(), "routes", "exec")
        generated.run(WHOLE)


@CALM
@given(SOUP)
@example("request_route {\n    { } }\n}")
@example('test "a" { { }')
@example("switch")
def test_a_soup_of_words_gives_findings(text: str) -> None:
    holds(check_text(text, surface=WHOLE), text)


@CALM
@given(IN_ROUTE)
def test_a_soup_of_words_inside_a_route_gives_findings(text: str) -> None:
    holds(check_text(text, surface=WHOLE), text)


@CALM
@given(st.text(st.characters(codec="utf-8"), max_size=120))
def test_any_characters_give_findings(text: str) -> None:
    holds(check_text(text, surface=SURFACE), text)


@CALM
@given(st.data())
def test_the_shipped_file_with_anything_cut_out_or_put_in_gives_findings(
    data: st.DataObject,
) -> None:
    start = data.draw(st.integers(0, len(SHIPPED)))
    end = data.draw(st.integers(start, min(len(SHIPPED), start + 40)))
    text = SHIPPED[:start] + data.draw(st.sampled_from(["", *WORDS])) + SHIPPED[end:]
    holds(check_text(text), text)


@CALM
@given(st.binary(max_size=200))
def test_any_bytes_in_an_included_file_give_findings(raw: bytes) -> None:
    outcome = check_text('include "x.cfg"\nrequest_route { reply(200); }', more={"x.cfg": raw})
    assert all(finding.code in CODES for finding in outcome.findings)
