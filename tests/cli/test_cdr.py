from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from router.admin import cdr_search as cdr_module
from router.admin.cdr_search import parse_instant, parse_limit, parse_reason, read_cdrs
from router.admin.wrong_value import WrongValue
from router.cli.cdr import list_cdrs as list_filtered
from router.cli.cdr import show
from router.cli.cdr_output import talk
from router.cli.cdr_query import Filters
from router.core.end_reasons import EndReason
from router.store.cdr_lines import decimal, plain
from router.store.ledger import LmdbLedger
from router.store.live import LmdbLive
from router.store.ops import Finish
from router.store.query import CdrQuery
from router.store.records import Attempt, Cdr, encode_cdr
from router.store.state import prepare_state

TODAY = datetime.now().astimezone().replace(hour=0, minute=0, second=1, microsecond=0)
START_MS = int(TODAY.timestamp() * 1000)
Capture = pytest.CaptureFixture[str]


def list_cdrs(**options: Any) -> int:
    """`trunkline cdr` with its filters among the other options."""
    names = [name for name in options if name in Filters.__dataclass_fields__]
    filters = {name: options.pop(name) for name in names}
    return list_filtered(filters=Filters(**filters), **options)


def cdr_id(number: int) -> str:
    return f"{START_MS + number:012x}00{number:016x}"


def make_cdr(number: int, **fields: object) -> Cdr:
    started = START_MS + number
    cdr = Cdr(
        id=cdr_id(number),
        call_id=f"call-{number}@caller",
        account="acme",
        caller_in="1000",
        callee_in=f"86138{number:04}",
        gateway="cn_mobile",
        attempt=1,
        attempts=[
            Attempt(
                "cn_mobile", "b-1", "0086138", "1000", started, 0, 0, started + 9, 486, "UserBusy"
            )
        ],
        started=started,
        ended=started + 9,
        end_reason="UserBusy",
        end_side="callee",
        sip_code=486,
        q850=17,
    )
    for name, value in fields.items():
        setattr(cdr, name, value)
    return cdr


CDRS = [
    make_cdr(0),
    make_cdr(
        1,
        gateway="backup",
        account="other",
        attempts=[Attempt("cn_mobile", sip_code=503), Attempt("backup", sip_code=200)],
        answered=START_MS + 2_001,
        duration_ms=65_400,
        ended=START_MS + 67_401,
        end_reason="Normal",
        sip_code=200,
        rate=120_000,
        charge=1_234_567,
        cost=-5,
        decision=["cn_mobile: taken", "backup: taken"],
        variables={"customer": "vip"},
    ),
    make_cdr(2, end_reason="GatewayRejected(503)", sip_code=503),
    make_cdr(3, gateway="", attempts=[], attempt=0, end_reason="IllegalCall", sip_code=403),
]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Two CDRs in the ledger, two waiting in the outbox, one of each in both."""
    folder = tmp_path / "state"
    prepare_state(folder)
    live = LmdbLive(folder / "live.lmdb")
    ledger = LmdbLedger(folder / "ledger.lmdb")
    live.commit([Finish(cdr.id, cdr) for cdr in some_cdrs(0, 1, 2)], 1)
    ledger.store(live.outbox(10))
    live.outbox_delete([cdr.id.encode() for cdr in some_cdrs(0, 1)])
    live.commit([Finish(cdr.id, cdr) for cdr in some_cdrs(3)], 1)
    live.close()
    ledger.close()
    return folder


def some_cdrs(*numbers: int) -> list[Cdr]:
    return [CDRS[number] for number in numbers]


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda columns: monkeypatch.setenv("COLUMNS", str(columns))


def listed(capsys: Capture) -> list[int]:
    """The numbers of the CDRs printed as JSON lines."""
    return [int(json.loads(line)["id"][-4:], 16) for line in capsys.readouterr().out.splitlines()]


def complaint(capsys: Capture) -> str:
    """The one line on standard error; nothing was printed besides."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("trunkline: ")
    assert err.count("\n") == 1
    return err.removeprefix("trunkline: ").rstrip("\n")


