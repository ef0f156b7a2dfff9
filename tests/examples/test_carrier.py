"""docs/examples/carrier.cfg: a whole carrier's configuration, as it ought to look."""

from __future__ import annotations

from pathlib import Path

from dsl.format import format_text
from dsl.program import Program
from router.routing.surface import SURFACE
from router.runtime.routes_file import load_routes

FILE = Path(__file__).parents[2] / "docs/examples/carrier.cfg"


def program() -> Program:
    return load_routes(FILE)


def test_it_is_in_the_one_layout() -> None:
    text = FILE.read_text()
    assert format_text(text, FILE.name, frozenset(SURFACE.blocks)).text == text


def test_it_is_a_whole_configuration() -> None:
    text = FILE.read_text()
    assert text.count("\n") >= 400
    carrier = program()
    gateways = carrier.blocks_of("gateway")
    assert len(gateways) >= 12
    assert len({block.settings.get("priority", 1) for block in gateways}) >= 3
    trunks = [trunk for block in carrier.blocks_of("account") for trunk in block.children]
    assert len(carrier.blocks_of("account")) >= 5
    assert len(trunks) >= 7
    assert len(carrier.tests) >= 12
    kinds = {kind for kind, _ in carrier.routes}
    assert kinds >= set(SURFACE.ready_kinds) - {"dialog_route"}


def test_every_gateway_is_used_in_its_tests() -> None:
    text = FILE.read_text().partition("10 tests\n")[2]
    steps = text[text.index("\ntest ") :]
    names = [block.name for block in program().blocks_of("gateway")]
    assert [name for name in names if f"gateway {name}" not in steps] == []
