"""What commands print in tests goes nowhere: into a pipe, where nothing is cut."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The width of whoever runs the tests does not count."""
    monkeypatch.delenv("COLUMNS", raising=False)
