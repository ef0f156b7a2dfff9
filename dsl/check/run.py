"""All checks of one configuration, in the order in which they build on each other."""

from __future__ import annotations

from dsl import ast
from dsl.check.chains import check_chains
from dsl.check.contents import (
    check_companions,
    check_events,
    check_references,
    check_timers,
    check_twins,
)
from dsl.check.declarations import (
    Declarations,
    declare_blocks,
    declare_routes,
    order_routes,
)
from dsl.check.flow import check_flow
from dsl.check.forwarding import check_forwarding
from dsl.check.gateways import check_gateways
from dsl.check.kamailio import check_directives
from dsl.check.kinds import check_kinds
from dsl.check.media import check_media
from dsl.check.networks import check_networks
from dsl.check.python_files import Offers, check_imports_used, read_imports
from dsl.check.registering import check_registering
from dsl.check.report import Report
from dsl.check.rewriting import check_codes, check_rewriting
from dsl.check.settings import SettingsChecker
from dsl.check.statements import check_route
from dsl.check.tables import read_tables
from dsl.check.trials import TrialChecker
from dsl.check.usernames import check_usernames
from dsl.check.world import World
from dsl.findings import count_errors, in_order
from dsl.outcome import Outcome
from dsl.sources import Files, Unit
from dsl.surface import ENTRY_KINDS, EVENT, NAMED, REQUEST, UNNAMED_KINDS, Surface
from dsl.types import ANY


def check_unit(
    unit: Unit, surface: Surface, files: Files, loading: bool, offers: Offers
) -> Outcome:
    """Check everything that was read.

    `loading` says that the configuration is to be run: what is only a warning beforehand, such as
    an environment variable that is not set, is then an error. `offers` are those of Python files.
    """
    report = Report(unit.skipped, unit.broken)
    report.findings += unit.findings
    declarations = Declarations()
    settings_checker = SettingsChecker(surface, report, files, loading)
    settings = settings_checker.read_globals(
        [item for item in unit.items if isinstance(item, ast.Setting)]
    )
    blocks = settings_checker.top_blocks(
        [item for item in unit.items if isinstance(item, ast.BlockNode)]
    )
    declare_blocks(declarations, blocks)
    declarations.imports = read_imports(unit, surface, files, report, offers)
    routes = [item for item in unit.items if isinstance(item, ast.RouteNode)]
    declare_routes(declarations, routes, surface, report)
    ordered = order_routes(declarations, report)
    world = World(surface, report, declarations)
    _learn_variables(world, unit)
    for route in ordered:
        check_route(world, route)
        check_flow(world, route)
    _check_variables(world)
    check_kinds(declarations, report)
    check_directives(unit, report)
    check_imports_used(declarations.imports, report)
    _check_routes(unit, declarations, report)
    check_twins([block for block in blocks if block.node.kind == "gateway"], report)
    accounts = [block for block in blocks if block.node.kind == "account"]
    check_networks(accounts, report)
    check_usernames(accounts, report)
    check_gateways(blocks, report)
    check_media(settings, blocks, report)
    check_companions(unit, surface, settings, files, report)
    check_timers(surface, settings, blocks, report)
    check_rewriting(blocks, report)
    check_codes(settings, report)
    check_chains(blocks, surface, report)
    check_events(surface, blocks, declarations.routes, report)
    check_forwarding(blocks, report)
    check_registering(settings, blocks, routes, report)
    check_references(surface, declarations.blocks, settings_checker.references, report)
    tables = read_tables(unit, blocks, surface, files, report)
    trials = TrialChecker(surface, blocks, world.metrics, report).check(
        [item for item in unit.items if isinstance(item, ast.Test)], _identifying(routes)
    )
    findings = in_order(report.findings)
    variables = {name: variable.type for name, variable in world.variables.items()}
    return Outcome(
        unit, findings, settings, blocks, ordered, declarations, trials, variables, tables
    )


def _identifying(routes: list[ast.RouteNode]) -> bool:
    return any(call.parts == ("identify",) for route in routes for call in route.calls)


def _learn_variables(world: World, unit: Unit) -> None:
    """Passes for the types of `$call` variables, which any route may assign first."""
    if not any("$call." in text for text in unit.texts.values()):
        return
    aside = Report(world.report.skipped)
    variables = world.variables
    learning = World(world.surface, aside, world.declarations, variables, collecting=True)
    # The first value of one variable may be another's, whose type a later pass knows.
    while _learn_more(learning):
        pass
    # What is left gets its value from itself: `$call.turns = $call.turns + 1`.
    learning.guessing = any(variable.type == ANY for variable in variables.values())
    while learning.guessing and _learn_more(learning):
        pass


def _learn_more(learning: World) -> bool:
    """One pass over all routes; whether it taught a type."""
    before = {name: variable.type for name, variable in learning.variables.items()}
    for route in learning.declarations.routes.values():
        check_route(learning, route)
        route.uses.clear()
    return before != {name: variable.type for name, variable in learning.variables.items()}


def _check_variables(world: World) -> None:
    """Report variables of no type, where nothing else is wrong that could be the cause."""
    if count_errors(world.report.findings):
        return
    for name, variable in world.variables.items():
        if variable.type == ANY:
            world.report.add(
                "unknown-variable",
                variable.span,
                f"`$call.{name}` gets its value from itself only, so it has none",
                f'begin with a value: `$call.{name} = "";` or `$call.{name} = 0;`',
            )


def _check_routes(unit: Unit, declarations: Declarations, report: Report) -> None:
    for route in declarations.routes.values():
        node = route.node
        entry = node.kind in UNNAMED_KINDS or node.kind == EVENT
        if entry or route.referenced or node.name in report.skipped or not node.name.isidentifier():
            continue
        how = "called" if node.kind not in ENTRY_KINDS else "named by a `call(…)`"
        report.warn("unused-route", node.label_span, f"{node.title} is never {how}")
    nameless = any(
        isinstance(one, ast.RouteNode) and one.kind == NAMED and not one.name for one in unit.items
    )
    if (REQUEST, "") not in declarations.routes and not report.broken and not nameless:
        span = ast.Span(unit.path, 1, 1, 1, 2)
        report.add(
            "no-request-route",
            span,
            "there is no request_route: nothing would be answered",
            "write `request_route { … }`",
        )
