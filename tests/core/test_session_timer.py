"""Session timers (RFC 4028): each leg has its own, and none needs the other leg's."""

from __future__ import annotations

from typing import Any

import pytest
from virtual_world import Line, Phone, World

from router.core.agent import SDP
from router.core.parameters import CallTimers
from router.core.session_headers import (
    Interval,
    allows_update,
    min_se_s,
    session_expires,
    supports_timer,
    without_timer,
)
from router.core.session_timer import negotiated, refusal
from router.sip.message import Request, Response, parse_message

TIMER = "Supported: timer\r\n"
UPDATES = "Allow: INVITE, ACK, BYE, UPDATE\r\n"
OTHER = SDP.replace(b"20000", b"30000")
MOVED = SDP.replace(b"20000", b"40000")


def request(headers: str) -> Request:
    message = parse_message(
        b"INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1\r\n"
        b"From: <sip:2@10.0.0.2>;tag=t\r\nTo: <sip:1@10.0.0.1>\r\nCall-ID: c\r\n"
        b"CSeq: 1 INVITE\r\n" + headers.encode() + b"\r\n"
    )
    assert isinstance(message, Request)
    return message


# -- the headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "interval"),
    [
        ("Session-Expires: 600", Interval(600, "")),
        ("x: 600;refresher=uac", Interval(600, "uac")),
        ("Session-Expires: 600 ; Refresher = UAS ; x=y", Interval(600, "uas")),
        ("Session-Expires: 600;refresher=me", Interval(600, "")),
        ("Session-Expires: 600;x=y", Interval(600, "")),
        ("Session-Expires: 9999999999", Interval(9_999_999_999, "")),
        ("Session-Expires: 99999999999", None),
        ("Session-Expires: 0", None),
        ("Session-Expires: -1", None),
        ("Session-Expires: soon", None),
        ("Session-Expires:", None),
        ("X-None: 1", None),
    ],
)
def test_an_interval_is_read_or_is_not_there(header: str, interval: Interval | None) -> None:
    assert session_expires(request(f"{header}\r\n")) == interval


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("Min-SE: 120", 120), ("Min-SE: 120;x", 120), ("Min-SE: x", 0), ("Min-SE:", 0), ("A: 1", 0)],
)
def test_the_smallest_interval_is_read_or_is_nothing(header: str, seconds: int) -> None:
    assert min_se_s(request(f"{header}\r\n")) == seconds


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        ("k: timer, 100rel", ["k: 100rel"]),
        ("Supported: 100rel,TIMER , replaces", ["Supported: 100rel, replaces"]),
        ("Supported: timer\r\nRequire: timer\r\nSupported: path", ["Supported: path"]),
        ("Require: 100rel, timer\r\nX: 1", ["Require: 100rel"]),
        ("Supported: timers, xtimer", ["Supported: timers, xtimer"]),
    ],
)
def test_the_option_tag_stays_on_its_leg(headers: str, left: list[str]) -> None:
    passed = without_timer(
        request(headers + "\r\n"),
        frozenset(("via", "from", "to", "call-id", "cseq", "session-expires")),
    )
    assert passed.splitlines() == left
    assert supports_timer(request(headers + "\r\n")) is ("timers" not in headers)


def test_update_is_taken_where_it_is_allowed() -> None:
    assert allows_update(request("Allow: INVITE\r\nAllow: ACK, update\r\n"))
    assert not allows_update(request("Allow: INVITE, UPDATES\r\n"))
    assert not allows_update(request(""))


@pytest.mark.parametrize(
    ("headers", "wanted", "agreed"),
    [
        # what is agreed: interval, Min-SE, whether we refresh (RFC 4028 §9, table 2)
        (TIMER, 600, (600, 0, True)),
        (TIMER + "Session-Expires: 1800", 600, (600, 0, True)),
        (TIMER + "Session-Expires: 300", 600, (300, 0, True)),
        (TIMER + "Session-Expires: 300;refresher=uac", 600, (300, 0, False)),
        (TIMER + "Session-Expires: 300;refresher=uas", 600, (300, 0, True)),
        (TIMER + "Session-Expires: 1800\r\nMin-SE: 900", 600, (900, 900, True)),
        ("Require: timer\r\nSession-Expires: 300;refresher=uac", 600, (300, 0, False)),
        # a proxy asks for it, and the caller knows nothing of it: only we can refresh
        ("Session-Expires: 300", 600, (300, 0, True)),
        ("Session-Expires: 300;refresher=uac", 600, (300, 0, True)),
        ("Session-Expires: 10", 600, (90, 0, True)),
        (TIMER + "Session-Expires: 10", 5, (5, 0, True)),
    ],
)
def test_what_is_agreed_with_a_caller(
    headers: str, wanted: int, agreed: tuple[int, int, bool]
) -> None:
    assert negotiated(request(headers + "\r\n"), wanted) == agreed


