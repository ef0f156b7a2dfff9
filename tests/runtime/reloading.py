"""Configurations as text and small stand-ins, for the tests of reloads."""

from __future__ import annotations

from pathlib import Path

from dsl.load import check_routes, make_image
from dsl.program import Program
from router.routing.surface import SURFACE
from router.runtime.reload_changes import portrait_of
from router.runtime.reload_image import pack_image
from router.runtime.reload_memory import new_memory, write_memory

ROUTES = """
listen = udp:127.0.0.1:5060
ringing_timeout = 60s
gateway one { address = 192.0.2.1  prefixes = 86  lines = 5 }
gateway two { address = 192.0.2.2  prefixes = 86  priority = 2 }
account acme {
    lines = 30
    trunk office { ips = 127.0.0.1 }
}
request_route {
    if ($ua =~ /scanner/i) drop;
    if ($rm != "INVITE") reply(200);
    if (!identify()) end(IllegalCall);
    call(gateways($rU), on_failure = NEXT);
}
failure_route[NEXT] {
    if ($si in [198.51.100.0/24]) end(UserBusy);
    next();
}
"""


class OneFile:
    """A configuration of one file in memory."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read(self, path: str) -> bytes:
        return self._text.encode()

    def matches(self, pattern: str) -> list[str]:
        return []

    def variable(self, name: str) -> str | None:
        return None


def changed(*changes: tuple[str, str]) -> str:
    """ROUTES with each first text, which stands in it once, replaced by the second."""
    text = ROUTES
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def program(text: str = ROUTES) -> Program:
    outcome = check_routes("routes.cfg", SURFACE, OneFile(text), loading=True)
    return make_image(outcome, SURFACE).load(SURFACE)


def image(text: str = ROUTES) -> bytes:
    """A packed image, as a check leaves it for the workers."""
    outcome = check_routes("routes.cfg", SURFACE, OneFile(text), loading=True)
    made = make_image(outcome, SURFACE)
    return pack_image(made.to_bytes(), portrait_of(made.load(SURFACE)))


def memory(data: bytes) -> int:
    """A memory file with this in it."""
    descriptor = new_memory("test")
    write_memory(descriptor, data)
    return descriptor


def written(folder: Path, text: str = ROUTES) -> Path:
    path = folder / "routes.cfg"
    path.write_text(text)
    return path
