"""The processes of Trunkline, put together: what each post of the supervisor runs.

Everything here that opens the store runs in a child: an LMDB environment must not be inherited.
The metrics process stands above this package and is added by the command that starts all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from dsl.program import Program
from dsl.sources import SourceError
from router.billing.charges import settle
from router.core.engine import Engine
from router.core.policy import Policy
from router.core.steering import owner_slot
from router.routing.accounts import openings
from router.routing.config import Config
from router.routing.switch import build_switch
from router.runtime.call_log import ALL, CallLog
from router.runtime.capture import Capture
from router.runtime.capture_writer import CaptureWriter
from router.runtime.cdr_file import FilePlan
from router.runtime.child import EXIT_OK, CannotBoot, Life
from router.runtime.clock import make_clock, make_clock_us
from router.runtime.hep import HepPlan
from router.runtime.ledger_process import StopSignal, run_ledger
from router.runtime.logs import log_sink, structlog_emitter
from router.runtime.metrics import MetricsFlusher, prepare_metrics
from router.runtime.operator_orders import OperatorOrders
from router.runtime.posts import Post
from router.runtime.reload_image import open_image
from router.runtime.reload_memory import Deployment
from router.runtime.reload_swap import Swapper
from router.runtime.sockets import Sockets
from router.runtime.tokens import TokenSource
from router.runtime.worker import Birth, Equipment, run_worker
from router.store.boot import LIVE_DIR, live_is_current
from router.store.capture_ring import CAPTURE_DIR
from router.store.draining import open_accounts
from router.store.errors import StoreError
from router.store.live import LmdbLive
from router.store.objects import OBJECTS_DIR
from router.store.rates import RATES_DIR, LmdbRates
from router.store.state import prepare_state
from router.store.unheard import forget_heard

METRICS_DIR = "metrics"
MOST_CORRECTIONS = 20
"""How many wrong balances are logged at a start."""
SWEEPS_A_SECOND = 4
"""Transactions of about a millisecond each, while more has expired than they can take away."""

WORKERS_STAGE, LEDGER_STAGE, METRICS_STAGE = 0, 1, 2
"""The order of the stop: the ledger stores what the last calls left, and metrics show it."""


def available_cores() -> int:
    """How many workers `auto` means: the cores this process may use."""
    return len(os.sched_getaffinity(0))


def state_preparation(state: Path) -> Callable[[Life], int]:
    """What makes the state folder ready before anything else starts."""

    def prepare(_: Life) -> int:
        log = structlog.get_logger(process="preparation")
        try:
            prepared = prepare_state(state, bill=settle)
            prepare_metrics(state / METRICS_DIR)
        except StoreError as error:
            raise CannotBoot(str(error)) from error
        except OSError as error:
            raise CannotBoot(f"state folder {state}: {error.strerror or error}") from error
        for text in prepared.corrected[:MOST_CORRECTIONS]:
            log.warning("live money was wrong and was corrected", what=text)
        if prepared.closed:
            log.warning("calls open at a restart of the machine were closed", calls=prepared.closed)
        if prepared.threw_away:
            log.warning("live state of before the machine's restart thrown away", state=str(state))
        return EXIT_OK

    return prepare


def worker_posts(
    program: Program, config: Config, sockets: Sockets, deployment: Deployment | None = None
) -> list[Post]:
    """One post for each slot; a worker runs what is deployed when it is born, else `program`."""
    equip = _worker_equipment(program, config, deployment or Deployment())

    def post(slot: int) -> Post:
        def run(life: Life) -> int:
            return run_worker(life, slot=slot, sockets=sockets, equip=equip)

        return Post(
            f"worker {slot}", f"tl-worker-{slot}", run, WORKERS_STAGE, rouses=True, reloads=True
        )

    return [post(slot) for slot in range(len(sockets.slots))]


def ledger_post(state: Path, file: FilePlan | None = None, log_calls: str = ALL) -> Post:
    """The process that moves CDRs from the outbox into the ledger, and tells file and log."""

    def run(life: Life) -> int:
        stop = StopSignal()
        life.on_order(stop.set)
        emit = structlog_emitter(process="ledger")

        def log(level: str, event: str, /, **fields: object) -> None:
            emit(level, event, fields)

        return run_ledger(
            state, log=log, stop=stop, beat=life.beat, file=file,
            calls=CallLog(log_sink(), log_calls),
        )

    return Post("ledger", "tl-ledger", run, LEDGER_STAGE)


def file_plan(config: Config) -> FilePlan | None:
    """The streaming file of CDRs that routes.cfg asks for."""
    if not config.cdr_file:
        return None
    return FilePlan(config.folder, config.cdr_file, config.cdr_file_mb * 1_000_000)


def _sweep(store: LmdbLive, now_ms: int) -> None:
    """Takes expired registrations away, a bounded number each second."""
    for _ in range(SWEEPS_A_SECOND):
        if not store.sweep_registrations(now_ms):
            return


def _capture_plan(config: Config) -> tuple[int, HepPlan | None]:
    """How many bytes the ring of captured messages has, and the Homer that is told of them."""
    target = config.capture_hep
    hep = HepPlan(target, config.capture_hep_id) if target is not None else None
    return config.capture_mb * 1_000_000, hep


def _worker_equipment(
    first: Program, started: Config, deployment: Deployment
) -> Callable[[Birth], Equipment]:
    """How a worker of this configuration comes by its store, engine and metrics."""

    def equip(birth: Birth) -> Equipment:
        log = birth.log

        def make_policy(program: Program, config: Config) -> Policy:
            config.rates.store = rates
            now_ms = make_clock()()
            open_accounts(store, openings(config.accounts.values(), now_ms), now_ms)
            orders.obey(config)
            return build_switch(
                program,
                config,
                tally=birth.tally,
                stopwatch=time.perf_counter,
                log=log.line,
                live=store,
            )

        image = deployment.read()
        try:
            program, config = (first, started) if image is None else open_image(image, started)
        except SourceError as error:  # a Python file that ran when it was checked
            raise CannotBoot(str(error)) from error
        if not live_is_current(config.state / LIVE_DIR):
            # The preparation made it. A new one would be another than the other workers have.
            raise CannotBoot(
                f"state folder {config.state} was deleted while the router runs, and the calls in "
                "progress with it: start Trunkline again"
            )
        try:
            store = LmdbLive(config.state / LIVE_DIR, slot=birth.slot)
            rates = LmdbRates(config.state / RATES_DIR)
            orders = OperatorOrders(config.state / OBJECTS_DIR)
            flusher = MetricsFlusher(config.state / METRICS_DIR, birth.slot)
            flusher.recall(birth.tally)
            engine = Engine(
                make_policy(program, config),
                listeners=birth.listeners,
                slot=birth.slot,
                slots=birth.slots,
                generation=birth.generation,
                token=TokenSource(),
                tally=birth.tally,
                now_ms=birth.now_ms,
                timers=config.timers,
            )
            # By the hash and not by the slot that admitted them: the number of workers may have
            # changed since.
            orphans = [
                record
                for record in store.calls()
                if owner_slot(record.call_id, birth.slots) == birth.slot
            ]
            said = store.unheard()
            for record in orphans:
                forget_heard(record, said)
            engine.adopt(orphans, birth.now_ms)
            engine.events.begin()
            engine.health.watch(store.gateway_states())
        except StoreError as error:
            raise CannotBoot(str(error)) from error
        except OSError as error:
            raise CannotBoot(f"metrics files cannot be made: {error}") from error
        if flusher.renewed:
            log.line("warning", "metrics file was damaged: it counts from 0", slot=birth.slot)
        if orphans:
            log.line("warning", "calls taken over from a predecessor", calls=len(orphans))

        def on_second(now_ms: int) -> None:
            flusher.flush(birth.tally, now_ms)
            try:
                store.heartbeat(birth.slot, now_ms, birth.generation, engine.unheard)
                engine.guard.blocked = {
                    address: block.until_ms for address, block in store.blocks(now_ms).items()
                }
                if birth.slot == 0:
                    _sweep(store, now_ms)
            except StoreError as error:
                log.line("error", "heartbeat not stored", reason=str(error))
            try:
                orders.look(engine, now_ms)
            except StoreError as error:
                log.line("error", "orders of commands cannot be read", reason=str(error))

        writer = CaptureWriter(
            config.state / CAPTURE_DIR, birth.slot, birth.slots, *_capture_plan(config)
        )
        capture = Capture(
            engine, birth.listeners, birth.tally, writer, lambda: orders.captures,
            make_clock_us(), log.line,
        )
        swapper = Swapper(
            engine, store, config, started, make_policy,
            lambda config: writer.use(*_capture_plan(config)),
        )

        def close() -> None:
            capture.close()
            store.close()
            rates.close()
            orders.close()

        return Equipment(engine, store, on_second, close, swapper.load, capture)

    return equip
