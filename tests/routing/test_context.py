"""What a route sees and does: facts, numbers, headers, screening. On routes.cfg as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from routed import T0, US, Routed

from router.core.agent import AgentCall, Behaviour
from router.core.flow import Flow
from router.core.verdicts import Dial, End, Respond
from router.routing.context import MAX_ROUTE_LINES, MAX_STEPS, Context, TooManySteps
from router.sip.message import Request, Response, parse_message
from router.sip.uri import uri_user

GATEWAYS = """
gateway g1 { address = 10.0.1.1:5071  prefixes = 86  lines = 4  priority = 1 }
gateway g2 { address = 10.0.1.2:5072  prefixes = 86  priority = 2 }
account acme { lines = 7  trunk office { ips = 192.0.2.0/24  lines = 5 } }
"""
SECRET = "request_route { if (!identify()) end(IllegalCall); %s call(gateways($rU)%s); }"


def routed(route: str = "", call: str = "", more: str = "") -> Routed:
    return Routed(GATEWAYS + more + SECRET % (route, call))


# -- facts ----------------------------------------------------------------------------------------

FACTS = [
    ("$rm", "INVITE"),
    ("$method", "INVITE"),
    ("$ru", "sip:8613800@10.0.0.1:5060"),
    ("$rU", "8613800"),
    ("$callee", "8613800"),
    ("$rd", "10.0.0.1"),
    ("$fu", "sip:1000@192.0.2.10:5060"),
    ("$fU", "1000"),
    ("$caller", "1000"),
    ("$fd", "192.0.2.10"),
    ("$fn", ""),
    ("$tu", "sip:8613800@10.0.0.1:5060"),
    ("$tU", "8613800"),
    ("$td", "10.0.0.1"),
    ("str($si)", "192.0.2.10"),
    ("str($sp)", "5060"),
    ("str($Ri)", "10.0.0.1"),
    ("str($Rp)", "5060"),
    ("$pr", "udp"),
    ("$ua", "Test/1.0"),
    ("str($cs)", "1"),
    ("$ct", "<sip:192.0.2.10:5060>"),
    ("str($max_forwards)", "70"),
    ("$hdr(X-Seen)", "yes"),
    ("$hdr(x-seen)", "yes"),
    ("$hdr(X-Absent)", ""),
    ("$hdr(Subject)", "compact"),
    ("$account.id", "acme"),
    ("str($account.lines)", "7"),
    ("$trunk.id", "office"),
    ("str($trunk.lines)", "5"),
]


@pytest.mark.parametrize(("expression", "value"), FACTS)
def test_a_fact_of_the_request(expression: str, value: str) -> None:
    world = routed(f'add_header("X-Fact", {expression});')
    world.place("8613800", extra="User-Agent: Test/1.0\r\nX-Seen: yes\r\ns: compact\r\n")
    assert world.sent_to("g1").get("x-fact") == value


def test_the_call_id_and_the_body_are_those_of_the_callers_invite() -> None:
    world = routed('add_header("X-Id", $ci); if (len($rb) > 0) add_header("X-Sdp", "some");')
    call = world.place("8613800")
    assert world.sent_to("g1").get("x-id") == call.leg.call_id
    assert world.sent_to("g1").get("x-sdp") == "some"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$gateway.id", "g1"),
        ("str($gateway.lines)", "4"),
        ("str($gateway.priority)", "1"),
        ("$rU", "8613800"),
        ("$fU", "1000"),
    ],
)
def test_a_fact_of_the_attempt(expression: str, value: str) -> None:
    world = routed(
        call=", on_branch = B", more=f'branch_route[B] {{ add_header("X-Fact", {expression}); }}\n'
    )
    world.place("8613800")
    assert world.sent_to("g1").get("x-fact") == value


def test_the_reply_is_seen_in_reply_and_failure_route_and_at_the_end() -> None:
    world = routed(
        call=", on_reply = R, on_failure = F",
        more=(
            'reply_route[R] { log(info, "reply " + str($rs) + " " + $rr + " " + $hdr(X-Why)); }\n'
            'failure_route[F] { log(info, "failure " + str($rs) + " " + $rr + " " + $gateway.id);'
            " next(); }\n"
            'end_route { log(info, "end " + str($rs) + " " + $gateway.id); }\n'
        ),
    )
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.behaviours["g2"] = Behaviour(extra="X-Why: because\r\n")
    world.place("8613800")
    assert [text for _, text, _ in world.lines] == [
        "reply 503 Service Unavailable ", "failure 503 Service Unavailable g1",
        "reply 180 Ringing ", "reply 200 OK because", "end 200 g2",
    ]


def test_what_a_failure_route_changes_goes_to_the_gateways_that_follow() -> None:
    world = routed(
        call=", on_branch = B, on_failure = F",
        more=(
            'branch_route[B] { if ($gateway.id == "g1") $rU = "00" + $rU; }\n'
            "failure_route[F] {\n"
            '    $rU = $rU + "9"; $fU = "2000"; $fn = "Again"; $rd = "example.com";\n'
            '    set_header("X-After", $gateway.id);\n'
            '    if ($rd == "example.com" && $fn == "Again") add_header("X-Read", $rU + $fU);\n'
            "    next();\n}\n"
        ),
    )
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.place("8613800")
    first, second = world.sent_to("g1"), world.sent_to("g2")
    assert (uri_user(first.uri), first.has("x-after")) == ("008613800", False)
    assert second.uri == "sip:86138009@example.com"
    assert second.get("from").startswith("Again <sip:2000@")
    assert (second.get("x-after"), second.get("x-read")) == ("g1", "861380092000")


def test_what_a_reply_route_sets_is_in_the_response_that_the_caller_gets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: dict[int, Response] = {}
    hear = AgentCall.on_response

    def on_response(call: AgentCall, client: Any, response: Response) -> None:
        heard[response.status] = response
        hear(call, client, response)

    monkeypatch.setattr(AgentCall, "on_response", on_response)
    world = routed(
        call=", on_reply = R",
        more=(
            "reply_route[R] {\n"
            '    if ($rs == 180) add_header("X-Rings", $gateway.id);\n'
            '    if ($rs == 200) { set_header("X-Why", "ours"); remove_header("X-Secret"); }\n'
            "}\n"
        ),
    )
    world.behaviours["g1"] = Behaviour(extra="X-Why: theirs\r\nX-Secret: 1\r\nX-Pass: on\r\n")
    world.place("8613800")
    assert heard[180].get_all("x-rings") == ["g1"]
    answer = heard[200]
    assert answer.get_all("x-why") == ["ours"]
    assert (answer.has("x-rings"), answer.has("x-secret"), answer.get("x-pass")) == (
        False, False, "on",
    )


def test_the_status_of_a_timeout_is_that_of_its_reason() -> None:
    world = routed(
        call=", on_failure = F", more='failure_route[F] { log(info, str($rs)); next(); }\n'
    )
    world.behaviours["g1"] = Behaviour(silent=True)
    world.place("8613800")
    assert [text for _, text, _ in world.lines] == ["504"]


# -- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "sent"),
    [
        ("sip.example.com", "sip.example.com"), ("192.0.2.1:5080", "192.0.2.1:5080"),
        ("[2001:db8::1]", "[2001:db8::1]"), ("", "10.0.1.1:5071"),
        ("a>b", "10.0.1.1:5071"), ("a b", "10.0.1.1:5071"), ("a:b", "10.0.1.1:5071"),
        ("h;lr", "10.0.1.1:5071"), ("u@h", "10.0.1.1:5071"), ("\u00e9", "10.0.1.1:5071"),
    ],
)
def test_a_domain_is_a_host_or_is_passed_over(domain: str, sent: str) -> None:
    world = routed("$rd = $hdr(X-D);")
    world.place("8613800", extra=f"X-D: {domain}\r\n")
    assert world.sent_to("g1").uri == f"sip:8613800@{sent}"
    warned = [text for level, text, _ in world.lines if level == "warning"]
    wrong = domain and sent == "10.0.1.1:5071"
    assert warned == ([f'$rd cannot be "{domain}", which is no host'] if wrong else [])


@pytest.mark.parametrize("name", ["From", "v", "call-id", "Content-Length", "X Y", "X:", "", "é"])
def test_the_routers_own_headers_are_not_a_routes_to_change(name: str) -> None:
    world = routed(
        'let name = $hdr(X-Name); set_header(name, "x"); add_header(name, "y");'
        " remove_header(name);"
    )
    call = world.place("8613800", extra=f"X-Name: {name}\r\n")
    assert call.status == 200
    assert {text for level, text, _ in world.lines if level == "warning"} == {
        f'no route can change the header "{name}"'
    }
    invite = world.sent_to("g1")
    for own in ("from", "via", "call-id", "content-length"):
        assert len(invite.get_all(own)) == 1


def test_numbers_changed_in_request_route_go_to_every_gateway() -> None:
    world = routed('$rU = "86" + substr($rU, 2); $fU = "9" + $fU; $fn = "Acme";')
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.place("0013800")
    for name, port in (("g1", 5071), ("g2", 5072)):
        invite = world.sent_to(name)
        assert invite.uri == f"sip:8613800@10.0.1.{name[1]}:{port}"
        assert invite.get("from").startswith("Acme <sip:91000@10.0.0.1:5060>")
    assert (world.cdr.callee_in, world.cdr.caller_in) == ("0013800", "1000")
    assert (world.cdr.callee_out, world.cdr.caller_out) == ("8613800", "91000")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Front desk", "Front desk <sip:"), ("Acme, Inc.", '"Acme, Inc." <sip:'),
        (r"\"Acme, Inc.\"", '"Acme, Inc." <sip:'), (r"a\" <sip:b>", r'"a\" <sip:b>" <sip:'),
        (r"\"open", r'"\"open" <sip:'), ("a\\nb", "a b <sip:"), ("", "<sip:"),
    ],
)
def test_a_display_name_is_quoted_where_it_has_to_be(name: str, sent: str) -> None:
    world = routed(f'$fn = "{name}";')
    world.place("8613800")
    assert world.sent_to("g1").get("from").startswith(sent)


@pytest.mark.parametrize(
    ("number", "read", "sent"),
    [
        ("%2386%2A", "#86*", "%2386*"),
        ("8%36", "86", "86"),
        ("86%C3%A9", "86é", "86%C3%A9"),
        ("86%2523", "86%2523", "86%2523"),  # "%23" would be read as an escape when it is sent
        ("86%FF", "86%FF", "86%FF"),
        ("86%0D%0AX%20y", "86%0D%0AX%20y", "86%0D%0AX%20y"),
        ("86%1B[2J", "86%1B[2J", "86%1B%5B2J"),
        ("86;isub=1", "86;isub=1", "86;isub=1"),
    ],
)
def test_numbers_are_text_inside_and_escaped_on_the_wire(number: str, read: str, sent: str) -> None:
    world = Routed(
        'gateway g1 { address = 10.0.1.1:5071  prefixes = 86, "#86" }\n'
        'request_route { set_header("X-Read", $rU + "|" + $tU); call(gateways($rU)); }'
    )
    world.place(number)
    invite = world.sent_to("g1")
    assert invite.get("x-read") == f"{read}|{read}"
    assert uri_user(invite.uri) == sent
    assert invite.get("to") == f"<sip:{sent}@10.0.1.1:5071>"
    assert world.cdr.callee_in == read


def test_a_number_made_of_anything_stays_a_number() -> None:
    world = routed(call=", on_branch = B", more="branch_route[B] { $rU = $hdr(X-N); $fU = $rU; }\n")
    world.place("8613800", extra="X-N: #21#@1.2.3.4> x\r\n")
    invite = world.sent_to("g1")
    assert invite.uri == "sip:%2321%23%401.2.3.4%3E%20x@10.0.1.1:5071"
    assert invite.get("from").startswith("<sip:%2321%23%401.2.3.4%3E%20x@10.0.0.1:5060>;tag=")


def test_numbers_changed_in_branch_route_go_to_that_gateway_alone() -> None:
    world = routed(
        call=", on_branch = B",
        more='branch_route[B] { if ($gateway.id == "g1") { $rU = "00" + $rU; $rd = "sip.x"; } }\n',
    )
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.place("8613800")
    assert world.sent_to("g1").uri == "sip:008613800@sip.x"
    assert world.sent_to("g2").uri == "sip:8613800@10.0.1.2:5072"


# -- headers --------------------------------------------------------------------------------------


def test_headers_are_added_set_and_removed() -> None:
    world = routed(
        'add_header("X-New", "1"); add_header("X-New", "2"); set_header("X-Set", "new");'
        'remove_header("X-Gone"); set_header("Subject", "long"); add_header("X-Undone", "1");'
        'remove_header("x-undone");'
    )
    world.place(
        "8613800", extra="X-Set: old\r\nx-gone: 1\r\nX-Gone: 2\r\ns: compact\r\nX-Kept: 1\r\n"
    )
    invite = world.sent_to("g1")
    assert invite.get_all("x-new") == ["1", "2"]
    assert invite.get_all("x-set") == ["new"]
    assert invite.get_all("subject") == ["long"]
    assert not invite.has("x-gone")
    assert not invite.has("x-undone")
    assert invite.get("x-kept") == "1"


def test_headers_of_an_attempt_come_on_top_of_those_of_the_call() -> None:
    world = routed(
        'add_header("X-Call", "1"); remove_header("X-Gone");', ", on_branch = B",
        'branch_route[B] { add_header("X-Branch", $gateway.id); remove_header("X-Call"); }\n',
    )
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.place("8613800", extra="X-Gone: 1\r\n")
    for name in ("g1", "g2"):
        invite = world.sent_to(name)
        assert invite.get_all("x-branch") == [name]
        assert not invite.has("x-call")
        assert not invite.has("x-gone")


def test_no_value_can_begin_a_header_of_its_own() -> None:
    """A route makes values of what a peer sent, line ends and all: each stays one line."""
    world = routed('add_header("X-A", $rb); $fn = $rb; $fU = "1" + $rb;')
    world.place("8613800", body=b"one\r\nX-Injected: 1\n\nbody")
    invite = world.sent_to("g1")
    assert not invite.has("x-injected")
    assert invite.get("x-a") == "one  X-Injected: 1  body"
    assert "X-Injected: 1" in invite.get("from")


def test_a_reply_of_a_route_has_one_line_of_reason() -> None:
    world = Routed(GATEWAYS + 'request_route { reply(403, "no\\nX-Injected: 1"); }')
    world.engine.receive(
        b"INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n"
        b"From: <sip:bob@x>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 4 INVITE\r\n\r\n",
        Flow("udp", "192.0.2.10", 5060, 0), world.network.now,
    )
    while ops := world.engine.take_ops():
        world.engine.on_committed(world.store.commit(ops, T0), T0)
    ((answer, _),) = world.engine.take_sends()
    assert answer.startswith(b"SIP/2.0 403 no X-Injected: 1\r\n")


# -- who, and screening ---------------------------------------------------------------------------


def test_an_unknown_source_is_an_illegal_call() -> None:
    world = Routed(GATEWAYS.replace("192.0.2.0", "198.51.100.0") + SECRET % ("", ""))
    call = world.place("8613800")
    assert call.status == 403
    assert (world.cdr.end_reason, world.cdr.account) == ("IllegalCall", "")


def test_the_cdr_names_account_trunk_and_configuration() -> None:
    world = routed()
    world.place("8613800")
    assert (world.cdr.account, world.cdr.trunk) == ("acme", "office")
    assert world.cdr.config == world.program.hash


@pytest.mark.parametrize(
    ("settings", "callee", "caller", "status", "reason"),
    [
        ("number_length = 5-8", "8613", "1000", 484, "CalledNumberRestricted"),
        ("number_length = 5-8", "861380000", "10000", 403, "CalledNumberRestricted"),
        ("number_length = 5-8", "86138", "1000", 403, "CallerNumberRestricted"),
        ("number_length = 5-8", "86138", "100000000", 403, "CallerNumberRestricted"),
        ("number_length = 5-8", "86138", "10000", 200, "Normal"),
        ("number_length = 5-8", "86138000", "10000000", 200, "Normal"),
        ("", "86" + "1" * 31, "1000", 403, "CalledNumberRestricted"),
    ],
)
def test_numbers_are_screened_by_length(
    settings: str, callee: str, caller: str, status: int, reason: str
) -> None:
    world = Routed(GATEWAYS.replace("lines = 5", f"lines = 5 {settings}") + SECRET % ("", ""))
    call = world.place(callee, caller)
    assert (call.status, world.cdr.end_reason) == (status, reason)


@pytest.mark.parametrize(
    ("settings", "status", "reason"),
    [
        ("status = locked", 403, "AccountLocked"),
        ("expires = 2023-11-13", 403, "AccountExpired"),
        ("expires = 2023-11-14", 200, "Normal"),
        ("status = active", 200, "Normal"),
        ("status = locked  expires = 2000-01-01", 403, "AccountLocked"),
    ],
)
def test_an_account_that_is_locked_or_expired_may_not_call(
    settings: str, status: int, reason: str
) -> None:
    """The world's time is 2023-11-14."""
    world = Routed(GATEWAYS.replace("lines = 7", f"lines = 7 {settings}") + SECRET % ("", ""))
    call = world.place("8613800")
    assert (call.status, world.cdr.end_reason) == (status, reason)


