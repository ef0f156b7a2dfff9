"""gateways, trunks, accounts, audit: what commands add, change and lock, without a router."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.cli.main import make_app

ROUTES = """\
gateway out { address = 192.0.2.1  prefixes = 86 }
account acme { trunk office { ips = 127.0.0.1 } }
request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }
test "86 goes out" {
    invite from 127.0.0.1 callee "86";
    expect gateway out;
    gateway out replies 486;
    expect end UserBusy;
}
"""
NEXT_START = "No router runs here: it counts from the next start."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("routes.cfg").write_text(ROUTES)
    return tmp_path


class Told:
    """What a command printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        """The output of a command that ends so; standard error when it fails."""
        result = make_app()(list(words), result_action="return_value")
        printed = self._capsys.readouterr()
        assert result == code, printed
        return printed.err if code else printed.out


@pytest.fixture
def trunkline(capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(capsys)


def test_a_gateway_is_added_and_is_part_of_the_configuration(trunkline: Told) -> None:
    told = trunkline("gateways", "add", "hk", "address=192.0.2.9", "prefixes=852,853", "lines=3")
    assert told.strip() == NEXT_START
    listed = [line.split() for line in trunkline("gateways", "list").splitlines()]
    assert listed[1][:3] == ["out", "up", "0/unlimited"]
    assert listed[2] == ["hk", "up", "0/3", "0", "1", "852,", "853", "192.0.2.9"]
    assert "2 gateways" in trunkline("check", "routes.cfg")
    route = trunkline("route", "--source", "127.0.0.1", "--caller", "1", "--callee", "8525")
    assert "The call would go to gateway hk." in route
    assert "passed" in trunkline("test")


def test_settings_are_changed_and_taken_away(trunkline: Told) -> None:
    trunkline("gateways", "add", "hk", "address=192.0.2.9", "prefixes=852", "lines=3")
    trunkline("gateways", "set", "hk", "lines=", "priority=7", "callee_out=852:00852")
    assert json.loads(trunkline("gateways", "show", "hk", "--json"))["settings"] == {
        "address": "192.0.2.9", "prefixes": "852", "priority": "7", "callee_out": "852:00852",
    }
    trunkline("gateways", "remove", "hk")
    assert "hk" not in trunkline("gateways", "list")
    assert "1 gateway," in trunkline("check", "routes.cfg")


def test_trunks_and_accounts_are_added_also_to_those_of_the_file(trunkline: Told) -> None:
    trunkline("accounts", "add", "new", "lines=5")
    trunkline("trunks", "add", "new/a", "ips=127.0.0.2")
    trunkline("trunks", "add", "acme/b", "ips=127.0.0.3")
    listed = trunkline("trunks", "list", "--json").splitlines()
    names = [json.loads(line)["name"] for line in listed]
    assert names == ["acme/office", "acme/b", "new/a"]
    assert trunkline("trunks", "show", "b").startswith("trunk         acme/b\n")
    route = trunkline("route", "--source", "127.0.0.2", "--caller", "1", "--callee", "86")
    assert "trunk a, account new" in route


def test_a_balance_that_the_ledger_knows_is_not_given_again_and_that_is_told(
    trunkline: Told,
) -> None:
    assert "ledger" not in trunkline("accounts", "add", "new", "balance=2.00")
    trunkline("accounts", "topup", "new", "1.00")
    told = trunkline("accounts", "set", "new", "balance=50.00")
    assert "its balance stays 3.00: change it with trunkline accounts topup" in told
    assert "ledger" not in trunkline("accounts", "set", "new", "lines=3")
    trunkline("accounts", "remove", "new")
    assert "its balance stays 3.00" in trunkline("accounts", "add", "new", "balance=5.00")


def test_what_is_wrong_with_the_configuration_is_named_with_its_file(
    trunkline: Told, folder: Path
) -> None:
    """`check routes.cfg` alone would find nothing wrong: it is in another state folder's file."""
    (folder / "other").mkdir()
    (folder / "other" / "objects.cfg").write_text("garbage")
    told = trunkline("gateways", "list", "--state", "other", code=1)
    assert "the first is in other/objects.cfg:1: " in told


def test_an_account_that_has_something_inside_is_not_removed(
    trunkline: Told, folder: Path
) -> None:
    """Its trunks would go on without its deck, its balance and its limits: calls for nothing."""
    trunkline("accounts", "add", "new", "lines=5", "balance=2.00")
    trunkline("trunks", "add", "new/a", "ips=127.0.0.2")
    trunkline("phones", "add", "new/2001", "password=secret")
    before = (folder / "state/objects.cfg").read_text()
    told = trunkline("accounts", "remove", "new", code=1)
    assert told.strip() == (
        "trunkline: account new has trunk new/a, phone new/2001: remove them before"
    )
    assert (folder / "state/objects.cfg").read_text() == before
    trunkline("phones", "remove", "2001")
    assert trunkline("accounts", "remove", "new", code=1).endswith("new/a: remove it before\n")
    trunkline("trunks", "remove", "new/a")
    trunkline("accounts", "remove", "new")
    assert "new" not in (folder / "state/objects.cfg").read_text().split("\n", 2)[2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("gateways set out lines=3", "gateway out is defined in routes.cfg:1: change it there and"),
        ("gateways remove out", "gateway out is defined in routes.cfg:1"),
        ("gateways set outt lines=3", "there is no gateway `outt`: did you mean `out`?"),
        ("gateways add out address=192.0.2.1", "there is a gateway `out` already, in routes.cfg:1"),
        ("gateways add x addres=192.0.2.1", "a gateway has no setting `addres`: did you mean"),
        ("gateways add x lines", '"lines" is no setting: write lines=30'),
        ("gateways add x lines=1 lines=2", "`lines` is given twice"),
        ("gateways add x prefixes=86", "nothing was changed:"),
        ("gateways add x/y address=192.0.2.1", "nothing was changed:"),
        ("gateways add x address=192.0.2.1 lines=none", "nothing was changed:"),
        ("gateways add x address=192.0.2.1 deck=retail", "nothing was changed:"),
        ("trunks add b ips=127.0.0.3", "name the account as well: ACCOUNT/b"),
        ("trunks add acmee/b ips=127.0.0.3", "there is no account `acmee`: did you mean `acme`?"),
        ("trunks add acme/b ips=127.0.0.1", "nothing was changed:"),
        ("accounts lock acmee", "there is no account `acmee`"),
        ("gateways unlock out", "gateway out is not locked by a command"),
        ("gateways list --config none.cfg", "none.cfg: cannot be read"),
    ],
)
def test_what_is_wrong_is_one_clear_line_and_nothing_has_changed(
    trunkline: Told, words: str, says: str, folder: Path
) -> None:
    assert trunkline(*words.split(), code=1).startswith(f"trunkline: {says}")
    assert not (folder / "state" / "objects.cfg").exists()
    assert [row for row in _audit(trunkline) if row["result"] == "done"] == []