@pytest.mark.parametrize(
    ("headers", "wanted", "line"),
    [
        (TIMER + "Session-Expires: 89", 600, "Min-SE: 90\r\n"),
        (TIMER + "Session-Expires: 90", 600, ""),
        (TIMER + "Session-Expires: 9", 10, "Min-SE: 10\r\n"),
        (TIMER + "Session-Expires: 10", 10, ""),
        (TIMER, 600, ""),
        ("Session-Expires: 1", 600, ""),  # it could not understand a 422
    ],
)
def test_an_interval_that_is_too_small_is_refused(headers: str, wanted: int, line: str) -> None:
    assert refusal(request(headers + "\r\n"), wanted) == line


# -- calls ----------------------------------------------------------------------------------------


class Talk:
    """A call with both sides played by hand; answered unless `answer` is False."""

    def __init__(
        self, world: World, *, caller: str = "", callee: str = "", wanted_s: int = 600,
        answer: bool = True, body: bytes = SDP,
    ) -> None:
        self.world = world
        self.seen: dict[tuple[str, str, str], Any] = {}
        world.routes.session_s = wanted_s
        world.routes.timers = CallTimers(session_ms=wanted_s * 1_000)
        self.caller: Phone = world.phone()
        self.callee: Phone = world.phone("g1")
        self.a: Line = self.caller.call(headers=caller, body=body)
        world.run()
        self.invite: Any = self.callee.got("INVITE")[-1] if self.callee.got("INVITE") else None
        self.ok: Any = None
        if answer:
            self.answer(callee)

    def answer(self, headers: str) -> None:
        self.callee.reply(self.invite, 200, headers, OTHER)
        self.run()
        self.ok = self.caller.one(200)
        self.a.learn(self.ok)
        self.a.send("ACK")
        self.b: Line = self.callee.line_of(self.invite)
        self.run()
        self.callee.one("ACK")
        self.clear()

    def run(self, ms: int = 10) -> None:
        """Lets time pass; of what came more than once the first is kept."""
        self.world.run(ms)
        for phone in (self.caller, self.callee):
            kept = []
            for one in phone.inbox:
                key = (phone.address, one.top_via.branch, one.cseq_method)
                again = self.seen.setdefault(key, one) is not one
                if isinstance(one, Response) or one.method == "ACK" or not again:
                    kept.append(one)
            phone.inbox[:] = kept

    def clear(self) -> None:
        self.caller.inbox.clear()
        self.callee.inbox.clear()

    def side(self, name: str) -> tuple[Phone, Line, Phone]:
        if name == "caller":
            return self.caller, self.a, self.callee
        return self.callee, self.b, self.caller

    def tag_of(self, phone: Phone) -> str:
        return "b-tag" if phone is self.callee else ""

    def hang_up(self) -> None:
        self.a.send("BYE")
        self.run()
        self.callee.reply(self.callee.last("BYE"), 200)
        self.run()

    def ends_by_timeout(self) -> None:
        """Both sides get BYE with a reason, and the CDR says why."""
        for phone in (self.caller, self.callee):
            bye = phone.one("BYE")
            assert bye.get("reason") == "Q.850;cause=102"
            phone.reply(bye, 200)
        self.run()
        assert self.world.cdr.end_reason == "SessionTimeout"
        assert self.world.cdr.end_side == "server"


def both(seconds: int, who: str = "uas") -> dict[str, str]:
    """Headers by which one side's leg gets a timer and the other's none."""
    return {
        "caller": f"{TIMER}Session-Expires: {seconds};refresher={who}\r\n",
        "callee": f"Session-Expires: {seconds};refresher={'uac' if who == 'uas' else 'uas'}\r\n",
    }


def test_the_gateway_is_offered_a_timer_and_the_caller_who_knows_none_gets_none(
    world: World,
) -> None:
    talk = Talk(world)
    assert talk.invite.get("session-expires") == "600"
    assert talk.invite.values("supported") == ["timer"]
    assert not talk.invite.has("min-se")
    assert not talk.ok.has("session-expires")
    assert not talk.ok.has("require")
    talk.run(3_600_000)
    assert talk.caller.told() == talk.callee.told() == []  # no peer has a timer: only max_duration
    talk.hang_up()


