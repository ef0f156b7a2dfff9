"""`trunkline route`: the lines that were run, sentences that fit the terminal, JSON, live state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.admin.route_lines import LineTrace
from router.cli.route import route
from router.store.live import LmdbLive
from router.store.objects import AuditRow, LmdbObjects, Lock
from router.store.ops import Admit, Bind, Candidate, GatewayState
from router.store.records import CallRecord, Contact

ROUTES = """\
gateway mobile { address = 127.0.0.1:5091  prefixes = 8613  lines = 1 }
gateway backup { address = 127.0.0.1:5092  prefixes = 86 }
account acme { trunk office { ips = 127.0.0.1 } }
request_route {
    if ($ua == "scanner") drop;
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "INVITE":
            if (route(KNOWN)) {
                route(CALL);
            } else {
                end(IllegalCall);
            }
        default: reply(405);
    }
}
route[KNOWN] { return identify(); }
route[CALL] {
    let turns = 0;
    while (turns < 2) { turns = turns + 1; }
    for digit in ["1", "2"] {
        if ($fU == digit) $fU = "3";
    }
    call(
        gateways($rU),
        on_branch = OUT
    );
}
branch_route[OUT] { set_header("X-Account", $account.id); }
"""
ROW = tuple[str, int, "bool | None"]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Asks about a call; the exit code and what was printed."""
    file = tmp_path / "routes.cfg"

    def run(text: str = ROUTES, **more: Any) -> tuple[int, str, str]:
        file.write_text(text)
        more = {"source": "127.0.0.1", "caller": "1000", "callee": "8613800138000", **more}
        code = route(file, **more)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def rows(ask: Callable[..., tuple[int, str, str]], **more: Any) -> list[ROW]:
    code, out, _ = ask(as_json=True, **more)
    assert code == 0
    return [(one["route"], one["line"], one["met"]) for one in json.loads(out)["route"]]


def test_the_route_is_told_line_by_line_with_its_conditions(
    ask: Callable[..., tuple[int, str, str]],
) -> None:
    assert rows(ask) == [
        ("request_route", 5, False),
        ("request_route", 6, None),
        ("request_route", 7, False),
        ("request_route", 8, True),
        ("request_route", 9, True),
        ("route[KNOWN]", 17, None),
        ("request_route", 10, None),
        ("route[CALL]", 19, None),
        ("route[CALL]", 20, True),
        ("route[CALL]", 20, True),
        ("route[CALL]", 20, False),
        ("route[CALL]", 21, None),
        ("route[CALL]", 22, False),
        ("route[CALL]", 21, None),
        ("route[CALL]", 22, False),
        ("route[CALL]", 21, None),
        ("route[CALL]", 24, None),
        ("branch_route[OUT]", 29, None),
    ]


def test_a_condition_that_holds_on_its_own_line_is_told_so(
    ask: Callable[..., tuple[int, str, str]],
) -> None:
    assert rows(ask, header=["User-Agent: scanner"]) == [("request_route", 5, True)]
    taken = rows(ask, caller="2")
    assert ("route[CALL]", 22, True) in taken and ("route[CALL]", 22, False) in taken


def test_the_else_of_a_condition(ask: Callable[..., tuple[int, str, str]]) -> None:
    taken = rows(ask, source="10.0.0.1")
    assert taken[4:] == [
        ("request_route", 9, False), ("route[KNOWN]", 17, None), ("request_route", 12, None),
    ]


def test_the_text_fits_80_columns_and_says_everything(
    ask: Callable[..., tuple[int, str, str]],
) -> None:
    long = "x" * 100
    code, out, _ = ask(ROUTES.replace("drop;", f"drop;  # {long}"))
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    for words in (
        "From 127.0.0.1, caller 1000, callee 8613800138000",
        "All lines are taken to be free,",
        'yes     case "INVITE":',
        "The source lies in 127.0.0.1/32 of trunk office, account acme.",
        "1. mobile: taken; prefix 8613, priority 1, 0 of 1 lines in use.",
        "2. backup: next if those before it fail; prefix 86",
        "To mobile at udp:127.0.0.1:5091:",
        "INVITE sip:8613800138000@127.0.0.1:5091",
        "From: <sip:1000@127.0.0.1:5060>",
        "X-Account: acme",
        "The call would go to gateway mobile.",
    ):
        assert words in out, words


