"""From a file's name to a Program, or to everything that is wrong with the file."""

from __future__ import annotations

from os.path import dirname, join

from dsl import ast
from dsl.check.events import periods_of
from dsl.check.python_files import Offers
from dsl.check.run import check_unit
from dsl.check.settings import places_of
from dsl.findings import ConfigError
from dsl.generate import Generated, generate
from dsl.image import Image
from dsl.outcome import Outcome
from dsl.program import Program
from dsl.sources import Files, Unit, read_unit
from dsl.surface import Surface


def check_routes(
    path: str,
    surface: Surface,
    files: Files,
    *,
    loading: bool = False,
    offers: Offers | None = None,
    additions: str | None = None,
) -> Outcome:
    """Read and check a configuration; raises SourceError if its first file cannot be read.

    `loading` says that it is to be run: an environment variable that is not set is an error then,
    and a warning else. `offers` keeps those of Python files from one check to the next; without it
    each file is run. `additions` is the file of blocks that commands have added, where it is not
    in the folder that the configuration names.
    """

    def more(unit: Unit) -> str:
        return additions_of(unit, surface) if additions is None else additions

    unit = read_unit(path, frozenset(surface.blocks), files, more)
    return check_unit(unit, surface, files, loading, offers or Offers())


def compile_routes(outcome: Outcome, surface: Surface) -> Generated:
    """The Python of a configuration's routes; raises ConfigError if it has errors."""
    if outcome.errors:
        raise ConfigError(outcome.findings)
    return generate(outcome, surface)


def make_image(outcome: Outcome, surface: Surface) -> Image:
    """A checked configuration, ready to be loaded; raises ConfigError if it has errors.

    Settings are those that were given: routing merges the defaults.
    """
    generated = compile_routes(outcome, surface)
    unit = outcome.unit
    return Image(
        unit.hash,
        outcome.settings.values,
        [block.block() for block in outcome.blocks],
        generated.code(),
        generated.names,
        unit.path,
        unit.texts,
        places_of(outcome.settings),
        tuple(outcome.trials),
        generated.imports,
        outcome.variables,
        outcome.tables,
        unit.tables,
        periods_of(route.node for route in outcome.routes),
    )


def additions_of(unit: Unit, surface: Surface) -> str:
    """The file of a configuration's added blocks, there or not; "" if there can be none."""
    place = surface.additions
    if place is None:
        return ""
    folder = place.default
    for item in unit.items:
        if isinstance(item, ast.Setting) and item.name == place.folder and len(item.values) == 1:
            folder = item.values[0].text
    return join(dirname(unit.path), folder, place.file)


def load_program(
    path: str, surface: Surface, files: Files, additions: str | None = None
) -> Program:
    """Read, check and compile a configuration.

    Raises SourceError if its first file cannot be read, ConfigError with all findings if it has
    errors.
    """
    outcome = check_routes(path, surface, files, loading=True, additions=additions)
    return make_image(outcome, surface).load(surface)
