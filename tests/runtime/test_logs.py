"""Log lines: JSON off a terminal, levels, bounds, and no secrets."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from router.runtime.logs import (
    BURST_LINES,
    LINES_PER_SECOND,
    BoundedLog,
    configure_logs,
    structlog_emitter,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs("info", stream)
    yield stream
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_every_line_is_json_with_level_and_time(written: io.StringIO) -> None:
    structlog.get_logger(worker=1).warning("gateway down", gateway="g1")
    (line,) = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "warning", "event": "gateway down", "gateway": "g1", "worker": 1}


def test_lines_below_the_level_are_not_written(written: io.StringIO) -> None:
    structlog.get_logger().debug("nobody asked")
    assert lines(written) == []


def test_on_a_terminal_people_can_read_it() -> None:
    stream = Terminal()
    configure_logs("info", stream)
    structlog.get_logger().info("running", workers=2)
    structlog.reset_defaults()
    assert "running" in stream.getvalue()
    assert "{" not in stream.getvalue()


@pytest.mark.parametrize(
    "name", ["password", "Proxy-Authorization", "api_key", "db_password", "client_secret", "ha1"]
)
def test_a_secret_is_never_written(written: io.StringIO, name: str) -> None:
    structlog.get_logger().info("x", **{name: "geheim"})
    assert "geheim" not in written.getvalue()
    assert lines(written)[0][name] == "***"


def test_a_field_may_have_the_name_of_the_loggers_own_parameter(written: io.StringIO) -> None:
    structlog_emitter(worker=0)("info", "a route failed", {"event": "x", "id": "1"})
    (line,) = lines(written)
    assert (line["event"], line["event_"], line["worker"]) == ("a route failed", "x", 0)


def test_an_unknown_level_is_written_as_info(written: io.StringIO) -> None:
    structlog_emitter()("notice", "x", {})
    assert lines(written)[0]["level"] == "info"


def test_a_flood_is_cut_counted_and_granted_again_by_the_second() -> None:
    got: list[str] = []
    log = BoundedLog(lambda level, event, fields: got.append(f"{event} {fields}"))
    for _ in range(BURST_LINES + 7):
        log.line("info", "x")
    assert len(got) == BURST_LINES
    log.tick()
    assert got[-1] == "log lines left out {'lines': 7}"
    for _ in range(LINES_PER_SECOND * 2):
        log.line("info", "y")
    assert sum(line.startswith("y") for line in got) == LINES_PER_SECOND
