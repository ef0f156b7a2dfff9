"""Fixtures of the system tests: real router processes, real SIPp, on free ports."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.fixtures import *  # noqa: F403
