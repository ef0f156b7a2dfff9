"""trunkline load rates: what it says, what it changes, what stops it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from router.cli.load import rates
from router.cli.rates import export, find, list_decks
from router.store.rates import RATES_DIR, RatesLoad

ROUTES = """\
deck retail { }
deck vendor { file = "vendor.csv" }
gateway out { address = 192.0.2.1  prefixes = 86  deck = vendor }
account acme { deck = retail  trunk t { ips = 127.0.0.1 } }
request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }
"""
FIRST = "prefix,rate_per_min,name\n8613,0.12,China mobile\n86,0.10,\n1,0.02,\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("routes.cfg").write_text(ROUTES)
    Path("vendor.csv").write_text("prefix,rate_per_min\n86,0.05\n")
    Path("first.csv").write_text(FIRST)
    return tmp_path


def load(text: str | bytes, name: str = "rates.csv", **more: object) -> int:
    file = Path(name)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return rates(file, deck="retail", **more)  # type: ignore[arg-type]


def test_a_first_load_prices_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert load(FIRST) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 new, 0 changed (0 dearer, 0 cheaper), 0 gone.\nDeck retail has 3")
    assert find("8613800", deck="retail") == 0
    assert capsys.readouterr().out.startswith("retail  8613, 0.12 a minute")


def test_a_load_replaces_the_deck_whole(capsys: pytest.CaptureFixture[str]) -> None:
    load(FIRST)
    load("prefix,rate_per_min\n8613,0.09\n44,1\n86,0.10\n")
    capsys.readouterr()
    assert export("retail") == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        "prefix", "44", "86", "8613",
    ]


def test_a_gzipped_file_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert load(gzip.compress(FIRST.encode()), "rates.csv.gz") == 0
    assert "3 new" in capsys.readouterr().out


def test_every_wrong_line_is_named_and_nothing_is_loaded(
    capsys: pytest.CaptureFixture[str]
) -> None:
    load(FIRST)
    capsys.readouterr()
    assert load("prefix,rate_per_min\n8613,x\n86,-1\n44,1\n44,2\n\n12a,1\n") == 1
    assert capsys.readouterr().err.splitlines() == [
        'rates.csv:2: rate_per_min: "x" is not an amount [bad-rates]',
        "rates.csv:3: rate_per_min: -1 is negative [negative-price]",
        "rates.csv:5: prefix 44 has a rate already [bad-rates]",
        'rates.csv:7: prefix: "12a" is not a beginning of numbers [bad-rates]',
        "4 lines of rates.csv are wrong: nothing was loaded.",
    ]
    assert find("8613", deck="retail") == 0
    assert "0.12" in capsys.readouterr().out


def test_faults_are_counted_beyond_those_that_are_shown(
    capsys: pytest.CaptureFixture[str]
) -> None:
    assert load("prefix,rate_per_min\n" + "x,1\n" * 150) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 101
    assert lines[-1] == (
        "150 lines of rates.csv are wrong, the first 100 faults are shown: nothing was loaded."
    )


def test_a_dry_run_tells_what_would_change_and_changes_nothing(
    capsys: pytest.CaptureFixture[str]
) -> None:
    load(FIRST)
    capsys.readouterr()
    dearer = "prefix,rate_per_min\n8613,0.15\n86,0.11\n44,1\n"
    assert load(dearer, dry_run=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 new, 2 changed (2 dearer, 0 cheaper), 1 gone."
    assert lines[1] == "1 price rises by more than 10 %:"  # one in ten is not more than 10 %
    assert lines[3].split() == ["8613", "0.12", "0.15", "+25.0", "%"]
    assert lines[4].startswith("Nothing was changed (3 rates read")
    assert find("8613", deck="retail") == 0
    assert "0.12" in capsys.readouterr().out


def test_the_threshold_of_rises_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    load("prefix,rate_per_min\n1,0.1\n2,0\n3,0.5\n")
    capsys.readouterr()
    after = "prefix,rate_per_min\n1,0.11\n2,0.01\n3,0.4\n"
    assert load(after, dry_run=True, rise=5, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dearer"], told["cheaper"], told["rises_over_threshold"]) == (2, 1, 2)
    assert told["highest_rises"][0] == {
        "prefix": "2", "before": "0", "after": "0.01", "percent": None,
    }
    assert told["highest_rises"][1]["percent"] == 10.0
    assert told["loaded"] is False


@pytest.mark.parametrize(
    ("deck", "says"),
    [
        ("retial", "trunkline: routes.cfg has no deck `retial`; did you mean `retail`?"),
        ("vendor", "trunkline: deck vendor is read from vendor.csv: change that file and run"),
    ],
)
def test_only_a_deck_without_a_file_can_be_loaded(
    deck: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rates(Path("first.csv"), deck=deck) == 1
    assert capsys.readouterr().err.startswith(says)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "rates.csv:1: is empty: there is no header [bad-rates]"),
        (b"prefix\n86\n", "rates.csv:1: the column `rate_per_min` is missing [bad-rates]"),
        (b"prefix,rate_per_min\n86,\xff\n", "rates.csv: is not UTF-8 text [bad-rates]"),
        (
            gzip.compress(b"prefix,rate_per_min\n", mtime=0)[:-9],
            "rates.csv: is not a whole gzip file",
        ),
        (
            gzip.compress(b"prefix,rate_per_min\n" * 99, mtime=0)[:20] + b"x" * 20,
            "rates.csv: is not a whole gzip file",
        ),
        (b"\x1f\x8bnot gzip at all", "rates.csv: is not a whole gzip file"),
    ],
)
def test_a_file_that_is_none_is_refused(
    raw: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(raw) == 1
    assert capsys.readouterr().err.startswith(says)


def test_missing_files_and_configurations_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert rates(Path("none.csv"), deck="retail") == 1
    assert capsys.readouterr().err == "trunkline: none.csv: no such file or directory\n"
    assert rates(Path("first.csv"), deck="retail", config=Path("none.cfg")) == 1
    assert "none.cfg" in capsys.readouterr().err
    assert rates(Path("first.csv"), deck="retail", rise=-1) == 1
    assert "--rise -1 is negative" in capsys.readouterr().err


def test_a_second_loader_is_told_that_one_is_at_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(FIRST)
    capsys.readouterr()
    first = RatesLoad(folder / "elsewhere" / RATES_DIR, "retail")
    first.close()
    with (folder / "state" / "rates.lock").open("r+") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        assert load(FIRST) == 1
    assert "rates are being loaded by another command" in capsys.readouterr().err


def test_decks_are_listed_with_where_their_rates_come_from(
    capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_decks() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split(maxsplit=3) == [
        "retail", "0", "-", "nothing loaded yet: trunkline load rates FILE --deck NAME",
    ]
    assert lines[2].split() == ["vendor", "1", "-", "vendor.csv"]
    load(FIRST)
    capsys.readouterr()
    assert list_decks(as_json=True) == 0
    retail = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (retail["deck"], retail["rates"], retail["from"]) == ("retail", 3, "rates.csv")


def test_an_exported_deck_loads_again_without_a_change(
    capsys: pytest.CaptureFixture[str]
) -> None:
    load(
        "prefix,name,rate_per_min,connect_fee,first_s,cycle_s,free_s,kind,enabled,valid_from,valid_to\n"
        '86,"a, b",0.123456,1,60,6,3,local,yes,2026-01-01,2026-02-01T10:00:00+02:00\n'
        "86,,0.2,,,,,,,2026-03-01,\n44,,0,,0,1,,,no,,\n"
    )
    capsys.readouterr()
    export("retail")
    assert load(capsys.readouterr().out) == 0
    assert "0 new, 0 changed (0 dearer, 0 cheaper), 0 gone." in capsys.readouterr().out
