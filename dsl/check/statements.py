"""The statements of a route: locals, conditions, switches, loops and returns."""

from __future__ import annotations

from collections.abc import Sequence

from dsl import ast
from dsl.check.cases import check_cases
from dsl.check.declarations import Route
from dsl.check.expressions import ExpressionChecker
from dsl.check.facts import FactChecker
from dsl.check.report import article
from dsl.check.scope import Local, Scope
from dsl.check.world import World
from dsl.surface import NAMED
from dsl.types import ANY, INT, STRING, VOID, Type, fits

KEYWORDS = frozenset(
    {"let", "if", "else", "switch", "case", "default", "return", "for", "while", "in"}
    | {"drop", "exit", "break", "true", "false", "route"}
)
MAX_LOOPS = 8
MAX_BRANCHES = 250


def check_route(world: World, route: Route) -> None:
    """Check the names and types of a route; learn its uses and what it returns."""
    _StatementChecker(world, route).check()


class _StatementChecker:
    def __init__(self, world: World, route: Route) -> None:
        self._world = world
        self._route = route
        self._report = world.report
        self._scope = Scope()
        self._expressions = ExpressionChecker(world, route, self._scope)
        self._facts = FactChecker(self._expressions)
        self._loops = 0
        self._enclosing: list[str] = []
        """the loops and switches around the place, innermost last"""
        self._returns: list[tuple[Type, ast.Return]] = []

    def check(self) -> None:
        self._body(self._route.node.body)
        self._check_returns()
        # A part that was skipped may have read them.
        if not self._route.node.broken:
            for local in self._scope.declared:
                if not local.used and not local.loop and local.name not in self._report.skipped:
                    self._report.warn("unused-local", local.span, f"`{local.name}` is never read")

    def _body(self, body: Sequence[ast.Node]) -> None:
        self._scope.enter()
        for statement in body:
            self._statement(statement)
        self._scope.leave()

    def _statement(self, node: ast.Node) -> None:
        match node:
            case ast.Evaluate():
                self._evaluate(node)
            case ast.Let():
                self._let(node)
            case ast.Assign():
                self._assign(node)
            case ast.If():
                self._if(node)
            case ast.Switch():
                self._switch(node)
            case ast.Return():
                self._return(node)
            case ast.Stop():
                self._stop(node)
            case ast.Group():
                self._body(node.body)
            case ast.For():
                self._for(node)
            case ast.While():
                self._expressions.condition(node.condition)
                self._loop("while", node, node.body)

    # ------------------------------------------------------------------------------- simple

    def _evaluate(self, node: ast.Evaluate) -> None:
        value = node.value
        if isinstance(value, ast.Call):
            before = len(self._report.findings)
            self._expressions.infer(value)
            function = self._world.surface.functions.get(value.text)
            wrong = len(self._report.findings) > before
            if function is not None and callable(function.target) and not wrong:
                self._report.add(
                    "no-effect", value.span, f"nothing is done with what `{value.text}` gives"
                )
            return
        if isinstance(value, ast.Name) and len(value.parts) == 1:
            name = value.parts[0]
            if name in self._world.surface.functions and self._scope.find(name) is None:
                self._report.add(
                    "no-effect",
                    value.span,
                    f"`{name}` alone does nothing",
                    f"did you mean `{name}();`?",
                )
                return
        if self._expressions.infer(value) == ANY or isinstance(value, ast.Bad):
            return
        equality = isinstance(value, ast.Binary) and value.operator == "=="
        self._report.add(
            "no-effect",
            value.span,
            "nothing is done with this value",
            "`=` assigns, `==` compares" if equality else "",
        )

    def _declare(self, name: str, type_: Type, span: ast.Span, loop: bool = False) -> None:
        known = self._scope.find(name)
        if name in KEYWORDS:
            self._report.add("reserved-name", span, f"`{name}` is a word of the language")
        elif known is not None:
            self._report.add(
                "duplicate-local",
                span,
                f"there is a local `{name}` already, since line {known.span.line}",
                f"to change it write `{name} = …;`",
            )
            if known.type != type_:
                known.type = ANY
            return
        elif name in self._world.declarations.imports:
            self._report.add("duplicate-local", span, f"`{name}` is an imported Python file")
        else:
            kind = self._block_kind(name)
            if kind:
                self._report.add("duplicate-local", span, f"`{name}` is a {kind}")
        self._scope.declare(Local(name, type_, span, loop))

    def _block_kind(self, name: str) -> str:
        for kind, schema in self._world.surface.blocks.items():
            if schema.expression is not None:
                blocks = self._world.declarations.blocks.get(kind, {})
                if name in blocks:
                    return kind
        return ""

    def _let(self, node: ast.Let) -> None:
        self._declare(node.name, self._expressions.value(node.value), node.name_span)

    def _assign(self, node: ast.Assign) -> None:
        value = self._expressions.value(node.value)
        target = node.target
        if isinstance(target, ast.Fact):
            self._facts.assign(target, value)
        elif isinstance(target, ast.Name) and len(target.parts) == 1:
            self._assign_local(target, value)
        elif not isinstance(target, ast.Bad):
            self._report.add(
                "not-assignable", target.span, "only a local or a `$` fact can be assigned"
            )

    def _assign_local(self, target: ast.Name, value: Type) -> None:
        name = target.parts[0]
        local = self._scope.find(name)
        if local is None:
            kind = self._block_kind(name)
            if kind:
                self._report.add(
                    "not-assignable", target.span, f"`{name}` is a {kind} and cannot be assigned"
                )
                return
            help = f"the first time write `let {name} = …;`"
            if name in self._world.surface.by_dollar:
                help = f"did you mean `${name}`?"
            self._report.unknown(
                "unknown-name",
                target.span,
                f"there is no local `{name}`",
                name,
                self._scope.names(),
                help,
            )
            return
        target.meaning, target.type = "local", local.type
        if local.loop:
            self._report.add(
                "not-assignable", target.span, f"`{name}` is set by the `for` and by nothing else"
            )
        elif local.type == ANY or (local.type.element == ANY and value.element is not None):
            local.type = value
        elif not fits(value, local.type):
            self._report.add(
                "type-changed",
                target.span,
                f"`{name}` is {article(str(local.type))} and cannot become {article(str(value))}",
            )

    # --------------------------------------------------------------------------- compound

    def _if(self, node: ast.If) -> None:
        self._check_branches(node.span, len(node.branches))
        for condition, body in node.branches:
            self._expressions.condition(condition)
            self._body(body)
        if node.otherwise is not None:
            self._body(node.otherwise)

    def _check_branches(self, span: ast.Span, count: int) -> None:
        if count > MAX_BRANCHES:
            self._report.add(
                "too-deep",
                span,
                f"this has more than {MAX_BRANCHES} branches",
                "a list with `in`, or several switches, say the same",
            )

    def _switch(self, node: ast.Switch) -> None:
        self._check_branches(node.head, sum(len(case.values) or 1 for case in node.cases))
        subject = self._expressions.value(node.subject)
        if subject not in (STRING, INT, ANY):
            self._report.add(
                "wrong-type",
                node.subject.span,
                f"a switch is over a string or an int, and this is {article(str(subject))}",
            )
            subject = ANY
        check_cases(node, subject, self._expressions)
        self._enclosing.append("switch")
        for case in node.cases:
            self._body(case.body)
        self._enclosing.pop()

    def _for(self, node: ast.For) -> None:
        type_ = self._expressions.value(node.iterable)
        element = ANY
        if type_.name == "range":
            element = INT
        elif type_.element is not None:
            element = type_.element
        elif type_ != ANY:
            self._report.add(
                "wrong-type",
                node.iterable.span,
                f"`for` goes through a list or a range, and this is {article(str(type_))}",
            )
        self._scope.enter()
        self._declare(node.name, element, node.name_span, loop=True)
        self._loop("for", node, node.body)
        self._scope.leave()

    def _loop(self, word: str, node: ast.Node, body: list[ast.Node]) -> None:
        self._loops += 1
        if self._loops == MAX_LOOPS + 1:
            self._report.add(
                "too-deep",
                node.span,
                f"more than {MAX_LOOPS} loops are nested here",
                "put the inner ones into a route of their own",
            )
        self._enclosing.append(word)
        self._body(body)
        self._enclosing.pop()
        self._loops -= 1

    # ----------------------------------------------------------------------------- leaving

    def _stop(self, node: ast.Stop) -> None:
        if node.word == "break":
            if not self._enclosing:
                self._report.add("misplaced-break", node.span, "`break` stands in no loop")
            elif self._enclosing[-1] == "switch":
                self._report.add(
                    "misplaced-break",
                    node.span,
                    "a case of a switch needs no `break`",
                    "a case never falls through into the next one: take it away",
                )
            return
        function = self._world.surface.functions.get(node.word)
        if function is not None:
            self._expressions.use(node.span, f"`{node.word}`", function.kinds)

    def _return(self, node: ast.Return) -> None:
        if node.value is None:
            self._returns.append((VOID, node))
            return
        type_ = self._expressions.value(node.value)
        if self._route.node.kind != NAMED:
            self._report.add(
                "misplaced-return",
                node.span,
                f"{article(self._route.node.kind)} gives no value: nobody would take it",
                "write `return;`",
            )
            return
        self._returns.append((type_, node))

    def _check_returns(self) -> None:
        """All returns of a route are of one type, or none has a value."""
        first: Type | None = None
        for type_, node in self._returns:
            if first is None or (first in (ANY, INT) and fits(first, type_) and type_ != VOID):
                first = type_
            elif not fits(type_, first):
                what = article(str(type_)) if type_ != VOID else "nothing"
                wanted = article(str(first)) if first != VOID else "nothing"
                self._report.add(
                    "return-type",
                    node.span,
                    f"this returns {what}, and the first `return` of {self._route.title} {wanted}",
                )
        self._route.returns = first or VOID