def test_without_a_timer_nothing_is_offered_and_nothing_is_agreed(world: World) -> None:
    talk = Talk(world, wanted_s=0, **both(120))
    assert not talk.invite.has("session-expires")
    assert not talk.invite.has("supported")
    assert not talk.ok.has("session-expires")
    talk.run(600_000)
    assert talk.caller.told() == talk.callee.told() == []
    talk.hang_up()


def test_each_leg_has_its_own_interval(world: World) -> None:
    talk = Talk(
        world, caller=f"{TIMER}Session-Expires: 120;refresher=uac\r\nMin-SE: 100\r\n",
        callee="Require: timer\r\nSession-Expires: 300;refresher=uas\r\n",
    )
    assert talk.invite.get("session-expires") == "600"
    assert talk.ok.get("session-expires") == "120;refresher=uac"
    assert talk.ok.values("require") == ["timer"]
    talk.hang_up()


def test_require_timer_of_the_caller_is_met_and_goes_no_further(world: World) -> None:
    talk = Talk(world, caller="Require: timer\r\nSession-Expires: 200\r\n")
    assert not talk.invite.has("require")
    assert talk.ok.get("session-expires") == "200;refresher=uas"
    talk.hang_up()


# -- refreshes of ours ----------------------------------------------------------------------------


@pytest.mark.parametrize("peer", ["caller", "callee"])
def test_we_refresh_by_update_at_half_for_ever(world: World, peer: str) -> None:
    headers = both(200)
    talk = Talk(world, **{peer: headers[peer] + UPDATES})
    phone, _, other = talk.side(peer)
    for number in range(1, 6):
        talk.run(100_100)
        updates = phone.got("UPDATE")
        assert len(updates) == number
        assert updates[-1].get("session-expires") == "200;refresher=uac"
        assert updates[-1].values("supported") == ["timer"]
        assert updates[-1].contact_uri == "sip:10.0.0.1:5060"
        assert not updates[-1].body
        phone.reply(updates[-1], 200, "Session-Expires: 200;refresher=uac\r\n")
        talk.run()
    assert other.told() == []
    talk.hang_up()


@pytest.mark.parametrize("peer", ["caller", "callee"])
def test_we_refresh_by_re_invite_with_the_last_sdp_of_that_direction(
    world: World, peer: str
) -> None:
    talk = Talk(world, **{peer: both(200)[peer]})
    phone, _, other = talk.side(peer)
    theirs, ours = (SDP, OTHER) if peer == "caller" else (OTHER, SDP)
    talk.run(100_000)
    invite = phone.one("INVITE")
    assert invite.body == ours
    assert invite.get("content-type") == "application/sdp"
    assert invite.get("session-expires") == "200;refresher=uac"
    phone.reply(invite, 200, "Session-Expires: 200;refresher=uac\r\n", theirs)
    talk.run()
    assert phone.one("ACK").cseq == invite.cseq
    assert other.told() == []
    # its ACK was lost: the 2xx comes again, and so does the ACK
    phone.reply(invite, 200, "Session-Expires: 200;refresher=uac\r\n", theirs)
    talk.run()
    assert len(phone.got("ACK")) == 2
    talk.hang_up()


def test_an_answer_without_session_expires_keeps_the_timer(world: World) -> None:
    talk = Talk(world, callee=both(200)["callee"] + UPDATES)
    for number in range(1, 4):
        talk.run(100_100)
        assert len(talk.callee.got("UPDATE")) == number
        talk.callee.reply(talk.callee.last("UPDATE"), 200)
        talk.run()
    talk.hang_up()


def test_the_peer_may_take_the_refreshes_over(world: World) -> None:
    talk = Talk(world, callee=both(200)["callee"] + UPDATES)
    talk.run(100_000)
    talk.callee.reply(talk.callee.one("UPDATE"), 200, "Session-Expires: 150;refresher=uas\r\n")
    talk.run(99_000)
    assert len(talk.callee.got("UPDATE")) == 1
    talk.run(30_000)
    talk.ends_by_timeout()  # 150 s less the 32 s of RFC 4028 §10


