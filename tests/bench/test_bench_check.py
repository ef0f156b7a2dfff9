"""What a check of 5,000 lines costs: at most 1.5 s anew, and 0.1 s while nothing has changed.

Also beside a large deck, whose bytes alone are looked at again.

Measured as the processor's time of the whole program, so that other programs do not count.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from large_routes import large_routes

from router.runtime.check_cache import recall
from router.runtime.routes_file import check_and_keep, check_file

LINES = 5_000
ANEW_S = 1.5
KEPT_S = 0.1
PROGRAM = "import sys; sys.argv = ['trunkline', 'check']; from router.cli.main import main; main()"


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    text = large_routes(LINES)
    assert text.count("\n") >= LINES
    Path("routes.cfg").write_text(text)
    return "routes.cfg"


def check() -> float:
    """Runs `trunkline check`; the seconds that it took of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "no findings" in done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_5000_lines_are_checked_in_time(routes: str) -> None:
    anew = check()
    kept = min(check() for _ in range(7))
    text = Path(routes).read_text()
    for number in range(2):
        Path(routes).write_text(f"{text}# {number}\n")
        anew = min(anew, check())
    assert anew < ANEW_S, f"{anew:.2f} s anew"
    assert kept < KEPT_S, f"{kept * 1000:.0f} ms of what was kept"


ROWS = 200_000
DECK = """
deck retail { file = "retail.csv" }
gateway g { address = 192.0.2.1  prefixes = 1 }
account acme { deck = retail  trunk office { ips = 198.51.100.0/24 } }
request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }
"""


def test_many_rates_are_not_read_again_while_nothing_has_changed(routes: str) -> None:
    Path(routes).write_text(DECK)
    rows = "".join(f"1{number:06},Somewhere,0.0{number % 900 + 100}\n" for number in range(ROWS))
    Path("retail.csv").write_text("prefix,name,rate_per_min\n" + rows)
    check()
    kept = min(check() for _ in range(5))
    assert kept < 3 * KEPT_S, f"{kept * 1000:.0f} ms"
    Path("retail.csv").write_text("prefix,name,rate_per_min\n" + rows.replace("0.0100", "0.0200"))
    assert check() > 10 * kept, "whatever has changed is read again"


def test_checking_5000_lines(benchmark: Any, routes: str) -> None:
    outcome = benchmark.pedantic(check_file, (routes,), rounds=5)
    assert outcome.findings == []


def test_recalling_the_check_of_5000_lines(benchmark: Any, routes: str) -> None:
    found = check_and_keep(routes)
    again = benchmark(recall, routes)
    assert (again.findings, again.summary) == (found.findings, found.summary)
