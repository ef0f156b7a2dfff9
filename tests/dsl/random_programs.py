"""Programs at random: every form of the grammar, with comments and blank lines in every place."""

from __future__ import annotations

from random import Random

GAPS = [
    *(" ", " ", " ", " ", " ", " ", "\n", "\n\n", "\n\n\n    ", "\t", "\r\n"),
    *(" # note\n", "\n# own\n", " // note\n# goes on\n", "\n\n  # apart\n\n", " #\n", "# 中文 \n"),
    *(" /* in */ ", "\n/* own */ ", " /* two\n      lines */ ", " /* a */ /* b */ ", "/**/"),
    *(" /* a */ # b\n", "  # one\n  # two\n", "\n    # deep\n        # deeper\n"),
]
NAMES = ["x", "y", "candidates", "a_rather_long_name_of_a_local", "drop_", "in_"]
FACTS = ["$rU", "$rm", "$hdr(X-A)", "$hdr( X-B )", "$account.id", "$call.tier", "$reply_code"]
LITERALS = ["1", "86", "1.50", "30s", "500ms", "true", "false", '"text"', '""', '"a\\"b # c"']
MORE_LITERALS = [
    "127.0.0.1",
    "[::1]",
    "192.0.2.0/24",
    "[2001:db8::]/32",
    '"长途"',
    '"' + "z" * 60 + '"',
]
REGEXES = ["/^86/", "/a\\/b|[/#]+/i", "/friendly-scanner|sipvicious/i"]
OPERATORS = ["||", "&&", "+", "-", "*", "/", "||", "&&", "+"]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">=", "in"]
WORDS = ["8613", "127.0.0.1:5060", "udp:127.0.0.1:5060", "192.0.2.0/24", "408", "500-599", "auto"]
SETTINGS = ["ips", "lines", "prefixes", "callee_out", "ringing_timeout", "session_expires", "deck"]


