"""`trunkline explain` after real failures: calls of SIPp, and the sentence that tells why."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from harness.ports import wait_until
from harness.routes import ACME, STRANGER, Routes
from harness.switch import Switch

STRICT, LOCKED, GONE, BROKE, PREPAID = (f"127.0.0.{host}" for host in range(10, 15))
BARRED, BELOW, SMALL, FAST, SHORT = (f"127.0.0.{host}" for host in range(15, 20))

ACCOUNTS = f"""
deck retail {{ file = "retail.csv" }}
deck vendor {{ file = "vendor.csv" }}
account acme    {{ trunk office {{ ips = {ACME} }} }}
account strict  {{ trunk door {{ ips = {STRICT}  number_length = 3-12  callee_deny = 70009
                                caller_deny = 1000666 }} }}
account owes    {{ status = locked  trunk shop {{ ips = {LOCKED} }} }}
account gone    {{ expires = 2025-12-31  trunk shop {{ ips = {GONE} }} }}
account broke   {{ deck = retail  balance = 0.01  trunk shop {{ ips = {BROKE} }} }}
account prepaid {{ deck = retail  balance = 1  reserve_minutes = 0
                   trunk shop {{ ips = {PREPAID} }} }}
account barred  {{ deck = retail  permit = local  trunk shop {{ ips = {BARRED} }} }}
account below   {{ agent = owes  trunk shop {{ ips = {BELOW} }} }}
account small   {{ lines = 1  trunk shop {{ ips = {SMALL} }} }}
account fast    {{ cps = 1  trunk shop {{ ips = {FAST} }} }}
account short   {{ trunk shop {{ ips = {SHORT}  max_duration = 1s }} }}
account home {{
    phone 1001 {{ password = "another"  forward_always = "1002" }}
    phone 1002 {{ password = "secret"  forward_offline = "1001" }}
    phone 1003 {{ password = "secret" }}
}}
gateway dear {{ address = 127.0.0.1:9  prefixes = 33  deck = vendor  max_rate = 0.01 }}
gateway loss {{ address = 127.0.0.1:9  prefixes = 49  deck = vendor  min_margin = 90 }}
"""
POLICY = """
request_route {
    if ($rm == "OPTIONS") reply(200);
    if ($rU == "777") reply(480, "Not Today");
    if (!identify()) end(IllegalCall);
    if ($rU == "778") end(CalledNumberRestricted);
    if ($rU =~ /^100./) call(phone($rU));
    call(gateways($rU), on_failure = NEXT);
}
failure_route[NEXT] {
    next();
}
"""
FILES = {
    "retail.csv": "prefix,rate_per_min,first_s,cycle_s,kind\n"
                  "7,60,1,1,national\n49,60,1,1,national\n",
    "vendor.csv": "prefix,rate_per_min\n33,0.50\n49,0.01\n",
}
TIMES = {"invite_timeout": "600ms", "trying_timeout": "700ms", "ringing_timeout": "900ms"}


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    routes = Routes(pairs=40, accounts=ACCOUNTS, policy=POLICY, first=TIMES, second=TIMES)
    routes.settings = {"block_after": "1"}
    switch = module_switch(routes, start=False)
    for name, text in FILES.items():
        (switch.folder / name).write_text(text)
    return switch.start()


class Failure(NamedTuple):
    """A call of SIPp's: what the gateways play, what the caller is told, what has to be said."""

    name: str
    reason: str
    says: str
    status: int = 503
    first: str = ""
    """What the preferred gateway plays; a number: it refuses with that status."""
    second: str = ""
    source: str = ACME
    number: str = ""
    caller: str = "caller_is_refused"
    changes: tuple[tuple[str, str], ...] = ()
    """Texts of the caller's scenario, each with what stands in its place."""
    hold_ms: int = 100


