"""Which addresses are blocked after wrong credentials, and an end to it."""

from __future__ import annotations

import time
from ipaddress import ip_address
from pathlib import Path

from router.admin.phones_online import open_live
from router.admin.wrong_value import NotThere, WrongValue
from router.core.guard import source_of
from router.store.interface import Block


def read_blocks(state: Path, now_ms: int) -> dict[str, Block]:
    """The blocks that hold at `now_ms`, by address; StoreError when that cannot be read."""
    live = open_live(state)
    try:
        return dict(live.blocks(now_ms))
    finally:
        live.close()


def lift_block(state: Path, address: str) -> str:
    """End a block; the address as it was blocked. WrongValue when there is none."""
    try:
        wanted = source_of(str(ip_address(address.removesuffix("/64"))))
    except ValueError:
        raise WrongValue(f"{address!r} is no IP address") from None
    live = open_live(state, readonly=False)
    try:
        lifted = live.lift_block(wanted, time.time_ns() // 1_000_000)
    finally:
        live.close()
    if not lifted:
        raise NotThere(f"{wanted} is not blocked: see trunkline blocks list")
    return wanted
