"""The parts that all dashboards share: panels, queries, colours, links.

One panel, one question: its title asks it, its description says what to do with the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "trunkline"
GOOD, WARN, BAD, CALM = "green", "orange", "red", "blue"
"""What a colour means, everywhere: as it should be, look soon, look now, a fact."""
HEIGHT = 8
STAT_HEIGHT = 4
RATE = "$__rate_interval"
"""Four scrapes at least, and never less than what a pixel stands for."""


class Query(NamedTuple):
    """A PromQL expression and how its series are named."""

    expr: str
    legend: str = ""


class Step(NamedTuple):
    """From this value on, this colour; None: from the lowest on."""

    value: float | None
    colour: str


def _target(query: Query, number: int, *, instant: bool = False) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .expr(query.expr)
        .legend_format(query.legend or "__auto")
        .ref_id(chr(ord("A") + number))
        .datasource(DATASOURCE)
    )
    if instant:
        return target.instant().format(PromQueryFormat.TABLE)
    return target.range()


def _thresholds(steps: Sequence[Step]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=one.value, color=one.colour) for one in steps])
    )


def number(
    title: str, query: Query, unit: str, why: str, steps: Sequence[Step] = (Step(None, CALM),),
    *, decimals: int | None = None, width: int = 4,
) -> Any:
    """One number now, coloured by its thresholds, with its past as a faint line."""
    panel = (
        stat.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .unit(unit)
        .thresholds(_thresholds(steps))
        .color_scheme(
            dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)
        )
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(STAT_HEIGHT)
        .span(width)
        .with_target(_target(query, 0))
    )
    return panel if decimals is None else panel.decimals(decimals)


def lines(
    title: str, queries: Sequence[Query], unit: str, why: str, *, width: int = 12,
    stacked: bool = False, minimum: float | None = 0, maximum: float | None = None,
    steps: Sequence[Step] = (), table_legend: bool = True,
) -> Any:
    """Curves over time; `stacked` where the sum means something."""
    legend = common.VizLegendOptions().show_legend(True).placement(
        common_models.LegendPlacement.BOTTOM
    )
    if table_legend:
        legend = legend.display_mode(common_models.LegendDisplayMode.TABLE).calcs(
            ["mean", "max", "lastNotNull"]
        )
    else:
        legend = legend.display_mode(common_models.LegendDisplayMode.LIST)
    panel = (
        timeseries.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .unit(unit)
        .legend(legend)
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .line_width(1)
        .fill_opacity(25 if stacked else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .height(HEIGHT)
        .span(width)
    )
    if stacked:
        panel = panel.stacking(
            common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
        )
    if minimum is not None:
        panel = panel.min(minimum)
    if maximum is not None:
        panel = panel.max(maximum)
    if steps:
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.LINE)
        )
    for index, query in enumerate(queries):
        panel = panel.with_target(_target(query, index))
    return panel


def heat(title: str, expr: str, why: str, *, width: int = 12) -> Any:
    """How a duration is spread, over time; `expr` gives the buckets by `le`."""
    target = (
        prometheus.Dataquery()
        .expr(expr)
        .legend_format("{{le}}")
        .format(PromQueryFormat.HEATMAP)
        .ref_id("A")
        .datasource(DATASOURCE)
        .range()
    )
    return (
        heatmap.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
            .exponent(0.5)
            .fill("dark-orange")
        )
        .height(HEIGHT)
        .span(width)
        .with_target(target)
    )


def ranking(
    title: str, queries: Sequence[tuple[str, str, str]], by: Sequence[str], why: str, *,
    sort: str = "", width: int = 12, height: int = HEIGHT,
    links: Sequence[tuple[str, str, str]] = (),
) -> Any:
    """A table now: one row for each set of `by` labels, one column for each query.

    `queries` are (column, expression, unit); `links` are (column, title, url).
    """
    panel = (
        table.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .height(height)
        .span(width)
    )
    renames = {}
    for index, (column, expr, unit) in enumerate(queries):
        panel = panel.with_target(_target(Query(expr), index, instant=True))
        name = f"Value #{chr(ord('A') + index)}" if len(queries) > 1 else "Value"
        renames[name] = column
        panel = panel.override_by_name(
            column, [models.DynamicConfigValue(id_val="unit", value=unit)]
        )
    if len(queries) > 1:
        panel = panel.with_transformation(
            models.DataTransformerConfig(id_val="merge", options={})
        )
    hidden = {"Time": True, "job": True, "instance": True, "__name__": True}
    panel = panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": hidden,
                "renameByName": {**{label: label.capitalize() for label in by}, **renames},
            },
        )
    )
    for column, link_title, url in links:
        value = [{"title": link_title, "url": url}]
        panel = panel.override_by_name(
            column, [models.DynamicConfigValue(id_val="links", value=value)]
        )
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])
    return panel


def words(title: str, markdown: str, *, width: int = 24, height: int = HEIGHT) -> Any:
    """Text."""
    return text.Panel().title(title).content(markdown).height(height).span(width)


def row(title: str) -> Any:
    """A heading; the panels behind it belong to it."""
    return dashboard.Row(title)


def page(
    uid: str, title: str, about: str, *, variables: Sequence[Any] = (), down: str = "",
) -> dashboard.Dashboard:
    """An empty dashboard with the datasource, links to the others, and events as annotations.

    `down` adds a PromQL expression that is 1 while something is down.
    """
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .link(
            dashboard.DashboardLink("Trunkline")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in variables:
        made = made.with_variable(variable)
    made = made.annotation(
        _event(
            "Reload", 'sum(increase(trunkline_reloads_total{result="applied"}[1m])) > 0', CALM
        )
    )
    if down:
        made = made.annotation(_event("Down", down, BAD))
    return made


def _event(name: str, expr: str, colour: str) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
    )


def choice(name: str, label: str, query: str, *, every: bool = True) -> dashboard.QueryVariable:
    """A variable to choose from the values of a label."""
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    return variable.include_all(True).multi(True).all_value(".*") if every else variable
