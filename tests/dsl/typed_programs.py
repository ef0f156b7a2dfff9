"""Programs at random that ought to be right: every name declared, every value of its type.

They are grown along the function table, so that whatever becomes ready is in them. What would end a
request for its writer's mistake (a division by zero, ten thousand turns) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from typed_expressions import LISTS, PLAIN, TypedExpressions

from dsl.surface import BRANCH, DIALOG, END, EVENT, FAILURE, REPLY, REQUEST, Surface
from dsl.types import ANY, BOOL, INT, IP, RANGE, STRING, VOID

TIMERS = {
    "invite_timeout": ("1s", "4s"),
    "trying_timeout": ("2s", "20s"),
    "progress_timeout": ("2s", "20s"),
    "media_progress_timeout": ("5s", "120s"),
    "ringing_timeout": ("5s", "90s"),
    "max_duration": ("10s", "2h"),
}
LIMITS = {"lines": ("1", "2", "100"), "cps": ("1", "50")}
LISTS_OF_PREFIXES = ("86, 44", "1", "0086", "4, 8613")
RULES = ('"0086:86, 0:86"', '"*:9*"', '"86:"', '"86???:86, 44:0|1"', '"8613:0044"')
GLOBALS = {
    **TIMERS,
    **LIMITS,
    "max_attempts": ("1", "2", "4"),
    "number_length": ("1-5", "3-32", "4"),
    "t1": ("200ms", "500ms"),
}
GROUP = LIMITS
GATEWAY = {
    "prefixes": ("86", "8, 86", "8613, 44", "0, 1, 2, 4, 8", '+86, "#21", *21'),
    **LIMITS,
    **TIMERS,
    "priority": ("0", "2", "7"),
    "prefix_mode": ("continue", "terminate"),
    "switch_on": ("403, 480-489", "500-599"),
    "reason_of": ("403:CalledNumberRestricted, 480:UserBusy", "503:GatewayRejected"),
    "switch_after_ring": ("true", "false"),
    "switch_after_media": ("true",),
    "deck": ("vendor", "retail"),
    "max_rate": ("0.01", "5"),
    "min_margin": ("0.00", "-0.5", "0.2"),
    "callee_out": RULES,
    "caller_out": RULES,
    "caller_allow": LISTS_OF_PREFIXES,
    "caller_deny": LISTS_OF_PREFIXES,
    "clearing": ("top",),
    "in_time": ('"Mo-Fr 08:00-18:00"', '"00:00-24:00 Asia/Shanghai"'),
}
ACCOUNT = {
    **LIMITS,
    **TIMERS,
    "status": ("active", "locked"),
    "expires": ("2025-12-31", "2026-01-01", "2030-06-30"),
    "deck": ("retail", "retail", "vendor"),
    "fee_decimals": ("0", "2"),
    "hold_precision": ("0ms", "500ms"),
    "number_length": ("2-20",),
    "agent": ("top",),
    "balance": ("0", "0.50", "20.000001"),
    "overdraft": ("0.10",),
    "balance_low": ("0.40", "1000"),
    "permit": ("net, local", "national, international"),
    "reserve_minutes": ("0", "0.1", "5"),
}
AGENT = {
    **LIMITS,
    "status": ("active", "active", "active", "locked"),
    "deck": ("retail", "vendor"),
    "balance": ("0.30", "50"),
    "reserve_minutes": ("0", "2"),
}
TRUNK = {
    **LIMITS,
    **TIMERS,
    "caller_prefix": ("1", "86"),
    "groups": ("cheap",),
    "callee_in": RULES,
    "caller_in": RULES,
    "callee_allow": LISTS_OF_PREFIXES,
    "callee_deny": LISTS_OF_PREFIXES,
    "caller_allow": LISTS_OF_PREFIXES,
    "caller_deny": LISTS_OF_PREFIXES,
    "replace_codes": ("503:480, 404:484", "486:600"),
}
HEAD = "prefix,rate_per_min,connect_fee,first_s,cycle_s,free_s\n"
RATES = {
    "rates/retail.csv": HEAD + "86,0.12,,60,60,\n8613,0.24,0.01,1,1,3\n44,1.5,,,,\n0,0,,,,\n",
    "rates/vendor.csv": HEAD + "86,0.10,,6,6,\n8613,0.30,,,,\n1,0.01,,,,\n",
}
"""the rates files of all programs"""


class TypedProgram(TypedExpressions):
    """Grows one program; `text` is it."""

    def __init__(self, random: Random, surface: Surface) -> None:
        super().__init__(random, surface)
        self._locals = 0
        self._depth = 0
        self._returns = VOID
        self._lines: list[str] = []
        self._grow()
        self.text = "\n".join(self._lines) + "\n"

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    # ------------------------------------------------------------------------- the file

    def _grow(self) -> None:
        for name, values in GLOBALS.items():
            if self._chance(20):
                self._line(f"{name} = {self._pick(values)}")
        for name in ("retail", "vendor"):
            self._line(f'deck {name} {{ file = "rates/{name}.csv" }}')
        self._line(f"group cheap {{{self._some(GROUP)} }}")
        self._line(f"gateway member {{ address = 192.0.2.99  group = cheap{self._some(GATEWAY)} }}")
        for at, name in enumerate(self._gateways):
            self._line(f"gateway {name} {{ address = 192.0.2.{at + 1}{self._some(GATEWAY)} }}")
        trunk = f"trunk office {{ ips = 127.0.0.1, 10.0.0.0/8{self._some(TRUNK)} }}"
        self._line(f"account top {{{self._some(AGENT)} }}")
        self._line(f"account acme {{{self._some(ACCOUNT)}  {trunk} }}")
        for number in range(self._up_to(0, 4)):
            self._grow_named(number)
        for kind, name in self._entries.items():
            self._route(kind, f"{kind}[{name}]")
        if self._chance(50):
            self._route(END, END)
        if self._chance(30):
            self._route(DIALOG, DIALOG)
        events = ("gateway:down", "gateway:up", "balance:low", "config:loaded", "timer:t every 10s")
        for label in events:
            if self._chance(30):
                self._route(EVENT, f"{EVENT}[{label}]")
        self._route(REQUEST, REQUEST)

    def _some(self, settings: Mapping[str, Sequence[str]]) -> str:
        """Some of these settings, each with one of its values."""
        return "".join(
            f"  {name} = {self._pick(values)}"
            for name, values in settings.items()
            if self._chance(70 if name == "prefixes" else 15)
        )

    def _grow_named(self, number: int) -> None:
        kind = self._pick((REQUEST, REQUEST, BRANCH, REPLY, FAILURE, DIALOG, END, EVENT))
        self._returns = self._pick((VOID, VOID, BOOL, STRING, INT))
        self._route(kind, f"route[R{number}]")
        self._named.append((f"R{number}", self._returns, frozenset({kind})))
        self._returns = VOID

    def _route(self, kind: str, head: str) -> None:
        self._kind = kind
        self._scope = []
        self._line(head + " {")
        self._depth += 1
        if head == REQUEST:
            # Every variable has a type from here on.
            for name, type_ in self._variables.items():
                self._line(f"$call.{name} = {self._literal(type_)};")
        self._statements(self._up_to(0, 4))
        if self._returns != VOID:
            self._line(f"return {self._expression(self._returns)};")
        elif head == REQUEST or (head.startswith(FAILURE) and self._chance(50)):
            self._terminal()
        self._depth -= 1
        self._line("}")

    # ----------------------------------------------------------------------- statements

    def _statements(self, count: int) -> None:
        known = len(self._scope)
        for _ in range(count):
            self._statement()
        del self._scope[known:]

    def _block(self, head: str, may_end: bool = True) -> None:
        self._line(head + " {")
        self._depth += 1
        self._statements(self._up_to(0, 2))
        if may_end and self._chance(20):
            self._leave()
        self._depth -= 1
        self._line("}")

    def _leave(self) -> None:
        decides = self._kind in (REQUEST, DIALOG, FAILURE)
        if not decides or (self._kind != REQUEST and self._chance(20)):
            self._line("return;" if self._returns == VOID and self._chance(50) else "exit;")
        elif self._returns != VOID and self._chance(50):
            self._line(f"return {self._expression(self._returns)};")
        else:
            self._terminal()

    def _statement(self) -> None:
        simple: list[Callable[[], None]] = [
            self._let, self._let, self._assign, self._assign_fact, self._do, self._do,
        ]
        if self._depth < 4:
            simple += [self._if, self._if, self._switch, self._for, self._while, self._call_route]
        self._pick(simple)()

    def _let(self) -> None:
        type_ = self._pick((*PLAIN, *PLAIN, IP, *LISTS))
        self._locals += 1
        name = f"x{self._locals}"
        self._line(f"let {name} = {self._expression(type_)};")
        self._scope.append((name, type_))

    def _assign(self) -> None:
        known = [(name, type_) for name, type_ in self._scope if not name.startswith("i")]
        known += [(f"$call.{name}", type_) for name, type_ in self._known()]
        if known:
            name, type_ = self._pick(known)
            self._line(f"{name} = {self._expression(type_)};")

    def _assign_fact(self) -> None:
        facts = [one for one in self._surface.facts if self._kind in one.assignable and one.ready]
        if facts:
            fact = self._pick(facts)
            name = self._pick((fact.name, fact.alias))
            self._line(f"${name} = {self._expression(fact.type)};")

    def _do(self) -> None:
        known = [one for one in self._legal() if one.returns == VOID and not one.terminal]
        if known:
            self._line(self._call(self._pick(known)) + ";")

    def _if(self) -> None:
        self._block(f"if ({self._expression(BOOL)})")
        while self._chance(30):
            self._lines[-1] += f" else if ({self._expression(BOOL)}) {{"
            self._continue()
        if self._chance(40):
            self._lines[-1] += " else {"
            self._continue(may_end=False)

    def _continue(self, may_end: bool = True) -> None:
        """The rest of a block whose brace stands already."""
        self._depth += 1
        self._statements(self._up_to(0, 2))
        if may_end and self._chance(20):
            self._leave()
        self._depth -= 1
        self._line("}")

    def _switch(self) -> None:
        subject = self._pick((STRING, INT))
        self._line(f"switch ({self._expression(subject)}) {{")
        self._depth += 1
        if subject == STRING:
            values = ['"a"', '"86", "44"', "/^9/", '"b", /^c+$/']
        else:
            values = ["1", "2, 3", "400..499, 5", "500..599"]
        for value in values[: self._up_to(1, 4)]:
            self._line(f"case {value}:")
            self._depth += 1
            self._statements(self._up_to(0, 2))
            if self._chance(20):
                self._leave()
            self._depth -= 1
        if self._chance(50):
            self._line("default:")
            self._depth += 1
            self._statements(self._up_to(0, 2))
            self._depth -= 1
        self._depth -= 1
        self._line("}")

    def _for(self) -> None:
        if self._loops == 3:
            return
        type_ = self._pick((RANGE, *LISTS))
        self._locals += 1
        name = f"i{self._locals}"
        self._loops += 1
        over = f"1..{self._up_to(1, 4)}" if type_ == RANGE else self._expression(type_)
        self._scope.append((name, INT if type_ == RANGE else type_.element or ANY))
        self._line(f"for {name} in {over} {{")
        self._continue(may_end=False)
        if self._chance(20):
            self._lines[-1:] = ["    " * (self._depth + 1) + "break;", self._lines[-1]]
        self._scope.pop()
        self._loops -= 1

    def _while(self) -> None:
        if self._loops == 3:
            return
        self._locals += 1
        name = f"i{self._locals}"
        self._loops += 1
        self._line(f"let {name} = 0;")
        self._scope.append((name, INT))
        self._line(f"while ({name} < {self._up_to(0, 4)} && {self._expression(BOOL)}) {{")
        self._line(f"    {name} = {name} + 1;")
        self._continue(may_end=False)
        self._loops -= 1

    def _call_route(self) -> None:
        known = [name for name, type_, kinds in self._named if self._kind in kinds]
        if known and self._loops == 0:
            self._line(f"route({self._pick(known)});")

    def _terminal(self) -> None:
        known = [one for one in self._legal() if one.terminal and one.name != "exit"]
        if self._kind == FAILURE and self._chance(20):
            self._line("end();")
        elif known:
            # Half of them call: what happens to a call is what most of a program is about.
            calling = [one for one in known if one.name == "call"]
            function = self._pick(calling if calling and self._chance(50) else known)
            plain = function.name == "drop"
            self._line("drop;" if plain else self._call(function) + ";")