def test_ledger_and_outbox_are_one_list_newest_first_and_nothing_twice(state: Path) -> None:
    assert list(read_cdrs(state, CdrQuery())) == CDRS[::-1]
    assert list(read_cdrs(state, CdrQuery(limit=2))) == CDRS[:1:-1]


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [3, 2, 1, 0]),
        ({"gateway": "cn_mobile"}, [2, 1, 0]),
        ({"gateway": "backup"}, [1]),
        ({"account": "other"}, [1]),
        ({"callee": "861380003"}, [3]),
        ({"number": "+86 138 0003"}, [3]),
        ({"reason": "gatewayrejected"}, [2]),
        ({"reason": "GatewayRejected(503)"}, [2]),
        ({"reason": "用户忙"}, [0]),
        ({"limit": "1"}, [3]),
        ({"limit": "0"}, [3, 2, 1, 0]),
        ({"since": "today"}, [3, 2, 1, 0]),
        ({"until": "today"}, []),
        ({"since": "yesterday", "until": "today"}, []),
        ({"gateway": "cn_mobile", "reason": "Normal"}, [1]),
    ],
)
def test_filters_keep_what_matches(
    state: Path, capsys: Capture, filters: dict[str, str], numbers: list[int]
) -> None:
    assert list_cdrs(state=state, as_json=True, **filters) == 0
    assert listed(capsys) == numbers


def test_without_a_limit_the_newest_fifty_are_shown(tmp_path: Path, capsys: Capture) -> None:
    prepare_state(tmp_path)
    live = LmdbLive(tmp_path / "live.lmdb")
    live.commit([Finish(cdr_id(n), make_cdr(n)) for n in range(60)], 1)
    live.close()
    assert list_cdrs(state=tmp_path, as_json=True) == 0
    assert listed(capsys) == list(range(59, 9, -1))
    assert list_cdrs(state=tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "The newest 50; --limit 0 shows all."


def test_json_has_every_field_and_exact_amounts(state: Path, capsys: Capture) -> None:
    list_cdrs(state=state, as_json=True, account="other")
    fields = json.loads(capsys.readouterr().out)
    assert list(fields) == list(Cdr.__struct_fields__)
    assert (fields["rate"], fields["charge"], fields["cost"]) == (
        "0.120000",
        "1.234567",
        "-0.000005",
    )
    assert fields["started"] == START_MS + 1
    assert [attempt["gateway"] for attempt in fields["attempts"]] == ["cn_mobile", "backup"]
    assert fields["variables"] == {"customer": "vip"}


def test_csv_has_a_header_and_a_row_for_each(state: Path, capsys: Capture) -> None:
    list_cdrs(state=state, as_csv=True)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["id"] for row in rows] == [cdr.id for cdr in CDRS[::-1]]
    assert rows[2]["charge"] == "1.234567"
    assert json.loads(rows[2]["attempts"])[1]["gateway"] == "backup"
    assert rows[2]["answered"].endswith(TODAY.isoformat()[-6:])
    assert datetime.fromisoformat(rows[2]["answered"]).timestamp() * 1000 == START_MS + 2_001
    assert (rows[3]["answered"], rows[3]["decision"]) == ("", "")


def test_the_table_shows_who_where_how_long_and_why(
    state: Path, capsys: Capture, width: Callable[[int], None]
) -> None:
    width(80)
    assert list_cdrs(state=state) == 0
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == "ID TIME CALLER CALLEE GATEWAY TALK CODE REASON TRY".split()  # noqa: SIM905
    assert [row[0] for row in rows] == [cdr.id[-8:] for cdr in CDRS[::-1]]
    assert rows[2][1:] == [
        "00:00:01", "1000", "861380001", "backup", "1:05", "200", "Normal", "2",
    ]  # fmt: skip
    assert rows[0][4:] == ["-", "-", "403", "IllegalCall", "0"]


