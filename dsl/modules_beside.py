"""Imports of Python modules from texts that were read before, whatever the disk says by now.

A configuration is loaded long after it was checked: by a worker that takes the place of a dead one,
when somebody edits the files already. The modules that its Python files import from their own
folder are therefore loaded as they were checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from os.path import abspath, dirname, join, realpath
from types import ModuleType


class ModulesBeside(MetaPathFinder, InspectLoader):
    """Finds the modules of a folder in texts, which are given by their files' paths."""

    def __init__(self, folder: str, texts: Mapping[str, str]) -> None:
        self._folder = folder
        self._texts = {realpath(abspath(path)): text for path, text in texts.items()}
        self._files: dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module is, if its file is among the texts."""
        name = fullname.rpartition(".")[2]
        for folder in path if path is not None else (self._folder,):
            for file in (join(folder, name, "__init__.py"), join(folder, f"{name}.py")):
                if realpath(file) in self._texts:
                    return self._spec(fullname, file)
        return None

    def _spec(self, fullname: str, file: str) -> ModuleSpec:
        self._files[fullname] = file
        package = file.endswith("__init__.py")
        spec = ModuleSpec(fullname, self, origin=file, is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [dirname(file)]
        return spec

    def get_source(self, fullname: str) -> str:
        """The text of a module that was found; ImportError for another."""
        file = self._files.get(fullname)
        if file is None:
            raise ImportError(fullname)
        return self._texts[realpath(file)]

    def exec_module(self, module: ModuleType) -> None:
        """Run a module that was found."""
        name = module.__name__
        code = compile(self.get_source(name), self._files[name], "exec", dont_inherit=True)
        exec(code, module.__dict__)