def test_media_that_moved_are_told_to_the_other_side(world: World) -> None:
    talk = Talk(world, callee=both(200)["callee"])
    talk.run(100_000)
    talk.callee.reply(talk.callee.one("INVITE"), 200, both(200)["callee"], MOVED)
    talk.run()
    offered = talk.caller.one("INVITE")
    assert offered.body == MOVED
    talk.caller.reply(offered, 200, "", SDP, tag="")
    talk.run()
    assert talk.caller.one("ACK").cseq == offered.cseq
    talk.run(100_000)
    assert talk.callee.last("INVITE").body == SDP
    talk.callee.reply(talk.callee.last("INVITE"), 200, both(200)["callee"], MOVED)
    talk.run()
    assert len(talk.caller.got("INVITE")) == 1, "they did not move again"
    talk.hang_up()


def test_a_new_version_number_alone_moves_nothing(world: World) -> None:
    talk = Talk(world, callee=both(200)["callee"])
    talk.run(100_000)
    later = OTHER.replace(b"o=- 1 1", b"o=- 1 2")
    talk.callee.reply(talk.callee.one("INVITE"), 200, both(200)["callee"], later)
    talk.run()
    assert talk.caller.told() == []
    talk.hang_up()


@pytest.mark.parametrize("status", [405, 501])
def test_who_lists_update_and_does_not_take_it_gets_a_re_invite(
    world: World, status: int
) -> None:
    talk = Talk(world, callee=both(200)["callee"] + UPDATES)
    talk.run(100_000)
    talk.callee.reply(talk.callee.one("UPDATE"), status)
    talk.run(50)
    talk.callee.reply(talk.callee.one("INVITE"), 200, both(200)["callee"], OTHER)
    talk.run(100_100)
    assert len(talk.callee.got("UPDATE")) == 1
    assert len(talk.callee.got("INVITE")) == 2
    talk.callee.reply(talk.callee.last("INVITE"), 200, both(200)["callee"], OTHER)
    talk.run()
    talk.hang_up()


@pytest.mark.parametrize("peer", ["caller", "callee"])
def test_glare_is_waited_out(world: World, peer: str) -> None:
    talk = Talk(world, **{peer: both(200)[peer]})
    phone, _, _ = talk.side(peer)
    talk.run(100_000)
    phone.reply(phone.one("INVITE"), 491)
    least, most = (0, 2_000) if peer == "caller" else (2_100, 4_000)
    talk.run(max(0, least - 50))
    assert len(phone.got("INVITE")) == 1 or peer == "caller"
    talk.run(most - least + 100)
    assert len(phone.got("INVITE")) == 2
    phone.reply(phone.last("INVITE"), 200, "", SDP if peer == "caller" else OTHER)
    talk.run()
    talk.hang_up()


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_knows_the_dialog_no_more_ends_the_call(world: World, status: int) -> None:
    talk = Talk(world, callee=both(200)["callee"] + UPDATES)
    talk.run(100_000)
    talk.callee.reply(talk.callee.one("UPDATE"), status)
    talk.run()
    talk.ends_by_timeout()


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_a_peer_that_does_not_answer_ends_the_call(world: World, method: str) -> None:
    talk = Talk(world, callee=both(200)["callee"] + (UPDATES if method == "UPDATE" else ""))
    talk.run(100_000)
    talk.callee.one(method) if method == "UPDATE" else talk.callee.last(method)
    talk.run(32_100)
    talk.ends_by_timeout()


def test_a_refresh_that_fails_is_tried_again_until_the_limit(world: World) -> None:
    talk = Talk(world, callee=both(200)["callee"] + UPDATES)
    talk.run(100_000)
    for _ in range(60):
        for update in talk.callee.got("UPDATE"):
            talk.callee.reply(update, 500)
        if talk.callee.got("UPDATE"):
            talk.callee.inbox[:] = talk.callee.got("BYE")
        talk.run(1_150)
    talk.ends_by_timeout()
    assert 166_000 < world.cdr.duration_ms < 170_000  # 200 s less 32 s
    assert world.cdr.decision[-1] == "session: the callee answered no refresh in 200 s"


def test_one_success_after_failures_is_enough(world: World) -> None:
    talk = Talk(world, callee=both(200)["callee"] + UPDATES)
    talk.run(100_000)
    talk.callee.reply(talk.callee.one("UPDATE"), 500)
    talk.run(35_000)
    talk.callee.reply(talk.callee.last("UPDATE"), 200)
    talk.run(99_000)
    assert len(talk.callee.got("UPDATE")) == 2
    talk.hang_up()


# -- 422 ------------------------------------------------------------------------------------------


