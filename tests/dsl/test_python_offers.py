"""Python files that are checked again and again: run only when something has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsl.check.python_files import Offers
from dsl.surface import PythonSide
from router.runtime.routes_file import DiskFiles

SIDE = PythonSide({}, None, lambda hook, function: function)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hooks_beside.py").write_text("x = 1\n")
    return tmp_path


def read(offers: Offers, folder: Path, text: str) -> Any:
    return offers.read(str(folder / "hooks.py"), text, "hooks", SIDE, DiskFiles())


def test_a_file_that_has_not_changed_is_not_run_again(folder: Path) -> None:
    offers = Offers()
    first = read(offers, folder, "a = 1")
    assert read(offers, folder, "a = 1") is first
    assert read(Offers(), folder, "a = 1") is not first


def test_a_file_that_has_changed_is_run_again(folder: Path) -> None:
    offers = Offers()
    first = read(offers, folder, "def f(): ...\n")
    second = read(offers, folder, "def g(): ...\n")
    assert (first.others, second.others) == ({"f"}, {"g"})


def test_a_file_is_run_again_when_one_beside_it_has_changed(folder: Path) -> None:
    offers = Offers()
    text = "import hooks_beside\nif hooks_beside.x == 1:\n    def f(): ...\n"
    first = read(offers, folder, text)
    assert first.others == {"f"}
    assert read(offers, folder, text) is first
    (folder / "hooks_beside.py").write_text("x = 2\n")
    assert read(offers, folder, text).others == set()
    (folder / "hooks_beside.py").unlink()
    assert read(offers, folder, text).problems
