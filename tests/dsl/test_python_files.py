"""Python files: what they offer to routes, what is wrong with them; each run is a new one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_context import FakeContext
from routes_text import PYTHON_FILES, check_text

from dsl.image import Image
from dsl.imports import (
    LoadedPython,
    Offer,
    PythonError,
    PythonFile,
    PythonModule,
    mark_route_function,
    read_offer,
)
from dsl.load import make_image
from dsl.signatures import Hook
from dsl.surface import BRANCH, ENTRY_KINDS, EVENT, FAILURE, REQUEST, PythonSide
from dsl.types import (
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    IP,
    NETWORK,
    STRING,
    VOID,
    list_of,
    object_type,
)
from router.core.tally import Tally
from router.routing.hook_meter import HookMeter
from router.routing.surface import SURFACE


class Call:
    """Stands for what hooks see of a call."""


class Peer:
    """Stands for an object of routes."""


PEER = object_type("peer")
HEAD = f"""\
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from dsl.imports import mark_route_function as route_function
import sys
Call = sys.modules[{__name__!r}].Call
Peer = sys.modules[{__name__!r}].Peer
"""
LINES = HEAD.count("\n")


def bare(hook: Hook, function: Callable[..., Any]) -> Callable[..., Any]:
    return function


SIDE = PythonSide({Peer: PEER}, Call, bare)


def offer(text: str, path: str = "hooks.py") -> Offer:
    return read_offer(path, HEAD + text, "hooks", SIDE)


def one(text: str) -> Any:
    """The signature of the only function of a file without faults."""
    found = offer(text)
    assert found.problems == []
    ((_, signature),) = found.hooks.items()
    return signature


def fault(text: str) -> str:
    """The only fault of a file, with its line behind the head."""
    (problem,) = offer(text).problems
    return f"{problem.line - LINES}: {problem.text}"


@pytest.mark.parametrize(
    ("annotation", "type_"),
    [
        ("str", STRING),
        ("int", INT),
        ("bool", BOOL),
        ("Decimal", DECIMAL),
        ("timedelta", DURATION),
        ("IPv4Address | IPv6Address", IP),
        ("IPv6Network | IPv4Network", NETWORK),
        ("Peer", PEER),
        ("list[str]", list_of(STRING)),
        ("list[Peer]", list_of(PEER)),
        ("'list[int]'", list_of(INT)),
    ],
)
def test_an_annotation_is_a_type_of_routes(annotation: str, type_: object) -> None:
    signature = one(f"@route_function\ndef f(x: {annotation}) -> {annotation}: return x\n")
    assert [parameter.types for parameter in signature.function.parameters] == [(type_,)]
    assert signature.function.returns == type_
    assert signature.hook.returns == type_


def test_a_union_is_several_types_that_a_parameter_takes() -> None:
    signature = one(
        "@route_function\ndef f(x: str | IPv4Address | IPv6Address | Peer) -> None: pass\n"
    )
    assert set(signature.function.parameters[0].types) == {STRING, IP, PEER}
    assert signature.function.returns == VOID


def test_parameters_with_a_default_may_be_left_out() -> None:
    function = one(
        "@route_function\n"
        "def f(a: str, b: int = 5, c: str | None = None, *, d: bool = False) -> None: pass\n"
    ).function
    shown = [
        (one.name, one.types[0], one.required, one.keyword_only) for one in function.parameters
    ]
    assert shown == [
        ("a", STRING, True, False),
        ("b", INT, False, False),
        ("c", STRING, False, False),
        ("d", BOOL, False, True),
    ]


def test_a_first_parameter_for_the_call_is_not_the_routes_affair() -> None:
    signature = one("@route_function\ndef f(call: Call, number: str) -> bool: return True\n")
    assert signature.hook.takes_call
    assert [parameter.name for parameter in signature.function.parameters] == ["number"]


def test_an_async_function_waits_and_is_legal_where_routes_can_wait() -> None:
    signature = one("@route_function\nasync def f(number: str) -> str: return number\n")
    assert signature.hook.waits
    assert signature.function.kinds == {REQUEST, BRANCH, FAILURE, EVENT}
    assert one("@route_function\ndef f() -> None: pass\n").function.kinds == ENTRY_KINDS


def test_durations_are_marked_by_place_and_name() -> None:
    hook = one(
        "@route_function\n"
        "def f(call: Call, a: int, b: timedelta, *, c: timedelta | None = None) -> timedelta:\n"
        "    return b\n"
    ).hook
    assert hook.durations == {1, "b", 2, "c"}
    assert hook.gives_timedelta


def test_functions_that_are_not_marked_are_no_routes_affair_but_known() -> None:
    found = offer("def g() -> None: pass\n@route_function\ndef f() -> None: pass\n")
    assert list(found.hooks) == ["f"]
    assert "g" in found.others
    assert found.problems == []


def test_the_documentation_of_a_function_is_its_first_paragraph() -> None:
    text = '@route_function\ndef f() -> None:\n    """What\n    it does.\n\n    More."""\n'
    assert one(text).function.doc == "What it does."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def f(x) -> None: pass", "1: `f`: its parameter `x` has no annotation"),
        ("def f(x: str): pass", "1: `f`: it does not say what it returns: write `-> None`"),
        ("def f(x: float) -> None: pass", "parameter `x` is `float`, which routes have no type"),
        ("def f(x: float) -> None: pass", "write `Decimal`"),
        ("def f(x: complex) -> None: pass", "they have str, int, bool, Decimal, timedelta, ip"),
        ("def f(x: complex) -> None: pass", "lists of these, Peer"),
        ("def f(x: list) -> None: pass", "say what it holds: `list[str]`"),
        ("def f(x: dict[str, str]) -> None: pass", "is `dict[str, str]`, which routes have no"),
        ("def f(x: IPv4Address) -> None: pass", "write `IPv4Address | IPv6Address`"),
        ("def f(x: str | None) -> None: pass", "is `NoneType`"),
        ("def f(x: timedelta | str) -> None: pass", "a timedelta or something else"),
        ("def f() -> str | None: return None", "what it returns is `str | None`"),
        ("def f() -> list[timedelta]: return []", "what it returns is"),
        (
            "def f(*numbers: str) -> None: pass",
            "any number of arguments: name them, not `*numbers`",
        ),
        ("def f(**more: str) -> None: pass", "any number of arguments: name them, not `**more`"),
        ("def f(x: str, call: Call) -> None: pass", "the parameter for the call comes first"),
        ("def f(*, call: Call) -> None: pass", "comes first, before the `*`"),
        ("def f() -> 'Nothing': pass", "annotations cannot be read: NameError: name 'Nothing'"),
        ("def f() -> str: yield ''", "it has a `yield`"),
        ("async def f() -> str: yield ''", "it has a `yield`"),
    ],
)
def test_what_routes_have_no_type_for_is_a_fault_with_its_line(text: str, sentence: str) -> None:
    found = fault(f"@route_function\n{text}\n")
    assert found.startswith("1: `f`: ")
    assert sentence in found


def test_only_functions_can_be_marked() -> None:
    assert "TypeError: @route_function marks functions" in fault("@route_function\nclass C: pass\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\nx = nowhere\n", "2: NameError: name 'nowhere' is not defined"),
        ("def f(:\n", "1: SyntaxError: "),
        ("import nowhere_to_be_found\n", "1: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit(3)\n", "2: SystemExit: 3"),
        ("def g():\n    raise ValueError('first\\nsecond')\n\ng()\n", "2: ValueError: first"),
        ("raise KeyError\n", "1: KeyError"),
    ],
)
def test_a_file_that_does_not_run_is_a_fault_with_its_line(text: str, sentence: str) -> None:
    assert fault(text).startswith(sentence)


def test_all_faults_of_a_file_are_found_at_once() -> None:
    found = offer(
        "@route_function\ndef f(x) -> None: pass\n@route_function\ndef g() -> float: return 1.0\n"
    )
    assert [problem.line - LINES for problem in found.problems] == [1, 3]


def test_what_a_file_prints_does_not_come_between_the_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer("print('hello')\n")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "hello\n")


# ------------------------------------------------------------------------------ every run is new


def test_each_run_is_a_module_of_its_own_and_gone_with_its_object() -> None:
    before = set(sys.modules)
    first, second = (PythonModule("hooks.py", "seen = []\n", "hooks") for _ in range(2))
    assert first.module.__name__ != second.module.__name__
    assert first.module.seen is not second.module.seen
    assert sys.modules[first.module.__name__] is first.module
    names = {first.module.__name__, second.module.__name__}
    assert set(sys.modules) - before == names
    del first, second
    assert not names & set(sys.modules)


def test_a_dataclass_with_annotations_as_text_can_be_made() -> None:
    module = PythonModule(
        "hooks.py",
        "from __future__ import annotations\nfrom dataclasses import dataclass, field\n"
        "@dataclass\nclass A:\n    b: list[A] = field(default_factory=list)\n",
        "hooks",
    )
    assert module.module.A().b == []


def test_what_a_file_imports_from_its_own_folder_is_imported_afresh(tmp_path: Path) -> None:
    beside = tmp_path / "numbers_we_know.py"
    path = str(tmp_path / "hooks.py")
    text = HEAD + (
        "import numbers_we_know\n@route_function\ndef f() -> int: return numbers_we_know.COUNT\n"
    )
    for count in (1, 2):
        beside.write_text(f"COUNT = {count}\n")
        module = PythonModule(path, text, "hooks")
        assert module.marked()["f"]() == count
        assert module.beside == [str(beside)]
        assert "numbers_we_know" not in sys.modules
    assert str(tmp_path) not in sys.path
    assert read_offer(path, text, "hooks", SIDE).beside == (str(beside),)


def test_libraries_that_a_file_imports_stay(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "far_away.py").write_text("X = 1\n")
    sys.path.append(str(library))
    try:
        module = PythonModule(str(tmp_path / "hooks.py"), "import far_away\n", "hooks")
        assert module.beside == []
        assert "far_away" in sys.modules
    finally:
        sys.path.remove(str(library))
        sys.modules.pop("far_away", None)


def test_a_fault_in_a_module_beside_is_told_with_the_line_that_imports_it(tmp_path: Path) -> None:
    (tmp_path / "broken_beside.py").write_text("\n\nx = (\n")
    found = read_offer(str(tmp_path / "hooks.py"), "x = 1\nimport broken_beside\n", "hooks", SIDE)
    (problem,) = found.problems
    assert problem.line in (0, 2)
    assert problem.text.startswith("SyntaxError")
    assert "broken_beside" not in sys.modules


# -------------------------------------------------------------------------------------- loading


def file_of(text: str) -> PythonFile:
    found = offer(text)
    hooks = tuple(signature.hook for signature in found.hooks.values())
    return PythonFile("hooks.py", HEAD + text, "hooks", hooks)


def test_a_loaded_file_has_its_hooks_as_attributes() -> None:
    loaded: Any = LoadedPython(
        file_of("@route_function\ndef f(x: int) -> int: return x + 1\n"), SIDE
    )
    assert loaded.f(1) == 2


def test_the_wrapper_is_told_what_the_function_takes_and_gives() -> None:
    wrapped: list[Hook] = []

    def wrap(hook: Hook, function: Callable[..., Any]) -> Callable[..., Any]:
        wrapped.append(hook)
        return function

    file = file_of("@route_function\nasync def f(call: Call, t: timedelta) -> None: pass\n")
    LoadedPython(file, PythonSide(SIDE.types, SIDE.call, wrap))
    assert wrapped == [Hook("hooks", "f", True, True, VOID, frozenset({0, "t"}))]
    assert wrapped[0].title == "hooks.f"


def test_a_function_that_is_gone_when_the_file_is_loaded_is_missed() -> None:
    file = file_of("@route_function\ndef f() -> None: pass\n")
    changed = PythonFile(file.path, HEAD, file.alias, file.hooks)
    with pytest.raises(PythonError, match="has no function `f` for routes any more"):
        LoadedPython(changed, SIDE)


def test_the_mark_leaves_the_function_as_it_is() -> None:
    def f() -> timedelta:
        return timedelta(seconds=1)

    assert mark_route_function(f) is f


# ------------------------------------------------------------------------- in a configuration

ROUTES = """import python "hooks.py" as hooks
request_route { if (hooks.is_vip($fU)) drop; hooks.note("x"); $call.tier = "gold"; reply(200); }
"""


def test_a_configuration_travels_with_its_python_files_as_they_were_checked() -> None:
    image = make_image(check_text(ROUTES), SURFACE)
    arrived = Image.from_bytes(image.to_bytes())
    program = arrived.load(SURFACE)
    assert program.variables == {"tier": STRING}
    assert program.imports == {"hooks": PYTHON_FILES["hooks.py"]}
    loaded = program.namespace["hooks"]
    assert loaded is not arrived.load(SURFACE).namespace["hooks"]
    assert {"is_vip", "first", "note", "minutes", "lookup"} <= set(vars(loaded))


def test_who_empties_a_program_lets_go_of_its_modules() -> None:
    before = set(sys.modules)
    program = make_image(check_text(ROUTES), SURFACE).load(SURFACE)
    assert len(set(sys.modules) - before) == 1
    program.routes.clear()
    program.namespace.clear()
    assert set(sys.modules) - before == set()


def test_the_hash_changes_with_the_python_file(tmp_path: Path) -> None:
    changed = {"hooks.py": PYTHON_FILES["hooks.py"] + "# more\n"}
    assert check_text(ROUTES).unit.hash != check_text(ROUTES, more=changed).unit.hash


def test_a_file_that_no_longer_runs_where_it_is_loaded_says_so() -> None:
    image = make_image(check_text(ROUTES), SURFACE)
    image.imports = (
        PythonFile("hooks.py", "import nowhere_at_all\n", "hooks", image.imports[0].hooks),
    )
    with pytest.raises(PythonError, match=r"^hooks.py:1: ModuleNotFoundError: No module named"):
        image.load(SURFACE)


@pytest.mark.parametrize("alias", ["len", "c", "re", "class", "len_", "reply", "NETWORKS_1"])
def test_a_name_that_means_something_else_in_python_is_still_a_name(alias: str) -> None:
    text = (
        f'import python "hooks.py" as {alias}\nrequest_route {{ let len_2 = len($rU);'
        f" if ({alias}.is_vip($fU) && len_2 > 2) reply(403); reply(200); }}\n"
    )
    program = make_image(check_text(text), SURFACE).load(SURFACE)
    meter = HookMeter(Tally(), lambda: 0.0, lambda *_, **__: None)
    context = FakeContext(caller="1000", meter=meter)
    program.routes["request_route", ""](context)
    assert context.done == [("reply", 403)]
