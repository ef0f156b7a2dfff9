"""Python files of a configuration: run as an import runs them, and asked what they offer to routes.

A file is run once to be checked, and afresh for every load, each time as a module of its own: what
one load left in its variables is nothing to the next. Modules that lie beside the file are imported
afresh with it, at a load as they were when it was checked.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import abspath, commonpath, dirname, realpath
from types import MappingProxyType, ModuleType, TracebackType
from typing import Any, TypeVar

from dsl.modules_beside import ModulesBeside
from dsl.signatures import Hook, HookSignature, Problem, read_signature
from dsl.sources import SourceError
from dsl.surface import PythonSide

MARK = "__trunkline_route_function__"
_Function = TypeVar("_Function", bound=Callable[..., Any])
_numbers = itertools.count(1)


def mark_route_function(function: _Function) -> _Function:
    """Let routes call a function; raises TypeError for what is none."""
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"@route_function marks functions, and {function!r} is none")
    setattr(function, MARK, True)
    return function


class PythonError(SourceError):
    """A Python file that cannot be imported; `line` is its line, 0 if that is unknown."""

    def __init__(self, path: str, line: int, text: str) -> None:
        super().__init__(f"{path}:{line}: {text}" if line else f"{path}: {text}")
        self.line = line
        self.text = text


class PythonModule:
    """A Python file that was run.

    It is among Python's modules as long as this object lives; `beside` are the paths of the
    modules that it imported from its own folder: from `texts` where they are in it, by their paths.
    Raises PythonError.
    """

    __slots__ = ("_name", "beside", "module")

    def __init__(
        self, path: str, text: str, alias: str, texts: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._name = f"trunkline_{alias}_{next(_numbers)}"
        module = self.module = ModuleType(self._name)
        module.__file__ = abspath(path)
        sys.modules[self._name] = module
        self.beside: list[str] = []
        try:
            with _folder_first(dirname(abspath(path)), self.beside, texts), _output_aside():
                exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)
        except SyntaxError as error:
            ours = error.filename == path
            line = error.lineno or 0 if ours else _line_in(error.__traceback__, path)
            raise PythonError(path, line, _sentence(error)) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() too must not end the program that checks
            line = _line_in(error.__traceback__, path)
            raise PythonError(path, line, _sentence(error)) from None

    def __del__(self) -> None:
        # Whoever still runs a function of it has its variables: only the name goes.
        sys.modules.pop(self._name, None)

    def marked(self) -> dict[str, Callable[..., Any]]:
        """The functions for routes, by name, in the order of the file."""
        return {
            name: value
            for name, value in list(vars(self.module).items())
            if getattr(value, MARK, False) is True and callable(value)
        }


@dataclass(slots=True)
class Offer:
    """What a Python file offers to routes.

    `broken`: it did not run, and what it would offer is unknown. `faulty` are functions that are
    marked and cannot be called; `others` those that are not marked. `beside` are the files of its
    folder that it imported.
    """

    hooks: dict[str, HookSignature] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: bool = False
    faulty: set[str] = field(default_factory=set)
    others: frozenset[str] = frozenset()
    beside: tuple[str, ...] = ()


def read_offer(path: str, text: str, alias: str, side: PythonSide) -> Offer:
    """Run a Python file and read what it offers; what is wrong with it is in `problems`."""
    offer = Offer()
    try:
        module = PythonModule(path, text, alias)
    except PythonError as error:
        offer.problems.append(Problem(error.line, error.text))
        offer.broken = True
        return offer
    offer.beside = tuple(module.beside)
    marked = module.marked()
    for name, function in marked.items():
        read = read_signature(function, alias, name, side)
        if isinstance(read, Problem):
            offer.problems.append(read)
            offer.faulty.add(name)
        else:
            offer.hooks[name] = read
    offer.others = frozenset(
        name
        for name, value in list(vars(module.module).items())
        if callable(value) and name not in marked and not name.startswith("__")
    )
    return offer


@dataclass(frozen=True, slots=True)
class PythonFile:
    """An imported file as it was checked: plain data that can travel to where it is loaded."""

    path: str
    text: str
    alias: str
    hooks: tuple[Hook, ...]


class LoadedPython:
    """A Python file as generated code sees it: its hooks are attributes.

    Keeps the module alive. Raises PythonError when the file does not run here, or no longer has a
    function that it had when it was checked.
    """

    def __init__(
        self, file: PythonFile, side: PythonSide, texts: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._module = PythonModule(file.path, file.text, file.alias, texts)
        marked = self._module.marked()
        for hook in file.hooks:
            function = marked.get(hook.name)
            if function is None:
                raise PythonError(
                    file.path, 0, f"it has no function `{hook.name}` for routes any more"
                )
            setattr(self, hook.name, side.wrap(hook, function))


def load_python(
    files: Sequence[PythonFile],
    side: PythonSide | None,
    texts: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, LoadedPython]:
    """Import checked files afresh, and what lies beside them from `texts`; by alias.

    Raises PythonError.
    """
    assert side is not None or not files
    return {file.alias: LoadedPython(file, side, texts) for file in files if side is not None}


# ------------------------------------------------------------------------------- around a run


@contextlib.contextmanager
def _folder_first(folder: str, beside: list[str], texts: Mapping[str, str]) -> Iterator[None]:
    """Imports look into the folder first; modules found there are forgotten again afterwards.

    Those whose files are in `texts` are made from there, whatever the disk says by now.
    A folder that Python looks into anyway is left to it.
    """
    folder = realpath(folder)
    if any(realpath(entry) == folder for entry in sys.path):
        yield
        return
    before = {name.partition(".")[0] for name in list(sys.modules)}
    writes = sys.dont_write_bytecode
    finder = ModulesBeside(folder, texts)
    sys.meta_path.insert(0, finder)
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)
            sys.path.remove(folder)
        # Of the names alone: pairs are new objects, whose making may set off the collector and so
        # the `__del__` of another file's module, which changes the table meanwhile.
        for name in list(sys.modules):
            file = getattr(sys.modules.get(name), "__file__", None)
            if name.partition(".")[0] not in before and file and _lies_in(file, folder):
                del sys.modules[name]
                beside.append(file)


def _lies_in(file: str, folder: str) -> bool:
    """Whether a module was found through the folder, and not through a deeper one of the path."""
    file = realpath(file)
    entries = {realpath(entry) for entry in sys.path} | {folder}
    holding = [entry for entry in entries if commonpath([entry, file]) == entry]
    return max(holding, key=len, default="") == folder


def _output_aside() -> contextlib.AbstractContextManager[Any]:
    """What a file prints on its import is for people: `check --json` writes for machines."""
    return contextlib.redirect_stdout(sys.stderr)


def _sentence(error: BaseException) -> str:
    """The error as Python names it, in one line."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    first = text.strip().partition("\n")[0]
    name = type(error).__name__
    return f"{name}: {first}" if first else name


def _line_in(trace: TracebackType | None, path: str) -> int:
    """The line of the file at which the error left it, 0 if it never got there."""
    line = 0
    for frame, number in traceback.walk_tb(trace):
        if frame.f_code.co_filename == path:
            line = number
    return line
