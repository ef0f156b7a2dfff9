"""Python functions called by routes: what they see, what they may do, what their faults cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from routed import Routed

from router.core.agent import Behaviour
from router.core.flow import Flow
from router.routing import hooks
from router.routing.hook_errors import HookMisuse
from router.routing.hooks import Call
from router.routing.surface import FACTS, OBJECTS
from router.sip.message import Request, parse_message

BLOCKS = """
gateway g1 { address = 10.0.1.1:5071  prefixes = 86 }
gateway g2 { address = 10.0.1.2:5072  prefixes = 86  priority = 2 }
account acme { trunk office { ips = 192.0.2.0/24 } }
import python "hooks.py" as hooks
"""
HEAD = """\
from datetime import timedelta
from decimal import Decimal
from router.routing.hooks import Account, Call, Gateway, IpAddress, Milliseconds, Trunk
from router.routing.hooks import route_function as routes
KEPT = []
"""
LINES = HEAD.count("\n")
CALLS = """
request_route {
    if (!identify()) end(IllegalCall); %s
    call(gateways($rU)%s);
}
"""
BUSY = Behaviour(status=503, ring_after_ms=None)


def hooked(functions: str, routes: str) -> Routed:
    """These routes with these functions of a Python file."""
    return Routed(BLOCKS + routes, files={"hooks.py": HEAD + functions})


def before_call(functions: str, statements: str, options: str = "", more: str = "") -> Routed:
    """A request_route that does something and then calls."""
    return hooked(functions, CALLS % (statements, options) + more)


def kept(world: Routed) -> Any:
    """What the functions put into KEPT."""
    loaded = world.program.namespace["hooks"]
    return loaded._module.module.KEPT


def fault(world: Routed) -> str:
    """The sentence of the only fault."""
    (trace,) = world.traces
    last: str = trace.strip().split("\n")[-1]
    return last


# ------------------------------------------------------------------------------------- the call


def test_a_function_is_called_with_arguments_by_place_and_name() -> None:
    world = before_call(
        "@routes\ndef join(a: str, b: str = 'x', *, c: int = 1) -> str: return f'{a}{b}{c}'\n",
        '$call.a = hooks.join("1"); $call.b = hooks.join("1", "2", c = 3);'
        '$call.c = hooks.join(b = "2", a = "1");',
    )
    world.place("8613800")
    assert world.cdr.variables == {"a": "1x1", "b": "123", "c": "121"}


def test_what_a_function_gives_is_a_value_of_the_route() -> None:
    world = hooked(
        """
@routes
def last(candidates: list[Gateway], n: int) -> list[Gateway]:
    return candidates[::-1][:n]

@routes
def price(time: timedelta, ms: Milliseconds) -> Decimal:
    return Decimal(time.total_seconds()) + ms

@routes
def soon(n: int, *, more: timedelta = timedelta()) -> timedelta:
    return timedelta(seconds=n) + more

@routes
def near(address: IpAddress) -> bool:
    return address.version == 4

@routes
def who(account: Account, trunk: Trunk) -> str:
    return f"{account.id}/{trunk.id}"
""",
        """
