"""Which lines of routes.cfg a request runs through, and which conditions held.

Only `trunkline route` traces: it is far too slow for calls. Generated code carries the places of
routes.cfg, so an instruction of the interpreter is a statement there.
"""

from __future__ import annotations

import ast
import dis
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, Final

import msgspec

from dsl.generate import Generated

MAX_VISITS: Final = 2_000
YIELD_VALUE: Final = dis.opmap["YIELD_VALUE"]
Place = tuple[int | None, int | None, int | None, int | None]


class Visit(msgspec.Struct):
    """A line that was run; `met` tells whether its condition held, None when it has none."""

    route: str
    file: str
    line: int
    text: str
    depth: int
    """how many routes called each other to get here"""
    met: bool | None = None


class _Statement:
    """A statement of a route; `body` is the first statement behind its condition."""

    __slots__ = ("body", "line", "tests")

    def __init__(self, line: int, tests: bool) -> None:
        self.line = line
        self.tests = tests
        self.body: _Statement | None = None


Places = dict[Place, list[_Statement]]


class LineTrace:
    """Records the visits of everything that runs inside its `with` block."""

    def __init__(self, generated: Generated) -> None:
        self.visits: list[Visit] = []
        self.missed = 0
        """visits beyond the limit"""
        self._texts = {file: text.split("\n") for file, text in generated.texts.items()}
        self._titles = {name: _title(*key) for key, name in generated.names.items()}
        self._statements: dict[tuple[str, str], Places] = {}
        self._frames: dict[FrameType, _Frame] = {}
        for file, module in generated.modules:
            for function in module.body:
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    places: Places = {}
                    _learn(function.body, places)
                    self._statements[file, function.name] = places
        self._depth = -1
        self._before: Any = None

    def __enter__(self) -> LineTrace:
        self._before = sys.gettrace()
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        code = frame.f_code
        places = self._statements.get((code.co_filename, code.co_name))
        if places is None:
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        self._depth += 1
        run = self._frames.pop(frame, None)
        if run is None:
            run = _Frame(self, code, places, self._depth)
        return run.on_event

    def leave(self, frame: FrameType, run: _Frame | None) -> None:
        """A route has returned; or, where its run is given, it waits and will go on."""
        self._depth -= 1
        if run is not None:
            self._frames[frame] = run

    def visit(self, code: CodeType, line: int, depth: int) -> Visit | None:
        """Notes a visit; None beyond the limit."""
        if len(self.visits) >= MAX_VISITS:
            self.missed += 1
            return None
        file = code.co_filename
        lines = self._texts.get(file, [])
        text = lines[line - 1].rstrip() if line <= len(lines) else ""
        route = self._titles.get(code.co_name, code.co_name)
        visit = Visit(route, file, line, text, depth)
        self.visits.append(visit)
        return visit


class _Frame:
    """One run of one route."""

    def __init__(self, trace: LineTrace, code: CodeType, places: Places, depth: int) -> None:
        self._trace = trace
        self._code = code
        self._at = [places.get(place, ()) for place in code.co_positions()]
        self._depth = depth
        self._statement: _Statement | None = None
        self._visit: Visit | None = None
        self._open: tuple[_Statement, Visit | None] | None = None

    def on_event(self, frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        """What the interpreter tells of this frame."""
        at = frame.f_lasti
        if event == "return":
            waits = self._code.co_code[at] == YIELD_VALUE
            if not waits:
                self._resolve(None)
            self._trace.leave(frame, self if waits else None)
        elif event == "opcode" and at >= 0:
            owners = self._at[at // 2]
            # A place may belong to several: the value of a switch is a part of all its cases.
            if owners and self._statement not in owners:
                self._enter(owners[0])
        return self.on_event

    def _enter(self, statement: _Statement) -> None:
        self._resolve(statement)
        self._statement = statement
        before = self._visit
        if (
            before is None
            or before.line != statement.line
            or before.met is False
            or (statement.tests and before.met is not None)
        ):
            self._visit = self._trace.visit(self._code, statement.line, self._depth)
        if statement.tests:
            self._open = statement, self._visit

    def _resolve(self, following: _Statement | None) -> None:
        """What comes after a condition tells whether it held."""
        if self._open is None:
            return
        statement, visit = self._open
        self._open = None
        if visit is not None:
            visit.met = following is not None and following is statement.body


def _title(kind: str, name: str) -> str:
    return f"{kind}[{name}]" if name else kind


def _learn(body: list[ast.stmt], places: Places) -> _Statement | None:
    """Enters the places of all statements; gives the first one that was written in routes.cfg."""
    first: _Statement | None = None
    for node in body:
        learnt = _learn_one(node, places)
        first = first or learnt
    return first


def _learn_one(node: ast.stmt, places: Places) -> _Statement | None:
    if isinstance(node, ast.Try):
        return _learn(node.body, places)
    if _counts_steps(node):
        return None
    test = node.test if isinstance(node, ast.If | ast.While) else None
    # An `if` that only passes on what a called route decided is no condition of the script.
    tests = test is not None and not (
        isinstance(node, ast.If) and _place(node.body[0]) == _place(test)
    )
    statement = _Statement(node.lineno, tests)
    for part in _own(node):
        places.setdefault(_place(part), []).append(statement)
    if isinstance(node, ast.If | ast.While | ast.For):
        statement.body = _learn(node.body, places)
        _learn(node.orelse, places)
    return statement


def _own(node: ast.stmt) -> Iterator[Any]:
    """A statement and the expressions that belong to it, without the statements inside it."""
    pending: list[ast.AST] = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, ast.stmt | ast.expr):
            yield one
        pending += [
            child for child in ast.iter_child_nodes(one) if not isinstance(child, ast.stmt)
        ]


def _place(node: Any) -> Place:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _counts_steps(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "step"
    )
