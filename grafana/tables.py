"""Panels that are read in rows: tables of what is now, and text.

A column is a query's value, a label, or a text that stands for a label's value: a reason's
diagnosis, for Grafana cannot open our documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import common, table, text
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.colours import Step, thresholds
from grafana.panels import DATASOURCE, HEIGHT, Query, target, value_map

HIDDEN: Final = ("Time", "job", "instance", "__name__")


class Column(NamedTuple):
    """A value of each row: its heading, the query, the unit.

    `steps` colours it; as a `gauge` it is a bar that is full at 1.
    """

    name: str
    expr: str
    unit: str = "short"
    decimals: int | None = None
    steps: Sequence[Step] = ()
    gauge: bool = False
    width: int = 0


class Link(NamedTuple):
    """Where a click on a cell leads: `url` may use the row's fields."""

    column: str
    title: str
    url: str


class Words(NamedTuple):
    """A column of texts: the label that decides, and what stands for each of its values."""

    name: str
    label: str
    texts: Mapping[str, tuple[str, str]]
    width: int = 0


def ranking(
    title: str, columns: Sequence[Column], by: Sequence[str], why: str, *, sort: str = "",
    width: int = 12, height: int = HEIGHT, links: Sequence[Link] = (),
    words: Sequence[Words] = (), widths: Mapping[str, int] | None = None, wrap: bool = False,
    up: bool = False, none: str = "nothing to show",
) -> Any:
    """A table now: one row for each set of `by` labels, one column for each query.

    Columns of `words` follow the labels, before the values. The greatest `sort` comes first, or
    the smallest with `up`. `none` is said where there is no row.
    """
    panel = (
        table.Panel().title(title).description(why).datasource(DATASOURCE).height(height).span(width)
        .no_value(none)
    )
    names = {label: label.capitalize() for label in by}
    names.update({_key(one): one.name for one in words})
    several = len(columns) > 1
    for index, column in enumerate(columns):
        letter = chr(ord("A") + index)
        query = Query(_with_words(column.expr, words))
        panel = panel.with_target(target(query, index, PromQueryFormat.TABLE, instant=True))
        names[f"Value #{letter}" if several else "Value"] = column.name
        panel = panel.override_by_name(column.name, _look(column))
    if several:
        panel = panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(HIDDEN, True),
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": names,
            },
        )
    )
    for one in words:
        look = [_property("mappings", [value_map(one.texts)])]
        if wrap:
            look.append(_property("custom.cellOptions", {"type": "auto", "wrapText": True}))
        if any(colour for _, colour in one.texts.values()):
            look.append(_property("custom.cellOptions", {"type": "color-text"}))
        if one.width:
            look.append(_property("custom.width", one.width))
        panel = panel.override_by_name(one.name, look)
    for name, size in (widths or {}).items():
        panel = panel.override_by_name(name, [_property("custom.width", size)])
    for link in links:
        value = [{"title": link.title, "url": link.url}]
        panel = panel.override_by_name(link.column, [_property("links", value)])
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(not up)])
    return panel


def _key(words: Words) -> str:
    """The label that a column of texts is made of: a copy of the one that decides."""
    return words.name.lower().replace(" ", "_")


def _with_words(expr: str, words: Sequence[Words]) -> str:
    for one in words:
        expr = f'label_replace({expr}, "{_key(one)}", "$1", "{one.label}", "(.*)")'
    return expr


def _property(name: str, value: Any) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val=name, value=value)


def _look(column: Column) -> list[models.DynamicConfigValue]:
    look = [_property("unit", column.unit)]
    if column.decimals is not None:
        look.append(_property("decimals", column.decimals))
    if column.steps:
        look.append(_property("thresholds", thresholds(column.steps).build()))
        look.append(_property("color", {"mode": "thresholds"}))
    if column.gauge:
        look += [
            _property("min", 0), _property("max", 1),
            _property("custom.cellOptions", {"type": "gauge", "mode": "basic"}),
        ]
    elif column.steps:
        look.append(_property("custom.cellOptions", {"type": "color-text"}))
    if column.width:
        look.append(_property("custom.width", column.width))
    return look


def words(title: str, markdown: str, *, width: int = 24, height: int = HEIGHT) -> Any:
    """Text."""
    return text.Panel().title(title).content(markdown).height(height).span(width)
