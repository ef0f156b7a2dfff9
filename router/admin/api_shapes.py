"""What goes in and out of the HTTP API, with limits and examples: the schema is made of this."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

MAX_PAGE: Final = 500
_T = TypeVar("_T")

Text = Annotated[str, Meta(max_length=200)]
Note = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
        description="Why; stands in the audit.",
        examples=["maintenance until noon"],
    ),
]
Name = Annotated[
    str, PathParameter(min_length=1, max_length=128, description="The name.")
]
Word = Annotated[str, QueryParameter(max_length=200)]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="At most so many.")]
Cursor = Annotated[
    str, QueryParameter(max_length=200, description="`next` of the page before, if any.")
]


class Page(msgspec.Struct):
    """A part of a list; `next` is the cursor of the part after it, null at the end."""

    items: list[dict[str, Any]]
    next: str | None = None


class NewObject(msgspec.Struct):
    """An object to add, with its settings as routes.cfg has them."""

    name: Annotated[
        str,
        Meta(min_length=1, max_length=128, examples=["hk"],
             description="The name; ACCOUNT/NAME for a trunk or a phone."),
    ]
    settings: Annotated[
        dict[str, Annotated[str, Meta(max_length=4_000)]],
        Meta(examples=[{"address": "192.0.2.9", "prefixes": "852, 853"}]),
    ]


class Settings(msgspec.Struct):
    """Settings to change; an empty text takes the setting away."""

    settings: Annotated[
        dict[str, Annotated[str, Meta(max_length=4_000)]],
        Meta(examples=[{"lines": "30"}]),
    ]


class Changed(msgspec.Struct):
    """What became of a change."""

    name: str
    told: list[str]


class Locking(msgspec.Struct):
    """Why something is locked."""

    note: Note = ""


class Locked(msgspec.Struct):
    """Whether an object is locked now."""

    name: str
    locked: bool


class Payment(msgspec.Struct):
    """Money for an account."""

    amount: Annotated[
        str,
        Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", examples=["12.50"],
             description="More than 0."),
    ]
    note: Note = ""


class Correction(msgspec.Struct):
    """A correction of a balance."""

    amount: Annotated[
        str,
        Meta(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,6})?$", examples=["-12.50"],
             description="By how much; not 0."),
    ]
    note: Annotated[
        str,
        Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
             examples=["billed twice in May"], description="Why; stands in the ledger."),
    ]


class Paid(msgspec.Struct):
    """A payment; `durable` says whether the ledger has stored it yet."""

    account: str
    amount: str
    balance: str
    durable: bool
    id: str


class Asking(msgspec.Struct):
    """A call to decide without making it."""

    source: Annotated[str, Meta(max_length=64, examples=["192.0.2.1"], description="Its address.")]
    callee: Annotated[str, Meta(max_length=256, examples=["85221234567"])]
    caller: Annotated[str, Meta(max_length=256, examples=["4930123456"])] = ""
    headers: Annotated[
        list[Annotated[str, Meta(max_length=1_000)]],
        Meta(max_length=50, examples=[["X-Plan: gold"]], description="Further lines of the INVITE.")
    ] = []
    at: Annotated[str, Meta(max_length=40, examples=["now", "2026-05-01T12:30"])] = "now"


class Reloading(msgspec.Struct):
    """How to reload; a dry run only checks and shows what would change."""

    dry_run: bool = False


class Killed(msgspec.Struct):
    """The call that was ended."""

    id: str


def page(
    items: Iterable[_T], key: Callable[[_T], str], limit: int, cursor: str,
    shown: Callable[[_T], Any],
) -> Page:
    """The items after the cursor in the order of their keys."""
    rest = sorted((one for one in items if key(one) > cursor), key=key)
    last = key(rest[limit - 1]) if len(rest) > limit else None
    return Page([msgspec.to_builtins(shown(one)) for one in rest[:limit]], last)