def test_a_wide_terminal_shows_whole_ids_and_the_account(
    state: Path, capsys: Capture, width: Callable[[int], None]
) -> None:
    width(140)
    list_cdrs(state=state)
    header, first, *_ = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header[:3] == ["ID", "TIME", "ACCOUNT"]
    assert first[0] == CDRS[3].id
    assert first[2] == "acme"


@pytest.mark.parametrize("columns", [60, 80, 100, 119, 120, 200])
def test_the_table_is_never_wider_than_the_terminal(
    tmp_path: Path, capsys: Capture, width: Callable[[int], None], columns: int
) -> None:
    prepare_state(tmp_path)
    live = LmdbLive(tmp_path / "live.lmdb")
    long = {
        "caller_in": "+4930123456789012",
        "callee_in": "008613800138000123",
        "gateway": "a_gateway_with_a_long_name",
        "account": "an_account_with_a_long_name",
        "end_reason": "ConnectionLimitExceeded",
        "answered": 1,
        "duration_ms": 36_000_000,
        # A day ago, so that the date has to be shown as well.
        "started": START_MS - 86_400_000,
    }
    live.commit([Finish(cdr_id(n), make_cdr(n, **long)) for n in range(3)], 1)
    live.close()
    width(columns)
    assert list_cdrs(state=tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert max(map(cell_len, lines)) <= columns
    if columns >= 80:
        assert all(line.startswith(cdr_id(2)[-8:]) or columns >= 120 for line in lines[1:2])
    if columns == 200:
        assert "a_gateway_with_a_long_name" in lines[1]
        assert "…" not in lines[1]


def test_nothing_found_is_said(state: Path, capsys: Capture) -> None:
    assert list_cdrs(state=state, account="nobody") == 0
    assert capsys.readouterr().out == "No CDR matches.\n"
    assert list_cdrs(state=state, account="nobody", as_json=True) == 0
    assert capsys.readouterr().out == ""


def test_what_peers_send_cannot_move_the_cursor(tmp_path: Path, capsys: Capture) -> None:
    prepare_state(tmp_path)
    live = LmdbLive(tmp_path / "live.lmdb")
    nasty = make_cdr(1, caller_in="\x1b[2J\x9b1m[red]", decision=["\x07"], call_id="a\nb")
    live.commit([Finish(nasty.id, nasty)], 1)
    live.close()
    assert list_cdrs(state=tmp_path) == 0
    assert show(nasty.id, state=tmp_path) == 0
    out = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\x07"} & set(out)
    assert "\\x1b[2J\\x9b1m[red]" in out
    assert "a\\x0ab" in out


@pytest.mark.parametrize("id", [CDRS[1].id, CDRS[1].id[-8:], CDRS[3].id, CDRS[3].id[-8:].upper()])
def test_one_call_is_shown_by_its_id_or_the_end_of_it(
    state: Path, capsys: Capture, id: str
) -> None:
    assert show(id, state=state, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["id"].endswith(id.lower())


def test_one_call_is_shown_with_every_field_and_attempt(
    state: Path, capsys: Capture, width: Callable[[int], None]
) -> None:
    width(80)
    assert show(CDRS[1].id, state=state) == 0
    out = capsys.readouterr().out
    words = [" ".join(line.split()) for line in out.splitlines()]
    for name in Cdr.__struct_fields__:
        assert any(line.startswith(name) for line in words), name
    assert f"id {CDRS[1].id}" in words
    assert "charge 1.234567" in words
    assert "duration_ms 65400 (65.4 s)" in words
    assert "ringing never" in words
    assert "customer = vip" in words
    assert "Gateway backup was taken." in words
    assert "1 cn_mobile: open" in words
    assert "2 backup: open" in words
    assert "sip_code 503" in words
    assert f"Normal (正常): {EndReason.Normal.diagnosis}" in words


def test_a_reason_with_a_code_is_explained_too(state: Path, capsys: Capture) -> None:
    show(CDRS[2].id, state=state)
    assert EndReason.GatewayRejected.diagnosis in " ".join(capsys.readouterr().out.split())


def test_an_unknown_id_is_said_in_one_line(state: Path, capsys: Capture) -> None:
    assert show("nope", state=state) == 1
    found = complaint(capsys)
    assert found.startswith(f'no CDR in state folder "{state}" has the id or Call-ID nope, or ')


def test_an_ambiguous_end_asks_for_more(state: Path, capsys: Capture) -> None:
    ledger = LmdbLedger(state / "ledger.lmdb")
    alike = make_cdr(0, id="ffff" + CDRS[0].id[4:])
    ledger.store([(alike.id.encode(), encode_cdr(alike))])
    ledger.close()
    assert show(CDRS[0].id[-8:], state=state) == 1
    assert complaint(capsys) == (
        f"several ids end in {CDRS[0].id[-8:]}: give more of it, such as {alike.id}"
    )
    assert show(CDRS[0].id, state=state) == 0


def test_an_empty_id_is_said_in_one_line(state: Path, capsys: Capture) -> None:
    assert show(" ", state=state) == 1
    assert complaint(capsys).startswith("give the id of a CDR")


@pytest.mark.parametrize("ask", [list_cdrs, lambda **about: show("1", **about)])
def test_a_missing_state_folder_is_one_line_and_exit_1(
    tmp_path: Path, capsys: Capture, ask: Callable[..., int]
) -> None:
    assert ask(state=tmp_path / "none") == 1
    text = complaint(capsys)
    assert (
        text == f'there is no state folder "{tmp_path / "none"}": name the router\'s with --state'
    )
    assert not (tmp_path / "none").exists()


def test_a_folder_that_may_not_be_looked_into_is_one_line_and_exit_1(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    assert list_cdrs(state=tmp_path) == 1
    assert "cannot be looked at (Permission denied): run as the user" in complaint(capsys)


def test_a_folder_without_a_ledger_is_one_line_and_exit_1(tmp_path: Path, capsys: Capture) -> None:
    assert list_cdrs(state=tmp_path) == 1
    assert complaint(capsys).startswith(f'no router has run with state folder "{tmp_path}" yet: ')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"since": "soon"}, '--since "soon" is no time: give 2026-05-01, 2026-05-01T12:30, a span'),
        ({"until": "10x"}, '--until "10x" is no time: give 2026-05-01'),
        ({"since": "10m", "until": "2h"}, "--since 10m is not before --until 2h"),
        ({"limit": "-1"}, '--limit "-1" is no number of CDRs: give 1 or more, or 0 for all'),
        ({"limit": "many"}, '--limit "many" is no number of CDRs'),
        ({"reason": "UserBusi"}, '--reason "UserBusi" is no end reason: did you mean UserBusy?'),
        ({"reason": "busy"}, "did you mean UserBusy?"),
        ({"reason": "qqqq"}, "is no end reason: they are: Normal, Cancelled, "),
        ({"as_json": True, "as_csv": True}, "--json and --csv exclude each other"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_is_accepted(
    state: Path, capsys: Capture, filters: dict[str, str], words: str
) -> None:
    assert list_cdrs(state=state, **filters) == 1  # type: ignore[arg-type]
    assert words in complaint(capsys)


NOON = datetime(2026, 5, 2, 12, 0, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOON),
        ("90s", NOON - timedelta(seconds=90)),
        ("10m", NOON - timedelta(minutes=10)),
        ("2H", NOON - timedelta(hours=2)),
        ("3d", NOON - timedelta(days=3)),
        ("1w", NOON - timedelta(weeks=1)),
        ("2026-05-01T12:30+08:00", datetime(2026, 5, 1, 4, 30, tzinfo=UTC)),
        ("2026-05-01T12:30:15.250Z", datetime(2026, 5, 1, 12, 30, 15, 250_000, UTC)),
        ("2026-05-01", datetime(2026, 5, 1).astimezone()),
        (" 2026-05-01 08:00 ", datetime(2026, 5, 1, 8).astimezone()),
        ("today", datetime(2026, 5, 2).astimezone()),
        ("yesterday", datetime(2026, 5, 1).astimezone()),
    ],
)
def test_times_are_read_as_people_write_them(text: str, expected: datetime) -> None:
    assert parse_instant("--since", text, NOON) == int(expected.timestamp() * 1000)


