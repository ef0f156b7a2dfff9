"""Seeded traffic: callers, Trunkline and gateways on a network that loses, doubles and reorders.

Everything random comes from one seed, so that a run that went wrong can be had again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from mutations import Mutator
from virtual_world import US, World, gateway

from router.core.agent import SDP, Agent, AgentCall, Behaviour
from router.core.call import Call
from router.core.flow import Flow, Listener
from router.core.leg import Leg
from router.core.parameters import CallTimers
from router.core.transactions.client_invite import InviteClient
from router.core.transactions.layer import ClientTransaction
from router.core.verdicts import Dial, Next, Reroute
from router.routing.objects import Gateway
from router.sip.message import Request, Response
from router.store.ops import UNLIMITED, Hold

SDP_TYPE = "Content-Type: application/sdp\r\n"


class Meddling:
    """The user of a request that an agent sends inside a call; a re-INVITE gets its ACK."""

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.status = 0

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        if response.status < 200:
            return
        if self.status:
            self.leg.resend_ack()
            return
        self.status = response.status
        if response.status < 300 and isinstance(client, InviteClient):
            self.leg.refresh_target(response)
            self.leg.send_ack(client.cseq)

    def on_timeout(self, client: ClientTransaction) -> None:
        self.status = 408

    def on_transport_error(self, client: ClientTransaction) -> None:
        self.status = 503


class Simulation:
    """One seed's network, peers and calls; `run` places them all and waits until they are over."""

    def __init__(
        self, seed: int, calls: int = 200, crashes: int = 0, trouble: float = 0.0,
        spoilt: float = 0.0, forking: bool = False,
    ) -> None:
        self.seed = seed
        self.random = rng = random.Random(seed)
        self.calls = calls
        self.crashes = crashes
        self.crashed: list[int] = []
        self.trouble = trouble
        self.spoilt = spoilt
        self.forking = forking
        self.loss = rng.choice((0.0, 0.02, 0.1, 0.25))
        self.doubling = rng.choice((0.0, 0.05, 0.3))
        self.jitter_ms = rng.choice((1, 20, 300, 2_000))
        gateways: list[Gateway] = [
            gateway(
                f"g{number}", number, lines=rng.choice((UNLIMITED, 3, 10)),
                after_ring=rng.random() < 0.3, after_media=rng.random() < 0.3,
            )
            for number in range(1, 5)
        ]
        self.world = world = World(gateways, seed=seed, fate=self.fate)
        world.network._record = False
        world.routes.timers = CallTimers(
            invite_ms=rng.choice((2_000, 10_000, 40_000)), trying_ms=5_000, progress_ms=6_000,
            media_progress_ms=15_000, ringing_ms=20_000, max_duration_ms=40_000,
        )
        world.routes.holds = (Hold("account:acme", rng.choice((UNLIMITED, 20))),)
        if rng.random() < 0.3:
            world.routes.on_failure = lambda call, attempt: world.routes.dial()
        world.routes.on_invite = lambda call: world.routes.dial(
            rng.sample(world.routes.gateways, rng.randint(1, 4))
        )
        if forking:
            self.ring_several()
        if trouble:
            self.make_trouble()
        if spoilt:
            self.spoil_messages()
        for agent in world.gateways.values():
            agent._behave = self.behave
        self.callers = [world.caller] + [
            Agent(Listener("udp", host, 5060), token=world.token, now_ms=world.network.now)
            for host in ("10.0.0.3", "10.0.0.4")
        ]
        for agent in self.callers:
            world.network.agents[(agent.listener.host, agent.listener.port)] = agent

    def ring_several(self) -> None:
        """Half of the calls ring several gateways at once."""
        world, rng = self.world, self.random

        def dial(call: Call, last: object = None) -> Dial:
            world.routes.ring_all = rng.random() < 0.5
            return world.routes.dial(rng.sample(world.routes.gateways, rng.randint(1, 4)))

        world.routes.on_invite = dial
        if rng.random() < 0.5:
            world.routes.on_failure = dial
        if rng.random() < 0.5:
            world.routes.on_diverted = lambda call, last: (
                Reroute(f"9{call.callee}") if rng.random() < 0.5 else None
            )

    def make_trouble(self) -> None:
        """Routes that raise now and then, and a store that now and then cannot commit."""
        world, rng = self.world, self.random
        world.errors_expected = True
        routes = world.routes

        def perhaps_raising(hook: Callable[..., Any]) -> Callable[..., Any]:
            def asked(*arguments: Any) -> Any:
                if rng.random() < self.trouble:
                    raise RuntimeError("a route went wrong")
                return hook(*arguments)

            return asked

        assert routes.on_invite is not None
        routes.on_invite = perhaps_raising(routes.on_invite)
        routes.on_branch = perhaps_raising(lambda call, attempt: None)
        routes.on_reply = perhaps_raising(lambda call, attempt, response: None)
        routes.on_ended = perhaps_raising(lambda call: None)
        routes.on_failure = perhaps_raising(routes.on_failure or (lambda call, attempt: Next()))
        network, store = world.network, world.store
        flush = network._flush

        def flush_with_failures() -> None:
            engine = network.engine
            while ops := engine.take_ops():
                if rng.random() < self.trouble:
                    engine.on_commit_failed(network.now)
                else:
                    engine.on_committed(store.commit(ops, network.now), network.now)
            flush()

        network._flush = flush_with_failures  # type: ignore[method-assign]

    def spoil_messages(self) -> None:
        """Some of what arrives at the router is not what was sent."""
        mutator, rng = Mutator(self.random), self.random
        receive = self.world.engine.receive

        def receive_spoilt(data: bytes, flow: Flow, now_ms: int) -> None:
            receive(mutator.spoil(data) if rng.random() < self.spoilt else data, flow, now_ms)

        self.world.engine.receive = receive_spoilt  # type: ignore[method-assign]

    def break_something(self) -> None:
        """A peer that cannot be reached for a moment."""
        peer = self.random.choice([*self.callers, *self.world.gateways.values()]).listener
        engine, now = self.world.engine, self.world.network.now
        if self.random.random() < 0.5:
            engine.on_refused(peer.host, peer.port, now)
        else:
            engine.on_transport_error(Flow(peer.transport, peer.host, peer.port), now)

    def fate(self, data: bytes) -> list[int]:
        rng = self.random
        copies = 0 if rng.random() < self.loss else 2 if rng.random() < self.doubling else 1
        return [rng.randint(1, self.jitter_ms) for _ in range(copies)]

    def behave(self, request: Request) -> Behaviour:
        rng = self.random
        kind = rng.random()
        ring: int | None = rng.choice((None, 0, 50, 1_000))
        after = rng.choice((0, 10, 500, 4_000))
        if kind < 0.08:
            return Behaviour(silent=True)
        if kind < 0.16:
            return Behaviour(ring_after_ms=ring, answer_after_ms=None)
        if kind < 0.40:
            return Behaviour(
                trying=rng.random() < 0.7, ring_after_ms=ring, answer_after_ms=after,
                status=rng.choice((404, 486, 503, 503, 500, 480, 603, 302, 408)),
                extra=rng.choice(("", "", "Retry-After: 3\r\n")), early_media=rng.random() < 0.3,
            )
        return Behaviour(
            trying=rng.random() < 0.7, ring_after_ms=ring, answer_after_ms=after,
            early_media=rng.random() < 0.3,
            hang_up_after_ms=rng.choice((None, None, 0, 1, 300, 8_000, 20_000)),
        )

    def place(self) -> AgentCall:
        rng = self.random
        call = rng.choice(self.callers).place(
            f"86138{rng.randint(0, 99999):05}", "100", Flow("udp", *US, 0),
            hang_up_after_ms=rng.choice((None, 0, 1, 200, 5_000, 15_000)),
            body=rng.choice((SDP, SDP, SDP, b"")),
        )
        if rng.random() < 0.25:
            call.cancel_after(rng.choice((0, 1, 5, 60, 1_000, 6_000)))
        return call

    def meddle(self) -> None:
        """Something that happens in the middle of a call: a re-INVITE or another request."""
        rng = self.random
        world = self.world
        agents = [*self.callers, *world.gateways.values()]
        agent = rng.choice(agents)
        talking = [
            call
            for call in (*agent.placed[-30:], *agent.received[-30:])
            if call.answered_ms and not call.ended_ms and call.leg.local_tag in agent.legs
        ]
        if not talking:
            return
        leg = rng.choice(talking).leg
        agent.layer.now = world.network.now
        if rng.random() < 0.6:
            client = leg.send_invite(
                Meddling(leg), agent.contacts[0] + SDP_TYPE, rng.choice((SDP, b""))
            )
            if rng.random() < 0.3:
                agent.layer.wheel.at(
                    world.network.now + rng.choice((0, 5, 200)), type(client).cancel, client
                )
        else:
            leg.send_request(rng.choice(("INFO", "UPDATE", "OPTIONS")), Meddling(leg))

    def run(self) -> None:
        rng = self.random
        world = self.world
        crash_at = {rng.randrange(self.calls) for _ in range(self.crashes)}
        for number in range(self.calls):
            self.place()
            world.run(rng.choice((0, 1, 10, 100, 400)))
            if rng.random() < 0.5:
                self.meddle()
            if rng.random() < self.trouble:
                self.break_something()
            if number in crash_at:
                self.crashed.append(world.network.now)
                world.crash(told=rng.random() < 0.5)
        # The longest that may follow: four attempts, the longest duration, 64*T1 for its BYEs.
        world.run(400_000)

    def check(self) -> None:
        """What must be true whatever the network did."""
        world = self.world
        world.assert_nothing_is_left()
        assert len(world.cdrs) == world.routes.invites
        for _, _, fields in world.errors():
            assert "a route went wrong" in fields["trace"], fields["trace"]
        for cdr in world.cdrs:
            assert cdr.end_reason and cdr.end_side and cdr.ended >= cdr.started, cdr
            if not self.forking:
                assert cdr.attempt == len(cdr.attempts), cdr
            assert bool(cdr.attempt) == bool(cdr.attempts), cdr
            for attempt in cdr.attempts:
                assert attempt.ended and attempt.reason, cdr
            if self.spoilt:
                continue
            if cdr.answered:
                assert cdr.started <= cdr.answered <= cdr.ended, cdr
                assert cdr.duration_ms == cdr.ended - cdr.answered, cdr
                answering = cdr.attempts[cdr.attempt - 1]
                assert answering.answered == cdr.answered, cdr
                assert answering.gateway == cdr.gateway, cdr
                assert answering.b_call_id == cdr.b_call_id, cdr
                assert cdr.sip_code == 200, cdr
            else:
                assert cdr.sip_code >= 400 and cdr.duration_ms == 0, cdr
        if self.crashes and not self.trouble and not self.spoilt:
            self.check_answers()
        if self.crashes or self.trouble or self.spoilt:
            # What a dead worker still had to resend of calls that were over is lost, and so is
            # what a broken transport took: the peers' own timers end that.
            return
        answered = {cdr.call_id for cdr in world.cdrs if cdr.answered}
        for agent in self.callers:
            for call in agent.placed:
                assert call.status, "a caller without a final status"
                assert call.ended_ms, "a caller still talks"
                if call.status == 200:
                    assert call.leg.call_id in answered, "answered for the caller alone"
        for agent in (*self.callers, *world.gateways.values()):
            # A peer that hangs up with its own re-INVITE open waits for its answer in vain.
            clients = [client.user for client in agent.layer.clients.values()]
            assert all(isinstance(user, Meddling) for user in clients), clients
            for call in agent.received:
                assert call.ended_ms or not call.answered_ms, "a callee still talks"

    def check_answers(self) -> None:
        """Whoever is charged for a call has heard that it was answered."""
        calls = {call.leg.call_id: call for agent in self.callers for call in agent.placed}
        copies = Counter(cdr.call_id for cdr in self.world.cdrs)
        for cdr in self.world.cdrs:
            # An INVITE that comes again after all was over, to a worker that knows nothing of it,
            # is a call of its own; nobody resends for a call that ended before its worker died.
            died_later = any(0 <= at - cdr.ended <= 33_000 for at in self.crashed)
            call = calls[cdr.call_id]
            gave_up = 0 < call.ended_ms < cdr.answered
            if cdr.answered and copies[cdr.call_id] == 1 and not died_later and not gave_up:
                assert call.status == 200, f"its caller never heard: {cdr}"


def simulate(seed: int, **more: Any) -> Simulation:
    """Runs one seed and checks it; an AssertionError names the seed."""
    simulation = Simulation(seed, **more)
    try:
        simulation.run()
        simulation.check()
    except AssertionError as error:
        raise AssertionError(f"seed {seed} {more}: {error}") from error
    return simulation


Simulate = Callable[..., Simulation]
