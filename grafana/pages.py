"""A dashboard around its panels: variables, links to the others, and events on all curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from grafana.colours import BAD, CALM, WARN
from grafana.panels import DATASOURCE

TAG: Final = "trunkline"


class Event(NamedTuple):
    """What is marked on all curves while `expr` is above zero; `text` may name labels."""

    name: str
    expr: str
    text: str
    colour: str


RELOADS: Final = (
    Event(
        "Reload", 'sum(increase(trunkline_reloads_total{result="applied"}[1m])) > 0',
        "routes.cfg was reloaded", CALM,
    ),
    Event(
        "Reload refused",
        'sum by (result) (increase(trunkline_reloads_total{result!="applied"}[1m])) > 0',
        "Reload {{result}}: the old configuration runs on", WARN,
    ),
)


def gateway_down(labels: str = "") -> Event:
    """From a gateway's going down until it comes back."""
    # A series of zeros would not be marked: the comparison makes it 1.
    series = f"trunkline_gateway_up{{{labels}}}" if labels else "trunkline_gateway_up"
    down = f"max by (gateway) ({series}) == bool 0"
    return Event("Gateway down", down, "{{gateway}} is down", BAD)


RESTARTS: Final = Event(
    "Process restarted",
    'changes(trunkline_process_start_time_seconds{process!="supervisor"}[1m]) > 0',
    "{{process}} was restarted", BAD,
)


def page(
    uid: str, title: str, about: str, *, variables: Sequence[Any] = (),
    events: Sequence[Event] = (),
) -> dashboard.Dashboard:
    """An empty dashboard with the datasource, links to the others, reloads and `events`."""
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
            dashboard.DatasourceVariable("datasource")
            .label("Prometheus")
            .type("prometheus")
            # The one of provisioning/datasources; where it is not there Grafana takes another.
            .current(models.VariableOption(text="Trunkline", value="trunkline"))
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
    for event in (*RELOADS, *events):
        made = made.annotation(
            dashboard.AnnotationQuery()
            .name(event.name)
            .datasource(DATASOURCE)
            .enable(True)
            .icon_color(event.colour)
            .expr(event.expr)
        )
    return made


def texts() -> dict[str, str]:
    """What each event says, by its name: the SDK knows no such field."""
    return {one.name: one.text for one in (*RELOADS, RESTARTS, gateway_down())}


def choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """A variable to choose one, some or all values of a label from."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .include_all(True)
        .multi(True)
        .all_value(".*")
    )
