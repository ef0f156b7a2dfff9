"""What compiled routes do, run against a context that records it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fake_context import TooManySteps, handlers, logged, run_route, value_of
from routes_text import check_text, codes


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3"),
        ("10 - 2 - 3", "5"),
        ("-5 + 2", "-3"),
        ("1.5 + 1", "2.5"),
        ("1 / 4.0", "0.25"),
        ('"a" + "b" + "c"', "abc"),
        ('"tab\\tquote\\"back\\\\"', 'tab\tquote"back\\'),
        ("true && false || true", "true"),
        ("!true || !false", "true"),
        ("!(1 == 2)", "true"),
        ("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2", "true"),
        ("5 in 1..5", "true"),
        ("6 in 1..5", "false"),
        ("6 in [1, 6]", "true"),
        ("2 in [1]", "false"),
        ('"b" in ["a", "b"]', "true"),
        ("1.5 in [1.5, 2]", "true"),
        ("$si in 192.0.2.0/24", "true"),
        ("$si in [10.0.0.0/8, 192.0.2.7/32]", "true"),
        ("$si in [10.0.0.0/8, [2001:db8::]/32]", "false"),
        ("$si == 192.0.2.7", "true"),
        ("$si in [192.0.2.7, 192.0.2.8]", "true"),
        ("[2001:db8::1] in [2001:db8::]/32", "true"),
        ("30s == 30000ms", "true"),
        ("1m + 30s == 1.5m", "true"),
        ("1m / 10s", "6"),
        ("2 * 30s == 1m", "true"),
        ("30s < 1h", "true"),
        ('$rU =~ /^86(1[35])/', "true"),
        ('$ua =~ /TEST/i', "true"),
        ('$ua !~ /TEST/', "true"),
        ('"a/b" =~ /a\\/b/', "true"),
        ("len($rU)", "13"),
        ("len([1, 2])", "2"),
        ("len([])", "0"),
        ('starts_with($rU, "86")', "true"),
        ('ends_with($rU, "86")', "false"),
        ('substr($rU, 2)', "13800138000"),
        ('substr($rU, 2, 3)', "138"),
        ('substr($rU, -4, 2)', "80"),
        ('substr(text = $rU, start = 0, length = 2)', "86"),
        ('strip($rU, 2)', "13800138000"),
        ('strip($rU, -3)', "8613800138"),
        ('lower("ABC")', "abc"),
        ('replace($rU, "0", "")', "86138138"),
        ('match($rU, /^86(..)/)', "8613"),
        ('match($rU, /^86(..)/, 1)', "13"),
        ('match($rU, /^99/)', ""),
        ('int("42", 0) + 1', "43"),
        ('int("4 2", 7)', "7"),
        ('int("-3", 0)', "-3"),
        ('hash("abc")', "891568578"),
        ("$account.id", "acme"),
        ("$gateway.priority", "1"),
        ("$hdr(X-Tier)", "gold"),
        ('$hdr(X-None) == ""', "true"),
        ("$callee == $rU && $method == $rm", "true"),
    ],
)  # fmt: skip
def test_an_expression_has_its_value(expression: str, value: str) -> None:
    assert value_of(expression, headers={"X-Tier": "gold"}) == value


def test_a_number_that_a_float_cannot_hold_stays_exact() -> None:
    assert value_of("0.1 + 0.2") == "0.3"
    statements = "let x = 1.5; x = 1; let y = x / 3; log(info, str(y));"
    assert logged(statements)[0].startswith("0.333333333333333333333333")


def test_branches_run_in_order_and_one_only() -> None:
    statements = """
        if ($rs == 1) log(info, "one");
        else if ($rs == 2) { log(info, "two"); log(info, "both"); }
        else if ($rs == 2) log(info, "never");
        else log(info, "else");
    """
    assert logged(statements, reply_code=1) == ["one"]
    assert logged(statements, reply_code=2) == ["two", "both"]
    assert logged(statements, reply_code=3) == ["else"]


def test_an_else_belongs_to_the_nearest_if() -> None:
    statements = 'if ($rs == 1) if ($rr == "x") log(info, "both"); else log(info, "one");'
    assert logged(statements, reply_code=1) == ["one"]
    assert logged(statements, reply_code=2) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [("110", "police"), ("112", "police"), ("8613", "china"), ("0086", "zeros"), ("5", "other")],
)
def test_a_switch_over_strings_takes_one_case_and_never_falls_through(
    number: str, said: str
) -> None:
    statements = """
        switch ($rU) {
            case "110", "112": log(info, "police");
            case /^86/:        log(info, "china");
            case "0086", /^00/: log(info, "zeros");
            default:           log(info, "other");
        }
    """
    assert logged(statements, callee=number) == [said]


@pytest.mark.parametrize(
    ("status", "said"), [(486, "busy"), (600, "busy"), (503, "server"), (404, ""), (480, "away")]
)
def test_a_switch_over_ints_takes_numbers_and_ranges(status: int, said: str) -> None:
    statements = """
        switch ($rs) {
            case 486, 600..603: log(info, "busy");
            case 500..599:      log(info, "server");
            case 480:           log(info, "away");
        }
    """
    assert "".join(logged(statements, reply_code=status)) == said


def test_a_switch_asks_for_its_subject_once() -> None:
    class Asked:
        count = 0

        def __call__(self) -> bool:
            Asked.count += 1
            return False

    text = """
    request_route {
        switch (route(KIND)) { case "a": reply(404); case "b": reply(405); default: reply(200); }
    }
    route[KIND] { if (identify()) return "a"; return "c"; }
    """
    assert run_route(text, identify=Asked()).done == [("reply", 200)]
    assert Asked.count == 1


def test_loops_go_through_lists_and_ranges_and_break_leaves_them() -> None:
    assert logged('for x in ["a", "b"] { log(info, x); }') == ["a", "b"]
    assert logged("for (x in 1..3) log(info, str(x));") == ["1", "2", "3"]
    assert logged("for x in 1..9 { if (x == 3) break; log(info, str(x)); }") == ["1", "2"]
    statements = "let n = 0; while (n < 3) { n = n + 1; } log(info, str(n));"
    assert logged(statements) == ["3"]


def test_a_loop_without_end_runs_into_the_limit_of_steps() -> None:
    with pytest.raises(TooManySteps):
        logged("let n = 0; while (n < 1) { n = 0; }")


def test_two_locals_of_one_name_in_two_blocks_are_two() -> None:
    statements = """
        if ($rs == 486) { let x = 1; log(info, str(x + 1)); }
        if ($rs == 486) { let x = "s"; log(info, x + "t"); }
    """
    assert logged(statements) == ["2", "st"]


@pytest.mark.parametrize(
    "name",
    ["c", "len", "str", "class", "None", "Decimal", "REGEX_1", "route_A", "subject_", "Stop", "re"],
)
def test_a_local_may_have_any_name_that_means_something_to_python(name: str) -> None:
    statements = f"""
        let {name} = "x";
        let {name}_ = "y";
        switch ($rU + {name}) {{ case /x$/: log(info, str(len({name} + {name}_)) + {name}); }}
    """
    assert logged(statements) == ["2x"]


def test_facts_are_assigned_under_either_name() -> None:
    text = 'request_route { $rU = "00" + $rU; $caller = "1"; $display_name = ""; reply(200); }'
    context = run_route(text)
    assert (context.callee, context.caller) == ("008613800138000", "1")


def test_variables_of_the_call_have_a_value_before_they_are_assigned() -> None:
    text = """
    request_route { reply(200); }
    end_route {
        log(info, str($call.n) + $call.s + str($call.b));
        if ($rs == 486) { $call.n = 5; $call.s = "x"; $call.b = true; }
        log(info, str($call.n) + $call.s + str($call.b));
    }
    """
    context = run_route(text, ("end_route", ""))
    assert [entry[2] for entry in context.done] == ["0false", "5xtrue"]
    assert context.variables == {"n": 5, "s": "x", "b": True}


def test_the_type_of_a_variable_comes_from_its_first_assignment_in_the_text() -> None:
    text = """
    request_route { route(LATER); reply(200); }
    end_route { log(info, "n = " + str($call.n + 1)); }
    route[LATER] { $call.n = 41; }
    """
    compiled = handlers(text)
    context = run_route(text)
    compiled["end_route", ""](context)
    assert context.done[-1] == ("log", "info", "n = 42")


CALLS = """
gateway backup { address = 127.0.0.1:5092  prefixes = 86 }
request_route {
    if ($rm == "OPTIONS") reply(200, "Here");
    if ($rm == "ACK") drop;
    route(CALL);
}
route[CALL] {
    if (!identify()) end(IllegalCall);
    call(without(gateways($rU), backup), on_failure = NEXT);
}
failure_route[NEXT] {
    if ($rs in [486, 600, 603]) end(UserBusy);
    if ($rs == 480) end();
    next();
}
"""


def test_actions_reach_the_context_with_their_arguments() -> None:
    assert run_route(CALLS, method="OPTIONS").done == [("reply", 200, "Here")]
    assert run_route(CALLS, method="ACK").done == [("drop",)]
    assert run_route(CALLS, identified=False).done == [("end", "IllegalCall")]
    found = ["<cn>", "<backup>"]
    gateways = [SimpleNamespace(name=name) for name in found]
    context = run_route(CALLS, found=gateways, gateway_named=lambda name: gateways[1])
    assert context.done == [("call_out", [gateways[0]], {"on_failure": "NEXT"})]
    failure = ("failure_route", "NEXT")
    assert run_route(CALLS, failure, reply_code=600).done == [("end", "UserBusy")]
    assert run_route(CALLS, failure, reply_code=480).done == [("end",)]
    assert run_route(CALLS, failure, reply_code=503).done == [("next",)]


def test_a_terminal_action_stops_every_route_on_the_way() -> None:
    text = """
    request_route { route(A); reply(500); }
    route[A] { route(B); log(info, "after B"); }
    route[B] { if ($rU == "1") reply(404); log(info, "B goes on"); }
    """
    assert run_route(text, callee="1").done == [("reply", 404)]
    assert [entry[0] for entry in run_route(text).done] == ["log", "log", "reply"]


def test_exit_and_return_leave_what_they_say() -> None:
    text = """
    request_route { reply(200); }
    branch_route[B] { route(A); log(info, "end of B"); }
    route[A] {
        if ($rU == "1") exit;
        if ($rU == "2") return;
        log(info, "end of A");
    }
    """
    branch = ("branch_route", "B")
    assert run_route(text, branch, callee="1").done == []
    assert [one[2] for one in run_route(text, branch, callee="2").done] == ["end of B"]
    assert [one[2] for one in run_route(text, branch).done] == ["end of A", "end of B"]


VALUES = """
request_route {
    log(info, "before");
    if (route(KNOWN) && $rU != "9") reply(200);
    let kind = route(KIND);
    reply(404, kind);
}
route[KNOWN] {
    if ($rU == "0") reply(484);
    if ($rU == "4") exit;
    route(REFUSE);
    return $rU == "1";
}
route[REFUSE] { if ($rU == "5") drop; }
route[KIND] { return "kind " + $rU; }
"""


@pytest.mark.parametrize(
    ("number", "done"),
    [
        ("1", [("reply", 200)]),
        ("2", [("reply", 404, "kind 2")]),
        ("0", [("reply", 484)]),
        ("4", []),
        ("5", [("drop",)]),
    ],
)
def test_a_route_that_gives_a_value_may_also_end_the_request(
    number: str, done: list[tuple[object, ...]]
) -> None:
    context = run_route(VALUES, callee=number)
    assert context.done == [("log", "info", "before"), *done]
    assert context.ended is True  # type: ignore[attr-defined]


def test_a_route_that_decides_nothing_says_so() -> None:
    text = 'request_route { reply(200); }\nend_route { log(info, "over"); }'
    assert not run_route(text, ("end_route", "")).ended  # type: ignore[attr-defined]


def test_calls_of_routes_and_turns_of_loops_are_steps() -> None:
    text = """
    request_route { route(A); for x in 1..3 { log(info, str(x)); } reply(200); }
    route[A] { route(B); }
    route[B] { log(info, "b"); }
    """
    assert run_route(text).steps == 5


@pytest.mark.parametrize(
    "statements",
    [
        "if ($rs == 1) return; " + "else if ($rs == 2) return; " * 240,
        "log(info, " + " + ".join(['"a"'] * 60) + ");",
        "if (" + " || ".join(["$rs == 1"] * 2000) + ") return;",
        "if ($rs in [" + ", ".join(map(str, range(20_000))) + "]) return;",
        "switch ($rs) {" + "".join(f"case {n}: return;" for n in range(240)) + "}",
        "{" * 60 + 'log(info, "x");' + "}" * 60,
    ],
    ids=["else-if", "concatenation", "or", "list", "cases", "groups"],
)
def test_what_is_long_and_passes_the_check_compiles_and_runs(statements: str) -> None:
    logged(statements, reply_code=0)


@pytest.mark.parametrize(
    "statements",
    [
        "if ($rs == 1) " * 3000 + "return;",
        "if (" + "!" * 3000 + "true) return;",
        "{" * 3000 + "}" * 3000,
        "if ($rs == 1) return; " + "else if ($rs == 2) return; " * 3000,
    ],
    ids=["if", "not", "groups", "else-if"],
)
def test_what_is_too_deep_for_python_is_a_finding(statements: str) -> None:
    text = "request_route { reply(200); }\nend_route {\n" + statements + "\n}"
    assert set(codes(check_text(text))) == {"too-deep"}


def test_a_chain_of_routes_that_python_could_not_call_is_a_finding() -> None:
    text = "request_route { route(R0); reply(200); }\n"
    text += "".join(f"route[R{n}] {{ route(R{n + 1}); }}\n" for n in range(2000))
    assert codes(check_text(text + "route[R2000] { exit; }")).count("too-deep") == 1
