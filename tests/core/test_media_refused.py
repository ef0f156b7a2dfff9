"""An offer inside a call that comes to nothing: the relay goes on with what was agreed before."""

from __future__ import annotations

from typing import Any

import pytest
from relayed_talk import HELD, MOVED, PLACE, Talk, media_entries, with_relays
from stand_in_relay import StandIn
from virtual_world import SDP_TYPE, World

from router.core.agent import SDP
from router.core.media import session
from router.core.media.session import Wish

CALLEES = SDP.replace(b"o=- 1 1", b"o=- 2 2")


@pytest.fixture
def relay(world: World) -> StandIn:
    world.causes_expected = False  # refusals that are passed on stay as they came
    return with_relays(world, PLACE)[0]


class Agreed(Talk):
    """A call in which each side has said something of its own."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.relay: StandIn = world.network.relays[PLACE]  # type: ignore[assignment]
        self.agree("callee", CALLEES)
        self.relay.commands.clear()
        self.caller.inbox.clear()
        self.callee.inbox.clear()

    def offer(self, side: str, sdp: bytes, method: str = "INVITE") -> Any:
        """A new offer of a side; the request as the other has it."""
        phone, line, other = self.side(side)
        line.send(method, (phone.contact if method == "INVITE" else "") + SDP_TYPE, sdp)
        self.world.run()
        return other.last(method)

    def agree(self, side: str, sdp: bytes) -> None:
        """The other side takes it, with what it says always."""
        _, line, other = self.side(side)
        passed = self.offer(side, sdp)
        answer = SDP if side == "callee" else CALLEES
        other.reply(passed, 200, body=answer, tag="b-tag" if other is self.callee else "")
        self.world.run()
        line.send("ACK")
        self.world.run()

    def refuse(self, side: str, passed: Any, status: int = 488) -> None:
        """The other side does not take it."""
        phone, line, other = self.side(side)
        other.reply(passed, status, tag="b-tag" if other is self.callee else "")
        self.world.run()
        (refusal,) = phone.got(status)
        if passed.method == "INVITE":
            line.ack_failure(refusal)
            self.world.run()

    def told(self) -> list[tuple[str, str, bytes]]:
        """What the relay was told since the agreement."""
        return [
            (one[b"command"].decode(), one[b"from-tag"].decode(), one[b"sdp"])
            for one in self.relay.commands
            if b"sdp" in one
        ]

    def before(self, side: str, callers: bytes = SDP, callees: bytes = CALLEES) -> list[Any]:
        """What brings a relay back to what was agreed on, where this side had offered."""
        sdps = (callers, callees) if side == "caller" else (callees, callers)
        return [("offer", side, sdps[0]), ("answer", side, sdps[1])]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_refused_offer_is_taken_back(
    world: World, relay: StandIn, side: str, method: str
) -> None:
    talk = Agreed(world)
    talk.refuse(side, talk.offer(side, MOVED, method))
    assert talk.told() == [("offer", side, MOVED), *talk.before(side)]
    talk.hang_up()
    assert relay.sessions == {}


def test_an_offer_that_was_accepted_is_what_the_next_refusal_goes_back_to(
    world: World, relay: StandIn
) -> None:
    talk = Agreed(world)
    talk.agree("caller", MOVED)
    relay.commands.clear()
    talk.refuse("callee", talk.offer("callee", HELD), 488)
    assert talk.told()[1:] == talk.before("callee", callers=MOVED)
    talk.hang_up()


def test_an_answer_before_the_refusal_is_taken_back_too(world: World, relay: StandIn) -> None:
    talk = Agreed(world)
    passed = talk.offer("caller", MOVED)
    talk.callee.reply(passed, 183, body=HELD)
    world.run()
    talk.refuse("caller", passed, 488)
    assert talk.told() == [
        ("offer", "caller", MOVED), ("answer", "caller", HELD), *talk.before("caller")
    ]
    talk.hang_up()


def test_an_offer_that_is_withdrawn_before_it_went_on_is_taken_back(
    world: World, relay: StandIn
) -> None:
    talk = Agreed(world)
    relay.late = True
    talk.a.send("INVITE", talk.caller.contact + SDP_TYPE, MOVED)
    world.run(20)
    talk.a.send("CANCEL")
    world.run(20)
    talk.a.ack_failure(talk.caller.one(487))
    relay.release(world)
    assert len(talk.callee.got("INVITE")) == 0
    assert talk.told() == [("offer", "caller", MOVED), *talk.before("caller")]
    talk.hang_up()


@pytest.mark.parametrize(
    ("error", "status"), [("Failed to parse SDP", 488), ("Unknown call-id", 500)]
)
def test_an_offer_that_the_relay_cannot_use_goes_nowhere(
    world: World, relay: StandIn, error: str, status: int
) -> None:
    talk = Agreed(world)
    relay.error = error
    talk.a.send("UPDATE", SDP_TYPE, b"no description")
    world.run(1)
    relay.error = ""
    world.run()
    assert talk.callee.got("UPDATE") == []
    assert talk.caller.one(status)
    assert talk.told()[1:] == talk.before("caller")
    assert world.engine.active_calls == 1
    talk.hang_up()


def test_an_update_without_an_answer_is_taken_back(world: World, relay: StandIn) -> None:
    talk = Agreed(world)
    talk.offer("callee", MOVED, "UPDATE")
    world.run(33_000)
    assert talk.callee.one(408)
    assert talk.told()[1:] == talk.before("callee")
    talk.hang_up()


def test_what_follows_a_refusal_waits_until_it_is_taken_back(
    world: World, relay: StandIn
) -> None:
    talk = Agreed(world)
    passed = talk.offer("caller", MOVED)
    relay.late = True
    talk.refuse("caller", passed, 488)
    talk.b.send("INVITE", talk.callee.contact + SDP_TYPE, HELD)
    world.run(20)
    assert talk.caller.got("INVITE") == []
    relay.release(world)
    talk.caller.reply(talk.caller.last("INVITE"), 200, body=SDP)
    world.run()
    talk.b.send("ACK")
    world.run()
    assert [entry[:2] for entry in talk.told()] == [
        ("offer", "caller"), ("offer", "caller"), ("answer", "caller"),
        ("offer", "callee"), ("answer", "callee"),
    ]
    talk.hang_up()


def test_a_hold_that_was_refused_is_no_silence_that_was_agreed_on(
    world: World, relay: StandIn
) -> None:
    world.routes.media = {"gateway:g1": Wish((), 30_000)}
    talk = Agreed(world)
    talk.refuse("caller", talk.offer("caller", HELD))
    world.run(60_000)
    for phone in (talk.caller, talk.callee):
        phone.reply(phone.last("BYE"), 200)
    assert world.cdr.end_reason == "MediaTimeout"


def test_what_else_is_answered_meanwhile_accepts_no_offer(world: World, relay: StandIn) -> None:
    talk = Agreed(world)
    passed = talk.offer("caller", MOVED)
    talk.b.send("INFO")
    world.run()
    talk.caller.reply(talk.caller.one("INFO"), 200)
    world.run()
    talk.refuse("caller", passed)
    assert talk.told()[1:] == talk.before("caller")
    talk.hang_up()


def test_a_successor_knows_what_the_invite_and_its_answer_said(
    world: World, relay: StandIn
) -> None:
    talk = Talk(world)
    world.crash()
    world.engine.relays.use([PLACE])
    relay.commands.clear()
    talk.a.send("UPDATE", SDP_TYPE, MOVED)
    world.run()
    talk.callee.reply(talk.callee.one("UPDATE"), 488, tag="")
    world.run()
    assert [one[b"sdp"] for one in relay.commands] == [MOVED, SDP, SDP]
    talk.hang_up()


def test_a_successor_takes_offers_back_as_well(world: World, relay: StandIn) -> None:
    talk = Agreed(world)
    talk.agree("caller", MOVED)
    world.crash()
    world.engine.relays.use([PLACE])
    relay.commands.clear()
    talk.refuse("callee", talk.offer("callee", HELD), 488)
    assert talk.told() == [("offer", "callee", HELD), *talk.before("callee", callers=MOVED)]
    talk.hang_up()


def test_a_death_with_an_offer_open_forgets_that_offer(world: World, relay: StandIn) -> None:
    talk = Agreed(world)
    talk.offer("caller", MOVED)
    next(iter(world.engine.calls.values())).store_dialog()
    world.flush()
    world.crash()
    world.engine.relays.use([PLACE])
    relay.commands.clear()
    talk.refuse("callee", talk.offer("callee", HELD), 488)
    assert talk.told()[1:] == talk.before("callee")
    talk.hang_up()


def test_where_the_callee_offered_both_sides_are_known(world: World, relay: StandIn) -> None:
    caller, callee = world.phone(), world.phone("g1")
    a = caller.call(body=b"")
    world.run()
    invite = callee.one("INVITE")
    callee.reply(invite, 200, body=CALLEES)
    world.run()
    a.learn(caller.one(200))
    a.send("ACK", SDP_TYPE, SDP)
    world.run()
    relay.commands.clear()
    a.send("UPDATE", SDP_TYPE, MOVED)
    world.run()
    callee.reply(callee.one("UPDATE"), 488, tag="")
    world.run()
    told = [(one[b"command"], one[b"from-tag"], one[b"sdp"]) for one in relay.commands]
    assert told == [
        (b"offer", b"caller", MOVED), (b"offer", b"caller", SDP), (b"answer", b"caller", CALLEES)
    ]
    a.send("BYE")
    world.run()
    callee.reply(callee.one("BYE"), 200)


def test_a_relay_that_does_not_take_it_back_is_told_of(world: World, relay: StandIn) -> None:
    talk = Agreed(world)
    passed = talk.offer("caller", MOVED)
    relay.error = "Unknown call-id"
    talk.refuse("caller", passed)
    relay.error = ""
    talk.hang_up()
    why = "media: a refused offer was not taken back: 10.0.9.1:2223: Unknown call-id"
    assert media_entries(world)[1:] == [why, why]


def test_a_description_too_long_to_keep_is_not_said_again(
    world: World, relay: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_SAID_BYTES", len(SDP) - 1)
    talk = Agreed(world)
    talk.refuse("caller", talk.offer("caller", MOVED))
    assert talk.told() == [("offer", "caller", MOVED)]
    talk.hang_up()
