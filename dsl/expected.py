"""What the parser could have gone on with, in words."""

from __future__ import annotations

from collections.abc import Iterable

_OPERANDS = frozenset(
    {"STRING", "DURATION", "DECIMAL", "INT", "IP", "NETWORK", "REGEX", "TRUE", "FALSE", "FACT"}
    | {"NAME", "LBRACKET", "LPAR", "NOT", "MINUS"}
)
_STATEMENTS = frozenset({"LET", "RETURN", "DROP", "EXIT", "BREAK", "IF", "SWITCH", "FOR", "WHILE"})
_OPERATORS = frozenset({"BINARY", "MINUS", "IN", "DOT"})
_MARKS = {
    "SEMICOLON": "`;`",
    "RPAR": "`)`",
    "RBRACKET": "`]`",
    "LPAR": "`(`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "ASSIGN": "`=`",
    "LABEL": "a name in brackets",
    "CASE": "`case`",
    "DEFAULT": "`default`",
    "ELSE": "`else`",
    "IN": "`in`",
    "PYTHON": "`python`",
    "AS": "`as`",
}


def describe_expected(terminals: Iterable[str]) -> str:
    """The terminals as `a`, `b` or c, at most four of them; "" if there are none."""
    kinds = {kind for kind in terminals if not kind.startswith("BAD")}
    words: list[str] = []
    if "ROUTE_KIND" in kinds:
        words.append("a setting, a block or a route")
        kinds -= {"ROUTE_KIND", "NAME", "INCLUDE", "IMPORT", "TEST", "SEMICOLON", "COMMA"}
    elif kinds >= _STATEMENTS:
        words.append("a statement")
        kinds -= _STATEMENTS | _OPERANDS | {"LBRACE"}
    elif len(kinds & _OPERANDS) > 3:
        words.append("a value")
        kinds -= _OPERANDS
    elif "WORD" in kinds:
        words.append("a name" if "LBRACE" in kinds else "a value")
        kinds -= {"WORD", "STRING", "ENV"}
    elif "STRING" in kinds:
        words.append("a string in double quotes")
    elif "NAME" in kinds:
        inside = "RBRACE" in kinds
        words.append("a setting" if inside else "a name")
        kinds -= {"NAME", "SEMICOLON", "COMMA"} if inside else {"NAME"}
    marks = [text for kind, text in _MARKS.items() if kind in kinds - _OPERATORS]
    if "IN" in kinds and "BINARY" not in kinds:
        marks.append("`in`")
    words = (marks + words if words != ["a statement"] else words + marks)[:4]
    if kinds & _OPERATORS and "BINARY" in kinds:
        words.append("an operator")
    if "$END" in kinds and not words:
        words.append("the end of the file")
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} or {words[-1]}"
