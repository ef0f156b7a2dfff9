"""A carrier in small for pictures: gateways and customers that behave as in life, some badly.

The peers are simulated agents on real sockets, the router is a `trunkline run`. What each does is
drawn from a seeded random source, so that two runs look alike.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from pathlib import Path

from harness.ports import LOOPBACK, free_ports

from router.core.agent import Agent, Behaviour
from router.core.flow import Flow
from router.runtime.agent_driver import AgentDriver
from router.sip.message import Request

SEED = 5
WAVE_S = 170
"""A busy hour comes and goes in so many seconds."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A gateway: its settings, how long it lets callers wait, and what it answers.

    `outcomes` are (weight, status): 0 answers, 1 rings until somebody gives up, else a refusal.
    """

    name: str
    prefixes: str
    priority: int
    lines: int
    pdd_ms: int
    outcomes: tuple[tuple[int, int], ...]


GOOD = ((72, 0), (12, 486), (10, 1), (3, 404), (3, 480))
VENDORS = (
    Vendor("de_north", "49", 1, 70, 350, GOOD),
    Vendor("de_south", "49", 1, 30, 2600, ((60, 0), (15, 486), (18, 1), (4, 480), (3, 500))),
    Vendor("cn_mobile", "8613, 8615", 1, 26, 900, GOOD),
    Vendor("cn_unicom", "86", 2, 6, 1400, ((50, 0), (20, 486), (20, 1), (10, 403))),
    Vendor("uk_london", "44", 1, 40, 700, ((70, 503), (18, 0), (7, 486), (5, 1))),
    Vendor("uk_reserve", "44", 2, 25, 1100, ((50, 0), (15, 486), (10, 1), (25, 503))),
    Vendor("us_wholesale", "1", 1, 40, 550, ((55, 0), (20, 404), (13, 486), (12, 1))),
)
GOES_DOWN = "us_wholesale"


@dataclass(frozen=True, slots=True)
class Customer:
    """An account: its address, settings, share of the calls, where it calls, how long it talks."""

    name: str
    host: str
    settings: str
    share: int
    numbers: tuple[str, ...]
    talk_s: float = 22


CUSTOMERS = (
    Customer("altona_calls", "127.0.1.1", "lines = 160  balance = 500", 42,
             ("4940", "4930", "4989", "4940"), 26),
    Customer("nordic_carrier", "127.0.1.2", "lines = 90  balance = 800  overdraft = 200", 30,
             ("8613", "8618", "44207", "44161", "1212", "1415", "4930", "8615"), 20),
    Customer("bakery_chain", "127.0.1.3", "lines = 5  balance = 40", 9, ("4940", "44207"), 24),
    Customer("florist", "127.0.1.4", "lines = 20  balance = 1.35", 6, ("8613", "4930"), 22),
    Customer("speedy_dialler", "127.0.1.5",
             "lines = 30  balance = 60  callee_deny = 490137, 490900", 10,
             ("490137", "490900", "97150", "4940", "1900555"), 4),
    Customer("no_customer", "127.0.1.9", "", 2, ("4940",)),
)
PHONES = ("1001", "1002", "1003")
PRICES = {"49": (0.018, 0.008), "44": (0.04, 0.021), "86": (0.05, 0.032), "1": (0.024, 0.013)}
POLICY = """
request_route {
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "REGISTER": {
            if (!authenticate()) challenge();
            save();
        }
        case "INVITE": {
            if (!identify()) end(IllegalCall);
            call(gateways($rU), on_branch = TO_GATEWAY, on_failure = NEXT);
        }
        default: reply(405);
    }
}
branch_route[TO_GATEWAY] {
    set_header("X-Account", $account.id);
}
failure_route[NEXT] {
    if ($rs in [486, 600, 603]) end(UserBusy);
    next();
}
"""


@dataclass(slots=True)
class Showcase:
    """The peers and what they do; `port` and `metrics_port` are the router's."""

    driver: AgentDriver
    port: int = 0
    metrics_port: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    gateways: dict[str, Agent] = field(default_factory=dict)
    callers: dict[str, Agent] = field(default_factory=dict)
    _next_ms: float = 0

    def __post_init__(self) -> None:
        self.port, self.metrics_port = free_ports(2)
        for vendor in VENDORS:
            self.gateways[vendor.name] = self.driver.add(LOOPBACK, self._behaviour(vendor))
        for customer in CUSTOMERS:
            self.callers[customer.name] = self.driver.add(customer.host)

    # -- what the router is configured with -------------------------------------------------------

    def text(self, state: str) -> str:
        """The file."""
        lines = [
            f"listen = udp:{LOOPBACK}:{self.port}, tcp:{LOOPBACK}:{self.port}",
            f'state = "{state}"', f"metrics = {LOOPBACK}:{self.metrics_port}",
            "ringing_timeout = 12s", "invite_timeout = 2s", "shutdown_timeout = 2s",
            'deck retail { file = "retail.csv" }', 'deck vendor { file = "vendor.csv" }',
        ]
        for vendor in VENDORS:
            port = self.gateways[vendor.name].listener.port
            lines.append(
                f"gateway {vendor.name} {{\n address = {LOOPBACK}:{port}\n"
                f" prefixes = {vendor.prefixes}\n priority = {vendor.priority}\n"
                f" lines = {vendor.lines}\n deck = vendor\n ping = 2s\n}}"
            )
        for customer in CUSTOMERS:
            if customer.settings:
                phones = "".join(
                    f' phone {one} {{ password = "secret" }}\n'
                    for one in PHONES if customer.name == "bakery_chain"
                )
                lines.append(
                    f"account {customer.name} {{\n deck = retail\n {customer.settings}\n"
                    f" trunk pbx {{ ips = {customer.host} }}\n{phones}}}"
                )
        return "\n".join(lines) + POLICY

    def write_prices(self, folder: Path) -> None:
        """The rates files beside routes.cfg."""
        for index, name in enumerate(("retail", "vendor")):
            rows = [f"{prefix},{price[index] * 10:.4f}" for prefix, price in PRICES.items()]
            (folder / f"{name}.csv").write_text("\n".join(("prefix,rate_per_min", *rows, "")))

    # -- what happens -----------------------------------------------------------------------------

    def step(self, now_ms: int, rate: float) -> None:
        """Places the calls that are due, `rate` a second on average; for `AgentDriver.run`."""
        self.driver.wires.clear()
        if not self._next_ms:
            self._next_ms = now_ms
        while self._next_ms <= now_ms:
            busy = 1 + 0.45 * math.sin(2 * math.pi * self._next_ms / 1000 / WAVE_S)
            self._next_ms += self.chance.expovariate(rate * busy) * 1000
            self._call()

    def break_down(self, name: str) -> None:
        """From now on this gateway hears nothing."""
        agent = self.gateways[name]
        agent.receive = lambda *message: None  # type: ignore[method-assign]

    def mend(self, name: str) -> None:
        """It is back."""
        del self.gateways[name].receive

    def _call(self) -> None:
        (who,) = self.chance.choices(CUSTOMERS, [one.share for one in CUSTOMERS])
        agent = self.callers[who.name]
        number = self.chance.choice(who.numbers) + f"{self.chance.randrange(10**6):06d}"
        talk_ms = int(self.chance.expovariate(1 / who.talk_s) * 1000) + 500
        agent.placed.clear()
        call = agent.place(
            number, "4940808001", Flow("udp", LOOPBACK, self.port, 0), hang_up_after_ms=talk_ms
        )
        if self.chance.random() < 0.5:
            call.cancel_after(int(self.chance.uniform(7_000, 11_000)))

    def _behaviour(self, vendor: Vendor):
        def behave(request: Request) -> Behaviour:
            agent = self.gateways[vendor.name]
            agent.received.clear()
            agent.requests.clear()
            weights = [weight for weight, _ in vendor.outcomes]
            (_, status) = self.chance.choices(vendor.outcomes, weights)[0]
            pdd_ms = int(vendor.pdd_ms * self.chance.lognormvariate(0, 0.45))
            if status > 1:
                refuse_ms = pdd_ms if status == 486 else int(self.chance.uniform(60, 300))
                return Behaviour(ring_after_ms=None, answer_after_ms=refuse_ms, status=status)
            ring_ms = int(self.chance.uniform(1_000, 4_000))
            answer_ms = None if status == 1 else pdd_ms + ring_ms
            return Behaviour(ring_after_ms=pdd_ms, answer_after_ms=answer_ms)

        return behave
