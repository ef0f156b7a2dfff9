"""`trunkline cdr stats` and `cdr export`: what is counted, by which formula; what is written."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from router.admin.call_counts import KEYS, count_calls
from router.admin.cdr_figures import ordered, parse_by
from router.admin.wrong_value import WrongValue
from router.cli.cdr import list_cdrs
from router.cli.cdr_export import export
from router.cli.cdr_query import Filters
from router.cli.cdr_stats import stats
from router.runtime.run_record import make_run_record, write_run_record
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.ops import Finish
from router.store.records import Attempt, Cdr, Charge, encode_cdr
from router.store.state import prepare_state

T0 = 1_767_225_600_000
Capture = pytest.CaptureFixture[str]


def call(number: int, *attempts: Attempt, **fields: Any) -> Cdr:
    cdr = Cdr(
        id=f"{T0 + number:012x}00{number:08x}", call_id=f"c{number}", account="acme",
        trunk="office", callee_in="8613800", started=T0 + number, attempts=list(attempts),
        gateway=attempts[-1].gateway if attempts else "", attempt=len(attempts),
    )
    for name, value in fields.items():
        setattr(cdr, name, value)
    return cdr


def attempt(gateway: str, reason: str, code: int = 0, rang: int = 0, talks: int = 0) -> Attempt:
    """Sent at 1000; rings and is answered so many ms later."""
    return Attempt(
        gateway, started=1_000, ringing=rang and 1_000 + rang, answered=talks and 1_000 + talks,
        sip_code=code, reason=reason,
    )


CALLS = [
    # two gateways fail, the third answers: one call, three attempts
    call(
        1, attempt("a", "NoAvailableRouter", 503), attempt("b", "ConnectionTimeout"),
        attempt("c", "Normal", 200, rang=400, talks=2_000),
        answered=1, ringing=1, pdd_ms=900, duration_ms=60_000, end_reason="Normal",
        sip_code=200, charge=120_000, cost=50_000,
    ),
    call(2, attempt("a", "UserBusy", 486), end_reason="UserBusy", sip_code=486),
    call(
        3, attempt("a", "ResponseTimeout", rang=600), ringing=1, pdd_ms=700,
        end_reason="ResponseTimeout", sip_code=408,
    ),
    call(4, end_reason="NotFound", sip_code=404, callee_in="49"),
    call(5, attempt("a", "GatewayRejected(302)", 302), end_reason="GatewayRejected(302)"),
    call(6, end_reason="IllegalCall", sip_code=403, account="", trunk=""),
    call(7, attempt("c", "Cancelled"), end_reason="Cancelled", sip_code=487),
    # the code that the caller got was replaced; the callee had declined all the same
    call(8, attempt("c", "GatewayRejected(603)", 603), end_reason="GatewayRejected(603)"),
]


def counted(*by: str) -> dict[tuple[str, ...], Any]:
    return count_calls(CALLS, by, 3)


def test_calls_are_counted_and_not_attempts_or_packets() -> None:
    groups = counted("account")
    acme = groups["acme",]
    assert (acme.attempts, acme.answered) == (7, 1)
    assert acme.asr == round(100 / 7, 2)
    assert acme.ner == round(400 / 7, 2), "answered, busy, rang, declined"
    assert acme.ser == round(100 / 6, 2), "RFC 6076: less the 302"
    assert (acme.acd_s, acme.mean_pdd_ms) == (60.0, 800)
    assert groups["-",].attempts == 1, "strangers"


def test_by_gateway_each_attempt_counts_for_its_gateway() -> None:
    groups = counted("gateway")
    assert {key[0]: one.attempts for key, one in groups.items()} == {"a": 4, "b": 1, "c": 3, "-": 2}
    assert (groups["c",].answered, groups["c",].mean_pdd_ms) == (1, 400)
    assert (groups["c",].charge, groups["a",].charge) == (120_000, 0), "money is counted once"
    assert groups["a",].ner == 50.0
    reasons = counted("gateway", "reason")
    assert reasons["a", "NoAvailableRouter"].attempts == 1, "the attempt's reason, not the call's"


def test_who_forwarded_a_call_pays_for_it_in_a_group_of_its_own() -> None:
    forwarded = call(
        10, attempt("c", "Normal", 200, talks=500), answered=1, charge=100, end_reason="Normal",
        charges=[
            Charge("acme", 100), Charge("desk", 40), Charge("top", 30, "agent"),
            Charge("carrier", 20, "vendor"),
        ],
    )
    groups = count_calls([forwarded], ("account",), 3)
    assert {key[0]: one.charge for key, one in groups.items()} == {"acme": 100, "desk": 40}
    assert groups["desk",].attempts == 0, "it was one call"
    for by in ("reason", "gateway"):
        (one,) = count_calls([forwarded], (by,), 3).values()
        assert one.charge == 140


def test_prefix_trunk_and_hour_make_groups() -> None:
    assert {key[0]: one.attempts for key, one in counted("prefix").items()} == {"861": 7, "49": 1}
    assert set(counted("trunk")) == {("acme/office",), ("-",)}
    (hour,) = counted("hour")
    assert hour[0].endswith(":00")


def test_the_prefix_is_that_of_the_number_after_rewriting() -> None:
    rewritten = call(9, decision=["callee 0049 > 49: callee_in of trunk acme/office"])
    assert set(count_calls([rewritten], ("prefix",), 5)) == {("49",)}


def test_groups_that_peers_invent_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.admin.call_counts.MAX_GROUPS", 2)
    groups = count_calls([call(n, callee_in=str(n)) for n in range(9)], ("prefix",), 5)
    assert {key[0]: one.attempts for key, one in groups.items()} == {"0": 1, "1": 1, "(others)": 7}


def test_the_largest_group_stands_first_and_hours_in_their_order() -> None:
    rows = ordered(list(counted("gateway").items()), ["gateway"])
    assert [key[0] for key, _ in rows] == ["a", "c", "-", "b"]


@pytest.mark.parametrize("wrong", ["gatway", "", "gateway,gateway", "reason;gateway"])
def test_what_is_nothing_to_group_by_is_said(wrong: str) -> None:
    with pytest.raises(WrongValue):
        parse_by(wrong)
    assert parse_by("Reason, gateway") == ["reason", "gateway"]
    assert parse_by(",".join(KEYS)) == list(KEYS)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Half of the calls in the ledger, the rest still in the outbox, one in both."""
    folder = tmp_path / "state"
    prepare_state(folder)
    ledger = LmdbLedger(folder / "ledger.lmdb")
    ledger.store([(cdr.id.encode(), encode_cdr(cdr)) for cdr in CALLS[:5]])
    ledger.close()
    live = LmdbLive(folder / "live.lmdb", slot=0)
    live.commit([Finish(cdr.id, cdr) for cdr in CALLS[4:]], T0)
    live.close()
    return folder


