"""Images: what one process has checked, another one loads; and what is done with is freed."""

from __future__ import annotations

import gc
import traceback
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from dsl.findings import ConfigError
from dsl.image import Image
from dsl.load import check_routes, load_program, make_image
from dsl.program import Program
from router.routing.surface import SURFACE

TEXT = """
ringing_timeout = 60s
max_attempts = 3
gateway one { address = [2001:db8::1]:5070  prefixes = 8613, 8615  lines = 7 }
account acme {
    expires = 2030-01-31
    trunk office { ips = 192.0.2.0/24, [2001:db8::]/64 }
}
request_route {
    if ($ua =~ /scanner/i) drop;
    if ($si in [192.0.2.0/25, 198.51.100.0/24]) reply(403, "Not " + $fU);
    route(CALL);
}
route[CALL] {
    call(gateways($rU), on_failure = NEXT);
}
failure_route[NEXT] {
    next();
}
test "nobody" {
    invite from 192.0.2.1 callee "8613";
    expect reply 403;
}
"""


class OneFile:
    """A configuration of one file, which can be changed."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, path: str) -> bytes:
        return self.text.encode()

    def matches(self, pattern: str) -> list[str]:
        return []

    def variable(self, name: str) -> str | None:
        return None


def image_of(text: str = TEXT) -> Image:
    return make_image(check_routes("routes.cfg", SURFACE, OneFile(text), loading=True), SURFACE)


def travelled(text: str = TEXT) -> Program:
    return Image.from_bytes(image_of(text).to_bytes()).load(SURFACE)


def answer(program: Program, **facts: Any) -> list[object]:
    """What request_route says to a request with these facts."""
    said: list[object] = []
    context = SimpleNamespace(
        reply=lambda *what: said.append(what), drop=lambda: said.append("drop"),
        at=lambda place: None, **facts
    )
    program.routes["request_route", ""](context)
    return said


def test_a_program_that_travelled_is_the_one_that_was_checked() -> None:
    here, there = load_program("routes.cfg", SURFACE, OneFile(TEXT)), travelled()
    for name in ("hash", "settings", "blocks", "source", "path", "files", "places", "tests"):
        assert getattr(there, name) == getattr(here, name), name
        assert getattr(there, name), name
    assert there.routes.keys() == here.routes.keys()


def test_its_routes_run_with_their_constants() -> None:
    program = travelled()
    assert answer(program, user_agent="A Scanner") == ["drop"]
    address = program.namespace["ip_address"]("192.0.2.9")
    assert answer(program, user_agent="", source_ip=address, caller="42") == [(403, "Not 42")]


def test_a_traceback_shows_the_line_that_was_loaded() -> None:
    program = travelled()
    try:
        answer(program)
    except AttributeError:
        text = traceback.format_exc()
    assert 'File "routes.cfg", line 10, in request_route' in text
    assert "if ($ua =~ /scanner/i) drop;" in text


def test_a_program_done_with_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        program = travelled()
        handler = weakref.ref(program.routes["failure_route", "NEXT"])
        program.namespace.clear()
        del program
        assert handler() is None
    finally:
        gc.enable()


def test_a_configuration_with_errors_becomes_no_image() -> None:
    with pytest.raises(ConfigError):
        image_of("request_route { route(NOWHERE); }")
