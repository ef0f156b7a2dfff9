"""The lines of the result as they grow, and the comments that go above what is laid out."""

from __future__ import annotations

from collections.abc import Sequence

from lark import Token

from dsl.format_document import INDENT, MAX_COLUMNS, Doc, Row, comment_rows, render
from dsl.format_expressions import Node, first_token, tokens_of
from dsl.format_trivia import Comment, Trivia, width

COMMENT_COLUMN = 37
"""Where comments behind short lines begin, counted from 0."""


class Rows:
    """The lines so far."""

    def __init__(self, trivia: Trivia) -> None:
        self.trivia = trivia
        self.rows: list[Row] = []

    def blank(self) -> None:
        """A blank line, unless this is the beginning of something or there is one already."""
        last = self.rows[-1].text if self.rows else ""
        if last and (not last.endswith("{") or last.startswith(("#", "/"))):
            self.rows.append(Row(0, ""))

    def begin(self, node: Node, indent: int) -> int:
        """What stands above a node; the number of rows behind which its own begin."""
        token = first_token(node)
        blank = self.trivia.blank_at(token)
        self.above(self.trivia.take_above(token), indent)
        if blank:
            self.blank()
        return len(self.rows)

    def above(self, comments: Sequence[Comment], indent: int) -> None:
        """Comments on lines of their own, with the blank lines above them."""
        for comment in comments:
            if comment.blank:
                self.blank()
            self.rows += comment_rows([comment], indent)

    def finish(self, node: Node, start: int, indent: int) -> int:
        """Put comments for which there was no place above the node's rows; how many rows."""
        if self.trivia.is_used_up:
            return 0
        rows = comment_rows(self.trivia.take_rest(tokens_of(node)), indent)
        self.rows[start:start] = rows
        return len(rows)

    def put(self, docs: Sequence[Doc], indent: int, trail: Sequence[Comment] = ()) -> None:
        """Add a line, or as many as it takes, with comments behind the last one."""
        self.rows += render(docs, indent)
        self.rows[-1].trail(trail)

    def close(self, brace: Token, indent: int) -> None:
        """The `}` of something that begins at this indent, and the comments before it."""
        self.above(self.trivia.take_above(brace), indent + INDENT)
        inline = [one.lines[0] for one in self.trivia.take_inline(brace)]
        self.put([" ".join([*inline, "}"])], indent, self.trivia.take_trail(brace))

    def text(self) -> str:
        """All lines, with comments behind lines aligned where lines follow each other."""
        lines: list[str] = []
        run: list[tuple[str, list[str]]] = []
        for row in [*self.rows, Row(0, "")]:
            code = " " * row.indent + row.text if row.text else ""
            if row.comments:
                run.append((code, row.comments))
                continue
            lines += _aligned(run)
            run = []
            lines.append(code)
        text = "\n".join(lines).strip("\n")
        return f"{text}\n" if text else ""


def _aligned(run: Sequence[tuple[str, list[str]]]) -> list[str]:
    if not run:
        return []
    longest = max(width(code) for code, _ in run)
    column = max(COMMENT_COLUMN, longest + 2)
    comments = max(width(one) for _, comments in run for one in comments)
    if column + comments > MAX_COLUMNS:
        column = longest + 2
    lines = []
    for code, texts in run:
        for number, comment in enumerate(texts):
            before = code if number == 0 else ""
            lines.append(before + " " * (column - width(before)) + comment)
    return lines