def test_a_single_gateway_can_be_called() -> None:
    world = Routed(GATEWAYS + "request_route { if (!identify()) end(IllegalCall); call(g2); }")
    world.place("4930")
    assert world.cdr.gateway == "g2"
    assert world.cdr.decision[1:] == ["candidates: g2", "g2: taken"]


def test_a_number_that_no_gateway_serves_is_not_found() -> None:
    world = routed()
    call = world.place("4930")
    assert call.status == 404
    assert world.cdr.end_reason == "NotFound"
    assert world.cdr.decision == [
        "trunk acme/office: network 192.0.2.0/24", "no gateway has a prefix of 4930",
    ]


def test_without_takes_a_gateway_out() -> None:
    world = Routed(
        GATEWAYS + "request_route { if (!identify()) end(IllegalCall);"
        " call(without(gateways($rU), g1)); }"
    )
    world.place("8613800")
    assert world.cdr.gateway == "g2"


def test_lines_of_account_and_trunk_are_held() -> None:
    world = routed()
    world.caller.place("8613800", "1000", Flow("udp", *US, 0), hang_up_after_ms=5_000)
    world.network.run_for(100)
    usages = world.store.usages("")
    assert {key: usage.in_use for key, usage in usages.items() if usage.in_use} == {
        "account:acme": 1, "gateway:g1": 1, "trunk:acme/office": 1,
    }
    world.network.run_for(60_000)
    assert world.store.verify() == []


