"""A real Prometheus on a router's metrics: started, asked, ended."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from harness.ports import LOOPBACK, free_ports, wait_until

ROOT = Path(__file__).resolve().parents[3]
UNPACKED = ROOT / "build/prometheus/usr/bin/prometheus"


class Prometheus:
    """One process with its data in a folder of the test's; scrapes every second."""

    def __init__(self, folder: Path, metrics_port: int, rules: Path) -> None:
        program = shutil.which("prometheus") or str(UNPACKED)
        assert Path(program).exists(), "prometheus is missing: make test fetches it"
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{rules}']\n"
            "scrape_configs:\n"
            "  - job_name: trunkline\n"
            f"    static_configs: [{{targets: ['{LOOPBACK}:{metrics_port}']}}]\n"
        )
        self._log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [
                program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
            ],
            stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL, cwd=folder,
        )
        wait_until(lambda: self._ready() or self.process.poll() is not None, "Prometheus", 20)
        assert self.process.poll() is None, (folder / "log").read_text()

    def query(self, expression: str, at_s: float | None = None) -> list[dict[str, Any]]:
        """The series of an expression, now if not said; AssertionError with Prometheus' words."""
        when = {} if at_s is None else {"time": at_s}
        asked = urllib.parse.urlencode({"query": expression, **when})
        try:
            with urllib.request.urlopen(f"{self._url}/query?{asked}", timeout=10) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}\n{error.read().decode()}") from None
        assert told["status"] == "success", f"{expression}\n{told}"
        result: list[dict[str, Any]] = told["data"]["result"]
        return result

    def over_time(
        self, expression: str, start_s: float, end_s: float, step_s: float = 1
    ) -> list[dict[str, Any]]:
        """The series of an expression over a time, in steps."""
        asked = urllib.parse.urlencode(
            {"query": expression, "start": start_s, "end": end_s, "step": step_s}
        )
        with urllib.request.urlopen(f"{self._url}/query_range?{asked}", timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and last error."""
        with urllib.request.urlopen(f"{self._url}/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self._log.close()

    @property
    def _url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/api/v1"

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/-/ready", timeout=1):
                return True
        except OSError:
            return False
