"""Finding the end of what is broken, in the text itself: the lexer cannot be trusted there."""

from __future__ import annotations

import re

from dsl.surface import ROUTE_KINDS

_PIECE = re.compile(
    r"""(?P<skip>(?:\#|//)[^\n]* | /\*.*?(?:\*/|\Z)
              | "(?:[^"\\\n]|\\.)*"? | [=!]~\s*/(?:[^/\\\n]|\\.)*/)
      | (?P<mark>[;{}()\[\]\n])
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)""",
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_]*|[0-9][0-9.]*|===|<>|[<>=!]=|&&|\|\||[=!]~|\S")
STATEMENT_WORDS = frozenset(
    {"let", "if", "switch", "return", "drop", "exit", "for", "while", "case", "default"}
)


def word_at(text: str, pos: int) -> str:
    """The word or mark at a place, "" behind the end."""
    match = _WORD.match(text, pos)
    return match.group() if match is not None else text[pos : pos + 1]


def names_in(text: str) -> list[str]:
    """All that may be a name in a text."""
    return re.findall(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+", text)


class Skipper:
    """Ends of statements, settings and blocks in one text. Places are offsets into it."""

    def __init__(self, text: str, block_kinds: frozenset[str]) -> None:
        self._text = text
        routes = "|".join(ROUTE_KINDS)
        blocks = "|".join(sorted(block_kinds)) or "gateway"
        # Only at the start of a line: so a block inside a block, or a call, is no item.
        self._item = re.compile(
            rf"""(?:{routes})\s*[\[{{] | (?:{blocks})[ \t]+[\w.+-]+\s*\{{
               | (?:test|include)[ \t]*" """,
            re.VERBOSE,
        )

    def line_start(self, pos: int) -> int:
        """Where the line of a place begins, behind blanks and closing braces."""
        before = self._text.rfind("\n", 0, pos) + 1
        line = self._text[before:pos]
        return before + len(line) - len(line.lstrip(" \t}"))

    def item_head(self, pos: int) -> int:
        """Where an item begins at the start of the line of `pos`; -1 if none does."""
        start = self._text.rfind("\n", 0, pos) + 1
        match = self._item.match(self._text, start)
        return start if match is not None and pos <= match.end() else -1

    def end_of_statement(self, pos: int) -> int:
        """Behind the `;`, or before a brace or a line that begins another statement."""
        text = self._text
        line_start = False
        at = pos
        for piece in _PIECE.finditer(text, pos):
            blank = not text[at : piece.start()].strip()
            at = piece.end()
            kind = piece.lastgroup
            found = piece.group()
            if found == "\n":
                line_start = True
                continue
            if line_start and blank and piece.start() > pos:
                if kind == "word" and found in STATEMENT_WORDS:
                    return piece.start()
                if self.item_head(piece.start()) >= 0:
                    return self.item_head(piece.start())
            line_start = False
            if found == ";":
                return piece.end()
            if found in ("{", "}"):
                return piece.start()
        return len(text)

    def end_of_line(self, pos: int) -> int:
        """Before the next newline; of a comment that never ends, the end of the text."""
        if self._text.startswith("/*", pos):
            return len(self._text)
        end = self._text.find("\n", pos)
        return end if end >= 0 else len(self._text)

    def end_of_case(self, pos: int) -> int:
        """Before the next `case`, `default` or the `}` of the switch."""
        depth = 0
        for piece in _PIECE.finditer(self._text, pos):
            found = piece.group()
            if found == "{":
                depth += 1
            elif found == "}":
                if depth == 0:
                    return piece.start()
                depth -= 1
            elif depth == 0 and found in ("case", "default") and piece.start() > pos:
                return piece.start()
        return len(self._text)

    def end_of_setting(self, pos: int, top: bool) -> int:
        """The end of the line, before a `}`, or behind the block that begins on the line."""
        for piece in _PIECE.finditer(self._text, pos):
            found = piece.group()
            if found == "\n":
                return piece.start()
            if found == "{":
                return self.matching_brace(piece.start())
            if found == "}":
                return piece.end() if top else piece.start()
        return len(self._text)

    def end_of_condition(self, pos: int) -> int:
        """The place of the `)` that closes the condition, or of the `{` behind it; -1 if lost."""
        depth = 0
        for piece in _PIECE.finditer(self._text, pos):
            found = piece.group()
            if found in ("(", "["):
                depth += 1
            elif found in (")", "]"):
                if depth == 0 and found == ")":
                    return piece.start()
                depth = max(0, depth - 1)
            elif found == "{":
                return piece.start()
            elif found in (";", "}"):
                return -1
        return -1

    def matching_brace(self, pos: int) -> int:
        """Behind the `}` that matches the `{` at `pos`; the end of the text if there is none."""
        depth = 0
        for piece in _PIECE.finditer(self._text, pos):
            found = piece.group()
            if found == "{":
                depth += 1
            elif found == "}":
                depth -= 1
                if depth == 0:
                    return piece.end()
        return len(self._text)