request_route {
    if (!identify() || !hooks.near($si)) drop;
    $call.price = hooks.price(90s, 5s);
    $call.soon = hooks.soon(2, more = 500ms) / 1ms;
    $call.who = hooks.who($account, $trunk);
    call(hooks.last(gateways($rU), 1));
}
""",
    )
    call = world.place("8613800")
    assert (call.status, world.cdr.gateway) == (200, "g2")
    assert world.cdr.variables == {"price": "5090", "soon": "2500", "who": "acme/office"}


def test_a_function_that_gives_nothing_is_a_statement() -> None:
    world = before_call("@routes\ndef note(a: str) -> None: KEPT.append(a)\n", "hooks.note($rU);")
    world.place("8613800")
    assert kept(world) == ["8613800"]


def test_functions_run_in_every_kind_of_route() -> None:
    world = before_call(
        "@routes\ndef note(call: Call, a: str) -> None:\n"
        "    KEPT.append(f'{a} {call.gateway.id} {call.reply_code}')\n",
        'hooks.note("request");',
        ", on_branch = B, on_reply = R, on_failure = F",
        'branch_route[B] { hooks.note("branch"); }\nreply_route[R] { hooks.note("reply"); }\n'
        'failure_route[F] { hooks.note("failure"); next(); }\nend_route { hooks.note("end"); }\n',
    )
    world.behaviours["g1"] = BUSY
    world.place("8613800")
    assert kept(world) == [
        "request  0",
        "branch g1 0",
        "reply g1 503",
        "failure g1 503",
        "branch g2 0",
        "reply g2 180",
        "reply g2 200",
        "end g2 200",
    ]


def test_each_program_has_its_own_file_with_its_own_variables() -> None:
    text = "@routes\ndef note(a: str) -> None: KEPT.append(a)\n"
    first, second = (before_call(text, "hooks.note($rU);") for _ in range(2))
    first.place("8613800")
    second.place("8613801")
    assert (kept(first), kept(second)) == (["8613800"], ["8613801"])


# ------------------------------------------------------------------------- what functions see


def test_every_fact_and_object_of_routes_is_one_of_the_call() -> None:
    names = {fact.alias for fact in FACTS if fact.ready} | {"account", "trunk", "phone", "gateway"}
    assert {name for name in names if not isinstance(getattr(Call, name, None), property)} == set()
    assert set(OBJECTS_READY) == {"account", "trunk", "phone", "gateway"}


OBJECTS_READY = [
    one.name for one in OBJECTS if any(attribute.ready for attribute in one.attributes.values())
]


def test_the_public_names_are_there() -> None:
    assert all(hasattr(hooks, name) for name in hooks.__all__)


def test_the_call_tells_the_facts_of_the_route() -> None:
    world = before_call(
        """
@routes
def look(call: Call) -> None:
    KEPT.append((call.method, call.callee, call.caller, str(call.source_ip), call.transport,
                 call.header("x-test"), call.account.id, call.trunk.id, call.max_forwards))
    KEPT.append((bool(call.id), call.gateway.id, call.reply_code))
""",
        "hooks.look();",
    )
    world.place("8613800", extra="X-Test: yes\r\n")
    assert kept(world) == [
        ("INVITE", "8613800", "1000", "192.0.2.10", "udp", "yes", "acme", "office", 70),
        (True, "", 0),
    ]


def test_numbers_and_headers_can_be_set_as_in_a_route() -> None:
    world = before_call(
        """
@routes
def change(call: Call) -> None:
    call.callee = "86" + call.callee
    call.caller = "4930"
    call.display_name = '"Bob"'
    call.uri_domain = "example.com"
    call.set_header("X-A", "1")
    call.add_header("X-A", "2")
    call.remove_header("X-Test")
    call.log("warning", "changed")
""",
        "hooks.change();",
    )
    world.place("13800", extra="X-Test: yes\r\n")
    invite = world.sent_to("g1")
    assert invite.uri == "sip:8613800@example.com"
    assert invite.get("from").startswith('"Bob" <sip:4930@')
    assert invite.get_all("x-a") == ["1", "2"]
    assert not invite.has("x-test")
    assert [line[:2] for line in world.lines] == [("warning", "changed")]


def test_variables_are_those_of_the_route_and_stand_in_the_cdr() -> None:
    world = before_call(
        """
@routes
def more(call: Call) -> bool:
    variables = call.variables
    KEPT.extend([dict(variables), len(variables), list(variables), variables.get("none", 7)])
    variables["tier"] = variables["tier"] + "er"
    variables["count"] = 3
    variables["price"] = Decimal("0.50")
    variables["gone"] = "x"
    del variables["gone"]
    return "tier" in variables
