"""`trunkline explain`: twenty-odd failures played on the real engine, each told with its cause."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.load import load_program
from router.admin.call_events import events_of
from router.admin.story import cause, span, tell
from router.cli.call_ladder import draw_call
from router.cli.explain import explain
from router.core.end_reasons import EndReason
from router.routing.surface import SURFACE
from router.routing.trial.ground import Ground
from router.routing.trial.steps import Player
from router.routing.trial.world import World
from router.store.ledger import LmdbLedger
from router.store.records import Attempt, Cdr, encode_cdr
from router.store.state import prepare_state

Capture = pytest.CaptureFixture[str]

ROUTES = """
reason_of = 410:CalledNumberRestricted
deck retail { file = "retail.csv" }
deck vendor { file = "vendor.csv" }
gateway first  { address = 192.0.2.91  prefixes = 86  priority = 1  lines = 1
                 ringing_timeout = 60s  trying_timeout = 8s  invite_timeout = 6s }
gateway second { address = 192.0.2.92  prefixes = 86  priority = 2  invite_timeout = 6s }
gateway night  { address = 192.0.2.93  prefixes = 44  in_time = "Mo-Fr 22:00-06:00" }
gateway dear   { address = 192.0.2.94  prefixes = 33  deck = vendor  max_rate = 0.01 }
gateway usual  { address = 192.0.2.95  prefixes = 33  priority = 2 }
gateway loss   { address = 192.0.2.96  prefixes = 49  deck = vendor  min_margin = 0.05 }
account acme  { trunk office { ips = 198.51.100.1  callee_in = "0086:86"  number_length = 3-15
                               callee_deny = 86900  caller_deny = 666  max_duration = 1h } }
