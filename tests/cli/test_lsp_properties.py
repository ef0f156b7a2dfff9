"""Whatever stands in a document, and wherever in it something is asked: an answer, no exception."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from router.cli.lsp.completion import suggestions
from router.cli.lsp.hover import hover_at
from router.cli.lsp.outline import outline_of
from router.cli.lsp.place import place_at
from router.cli.lsp.rename import RenameError, renameable, renamed
from router.cli.lsp.session import Session
from router.cli.lsp.translation import Lines, diagnostic, document_symbols
from router.routing.surface import SURFACE

SHIPPED = (Path(__file__).parents[2] / "routes.cfg").read_text()
PIECES = [
    *("", "{", "}", "(", ")", "[", "]", ";", '"', "/", "$", "=", ",", ".", "\n", "#", "/*", "\x00"),
    *("route(", "route[", "let x = ", "call(", "on_failure = ", "end(", "$account.", "gateway x {"),
    *('test "t" {\n expect gateway ', "switch ($rm) { case ", "if (", 'include "', "é😀\u2028"),
]
PATH = "/nowhere/routes.cfg"
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "100"))
CALM = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ask_everything(text: str, offset: int) -> None:
    session = Session(SURFACE)
    session.put(PATH, text)
    analysis = session.analysis(PATH)
    lines = Lines(text, "utf-16")
    line = text.count("\n", 0, offset)
    column = offset - text.rfind("\n", 0, offset) - 1
    assert lines.place(lines.position(line, column)) == (line, column)
    assert lines.offset(line, column) == offset
    place = place_at(text, offset)
    assert text[place.start : offset] == place.prefix
    for one in suggestions(place, PATH, line, SURFACE, analysis):
        assert one.label
    found = hover_at(analysis, SURFACE, PATH, text, offset, line, column)
    assert found is None or (found.text and found.start <= offset <= found.end)
    for finding in analysis.findings:
        shown = diagnostic(finding, lines, {PATH: lines}).range
        assert shown.start <= shown.end
    assert analysis.outcome is not None
    document_symbols(outline_of(analysis.outcome, PATH), lines)
    for places in analysis.symbols.occurrences.values():
        for one in places:
            assert lines.line(one.line)[one.column : one.end] == one.symbol.name
    try:
        symbol = renameable(analysis, PATH, line, column).symbol
        assert renamed([analysis], symbol, "another_name", SURFACE)
    except RenameError:
        pass


@CALM
@given(st.data())
@example(None)
def test_the_shipped_file_with_anything_cut_out_or_put_in(data: st.DataObject | None) -> None:
    if data is None:
        for offset in range(0, len(SHIPPED), 97):
            ask_everything(SHIPPED, offset)
        return
    start = data.draw(st.integers(0, len(SHIPPED)))
    end = data.draw(st.integers(start, min(len(SHIPPED), start + 60)))
    put = data.draw(st.lists(st.sampled_from(PIECES), max_size=3).map("".join))
    text = SHIPPED[:start] + put + SHIPPED[end:]
    ask_everything(
        text, data.draw(st.sampled_from([start, start + len(put), end])) % (len(text) + 1)
    )


@CALM
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.floats(0, 1))
def test_a_soup_of_pieces(text: str, share: float) -> None:
    ask_everything(text, int(len(text) * share))
