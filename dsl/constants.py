"""Constants of the generated module: what is made once, at load, and not for every request."""

from __future__ import annotations

import ast
import re
from decimal import Decimal

from dsl.literals import IpAddress, IpNetwork
from dsl.regexes import FLAGS, limit_of

_FLAG_NAMES = {"i": "IGNORECASE", "m": "MULTILINE", "s": "DOTALL", "x": "VERBOSE"}


class Constants:
    """Numbers constants in the order of their first use; equal ones are made once."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, object], str] = {}
        self._counts: dict[str, int] = {}
        self.assignments: list[ast.stmt] = []

    def regex(self, pattern: str, flags: str) -> str:
        """The name of a compiled regex."""
        letters = "".join(sorted(set(flags) & FLAGS.keys()))
        arguments: list[ast.expr] = [ast.Constant(pattern)]
        if letters:
            parts: list[ast.expr] = [
                ast.Attribute(ast.Name("re", ast.Load()), _FLAG_NAMES[letter], ast.Load())
                for letter in letters
            ]
            joined = parts[0]
            for part in parts[1:]:
                joined = ast.BinOp(joined, ast.BitOr(), part)
            arguments.append(joined)
        call = ast.Call(
            ast.Attribute(ast.Name("re", ast.Load()), "compile", ast.Load()), arguments, []
        )
        limit = limit_of(pattern, letters)
        if limit:
            call = ast.Call(ast.Name("ShortRegex", ast.Load()), [call, ast.Constant(limit)], [])
        return self._constant("REGEX", (pattern, letters), call)

    def decimal(self, value: Decimal) -> str:
        """The name of a decimal."""
        return self._constant("DECIMAL", str(value), _call("Decimal", ast.Constant(str(value))))

    def address(self, value: IpAddress) -> str:
        """The name of an address."""
        text = str(value)
        return self._constant("ADDRESS", text, _call("ip_address", ast.Constant(text)))

    def network(self, value: IpNetwork) -> str:
        """The name of a network."""
        text = str(value)
        return self._constant("NETWORK", text, _call("ip_network", ast.Constant(text)))

    def networks(self, values: list[IpNetwork]) -> str:
        """The name of a set of networks."""
        texts = tuple(map(str, values))
        made: list[ast.expr] = [_call("ip_network", ast.Constant(text)) for text in texts]
        return self._constant("NETWORKS", texts, _call("NetworkSet", ast.List(made, ast.Load())))

    def _constant(self, stem: str, key: object, value: ast.expr) -> str:
        name = self._names.get((stem, key))
        if name is None:
            count = self._counts[stem] = self._counts.get(stem, 0) + 1
            name = self._names[stem, key] = f"{stem}_{count}"
            self.assignments.append(ast.Assign([ast.Name(name, ast.Store())], value))
        return name


def _call(name: str, argument: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), [argument], [])


NAMESPACE_NAMES = frozenset(
    {"re", "Decimal", "ip_address", "ip_network", "NetworkSet", "ShortRegex", "range"}
)
_CONSTANT_NAME = re.compile(r"(REGEX|DECIMAL|ADDRESS|NETWORK|NETWORKS)_[0-9]+")


def is_constant_name(name: str) -> bool:
    """Whether a constant could have this name."""
    return _CONSTANT_NAME.fullmatch(name) is not None