def test_stats_reads_ledger_and_outbox_each_call_once(state: Path, capsys: Capture) -> None:
    assert stats(by="reason", as_json=True, state=state) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["total"]["attempts"] == 8
    assert told["unit"] == "call"
    assert told["total"]["charge"] == "0.120000"
    assert {"ASR", "NER", "ACD", "PDD"} == set(told["formulas"])


def test_the_table_shows_the_formulas(
    state: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert stats(by="gateway,reason", filters=Filters(account="acme"), state=state) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "NoAvailableRouter" in out
    assert "ASR = answered / attempts (RFC 6076 SER" in out
    assert "Counted are attempts at a gateway, never packets." in out


def test_nothing_matches(state: Path, capsys: Capture) -> None:
    assert stats(filters=Filters(account="nobody"), state=state) == 0
    assert capsys.readouterr().out == "No CDR matches.\n"


def test_a_wrong_option_is_one_line(state: Path, capsys: Capture) -> None:
    assert stats(by="gatway", state=state) == 1
    assert capsys.readouterr().err == (
        'trunkline: --by "gatway" is nothing to group by; did you mean `gateway`?\n'
    )
    assert stats(digits=0, state=state) == 1


def test_a_name_that_the_router_does_not_know_is_said(state: Path, capsys: Capture) -> None:
    record = make_run_record(
        pid=1, started_ms=T0, config_hash="x", slots=1, gateways=[("a", 1)], accounts=[("acme", 1)]
    )
    write_run_record(state, record)
    assert list_cdrs(filters=Filters(account="acmee"), state=state) == 0
    assert capsys.readouterr().out == (
        "No CDR matches. The router has no account `acmee`: did you mean `acme`?\n"
    )


# Export


def test_export_to_a_file_by_its_ending(state: Path, tmp_path: Path, capsys: Capture) -> None:
    assert export(output=tmp_path / "all.csv", state=state) == 0
    rows = list(csv.DictReader((tmp_path / "all.csv").open(newline="")))
    assert [row["call_id"] for row in rows] == [f"c{n}" for n in range(8, 0, -1)]
    assert export(output=tmp_path / "some.jsonl", filters=Filters(gateway="b"), state=state) == 0
    (line,) = (tmp_path / "some.jsonl").read_text().splitlines()
    assert json.loads(line)["call_id"] == "c1"
    assert "8 CDRs written" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.csv", "some.jsonl", "state"]


def test_export_to_a_pipe(state: Path, capsys: Capture) -> None:
    assert export(format="jsonl", limit="2", state=state) == 0
    assert [json.loads(line)["call_id"] for line in capsys.readouterr().out.splitlines()] == [
        "c8", "c7",
    ]


def test_a_spreadsheet_runs_no_formula_that_a_peer_dialled(
    tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "state"
    prepare_state(folder)
    hostile = call(
        1, caller_in="=1+1", callee_in="+8613800", account="@SUM(A1)", source="-2+cmd|x",
        call_id='a"b\r\nc,d', caller_out="-5",
    )
    ledger = LmdbLedger(folder / "ledger.lmdb")
    ledger.store([(hostile.id.encode(), encode_cdr(hostile))])
    ledger.close()
    assert export(format="csv", state=folder) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 2, "a line each, whatever is in it"
    (row,) = csv.DictReader(io.StringIO(out, newline=""))
    assert row["caller_in"] == "'=1+1"
    assert row["callee_in"] == "+8613800", "a number stays a number"
    assert row["caller_out"] == "-5"
    assert (row["account"], row["source"]) == ("'@SUM(A1)", "'-2+cmd|x")
    assert row["call_id"] == 'a"b\\x0d\\x0ac,d'


def test_a_file_that_cannot_be_written_leaves_nothing(state: Path, capsys: Capture) -> None:
    assert export(output=state / "none" / "x.csv", state=state) == 1
    assert "x.csv cannot be written: No such file or directory" in capsys.readouterr().err
    assert export(output=state / "x.txt", state=state) == 1
    assert "give --format csv or jsonl" in capsys.readouterr().err


def test_export_and_stats_hold_no_more_than_a_page_in_memory(
    tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "state"
    prepare_state(folder)
    ledger = LmdbLedger(folder / "ledger.lmdb")
    batch = [
        call(n, decision=["gateway: " + "x" * 2_000], end_reason="Normal") for n in range(5_000)
    ]
    ledger.store([(cdr.id.encode(), encode_cdr(cdr)) for cdr in batch])
    ledger.close()
    del batch
    tracemalloc.start()
    try:
        assert export(output=tmp_path / "all.csv", state=folder) == 0
        assert stats(by="reason,hour,gateway", state=folder) == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "all.csv").stat().st_size > 10_000_000
    assert peak < 4_000_000, f"{peak} bytes: 256 CDRs of a page, and what the table needs"
