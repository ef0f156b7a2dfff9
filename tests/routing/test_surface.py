"""The function table against what it points at: the context, the objects, the configuration."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from dsl.check.contents import check_timers
from dsl.check.report import Report
from dsl.check.settings import Given
from dsl.check.values import _READERS
from dsl.literals import read_duration
from dsl.surface import ENTRY_KINDS, NAMED, ROUTE_KINDS, Fact, Function
from router.core.end_reasons import EndReason
from router.routing.context import Context
from router.routing.objects import NO_ACCOUNT, NO_GATEWAY, NO_PHONE, NO_TRUNK
from router.routing.surface import END_REASON, SURFACE

FUNCTIONS = sorted(SURFACE.functions.values(), key=lambda one: one.name)
READY = [one for one in FUNCTIONS if one.ready]
OBJECTS = {"account": NO_ACCOUNT, "trunk": NO_TRUNK, "phone": NO_PHONE, "gateway": NO_GATEWAY}
PAGE = Path(__file__).parents[2] / "docs/findings.md"


def _named(entry: Function | Fact) -> str:
    return entry.name


@pytest.mark.parametrize("function", READY, ids=_named)
def test_a_ready_function_is_there_and_takes_what_the_table_says(function: Function) -> None:
    if function.target == "":
        return
    if callable(function.target):
        signature = _signature(function.target)
        if signature is None:
            return
        parameters = list(signature.parameters.values())
    else:
        target = inspect.getattr_static(Context, function.target)
        parameters = list(inspect.signature(target).parameters.values())[1:]
        names = [one.name for one in parameters]
        keywords = [one.name for one in function.parameters if one.keyword_only and one.ready]
        assert set(keywords) <= set(names)
    places = [one for one in function.parameters if not one.keyword_only]
    assert len(parameters) >= len(places)
    for ours, theirs in zip(places, parameters, strict=False):
        if ours.required:
            continue
        # What is not written is not passed: the target's default is the one that holds.
        assert theirs.default == ours.default


def _signature(target: object) -> inspect.Signature | None:
    try:
        return inspect.signature(target)  # type: ignore[arg-type]
    except ValueError:
        return None  # a builtin that does not tell


@pytest.mark.parametrize("fact", SURFACE.facts, ids=_named)
def test_a_fact_is_an_attribute_of_the_context(fact: Fact) -> None:
    attribute = inspect.getattr_static(Context, fact.alias)
    assert isinstance(attribute, property)
    assert (attribute.fset is not None) == bool(fact.assignable)
    assert fact.assignable <= fact.kinds <= ENTRY_KINDS


def test_every_object_and_attribute_that_is_ready_is_there() -> None:
    for name, object_ in SURFACE.objects.items():
        ready = [one for one in object_.attributes.values() if one.ready]
        for attribute in ready:
            assert hasattr(OBJECTS[name], attribute.name), f"${name}.{attribute.name}"
        if ready:
            assert hasattr(Context, name)


def test_what_generated_code_reaches_besides_the_table_is_there() -> None:
    for name in ("step", "header", "gateway_named", "variables"):
        assert hasattr(Context, name)


def test_the_end_reasons_are_those_of_the_core() -> None:
    assert list(SURFACE.enumerations[END_REASON].values) == list(EndReason.__members__)


def test_no_two_facts_share_a_name() -> None:
    names = [name for fact in SURFACE.facts for name in (fact.name, fact.alias)]
    assert len(names) == len(set(names))
    assert not {*SURFACE.objects, "call", "hdr"} & set(names)


@pytest.mark.parametrize("function", FUNCTIONS, ids=_named)
def test_a_function_is_documented_and_legal_somewhere(function: Function) -> None:
    assert function.doc.endswith(".")
    assert function.kinds
    assert function.kinds <= ENTRY_KINDS
    assert NAMED not in function.kinds
    if function.bare_kinds is not None:
        assert function.bare_kinds < function.kinds
    names = [one.name for one in function.parameters]
    assert len(names) == len(set(names))
    required = [one.required for one in function.parameters if not one.keyword_only]
    assert required == sorted(required, reverse=True), "defaults stand last"


def test_every_setting_has_a_type_that_can_be_read_and_a_document() -> None:
    tables = [SURFACE.settings, *(block.settings for block in SURFACE.blocks.values())]
    for table in tables:
        aliases = [alias for one in table.values() for alias in one.aliases]
        assert len(aliases) == len(set(aliases))
        for name, setting in table.items():
            assert name == setting.name
            assert setting.type.name in _READERS
            assert setting.doc.endswith(".")
            if setting.type.name == "reference":
                assert setting.type.refers in SURFACE.blocks
            if setting.type.name == "duration" and setting.default:
                assert read_duration(setting.default) > 0


def test_default_timers_are_in_order() -> None:
    report = Report()
    check_timers(SURFACE, Given(), [], report)
    assert report.findings == []


def test_blocks_stand_where_some_block_or_the_top_takes_them() -> None:
    inside = {child for block in SURFACE.blocks.values() for child in block.children}
    for kind, block in SURFACE.blocks.items():
        assert block.top or kind in inside
        assert set(block.children) <= SURFACE.blocks.keys()


def test_named_routes_are_not_an_entry_and_every_ready_kind_exists() -> None:
    assert frozenset(ROUTE_KINDS) >= SURFACE.ready_kinds
    assert NAMED in SURFACE.ready_kinds