RINGS = "gateway_rings"
FROM = "From: <sip:1000@[local_ip]:[local_port]>;tag=c[pid]-[call_number]\n"
TO = "      To: <sip:[service]@[remote_ip]:[remote_port]>\n"
FAILURES = [
    Failure("stranger", "IllegalCall", f"{STRANGER} is no customer's address.", 403,
            source=STRANGER),
    Failure("no prefix", "NotFound", "No gateway has a prefix that 5551 begins with.", 404,
            number="5551"),
    Failure("busy", "UserBusy", "Gateway FIRST says that the called party is busy: it answered 486",
            486, "486"),
    Failure("unknown there", "NotFound", "Gateway FIRST does not know the number: it answered 404",
            404, "404"),
    Failure("unreachable", "CalledNotOnline",
            "Gateway FIRST says that the called party cannot be reached: it answered 480", 480,
            "480"),
    Failure("no codec", "CodecMismatch",
            "Gateway FIRST takes none of the codecs that were offered: it answered 488", 488,
            "488"),
    Failure("refused", "GatewayRejected(403)", "Gateway FIRST refused the call: it answered 403",
            403, "403"),
    Failure("both fail", "NoAvailableRouter", "Every gateway that was tried failed: FIRST (500 "
            "Server Internal Error), SECOND (503 Service Unavailable).", 503, "500", "503"),
    Failure("only tries", "ProceedingTimeout", "Gateway SECOND took the call but did not ring "
            "within 7", 504, "gateway_only_tries", "gateway_only_tries"),
    Failure("rings on", "ResponseTimeout", "Gateway FIRST rang for 9", 408, RINGS),
    Failure("given up while it rings", "Cancelled", "while gateway FIRST rang for", 487, RINGS,
            caller="caller_cancels"),
    Failure("given up before it rings", "Cancelled", "gateway FIRST had not rung yet", 487,
            "gateway_only_tries", caller="caller_cancels_early"),
    Failure("locked", "AccountLocked", "account owes is locked", 403, source=LOCKED),
    Failure("agent locked", "AccountLocked", "agent owes of account below is locked", 403,
            source=BELOW),
    Failure("expired", "AccountExpired", "account gone was valid until 2025-12-31", 403,
            source=GONE),
    Failure("no rate", "RateNotFound", "retail", 403, source=PREPAID, number="331234"),
    Failure("no money", "InsufficientBalance", "Account broke could not give", 402, source=BROKE),
    Failure("kind of call", "CallNotPermitted", "is national, account barred permits local", 403,
            source=BARRED),
    Failure("too dear", "NoAvailableRouter", "could not take the call: dear: ", 503,
            number="331234"),
    Failure("no margin", "NoAvailableRouter", "could not take the call: loss: ", 503,
            source=PREPAID, number="491234"),
    Failure("called number", "CalledNumberRestricted", "callee 70009123", 403, source=STRICT,
            number="70009123"),
    Failure("too short", "CalledNumberRestricted", "callee 70 is shorter than 3", 484,
            source=STRICT, number="70"),
    Failure("calling number", "CallerNumberRestricted", "caller 1000666", 403, source=STRICT,
            changes=((FROM + TO, FROM.replace("1000", "1000666") + TO),)),
    Failure("a route replies", "ScriptRejected", "Line POLICY+3 of routes.cfg ended the call", 480,
            number="777"),
    Failure("a route ends", "CalledNumberRestricted", "Line POLICY+5 of routes.cfg ended the call",
            403, number="778"),
    Failure("offline", "CalledNotOnline", "phone 1003: not registered", 480, number="1003"),
    Failure("round", "ForwardingLoop", "forwarding goes round: 1001 > 1002 > 1001", 482,
            number="1001"),
    Failure("hops", "ForwardingLoop", "its Max-Forwards was used up", 483,
            changes=(("Max-Forwards: 70\n      Content-T", "Max-Forwards: 0\n      Content-T"),)),
]


def gateway(sipp, scenario: str, port: int) -> None:
    """A gateway that plays a scenario, or refuses with a status ("486")."""
    if scenario.isdigit():
        refusal = {"503 Service Unavailable": f"{scenario} No"}
        sipp("gateway_refuses", port=port, changes=refusal)
    elif scenario:
        sipp(scenario, port=port)


def explained(switch: Switch, call_id: str) -> str:
    """What a person reads of the call, its lines put together."""
    found = switch.cdr(call_id)
    shown = switch.command("explain", found["id"], "--state", str(switch.state))
    assert shown.returncode == 0, shown.stderr
    assert all(len(line) <= 100 for line in shown.stdout.splitlines())
    return " ".join(shown.stdout.split())