""",
        '$call.tier = "gold"; $call.rate = 0.5; if (!hooks.more()) drop; $call.seen = $call.tier;',
    )
    world.place("8613800")
    assert kept(world)[0]["tier"] == "gold"
    assert kept(world)[1:] == [2, ["tier", "rate"], 7]
    assert world.cdr.variables == {
        "tier": "golder",
        "rate": "0.5",
        "count": "3",
        "price": "0.50",
        "seen": "golder",
    }


def test_a_request_that_is_no_call_is_seen_too() -> None:
    world = hooked(
        "@routes\ndef look(call: Call) -> int:\n"
        "    KEPT.append((call.method, call.id, call.account.id))\n"
        "    call.set_header('X-A', '1')\n    return 480\n",
        "request_route { reply(hooks.look()); }\n",
    )
    options = parse_message(
        b"OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n"
        b"From: <sip:b@x>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 4 OPTIONS\r\n\r\n"
    )
    assert isinstance(options, Request)
    verdict: Any = world.switch.request(
        options, Flow("udp", "192.0.2.10", 5060, 0), world.engine
    )
    assert verdict.status == 480
    assert kept(world) == [("OPTIONS", "", "")]


# ---------------------------------------------------------------------------------------- misuse


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("call.callee = 5", "call.callee is a str, and this is int 5"),
        ("call.set_header('X-A', None)", "the value of a header is a str, and this is None"),
        ("call.set_header('X: y', 'z')", "a header cannot be named str 'X: y'"),
        ("call.add_header('', 'z')", "a header cannot be named str ''"),
        ("call.set_header('From', 'z')", "the header str 'From' is written by the router itself"),
        ("call.log('loud', 'z')", "there is no log level str 'loud': it is debug, info, warn"),
        ("call.variables['tier'] = 5", "$call.tier is str in routes, and this is int 5"),
        ("call.variables['rate'] = 'x'", "$call.rate is Decimal in routes, and this is str 'x'"),
        ("call.variables['new'] = [1]", "$call.new cannot be list [1]: a CDR has no place for it"),
        ("call.variables['a b'] = 1", "a variable of the call has a name, and not str 'a b'"),
    ],
)
def test_what_a_call_cannot_take_is_refused_in_a_sentence(body: str, sentence: str) -> None:
    world = before_call(
        f"@routes\ndef wrong(call: Call) -> None:\n    {body}\n",
        '$call.tier = "gold"; $call.rate = 0.5; hooks.wrong();',
    )
    assert world.place("8613800").status == 500
    assert f"HookMisuse: {sentence}" in fault(world)


def test_a_fact_that_cannot_be_set_stays_as_it_is() -> None:
    world = before_call(
        "@routes\ndef wrong(call: Call) -> None:\n    call.source_port = 5\n", "hooks.wrong();"
    )
    assert world.place("8613800").status == 500
    assert "AttributeError" in fault(world)


def test_a_number_cannot_be_set_where_nothing_is_sent_on() -> None:
    world = before_call(
        "@routes\ndef wrong(call: Call) -> None:\n"
        "    try:\n        call.caller = '5'\n"
        "    except Exception as error:\n        KEPT.append(str(error))\n"
        "@routes\ndef late(call: Call) -> None:\n"
        "    try:\n        call.set_header('X-A', '5')\n"
        "    except Exception as error:\n        KEPT.append(str(error))\n",
        "",
        ", on_reply = R",
        "reply_route[R] { hooks.wrong(); }\nend_route { hooks.wrong(); hooks.late(); }\n",
    )
    world.place("8613800")
    number = "call.caller can be set in request_route, branch_route and failure_route only"
    assert kept(world) == [
        number,
        number,
        number,
        "the call has ended: nothing is sent on any more",
    ]


def test_a_call_is_over_when_its_route_has_ended() -> None:
    world = before_call(
        "@routes\ndef keep(call: Call) -> None:\n    KEPT.extend([call, call.variables])\n",
        "hooks.keep(); hooks.keep();",
    )
    world.place("8613800")
    call, variables, again, _ = kept(world)
    assert call is again
    uses: list[Callable[[], object]] = [
        lambda: call.callee,
        lambda: call.variables,
        lambda: call.header("X"),
        lambda: call.log("info", "x"),
        lambda: variables["x"],
        lambda: len(variables),
        lambda: setattr(call, "callee", "1"),
    ]
    for use in uses:
        with pytest.raises(HookMisuse, match="this Call is over"):
            use()


def test_a_call_is_over_also_when_its_route_has_failed() -> None:
    world = before_call(
        "@routes\ndef keep(call: Call) -> None:\n    KEPT.append(call)\n    raise ValueError\n",
        "hooks.keep();",
    )
    world.place("8613800")
    with pytest.raises(HookMisuse, match="this Call is over"):
        _ = kept(world)[0].callee


def test_a_call_is_not_for_other_threads() -> None:
    world = before_call(
        """
