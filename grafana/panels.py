"""The panels that all dashboards are made of: numbers, curves, heatmaps, states, bars.

One panel, one question: its title asks it, its description says what to do with the answer.
Tables stand in `tables.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.colours import CALM, LIMIT, Step, by_name, fixed, thresholds

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT: Final = 8
STAT_HEIGHT: Final = 4
SINGLE: Final = ["lastNotNull"]


class Query(NamedTuple):
    """A PromQL expression, how its series are named, and what colour they have.

    Without a colour it follows from the names, or is the next one of the palette. A `limit` is
    drawn dashed, with nothing under it.
    """

    expr: str
    legend: str = ""
    colour: str = ""
    limit: bool = False


def target(
    query: Query, number: int = 0, form: PromQueryFormat | None = None, *, instant: bool = False
) -> prometheus.Dataquery:
    """A query as a panel has it; the first is A."""
    made = (
        prometheus.Dataquery()
        .expr(query.expr)
        .legend_format(query.legend or "__auto")
        .ref_id(chr(ord("A") + number))
        .datasource(DATASOURCE)
    )
    if form is not None:
        made = made.format(form)
    return made.instant() if instant else made.range()


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
        .thresholds(thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(SINGLE))
        .height(STAT_HEIGHT)
        .span(width)
        .with_target(target(query))
    )
    return panel if decimals is None else panel.decimals(decimals)


def lines(
    title: str, queries: Sequence[Query], unit: str, why: str, *, width: int = 12,
    stacked: bool = False, minimum: float | None = 0, maximum: float | None = None,
    steps: Sequence[Step] = (), by: str = "", decimals: int | None = None,
    height: int = HEIGHT, none: str = "",
) -> Any:
    """Curves over time; `stacked` where the sum means something.

    `by` is the label that names the curves where there are many: the legend then stands at the
    right, the greatest first. `none` is said where there is nothing to show.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .unit(unit)
        .legend(_legend(bool(by)))
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .line_width(1)
        .fill_opacity(50 if stacked else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .height(height)
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
    if decimals is not None:
        panel = panel.decimals(decimals)
    if none:
        panel = panel.no_value(none)
    if steps:
        panel = panel.thresholds(thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.DASHED)
        )
    for index, query in enumerate(queries):
        panel = panel.with_target(target(query, index))
    return _coloured(panel, queries, by)


def _legend(many: bool) -> common.VizLegendOptions:
    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_models.LegendDisplayMode.TABLE)
    )
    if many:
        return (
            legend.placement(common_models.LegendPlacement.RIGHT)
            .calcs(["max", "lastNotNull"])
            .sort_by("Last *")
            .sort_desc(True)
        )
    return legend.placement(common_models.LegendPlacement.BOTTOM).calcs(
        ["mean", "max", "lastNotNull"]
    )


def _coloured(panel: Any, queries: Sequence[Query], by: str) -> Any:
    for name, colour in by_name(by).items():
        panel = panel.override_by_name(name, [fixed(colour)])
    for index, query in enumerate(queries):
        look = [fixed(query.colour)] if query.colour else []
        if query.limit:
            dash = {"fill": "dash", "dash": [8, 6]}
            look += [
                models.DynamicConfigValue(id_val="custom.lineStyle", value=dash),
                models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
            ]
        if query.limit and by:  # it would take the place of a name in a long legend
            hidden = {"legend": True, "tooltip": False, "viz": False}
            look.append(models.DynamicConfigValue(id_val="custom.hideFrom", value=hidden))
            look.append(fixed(LIMIT))
        if look:
            panel = panel.override_by_query(chr(ord("A") + index), look)
    return panel


def heat(title: str, expr: str, why: str, *, width: int = 12) -> Any:
    """How a duration is spread, over time; `expr` gives the buckets by `le`."""
    query = Query(expr, "{{le}}")
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
        .with_target(target(query, form=PromQueryFormat.HEATMAP))
    )


def states(
    title: str, query: Query, why: str, meanings: Mapping[int, tuple[str, str]], *,
    width: int = 12, height: int = HEIGHT,
) -> Any:
    """A row for each series, in the colour of its state; `meanings` are value to text, colour."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .mappings([value_map({str(value): meant for value, meant in meanings.items()})])
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .show_value(common_models.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(75)
        .line_width(0)
        .merge_values(True)
        .height(height)
        .span(width)
        .with_target(target(query))
    )


def bars(
    title: str, query: Query, unit: str, why: str, steps: Sequence[Step], *, width: int = 12,
    maximum: float = 1, decimals: int = 0, none: str = "",
) -> Any:
    """A bar for each series as it is now, full at `maximum`, coloured by its thresholds."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(why)
        .datasource(DATASOURCE)
        .unit(unit)
        .decimals(decimals)
        .min(0)
        .max(maximum)
        .thresholds(thresholds(steps))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(SINGLE))
        .height(HEIGHT)
        .span(width)
        .with_target(target(query))
    )
    return panel.no_value(none) if none else panel


def value_map(meanings: Mapping[str, tuple[str, str]]) -> models.ValueMap:
    """Texts, and colours if they are not empty, for values."""
    return models.ValueMap(
        options={
            value: models.ValueMappingResult(text=text, color=colour or None, index=index)
            for index, (value, (text, colour)) in enumerate(meanings.items())
        }
    )
