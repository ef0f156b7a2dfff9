"""event_route: gateways that go down and come back, what is done at a load, timers."""

from __future__ import annotations

from typing import Any

import pytest
from routed import T0, Routed, program_of

from router.core.agent import Behaviour
from router.routing.decided import LiveNow, Question
from router.routing.decision_run import DecisionRun
from router.routing.trial.run import run_trials
from router.store.memory import MemoryLive

ROUTES = """
gateway g1 { address = 10.0.1.1:5071  prefixes = 86 }
account acme { trunk office { ips = 192.0.2.0/24 } }
event_route[gateway:down] {
    log(warning, $gateway.id + " is down, lines in use: " + str($gateway.lines_used));
    cache_set("down", $gateway.id, 1h);
}
event_route[gateway:up] { log(info, $gateway.id + " is up"); count("ups", gateway = $gateway.id); }
event_route[config:loaded] {
    cache_set("greeting", "hello", 1d);
    log(info, "[" + $account.id + "]");
}
event_route[timer:SWEEP every 10s] { route(SWEEP); }
route[SWEEP] { count("sweeps"); log(debug, "sweep " + $gateway.id); }
request_route {
    if (!identify()) end(IllegalCall);
    log(info, cache_get("greeting") + cache_get("down"));
    call(gateways($rU));
}
"""


def log(world: Routed) -> list[str]:
    return [line for _, line, _ in world.lines]


def test_events_of_a_gateway_run_their_routes() -> None:
    world = Routed(ROUTES)
    world.behaviours["g1"] = Behaviour(silent=True)
    for _ in range(5):
        world.place("8613")
    assert log(world)[-1] == "g1 is down, lines in use: 1"
    world.network.run_for(10)
    assert world.store.recall("down", world.network.now) == "g1"
    world.behaviours["g1"] = Behaviour()
    world.place("8613")
    assert log(world)[-2:] == ["g1", "g1 is up"]
    assert [metric.name for metric, _ in world.tally.counted] == ["ups"]


def test_what_several_workers_notice_runs_in_one_of_them() -> None:
    store = MemoryLive()
    worlds = [Routed(ROUTES), Routed(ROUTES)]
    for world in worlds:
        world.config.live.store = store
        world.behaviours["g1"] = Behaviour(silent=True)
        for _ in range(5):
            world.place("8613")
    down = [line for world in worlds for line in log(world) if "is down" in line]
    assert len(down) == 1


def test_the_load_and_the_timers_run_theirs() -> None:
    world = Routed(ROUTES)
    world.engine.events.begin()
    world.network.run_for(25_000)
    assert log(world) == ["[]", "sweep ", "sweep "]
    assert list(world.tally.counted.values()) == [2]
    world.place("8613")
    assert "hello" in log(world)
    assert set(world.tally.route_duration) >= {
        "event_route[config:loaded]", "event_route[timer:SWEEP]",
    }


def test_a_fault_in_an_event_names_its_line() -> None:
    world = Routed(
        'event_route[config:loaded] {\n log(info, str(1 / int("", 0)));\n}\n'
        "request_route { reply(404); }"
    )
    world.engine.events.begin()
    ((level, text, fields),) = world.engine.logs
    assert (level, text) == ("error", "a route failed")
    assert 'routes.cfg", line 3, in event_route_config_loaded' in fields["trace"]
    assert "ZeroDivisionError" in fields["trace"]


def test_trunkline_route_sees_what_the_load_has_shared() -> None:
    question = Question("192.0.2.10", "1000", "8613", T0)
    program = program_of(ROUTES)
    decided = DecisionRun(program, question, LiveNow()).decide()
    assert [text for _, text in decided.logs] == ["[]", "hello"]
    decided = DecisionRun(program, question, LiveNow(shared=MemoryLive())).decide()
    assert [text for _, text in decided.logs] == [""]


def test_a_test_block_begins_with_the_load_and_waits_for_no_timer() -> None:
    (result,) = run_trials(
        program_of(
            ROUTES.replace("call(gateways", 'if (cache_get("greeting") != "") count("greeted");\n'
                           "call(gateways")
            + 'test "t" { invite from 192.0.2.1 callee "8613"; expect metric "greeted" 1;'
            ' wait 60s; expect metric "sweeps" 0; expect end Normal; }\n'
        )
    )
    assert result.failure is not None
    assert "Normal" in result.failure.sentence
    assert result.virtual_ms < 3_600_000


@pytest.mark.parametrize(
    ("label", "periods"),
    [("timer:A every 500ms", {"A": 500}), ("timer:b_1 every 2h", {"b_1": 7_200_000})],
)
def test_periods_are_read(label: str, periods: Any) -> None:
    text = f'event_route[{label}] {{ log(info, "x"); }}'
    assert program_of(text).periods == periods