@pytest.mark.parametrize("failure", FAILURES, ids=[one.name for one in FAILURES])
def test_the_sentence_names_the_true_cause(switch: Switch, sipp, failure: Failure) -> None:
    pair = switch.routes.pair()
    gateway(sipp, failure.first, pair.first)
    gateway(sipp, failure.second, pair.second)
    call_id = failure.name.replace(" ", "-")
    changes = dict(failure.changes)
    if failure.caller == "caller_is_refused":
        changes['response="404"'] = f'response="{failure.status}"'
    sipp(
        failure.caller, target=switch.port, ip=failure.source, call_id=call_id,
        number=failure.number or pair.number, hold_ms=failure.hold_ms, changes=changes,
    ).succeeds()
    says = failure.says.replace("FIRST", pair.first_name).replace("SECOND", pair.second_name)
    if "POLICY+" in says:
        head, _, rest = says.partition("POLICY+")
        lines = switch.file.read_text().splitlines()
        number, _, rest = rest.partition(" ")
        says = f"{head}{lines.index('request_route {') + int(number)} {rest}"
    told = explained(switch, call_id)
    assert f"{failure.reason}: " in told
    assert says in told
    assert "What to do" in told
    assert re.search(r"It went by these lines of the routes: request_route [\d, ]+", told)


def refused(sipp, switch: Switch, number: str, call_id: str, status: int, ip: str = ACME) -> None:
    """A call that is refused with this status."""
    sipp(
        "caller_is_refused", target=switch.port, number=number, call_id=call_id, ip=ip,
        changes={'response="404"': f'response="{status}"'},
    ).succeeds()


def test_gateways_that_do_not_answer(switch: Switch, sipp, peer) -> None:
    pair = switch.routes.pair()
    _deaf = peer(pair.first), peer(pair.second)
    refused(sipp, switch, pair.number, "deaf", 504)
    told = explained(switch, "deaf")
    names = f"gateways {pair.first_name}, {pair.second_name}"
    assert f"ConnectionTimeout: No answer at all came from {names}, although we waited 6" in told


def test_a_gateway_that_is_not_there(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    refused(sipp, switch, pair.number, "closed", 504)
    told = explained(switch, "closed")
    nobody = "cannot be reached: nothing listens at its address"
    assert f"ConnectionTimeout: Gateway {pair.first_name} {nobody}" in told
    assert f"Gateway {pair.second_name} {nobody}" in told


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (SMALL, "Every line of account small was in use."),
        (FAST, "Account fast had used up its calls per second."),
    ],
    ids=["lines", "calls per second"],
)
def test_limits_of_an_account(switch: Switch, sipp, source: str, says: str) -> None:
    pair = switch.routes.pair()
    sipp("gateway_answers", port=pair.first)
    talking = sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, ip=source,
        call_id=f"first-{source}", hold_ms=800,
    )
    wait_until(lambda: switch.in_use(), "the first call goes on")
    refused(sipp, switch, pair.number, f"second-{source}", 503, source)
    talking.succeeds()
    told = explained(switch, f"second-{source}")
    assert f"ConnectionLimitExceeded: {says}" in told


@pytest.mark.parametrize(
    ("source", "reason", "says"),
    [
        (PREPAID, "InsufficientBalance", "The credit of account prepaid was used up"),
        (SHORT, "SessionTimeout", "The call was ended: its longest duration, 1 s, was over."),
    ],
    ids=["money", "duration"],
)
def test_calls_that_are_cut_off(
    switch: Switch, sipp, source: str, reason: str, says: str
) -> None:
    pair = switch.routes.pair()
    sipp("gateway_answers", port=pair.first)
    sipp(
        "caller_is_hung_up_on", target=switch.port, number=pair.number, ip=source,
        call_id=f"cut-{source}",
    ).succeeds()
    told = explained(switch, f"cut-{source}")
    assert f"{reason}: {says}" in told
    assert "Bill" in told


def test_a_wrong_password(switch: Switch, sipp) -> None:
    pair = switch.routes.pair()
    sipp(
        "phone_calls", target=switch.port, ip="127.0.0.20", number=pair.number, call_id="guess",
    ).wait()
    told = explained(switch, "guess")
    assert "AuthFailed: " in told
    assert "1001" in told and "password" in told
