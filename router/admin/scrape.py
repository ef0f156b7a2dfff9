"""One scrape: what the workers counted, and what live state says at this moment.

Counters and histograms come from the workers' metrics files; gauges (calls in progress, gateways
up, workers alive, CDRs waiting) are read from the live store when somebody asks, so that a gauge
can neither drift nor survive the worker that set it. Nothing here knows HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from prometheus_client.metrics_core import Metric as Family

from router.admin.machine import Reading
from router.admin.merging import MergedFiles, fold
from router.billing.rate import MILLIONTHS
from router.runtime.metrics import MAX_GATEWAYS
from router.runtime.metrics_catalogue import (
    BY_NAME,
    CATALOGUE,
    OTHER,
    PARTS,
    PREFIX,
    SCRIPT,
)
from router.runtime.reload_report import APPLIED, FAILED, REFUSED
from router.store.errors import StoreError
from router.store.interface import Usage
from router.store.money import Money
from router.store.ops import UNLIMITED
from router.store.records import GatewayState

GATEWAY_KEY: Final = "gateway:"
ACCOUNT_KEY: Final = "account:"
MAX_ACCOUNTS: Final = 1_000
BY_GATEWAY: Final = tuple(
    PREFIX + metric.name for metric in CATALOGUE if "gateway" in metric.labels
)
HEARTBEAT_MAX_AGE_MS: Final = 5_000
SCRIPT_HELP: Final = "Counted by a route of routes.cfg: look there for count() with this name."


class LiveReader(Protocol):
    """What a scrape asks of the live store."""

    def usages(self, prefix: str) -> Mapping[str, Usage]: ...
    def gateway_states(self) -> Mapping[str, GatewayState]: ...
    def heartbeats(self) -> Mapping[int, int]: ...
    def backlog(self) -> int: ...
    def registered_phones(self) -> int: ...
    def monies(self) -> Mapping[str, Money]: ...
    def blocks(self, now_ms: int) -> Mapping[str, object]: ...
    def stat(self) -> Mapping[str, int]: ...


class Log(Protocol):
    """Where the process says what happens: level, event, fields."""

    def __call__(self, level: str, event: str, /, **fields: object) -> None:
        """Write one line."""


class Running(Protocol):
    """What a reload changes of what a scrape tells."""

    config_hash: str
    gateways: list[tuple[str, int]]
    accounts: list[tuple[str, int]]
    reloads: dict[str, int]


def _as_started() -> Running | None:
    return None


class Scrape:
    """A prometheus_client collector: every metric of the catalogue, then those that routes count.

    `gateways` are (name, lines) with -1 lines for no limit; they and the hash hold until `running`
    tells others. `open_live` gives the live store, and is asked again after it failed. A live store
    that cannot be read costs the gauges, not the scrape.
    """

    def __init__(
        self,
        *,
        directory: Path,
        gateways: Sequence[tuple[str, int]],
        config_hash: str,
        slots: int,
        open_live: Callable[[], LiveReader],
        now_ms: Callable[[], int],
        log: Log,
        running: Callable[[], Running | None] = _as_started,
        machine: Callable[[Mapping[str, int] | None], Iterable[Reading]] = lambda live: (),
    ) -> None:
        self._files = MergedFiles(directory)
        self._gateways = gateways
        self._config_hash = config_hash
        self._slots = slots
        self._open_live = open_live
        self._now_ms = now_ms
        self._log = log
        self._running = running
        self._machine = machine
        self._accounts: list[tuple[str, int]] = []
        self._reloads: dict[str, int] = {}
        self._live: LiveReader | None = None
        self._live_fault = ""
        self._damaged: set[str] = set()

    def collect(self) -> Iterator[Family]:
        """Every family of the catalogue, with samples where there are any."""
        running = self._running()
        if running is not None:
            self._gateways = running.gateways
            self._config_hash = running.config_hash
            self._reloads = running.reloads
            self._accounts = running.accounts
        families = {family.name: family for family in self._counted()}
        for metric in CATALOGUE:
            name = PREFIX + metric.name
            family = families.setdefault(name, Family(name, metric.help, metric.kind))
            family.documentation = metric.help
        beyond = {name for name, _ in self._gateways[MAX_GATEWAYS:]}
        if beyond:
            for name in BY_GATEWAY:
                fold(families[name], "gateway", beyond)
        for name in ("call_attempts", "call_answers"):
            self._add_unused_gateways(families[PREFIX + name])
        families[PREFIX + "config_info"].add_sample(
            PREFIX + "config_info", {"hash": self._config_hash}, 1
        )
        for result in (APPLIED, REFUSED, FAILED):
            families[PREFIX + "reloads"].add_sample(
                PREFIX + "reloads_total", {"result": result}, self._reloads.get(result, 0)
            )
        for name, parts in PARTS.items():
            family = families[PREFIX + name]
            family.samples = [
                sample._replace(value=sample.value / parts) for sample in family.samples
            ]
        self._add_lines(families)
        self._add_live(families)
        for reading in self._machine(self._live_stat()):
            kind = BY_NAME[reading.metric].kind
            name = PREFIX + reading.metric
            sample_name = f"{name}_total" if kind == "counter" else name
            families[name].add_sample(sample_name, dict(reading.labels), reading.value)
        for metric in CATALOGUE:
            yield families[PREFIX + metric.name]
        for name in sorted(families):
            if name.startswith(PREFIX + SCRIPT):
                families[name].documentation = SCRIPT_HELP
                yield families[name]

    def _counted(self) -> Iterator[Family]:
        """What all files have together; those that are damaged are left out, and said once."""
        try:
            yield from self._files.families()
        except OSError as error:
            raise RuntimeError(f"metrics files cannot be read: {error}") from error
        for file, why in self._files.damaged.items():
            if file not in self._damaged:
                self._log("warning", "metrics file is damaged", file=file, why=why)
        self._damaged = set(self._files.damaged)

    def _live_stat(self) -> Mapping[str, int] | None:
        try:
            return self._live.stat() if self._live is not None else None
        except StoreError:
            return None

    def _add_unused_gateways(self, family: Family) -> None:
        """A gateway without attempts counts 0: a rate needs a value before the first attempt."""
        counted = {sample.labels["gateway"] for sample in family.samples}
        for name, _ in self._gateways[:MAX_GATEWAYS]:
            if name not in counted:
                family.add_sample(family.name + "_total", {"gateway": name}, 0)

    def _add_lines(self, families: Mapping[str, Family]) -> None:
        lines: dict[str, float] = {}
        for label, limit in self._labelled():
            allowed = float("inf") if limit == UNLIMITED else limit
            lines[label] = lines.get(label, 0) + allowed
        _add_by_gateway(families[PREFIX + "gateway_lines"], lines)

    def _labelled(self) -> Iterator[tuple[str, int]]:
        for index, (name, limit) in enumerate(self._gateways):
            yield (name if index < MAX_GATEWAYS else OTHER), limit

    def _add_live(self, families: Mapping[str, Family]) -> None:
        try:
            if self._live is None:
                self._live = self._open_live()
            usages = self._live.usages(GATEWAY_KEY)
            of_accounts = self._live.usages(ACCOUNT_KEY)
            states = self._live.gateway_states()
            heartbeats = self._live.heartbeats()
            backlog = self._live.backlog()
            phones = self._live.registered_phones()
            monies = self._live.monies()
            blocked = len(self._live.blocks(self._now_ms()))
        except StoreError as error:
            self._live = None
            if str(error) != self._live_fault:
                self._live_fault = str(error)
                self._log("warning", "live state cannot be read", reason=self._live_fault)
            return
        if self._live_fault:
            self._live_fault = ""
            self._log("info", "live state can be read again")
        now_ms = self._now_ms()
        active: dict[str, float] = {}
        up: dict[str, float] = {}
        for (name, _), (label, _) in zip(self._gateways, self._labelled(), strict=True):
            usage = usages.get(GATEWAY_KEY + name)
            state = states.get(GATEWAY_KEY + name)
            active[label] = active.get(label, 0) + (usage.in_use if usage else 0)
            answers = 0 if state and state.out_until_ms > now_ms else 1
            up[label] = min(up.get(label, 1), answers)
        self._add_draining(active, usages)
        _add_accounts(families, monies)
        for name, limit in self._accounts[:MAX_ACCOUNTS]:
            used = of_accounts.get(ACCOUNT_KEY + name)
            labels = {"account": name}
            for metric, value in (
                ("account_active_calls", used.in_use if used else 0),
                ("account_lines", float("inf") if limit == UNLIMITED else limit),
            ):
                families[PREFIX + metric].add_sample(PREFIX + metric, labels, value)
        _add_by_gateway(families[PREFIX + "active_calls"], active)
        _add_by_gateway(families[PREFIX + "gateway_up"], up)
        for slot in range(self._slots):
            age_ms = abs(now_ms - heartbeats.get(slot, 0))
            families[PREFIX + "worker_up"].add_sample(
                PREFIX + "worker_up", {"slot": str(slot)}, int(age_ms < HEARTBEAT_MAX_AGE_MS)
            )
        for name, value in (
            ("cdr_backlog", backlog), ("registered_phones", phones), ("blocked_addresses", blocked),
        ):
            families[PREFIX + name].add_sample(PREFIX + name, {}, value)

    def _add_draining(self, active: dict[str, float], usages: Mapping[str, Usage]) -> None:
        """A gateway that a reload has removed is shown as long as calls are on it."""
        configured = {GATEWAY_KEY + name for name, _ in self._gateways}
        for key, usage in usages.items():
            if usage.in_use and key not in configured:
                name = key.removeprefix(GATEWAY_KEY)
                label = name if len(active) < MAX_GATEWAYS else OTHER
                active[label] = active.get(label, 0) + usage.in_use


def _add_accounts(families: Mapping[str, Family], monies: Mapping[str, Money]) -> None:
    """Those beyond the cap are left out: balances of several accounts have no sum."""
    for account in sorted(monies)[:MAX_ACCOUNTS]:
        money = monies[account]
        for name, millionths in (("balance", money.balance), ("reserved", money.reserved)):
            family = families[f"{PREFIX}account_{name}"]
            family.add_sample(family.name, {"account": account}, millionths / MILLIONTHS)


def _add_by_gateway(family: Family, values: Mapping[str, float]) -> None:
    for gateway, value in values.items():
        family.add_sample(family.name, {"gateway": gateway}, value)
