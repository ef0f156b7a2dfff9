"""Which CDRs a command is about, and where they are: the filters as people type them, the stores.

Reads the ledger and what still waits for it in the outbox, so a call is there the moment it ends;
works while the router runs and after it has stopped, and changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dsl.check.report import did_you_mean
from router.admin.cdr_search import (
    parse_instant,
    parse_reason,
)
from router.admin.wrong_value import WrongValue
from router.runtime.run_record import read_run_record
from router.store.cdr_lines import plain
from router.store.errors import StoreError
from router.store.query import CdrQuery

State = Annotated[Path, Parameter(help="The router's state folder, as `state` in routes.cfg says.")]
Json = Annotated[bool, Parameter(name="--json", negative="")]


@Parameter(name="*")
@dataclass(frozen=True)
class Filters:
    """Which CDRs; all of them without any.

    Parameters
    ----------
    since
        Only calls that arrived at or after this time: 2026-05-01, 2026-05-01T12:30, a span back
        from now (90s, 10m, 2h, 3d, 1w), today or yesterday.
    until
        Only calls that arrived before this time, written as for --since.
    gateway
        Only calls that were tried on this gateway.
    account
        Only calls of this account.
    trunk
        Only calls of the trunk of this name.
    phone
        Only calls of this phone, by its number.
    caller
        Only calls from numbers that begin with this, as they came.
    callee
        Only calls to numbers that begin with this, as the caller dialled them.
    number
        Only calls from or to this number. How it begins may be left out: 40123456 also finds
        +49 40 123456 and 004940123456.
    reason
        Only calls that ended for this reason, such as UserBusy.
    call_id
        Only the call with this Call-ID, the caller's or a gateway's.
    """

    since: str = ""
    until: str = ""
    gateway: str = ""
    account: str = ""
    trunk: str = ""
    phone: str = ""
    caller: str = ""
    callee: str = ""
    number: str = ""
    reason: str = ""
    call_id: str = ""

    def query(self, now: datetime, limit: int = 0) -> CdrQuery:
        """The filters as the stores take them; WrongValue when one makes no sense."""
        query = CdrQuery(
            since_ms=parse_instant("--since", self.since, now),
            until_ms=parse_instant("--until", self.until, now),
            gateway=self.gateway,
            account=self.account,
            callee_prefix=self.callee,
            end_reason=parse_reason(self.reason),
            limit=limit,
            call_id=self.call_id,
            caller_prefix=self.caller,
            trunk=self.trunk,
            phone=self.phone,
            number=number_of(self.number),
        )
        if query.until_ms and query.since_ms >= query.until_ms:
            raise WrongValue(
                f"--since {self.since} is not before --until {self.until}: nothing lies between"
            )
        return query


def nothing_found(state: Path, filters: Filters | None) -> str:
    """What to say where no CDR matches: whether the names that were given are any."""
    told = "No CDR matches."
    run = read_run_record(state)
    if filters is None or run is None:
        return told
    for kind, name, known in (
        ("account", filters.account, [name for name, _ in run.accounts]),
        ("gateway", filters.gateway, [name for name, _ in run.gateways]),
    ):
        if name and name not in known:
            hint = did_you_mean(name, known) or f"trunkline {kind}s list shows them"
            told += f" The router has no {kind} `{plain(name)}`: {hint}"
    return told


def number_of(text: str) -> str:
    """A number as people write it down, without what only separates its digits."""
    return "".join(char for char in text if char not in " -/().")


def obey(run: Callable[[], None]) -> int:
    """The exit code of a command, with what went wrong as one line on standard error."""
    try:
        run()
    except (StoreError, WrongValue) as error:
        print(f"trunkline: {plain(str(error))}", file=sys.stderr)
        return 1
    return 0


# What was asked for


# Where the CDRs are
