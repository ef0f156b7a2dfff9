"""In a worker: from an image to routes that are ready, and into their place between two turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from dsl.program import Program
from router.core.engine import Engine
from router.core.policy import Policy
from router.core.verdicts import same_places
from router.routing.config import Config
from router.runtime.reload_channel import Loaded, Swap
from router.runtime.reload_image import open_image
from router.store.errors import StoreError
from router.store.records import GatewayState


class HealthStore(Protocol):
    """What of the store a swap reads."""

    def gateway_states(self) -> Mapping[str, GatewayState]:
        """Health of every gateway that has some, by key."""


class Swapper:
    """Gives an engine new routes.

    `config` is what the engine runs now, `started` the one whose sockets and files stay;
    `make_policy` makes the routes' policy; `swapped` hears of each new configuration.
    """

    def __init__(
        self,
        engine: Engine,
        store: HealthStore,
        config: Config,
        started: Config,
        make_policy: Callable[[Program, Config], Policy],
        swapped: Callable[[Config], None] | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._config = config
        self._started = started
        self._make_policy = make_policy
        self._swapped = swapped

    def load(self, raw: bytes) -> Loaded:
        """Load an image, in any thread; what is returned makes the rest ready in the engine's.

        That in turn returns what swaps and cannot fail.
        """
        program, config = open_image(raw, self._started)

        def ready() -> Swap:
            policy = self._make_policy(program, config)
            return lambda now_ms: self._swap(policy, config, now_ms)

        return ready

    def _swap(self, policy: Policy, config: Config, now_ms: int) -> None:
        moved = moved_gateways(self._config, config)
        self._config = config
        engine = self._engine
        engine.use_policy(policy, config.timers, now_ms)
        if self._swapped is not None:
            self._swapped(config)
        states: Mapping[str, GatewayState] = {}
        readable = True
        try:
            states = self._store.gateway_states()
        except StoreError:
            readable = False  # to lift what was not there harms nobody
        if moved:
            aside = {key for key, state in states.items() if state.out_until_ms > now_ms}
            engine.health.forget(moved, lambda name: not readable or f"gateway:{name}" in aside)
        engine.health.watch(states)


def moved_gateways(old: Config, new: Config) -> list[str]:
    """The gateways, by name, that are gone or stand at another address."""
    return [
        name
        for name, gateway in old.gateways.items()
        if (other := new.gateways.get(name)) is None
        or not same_places(gateway, other)
    ]
