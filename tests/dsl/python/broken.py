"""Does not run."""

from __future__ import annotations

raise RuntimeError("no database")
