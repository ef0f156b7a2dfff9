"""routes.cfg files for the tests: free ports, gateways in pairs, accounts by source address.

Every test takes its own pair of gateways (`Routes.pair`): a number of its own, ports nobody else
uses. So late resends of one test never reach another, although they share a router.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.ports import LOOPBACK, free_ports

# Source addresses: one account each, all of them this machine.
ACME = LOOPBACK
STRANGER = "127.0.0.2"
SMALL = "127.0.0.3"

ACCOUNTS = """
account acme {
    lines = 5000
    trunk office { ips = 127.0.0.1 }
}
account small {
    lines = 1
    trunk shop { ips = 127.0.0.3 }
}
"""

POLICY = """
request_route {
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "INVITE":  route(CALL);
        default:        reply(405);
    }
}

route[CALL] {
    if (!identify()) end(IllegalCall);
    call(gateways($rU), on_failure = NEXT);
}

failure_route[NEXT] {
    next();
}
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gateways that serve one prefix, the first preferred; `number` is one to dial."""

    prefix: str
    first: int
    second: int

    @property
    def number(self) -> str:
        """A number that both serve."""
        return self.prefix + "555"

    @property
    def first_name(self) -> str:
        """The name of the preferred gateway in routes.cfg."""
        return f"first_{self.prefix}"

    @property
    def second_name(self) -> str:
        """The name of the other gateway in routes.cfg."""
        return f"second_{self.prefix}"


@dataclass(slots=True)
class Routes:
    """What one router is configured with.

    `settings` are global ones; `first` and `second` add settings to every preferred and every other
    gateway; `more` is text added at the end; `transport` is the gateways' ("udp" or "tcp").
    """

    pairs: int = 12
    settings: dict[str, str] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    second: dict[str, str] = field(default_factory=dict)
    accounts: str = ACCOUNTS
    policy: str = POLICY
    more: str = ""
    transport: str = "udp"
    port: int = 0
    metrics_port: int = 0
    _pairs: list[Pair] = field(default_factory=list)
    _taken: int = 0

    def __post_init__(self) -> None:
        self.port, self.metrics_port, *gateways = free_ports(2 + 2 * self.pairs)
        for index in range(self.pairs):
            first, second = gateways[2 * index : 2 * index + 2]
            self._pairs.append(Pair(f"7{index:03d}", first, second))

    def pair(self) -> Pair:
        """The next pair of gateways nobody has used."""
        assert self._taken < self.pairs, f"only {self.pairs} pairs of gateways: ask for more"
        self._taken += 1
        return self._pairs[self._taken - 1]

    @property
    def unserved_number(self) -> str:
        """A number that no gateway serves."""
        return "8888"

    def text(self, state: str) -> str:
        """The file."""
        lines = [
            f"listen = udp:{LOOPBACK}:{self.port}, tcp:{LOOPBACK}:{self.port}",
            f'state = "{state}"',
            f"metrics = {LOOPBACK}:{self.metrics_port}",
        ]
        lines += [f"{name} = {value}" for name, value in self.settings.items()]
        for pair in self._pairs:
            lines.append(self._gateway(pair.first_name, pair.prefix, pair.first, 1, self.first))
            lines.append(self._gateway(pair.second_name, pair.prefix, pair.second, 2, self.second))
        return "\n".join(lines) + "\n" + self.accounts + self.more + self.policy

    def _gateway(
        self, name: str, prefix: str, port: int, priority: int, more: dict[str, str]
    ) -> str:
        parameter = "" if self.transport == "udp" else f";transport={self.transport}"
        settings = {
            "address": f"{LOOPBACK}:{port}{parameter}",
            "prefixes": prefix,
            "priority": str(priority),
            "lines": "1000",
            "ping": "0s",  # SIPp's gateways expect calls and nothing else
            **more,
        }
        inside = "\n".join(f"    {key} = {value}" for key, value in settings.items())
        return f"gateway {name} {{\n{inside}\n}}"