def test_a_caller_with_too_small_an_interval_gets_422_and_comes_again(world: World) -> None:
    talk = Talk(world, caller=f"{TIMER}Session-Expires: 60\r\n", answer=False)
    refused = talk.caller.one(422)
    assert refused.get("min-se") == "90"
    assert talk.callee.told() == []
    assert world.cdrs == [], "it was no call yet"
    talk.a.ack_failure(refused)
    talk.a.send(
        "INVITE", f"{talk.caller.contact}{TIMER}Session-Expires: 90\r\nMin-SE: 90\r\n", SDP
    )
    talk.run()
    talk.invite = talk.callee.one("INVITE")
    talk.answer("")
    assert talk.ok.get("session-expires") == "90;refresher=uas"
    talk.hang_up()
    assert world.cdr.end_reason == "Normal"


def test_a_gateway_that_wants_more_gets_more_in_the_same_attempt(world: World) -> None:
    talk = Talk(world, answer=False)
    first = talk.invite
    talk.callee.reply(first, 422, "Min-SE: 900\r\n")
    talk.run()
    assert talk.callee.one("ACK").cseq == first.cseq
    second = talk.callee.last("INVITE")
    assert second.get("session-expires") == second.get("min-se") == "900"
    assert (second.call_id, second.from_tag) == (first.call_id, first.from_tag)
    assert second.cseq == first.cseq + 1
    assert second.top_via.branch != first.top_via.branch
    assert not second.to_tag
    assert second.body == SDP
    talk.callee.reply(second, 422, "Min-SE: 1200\r\n")
    talk.run()
    talk.invite = talk.callee.last("INVITE")
    assert talk.invite.get("session-expires") == "1200"
    talk.callee.inbox.clear()
    talk.answer("Session-Expires: 1200;refresher=uac\r\n" + UPDATES)
    talk.run(600_000)
    update = talk.callee.one("UPDATE")
    assert update.get("min-se") == "1200"
    talk.callee.reply(update, 200)
    talk.run()
    talk.hang_up()
    assert len(world.cdr.attempts) == 1
    assert "session: g1 asks for 900 s at least" in world.cdr.decision


def test_a_gateway_that_always_wants_more_is_done_with(world: World) -> None:
    world.routes.max_attempts = 1
    talk = Talk(world, answer=False)
    for least in (900, 1_000, 1_100):
        talk.callee.reply(talk.callee.last("INVITE"), 422, f"Min-SE: {least}\r\n")
        talk.run()
    assert len(talk.callee.got("INVITE")) == 3
    refused = talk.caller.one(500)
    talk.a.ack_failure(refused)
    assert world.cdr.end_reason == "GatewayRejected(422)"


@pytest.mark.parametrize("headers", ["Min-SE: 600\r\n", "Min-SE: x\r\n", ""])
def test_a_422_that_asks_for_nothing_more_is_a_failure(world: World, headers: str) -> None:
    world.routes.max_attempts = 1
    talk = Talk(world, answer=False)
    talk.callee.reply(talk.invite, 422, headers)
    talk.run()
    talk.callee.one("INVITE")
    talk.a.ack_failure(talk.caller.one(500))


def test_a_cancel_is_for_the_last_invite(world: World) -> None:
    talk = Talk(world, answer=False)
    talk.callee.reply(talk.invite, 422, "Min-SE: 900\r\n")
    talk.run()
    again = talk.callee.last("INVITE")
    talk.callee.reply(again, 180)
    talk.run()
    talk.a.send("CANCEL")
    talk.run()
    cancelled = talk.callee.one("CANCEL")
    assert cancelled.top_via.branch == again.top_via.branch
    assert cancelled.cseq == again.cseq
    talk.callee.reply(cancelled, 200)
    talk.callee.reply(again, 487)
    talk.a.ack_failure(talk.caller.one(487))
    talk.run()


def test_the_cancel_of_a_successor_is_for_the_last_invite(world: World) -> None:
    talk = Talk(world, answer=False)
    talk.callee.reply(talk.invite, 422, "Min-SE: 900\r\n")
    talk.run()
    again = talk.callee.last("INVITE")
    world.crash()
    talk.run()
    cancels = talk.callee.got("CANCEL")
    assert again.top_via.branch in [one.top_via.branch for one in cancels]
    for one in cancels:
        talk.callee.reply(one, 200 if one.top_via.branch == again.top_via.branch else 481)
    talk.a.ack_failure(talk.caller.one(500))


