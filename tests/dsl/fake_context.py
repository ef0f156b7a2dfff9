"""A context that records what a route does, for tests of generated code."""

from __future__ import annotations

from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

from routes_text import check_text

from dsl.load import compile_routes
from dsl.program import Handler
from router.routing.surface import SURFACE

MAX_STEPS = 100


class TooManySteps(Exception):
    """What the real context raises at 10,000 steps."""


class FakeContext:
    """Facts as attributes, actions and other functions as entries of `done`."""

    def __init__(self, **facts: Any) -> None:
        self.method = "INVITE"
        self.callee = "8613800138000"
        self.caller = "1000"
        self.user_agent = "test"
        self.source_ip = ip_address("192.0.2.7")
        self.cseq = 1
        self.reply_code = 486
        self.reply_reason = "Busy Here"
        self.display_name = ""
        self.account = SimpleNamespace(id="acme", lines=30)
        self.trunk = SimpleNamespace(id="office", lines=-1)
        self.gateway = SimpleNamespace(id="cn_mobile", lines=100, priority=1)
        self.headers: dict[str, str] = {}
        self.variables: dict[str, Any] = {}
        self.identified = True
        self.found: list[Any] = []
        self.done: list[Any] = []
        self.steps = 0
        self.way: list[str] = []
        for name, value in facts.items():
            setattr(self, name, value)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TooManySteps

    def at(self, place: str) -> None:
        self.way.append(place)

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    def identify(self) -> bool:
        return self.identified

    def gateways(self, number: str) -> list[Any]:
        return self.found

    def gateway_named(self, name: str) -> Any:
        return f"<{name}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in ACTIONS:
            raise AttributeError(name)

        def record(*arguments: Any, **keywords: Any) -> None:
            self.done.append((name, *arguments, *([keywords] if keywords else [])))

        return record


ACTIONS = {
    one.target for one in SURFACE.functions.values() if isinstance(one.target, str) and one.target
}


def handlers(text: str) -> dict[tuple[str, str], Handler]:
    """The compiled routes of a configuration without errors."""
    outcome = check_text(text)
    assert not outcome.errors, [f"{f.line}: {f.message}" for f in outcome.findings]
    return compile_routes(outcome, SURFACE).run(SURFACE)


def run_route(text: str, key: tuple[str, str] = ("request_route", ""), **facts: Any) -> FakeContext:
    """Compile, run one route, and give the context back with what was done."""
    context = FakeContext(**facts)
    context.ended = handlers(text)[key](context)  # type: ignore[attr-defined]
    return context


def logged(statements: str, **facts: Any) -> list[str]:
    """The texts that statements of an end_route log."""
    text = "request_route { reply(200); }\nend_route {\n" + statements + "\n}"
    context = run_route(text, ("end_route", ""), **facts)
    return [entry[2] for entry in context.done if entry[0] == "log"]


def value_of(expression: str, **facts: Any) -> str:
    """What an expression comes to, as the language's `str` writes it."""
    return logged(f"log(info, str({expression}));", **facts)[0]