# -- by itself ------------------------------------------------------------------------------------


def options() -> Request:
    message = parse_message(
        b"OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n"
        b"From: \"Bob\" <sip:bob@x.example>;tag=1\r\nTo: <tel:+4930>\r\nCall-ID: c\r\n"
        b"CSeq: 4 OPTIONS\r\n\r\n"
    )
    assert isinstance(message, Request)
    return message


@pytest.fixture
def context() -> Context:
    world = routed()
    flow = Flow("udp", "192.0.2.10", 5060, 0)
    return Context(world.config, world.meter, options(), flow, None, world.engine)


def test_a_request_that_is_no_call_has_its_facts_too(context: Context) -> None:
    assert (context.method, context.caller, context.display_name) == ("OPTIONS", "bob", '"Bob"')
    assert (context.to_user, context.to_domain, context.callee) == ("+4930", "", "")
    assert (context.reply_code, context.reply_reason, context.max_forwards) == (0, "", 70)
    assert context.gateway.id == ""


def test_what_only_a_call_can_do_leaves_other_requests_as_they_are(context: Context) -> None:
    context.callee = context.caller = context.uri_domain = context.display_name = "x"
    context.add_header("X-A", "1")
    context.set_header("X-A", "1")
    context.remove_header("X-A")
    context.call_out([])
    assert isinstance(context.verdict, Respond)
    assert context.verdict.status == 405
    assert context.identify()
    assert context.caller == "bob"


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (lambda c: c.reply(480, "Gone"), Respond),
        (lambda c: c.end("UserBusy"), End),
        (lambda c: c.end(), End),
    ],
)
def test_an_action_leaves_its_verdict(
    context: Context, act: Callable[[Context], Any], kind: type
) -> None:
    act(context)
    assert isinstance(context.verdict, kind)


