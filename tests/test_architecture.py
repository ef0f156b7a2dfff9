"""The rules of ARCHITECTURE.md that a program can check: arrows, purity, size of files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 450

# Each may import itself and what stands below it.
LAYERS = ("cli", "admin", "runtime", "routing", "billing", "core", "store", "sip")
# dsl stands apart: these know it, it knows none of them.
MAY_IMPORT_DSL = ("cli", "admin", "runtime", "routing")
CORE_MAY_IMPORT_FROM_STORE = ("router.store.records", "router.store.ops")
DSL_LIBRARIES = ("lark", "msgspec")

PURE = ("router/sip", "router/core", "router/billing", "router/routing", "dsl")
IMPURE_MODULES = frozenset(
    (
        *("asyncio", "fcntl", "lmdb", "logging", "mmap", "multiprocessing", "random"),
        *("secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver"),
        *("ssl", "structlog", "subprocess", "tempfile", "threading", "time", "uuid"),
    )
)
IMPURE_FUNCTIONS = frozenset(("open", "input", "print", "urandom", "getenv", "urlopen"))
IMPURE_METHODS = frozenset(
    (
        *("open", "urandom", "getenv", "urlopen"),
        *("read_text", "read_bytes", "write_text", "write_bytes"),
    )
)
# The grammar is a part of the program, as its modules are.
ALLOWED = {("dsl/parse.py", "read_text()")}
CLOCKS = frozenset(("datetime.now", "datetime.utcnow", "datetime.today", "date.today"))


class Import(NamedTuple):
    """A module that a file imports, or a name from it, and where."""

    module: str
    line: int


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.Module, package: str) -> Iterator[Import]:
    """Every module imported anywhere in the file, also inside functions and for types only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield Import(module, node.lineno)
            for alias in node.names:
                yield Import(f"{module}.{alias.name}", node.lineno)


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


def imports_of(path: Path) -> list[Import]:
    return list(imports(ast.parse(path.read_text()), package_of(path)))


def upward(package: str, module: str) -> bool:
    """Whether an import of `module` from a file of router.`package` goes up, or nowhere allowed."""
    if module == "dsl" or module.startswith("dsl."):
        return package not in MAY_IMPORT_DSL
    if not module.startswith("router."):
        return False
    target = module.split(".")[1]
    if target not in LAYERS:
        return False
    if package == "core" and target == "store":
        return module != "router.store" and not any(
            module == allowed or module.startswith(allowed + ".")
            for allowed in CORE_MAY_IMPORT_FROM_STORE
        )
    return LAYERS.index(target) < LAYERS.index(package)


def impurities(tree: ast.Module, package: str = "dsl") -> list[tuple[str, int]]:
    """Modules and calls through which a socket, clock, random source or file could be reached."""
    found = [
        (imported.module, imported.line)
        for imported in imports(tree, package)
        if imported.module.split(".")[0] in IMPURE_MODULES
        or imported.module in ("os.environ", "os.urandom", "os.getenv")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in IMPURE_FUNCTIONS:
                found.append((called.id + "()", node.lineno))
            elif isinstance(called, ast.Attribute) and (
                called.attr in IMPURE_METHODS or ast.unparse(called).endswith(tuple(CLOCKS))
            ):
                found.append((called.attr + "()", node.lineno))
        elif isinstance(node, ast.Attribute) and node.attr == "environ":
            found.append(("environ", node.lineno))
    return found


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_downward_only(package: str) -> None:
    wrong = [
        f"{named(path)}:{imported.line} imports {imported.module}"
        for path in sources(f"router/{package}")
        for imported in imports_of(path)
        if upward(package, imported.module)
    ]
    assert wrong == []


def test_every_package_of_router_has_its_place() -> None:
    packages = {path.parent.name for path in (ROOT / "router").glob("*/__init__.py")}
    assert packages == set(LAYERS)
    assert sorted(path.name for path in (ROOT / "router").glob("*.py")) == ["__init__.py"]


def test_dsl_imports_lark_msgspec_and_the_standard_library_only() -> None:
    import sys

    allowed = {*sys.stdlib_module_names, *DSL_LIBRARIES, "dsl"}
    wrong = [
        f"{named(path)}:{imported.line} imports {imported.module}"
        for path in sources("dsl")
        for imported in imports_of(path)
        if imported.module.split(".")[0] not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", PURE)
def test_no_socket_clock_random_source_or_file_is_touched(folder: str) -> None:
    wrong = [
        f"{named(path)}:{line} uses {name}"
        for path in sources(folder)
        for name, line in impurities(ast.parse(path.read_text()), package_of(path))
        if (named(path), name) not in ALLOWED
    ]
    assert wrong == []


def test_only_the_store_knows_lmdb() -> None:
    wrong = [
        f"{named(path)}:{imported.line}"
        for path in (*sources("router"), *sources("dsl"))
        if not path.is_relative_to(ROOT / "router/store")
        for imported in imports_of(path)
        if imported.module.split(".")[0] == "lmdb"
    ]
    assert wrong == []


def test_no_file_is_too_long_to_read() -> None:
    long = {
        named(path): count
        for path in (*sources("router"), *sources("dsl"))
        if (count := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}


def test_no_module_is_named_for_having_no_job() -> None:
    vague = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "data"}
    wrong = [
        named(path)
        for path in (*sources("router"), *sources("dsl"))
        if vague & set(path.stem.split("_"))
    ]
    assert wrong == []


# The checks themselves can fail:


@pytest.mark.parametrize(
    ("package", "module", "is_upward"),
    [
        ("sip", "router.store.records", True),
        ("sip", "router.sip.uri", False),
        ("core", "router.store.live", True),
        ("core", "router.store.records.Cdr", False),
        ("core", "router.routing.context", True),
        ("routing", "router.core.engine", False),
        ("admin", "router.cli.main", True),
        ("store", "dsl.surface", True),
        ("runtime", "dsl.load", False),
        ("core", "lmdb", False),
    ],
)
def test_an_upward_import_is_recognised(package: str, module: str, is_upward: bool) -> None:
    assert upward(package, module) is is_upward


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "from time import monotonic",
        "def f():\n    import random",
        "import asyncio.events",
        "open('x')",
        "from pathlib import Path\nPath('x').read_text()",
        "from datetime import datetime\ndatetime.now()",
        "import os\nos.environ['X']",
        "from os import environ",
    ],
)
def test_an_impurity_is_recognised(source: str) -> None:
    assert impurities(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "from collections.abc import Callable",
        "def f(now_ms): return now_ms + 1",
        "import os.path\nos.path.join('a', 'b')",
        "class C:\n    def open(self): ...",
        "def read_text(files): ...\nread_text(files)",
    ],
)
def test_what_is_pure_is_left_alone(source: str) -> None:
    assert impurities(ast.parse(source)) == []


def test_a_relative_import_is_resolved() -> None:
    tree = ast.parse("from . import live\nfrom ..sip.uri import parse_uri\nfrom .ops import Admit")
    found = {imported.module for imported in imports(tree, "router.store")}
    assert {"router.store.live", "router.sip.uri", "router.store.ops"} <= found
