"""Who calls, on the wire: read from the header that a trunk trusts, told to gateways or hidden."""

from __future__ import annotations

import pytest
from harness.routes import Routes
from harness.switch import Switch

ACCOUNTS = """
account acme {
    trunk from_trunk { ips = 127.0.0.1 }
    trunk pai_trunk  { ips = 127.0.0.2  caller_id = pai }
    trunk rpid_trunk { ips = 127.0.0.3  caller_id = rpid }
    trunk pool_trunk { ips = 127.0.0.4  caller_pool = 4930777 }
}
"""
PLAIN, PAI, RPID, POOL = (f"127.0.0.{last}" for last in range(1, 5))
SAID = "P-Asserted-Identity: <sip:4930@example.com>"
SAID_BEFORE = 'Remote-Party-ID: "Alice" <sip:4931@example.com>;party=calling;privacy=off'
SAYS = ("P-Asserted", "Privacy")
HIDDEN = "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>"


@pytest.fixture(scope="module")
def switch(module_switch) -> Switch:
    # The first gateway of a pair is trusted, the second is any carrier.
    return module_switch(
        Routes(
            pairs=10, accounts=ACCOUNTS, first={"trusted": "true"},
            second={"caller_id_out": "pai"},
        ),
    )


@pytest.mark.parametrize(
    ("source", "headers", "caller", "trusted", "told", "untold"),
    [
        (PLAIN, [SAID], "1000", True, ["From: <sip:1000@"], ["sip:4930", "P-Asserted"]),
        (PAI, [SAID], "4930", True, ["From: <sip:4930@"], ["P-Asserted"]),
        (PAI, [SAID], "4930", False, ["From: <sip:4930@", "P-Asserted-Identity: <sip:4930@"], []),
        (RPID, [SAID_BEFORE], "4931", True, ['From: "Alice" <sip:4931@'], ["Remote-Party"]),
        (PAI, [SAID, "Privacy: id"], "4930", True,
         [HIDDEN, "P-Asserted-Identity: <sip:4930@", "Privacy: id"], []),
        (PAI, [SAID, "Privacy: id"], "4930", False, [HIDDEN], ["sip:4930", *SAYS]),
        (PLAIN, ["Privacy: user"], "1000", False, [HIDDEN], ["sip:1000", *SAYS]),
        (RPID, [SAID_BEFORE.replace("off", "full")], "4931", False, [HIDDEN], ["sip:4931", "Ali"]),
        (POOL, [], "1000", True, ["From: <sip:4930777@"], ["sip:1000"]),
    ],
)
def test_a_gateway_is_told_who_calls_as_it_may_know(
    switch: Switch, sipp, source: str, headers: list[str], caller: str, trusted: bool,
    told: list[str], untold: list[str],
) -> None:
    pair = switch.routes.pair()
    if not trusted:
        sipp("gateway_refuses", port=pair.first)
    gateway = sipp("gateway_answers", port=pair.first if trusted else pair.second)
    call_id = f"identity-{pair.prefix}"
    lines = "".join(f"      {header}\n" for header in headers)
    sipp(
        "caller_hangs_up", target=switch.port, number=pair.number, call_id=call_id, ip=source,
        changes={
            "      Max-Forwards: 70\n      Content-Type":
            f"      Max-Forwards: 70\n{lines}      Content-Type"
        },
    ).succeeds()
    gateway.succeeds()
    messages = (gateway.folder / "messages.log").read_text()
    invite = messages[messages.index("INVITE sip:") :].partition("\n\n")[0]
    for text in told:
        assert text in invite, invite
    for text in untold:
        assert text not in invite, invite
    cdr = switch.cdr(call_id)
    assert cdr["caller_in"] == caller
    assert cdr["end_reason"] == "Normal"
    switch.is_idle()
