"""What is said of a metric: one source for `# HELP`, for docs/metrics.md and for the tests."""

from __future__ import annotations

from typing import Literal, NamedTuple

Labels = tuple[str, ...]


class Metric(NamedTuple):
    """One metric family: its name without the prefix and without `_total`, and its labels.

    `what` is one sentence on what is measured and `do` what to do with it: together they are the
    `# HELP`, of at most 160 characters. `more` is Markdown that only the page has.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: Labels
    what: str = ""
    do: str = ""
    more: str = ""

    @property
    def help(self) -> str:
        """The text of `# HELP`."""
        return f"{self.what} {self.do}"


class Section(NamedTuple):
    """A heading of the page, the metrics below it, and Markdown that follows their table."""

    title: str
    metrics: tuple[Metric, ...]
    after: str = ""