def test_a_422_to_our_refresh_is_given_in_to(world: World) -> None:
    talk = Talk(world, callee=both(200)["callee"] + UPDATES)
    talk.run(100_000)
    talk.callee.reply(talk.callee.one("UPDATE"), 422, "Min-SE: 400\r\n")
    talk.run()
    again = talk.callee.last("UPDATE")
    assert again.get("min-se") == "400"
    assert again.get("session-expires") == "400;refresher=uac"
    talk.callee.reply(again, 200)
    talk.run(199_000)
    assert len(talk.callee.got("UPDATE")) == 2
    talk.hang_up()


def test_a_422_to_a_relayed_re_invite_is_given_in_to_on_that_leg(world: World) -> None:
    talk = Talk(world, **both(200))
    talk.a.send("INVITE", talk.caller.contact + TIMER + "Content-Type: application/sdp\r\n", MOVED)
    talk.run()
    first = talk.callee.one("INVITE")
    assert first.get("session-expires") == "200;refresher=uac"
    talk.callee.reply(first, 422, "Min-SE: 500\r\n")
    talk.run()
    second = talk.callee.last("INVITE")
    assert second.get("session-expires") == "500;refresher=uac"
    assert second.body == MOVED
    talk.callee.reply(second, 200, "Session-Expires: 500;refresher=uac\r\n", OTHER)
    talk.run()
    assert talk.caller.one(200).get("session-expires") == "200;refresher=uas"
    talk.a.send("ACK")
    talk.run()
    talk.hang_up()


# -- refreshes of the peers -----------------------------------------------------------------------


@pytest.mark.parametrize("peer", ["caller", "callee"])
def test_an_update_without_a_body_is_answered_on_its_leg(world: World, peer: str) -> None:
    headers = both(200, "uac")
    talk = Talk(world, **headers)
    phone, line, other = talk.side(peer)
    other_line = talk.b if peer == "caller" else talk.a
    for _ in range(4):
        talk.run(100_000)
        for who, at in ((phone, line), (other, other_line)):
            at.send("UPDATE", f"{who.contact}{TIMER}Session-Expires: 200;refresher=uac\r\n")
        talk.run()
        answer = phone.last(200)
        assert answer.get("session-expires") == "200;refresher=uac"
        assert answer.values("require") == ["timer"]
        assert answer.contact_uri == "sip:10.0.0.1:5060"
        assert other.got("UPDATE") == []
    talk.hang_up()


@pytest.mark.parametrize("peer", ["caller", "callee"])
def test_a_re_invite_that_changes_nothing_is_answered_on_its_leg(world: World, peer: str) -> None:
    talk = Talk(world, **both(200))
    phone, line, other = talk.side(peer)
    theirs, ours = (SDP, OTHER) if peer == "caller" else (OTHER, SDP)
    line.send(
        "INVITE",
        f"{phone.contact}{TIMER}Session-Expires: 200\r\nContent-Type: application/sdp\r\n", theirs,
    )
    talk.run()
    answer = phone.one(200)
    assert answer.body == ours
    assert answer.get("content-type") == "application/sdp"
    assert answer.get("session-expires") == "200;refresher=uas"
    line.send("ACK")
    talk.run(2_000)
    assert len(phone.got(200)) == 1, "the ACK stops it"
    assert other.told() == []
    talk.hang_up()


def test_its_200_comes_again_until_the_ack_and_without_it_the_call_ends(world: World) -> None:
    talk = Talk(world, **both(200))
    talk.a.send("INVITE", talk.caller.contact + "Content-Type: application/sdp\r\n", SDP)
    talk.run(33_000)
    assert len(talk.caller.got(200)) > 5
    talk.ends_by_timeout()


def test_a_re_invite_with_another_sdp_is_relayed_and_refreshes_both_legs(world: World) -> None:
    talk = Talk(world, **both(200))
    talk.run(90_000)
    talk.a.send(
        "INVITE", f"{talk.caller.contact}{TIMER}Content-Type: application/sdp\r\n"
        "Session-Expires: 200;refresher=uas\r\n", MOVED,
    )
    talk.run()
    passed = talk.callee.one("INVITE")
    assert passed.body == MOVED
    assert passed.get("session-expires") == "200;refresher=uac"
    talk.callee.reply(passed, 200, "Session-Expires: 200;refresher=uac\r\n", OTHER)
    talk.run()
    assert talk.caller.one(200).get("session-expires") == "200;refresher=uas"
    talk.a.send("ACK")
    talk.clear()
    talk.run(99_000)
    assert talk.caller.told() == talk.callee.got("INVITE") == []
    talk.run(1_050)
    # both are refreshed by us, one after the other, with what the other side has said last
    assert talk.callee.one("INVITE").body == MOVED
    talk.callee.reply(talk.callee.one("INVITE"), 200, "", OTHER)
    talk.run(3_000)
    assert talk.caller.one("INVITE").body == OTHER
    talk.caller.reply(talk.caller.one("INVITE"), 200, "", MOVED, tag="")
    talk.run()
    talk.hang_up()


