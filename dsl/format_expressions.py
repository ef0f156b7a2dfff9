"""Expressions of a route as documents: where they have spaces, and where they may be broken.

The nodes are lark's plain trees of the grammar's rules, with every token in them.
"""

from __future__ import annotations

from collections.abc import Sequence

from lark import Token, Tree

from dsl.format_document import INDENT, Above, Doc, Group, Line, Nest, Trail
from dsl.format_trivia import Comment, Trivia

Node = Tree[Token] | Token

# Only for where a long row is broken first; the parser has its own say on what binds how.
_LEVELS = {"||": 1, "&&": 2, "..": 4, "+": 5, "-": 5, "*": 6, "/": 6}
_COMPARISON = 3
_RANGE = _LEVELS[".."]
_ATOMS = frozenset({"name", "path", "prefixed"})
_CLOSING = frozenset({"RPAR", "RBRACKET", "COMMA", "SEMICOLON", "COLON", "DOT"})


def first_token(node: Node) -> Token:
    """The token that a node begins with."""
    while not isinstance(node, Token):
        node = node.children[0]
    return node


def last_token(node: Node) -> Token:
    """The token that a node ends with."""
    while not isinstance(node, Token):
        node = node.children[-1]
    return node


def tokens_of(node: Node) -> list[Token]:
    """All tokens of a node in the order of the text."""
    tokens = []
    # By hand instead of recursion: a row of `else if`s is nested in the tree.
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Token):
            tokens.append(one)
        else:
            waiting += reversed(one.children)
    return tokens


