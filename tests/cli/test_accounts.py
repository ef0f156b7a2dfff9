"""`trunkline accounts`: what it shows, what it pays, and what it says of wrong input."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.admin.amounts import money, parse_amount
from router.cli.accounts import adjust, list_accounts, show, topup
from router.cli.cdr import WrongValue
from router.cli.ledger import balances, verify
from router.cli.ledger import show as show_rows
from router.runtime import payments
from router.runtime.ledger_process import run_ledger
from router.store.boot import WriterLock
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.ops import Admit, Candidate, Credit, Hold
from router.store.records import CallRecord
from router.store.state import prepare_state

Capture = pytest.CaptureFixture[str]

CONFIG = """
listen = udp:127.0.0.1:5060
gateway g { address = 127.0.0.1:5070 prefixes = 86 }
deck retail { file = "retail.csv" }
account top { balance = 50 }
account acme {
  balance = 1000.5 overdraft = 10 lines = 5 deck = retail agent = top
}
account free { status = locked expires = 2027-01-31 }
request_route { reply(403); }
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "retail.csv").write_text("prefix,rate_per_min\n86,0.06\n")
    path = tmp_path / "routes.cfg"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def facts(config: Path, capsys: Capture, name: str) -> dict[str, object]:
    assert show(name, config=config, as_json=True) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def complaint(capsys: Capture) -> str:
    """The one line on standard error; nothing was printed besides."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("trunkline: ")
    assert err.count("\n") == 1
    return err.removeprefix("trunkline: ").rstrip("\n")


def test_accounts_are_listed_before_the_router_ever_ran(config: Path, capsys: Capture) -> None:
    assert list_accounts(config=config) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["ACCOUNT", "STATUS", "BALANCE", "RESERVED", "OVERDRAFT", "FREE", "LINES", "AGENT", "DECK"],
        ["acme", "active", "1000.50", "0.00", "10.00", "1010.50", "0/5", "top", "retail"],
        ["free", "locked", "0.00", "0.00", "0.00", "unlimited", "0/unlimited", "-", "-"],
        ["top", "active", "50.00", "0.00", "0.00", "50.00", "0/unlimited", "-", "-"],
    ]


def test_a_running_call_shows_in_reserve_and_lines(
    config: Path, state: Path, capsys: Capture
) -> None:
    assert topup("acme", "0.5", config=config) == 0
    assert capsys.readouterr().out == "acme: 0.50 given, the balance is 1001.00\n"
    live = LmdbLive(state / "live.lmdb")
    holds, tiers = (Hold("account:acme", 5),), ((Candidate("gateway:g"),),)
    live.commit([Admit(CallRecord("1"), holds, tiers, (Credit("acme", 250_000),))], 1)
    live.close()
    found = facts(config, capsys, "acme")
    assert (found["balance"], found["reserved"]) == ("1001.000000", "0.250000")
    assert (found["free"], found["lines_used"], found["lines"]) == ("1010.750000", 1, 5)


def test_an_account_that_left_the_configuration_is_still_shown(
    config: Path, capsys: Capture
) -> None:
    topup("acme", "1", config=config)
    config.write_text(CONFIG.replace("account acme", "account other"))
    capsys.readouterr()
    assert show("acme", config=config) == 0
    shown = capsys.readouterr().out
    assert "not in the configuration" in shown
    assert "1001.50" in shown


def test_without_a_configuration_the_state_folder_is_shown(
    config: Path, state: Path, capsys: Capture, tmp_path: Path
) -> None:
    topup("acme", "1", config=config)
    capsys.readouterr()
    assert list_accounts(config=tmp_path / "none.cfg", state=state) == 0
    out, err = capsys.readouterr()
    assert "acme" in out
    assert "only what the state folder knows" in err


def test_a_payment_without_a_router_is_durable_when_the_command_returns(
    config: Path, state: Path, capsys: Capture
) -> None:
    assert topup("acme", "12.345678", note="wire 17", config=config, as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["durable"] is True
    assert answer["balance"] == "1012.845678"
    ledger = LmdbLedger(state / "ledger.lmdb", readonly=True)
    row = ledger.funded(answer["id"])
    ledger.close()
    assert row is not None
    assert (row.amount, row.balance, row.kind, row.note) == (
        12_345_678, 1_012_845_678, "topup", "wire 17",
    )
    assert row.who
    assert adjust("acme", "-12.345678", note="by mistake", config=config) == 0
    assert capsys.readouterr().out == "acme: -12.345678 given, the balance is 1000.50\n"
    assert verify(state=state) == 0


class Stop:
    """The order to the ledger process of a test."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def is_set(self) -> bool:
        return self.event.is_set()

    def wait(self, timeout: float) -> object:
        return self.event.wait(timeout)


@contextlib.contextmanager
def router_without_ledger(state: Path) -> Iterator[None]:
    """Something else has the ledger's lock."""
    prepare_state(state)
    lock = WriterLock(state / "ledger.lock")
    try:
        yield
    finally:
        lock.release()


