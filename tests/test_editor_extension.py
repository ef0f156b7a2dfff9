"""The folder of the VS Code extension is one that VS Code takes: its fields, files and scopes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from router.cli.lsp.command import lsp

FOLDER = Path(__file__).parents[1] / "docs" / "editor"
PACKAGE: dict[str, Any] = json.loads((FOLDER / "package.json").read_text())
CONTRIBUTES: dict[str, Any] = PACKAGE["contributes"]
SCRIPT = (FOLDER / PACKAGE["main"]).read_text()
# Of the TextMate manual's section on naming conventions, which themes give colours to.
SCOPES = {
    *("comment", "constant", "entity", "invalid", "keyword", "markup", "meta", "punctuation"),
    *("storage", "string", "support", "variable"),
}


def test_it_has_what_an_extension_needs() -> None:
    assert re.fullmatch(r"[a-z0-9-]+", PACKAGE["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", PACKAGE["version"])
    assert re.fullmatch(r"\^\d+\.\d+\.\d+", PACKAGE["engines"]["vscode"])
    assert {"publisher", "displayName", "description", "license"} <= PACKAGE.keys()
    assert (FOLDER / "README.md").exists()


def test_the_files_that_it_names_are_there_and_are_read() -> None:
    (language,) = CONTRIBUTES["languages"]
    (grammar,) = CONTRIBUTES["grammars"]
    configuration = json.loads((FOLDER / language["configuration"]).read_text())
    made = json.loads((FOLDER / grammar["path"]).read_text())
    assert grammar["language"] == language["id"]
    assert grammar["scopeName"] == made["scopeName"]
    assert re.compile(language["firstLine"]).match("# routes.cfg of the carrier")
    for pattern in (configuration["wordPattern"], *configuration["indentationRules"].values()):
        re.compile(pattern)
    increase = configuration["indentationRules"]["increaseIndentPattern"]
    assert re.match(increase, "    if ($rU == 1) {")
    assert not re.match(increase, "gateway a { address = 192.0.2.1 }")


def test_every_scope_is_one_that_themes_know() -> None:
    made = json.loads((FOLDER / CONTRIBUTES["grammars"][0]["path"]).read_text())
    names = re.findall(r'"(?:name|contentName)": "([^"]+)"', json.dumps(made))[1:]
    assert len(names) > 20
    for name in " ".join(names).split():
        assert name.split(".")[0] in SCOPES, name
        assert name.endswith(".trunkline"), name


def test_the_script_does_what_the_manifest_promises() -> None:
    for command in CONTRIBUTES["commands"]:
        assert f'registerCommand("{command["command"]}"' in SCRIPT
    for name in CONTRIBUTES["configuration"]["properties"]:
        section, _, key = name.partition(".")
        assert f'getConfiguration("{section}").get("{key}")' in SCRIPT
    assert f'language: "{CONTRIBUTES["languages"][0]["id"]}"' in SCRIPT
    assert f'args: ["{lsp.__name__}"]' in SCRIPT
    required = set(re.findall(r'require\("([\w-]+)', SCRIPT)) - {"vscode"}
    assert required == PACKAGE["dependencies"].keys()


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_node_reads_the_script() -> None:
    done = subprocess.run(
        ["node", "--check", PACKAGE["main"]], cwd=FOLDER, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
