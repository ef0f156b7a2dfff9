"""One line a call in the log: what is on it, which calls have one, what a killed process does."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from router.runtime.call_log import BURST_LINES, CallLog, json_line, text_line
from router.runtime.ledger_process import run_ledger
from router.runtime.logs import Sink, configure_logs
from router.store.draining import Draining
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.ops import Finish
from router.store.records import Attempt, Cdr, encode_cdr
from router.store.state import prepare_state

NOW_MS = 1_700_000_000_000
FIELDS = """
    timestamp level event process id call_id account trunk phone source caller_in callee_in gateway
    attempts started pdd_ms duration_ms sip_code end_reason end_side charge cost
"""


def a_cdr(number: int = 1, **more: Any) -> Cdr:
    base: dict[str, Any] = {
        "id": f"{NOW_MS + number:012x}00{number:08x}", "call_id": f"call-{number}",
        "account": "acme", "trunk": "office", "caller_in": "1000", "callee_in": "8613800",
        "gateway": "cn_mobile", "attempts": [Attempt("first"), Attempt("cn_mobile")],
        "started": NOW_MS, "answered": NOW_MS + 2_000, "ended": NOW_MS + 5_500, "pdd_ms": 800,
        "duration_ms": 3_500, "charge": 120_000, "cost": 90_000, "end_reason": "Normal",
        "end_side": "caller", "sip_code": 200, "source": "192.0.2.7:5060",
    }
    return Cdr(**base | more)


FAILED = {"answered": 0, "duration_ms": 0, "end_reason": "UserBusy", "sip_code": 486}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    yield io.StringIO()
    structlog.reset_defaults()


def log_of(stream: io.StringIO, which: str = "all", form: str = "json") -> CallLog:
    return CallLog(configure_logs("info", stream, form), which)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_what_tells_one_call_from_another() -> None:
    line = json.loads(json_line(a_cdr(), NOW_MS + 6_007))
    assert list(line) == FIELDS.split()
    assert line["timestamp"] == "2023-11-14T22:13:26.007Z"
    assert line["started"] == "2023-11-14T22:13:20.000Z"
    assert (line["event"], line["level"]) == ("call ended", "info")
    assert (line["attempts"], line["charge"], line["cost"]) == (2, "0.120000", "0.090000")


def test_its_fields_have_the_names_of_the_cdr() -> None:
    own = {"timestamp", "level", "event", "process"}
    assert set(FIELDS.split()) - own <= set(Cdr.__struct_fields__)


@pytest.mark.parametrize(
    ("cdr", "says"),
    [
        (a_cdr(), "Normal 200, talked 3.5 s, 2 attempts: acme/office, 1000 > 8613800 by cn_mobile"),
        (
            a_cdr(**FAILED, attempts=[Attempt("cn_mobile")]),
            "UserBusy 486, after 5.5 s: acme/office, 1000 > 8613800 by cn_mobile",
        ),
        (
            Cdr(id="7", end_reason="IllegalCall", sip_code=403, callee_in="1"),
            "IllegalCall 403, after 0.0 s: nobody, - > 1  id=7",
        ),
        (a_cdr(trunk="", phone="1001"), "acme/1001, "),
    ],
)
def test_people_read_one_short_line(cdr: Cdr, says: str) -> None:
    line = text_line(cdr, NOW_MS)
    assert says in line
    assert line.endswith(f"id={cdr.id}\n")


HOSTILE = "1\n2026 [error] forged\x1b[2J\x00\udcff" + "9" * 70_000


@pytest.mark.parametrize("make", [json_line, text_line])
def test_what_peers_send_neither_ends_a_line_nor_moves_a_cursor(make: Any) -> None:
    line = make(a_cdr(caller_in=HOSTILE, callee_in=HOSTILE, call_id=HOSTILE), NOW_MS)
    assert line.count("\n") == 1 and line.endswith("\n")
    assert not any(unicodedata.category(char) == "Cc" for char in line[:-1])
    assert len(line) < 20_000


@pytest.mark.parametrize(
    ("which", "reasons"),
    [("all", ["Normal", "UserBusy"]), ("failed", ["UserBusy"]), ("none", [])],
)
def test_which_calls_have_a_line(written: io.StringIO, which: str, reasons: list[str]) -> None:
    log = log_of(written, which)
    log.tell([encode_cdr(a_cdr(1)), encode_cdr(a_cdr(2, **FAILED))], NOW_MS)
    assert [line["end_reason"] for line in lines(written)] == reasons
    assert log.is_on == (which != "none")


def test_a_log_of_warnings_has_no_calls() -> None:
    stream = io.StringIO()
    assert not CallLog(Sink(stream, True, "warning"), "all").is_on


def test_a_flood_of_calls_is_cut_and_counted(written: io.StringIO) -> None:
    log = log_of(written)
    flood = [encode_cdr(a_cdr(number)) for number in range(BURST_LINES + 30)]
    log.tell(flood, NOW_MS)
    log.tell(flood[:1], NOW_MS + 10_000)
    got = lines(written)
    assert len(got) == BURST_LINES + 2
    told = got[-2]
    assert (told["event"], told["lines"]) == ("log lines left out", 30)
    assert told["events"] == {"call ended": 30}
    assert got[-1]["call_id"] == "call-0"


class Never:
    def is_set(self) -> bool:
        return True

    def wait(self, timeout: float) -> None:
        raise AssertionError


def no_log(level: str, event: str, /, **fields: object) -> None:
    raise AssertionError(event)


def with_calls(state: Path, numbers: Sequence[int]) -> None:
    prepare_state(state)
    live = LmdbLive(state / "live.lmdb")
    live.commit([Finish(a_cdr(number).id, a_cdr(number)) for number in numbers], NOW_MS)
    live.close()


def test_the_ledger_process_writes_a_line_of_each_call(
    tmp_path: Path, written: io.StringIO
) -> None:
    with_calls(tmp_path, range(7))
    assert run_ledger(tmp_path, log=no_log, stop=Never(), calls=log_of(written)) == 0
    assert [line["call_id"] for line in lines(written)] == [f"call-{n}" for n in range(7)]


def test_a_call_has_its_line_although_the_process_is_killed(
    tmp_path: Path, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the ledger's transaction and the line, and between the line and the outbox."""
    with_calls(tmp_path, range(3))

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    for where, name in ((CallLog, "tell"), (LmdbLive, "outbox_delete")):
        with monkeypatch.context() as mortal, pytest.raises(Killed):
            mortal.setattr(where, name, killed)
            run_ledger(tmp_path, log=no_log, stop=Never(), calls=log_of(written))
    assert len(lines(written)) == 3
    assert run_ledger(tmp_path, log=no_log, stop=Never(), calls=log_of(written)) == 0
    assert len(lines(written)) == 6, "once more: it cannot know that they were written"
    ledger = LmdbLedger(tmp_path / "ledger.lmdb", readonly=True)
    assert ledger.count() == 3
    ledger.close()


def test_without_a_log_of_calls_nothing_is_told(tmp_path: Path) -> None:
    with_calls(tmp_path, range(2))
    ledger, live = LmdbLedger(tmp_path / "ledger.lmdb"), LmdbLive(tmp_path / "live.lmdb")
    told: list[bytes] = []
    draining = Draining(ledger, live, lambda cdrs, now_ms: told.extend(cdrs))
    draining.bind(NOW_MS)
    assert draining.move(NOW_MS) == 2
    assert len(told) == 2
    live.close()
    ledger.close()