def test_a_payment_that_no_ledger_takes_counts_and_says_so(
    config: Path, state: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    give = payments.give_funds
    monkeypatch.setattr(
        "router.admin.paying.give_funds", lambda *given: give(*given, wait_s=0.1)
    )
    with router_without_ledger(state):
        assert topup("acme", "1", config=config) == 3
    out, err = capsys.readouterr()
    assert out == "acme: 1.00 given, the balance is 1001.50\n"
    assert "do not pay again" in err
    run_ledger(state, log=lambda *said, **fields: None, stop=_at_once())
    assert balances(state=state, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"account": "acme", "balance": "1001.500000"}


def _at_once() -> Stop:
    stop = Stop()
    stop.event.set()
    return stop


WRONG: list[tuple[Callable[..., int], tuple[str, ...], dict[str, str], str]] = [
    (topup, ("acmee", "1"), {}, "there is no account `acmee`: did you mean `acme`?"),
    (topup, ("zzz", "1"), {}, "there is no account `zzz`: the accounts are acme, free, top"),
    (topup, ("acme", "0"), {}, "0 adds nothing: give more than 0"),
    (
        topup, ("acme", "-1"), {},
        "-1 adds nothing: give more than 0, or take money away with trunkline accounts adjust",
    ),
    (topup, ("acme", "1,5"), {}, '"1,5" is no amount: give one such as 12.50'),
    (topup, ("acme", ""), {}, '"" is no amount: give one such as 12.50'),
    (topup, ("acme", "--1"), {}, '"--1" is no amount: give one such as 12.50'),
    (topup, ("acme", "NaN"), {}, '"NaN" is no amount: give one such as 12.50'),
    (topup, ("acme", "1e9"), {}, '"1e9" is no amount: give one such as 12.50'),
    (topup, ("acme", "0.1234567"), {}, "0.1234567 has more than 6 decimals"),
    (topup, ("acme", "1000000001"), {}, "1000000001 is too much: the most is 1000000000"),
    (topup, ("acme", "9" * 400), {}, f"{'9' * 400} is too much: the most is 1000000000"),
    (topup, ("acme", "1"), {"note": "x" * 201}, "--note has control characters or is longer"),
    (topup, ("acme", "1"), {"note": "a\nb"}, "--note has control characters or is longer"),
    (adjust, ("acme", "-1"), {}, "a correction needs a reason: give one with --note"),
    (adjust, ("acme", "0"), {"note": "x"}, "0 changes nothing"),
    (show, ("Acme",), {}, "there is no account `Acme`: did you mean `acme`?"),
]


@pytest.mark.parametrize(("command", "words", "options", "said"), WRONG)
def test_wrong_input_is_one_line_and_changes_nothing(
    command: Callable[..., int], words: tuple[str, ...], options: dict[str, str], said: str,
    config: Path, state: Path, capsys: Capture,
) -> None:
    assert command(*words, config=config, **options) == 1
    assert said in complaint(capsys)
    assert not state.exists()


def test_a_state_folder_that_cannot_be_used_is_one_line(
    config: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "state").write_text("a file")
    assert topup("acme", "1", config=config) == 1
    assert "state cannot be used" in complaint(capsys)
    assert list_accounts(config=config) == 1
    assert "state cannot be used: it is a file" in complaint(capsys)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1", 10**6), ("0.000001", 1), ("-3.5", -3_500_000), ("+2", 2 * 10**6), ("007", 7 * 10**6)],
)
def test_amounts_are_exact(text: str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "1.2.3", "+-1", "٣", "1 2", "0x1"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(WrongValue, match="is no amount"):
        parse_amount(text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (1, "0.000001"), (-1_500_000, "-1.50"), (10**15, "1000000000.00")],
)
def test_amounts_are_shown_with_what_they_have(amount: int, text: str) -> None:
    assert money(amount) == text


def test_rows_are_shown_newest_first(config: Path, state: Path, capsys: Capture) -> None:
    topup("acme", "1", note="first", config=config)
    topup("acme", "2", note="second", config=config)
    capsys.readouterr()
    assert show_rows("acme", state=state) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[:3]] == ["NOTE", "second", "first"]
    assert "opening" in lines[3]
    assert show_rows("acme", state=state, limit="1", as_json=True) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["amount"], row["balance"], row["seq"]) == ("2.000000", "1003.500000", 3)
    assert show_rows("acm", state=state) == 1
    assert complaint(capsys) == "there is no account `acm`: did you mean `acme`?"
    assert show_rows("acme", state=state, limit="x") == 1
    assert "no number of CDRs" in complaint(capsys)


def test_verify_says_that_all_is_well(config: Path, state: Path, capsys: Capture) -> None:
    assert verify(state=state) == 1
    assert "there is no state folder" in complaint(capsys)
    topup("acme", "1", config=config)
    capsys.readouterr()
    assert verify(state=state) == 0
    assert capsys.readouterr().out == (
        "1 account, 2 rows and 0 CDRs: every balance is the sum of its rows, every charge one "
        "row.\n"
    )
    assert verify(state=state, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {
        "sound": True, "accounts": 1, "rows": 2, "cdrs": 0, "problems": [],
    }
