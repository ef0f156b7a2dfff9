"""Runs, but not everything in it can be called from a route."""

from __future__ import annotations

from router.routing.hooks import route_function


@route_function
def price(number: str) -> float:
    """Routes have no float."""
    return 0.1


@route_function
def known(number) -> bool:  # type: ignore[no-untyped-def]
    """Its parameter has no type."""
    return True


@route_function
def fine() -> int:
    """Nothing wrong here."""
    return 1
