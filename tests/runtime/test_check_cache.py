"""What a check found is kept and found again, until anything that it depends on has changed."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from router.runtime import check_cache
from router.runtime.check_cache import MAX_ENTRIES, Found, recall
from router.runtime.routes_file import check_and_keep

ROUTES = 'include "gateways/*.cfg"\nrequest_route { reply(200); }\nroute[UNUSED] { drop; }\n'
GATEWAY = "gateway a { address = 192.0.2.1 }\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The entries' folder; the working directory holds a configuration of two files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("routes.cfg").write_text(ROUTES)
    Path("gateways").mkdir()
    Path("gateways/a.cfg").write_text(GATEWAY)
    return tmp_path / "cache" / "trunkline" / "check"


def entry(folder: Path) -> Path:
    (one,) = folder.iterdir()
    return one


def test_what_was_found_is_found_again(folder: Path) -> None:
    assert recall("routes.cfg") is None
    found = check_and_keep("routes.cfg")
    assert [one.code for one in found.findings] == ["unused-route"]
    assert recall("routes.cfg") == Found(found.findings, {"routes.cfg": ROUTES}, found.summary)


def test_nothing_but_the_owner_may_read_it(folder: Path) -> None:
    check_and_keep("routes.cfg")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert entry(folder).stat().st_mode & 0o777 == 0o600


CHANGES: dict[str, Callable[[], object]] = {
    "the file itself": lambda: Path("routes.cfg").write_text(ROUTES + "# a comment\n"),
    "a letter of it": lambda: Path("routes.cfg").write_text(ROUTES.replace("200", "201")),
    "an included file": lambda: Path("gateways/a.cfg").write_text(GATEWAY + "#"),
    "an included file that is gone": lambda: Path("gateways/a.cfg").unlink(),
    "one more that the pattern matches": lambda: Path("gateways/b.cfg").write_text(""),
    "the working directory": lambda: (Path("sub").mkdir(), os.chdir("sub")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_changes_is_noticed(folder: Path, change: Callable[[], object]) -> None:
    check_and_keep("routes.cfg")
    assert recall("routes.cfg") is not None
    change()
    assert recall("routes.cfg") is None


def test_a_file_that_was_only_touched_is_the_same(folder: Path) -> None:
    check_and_keep("routes.cfg")
    os.utime("routes.cfg", (1, 1))
    assert recall("routes.cfg") is not None


def test_another_name_of_the_same_file_has_findings_of_its_own(folder: Path) -> None:
    check_and_keep("routes.cfg")
    assert recall("./routes.cfg") is None
    found = check_and_keep("./routes.cfg")
    assert [one.file for one in found.findings] == ["./routes.cfg"]
    again = recall("routes.cfg")
    assert again is not None
    assert [one.file for one in again.findings] == ["routes.cfg"]


@pytest.mark.parametrize("before", [None, "300", "301"])
@pytest.mark.parametrize("after", [None, "300", "301"])
def test_a_variable_of_the_environment_is_a_part_of_the_question(
    folder: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str | None
) -> None:
    def put(value: str | None) -> None:
        if value is None:
            monkeypatch.delenv("SOME_LINES", raising=False)
        else:
            monkeypatch.setenv("SOME_LINES", value)

    Path("gateways/a.cfg").write_text(GATEWAY.replace("}", 'lines = env("SOME_LINES") }'))
    put(before)
    check_and_keep("routes.cfg")
    put(after)
    assert (recall("routes.cfg") is not None) == (before == after)
    assert b"300" not in entry(folder).read_bytes()


def test_a_rates_file_is_a_part_of_the_question(folder: Path) -> None:
    text = 'deck d { file = "d.csv" }\naccount a { deck = d  trunk t { ips = 192.0.2.1 } }\n'
    Path("gateways/a.cfg").write_text(text)
    Path("gateways/d.csv").write_text("prefix,rate_per_min\n86,0.1\n")
    check_and_keep("routes.cfg")
    assert recall("routes.cfg") is not None
    Path("gateways/d.csv").write_text("prefix,rate_per_min\n86,-.1\n")
    assert recall("routes.cfg") is None
    found = check_and_keep("routes.cfg")
    assert any(one.file == "gateways/d.csv" for one in found.findings)
    assert recall("routes.cfg") == Found(found.findings, {"routes.cfg": ROUTES}, found.summary)


@pytest.mark.parametrize("text", ["", "1 / 0\n"])
def test_a_configuration_with_python_files_is_not_kept(folder: Path, text: str) -> None:
    Path("hooks.py").write_text(text)
    Path("routes.cfg").write_text('import python "hooks.py" as hooks\n' + ROUTES)
    check_and_keep("routes.cfg")
    assert recall("routes.cfg") is None


def test_a_file_that_could_not_be_read_is_not_kept(folder: Path) -> None:
    Path("routes.cfg").write_text('include "more.cfg"\n' + ROUTES)
    check_and_keep("routes.cfg")
    assert recall("routes.cfg") is None


def test_another_version_of_the_program_checks_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package").mkdir()
    module = tmp_path / "package" / "checker.py"
    module.write_text("")
    spec = type("Spec", (), {"submodule_search_locations": [str(module.parent)]})
    monkeypatch.setattr(check_cache, "find_spec", lambda name: spec)
    check_and_keep("routes.cfg")
    assert recall("routes.cfg") is not None
    module.write_text("#")
    assert recall("routes.cfg") is None
    check_and_keep("routes.cfg")
    (tmp_path / "trunkline-9.9.9.dist-info").mkdir()
    assert recall("routes.cfg") is None


def test_every_module_that_finds_something_counts_as_the_program() -> None:
    root = Path(__file__).parents[2]
    modules = [
        line.split(" ")[0]
        for package in ("dsl", "router")
        for line in check_cache._modules(str(root / package), deep=True)
    ]
    for name in ("dsl/check/run.py", "dsl/grammar.lark", "router/routing/surface.py"):
        assert str(root / name) in modules


# -- damage, and others at the same time ----------------------------------------------------------


def test_any_damage_is_noticed(folder: Path) -> None:
    check_and_keep("routes.cfg")
    path = entry(folder)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at])
        assert recall("routes.cfg") is None
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert recall("routes.cfg") is None
    path.write_bytes(whole + b"\0")
    assert recall("routes.cfg") is None
    path.write_bytes(whole)
    assert recall("routes.cfg") is not None


def test_a_well_formed_entry_of_another_shape_is_none(folder: Path) -> None:
    check_and_keep("routes.cfg")
    payload = b"\x93\x01\x02\x03"
    digest = hashlib.sha256(payload).digest()
    entry(folder).write_bytes(check_cache.MAGIC + digest + payload)
    assert recall("routes.cfg") is None


@pytest.mark.parametrize("what", ["a file", "a folder for all", "a link", "no home", "full"])
def test_a_folder_that_cannot_be_used_hinders_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "a file":
        (tmp_path / "cache").write_text("")
    elif what == "a folder for all":
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    elif what == "a link":
        folder.parent.mkdir(parents=True)
        folder.symlink_to(tmp_path / "nowhere")
    elif what == "no home":
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(Path, "home", _no_home)
    else:
        monkeypatch.setattr(os, "replace", _no_room)
    assert [one.code for one in check_and_keep("routes.cfg").findings] == ["unused-route"]
    assert recall("routes.cfg") is None
    assert not list(folder.glob("*.new"))


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def _no_room(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_only_so_many_are_kept(folder: Path) -> None:
    check_and_keep("routes.cfg")
    first = entry(folder)
    os.utime(first, (1, 1))
    for number in range(MAX_ENTRIES):
        (folder / f"{number}.check").write_bytes(b"")
    abandoned, fresh = folder / "a.new", folder / "b.new"
    for path in (abandoned, fresh):
        path.write_bytes(b"")
    os.utime(abandoned, (1, 1))
    Path("routes.cfg").write_text(ROUTES + "#")
    check_and_keep("./routes.cfg")
    assert len(list(folder.glob("*.check"))) == MAX_ENTRIES
    assert not first.exists()
    assert (abandoned.exists(), fresh.exists()) == (False, True)


def _check_again_and_again(number: int) -> int:
    """Writes and reads the same entry; how often what was read was wrong."""
    wrong = 0
    for _ in range(15):
        found = recall("routes.cfg")
        if found is None or number % 2:
            found = check_and_keep("routes.cfg")
        wrong += [one.code for one in found.findings] != ["unused-route"]
    return wrong


def test_several_at_once_do_not_disturb_each_other(folder: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert pool.map(_check_again_and_again, range(8), chunksize=2) == [0] * 8
    assert recall("routes.cfg") is not None
    assert not list(folder.glob("*.new"))


def test_what_is_found_again_loads_neither_parser_nor_table(folder: Path) -> None:
    script = (
        "import sys; sys.argv = ['trunkline', 'check', 'routes.cfg']\n"
        "from router.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('lark', 'dsl.parse', 'router.routing.surface', 'rich.console')"
        " if m in sys.modules])"
    )
    shown = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
        )
        *lines, loaded = done.stdout.splitlines()
        shown.append((lines, loaded))
    assert shown[0][0] == shown[1][0]
    assert "'lark'" in shown[0][1]
    assert shown[1][1] == "[]"
