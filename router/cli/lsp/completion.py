"""What could be written at a place: names out of the table and out of the configuration."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from dsl.surface import NAMED, Function, Parameter, Setting, Surface
from dsl.types import VOID
from router.cli.lsp import entries
from router.cli.lsp.place import BLOCK, FILE, TEST, Place, begins_statement, setting_at
from router.cli.lsp.session import Analysis
from router.cli.lsp.symbols import BLOCK as BLOCK_SYMBOL
from router.cli.lsp.symbols import IMPORT, ROUTE, VARIABLE
from router.cli.reference.signatures import function_signature, value_type_text
from router.cli.reference.words import ITEMS, KINDS, STATEMENTS, TEST_LINES

_BODIES = {
    "if": "if ($1) {\n    $0\n}",
    "else": "else {\n    $0\n}",
    "switch": "switch ($1) {\n    case $2:$0\n}",
    "for": "for $1 in $2 {\n    $0\n}",
    "while": "while ($1) {\n    $0\n}",
    "let": "let $1 = $0;",
    "return": "return $0;",
    "drop": "drop;",
    "exit": "exit;",
    "break": "break;",
    "case": "case $1: $0",
    "default": "default: $0",
    "route": "route($0);",
    "include": 'include "$0"',
    "import": 'import python "$1" as $0',
    "test": 'test "$1" {\n    $0\n}',
}


class Sort(Enum):
    """What a suggestion is, for its icon."""

    KEYWORD = "keyword"
    FUNCTION = "function"
    FACT = "fact"
    SETTING = "setting"
    BLOCK = "block"
    ROUTE = "route"
    LOCAL = "local"
    MODULE = "module"
    WORD = "word"
    VALUE = "value"


class Suggestion(NamedTuple):
    """Something that could stand in place of the prefix.

    `snippet` is what is put there, with `$1`, `$0` for the places to fill, if it is more than the
    label. `detail` is one line, `doc` is Markdown.
    """

    label: str
    sort: Sort
    detail: str = ""
    doc: str = ""
    snippet: str = ""


def suggestions(
    place: Place, file: str, line: int, surface: Surface, analysis: Analysis
) -> list[Suggestion]:
    """What could be written at a place of a file; what does not begin like the prefix too."""
    if place.quiet:
        return []
    writer = _Writer(place, file, line, surface, analysis)
    if place.sort == FILE:
        found = writer.at_the_top()
    elif place.sort == BLOCK:
        found = writer.in_a_block()
    elif place.sort == TEST:
        found = writer.in_a_test()
    else:
        found = writer.in_a_route()
    return list({one.label: one for one in found}.values())


class _Writer:
    def __init__(
        self, place: Place, file: str, line: int, surface: Surface, analysis: Analysis
    ) -> None:
        self._place = place
        self._file = file
        self._line = line
        self._surface = surface
        self._symbols = analysis.symbols
        self._hooks = analysis.hooks()
        route = place.route
        self._kinds = analysis.kinds_of(route.kind, route.name) if route else frozenset()

    def _declared(self, sort: str, kind: str = "") -> list[str]:
        return [symbol.name for symbol in self._symbols.of_kind(sort, kind)]

    # ---------------------------------------------------------------- files, blocks and tests

    def at_the_top(self) -> Iterator[Suggestion]:
        name = setting_at(self._place)
        if name:
            yield from self._values(self._surface.settings, name)
            return
        for word in ITEMS:
            if word.name != "env":
                yield Suggestion(
                    word.name, Sort.KEYWORD, word.form, word.doc, _BODIES.get(word.name, "")
                )
        for kind in KINDS:
            head = kind.form.partition("{")[0].strip()
            head = head.replace("[NAME]", "[$1]").replace("[gateway:down]", "[$1]")
            yield Suggestion(kind.name, Sort.KEYWORD, kind.form, kind.doc, f"{head} {{\n    $0\n}}")
        yield from self._blocks(one.kind for one in self._surface.blocks.values() if one.top)
        yield from self._settings(self._surface.settings.values())

    def in_a_block(self) -> Iterator[Suggestion]:
        schema = self._surface.blocks.get(self._place.frame.kind)
        if schema is None:
            return
        name = setting_at(self._place)
        if name:
            yield from self._values(schema.settings, name)
            return
        yield from self._settings(schema.settings.values())
        yield from self._blocks(schema.children)

    def _blocks(self, kinds: Iterable[str]) -> Iterator[Suggestion]:
        for kind in kinds:
            doc = entries.block_entry(self._surface, kind)
            yield Suggestion(kind, Sort.BLOCK, f"{kind} NAME", doc, f"{kind} $1 {{\n    $0\n}}")

    def _settings(self, settings: Iterable[Setting]) -> Iterator[Suggestion]:
        for one in settings:
            if one.name not in self._place.frame.given:
                detail = value_type_text(one.type)
                doc = entries.setting_entry(one)
                yield Suggestion(one.name, Sort.SETTING, detail, doc, f"{one.name} = $0")

    def _values(self, settings: Mapping[str, Setting], name: str) -> Iterator[Suggestion]:
        setting = settings.get(name) or next(
            (one for one in settings.values() if name in one.aliases), None
        )
        if setting is None:
            return
        kind = setting.type
        words = ("true", "false") if kind.name == "bool" else kind.choices
        for word in words:
            yield Suggestion(word, Sort.WORD)
        for block in self._declared(BLOCK_SYMBOL, kind.refers) if kind.refers else ():
            yield Suggestion(block, Sort.BLOCK, f"{kind.refers} {block}")
        if kind.name == "listener":
            for transport in ("udp", "tcp"):
                yield Suggestion(f"{transport}:", Sort.WORD)
        yield Suggestion(
            "env", Sort.FUNCTION, 'env("NAME")', entries.word_entry("env"), 'env("$0")'
        )

    def in_a_test(self) -> Iterator[Suggestion]:
        before = [piece.text for piece in self._place.before]
        if not before:
            for name in dict.fromkeys(word.name for word in TEST_LINES):
                yield Suggestion(name, Sort.KEYWORD, "", entries.test_line_entry(name))
            return
        last = before[-1]
        if before == ["expect"]:
            for name in ("gateway", "phone", "reply", "end", "metric"):
                yield Suggestion(name, Sort.KEYWORD)
        elif last in ("gateway", "account", "phone"):
            for name in self._declared(BLOCK_SYMBOL, last):
                yield Suggestion(name, Sort.BLOCK, f"{last} {name}")
        elif before == ["expect", "end"]:
            yield from self._words("end reason")
        else:
            forms = " ".join(word.form for word in TEST_LINES if word.name == before[0])
            for name in dict.fromkeys(forms.replace(";", " ").replace("[", " ").split()):
                if name.isalpha() and name.islower():
                    yield Suggestion(name, Sort.KEYWORD)

    # ------------------------------------------------------------------------------- routes

    def in_a_route(self) -> Iterator[Suggestion]:
        prefix = self._place.prefix
        if prefix.startswith("$"):
            yield from self._facts(prefix)
            return
        if "." in prefix:
            yield from self._attributes(prefix)
            yield from self._hooks_of(prefix.partition(".")[0])
            return
        if self._place.before and self._place.before[-1].text == "let":
            return
        call = self._place.call()
        if call is not None:
            narrow = yield from self._argument(
                call.name, call.place, [p.text for p in call.argument]
            )
            if narrow:
                return
        starts = begins_statement(self._place)
        if starts:
            yield from self._statements()
        yield from self._functions(statement=starts)
        yield from self._names()

    def _statements(self) -> Iterator[Suggestion]:
        for word in STATEMENTS:
            action = self._surface.functions.get(word.name)
            if word.name in _BODIES and (action is None or self._legal(action.kinds)):
                yield Suggestion(word.name, Sort.KEYWORD, word.form, word.doc, _BODIES[word.name])

    def _legal(self, kinds: frozenset[str]) -> bool:
        # A named route that nothing reaches yet may be meant for any kind.
        return self._kinds <= kinds

    def _functions(self, statement: bool) -> Iterator[Suggestion]:
        for function in self._surface.functions.values():
            if not self._legal(function.kinds) or function.name in _BODIES:
                continue
            if not statement and function.returns == VOID:
                continue
            yield Suggestion(
                function.name,
                Sort.FUNCTION,
                " ".join(function_signature(function).split()),
                entries.function_entry(function),
                _call_snippet(function, statement),
            )
        if not statement:
            for name in ("true", "false"):
                yield Suggestion(name, Sort.WORD)

    def _names(self) -> Iterator[Suggestion]:
        for symbol in self._symbols.locals_at(self._file, self._line):
            yield Suggestion(symbol.name, Sort.LOCAL, f"local {symbol.name}")
        for kind, schema in self._surface.blocks.items():
            if schema.expression is not None:
                for name in self._declared(BLOCK_SYMBOL, kind):
                    yield Suggestion(name, Sort.BLOCK, f"{kind} {name}")
        for name in self._declared(IMPORT):
            yield Suggestion(name, Sort.MODULE, "imported functions", "", f"{name}.$0")

    def _facts(self, prefix: str) -> Iterator[Suggestion]:
        name, dot, _ = prefix[1:].partition(".")
        if dot and name == "call":
            for variable in self._declared(VARIABLE):
                yield Suggestion(f"$call.{variable}", Sort.FACT, "a variable of the call")
            return
        object_ = self._surface.objects.get(name)
        if dot and object_ is not None:
            for one in object_.attributes.values():
                doc = entries.attribute_entry(object_, one.name)
                yield Suggestion(f"${name}.{one.name}", Sort.FACT, str(one.type), doc)
            return
        for fact in self._surface.facts:
            if self._legal(fact.kinds):
                doc = entries.fact_entry(fact)
                detail = f"{fact.type}: {fact.doc}"
                yield Suggestion(f"${fact.name}", Sort.FACT, detail, doc)
                yield Suggestion(f"${fact.alias}", Sort.FACT, detail, doc)
        for one_object in self._surface.objects.values():
            if self._legal(one_object.kinds):
                doc = entries.object_entry(one_object)
                yield Suggestion(f"${one_object.name}", Sort.FACT, one_object.doc, doc)
        yield Suggestion("$hdr", Sort.FACT, "a header", "", "\\$hdr($0)")
        yield Suggestion("$call", Sort.FACT, "a variable of the call", "", "\\$call.$0")

    def _attributes(self, prefix: str) -> Iterator[Suggestion]:
        """What may stand behind the dot of a local or a gateway: any object's attributes."""
        name = prefix.partition(".")[0]
        if name in self._declared(IMPORT):
            return
        for object_ in self._surface.objects.values():
            for one in object_.attributes.values():
                detail = f"{one.type}, of {object_.name}"
                yield Suggestion(f"{name}.{one.name}", Sort.FACT, detail, one.doc)

    def _hooks_of(self, alias: str) -> Iterator[Suggestion]:
        for title, function in self._hooks.items():
            if title.startswith(f"{alias}.") and self._legal(function.kinds):
                yield Suggestion(
                    title,
                    Sort.FUNCTION,
                    " ".join(function_signature(function, title).split()),
                    entries.function_entry(function, title),
                    f"{title}($0)",
                )

    # ---------------------------------------------------------------------------- arguments

    def _argument(
        self, name: str, at: int, written: list[str]
    ) -> Generator[Suggestion, None, bool]:
        """What an argument can be; whether it can be nothing else."""
        if name == "route":
            yield from self._routes(NAMED)
            return True
        function = self._surface.functions.get(name) or self._hooks.get(name)
        if function is None:
            return False
        parameter = self._parameter(function, at, written)
        if parameter is not None:
            wanted = parameter.types[0]
            if wanted.sort == "enumeration":
                yield from self._words(wanted.name)
                return True
            if wanted.sort == "route":
                yield from self._routes(wanted.name)
                return True
        if not written:
            for one in function.parameters:
                if one.keyword_only:
                    yield Suggestion(
                        one.name, Sort.SETTING, f"argument of {name}", "", f"{one.name} = $0"
                    )
        return False

    def _parameter(self, function: Function, at: int, written: list[str]) -> Parameter | None:
        if len(written) >= 2 and written[1] == "=":
            return next((one for one in function.parameters if one.name == written[0]), None)
        by_place = [one for one in function.parameters if not one.keyword_only]
        return by_place[at] if at < len(by_place) else None

    def _routes(self, kind: str) -> Iterator[Suggestion]:
        for name in self._declared(ROUTE, kind):
            yield Suggestion(name, Sort.ROUTE, f"{kind}[{name}]")

    def _words(self, name: str) -> Iterator[Suggestion]:
        for enumeration in self._surface.enumerations.values():
            if enumeration.name == name:
                for word in enumeration.values:
                    doc = entries.end_reason_entry(word) if name == "end reason" else ""
                    yield Suggestion(word, Sort.WORD, enumeration.noun, doc)


def _call_snippet(function: Function, statement: bool) -> str:
    end = ";" if statement and function.returns == VOID else ""
    if not function.parameters:
        return f"{function.name}(){end}"
    return f"{function.name}($0){end}"
