"""What a reload says has changed, in the words of routes.cfg."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from reloading import ROUTES, changed, program, written

from dsl.load import check_routes, make_image
from dsl.program import Program
from router.routing.surface import SURFACE
from router.runtime.reload_changes import changes_between, portrait_of
from router.runtime.reload_report import ADDED, CHANGED, REMOVED, Change
from router.runtime.routes_file import DiskFiles


def between(old: Program, new: Program) -> list[Change]:
    return changes_between(portrait_of(old), portrait_of(new))


def changes(*edits: tuple[str, str]) -> list[Change]:
    return between(program(), program(changed(*edits)))


def test_the_same_text_is_no_change() -> None:
    assert between(program(), program()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\ngateway two", "\n\n# a comment\n\ngateway two"),
        ("lines = 5", "lines   =   5"),
        ("request_route {", "request_route\n{\n"),
        ("    next();", "\n    next(); # on it goes"),
    ],
)
def test_comments_and_layout_are_no_change(old: str, new: str) -> None:
    assert changes((old, new)) == []


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        (("lines = 5", "lines = 6"), Change(CHANGED, "gateway one", ("lines",))),
        (
            ("192.0.2.1  prefixes = 86  lines = 5", "192.0.2.9  prefixes = 87"),
            Change(CHANGED, "gateway one", ("lines", "address", "prefixes")),
        ),
        (("lines = 30", "lines = 31"), Change(CHANGED, "account acme", ("lines",))),
        (
            ("ips = 127.0.0.1", "ips = 127.0.0.2"),
            Change(CHANGED, "account acme", ("trunk office: ips",)),
        ),
        (
            ("trunk office { ips = 127.0.0.1 }", "trunk shop { ips = 127.0.0.1 }"),
            Change(CHANGED, "account acme", ("trunk shop: added", "trunk office: removed")),
        ),
        (("ringing_timeout = 60s", "ringing_timeout = 61s"), Change(CHANGED, "ringing_timeout")),
        (("ringing_timeout = 60s", ""), Change(REMOVED, "ringing_timeout")),
        (("reply(200)", "reply(202)"), Change(CHANGED, "request_route")),
        (("198.51.100.0/24", "198.51.101.0/24"), Change(CHANGED, "failure_route[NEXT]")),
        (("/scanner/i", "/scanner/"), Change(CHANGED, "request_route")),
    ],
)
def test_a_change_is_named(edit: tuple[str, str], change: Change) -> None:
    assert changes(edit) == [change]


def test_blocks_and_routes_come_and_go() -> None:
    found = changes(
        ("gateway two {", "gateway three {"),
        ("on_failure = NEXT", "on_failure = ON"),
        ("failure_route[NEXT]", "failure_route[ON]"),
    )
    assert found == [
        Change(ADDED, "gateway three"),
        Change(REMOVED, "gateway two"),
        Change(ADDED, "failure_route[ON]"),
        Change(REMOVED, "failure_route[NEXT]"),
        Change(CHANGED, "request_route"),
    ]


def test_a_new_constant_in_one_route_is_no_change_of_another() -> None:
    # Constants are numbered through the file: every further one gets another number.
    found = changes(("/scanner/i", "/scanner|sipvicious/i || $fU =~ /^0/ || $si in [10.0.0.0/8]"))
    assert found == [Change(CHANGED, "request_route")]


def test_no_value_is_shown() -> None:
    found = str(changes(("lines = 30", "lines = 123456")))
    assert "123456" not in found


def test_the_order_of_blocks_is_no_change() -> None:
    lines = ROUTES.splitlines()
    one = next(line for line in lines if line.startswith("gateway one"))
    two = next(line for line in lines if line.startswith("gateway two"))
    turned = ROUTES.replace(one, "@").replace(two, one).replace("@", two)
    assert between(program(), program(turned)) == []


def test_a_changed_python_file_is_a_change() -> None:
    old, new = program(), program()
    old.imports, new.imports = {"hooks": "a", "gone": ""}, {"hooks": "b", "more": ""}
    assert between(old, new) == [
        Change(ADDED, "python more"),
        Change(REMOVED, "python gone"),
        Change(CHANGED, "python hooks"),
    ]


def test_a_portrait_can_be_kept_without_the_program() -> None:
    old, new = program(), program(changed(("lines = 5", "lines = 6")))
    kept = pickle.loads(pickle.dumps(portrait_of(old)))
    old.namespace.clear()
    assert changes_between(kept, portrait_of(new)) == [Change(CHANGED, "gateway one", ("lines",))]


def test_a_changed_data_file_is_a_change(tmp_path: Path) -> None:
    rates = tmp_path / "retail.csv"
    text = ROUTES + f'deck retail {{ file = "{rates}" }}\n'

    def priced(price: str) -> Program:
        rates.write_text(f"prefix,rate_per_min\n86,{price}\n")
        outcome = check_routes(str(written(tmp_path, text)), SURFACE, DiskFiles(), loading=True)
        return make_image(outcome, SURFACE).load(SURFACE)

    dear, cheap, again = priced("0.02"), priced("0.01"), priced("0.01")
    assert between(dear, cheap) == [Change(CHANGED, str(rates))]
    assert between(cheap, again) == []
