"""Calls through a relay that stands in for rtpengine, both sides played by hand."""

from __future__ import annotations

from stand_in_relay import StandIn
from virtual_world import Line, Phone, World

from router.core.agent import SDP
from router.core.media.session import Wish

PLACE, OTHER = ("10.0.9.1", 2223), ("10.0.9.2", 2223)
RAW = 20_000
MOVED = SDP.replace(b"20000", b"30000")
HELD = SDP.replace(b"a=sendrecv", b"a=sendonly")


def with_relays(world: World, *places: tuple[str, int], wish: Wish | None = None) -> list[StandIn]:
    world.routes.relays = places
    world.engine.relays.use(places)
    world.routes.media = {"gateway:g1": wish or Wish((), 60_000)}
    relays = [StandIn(place) for place in places]
    world.network.relays = dict(zip(places, relays, strict=True))
    return relays


def media_entries(world: World) -> list[str]:
    return [entry for entry in world.cdr.decision if entry.startswith("media: ")]


class Talk:
    """An answered call, both sides played by hand."""

    def __init__(self, world: World, headers: str = "", reply: str = "", body: bytes = SDP) -> None:
        self.world = world
        self.caller, self.callee = world.phone(), world.phone("g1")
        self.a: Line = self.caller.call(headers=headers, body=body)
        world.run()
        self.invite = self.callee.one("INVITE")
        self.callee.reply(self.invite, 200, reply, body=SDP)
        world.run()
        self.ok = self.caller.one(200)
        self.a.learn(self.ok)
        self.a.send("ACK")
        world.run()
        self.b = self.callee.line_of(self.invite)
        self.caller.inbox.clear()
        self.callee.inbox.clear()

    def side(self, name: str) -> tuple[Phone, Line, Phone]:
        if name == "caller":
            return self.caller, self.a, self.callee
        return self.callee, self.b, self.caller

    def hang_up(self) -> None:
        self.a.send("BYE")
        self.world.run()
        self.callee.reply(self.callee.last("BYE"), 200)
        self.world.run()
