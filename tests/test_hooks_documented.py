"""docs/hooks.md against the code: every public name is explained, and what it shows works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsl.imports import PythonModule
from router.routing import hooks
from router.routing.hooks import Call
from router.routing.surface_settings import GLOBAL
from router.runtime.metrics_catalogue import CATALOGUE, PREFIX
from router.runtime.routes_file import check_file

PAGE = Path(__file__).parents[1] / "docs/hooks.md"
TEXT = PAGE.read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FACTS = {name for name in vars(Call) if isinstance(vars(Call)[name], property)}


def test_every_public_name_is_explained() -> None:
    missing = {name for name in hooks.__all__ if not re.search(rf"`?\b{name}\b", TEXT)}
    assert missing == set()


def test_what_can_be_done_with_a_call_is_explained() -> None:
    methods = {name for name in vars(Call) if not name.startswith("_")} - FACTS
    assert {name for name in methods if name not in TEXT} == set()
    settable = {name for name in FACTS if vars(Call)[name].fset is not None}
    assert {name for name in settable if f"`call.{name}`" not in TEXT} == set()
    told = set(re.findall(r"`call\.(\w+)", TEXT)) | set(
        re.findall(r"(?<!\$)\bcall\.(\w+)", "".join(PYTHON))
    )
    assert told - FACTS - methods == set()


def test_the_functions_that_are_shown_run(tmp_path: Path) -> None:
    whole = [text for text in PYTHON if text.startswith("from router")]
    assert whole
    head = whole[0]
    for text in PYTHON:
        source = text if text in whole else head + text
        assert PythonModule("hooks.py", source, "hooks").marked()


def test_the_first_pair_of_files_checks_clean(tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(PYTHON[0])
    imported = re.search(r"^import python .*$", TEXT, re.MULTILINE)
    assert imported is not None
    (tmp_path / "routes.cfg").write_text(
        f"{imported[0]}\nrequest_route {{ if (hooks.is_vip($fU)) reply(200); reply(403); }}\n"
    )
    assert check_file(tmp_path / "routes.cfg").findings == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(trunkline_\w+?)(?:_total)?`", TEXT))))
def test_a_metric_that_is_named_exists(name: str) -> None:
    assert name in {PREFIX + metric.name for metric in CATALOGUE}


def test_the_limit_is_the_settings_default() -> None:
    (setting,) = (one for one in GLOBAL if one.name == "hook_timeout")
    assert f"`hook_timeout = {setting.default}`" in TEXT


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target
