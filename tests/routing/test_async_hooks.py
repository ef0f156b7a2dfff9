"""Async functions called by routes: who waits, for how long, and what becomes of the request."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any

import pytest
from routed import FOLDER, Routed, TextFiles

from dsl.load import check_routes, compile_routes
from dsl.program import Program
from router.core.agent import AgentCall, Behaviour
from router.core.engine import Engine
from router.core.flow import Flow
from router.core.waiting import Waiting
from router.routing.hooks import HookMisuse
from router.routing.surface import SURFACE

BLOCKS = """
gateway g1 { address = 10.0.1.1:5071  prefixes = 86 }
gateway g2 { address = 10.0.1.2:5072  prefixes = 86  priority = 2 }
account acme { trunk office { ips = 192.0.2.0/24 } }
import python "hooks.py" as hooks
"""
HEAD = """\
from router.routing.hooks import Call, route_function as routes
KEPT = []

class Pause:
    def __await__(self):
        KEPT.append((yield))

"""
LINES = HEAD.count("\n")
LOOKUP = """
@routes
async def lookup(number: str) -> str:
    KEPT.append("asked")
    await Pause()
    return "86" + number
"""
BUSY = Behaviour(status=503, ring_after_ms=None)
US = ("10.0.0.1", 5060)


class Loop:
    """Runs routes that wait by hand: a step of all of them whenever the test says so."""

    def __init__(self, world: Routed) -> None:
        self.world = world
        self.running: list[Waiting] = []
        self.cancelled = 0
        world.network.run_wait = self.take

    def take(self, engine: Engine, waiting: Waiting, now_ms: int) -> None:
        waiting.stop = self.cancel
        self.running.append(waiting)

    def cancel(self) -> None:
        self.cancelled += 1

    def step(self) -> None:
        """Every route that waits goes on until it waits again, or has ended."""
        for waiting in list(self.running):
            error: BaseException | None = None
            try:
                waiting.wait.route.send(None)
            except StopIteration:
                pass
            except BaseException as raised:
                error = raised
            else:
                continue
            self.running.remove(waiting)
            self.world.engine.on_waited(waiting, error, self.world.network.now)
        self.world.network.run_for(0)


def hooked(functions: str, routes: str) -> Routed:
    return Routed(BLOCKS + routes, files={"hooks.py": HEAD + functions})


def kept(world: Routed) -> Any:
    return world.program.namespace["hooks"]._module.module.KEPT


def place(world: Routed, callee: str = "13800", **more: Any) -> AgentCall:
    """A call, and a moment for it to arrive."""
    call = world.caller.place(callee, "1000", Flow("udp", *US, 0), **more)
    world.network.run_for(100)
    return call


def coroutines(program: Program) -> set[str]:
    return {
        " ".join(key).strip() for key, one in program.routes.items() if iscoroutinefunction(one)
    }


CALLS = """
request_route {
    if (!identify()) end(IllegalCall);
    $rU = hooks.lookup($rU);
    call(gateways($rU));
}
"""


def test_a_request_waits_and_the_call_goes_on_with_what_the_function_gave() -> None:
    world = hooked(LOOKUP, CALLS)
    loop = Loop(world)
    call = place(world, hang_up_after_ms=1_000)
    assert kept(world) == []  # nothing of it runs before a loop runs it
    assert world.engine.active_calls == 1
    loop.step()
    assert kept(world) == ["asked"]
    assert call.status == 0
    loop.step()
    world.network.run_for(10_000)
    assert call.status == 200
    assert world.sent_to("g1").uri.startswith("sip:8613800@")
    assert world.cdr.end_reason == "Normal"
    assert sum(world.tally.hook_duration["hooks.lookup"].counts) == 1
    assert sum(world.tally.route_duration["request_route"].counts) == 1


def test_one_that_does_not_really_wait_costs_no_time() -> None:
    world = hooked("@routes\nasync def lookup(n: str) -> str: return '86' + n\n", CALLS)
    assert world.place("13800").status == 200


def test_only_routes_that_reach_an_async_function_are_coroutines() -> None:
    world = hooked(
        LOOKUP + "@routes\ndef quick() -> bool: return True\n",
        """