def test_an_offer_in_the_200_and_its_answer_in_the_ack_are_remembered(world: World) -> None:
    talk = Talk(world, **both(200))
    talk.a.send("INVITE", talk.caller.contact + TIMER)
    talk.run()
    passed = talk.callee.one("INVITE")
    assert not passed.body
    talk.callee.reply(passed, 200, "Session-Expires: 200;refresher=uac\r\n", MOVED)
    talk.run()
    talk.a.send("ACK", "Content-Type: application/sdp\r\n", OTHER)
    talk.clear()
    talk.run(101_000)
    assert talk.callee.one("INVITE").body == OTHER
    talk.callee.reply(talk.callee.one("INVITE"), 200, "", MOVED)
    talk.run(3_000)
    assert talk.caller.one("INVITE").body == MOVED
    talk.caller.reply(talk.caller.one("INVITE"), 200, "", OTHER, tag="")
    talk.run()
    talk.hang_up()


def test_an_update_of_the_peers_display_is_relayed(world: World) -> None:
    talk = Talk(world, **both(200))
    talk.a.send("UPDATE", talk.caller.contact + "X-Name: new\r\n")
    talk.run()
    passed = talk.callee.one("UPDATE")
    assert passed.get("x-name") == "new"
    assert passed.get("session-expires") == "200;refresher=uac"
    talk.callee.reply(passed, 200)
    talk.run()
    assert talk.caller.one(200).get("session-expires")
    talk.hang_up()


def test_a_refresh_that_is_too_small_gets_422(world: World) -> None:
    talk = Talk(world, **both(200))
    talk.a.send("UPDATE", f"{talk.caller.contact}{TIMER}Session-Expires: 20\r\n")
    talk.run()
    assert talk.caller.one(422).get("min-se") == "90"
    assert talk.callee.told() == []
    talk.hang_up()


@pytest.mark.parametrize("peer", ["caller", "callee"])
def test_a_peer_that_should_refresh_and_does_not_is_given_up(world: World, peer: str) -> None:
    talk = Talk(world, **{peer: both(200, "uac")[peer]})
    talk.run(167_000)
    assert talk.caller.told() == talk.callee.told() == []
    talk.run(1_500)
    talk.ends_by_timeout()
    assert world.cdr.decision[-1] == f"session: the {peer} sent no refresh in 200 s"


def test_a_short_session_is_given_up_a_third_before_its_end(world: World) -> None:
    talk = Talk(world, wanted_s=30, callee=both(30, "uac")["callee"])
    talk.run(19_900)
    assert talk.callee.told() == []
    talk.run(200)
    talk.ends_by_timeout()


def test_a_re_invite_while_ours_is_open_gets_491(world: World) -> None:
    talk = Talk(world, caller=both(200)["caller"])
    talk.run(100_000)
    ours = talk.caller.one("INVITE")
    talk.a.send("INVITE", talk.caller.contact, MOVED)
    talk.b.send("INVITE", talk.callee.contact, MOVED)
    talk.run()
    talk.a.ack_failure(talk.caller.one(491))
    talk.b.ack_failure(talk.callee.one(491))
    talk.caller.reply(ours, 200, "", SDP, tag="")
    talk.run()
    talk.hang_up()


def test_our_re_invite_waits_until_theirs_is_over(world: World) -> None:
    talk = Talk(world, caller=both(200)["caller"])
    talk.run(99_900)
    talk.b.send("INVITE", talk.callee.contact + "Content-Type: application/sdp\r\n", MOVED)
    talk.run(1_000)
    theirs = talk.caller.one("INVITE")
    talk.caller.reply(theirs, 200, "", SDP, tag="")
    talk.run()
    talk.b.send("ACK")
    # the relayed one has refreshed the caller's session, so that ours is not due for a while
    talk.run(90_000)
    talk.caller.one("INVITE")
    talk.hang_up()


