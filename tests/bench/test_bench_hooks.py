"""What the call of a Python function by a route costs beyond the function itself.

The aim: a sync function costs less than 1 µs over calling it directly. An async one that does not
really wait shows what suspending a request costs without any loop.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from dsl.load import load_program
from router.core.tally import Tally
from router.routing.config import build_config
from router.routing.context import Context
from router.routing.hook_meter import HookMeter
from router.routing.surface import SURFACE

HOOKS = """\
from router.routing.hooks import Call, route_function

@route_function
def is_vip(number: str) -> bool:
    return number[:1] == "1"

@route_function
def is_known(call: Call, number: str) -> bool:
    return number[:1] == "1"
"""
ROUTES = """\
import python "hooks.py" as hooks
request_route {
    if (hooks.is_vip($fU) || hooks.is_known($fU)) drop;
    drop;
}
"""
AIM_S = 1e-6


class Files:
    """The two files."""

    def read(self, path: str) -> bytes:
        return (HOOKS if path.endswith(".py") else ROUTES).encode()

    def matches(self, pattern: str) -> list[str]:
        return []

    def variable(self, name: str) -> str | None:
        return None


def prepared() -> tuple[Any, Context]:
    """The loaded file and a context to call it with."""
    program = load_program("routes.cfg", SURFACE, Files())
    meter = HookMeter(Tally(), perf_counter, lambda *_, **__: None)
    # Nothing of a request is looked at here.
    context = Context(build_config(program), meter, *[None] * CONTEXT_MORE)  # type: ignore[arg-type]
    return program.namespace["hooks"], context


CONTEXT_MORE = Context.__init__.__code__.co_argcount - 3


def best_of(call: Callable[[], object], rounds: int = 30, turns: int = 5_000) -> float:
    """The shortest time of one call, in seconds."""
    shortest = 1.0
    for _ in range(rounds):
        started = perf_counter()
        for _ in range(turns):
            call()
        shortest = min(shortest, (perf_counter() - started) / turns)
    return shortest


def test_a_sync_function_costs_less_than_a_microsecond_over_itself(
    benchmark: Callable[..., Any],
) -> None:
    hooks, context = prepared()
    bare = hooks._module.module.is_vip
    over = best_of(lambda: hooks.is_vip(context, "1000")) - best_of(lambda: bare("1000"))
    benchmark(hooks.is_vip, context, "1000")
    assert over < AIM_S


def test_a_function_that_takes_the_call_costs_little_more(benchmark: Callable[..., Any]) -> None:
    hooks, context = prepared()
    bare = hooks._module.module.is_known
    context.hook_call()
    over = best_of(lambda: hooks.is_known(context, "1000")) - best_of(lambda: bare(context, "1000"))
    benchmark(hooks.is_known, context, "1000")
    assert over < AIM_S
