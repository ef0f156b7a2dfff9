"""alerts.yml: sound rules, each with what to do, each shown firing and not firing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from router.cli.main import COMMANDS
from router.cli.reference.key_figures import FIGURES
from router.runtime.metrics_catalogue import CATALOGUE, PREFIX

FOLDER = Path(__file__).parents[2] / "grafana"
RULES = (FOLDER / "alerts.yml").read_text()
TEST_FILES = ("alerts_test.yml", "alerts_week_test.yml")
TESTS = "".join((FOLDER / name).read_text() for name in TEST_FILES)
ALERTS = re.findall(r"- alert: (\w+)", RULES)


UNPACKED = FOLDER.parent / "build/prometheus/usr/bin/promtool"
PROMTOOL = shutil.which("promtool") or str(UNPACKED)


def promtool(*words: str) -> str:
    assert Path(PROMTOOL).exists(), "promtool is missing: make test fetches it"
    done = subprocess.run(
        [PROMTOOL, *words], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_the_rules_sound() -> None:
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml")


def test_every_alert_fires_when_it_should_and_not_else() -> None:
    for name in TEST_FILES:
        assert "SUCCESS" in promtool("test", "rules", name)


def test_every_alert_is_tried_both_ways() -> None:
    tried = re.findall(r"alertname: (\w+)\n(\s+exp_alerts)?", TESTS)
    fires = {name for name, expected in tried if expected}
    rests = {name for name, expected in tried if not expected}
    assert set(ALERTS) == fires == rests


def test_every_alert_says_what_it_is_why_and_what_to_run() -> None:
    for part in re.split(r"- alert: ", RULES)[1:]:
        name = part.split("\n", 1)[0]
        for field in ("summary:", "cause:", "run:", "severity:"):
            assert field in part, f"{name} has no {field}"
        command = re.search(r"run: \"?trunkline (\w+)", part)
        assert command and command[1] in {one.name for one in COMMANDS}, name


def test_the_recording_rules_compute_what_they_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", "figures_test.yml")


def test_every_key_figure_has_its_rule_and_the_rule_is_tried() -> None:
    by_an_alert = {"trunkline:gateway_pdd_seconds:p95_15m"}
    tried = (FOLDER / "figures_test.yml").read_text()
    for figure in FIGURES:
        assert f"- record: {figure.record}\n" in RULES
        assert figure.record in tried or figure.record in by_an_alert


def test_every_metric_of_the_rules_is_exported() -> None:
    exported = set()
    for metric in CATALOGUE:
        for suffix in ("", "_total", "_bucket", "_sum", "_count"):
            exported.add(PREFIX + metric.name + suffix)
    assert set(re.findall(r"\btrunkline_\w+", RULES)) <= exported
