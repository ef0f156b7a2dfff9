"""Functions for the configurations of these tests."""

from __future__ import annotations

from datetime import timedelta

from router.routing.hooks import Call, Gateway, IpAddress, route_function


@route_function
def is_vip(number: str) -> bool:
    """Whether a number is a good customer's."""
    return number.startswith("1")


@route_function
def first(candidates: list[Gateway], count: int = 1) -> list[Gateway]:
    """The first candidates."""
    return candidates[:count]


@route_function
def note(call: Call, text: str, *, source: IpAddress | None = None) -> None:
    """Keeps a word in the call."""
    call.variables["note"] = text


@route_function
def minutes(time: timedelta) -> int:
    """How many minutes a duration has."""
    return time // timedelta(minutes=1)


@route_function
async def lookup(number: str) -> str:
    """What a far server knows of a number."""
    return number


def helper() -> None:
    """Not for routes."""