def test_the_end_reason_is_explained(ask: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = ask(callee="4930")
    assert code == 0
    assert "- mobile: its prefix 8613 does not begin 4930;" in " ".join(out.split())
    assert "The call would end NotFound (未找到); the caller would get 404 Not Found." in out
    assert "Look first at the gateways' prefixes" in " ".join(out.split())


def test_silence_and_answers_of_the_script_are_told(
    ask: Callable[..., tuple[int, str, str]],
) -> None:
    _, out, _ = ask(header=["User-Agent: scanner"])
    assert "Nothing would be answered: the request is dropped." in out
    assert "The call ended before any gateway was asked for." in out
    _, out, _ = ask('request_route { reply(404, "Who?"); }')
    assert "ScriptRejected" in out and "404 Who?" in out


def test_with_a_state_folder_lines_and_health_are_those_of_now(
    ask: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    store = LmdbLive(state / "live.lmdb", slot=0)
    record = CallRecord(id="000000000001aa00", call_id="x")
    store.commit([Admit(record, (), ((Candidate("gateway:mobile", 1),),))], 1)
    store.close()
    code, out, _ = ask(state=state)
    text = " ".join(out.split())
    assert code == 0
    assert "1. backup: taken; prefix 86" in text
    assert "mobile: full; prefix 8613, priority 1, 1 of 1 lines in use." in text
    assert f"Lines, gateways and balances are as in {state} now." in text
    assert "The call would go to gateway backup." in text
    store = LmdbLive(state / "live.lmdb", slot=0)
    assert store.usage("gateway:mobile").in_use == 1
    assert store.usage("gateway:backup").in_use == 0
    store.commit([GatewayState("gateway:backup", 1 << 60, 5)], 1)
    store.close()
    _, out, _ = ask(state=state)
    assert "NoAvailableRouter" in out


def test_with_a_state_folder_what_operators_have_locked_is_locked(
    ask: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    LmdbLive(state / "live.lmdb", slot=0).close()

    def lock(*keys: str) -> None:
        objects = LmdbObjects(state / "objects.lmdb")
        for key in keys:
            assert objects.lock(key, Lock("me", 1, ""), AuditRow(1, "me", "lock", key, "", ""))
        objects.close()

    lock("gateway:mobile", "gateway:backup")
    _, out, _ = ask(state=state)
    text = " ".join(out.split())
    assert "Gateway mobile was passed over: it is locked." in text
    assert "within rate and margin?" in text and "NoAvailableRouter" in text
    lock("account:acme")
    _, out, _ = ask(state=state)
    assert "The call would end AccountLocked" in out
    _, out, _ = ask()
    assert "The call would go to gateway mobile." in out


def test_an_account_that_the_state_folder_does_not_know_yet_has_its_opening_balance(
    ask: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "deck.csv").write_text("prefix,rate_per_min\n86,0.10\n")
    state = tmp_path / "state"
    LmdbLive(state / "live.lmdb", slot=0).close()
    text = 'deck d { file = "deck.csv" }\n' + ROUTES.replace(
        "account acme {", "account acme { deck = d  balance = 3.00 "
    )
    _, out, _ = ask(text, state=state)
    assert "The call would go to gateway mobile." in out
    assert "has a balance of 3, 0 reserved" in " ".join(out.split())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"source": "here"}, '--source "here" is no IP address: give 192.0.2.1'),
        ({"caller": "1\n2"}, "--caller is no number"),
        ({"callee": "1" * 300}, "--callee is no number"),
        ({"header": ["no colon"]}, '--header "no colon" is no header: give "Name: value"'),
        ({"at": "noon"}, '--at "noon" is no time'),
        ({"state": Path("/nonexistent")}, "no router has run with state folder"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    ask: Callable[..., tuple[int, str, str]], more: dict[str, Any], words: str
) -> None:
    code, out, err = ask(**more)
    assert (code, out) == (1, "")
    assert words in err and err.count("\n") == 1


def test_errors_of_the_configuration_are_shown_instead(
    ask: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = ask("request_route { nothing(); }")
    assert (code, out) == (1, "")
    assert "there is no function `nothing`" in err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert route(Path("/nonexistent.cfg"), source="127.0.0.1", caller="1", callee="2") == 1
    assert "nonexistent.cfg" in capsys.readouterr().err


def test_a_fault_in_a_route_is_told_with_its_line_and_fails(
    ask: Callable[..., tuple[int, str, str]],
) -> None:
    text = 'request_route { let n = 1;\n while (n > 0) { n = n + 1; }\n reply(200); }'
    code, out, _ = ask(text)
    assert code == 1
    assert "more than 10000 steps in one request" in " ".join(out.split())
    assert "line 2, in request_route" in " ".join(out.split())
    assert "… and " in out and " more lines" in out


def test_tracing_ends_with_its_block() -> None:
    import sys

    from dsl.load import check_routes, compile_routes
    from router.routing.surface import SURFACE
    from router.runtime.routes_file import DiskFiles

    before = sys.gettrace()
    outcome = check_routes(str(Path(__file__).parents[2] / "routes.cfg"), SURFACE, DiskFiles())
    with LineTrace(compile_routes(outcome, SURFACE)):
        assert sys.gettrace() is not before
    assert sys.gettrace() is before


LEVELS = """\
deck retail { file = "retail.csv" }
gateway mobile { address = 127.0.0.1:5091  prefixes = 86 }
account top  { balance = 1.00  overdraft = 0.50  deck = retail }
account acme { agent = top  deck = retail  trunk office { ips = 127.0.0.1 } }
request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }
"""


def test_levels_rates_need_and_credit_are_shown(
    ask: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "retail.csv").write_text("prefix,rate_per_min,connect_fee\n86,0.12,0.01\n")
    code, out, _ = ask(LEVELS)
    text = " ".join(out.split())
    assert code == 0
    assert (
        "Account acme pays 0.12 a minute and 0.01 at the answer: prefix 86 in deck retail. Its "
        "credit has no limit."
    ) in text
    assert (
        "Agent top pays 0.12 a minute and 0.01 at the answer: prefix 86 in deck retail. It needs "
        "0.13 for 60 s and has a balance of 1, overdraft 0.5, 0 reserved."
    ) in text
    _, out, _ = ask(LEVELS.replace("balance = 1.00  overdraft = 0.50", "balance = 0.10"))
    text = " ".join(out.split())
    assert "0 reserved. Agent top: it can give 0.1." in text
    assert "Account top could not give 0.13: balance 0.1, reserved 0." in text
    assert "The call would end InsufficientBalance" in text
    _, out, _ = ask(LEVELS, as_json=True)
    top = json.loads(out)["levels"][1]
    assert (top["account"], top["kind"], top["need"], top["balance"]) == (
        "top", "agent", "0.13", "1",
    )


PHONES = """\
gateway g { address = 127.0.0.1:5091  prefixes = 86 }
account acme {
    trunk office { ips = 127.0.0.1 }
    phone 1001 { password = "a"  forward_busy = "1003"  forward_offline = "86139" }
    phone 1002 { password = "b"  forward_always = "1001" }
    phone 1003 { password = "c"  forward_busy = "1001" }
}
request_route {
    if (!identify()) end(IllegalCall);
    if ($rU == "100") call([phone("1001"), phone("1003")], ring = all);
    if (registered($rU)) call(phone($rU));
    call(gateways($rU));
}
"""


def test_phones_and_where_they_forward_are_told(
    ask: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    _, out, _ = ask(PHONES, callee="1002")
    for words in (
        "Phone 1002 forwards to 1001: always.",
        "Phone 1001 rings at sip:1001@registered.invalid (q 1).",
        "It forwards to 1003: busy.",
        "The call would go to phone 1001.",
        "Diversion: <sip:1002@127.0.0.1:5060>;reason=unconditional;counter=1",
    ):
        assert words in out, words
    _, out, _ = ask(PHONES, callee="100")
    assert "The call would go to phone 1001 and phone 1003." in out
    _, out, _ = ask(ROUTES.replace("on_branch = OUT", "ring = all"))
    assert "1. mobile: taken;" in out and "2. backup: rings at the same time;" in out
    assert "The call would go to gateway mobile and gateway backup." in out
    # In a state folder nobody is registered who has not done so.
    state = tmp_path / "state"
    live = LmdbLive(state / "live.lmdb")
    contact = Contact("sip:1003@10.0.0.7:5062", expires_ms=1 << 60, host="10.0.0.9", port=40000)
    live.commit([Bind("1003", "acme", (contact,))], 1)
    live.close()
    _, out, _ = ask(PHONES, callee="1001", state=state, as_json=True)
    decided = json.loads(out)
    assert decided["forwarded"] == [{"phone": "1001", "why": "offline", "number": "86139"}]
    assert decided["sent"]["gateway"] == "g"
    _, out, _ = ask(PHONES, callee="1003", state=state, as_json=True)
    decided = json.loads(out)
    assert decided["phones"] == [{
        "number": "1003", "contacts": [["sip:1003@10.0.0.7:5062", "1"]],
        "forwards": {"busy": "1001"},
    }]
    assert decided["sent"]["request_uri"] == "sip:1003@10.0.0.7:5062"
    assert decided["sent"]["address"] == "udp:10.0.0.9:40000"