def test_a_span_longer_than_time_itself_is_the_beginning() -> None:
    assert parse_instant("--since", "99999999w", NOON) == 1
    assert parse_instant("--since", "", NOON) == 0


@pytest.mark.parametrize(
    "text", ["m", "-5m", "1.5h", "2026-13-01", "²m", "9" * 400 + "w", "tomorrow", "+"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    try:
        found = parse_instant("--since", text, NOON)
    except WrongValue as error:
        assert "is no time" in str(error)
    else:
        assert text.startswith("999") and found == 1


@pytest.mark.parametrize("text", ["", " 5", "1e3", "0x10", "٣"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(WrongValue):
        parse_limit(text)


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_end_reason_is_known_by_all_its_names(reason: EndReason) -> None:
    assert parse_reason(reason.name) == reason.name
    assert parse_reason(reason.name.upper()) == reason.name
    assert parse_reason(reason.chinese) == reason.name


@pytest.mark.parametrize(
    ("duration_ms", "answered", "text"),
    [
        (0, 0, "-"),
        (0, 1, "0.0s"),
        (4_260, 1, "4.2s"),
        (59_999, 1, "59.9s"),
        (60_000, 1, "1:00"),
        (3_599_999, 1, "59:59"),
        (3_600_000, 1, "1:00:00"),
    ],
)
def test_talk_time_is_written_short(duration_ms: int, answered: int, text: str) -> None:
    assert talk(duration_ms, answered) == text


@pytest.mark.parametrize(
    ("millionths", "text"),
    [
        (0, "0.000000"),
        (1, "0.000001"),
        (-1_500_000, "-1.500000"),
        (10**15 + 1, "1000000000.000001"),
    ],
)
def test_amounts_are_exact_decimals(millionths: int, text: str) -> None:
    assert decimal(millionths) == text


def test_plain_text_stays_as_it_is() -> None:
    assert plain("+49 30 ü 中") == "+49 30 ü 中"


def test_live_state_of_an_earlier_boot_is_not_read(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdr_module, "live_is_current", lambda _: False)
    assert list(read_cdrs(state, CdrQuery())) == CDRS[2::-1]


PROGRAM = Path(sys.executable).with_name("trunkline")


def test_the_program_lists_while_a_router_has_the_state_open(state: Path) -> None:
    live = LmdbLive(state / "live.lmdb")
    ledger = LmdbLedger(state / "ledger.lmdb")
    done = subprocess.run(
        [PROGRAM, "cdr", "--state", state, "--json", "--since", "2d"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [
        cdr.id for cdr in CDRS[::-1]
    ]
    done = subprocess.run(
        [PROGRAM, "cdr", "show", CDRS[1].id[-8:], "--state", state],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert CDRS[1].call_id in done.stdout
    live.close()
    ledger.close()


def test_the_program_exits_1_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "cdr", "--state", tmp_path / "none"], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trunkline: there is no state folder")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("form", [["--json"], ["--csv"], []])
def test_a_reader_that_goes_away_is_no_error_in_words(tmp_path: Path, form: list[str]) -> None:
    prepare_state(tmp_path)
    live = LmdbLive(tmp_path / "live.lmdb")
    live.commit([Finish(cdr_id(n), make_cdr(n)) for n in range(3_000)], 1)
    live.close()
    lister = subprocess.Popen(
        [PROGRAM, "cdr", "--state", tmp_path, "--limit", "0", *form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert lister.stdout and lister.stderr
    lister.stdout.readline()
    lister.stdout.close()
    assert lister.stderr.read() == b""
    end = time.monotonic() + 20
    while lister.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert lister.returncode is not None
    lister.stderr.close()