request_route {
    if (!identify()) end(IllegalCall);
    route(DEEP);
    if (route(ASKED) == "x" && hooks.quick()) drop;
    call(gateways($rU), on_branch = B, on_failure = F, on_reply = R);
}
route[DEEP] { route(DEEPER); }
route[DEEPER] { if ($rU == "1") $rU = hooks.lookup($rU); }
route[ASKED] { return hooks.lookup($rU); }
route[PLAIN] { if (hooks.quick()) log(info, "plain"); }
branch_route[B] { route(PLAIN); }
failure_route[F] { route(DEEP); next(); }
reply_route[R] { route(PLAIN); }
end_route { route(PLAIN); }
""",
    )
    assert coroutines(world.program) == {
        "request_route",
        "route DEEP",
        "route DEEPER",
        "route ASKED",
        "failure_route F",
    }


def test_a_path_that_meets_no_async_function_decides_at_once() -> None:
    world = hooked(
        LOOKUP,
        "request_route {\n    if (!identify()) end(IllegalCall);\n"
        '    if ($fU == "2000") $rU = hooks.lookup($rU);\n    call(gateways($rU));\n}\n',
    )
    loop = Loop(world)
    call = place(world, "8613800", hang_up_after_ms=500)
    assert loop.running == []
    world.network.run_for(5_000)
    assert call.status == 200


def test_values_of_routes_pass_through_waits_and_actions_end_the_request() -> None:
    world = hooked(
        LOOKUP,
        """
request_route {
    if (!identify()) end(IllegalCall);
    if (route(NUMBER) != "8613800") reply(404);
    route(LAST);
}
route[NUMBER] {
    if ($rU == "") reply(484);
    for n in 1..2 { if (hooks.lookup(str(n)) == "862") log(info, "found " + str(n)); }
    return hooks.lookup($rU);
}
route[LAST] {
    switch (hooks.lookup("1")) {
        case "861": reply(486);
        default:    reply(480);
    }
}
""",
    )
    loop = Loop(world)
    call = place(world)
    for _ in range(6):
        loop.step()
    world.network.run_for(100)
    assert call.status == 486
    assert [line[1] for line in world.lines] == ["found 2"]


def test_a_branch_route_and_a_failure_route_may_wait() -> None:
    world = hooked(
        LOOKUP,
        """
request_route { if (!identify()) end(IllegalCall);
    call(gateways("86"), on_branch = B, on_failure = F); }
