"""What is known of accounts: by routes.cfg, by the ledger, and by live state now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Config = Annotated[Path, Parameter(name="--config", help="The configuration.")]
State = Annotated[
    Path | None,
    Parameter(name="--state", help="The router's state folder; else the configuration's."),
]