import threading

@routes
def wrong(call: Call) -> None:
    def work() -> None:
        try:
            KEPT.append(call.callee)
        except Exception as error:
            KEPT.append(str(error))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
""",
        "hooks.wrong();",
    )
    world.place("8613800")
    assert kept(world) == [
        "a Call may not be used in another thread: read what is needed before, set it after"
    ]


# ---------------------------------------------------------------------------------------- faults


def test_an_exception_costs_its_request_a_500_and_names_both_lines() -> None:
    world = before_call(
        "@routes\ndef is_vip(number: str) -> bool:\n"
        "    if number == '8613800':\n        raise ValueError('no such number')\n"
        "    return True\n",
        "if (!hooks.is_vip($rU)) drop;",
    )
    failed, fine = world.place("8613800"), world.place("8613801")
    assert (failed.status, fine.status) == (500, 200)
    first, second = world.store.cdrs.values()
    assert (first.end_reason, second.end_reason) == ("ServerFailure", "Normal")
    sentence = fault(world)
    assert sentence.endswith(
        "hooks.is_vip, called at /etc/trunkline/routes.cfg:9, raised ValueError: no such number "
        f"at /etc/trunkline/hooks.py:{LINES + 4}"
    )
    (trace,) = world.traces
    assert 'File "/etc/trunkline/routes.cfg", line 9, in request_route' in trace
    assert f'File "/etc/trunkline/hooks.py", line {LINES + 4}, in is_vip' in trace
    assert "raise ValueError('no such number')" in trace
    assert world.tally.route_errors == 1
    assert world.tally.hook_errors["hooks.is_vip", "raised"] == 1
    assert world.tally.hook_errors["hooks.is_vip", "timeout"] == 0


@pytest.mark.parametrize(
    ("annotation", "value", "sentence"),
    [
        ("str", "5", "returned int 5, and not str"),
        ("int", "'5'", "returned str '5', and not int"),
        ("int", "True", "returned bool True, and not int"),
        ("bool", "1", "returned int 1, and not bool"),
        ("bool", "None", "returned None, and not bool"),
        ("Decimal", "0.5", "returned float 0.5, and not Decimal"),
        ("Decimal", "Decimal('NaN')", "returned Decimal Decimal('NaN'), and not a number"),
        ("timedelta", "5", "returned int 5, and not a timedelta"),
        ("timedelta", "timedelta(-1)", "and a duration is not negative"),
        ("Milliseconds", "-1", "returned int -1, and a duration is not negative"),
        ("IpAddress", "'192.0.2.1'", "returned str '192.0.2.1', and not an ip address"),
        ("None", "5", "returned int 5, and not None"),
        ("list[str]", "('a',)", "returned tuple ('a',), and not a list of strings"),
        ("list[str]", "['a', 5]", "returned a list that holds int 5, and not str"),
        ("Gateway", "'g1'", "returned str 'g1', and not Gateway"),
        ("list[Gateway]", "[None]", "returned a list that holds None, and not Gateway"),
        ("str", f"b'{80 * 'y'}'", "yyy…, and not str"),
    ],
)
def test_a_value_of_another_type_than_promised_is_a_fault(
    annotation: str, value: str, sentence: str
) -> None:
    world = before_call(
        f"@routes\ndef wrong() -> {annotation}: return {value}\n",
        "hooks.wrong();",
    )
    assert world.place("8613800").status == 500
    assert sentence in fault(world)
    assert "hooks.wrong, called at /etc/trunkline/routes.cfg:9, returned" in fault(world)
    assert world.tally.hook_errors["hooks.wrong", "wrong_type"] == 1


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("Decimal", "5"),
        ("list[str]", "[]"),
        ("list[int]", "[1, 2]"),
        ("str", "type('Text', (str,), {})('x')"),
        ("Milliseconds", "5"),
        ("timedelta", "timedelta(0)"),
        ("None", "None"),
    ],
)
def test_a_value_that_fits_passes(annotation: str, value: str) -> None:
    world = before_call(f"@routes\ndef right() -> {annotation}: return {value}\n", "hooks.right();")
    assert world.place("8613800").status == 200


def test_a_fault_in_a_branch_route_ends_the_call_and_gives_the_line_back() -> None:
    world = before_call(
        "@routes\ndef wrong() -> None: raise OSError('disk')\n",
        "",
        ", on_branch = B",
        "branch_route[B] { hooks.wrong(); }\n",
    )
    assert world.place("8613800").status == 500
    assert "raised OSError: disk" in fault(world)
    assert world.store.usage("gateway:g1").in_use == 0


# -------------------------------------------------------------------------------------- slowness


def test_a_slow_function_is_counted_and_named_with_the_line_that_called_it() -> None:
    world = before_call(
        "@routes\ndef crawl(n: int) -> int: return n\n", "if (hooks.crawl(1) > 1) drop;"
    )
    world.step_s = 0.06
    for _ in range(3):
        world.place("8613800")
    assert world.tally.slow_hooks["hooks.crawl"] == 3
    assert world.tally.slow_routes["request_route"] == 3
    assert sum(world.tally.hook_duration["hooks.crawl"].counts) == 3
    named = [fields for _, text, fields in world.lines if text == "a Python function is slow"]
    assert named == [{"hook": "hooks.crawl", "took_ms": 60, "at": "/etc/trunkline/routes.cfg:9"}]


def test_a_slow_function_is_named_again_after_a_while_with_how_often_it_was() -> None:
    world = before_call(
        "@routes\ndef crawl(n: int) -> int: return n\n", "if (hooks.crawl(1) > 1) drop;"
    )
    world.step_s = 0.06
    world.place("8613800")
    world.place("8613800")
    world.seconds += 10
    world.place("8613800")
    named = [fields for _, text, fields in world.lines if text == "a Python function is slow"]
    assert [fields.get("more_since", 0) for fields in named] == [0, 1]


def test_a_quick_function_is_timed_and_nothing_is_said() -> None:
    world = before_call(
        "@routes\ndef quick(n: int) -> int: return n\n", "if (hooks.quick(1) > 1) drop;"
    )
    world.place("8613800")
    assert world.lines == []
    assert world.tally.slow_hooks == {"hooks.quick": 0}
    assert world.tally.slow_routes == {"request_route": 0}


def test_one_that_had_to_be_broken_off_is_a_fault_of_its_own_kind() -> None:
    world = before_call(
        "from router.routing.hook_errors import Stuck\n"
        "@routes\ndef endless() -> None:\n"
        "    try:\n        raise Stuck\n    except Exception:\n        pass\n",
        "hooks.endless();",
    )
    assert world.place("8613800").status == 500
    assert fault(world).endswith(
        "hooks.endless, called at /etc/trunkline/routes.cfg:9, did not return and was broken off "
        f"at /etc/trunkline/hooks.py:{LINES + 5}"
    )
    assert world.tally.hook_errors["hooks.endless", "stuck"] == 1


def test_whether_a_call_is_only_tried_can_be_seen() -> None:
    world = before_call(
        "@routes\ndef look(call: Call) -> None: KEPT.append(call.is_test)\n", "hooks.look();"
    )
    world.place("8613800")
    world.config.is_test = True
    world.place("8613800")
    assert kept(world) == [False, True]