def test_a_call_that_ends_in_the_middle_of_our_re_invite_ends(world: World) -> None:
    talk = Talk(world, caller=both(200)["caller"])
    talk.run(100_000)
    ours = talk.caller.one("INVITE")
    talk.caller.reply(ours, 100)
    talk.run()
    talk.b.send("BYE")
    talk.run()
    talk.caller.reply(talk.caller.one("BYE"), 200)
    talk.caller.reply(talk.caller.one("CANCEL"), 200)
    talk.caller.reply(ours, 200, "", SDP, tag="")
    talk.run()
    assert talk.caller.one("ACK").cseq == ours.cseq
    assert world.cdr.end_reason == "Normal"


# -- crashes, loss --------------------------------------------------------------------------------


def test_timers_survive_their_worker(world: World) -> None:
    talk = Talk(world, **both(200))
    talk.run(60_000)
    world.crash()
    talk.run(39_000)
    assert talk.caller.told() == talk.callee.told() == []
    talk.run(5_000)
    assert talk.caller.one("INVITE").body == OTHER
    talk.caller.reply(talk.caller.one("INVITE"), 200, "", SDP, tag="")
    talk.run(3_000)
    assert talk.callee.one("INVITE").body == SDP
    talk.callee.reply(talk.callee.one("INVITE"), 200, "", OTHER)
    talk.run()
    world.crash()
    talk.run(90_000)
    assert len(talk.caller.got("INVITE")) == 1, "the refresh was stored"
    talk.hang_up()


def test_a_peer_that_does_not_refresh_is_given_up_by_a_successor_too(world: World) -> None:
    talk = Talk(world, callee=both(200, "uac")["callee"])
    talk.run(60_000)
    world.crash()
    talk.run(109_000)
    talk.ends_by_timeout()


def test_bytes_of_a_peer_that_are_no_text_are_stored_with_a_timer(world: World) -> None:
    talk = Talk(world, caller=both(200)["caller"] + "Contact: <sip:caf\udce9@10.0.0.2:5060>\r\n")
    world.crash()
    talk.run(100_000)
    invite = talk.caller.one("INVITE")
    assert invite.uri == "sip:caf\udce9@10.0.0.2:5060"
    assert invite.body == OTHER
    talk.caller.reply(invite, 200, "", SDP, tag="")
    talk.run()
    talk.hang_up()


def test_a_refresh_survives_loss() -> None:
    drops = iter([False] * 7 + [True, False, True, True, False])
    world = World(fate=lambda data: [] if next(drops, False) else [0])
    talk = Talk(world, callee=both(200)["callee"] + UPDATES)
    talk.run(100_000)
    for _ in range(30):
        for update in talk.callee.got("UPDATE"):
            talk.callee.reply(update, 200)
        talk.callee.inbox.clear()
        world.run(500)
    talk.run(60_000)
    assert not next(drops, False)
    assert world.cdrs == []
    talk.hang_up()
    world.assert_nothing_is_left()


ODD = [
    "0", "1", "-5", "9999999999", "99999999999999", "abc", "", ";", "100;refresher", "100;;;=;",
    "100;refresher=uac;refresher=uas", "٣٠٠", "1e3", "100 200", "100,200", '100;x="a;b',
]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", ["Session-Expires", "Min-SE"])
def test_odd_values_of_peers_cost_nothing_but_their_session(
    world: World, name: str, value: str
) -> None:
    odd = f"{TIMER}{name}: {value}\r\n"
    if name == "Min-SE":
        odd += "Session-Expires: 200\r\n"
    talk = Talk(world, caller=odd, answer=False)
    if talk.callee.got("INVITE"):
        talk.answer(odd.replace("Supported", "Require") + UPDATES)
        for _ in range(40):
            talk.run(10_000)
            for phone in (talk.caller, talk.callee):
                for request in phone.inbox:
                    if isinstance(request, Request) and request.method != "ACK":
                        body = SDP if request.method == "INVITE" else b""
                        phone.reply(request, 200, odd, body, tag=talk.tag_of(phone))
                phone.inbox.clear()
        world.engine.end_all(world.network.now)
        talk.run()
        for phone in (talk.caller, talk.callee):
            for bye in phone.got("BYE"):
                phone.reply(bye, 200)
    else:
        talk.a.ack_failure(talk.caller.one(422))
    talk.run()
    assert world.errors() == []
    assert len(world.network.wires) < 300, "no storm of refreshes"
