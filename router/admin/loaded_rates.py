"""Where the rates of a configuration are that were loaded by command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from router.routing.config import DEFAULT_STATE


def state_of(path: str | Path, settings: Mapping[str, Any]) -> Path:
    """The state folder that a configuration names."""
    state: str = settings.get("state", DEFAULT_STATE)
    return Path(path).parent / state
