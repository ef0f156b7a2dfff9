"""Tables: never wider than the terminal, whole in a pipe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from router.cli.tables import GAP, UNBOUND, fit, show_columns, show_facts

CELLS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Mn", "Me", "Cf")), max_size=90)


def lines_of(shown: dict[str, list[str]]) -> list[int]:
    rows = zip(*shown.values(), strict=True)
    return [sum(map(cell_len, row)) + len(GAP) * (len(row) - 1) for row in rows]


@given(st.lists(st.tuples(*[CELLS] * 7), min_size=1, max_size=4), st.integers(48, 200))
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, ...]], width: int) -> None:
    titles = ("GATEWAY", "STATE", "LINES", "CALLS", "PREFIXES", "ADDRESS", "REASON")
    columns = {title: [row[at] for row in rows] for at, title in enumerate(titles)}
    shown, left_out = fit(columns, {"LINES"}, width, (("PREFIXES", 12),), ("CALLS",))
    assert max(lines_of(shown)) <= width
    assert set(shown) | set(left_out) == set(titles)


def test_names_are_cut_in_the_middle() -> None:
    names = ["carrier_frankfurt_primary_01", "carrier_frankfurt_primary_02"]
    shown, _ = fit({"GATEWAY": names}, (), 16)
    assert len(set(shown["GATEWAY"][1:])) == 2
    assert shown["GATEWAY"][1] == "carrier_…mary_01"


def test_a_pipe_gets_whole_cells_and_a_terminal_says_what_it_leaves_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"NAME": ["n" * 60], "NOTE": ["o" * 60]}
    show_columns(columns, drops=("NOTE",))
    assert capsys.readouterr().out.splitlines()[1] == "n" * 60 + GAP + "o" * 60
    assert len(fit(columns, (), UNBOUND)[0]["NOTE"][1]) == 60
    monkeypatch.setenv("COLUMNS", "80")
    show_columns(columns, drops=("NOTE",))
    out = capsys.readouterr().out
    assert "o" * 60 not in out and "Too narrow for NOTE" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    show_facts([("name", "word " * 40), ("x", "y")])
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())
