"""trunkline rates: what is printed, and the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.cli.rates import find

ROUTES = """\
deck retail { file = "rates/retail.csv" }
deck vendor { file = "rates/vendor.csv" }
gateway out { address = 192.0.2.1  prefixes = 86  deck = vendor }
account acme { deck = retail  trunk t { ips = 127.0.0.1 } }
request_route { reply(200); }
"""
RETAIL = """\
prefix,name,rate_per_min,connect_fee,first_s,cycle_s,free_s,kind,valid_from,valid_to
86,China,0.12,,,,,,,
8613,China mobile,0.15,0.01,60,6,3,national,2020-01-01,
8615,gone,0.1,,,,,,,2020-01-01
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates/retail.csv").write_text(RETAIL)
    (tmp_path / "rates/vendor.csv").write_text("prefix,rate_per_min\n8613,0.08\n")
    path = Path("routes.cfg")
    path.write_text(ROUTES)
    return path


def test_every_deck_tells_its_rate(routes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find("8613800138000", routes) == 0
    assert capsys.readouterr().out.splitlines() == [
        "retail  8613, 0.15 a minute, 0.01 to connect, first 60 s, then every 6 s, 3 s free, "
        "national, China mobile, from 2020-01-01 00:00 UTC",
        "vendor  8613, 0.08 a minute, first 1 s, then every 1 s",
    ]


def test_a_rate_that_is_over_leaves_the_number_to_a_shorter_prefix(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find("8615", routes, deck="retail") == 0
    assert capsys.readouterr().out.startswith("retail  86, 0.12 a minute")


def test_a_number_that_no_deck_prices_is_told(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find("44", routes, deck="vendor") == 1
    assert capsys.readouterr().out == "vendor  no rate for 44\n"


def test_a_misspelt_deck_is_told_with_the_one_meant(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find("86", routes, deck="retial") == 1
    said = capsys.readouterr().err
    assert said == "trunkline: there is no deck `retial`; did you mean `retail`?\n"


def test_a_fault_of_a_rates_file_is_shown_with_its_line_and_its_deck(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rates/vendor.csv").write_text("prefix,rate_per_min\n8613,cheap\n")
    assert find("86", routes) == 1
    shown = capsys.readouterr().err
    assert "rates/vendor.csv:2:1: error" in shown
    assert "deck vendor" in shown


def test_a_configuration_without_decks_says_so(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    routes.write_text("request_route { reply(200); }\n")
    assert find("86", routes) == 1
    assert capsys.readouterr().out.startswith("routes.cfg has no deck. Add one to it: deck NAME {")


def test_a_missing_configuration_is_one_line(
    routes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find("86", Path("none.cfg")) == 1
    assert capsys.readouterr().err.startswith("trunkline: none.cfg: cannot be read")
