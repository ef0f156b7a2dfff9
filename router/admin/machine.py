"""What the kernel and LMDB say of Trunkline's processes, sockets and files at this moment.

Read at a scrape and kept nowhere; what cannot be read is left out. Processes are known by the
names that they give themselves (`tl-worker-0` is "worker-0").
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from router.store.boot import LEDGER_DIR
from router.store.errors import StoreError
from router.store.ledger import LmdbLedger

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_OWN_NAMES = "tl-"


class Reading(NamedTuple):
    """A value of a metric of the catalogue, named without the prefix."""

    metric: str
    labels: Mapping[str, str]
    value: float


class Machine:
    """The processes under a supervisor, the UDP sockets on its ports, and its ledger."""

    def __init__(self, supervisor: int, ports: Iterable[int], state: Path) -> None:
        self._supervisor = supervisor
        self._ports = frozenset(ports)
        self._state = state
        self._ledger: LmdbLedger | None = None
        self._boot_s = _boot_time_s()

    def readings(self, live: Mapping[str, int] | None) -> Iterator[Reading]:
        """All values now; `live` is what the live store says of its size."""
        yield from self._processes()
        yield from self._sockets()
        if live is not None:
            yield from _store("live", live)
        ledger = self._ledger_stat()
        if ledger is not None:
            yield from _store("ledger", ledger)
            yield Reading("cdr_file_waiting", {}, ledger["feed"])

    def _processes(self) -> Iterator[Reading]:
        for pid in (self._supervisor, *_children(self._supervisor)):
            try:
                text = Path(f"/proc/{pid}/stat").read_text()
                resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
            except (OSError, ValueError, IndexError):
                continue  # it has just ended
            name, _, rest = text.partition("(")[2].rpartition(")")
            fields = rest.split()
            if pid == self._supervisor:
                name = "supervisor"
            elif not name.startswith(_OWN_NAMES):
                continue
            labels = {"process": name.removeprefix(_OWN_NAMES)}
            cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
            yield Reading("process_cpu_seconds", labels, cpu_s)
            yield Reading("process_resident_bytes", labels, resident)
            started_s = self._boot_s + int(fields[19]) / _TICKS
            yield Reading("process_start_time_seconds", labels, round(started_s, 2))

    def _sockets(self) -> Iterator[Reading]:
        queued = drops = 0
        for table in ("/proc/net/udp", "/proc/net/udp6"):
            try:
                lines = Path(table).read_text().splitlines()[1:]
            except OSError:
                continue
            for line in lines:
                fields = line.split()
                try:
                    if int(fields[1].rpartition(":")[2], 16) in self._ports:
                        queued += int(fields[4].partition(":")[2], 16)
                        drops += int(fields[-1])
                except (IndexError, ValueError):
                    continue
        yield Reading("udp_queue_bytes", {}, queued)
        yield Reading("udp_drops", {}, drops)

    def _ledger_stat(self) -> Mapping[str, int] | None:
        try:
            if self._ledger is None:
                self._ledger = LmdbLedger(self._state / LEDGER_DIR, readonly=True)
            return self._ledger.stat()
        except StoreError:
            self._ledger = None
            return None


def _store(name: str, stat: Mapping[str, int]) -> Iterator[Reading]:
    labels = {"store": name}
    yield Reading("store_used_bytes", labels, stat["used_bytes"])
    yield Reading("store_map_bytes", labels, stat["map_bytes"])
    yield Reading("store_transactions", labels, stat["transactions"])


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (OSError, ValueError):
        return []


def _boot_time_s() -> float:
    try:
        for line in Path("/proc/stat").read_text().splitlines():
            if line.startswith("btime "):
                return float(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return 0.0