branch_route[B] { set_header("X-Number", hooks.lookup($gateway.id)); }
failure_route[F] { if (hooks.lookup($gateway.id) == "86g1" && $rs == 503) next(); end(UserBusy); }
""",
    )
    world.behaviours["g1"] = BUSY
    loop = Loop(world)
    call = place(world, hang_up_after_ms=1_000)
    for _ in range(8):
        loop.step()
        world.network.run_for(50)
    world.network.run_for(10_000)
    assert call.status == 200
    assert world.sent_to("g1").get("x-number") == "86g1"
    assert world.sent_to("g2").get("x-number") == "86g2"


# ------------------------------------------------------------------------------------------ ends


def test_the_caller_who_hangs_up_ends_the_wait() -> None:
    world = hooked(LOOKUP, CALLS)
    loop = Loop(world)
    call = place(world)
    loop.step()
    call.cancel_after(0)
    world.network.run_for(100)
    assert loop.cancelled == 1
    assert world.cdr.end_reason == "Cancelled"
    assert call.status == 487


def test_a_wait_that_is_too_long_costs_500_and_names_the_function_and_both_lines() -> None:
    world = hooked(LOOKUP, "hook_timeout = 3s\n" + CALLS)
    loop = Loop(world)
    call = place(world)
    loop.step()
    world.network.run_for(2_700)
    assert call.status == 0
    world.network.run_for(500)
    assert call.status == 500
    assert loop.cancelled == 1
    (trace,) = world.traces
    assert trace.strip().endswith(
        "hooks.lookup, called at /etc/trunkline/routes.cfg:11, did not return within "
        f"hook_timeout = 3 s; it waits at /etc/trunkline/hooks.py:{LINES + 5}"
    )
    assert world.tally.hook_errors["hooks.lookup", "timeout"] == 1
    assert world.tally.route_errors == 1
    assert world.cdr.end_reason == "ServerFailure"


def test_the_limit_is_two_seconds_unless_told_otherwise() -> None:
    world = hooked(LOOKUP, CALLS)
    loop = Loop(world)
    call = place(world)
    loop.step()
    world.network.run_for(1_850)
    assert call.status == 0
    world.network.run_for(200)
    assert call.status == 500


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_exception_costs_its_request_a_500_and_names_both_lines(where: str) -> None:
    pause = "    await Pause()\n" if where == "after" else ""
    world = hooked(
        f"@routes\nasync def lookup(n: str) -> str:\n{pause}    raise ValueError('no answer')\n",
        CALLS,
    )
    loop = Loop(world)
    call = place(world)
    loop.step()
    loop.step()
    world.network.run_for(100)
    assert call.status == 500
    (trace,) = world.traces
    line = LINES + (4 if pause else 3)
    assert (
        "hooks.lookup, called at /etc/trunkline/routes.cfg:10, raised ValueError: no answer at "
        f"/etc/trunkline/hooks.py:{line}"
    ) in trace
    assert 'File "/etc/trunkline/routes.cfg", line 10, in request_route' in trace
    assert f'File "/etc/trunkline/hooks.py", line {line}, in lookup' in trace
    assert world.tally.hook_errors["hooks.lookup", "raised"] == 1


def test_a_value_of_another_type_is_a_fault_also_when_it_comes_late() -> None:
    world = hooked("@routes\nasync def lookup(n: str) -> str: return None\n", CALLS)
    assert world.place("1").status == 500
    assert (
        "hooks.lookup, called at /etc/trunkline/routes.cfg:10, returned None, and not str"
        in (world.traces[0])
    )


def test_one_that_is_cancelled_by_itself_is_a_fault() -> None:
    world = hooked(
        "import asyncio\n@routes\nasync def lookup(n: str) -> str:\n"
        "    raise asyncio.CancelledError\n",
        CALLS,
    )
    loop = Loop(world)
    call = place(world)
    loop.step()
    world.network.run_for(100)
    assert call.status == 500
    assert "request_route was broken off: CancelledError" in world.traces[0]


def test_a_fault_of_one_request_does_not_touch_another() -> None:
    world = hooked(
        "@routes\nasync def lookup(n: str) -> str:\n    await Pause()\n"
        "    return {'1': '8613800'}[n]\n",
        CALLS,
    )
    loop = Loop(world)
    good, bad = place(world, "1", hang_up_after_ms=500), place(world, "2")
    loop.step()
    loop.step()
    world.network.run_for(5_000)
    assert (good.status, bad.status) == (200, 500)


# ------------------------------------------------------------------------------------- the call

KEEPING = """
@routes
async def keep(call: Call) -> None:
    KEPT.append(call)
    call.callee = "8613800"
    await Pause()
    KEPT.append(call.callee)
