"""A configuration that is asked for again and again is read again only when something changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router.runtime.routes_file import check_file_again, load_routes_again

ROUTES = """\
import python "counting.py" as counting
include "more/*.cfg"
gateway out { address = env("OUT")  prefixes = 86 }
request_route { call(gateways($rU)); }
"""
COUNTING = """\
from pathlib import Path
runs = Path(__file__).with_name("runs")
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OUT", "192.0.2.1")
    (tmp_path / "counting.py").write_text(COUNTING)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a.cfg").write_text("account a { }\n")
    (tmp_path / "routes.cfg").write_text(ROUTES)
    return tmp_path / "routes.cfg"


def runs(routes: Path) -> int:
    return len(routes.with_name("runs").read_text())


def names(routes: Path, additions: Path) -> list[str]:
    return sorted(one.node.name for one in check_file_again(routes, additions).blocks)


def test_nothing_is_run_again_while_nothing_changes(routes: Path, tmp_path: Path) -> None:
    for _ in range(3):
        assert names(routes, tmp_path / "objects.cfg") == ["a", "out"]
    assert runs(routes) == 1
    for _ in range(3):
        assert [one.name for one in load_routes_again(routes).blocks_of("account")] == ["a"]
    assert runs(routes) == 3  # to be checked, and to be loaded


def test_what_changes_is_read_at_once(
    routes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = tmp_path / "objects.cfg"
    assert names(routes, added) == ["a", "out"]
    added.write_text("account b { }\n")
    assert names(routes, added) == ["a", "b", "out"]
    (tmp_path / "more/c.cfg").write_text("account c { }\n")
    assert names(routes, added) == ["a", "b", "c", "out"]
    changed = tmp_path / "more/a.cfg"
    before = changed.stat()
    changed.write_text("account z { }\n")  # as long as it was
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert names(routes, added) == ["b", "c", "out", "z"]
    added.unlink()
    assert names(routes, added) == ["c", "out", "z"]
    monkeypatch.setenv("OUT", "192.0.2.77")
    outcome = check_file_again(routes, added)
    (gateway,) = [one for one in outcome.blocks if one.node.kind == "gateway"]
    assert "192.0.2.77" in str(gateway.given.values["address"])


def test_errors_are_not_kept(routes: Path, tmp_path: Path) -> None:
    whole = routes.read_text()
    routes.write_text(whole + "gateway broken { }\n")
    assert check_file_again(routes).errors
    count = runs(routes)
    assert check_file_again(routes).errors
    assert runs(routes) > count
    routes.write_text(whole)
    assert not check_file_again(routes).errors
