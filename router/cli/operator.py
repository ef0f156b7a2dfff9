"""Who gives a command."""

from __future__ import annotations

import getpass
import os


def who() -> str:
    """Who gives the command: the user, also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
