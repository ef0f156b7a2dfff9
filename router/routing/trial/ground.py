"""What all trials of a program share: its configuration and where everybody is."""

from __future__ import annotations

from collections.abc import Container
from itertools import count

from dsl.program import Program
from router.core.flow import Listener
from router.core.network import RunWait, run_at_once
from router.core.verdicts import addresses_of
from router.routing.config import build_config
from router.routing.stored_decks import StoredRates

FIRST_PORT = 5060
_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Ground:
    """A program with its configuration, built once; `run_wait` runs what routes wait for.

    A listener on every address of the machine is taken to be on the loopback one: a trial must not
    depend on the machine.
    """

    def __init__(
        self, program: Program, run_wait: RunWait = run_at_once, rates: StoredRates | None = None
    ) -> None:
        self.program = program
        self.run_wait = run_wait
        self.config = build_config(program)
        self.config.try_only()
        self.config.rates.store = rates
        self.listeners = [
            Listener(transport, _LOOPBACKS.get(host, host), port)
            for transport, host, port in self.config.listeners
        ]
        self.config.listeners = self.listeners
        self._taken = {listener[1:] for listener in self.listeners}
        self._taken |= {
            (host, port)
            for one in self.config.gateways.values()
            for _, host, port in addresses_of(one)
        }

    def listener_near(self, source: str) -> Listener:
        """Where a caller with this address calls: by its version of IP, and over UDP, if we can."""
        version = ":" in source
        return max(
            self.listeners,
            key=lambda one: ((":" in one.host) == version, one.transport == "udp"),
        )

    def listens_at(self, host: str, port: int) -> bool:
        """Whether this is an address of ours."""
        return any(one.host == host and one.port == port for one in self.listeners)

    def free_port(self, host: str, others: Container[int] = ()) -> int:
        """A port of a peer's address that is neither ours, nor a gateway's, nor among others."""
        return next(
            port for port in count(FIRST_PORT)
            if (host, port) not in self._taken and port not in others
        )
