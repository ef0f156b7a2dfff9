"""A worker's life: boot, run the driver, finish or end on order.

Boot happens after the fork: the store is opened, the engine built, the calls of this slot taken
over; only then is the first heartbeat sent and the sockets read. What is in them has waited.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from typing import NamedTuple

from router.core.flow import Listener
from router.core.tally import Tally
from router.runtime.capture import Capture
from router.runtime.child import EXIT_OK, FINISH, Life
from router.runtime.clock import make_clock
from router.runtime.driver import CommittingStore, DrivenEngine, Driver
from router.runtime.logs import BoundedLog, structlog_emitter
from router.runtime.reload_channel import Follower, Load, in_thread
from router.runtime.rousing import hear_rousing
from router.runtime.sockets import Sockets
from router.runtime.streams import StreamLimits

SECOND_S = 1.0
ORDER_LOOK_S = 0.02
LAST_WORDS_S = 0.7
"""How long we stay after the last call: long enough to send its BYE a second time."""
FLUSH_S = 0.05
"""For streams to write what they still hold."""

COLLECT_EVERY_MS = 600_000
"""Calls are built without reference cycles, so the collector finds nothing in them: run by its own
count of objects it took 14 % of a worker's time at 500 calls/s. It looks every ten minutes, for
what faults may have left behind."""
COLLECT_AFTER_RELOAD_MS = 10_000
"""Routes go by themselves when they are done with. The functions of a Python file refer to their
module, and it to them: only the collector finds those."""
YOUNG = 1
"""Python functions and the libraries they use do make cycles: 6 kB for an HTTP request, a gigabyte
in twenty minutes. Where there are such functions, what is new is looked at every second."""


class Birth(NamedTuple):
    """What a worker is made from, in its own process."""

    slot: int
    slots: int
    generation: int
    listeners: Sequence[Listener]
    tally: Tally
    now_ms: int
    log: BoundedLog


class Equipment(NamedTuple):
    """What drives the calls of a worker, and what wants to be told about time and end."""

    engine: DrivenEngine
    store: CommittingStore
    on_second: Callable[[int], None]
    close: Callable[[], None]
    load: Load | None = None
    """Loads a new configuration from an image, in a thread; None: reloads are not followed."""
    capture: Capture | None = None
    """Keeps the messages of calls that operators ask for."""


def run_worker(
    life: Life,
    *,
    slot: int,
    sockets: Sockets,
    equip: Callable[[Birth], Equipment],
    stream_limits: StreamLimits | None = None,
) -> int:
    """Be the worker of a slot until ordered to end; the process's exit code.

    `equip` opens the store and builds the engine; it raises CannotBoot when that is impossible.
    """
    return asyncio.run(_Worker(life, slot, sockets, equip, stream_limits).run())


class _Worker:
    def __init__(
        self,
        life: Life,
        slot: int,
        sockets: Sockets,
        equip: Callable[[Birth], Equipment],
        stream_limits: StreamLimits | None,
    ) -> None:
        self._life = life
        self._slot = slot
        self._sockets = sockets
        self._equip = equip
        self._stream_limits = stream_limits
        self._now = make_clock()
        self._log = BoundedLog(structlog_emitter(process="worker", worker=slot))
        self._tally = Tally()
        self._commit_failures = 0
        self._dropped = 0
        self._collect_at_ms = self._now() + COLLECT_EVERY_MS

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        hear_rousing(self._life.words, self._log.line)
        tally = self._tally
        equipment = self._equip(
            Birth(
                self._slot,
                len(self._sockets.slots),
                self._life.generation,
                self._sockets.listeners,
                tally,
                self._now(),
                self._log,
            )
        )
        driver = Driver(
            loop=loop,
            engine=equipment.engine,
            store=equipment.store,
            sockets=self._sockets.slots[self._slot],
            slot=self._slot,
            now=self._now,
            tally=tally,
            log=self._log,
            stream_limits=self._stream_limits,
        )
        self._follow_captures(driver, equipment)
        await driver.start()
        gc.collect()
        gc.freeze()
        gc.disable()
        ordered = asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ordered.set)

        self._life.on_order(wake)
        self._follow_reloads(loop, driver, equipment)
        self._every_second(loop, driver, equipment)
        try:
            await self._until_ended(driver, ordered)
        finally:
            driver.stop()
            await asyncio.sleep(FLUSH_S if driver.streams.connections else 0)
            self._log.say_left_out()
            equipment.on_second(self._now())
            equipment.close()
        return EXIT_OK

    def _follow_reloads(
        self, loop: asyncio.AbstractEventLoop, driver: Driver, equipment: Equipment
    ) -> None:
        channel, load = self._life.channel, equipment.load
        if channel is None or load is None:
            return

        def fault(trace: str) -> None:
            self._log.line("error", "a new configuration could not be loaded", trace=trace)

        follower = Follower(channel, load, self._now, fault, in_thread(loop))

        def read() -> None:
            if not follower.read():
                loop.remove_reader(channel)
            now_ms = self._now()
            self._collect_at_ms = min(self._collect_at_ms, now_ms + COLLECT_AFTER_RELOAD_MS)
            driver.finish_turn(now_ms)

        loop.add_reader(channel, read)

    def _every_second(
        self, loop: asyncio.AbstractEventLoop, driver: Driver, equipment: Equipment,
        was_due_s: float = 0.0,
    ) -> None:
        self._life.beat()
        due_s = loop.time() + SECOND_S
        loop.call_at(due_s, self._every_second, loop, driver, equipment, due_s)
        if was_due_s:
            self._tally.loop_lag.observe(max(0.0, due_s - SECOND_S - was_due_s))
        now_ms = self._now()
        equipment.on_second(now_ms)
        self._follow_captures(driver, equipment)
        driver.finish_turn(now_ms)
        driver.streams.sweep()
        if now_ms >= self._collect_at_ms:
            self._collect_at_ms = now_ms + COLLECT_EVERY_MS
            gc.collect()
        elif self._tally.hook_duration:
            gc.collect(YOUNG)
        if driver.dropped != self._dropped:
            lost, self._dropped = driver.dropped - self._dropped, driver.dropped
            self._log.line("warning", "messages dropped: not taken in time", messages=lost)
        self._log.tick()

    def _follow_captures(self, driver: Driver, equipment: Equipment) -> None:
        capture = equipment.capture
        if capture is not None:
            driver.tap(capture if capture.on_second(self._now()) else None)

    async def _until_ended(self, driver: Driver, ordered: asyncio.Event) -> None:
        """Follow the orders: finish (new calls are refused), then end what is left."""
        engine, life = driver.engine, self._life
        await ordered.wait()
        if life.order == FINISH:
            calls = engine.active_calls
            self._log.line("info", "finishing", calls=calls)
            engine.begin_shutdown(self._now())
            driver.finish_turn(self._now())
            while life.order == FINISH:
                if engine.active_calls == 0 and not engine.farewells:
                    await asyncio.sleep(LAST_WORDS_S if calls else 0)
                    calls = 0
                    life.rest()
                await asyncio.sleep(ORDER_LOOK_S)
        calls = engine.active_calls
        self._log.line("info", "ending", calls=calls)
        engine.end_all(self._now())
        driver.finish_turn(self._now())
        if calls:
            await asyncio.sleep(LAST_WORDS_S)