def test_a_dial_carries_what_the_configuration_says() -> None:
    world = Routed("max_attempts = 3\nringing_timeout = 9s\n" + GATEWAYS + SECRET % ("", ""))
    seen: list[Dial] = []
    invite = world.switch.invite

    def watch(call: Any) -> Any:
        verdict = invite(call)
        assert isinstance(verdict, Dial)
        seen.append(verdict)
        return verdict

    world.switch.invite = watch  # type: ignore[method-assign]
    world.place("8613800")
    (dial,) = seen
    assert dial.max_attempts == 3
    assert {timers.ringing_ms for timers in dial.timers.values()} == {9_000}
    assert [[one.key for one in tier] for tier in dial.tiers] == [["gateway:g1"], ["gateway:g2"]]


def test_a_loop_without_end_is_stopped(context: Context) -> None:
    for _ in range(MAX_STEPS):
        context.step()
    with pytest.raises(TooManySteps, match="loop"):
        context.step()


# -- redirection and metrics ----------------------------------------------------------------------


def refusal(world: Routed) -> Any:
    """The response that the caller got."""
    (sent,) = [
        parse_message(wire.data)
        for wire in world.network.wires
        if wire.data.startswith(b"SIP/2.0 3")
    ]
    return sent


@pytest.mark.parametrize(
    ("uris", "contacts"),
    [
        ('"sip:1@192.0.2.1"', ["<sip:1@192.0.2.1>"]),
        ('"sip:1@192.0.2.1", "tel:+861"', ["<sip:1@192.0.2.1>;q=1.000", "<tel:+861>;q=0.900"]),
        ('$hdr(X-To) + "@192.0.2.1"', ["<sip:a%20b%3Ec%3C@192.0.2.1>"]),
    ],
)
def test_a_call_is_redirected(uris: str, contacts: list[str]) -> None:
    world = Routed(GATEWAYS + f"request_route {{ redirect({uris}); }}")
    world.network._record = True
    call = world.place("8613800", extra="X-To: a b>c<\r\n")
    assert call.status == 302
    assert refusal(world).get_all("contact") == contacts
    assert (world.cdr.end_reason, world.cdr.sip_code) == ("ScriptRejected", 302)
    assert world.cdr.decision[0].startswith("redirected to ")


