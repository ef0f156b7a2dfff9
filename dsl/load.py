"""From a file's name to a Program, or to everything that is wrong with the file."""

from __future__ import annotations

from dsl.check.events import periods_of
from dsl.check.python_files import Offers
from dsl.check.run import check_unit
from dsl.check.settings import places_of
from dsl.findings import ConfigError
from dsl.generate import Generated, generate
from dsl.image import Image
from dsl.outcome import Outcome
from dsl.program import Program
from dsl.sources import Files, read_unit
from dsl.surface import Surface


def check_routes(
    path: str,
    surface: Surface,
    files: Files,
    *,
    loading: bool = False,
    offers: Offers | None = None,
) -> Outcome:
    """Read and check a configuration; raises SourceError if its first file cannot be read.

    `loading` says that it is to be run: an environment variable that is not set is an error then,
    and a warning else. `offers` keeps those of Python files from one check to the next; without it
    each file is run.
    """
    unit = read_unit(path, frozenset(surface.blocks), files)
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


def load_program(path: str, surface: Surface, files: Files) -> Program:
    """Read, check and compile a configuration.

    Raises SourceError if its first file cannot be read, ConfigError with all findings if it has
    errors.
    """
    return make_image(check_routes(path, surface, files, loading=True), surface).load(surface)
