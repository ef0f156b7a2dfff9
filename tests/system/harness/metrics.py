"""A scrape of the router's /metrics, read with Prometheus' own text parser."""

from __future__ import annotations

import urllib.request

from harness.ports import LOOPBACK
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "trunkline_"


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name (without prefix) that carry these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == PREFIX + name
            and all(sample.labels.get(key) == value for key, value in labels.items())
        )

    def names(self) -> set[str]:
        """Sample names without the prefix."""
        return {sample.name.removeprefix(PREFIX) for sample in self.samples}

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every counter and histogram sample by name and labels: what may only rise."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for sample in self.samples
            if sample.name.endswith(("_total", "_count", "_sum", "_bucket"))
        }


def scrape(port: int) -> Metrics:
    """What /metrics on this port says now."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=5) as answer:
        return Metrics(answer.read().decode())
