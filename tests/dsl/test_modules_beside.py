"""Modules beside a Python file: imported as they were read, whatever the disk says by now."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dsl.imports import PythonError, PythonModule


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, str]:
    """What was read of a folder in which nothing is left, or something else."""
    (tmp_path / "rates_beside.py").write_text("COUNT = 'the disk'\n")
    return {
        str(tmp_path / "rates_beside.py"): "from parts_beside.inner import VALUE as COUNT\n",
        str(tmp_path / "parts_beside/__init__.py"): "from . import inner\n",
        str(tmp_path / "parts_beside/inner.py"): "VALUE = 'as read'\n",
    }


def run(folder: Path, text: str, texts: dict[str, str]) -> PythonModule:
    return PythonModule(str(folder / "hooks.py"), text, "hooks", texts)


def test_modules_and_packages_come_from_the_texts(tmp_path: Path, texts: dict[str, str]) -> None:
    module = run(tmp_path, "import rates_beside, parts_beside.inner as inner\n", texts)
    assert module.module.rates_beside.COUNT == "as read"
    assert module.module.inner.VALUE == "as read"
    assert sorted(Path(path).name for path in module.beside) == [
        *("__init__.py", "inner.py", "rates_beside.py")
    ]
    assert not [name for name in sys.modules if name.partition(".")[0].endswith("_beside")]
    assert not [finder for finder in sys.meta_path if "Beside" in type(finder).__name__]


def test_what_is_not_among_the_texts_comes_from_the_disk(tmp_path: Path) -> None:
    (tmp_path / "rates_beside.py").write_text("COUNT = 'the disk'\n")
    module = run(tmp_path, "from rates_beside import COUNT\n", {})
    assert module.module.COUNT == "the disk"


def test_modules_elsewhere_of_the_same_name_are_left_alone(
    tmp_path: Path, texts: dict[str, str]
) -> None:
    module = run(tmp_path, "import json.decoder\nfrom os import path\n", texts)
    assert module.module.json is sys.modules["json"]
    assert module.beside == []


def test_a_fault_of_a_text_names_its_file(tmp_path: Path, texts: dict[str, str]) -> None:
    texts[str(tmp_path / "rates_beside.py")] = "x = 1\ny = 1 / 0\n"
    with pytest.raises(PythonError, match="ZeroDivisionError") as caught:
        run(tmp_path, "\nimport rates_beside\n", texts)
    assert caught.value.line == 2
    assert not [finder for finder in sys.meta_path if "Beside" in type(finder).__name__]


def test_a_text_knows_where_it_came_from(tmp_path: Path, texts: dict[str, str]) -> None:
    texts[str(tmp_path / "rates_beside.py")] = "HERE, NAME = __file__, __name__\n"
    module = run(tmp_path, "from rates_beside import HERE, NAME\n", texts)
    assert str(tmp_path / "rates_beside.py") == module.module.HERE
    assert module.module.NAME == "rates_beside"