class ExpressionLayout:
    """Makes documents of expressions.

    It takes the comments for which there is a place where a line can end, and leaves the others.
    """

    def __init__(self, trivia: Trivia) -> None:
        self._trivia = trivia

    def text(self, node: Node) -> str:
        """A token with the comments that stand on its line before it."""
        token = first_token(node)
        words = [one.lines[0] for one in self._trivia.take_inline(token)]
        if words and token.type in _CLOSING:
            return f" {' '.join(words)}{_canonical(token)}"
        return " ".join([*words, _canonical(token)])

    def expression(self, node: Node) -> Doc:
        """Any expression."""
        if isinstance(node, Token):
            return self.text(node)
        children = node.children
        if node.data == "row":
            return self._row(children)
        if node.data == "call":
            return Group(self.expression(children[0]), *self._bracketed(children[1:]))
        if node.data == "list_of":
            return Group(*self._bracketed(children, fill=all(map(_is_atom, children[1:-1:2]))))
        if node.data == "parenthesis":
            return Group(*self._bracketed(children))
        if node.data == "keyword_argument":
            return Group(
                self.expression(children[0]),
                " ",
                self.expression(children[1]),
                " ",
                self.expression(children[2]),
            )
        # A name with its dots, a value with its signs.
        return Group(*map(self.expression, children))

    def condition(self, node: Tree[Token]) -> Group:
        """A condition with its parentheses."""
        return Group(*self._bracketed(node.children))

    def indented(self, node: Node) -> Doc:
        """An expression whose further lines are indented, unless brackets do that."""
        is_row = isinstance(node, Tree) and node.data == "row"
        return Nest(INDENT, self.expression(node)) if is_row else self.expression(node)

    def listed(self, nodes: Sequence[Node], indent: int = INDENT) -> list[Doc]:
        """Values with their commas, as many on a line as fit."""
        return [Nest(indent, *self._filled(nodes, start=None))]

    # --------------------------------------------------------------------------- brackets

    def _bracketed(self, nodes: Sequence[Node], fill: bool = False) -> list[Doc]:
        """An opening mark, elements with commas, a closing mark."""
        opening, closing = first_token(nodes[0]), last_token(nodes[-1])
        trail = _trail(self._trivia.take_trail(opening))
        above = self._trivia.take_above(closing)
        inner = nodes[1:-1]
        docs: list[Doc] = [self.text(opening), *trail]
        if fill:
            docs.append(Nest(INDENT, *self._filled(inner, start=Line())))
        else:
            docs.append(Nest(INDENT, *self._elements(inner)))
        if inner or trail or above:
            docs.append(Line())
        if above:
            docs.append(Nest(INDENT, Above(above)))
        docs.append(self.text(closing))
        return docs

    def _elements(self, nodes: Sequence[Node]) -> list[Doc]:
        docs: list[Doc] = []
        for at in range(0, len(nodes), 2):
            docs.append(Line(" " if at else ""))
            docs += self._element(nodes, at)
        return docs

    def _filled(self, nodes: Sequence[Node], start: Line | None) -> list[Doc]:
        """Elements of which as many stand on a line as fit; `start` is where the first begins."""
        docs: list[Doc] = [start] if start is not None and nodes else []
        ended = False
        for at in range(0, len(nodes), 2):
            element = self._element(nodes, at, begins_line=at > 0 or start is not None)
            trail = [doc for doc in element if isinstance(doc, Trail)]
            rest = [doc for doc in element if not isinstance(doc, Trail)]
            docs += [Group(Line(" "), *rest, broken=ended)] if at else rest
            docs += trail
            ended = bool(trail)
        return docs

    def _element(self, nodes: Sequence[Node], at: int, begins_line: bool = True) -> list[Doc]:
        """An element with the comma behind it, and its comments."""
        node = nodes[at]
        comma = first_token(nodes[at + 1]) if at + 1 < len(nodes) else None
        above = self._trivia.take_above(first_token(node)) if begins_line else []
        trail = self._trivia.take_trail(last_token(node))
        docs: list[Doc] = [Above(above)] if above else []
        docs.append(self.expression(node))
        if comma is not None:
            trail += self._trivia.take_trail(comma)
            docs.append(self.text(comma))
        return [*docs, *_trail(trail)]

    # ------------------------------------------------------------------------------- rows

    def _row(self, nodes: Sequence[Node]) -> Doc:
        levels = [_level(sign) for sign in nodes[1::2]]
        level = min(levels)
        splits = [2 * at + 1 for at, one in enumerate(levels) if one == level]
        docs: list[Doc] = [self._part(nodes[: splits[0]])]
        for at, end in zip(splits, [*splits[1:], len(nodes)], strict=True):
            sign, part = first_token(nodes[at]), nodes[at + 1 : end]
            trail = self._trivia.take_trail(last_token(nodes[at - 1]))
            trail += self._trivia.take_trail(sign)
            above = self._trivia.take_above(sign)
            above += self._trivia.take_above(first_token(part[0]))
            space = "" if level == _RANGE else " "
            # Two sides of a comparison stay together unless a comment stands between them.
            together = level == _COMPARISON and not trail and not above
            docs += _trail(trail)
            docs.append(space if together else Line(space))
            if above:
                docs.append(Above(above))
            docs += [self.text(sign), space, self._part(part)]
        return Group(*docs)

    def _part(self, nodes: Sequence[Node]) -> Doc:
        if len(nodes) == 1:
            return self.expression(nodes[0])
        lowest = min(_level(sign) for sign in nodes[1::2])
        row = self._row(nodes)
        return row if lowest == _COMPARISON else Nest(INDENT, row)


def _level(sign: Node) -> int:
    return _LEVELS.get(str(first_token(sign)), _COMPARISON)


def _trail(comments: Sequence[Comment]) -> list[Doc]:
    return [Trail(comments)] if comments else []


def _canonical(token: Token) -> str:
    if token.type == "FACT" and token.endswith(")"):
        name, _, argument = token[:-1].partition("(")
        return f"{name}({argument.strip()})"
    if token.type == "LABEL":
        return f"[{token[1:-1].strip()}]"
    return str(token)


def _is_atom(node: Node) -> bool:
    return isinstance(node, Token) or node.data in _ATOMS