"""
KEEPS = """
request_route { if (!identify()) end(IllegalCall); hooks.keep(); call(gateways($rU)); }
"""


def test_a_call_is_of_use_while_the_function_waits_and_over_with_its_route() -> None:
    world = hooked(KEEPING, KEEPS)
    loop = Loop(world)
    place(world, hang_up_after_ms=500)
    loop.step()
    loop.step()
    world.network.run_for(5_000)
    call, _, callee = kept(world)
    assert callee == "8613800"
    with pytest.raises(HookMisuse, match="this Call is over"):
        _ = call.callee


def test_a_call_is_over_when_the_caller_has_hung_up() -> None:
    world = hooked(KEEPING, KEEPS)
    loop = Loop(world)
    placed = place(world)
    loop.step()
    placed.cancel_after(0)
    world.network.run_for(100)
    with pytest.raises(HookMisuse, match="this Call is over"):
        _ = kept(world)[0].callee
    waiting = loop.running[0]
    with pytest.raises(Exception, match="this Call is over"):
        waiting.wait.route.send(None)


# -------------------------------------------------------------------------------------- slowness


def test_an_async_function_is_slow_when_it_holds_up_others_and_not_when_it_waits() -> None:
    world = hooked(LOOKUP, CALLS)
    loop = Loop(world)
    place(world, hang_up_after_ms=500)
    loop.step()
    world.seconds += 1.0  # somewhere else
    loop.step()
    world.network.run_for(5_000)
    assert world.tally.slow_hooks["hooks.lookup"] == 0
    world.step_s = 0.06
    place(world, hang_up_after_ms=500)
    loop.step()
    loop.step()
    assert world.tally.slow_hooks["hooks.lookup"] == 2
    assert world.tally.slow_routes["request_route"] >= 1
    assert [fields["hook"] for _, text, fields in world.lines if "function is slow" in text] == [
        "hooks.lookup"
    ]


def test_the_time_of_a_route_is_that_in_which_it_does_something() -> None:
    world = hooked(LOOKUP, CALLS)
    loop = Loop(world)
    place(world, hang_up_after_ms=500)
    loop.step()
    world.seconds += 10.0
    loop.step()
    world.network.run_for(5_000)
    assert world.tally.route_duration["request_route"].sum < 1.0
    assert world.tally.hook_duration["hooks.lookup"].sum > 10.0


def test_what_waits_is_said_where_no_loop_is() -> None:
    """In virtual time with nothing to run it, a function that really waits is a fault."""
    world = hooked(LOOKUP, CALLS)
    assert world.place("1").status == 500
    assert "an async function waits for the outside, and there is none here" in world.traces[0]


def test_the_shown_code_awaits() -> None:
    files = TextFiles(BLOCKS + CALLS, {"hooks.py": HEAD + LOOKUP})
    outcome = check_routes(f"{FOLDER}/routes.cfg", SURFACE, files)
    source = compile_routes(outcome, SURFACE).source()
    assert "async def request_route(c):" in source
    assert "c.callee = await hooks.lookup(c, c.callee)" in source
    assert f"# hooks: {FOLDER}/hooks.py" in source


def test_one_that_had_to_be_broken_off_is_a_fault_of_its_own_kind() -> None:
    world = hooked(
        "from router.routing.hook_errors import Stuck\n"
        "@routes\nasync def lookup(n: str) -> str:\n    await Pause()\n    raise Stuck\n",
        CALLS,
    )
    loop = Loop(world)
    call = place(world)
    loop.step()
    loop.step()
    world.network.run_for(100)
    assert call.status == 500
    assert "did not return and was broken off at /etc/trunkline/hooks.py" in world.traces[0]
    assert world.tally.hook_errors["hooks.lookup", "stuck"] == 1


def test_a_route_of_an_event_may_wait() -> None:
    world = hooked(
        LOOKUP,
        CALLS + 'event_route[timer:poll every 10s] { log(info, hooks.lookup("poll")); }\n',
    )
    loop = Loop(world)
    world.engine.events.begin()
    world.network.run_for(10_100)
    loop.step()
    loop.step()
    assert [line[:2] for line in world.lines] == [("info", "86poll")]
    assert world.traces == []