class Program:
    """Grows the tokens of one program; `text` puts something between each two of them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._tokens: list[str] = []
        self._plain = random.random()
        for _ in range(random.randint(0, 5)):
            self._item()

    def text(self) -> str:
        parts = [self._gap() if self._chance(0.5) else ""]
        for token in self._tokens:
            gap = self._gap()
            parts += [token, " " if token == "/" and gap.startswith("/") else "", gap]
        return "".join(parts)

    def _gap(self) -> str:
        return self._pick(GAPS) if self._random.random() > self._plain else " "

    def _pick(self, choices: list[str]) -> str:
        return self._random.choice(choices)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _some(self, *tokens: str) -> None:
        self._tokens += tokens

    # ------------------------------------------------------------------------------- items

    def _item(self) -> None:
        kind = self._random.randint(0, 7)
        if kind == 0:
            self._setting()
        elif kind == 1:
            self._some("include", '"gateways/*.cfg"', *([";"] if self._chance(0.3) else []))
        elif kind == 2:
            self._some("import", "python", '"hooks.py"', "as", "hooks")
        elif kind in (3, 4):
            self._block(2)
        elif kind == 5:
            self._test()
        else:
            label = self._pick(
                ["route[A] ", "failure_route [ B ]\n", "request_route ", "end_route\n"]
            )
            self._some(label + "{")
            self._statements(3)
            self._some("}")

    def _setting(self) -> None:
        self._some(self._pick(SETTINGS), "=")
        for at in range(self._random.choice([1, 1, 1, 2, 3, 12])):
            self._some(*([","] if at else []))
            self._some(*self._random.choice([['env("X")'], ['"86:0086"'], [self._pick(WORDS)]]))
        if self._chance(0.2):
            self._some(";")

    def _block(self, depth: int) -> None:
        self._some(self._pick(["gateway", "account", "trunk"]), self._pick(["acme", "b", '"c d"']))
        if self._chance(0.3):
            # In the form that may stay on its line.
            words = "  ".join(f"{name} = 1, 2" for name in SETTINGS[: self._random.randint(0, 6)])
            self._some("{ " + words + " }")
            return
        self._some("{")
        for _ in range(self._random.randint(0, 4)):
            if depth and self._chance(0.2):
                self._block(depth - 1)
            else:
                self._setting()
        self._some("}")

    def _test(self) -> None:
        self._some('test "a title"', "{")
        for _ in range(self._random.randint(0, 3)):
            self._some(*self._random.choice([["expect", "gateway", "a"], ["wait", "2s"]]))
            self._some(*(["callee", '"86"'] if self._chance(0.3) else []), ";")
        self._some("}")

    # -------------------------------------------------------------------------- statements

    def _statements(self, depth: int) -> None:
        for _ in range(self._random.randint(0, 3)):
            self._statement(depth)

    def _statement(self, depth: int) -> None:
        kind = self._random.randint(0, 11 if depth else 6)
        if kind == 0:
            self._some("let", self._pick(NAMES), "=")
            self._expression(depth)
            self._some(";")
        elif kind == 1:
            self._some(self._pick(["$rU", "x", "$call.tier"]), "=")
            self._expression(depth)
            self._some(";")
        elif kind == 2:
            self._some("return")
            if self._chance(0.5):
                self._expression(depth)
            self._some(";")
        elif kind == 3:
            self._some(self._pick(["drop", "exit"]))
            self._some(*(["(", ")"] if self._chance(0.3) else []), ";")
        elif kind <= 6:
            self._call(depth)
            self._some(";")
        else:
            self._compound(kind, depth - 1)

    def _compound(self, kind: int, depth: int) -> None:
        if kind == 7:
            self._some("if")
            self._condition(depth)
            self._inner(depth)
            if self._chance(0.5):
                self._some("else")
                self._inner(depth)
        elif kind == 8:
            self._some("while")
            self._condition(depth)
            self._inner(depth)
        elif kind == 9:
            self._loop(depth)
        elif kind == 10:
            self._switch(depth)
        else:
            self._group(depth)

    def _inner(self, depth: int) -> None:
        if self._chance(0.5):
            self._group(depth)
        else:
            self._statement(depth)

    def _group(self, depth: int) -> None:
        self._some("{")
        self._statements(depth)
        self._some("}")

    def _loop(self, depth: int) -> None:
        if self._chance(0.5):
            self._some("for", self._pick(NAMES), "in")
            self._expression(depth)
            self._group(depth)
        else:
            self._some("for", "(", self._pick(NAMES), "in")
            self._expression(depth)
            self._some(")")
            self._inner(depth)

    def _switch(self, depth: int) -> None:
        self._some("switch")
        self._condition(depth)
        self._some("{")
        for _ in range(self._random.randint(0, 3)):
            self._some("case")
            for at in range(self._random.choice([1, 1, 2])):
                self._some(*([","] if at else []))
                self._expression(0)
            self._some(":")
            self._statements(depth)
        if self._chance(0.3):
            self._some("default", ":")
            self._statements(depth)
        self._some("}")

    # ------------------------------------------------------------------------- expressions

    def _condition(self, depth: int) -> None:
        self._some("(")
        self._expression(depth)
        self._some(")")

    def _expression(self, depth: int) -> None:
        for at in range(self._random.choice([1, 1, 1, 2, 3])):
            if at:
                self._some(self._pick(OPERATORS))
            self._operand(depth)
        if self._chance(0.2):
            # One comparison at most, for they do not chain.
            self._some("&&")
            self._operand(depth)
            self._some(self._pick(COMPARISONS))
            self._operand(depth)

    def _operand(self, depth: int) -> None:
        if self._chance(0.15):
            self._some(self._pick(["!", "-"]))
        kind = self._random.randint(0, 9 if depth > 0 else 5)
        if kind <= 1:
            self._some(self._pick(LITERALS))
        elif kind == 2:
            self._some(self._pick(MORE_LITERALS))
        elif kind == 3:
            self._some(self._pick(FACTS))
        elif kind == 4:
            self._some(self._pick(NAMES), *([".", "id"] if self._chance(0.3) else []))
        elif kind == 5:
            self._some("(", self._pick(FACTS), "=~", self._pick(REGEXES), ")")
        elif kind == 6:
            self._some("(")
            self._expression(depth - 1)
            self._some(")")
        elif kind == 7:
            self._some("[")
            for at in range(self._random.choice([0, 1, 2, 25])):
                self._some(*([","] if at else []), self._pick(LITERALS))
            self._some("]")
        else:
            self._call(depth - 1)

    def _call(self, depth: int) -> None:
        self._some(*self._random.choice([["gateways"], ["hooks", ".", "is_vip"], ["call"]]), "(")
        for at in range(self._random.choice([0, 1, 2, 3])):
            self._some(*([","] if at else []))
            if self._chance(0.3):
                self._some("on_failure", "=")
            self._expression(depth)
        self._some(")")
