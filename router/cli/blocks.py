"""`trunkline blocks`: which addresses are blocked after wrong credentials, and an end to it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from router.admin.blocked import lift_block, read_blocks
from router.admin.gateway_health import span
from router.admin.wrong_value import WrongValue
from router.cli.phones import State
from router.cli.tables import show_columns
from router.store.errors import StoreError

app = App(name="blocks", help="Show and lift blocks of addresses that guessed passwords.")


@app.command(name="list")
def list_blocks(
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    state: State = Path("state"),
) -> int:
    """List the addresses that are blocked.

    Parameters
    ----------
    as_json
        Print JSON, one object a line; times are epoch milliseconds.
    """
    now_ms = time.time_ns() // 1_000_000
    try:
        blocks = read_blocks(state, now_ms)
    except StoreError as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return 1
    if as_json:
        for address, block in blocks.items():
            fields = {"address": address, "since_ms": block.since_ms, "until_ms": block.until_ms}
            print(json.dumps(fields))
    elif not blocks:
        print("No address is blocked.")
    else:
        show_columns(
            {
                "ADDRESS": list(blocks),
                "BLOCKED FOR": [span(now_ms - block.since_ms) for block in blocks.values()],
                "ENDS IN": [span(block.until_ms - now_ms) for block in blocks.values()],
            },
            {"BLOCKED FOR", "ENDS IN"},
        )
    return 0


@app.command
def lift(address: str, /, *, state: State = Path("state")) -> int:
    """End the block of an address: within a second no worker refuses it any more.

    Parameters
    ----------
    address
        The address, as trunkline blocks list shows it.
    """
    try:
        wanted = lift_block(state, address)
    except (StoreError, WrongValue) as error:
        print(f"trunkline: {error}", file=sys.stderr)
        return 1
    print(f"{wanted} is not blocked any more.")
    return 0