account small { lines = 1  trunk shop { ips = 198.51.100.2 } }
account fast  { cps = 1    trunk shop { ips = 198.51.100.3 } }
account owes  { status = locked  trunk shop { ips = 198.51.100.4 } }
account gone  { expires = 2025-12-31  trunk shop { ips = 198.51.100.5 } }
account paid  { deck = retail  balance = 0.50  trunk shop { ips = 198.51.100.6 } }
account barred { deck = retail  permit = local  trunk shop { ips = 198.51.100.8 } }
account below { agent = owes  trunk shop { ips = 198.51.100.9 } }
account home  {
    phone 1001 { password = "a"  forward_always = "1002" }
    phone 1002 { password = "b"  forward_offline = "1001" }
    phone 1003 { password = "c" }
    phone 1004 { password = "d"  ips = 10.0.0.0/8 }
}
account poor  { deck = retail  balance = 0.001  trunk shop { ips = 198.51.100.7 } }
request_route {
    if ($rU == "777") reply(480, "Not Today");
    if (!identify()) end(IllegalCall);
    if ($rU == "778") end(CalledNotOnline);
    if ($rU == "779") let broken = str(1 / int($fU, 0));
    if ($rU =~ /^10../) call(phone($rU));
    call(gateways($rU));
}
"""
FILES = {
    "/etc/retail.csv": "prefix,rate_per_min,kind\n86,0.12,national\n49,0.02,net\n",
    "/etc/vendor.csv": "prefix,rate_per_min\n33,0.50\n49,0.01\n",
}


class Files:
    def __init__(self, text: str) -> None:
        self._texts = {"/etc/routes.cfg": text, **FILES}

    def read(self, path: str) -> bytes:
        return self._texts[path].encode()

    def matches(self, pattern: str) -> list[str]:
        return []

    def variable(self, name: str) -> str | None:
        return None


def played(steps: str) -> Cdr:
    """The CDR of the last call of these steps."""
    text = f'{ROUTES}test "t" {{\n{steps}\n}}\n'
    program = load_program("/etc/routes.cfg", SURFACE, Files(text))
    (trial,) = program.tests
    player = Player(World(Ground(program, lambda *_: None)))
    for step in trial.steps:
        player.play(step)
    call = player.call
    assert call is not None and call.cdr is not None
    if not call.over:
        player.world.wait_for(lambda: call.over)
    return call.cdr


class Failure(NamedTuple):
    """A call, the reason that it ends for, and what has to be said of it."""

    name: str
    steps: str
    reason: str
    says: str


OFFICE = 'invite from 198.51.100.1 callee "8613800";'
FAILURES = [
    Failure("a stranger", 'invite from 203.0.113.9 callee "861";', "IllegalCall",
            "203.0.113.9 is no customer's address. No trunk was found: 203.0.113.9 is in no "
            "network of a trunk."),
    Failure("no prefix", 'invite from 198.51.100.1 callee "555123";', "NotFound",
            "No gateway has a prefix that 555123 begins with."),
    Failure("busy", f"{OFFICE} gateway first replies 486 after 2s;", "UserBusy",
            "Gateway first says that the called party is busy: it answered 486 Busy Here."),
    Failure("the gateway knows it not", f"{OFFICE} gateway first replies 404;", "NotFound",
            "Gateway first does not know the number: it answered 404 Not Found."),
    Failure("unreachable", f"{OFFICE} gateway first replies 480;", "CalledNotOnline",
            "Gateway first says that the called party cannot be reached: it answered 480"),
    Failure("no codec", f"{OFFICE} gateway first replies 488;", "CodecMismatch",
            "Gateway first takes none of the codecs that were offered: it answered 488"),
    Failure("refused", f"{OFFICE} gateway first replies 403;", "GatewayRejected(403)",
            "Gateway first refused the call: it answered 403 Forbidden."),
    Failure("refused with a reason of our own", f"{OFFICE} gateway first replies 410;",
            "CalledNumberRestricted", "refused"),
    Failure("both fail", f"{OFFICE} gateway first replies 503; gateway second replies 503;",
            "NoAvailableRouter",
            "Every gateway that was tried failed: first (503 Service Unavailable), second (503"),
    Failure("one full, one down",
            f"gateway second down; {OFFICE} {OFFICE}", "NoAvailableRouter",
            "could not take the call: first: every line of it was in use; second: it was down."),
    Failure("out of hours",
            'now "2026-01-01 12:00"; invite from 198.51.100.1 callee "44123";',
            "NoAvailableRouter", "could not take the call: night: it is not Mo-Fr 22:00-06:00"),
    Failure("silence everywhere", OFFICE + " gateway first stays silent; gateway second stays "
            "silent;", "ConnectionTimeout",
            "No answer at all came from gateways first, second, although we waited 6.0 s."),
    Failure("rings on", f"{OFFICE} gateway first rings;", "ResponseTimeout",
            "Gateway first rang for 1 min 0 s and nobody answered"),
    Failure("the caller gives up", f"{OFFICE} gateway first rings after 3s; caller cancels after "
            "4s;", "Cancelled",
            "The caller gave up after 7.0 s, while gateway first rang for 4.0 s."),
    Failure("too long", f"{OFFICE} gateway first answers;", "SessionTimeout",
            "The call was ended: its longest duration, 3600 s, was over."),
    Failure("lines", 'invite from 198.51.100.2 callee "861"; invite from 198.51.100.2 callee '
            '"862";', "ConnectionLimitExceeded", "Every line of account small was in use."),
    Failure("calls per second", 'invite from 198.51.100.3 callee "861"; invite from 198.51.100.3 '
            'callee "862";', "ConnectionLimitExceeded",
            "Account fast had used up its calls per second."),
    Failure("locked", 'invite from 198.51.100.4 callee "861";', "AccountLocked",
            "The call was refused: account owes is locked."),
    Failure("expired", 'invite from 198.51.100.5 callee "861";', "AccountExpired",
            "account gone was valid until 2025-12-31"),
    Failure("no rate", 'invite from 198.51.100.6 callee "4412";', "RateNotFound",
            "retail"),
    Failure("no money", 'invite from 198.51.100.7 callee "861";', "InsufficientBalance",
            "Account poor could not give"),
    Failure("money ends", 'invite from 198.51.100.6 callee "861"; gateway first answers;',
            "InsufficientBalance", "The credit of account paid was used up"),
    Failure("no margin", 'invite from 198.51.100.6 callee "491";', "NoAvailableRouter",
            "could not take the call: loss: "),
    Failure("called number", 'invite from 198.51.100.1 callee "86900123";',
            "CalledNumberRestricted", "refused: callee 86900123"),
    Failure("too short", 'invite from 198.51.100.1 callee "12";', "CalledNumberRestricted",
            "callee 12 is shorter than 3"),
    Failure("calling number", 'invite from 198.51.100.1 caller "666123" callee "861234";',
            "CallerNumberRestricted", "caller 666123"),
    Failure("a route answers", 'invite from 198.51.100.1 callee "777";', "ScriptRejected",
            "answered the call itself with 480. Line 29 of routes.cfg ended the call: reply(480)."),
    Failure("a route ends it", 'invite from 198.51.100.1 callee "778";', "CalledNotOnline",
            "Line 31 of routes.cfg ended the call: end(CalledNotOnline)."),
    Failure("an agent above it", 'invite from 198.51.100.9 callee "861";', "AccountLocked",
            "The call was refused: agent owes of account below is locked."),
    Failure("a kind of call", 'invite from 198.51.100.8 callee "861";', "CallNotPermitted",
            "is national, account barred permits local"),
    Failure("forwarding goes round", 'invite from 198.51.100.1 callee "1001";', "ForwardingLoop",
            "forwarding goes round: 1001 > 1002 > 1001"),
    Failure("the phone is offline", 'invite from 198.51.100.1 callee "1003";', "CalledNotOnline",
            "phone 1003: not registered"),
    Failure("a phone from elsewhere", 'invite from 203.0.113.9 caller "1004" callee "861";',
            "IpBlocked", "phone 1004 may not call from 203.0.113.9"),
    Failure("hops", 'invite from 198.51.100.1 callee "861234" header "Max-Forwards: 0";',
            "ForwardingLoop", "passed through too many switches: its Max-Forwards was used up"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=[one.name for one in FAILURES])
def test_the_sentence_names_the_true_cause(failure: Failure) -> None:
    cdr = played(failure.steps)
    assert cdr.end_reason == failure.reason
    assert failure.says in cause(cdr)
    story = tell(cdr)
    assert story.reason == failure.reason and story.cause == cause(cdr)
    reason = EndReason[cdr.end_reason.partition("(")[0]]
    assert reason.chinese in story.chinese
    assert "{" not in story.command and "NUMBER" not in story.command
    told = " ".join([story.cause, *story.happened, *story.attempts, *story.next, *story.bill])
    assert len(story.attempts) == len(cdr.attempts)
    for jargon in ("verdict", "tier", "outbox", "hold", "sans-IO", "None", "leg "):
        assert jargon not in told
    ladder = draw_call(cdr, 80).plain
    assert all(len(line) <= 80 for line in ladder.splitlines()) or len(cdr.attempts) > 1
    for attempt in cdr.attempts:
        assert attempt.gateway in ladder


def test_there_are_twenty_failures_and_their_reasons_are_many() -> None:
    assert len(FAILURES) >= 20
    assert len({one.reason for one in FAILURES}) >= 15


def test_a_call_that_went_well() -> None:
    cdr = played(
        'invite from 198.51.100.6 callee "861";\ngateway first answers after 2s;\n'
        "caller hangs up after 65s;"
    )
    story = tell(cdr)
    assert story.cause == (
        "Gateway first answered after 2.0 s; they talked for 1 min 5 s, then the caller hung up."
    )
    assert story.bill == [
        "0.13 is charged to account paid: 65 s at 0.12 a minute (prefix 86)."
    ]
    assert story.next == []
    assert story.happened[1] == "It went by these lines of the routes: request_route 34."
    assert [(event.at_ms, event.source, event.what) for event in events_of(cdr)] == [
        (0, "caller", "INVITE 861"),
        (0, "trunkline", "INVITE 861"),
        (0, "first", "180 or 183"),
        (0, "trunkline", "180 or 183"),
        (2_000, "first", "200"),
        (2_000, "trunkline", "200"),
        (67_000, "caller", "BYE"),
        (67_000, "trunkline", "BYE"),
    ]


def test_a_phone_is_called_a_phone() -> None:
    cdr = Cdr(
        id="1", callee_in="1001", started=1_000, ended=1_500, end_reason="UserBusy", sip_code=486,
        attempts=[Attempt("phone 1001", started=1_000, ended=1_500, sip_code=486)],
        decision=["phone 1001: taken", "phone 1001: 486 after 500 ms"],
    )
    story = tell(cdr)
    assert story.cause.startswith("Phone 1001 says that the called party is busy: it answered 486")
    assert "Phone 1001 answered 486 after 500 ms." in story.happened


def test_what_the_media_relay_had_to_do_with_it() -> None:
    attempt = Attempt("first", started=1_000, ended=2_000, reason="NoAvailableRouter")
    relayed = Attempt("second", started=2_000, ended=2_500, sip_code=503)
    cdr = Cdr(
        id="1", callee_in="861", started=1_000, ended=2_500, end_reason="NoAvailableRouter",
        sip_code=503, attempts=[attempt, relayed],
        decision=[
            "first: taken", "media: no relay answers", "first: NoAvailableRouter after 1000 ms",
            "second: taken", "media: through 192.0.2.8:2223", "second: 503 after 500 ms",
        ],
    )
    story = tell(cdr)
    assert story.cause.endswith("Media relay: no relay answers.")
    assert "through" not in story.cause
    assert "Media relay: through 192.0.2.8:2223." in story.happened
    silent = Cdr(
        id="2", callee_in="861", started=1_000, answered=2_000, ended=70_000,
        end_reason="MediaTimeout", attempts=[Attempt("first", started=1_000)],
        decision=["first: taken", "ended: no media from either side for 60 s"],
    )
    assert "no media from either side for 60 s" in tell(silent).cause


def test_the_command_has_the_names_of_the_call_and_is_safe_to_paste() -> None:
    story = tell(played('invite from 198.51.100.1 caller "1$(reboot)" callee "555";'))
    assert story.command == (
        "trunkline route --source 198.51.100.1 --caller '1$(reboot)' --callee 555"
    )


def test_the_number_for_a_rate_is_the_one_after_rewriting() -> None:
    cdr = played('invite from 198.51.100.1 callee "00867";')
    cdr.end_reason = "RateNotFound"
    assert tell(cdr).command == "trunkline rates find 867"


@pytest.mark.parametrize("reason", [*(one.name for one in EndReason), "NewInTheNextVersion"])
def test_any_reason_is_told_from_the_barest_of_records(reason: str) -> None:
    for cdr in (
        Cdr(id="1", end_reason=reason),
        Cdr(id="1", end_reason=reason, attempts=[Attempt()], decision=["", ":", "x: y", "a > b:"]),
    ):
        story = tell(cdr)
        assert story.cause.endswith((".", reason))
        draw_call(cdr, 80)


WORDS = st.text(max_size=12) | st.sampled_from(
    ("a: b", "x: taken", "g: 503 after 5 ms", "refused: ", "route: x", "callee 1 > 2: y", "a:b: c",
     "{0}", "{id}", "candidates: g 86/1", "\x1b[2J", "phone 1", "=1", "credit:a: used up, b")
)
TIMES = st.integers(0, 10_000)
ATTEMPTS = st.builds(
    Attempt, gateway=WORDS, callee_out=WORDS, started=TIMES, ringing=TIMES, answered=TIMES,
    ended=TIMES, sip_code=st.integers(0, 699), reason=WORDS,
)


@given(
    st.builds(
        Cdr, id=WORDS, call_id=WORDS, account=WORDS, trunk=WORDS, source=WORDS, caller_in=WORDS,
        callee_in=WORDS, gateway=WORDS, attempts=st.lists(ATTEMPTS, max_size=5), started=TIMES,
        ringing=TIMES, answered=TIMES, ended=TIMES, sip_code=st.integers(0, 699),
        end_reason=st.sampled_from([reason.name for reason in EndReason]),
        end_side=st.sampled_from(("", "caller", "callee", "server")),
        decision=st.lists(WORDS, max_size=6),
    )
)
def test_whatever_stands_on_a_record_is_told(cdr: Cdr) -> None:
    story = tell(cdr)
    assert story.cause
    assert story.command.startswith("trunkline ")
    assert "\x1b" not in story.command
    for width in (40, 80):
        assert "\x1b" not in draw_call(cdr, width).plain


def test_spans_are_said_as_people_say_them() -> None:
    assert [span(ms) for ms in (0, 999, 4_240, 59_999, 200_000)] == [
        "0 ms", "999 ms", "4.2 s", "60.0 s", "3 min 20 s",
    ]


# The command


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    prepare_state(folder)
    ledger = LmdbLedger(folder / "ledger.lmdb")
    cdrs = [played(one.steps) for one in FAILURES[:3]]
    for at, cdr in enumerate(cdrs):
        cdr.id = f"{cdr.started + at:012x}{at:010x}"
        cdr.call_id = f"{FAILURES[at].name.replace(' ', '-')}@caller"
    ledger.store([(cdr.id.encode(), encode_cdr(cdr)) for cdr in cdrs])
    ledger.close()
    return folder


def test_a_call_is_explained_by_id_call_id_and_as_the_last(
    state: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert explain(last=True, state=state) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    for title in ("What happened", "Attempts", "Ladder", "What to do", "Bill"):
        assert f"\n{title}\n" in out
    assert "用户忙" in out
    assert re.search(r"2000 +│ +│◄─+ 486", out)
    assert explain("busy@caller", state=state) == 0
    assert capsys.readouterr().out == out
    assert explain("0000000002", state=state) == 0
    assert capsys.readouterr().out == out


def test_the_last_call_of_somebody_who_complains_is_explained(
    state: Path, capsys: Capture
) -> None:
    long_ago = "2020-01-01"
    assert explain(number="555 123", since=long_ago, state=state) == 0
    assert "NotFound: No gateway has a prefix that 555123 begins with." in capsys.readouterr().out
    assert explain(number="555123", since="1d", state=state) == 1
    assert "no call from or to 555123 has ended since 1d" in capsys.readouterr().err


def test_json(state: Path, capsys: Capture) -> None:
    assert explain("no-prefix@caller", as_json=True, state=state) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cause"] == "No gateway has a prefix that 555123 begins with."
    assert told["command"].startswith("trunkline route --source 198.51.100.1")
    assert told["ladder"][-1]["what"] == "404"


@pytest.mark.parametrize(
    "ask",
    [
        lambda state: explain(state=state),
        lambda state: explain("1", last=True, state=state),
        lambda state: explain("1", number="2", state=state),
        lambda state: explain(number="1", since="soon", state=state),
        lambda state: explain("nobody@x", state=state),
        lambda state: explain(last=True, state=state / "none"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    state: Path, capsys: Capture, ask: Callable[[Path], int]
) -> None:
    assert ask(state) == 1
    err = capsys.readouterr().err
    assert err.startswith("trunkline: ") and err.count("\n") == 1