def _audit(trunkline: Told) -> list[dict[str, str]]:
    return [
        json.loads(line)
        for line in trunkline("audit", "--json").splitlines()
    ]


def test_a_phone_is_added_and_removed(trunkline: Told, folder: Path) -> None:
    trunkline("phones", "add", "acme/2002", "password=secret", "lines=2")
    assert 'phone 2002 {\n        password = "secret"' in (folder / "state/objects.cfg").read_text()
    trunkline("phones", "lock", "2002")
    assert "there is a phone `acme/2002` already" in trunkline(
        "phones", "add", "acme/2002", "password=x", code=1
    )
    trunkline("phones", "remove", "2002")
    assert "there is no phone `2002`" in trunkline("phones", "unlock", "2002", code=1)


def test_a_value_cannot_bring_more_than_itself(trunkline: Told, folder: Path) -> None:
    evil = 'address=192.0.2.1" } gateway evil { address = "192.0.2.2'
    assert "[bad-value]" in trunkline("gateways", "add", "x", evil, code=1)
    assert not (folder / "state" / "objects.cfg").exists()


def test_a_lock_is_seen_and_told_in_the_audit(trunkline: Told) -> None:
    trunkline("gateways", "lock", "out", "--note", "noise on the line")
    assert "locked" in trunkline("gateways", "list")
    assert "noise on the line" in trunkline("gateways", "show", "out")
    assert trunkline("gateways", "lock", "out", code=1) == (
        "trunkline: gateway out is locked already\n"
    )
    trunkline("accounts", "lock", "acme")
    trunkline("gateways", "unlock", "out")
    told = [(row["command"], row["what"], row["result"]) for row in _audit(trunkline)]
    assert told == [
        ("unlock", "gateway out", "done"),
        ("lock", "account acme", "done"),
        ("lock", "gateway out", "done"),
    ]
    assert len(trunkline("audit", "--what", "out").splitlines()) == 3
    assert len(trunkline("audit", "--limit", "1").splitlines()) == 2


def test_a_password_is_in_neither_lists_nor_audit(trunkline: Told) -> None:
    trunkline("gateways", "add", "x", "address=192.0.2.1", "username=me", "password=hush")
    assert "hush" not in trunkline("gateways", "show", "x")
    assert "hush" not in trunkline("audit", "--json")
    assert "***" in trunkline("audit", "--json")


def test_money_given_is_in_the_audit(trunkline: Told, folder: Path) -> None:
    text = ROUTES.replace("account acme {", "account acme { balance = 1")
    (folder / "routes.cfg").write_text(text)
    trunkline("accounts", "topup", "acme", "12.50", "--note", "invoice 7")
    row = _audit(trunkline)[0]
    assert (row["command"], row["what"], row["why"]) == ("topup", "account acme", "invoice 7")
    assert row["after"].startswith("12.500000, payment ")


def test_gateways_that_serve_a_number_are_found(trunkline: Told) -> None:
    trunkline("gateways", "add", "hk", "address=192.0.2.9", "prefixes=852,853")
    assert "out" not in trunkline("gateways", "list", "--prefix", "85212345")
    assert "hk" in trunkline("gateways", "list", "--prefix", "85")
    assert trunkline("gateways", "list", "--prefix", "44") == "No gateway serves 44.\n"


def test_without_a_router_there_are_no_calls(trunkline: Told) -> None:
    assert "no router has run" in trunkline("calls", "list", code=1)
