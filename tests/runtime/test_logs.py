"""Log lines: JSON off a terminal, levels, bounds, and no secrets."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from router.runtime.log_stream import SteadyStream
from router.runtime.logs import (
    BURST_LINES,
    LINES_PER_SECOND,
    BoundedLog,
    configure_logs,
    log_sink,
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
    assert got[-1] == "log lines left out {'lines': 7, 'events': {'x': 7}}"
    for _ in range(LINES_PER_SECOND * 2):
        log.line("info", "y")
    assert sum(line.startswith("y") for line in got) == LINES_PER_SECOND


def test_errors_have_an_allowance_of_their_own() -> None:
    got: list[str] = []
    log = BoundedLog(lambda level, event, fields: got.append(level))
    for _ in range(BURST_LINES * 3):
        log.line("info", "flood")
    log.line("error", "fault")
    assert got[-1] == "error"


def test_what_was_left_out_is_said_by_event_and_at_the_end() -> None:
    got: list[tuple[str, dict[str, Any]]] = []
    log = BoundedLog(lambda level, event, fields: got.append((event, fields)))
    for _ in range(BURST_LINES):
        log.line("info", "fills it")
    for number in range(40):
        log.line("info", f"event {number}")
    log.line("info", "event 3")
    log.say_left_out()
    event, fields = got[-1]
    assert event == "log lines left out"
    assert fields["lines"] == 41
    assert list(fields["events"].items())[:2] == [("others", 20), ("event 3", 2)]
    log.say_left_out()
    assert got[-1] == (event, fields)


HOSTILE = "a\nb\x1b[31m\x07\x9b" + "x" * 5_000


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_peers_text_is_cut_and_cannot_forge_a_line(form: str) -> None:
    stream = io.StringIO()
    configure_logs("info", stream, form)
    structlog.get_logger().warning("x", reason=HOSTILE)
    structlog.reset_defaults()
    (line,) = stream.getvalue().splitlines()
    assert "\x1b" not in line and "\x07" not in line and "\x9b" not in line
    assert "4005 characters left out" in line.replace("\\n", "").replace("4010", "4005")
    assert len(line) < 1_500


def test_a_traceback_keeps_its_lines_and_its_end() -> None:
    stream = io.StringIO()
    configure_logs("info", stream, "text")
    structlog.get_logger().error("x", trace="Traceback\n" + "y\n" * 9_000 + "the \x1b end")
    structlog.reset_defaults()
    shown = stream.getvalue()
    assert len(shown) < 9_000 and "the \\x1b end" in shown and shown.count("\n") > 100


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("text", False), ("auto", True)])
def test_the_form_can_be_asked_for(form: str, is_json: bool) -> None:
    stream = io.StringIO()
    configure_logs("info", stream, form)
    structlog.get_logger().info("running")
    structlog.reset_defaults()
    assert stream.getvalue().startswith("{") == is_json


def test_lines_that_nobody_read_in_time_are_confessed(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", form="json")
    stream = log_sink().stream
    assert isinstance(stream, SteadyStream)
    stream._left_out = 12
    structlog.get_logger().info("next")
    structlog.reset_defaults()
    first, second = map(json.loads, capfd.readouterr().err.splitlines())
    assert (first["event"], first["lines"]) == ("log lines left out", 12)
    assert second["event"] == "next"