def test_any_other_request_is_redirected_too(context: Context) -> None:
    context.redirect("sip:1@192.0.2.1", "2@192.0.2.2")
    verdict = context.verdict
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.extra.count("Contact: <sip:")) == (302, 2)


def test_routes_count_what_they_like() -> None:
    world = routed(
        'count("plain"); count("calls", trunk = $trunk.id, code = 7, vip = true);'
        'count("calls", vip = true, code = 7, trunk = $trunk.id);'
    )
    world.place("8613800")
    assert world.tally.counted == {
        (("plain", ()), ()): 1,
        (("calls", ("code", "trunk", "vip")), ("7", "office", "true")): 2,
    }


def test_series_beyond_the_budget_are_other_and_said_once() -> None:
    world = routed('count("numbers", dialled = $rU);', more="script_metric_series = 2\n")
    for number in range(5):
        world.place(f"861380{number}")
    metric = ("numbers", ("dialled",))
    assert world.tally.counted == {
        (metric, ("8613800",)): 1, (metric, ("8613801",)): 1, (metric, ("other",)): 3,
    }
    said = [fields for _, event, fields in world.engine.logs if "no series left" in event]
    assert said == [{"metric": "numbers", "had": 2}]


def test_a_cdr_tells_the_lines_that_its_call_went_by() -> None:
    world = Routed(
        GATEWAYS
        + """
request_route {
    if (!identify()) end(IllegalCall);
    if ($rU =~ /^86/) {
        call(gateways($rU), on_failure = NEXT);
    }
    end(NotFound);
}
failure_route[NEXT] {
    if ($rs == 486) end(UserBusy);
    next();
}
"""
    )
    world.behaviours["g1"] = Behaviour(status=503, ring_after_ms=None)
    world.behaviours["g2"] = Behaviour(status=486)
    world.place("8613800")
    assert world.cdr.route_lines == ["request_route:10", "NEXT:16", "NEXT:15"]


def test_the_lines_on_a_cdr_are_bounded() -> None:
    branches = " ".join(f'if ($rU != "{number}")\n log(debug, "x");' for number in range(60))
    world = routed(branches)
    world.place("8613800")
    lines = world.cdr.route_lines
    assert len(lines) == len(set(lines)) == MAX_ROUTE_LINES
