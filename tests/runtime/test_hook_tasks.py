"""Routes that wait as tasks of a loop: begun, told of, cancelled, and nothing kept of them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from typing import Any

from router.core.verdicts import Wait
from router.runtime.hook_tasks import HookTasks


class FakeWaiting:
    """What the tasks know of a waiting request."""

    def __init__(self, route: Coroutine[Any, Any, Any]) -> None:
        self.wait = Wait(route, 2_000, lambda error: None)
        self.over = False
        self.stop: Any = None


class FakeEngine:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, BaseException | None, int]] = []

    def on_waited(self, waiting: Any, error: BaseException | None, now_ms: int) -> None:
        self.told.append((waiting, error, now_ms))


class Scene:
    """Tasks of the running loop, and whom they tell."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.turns = 0
        self.tasks = HookTasks(asyncio.get_running_loop(), self.engine, lambda: 42, self.ask_turn)

    def ask_turn(self) -> None:
        self.turns += 1

    def begin(self, route: Coroutine[Any, Any, Any]) -> FakeWaiting:
        waiting = FakeWaiting(route)
        self.tasks.begin([waiting])  # type: ignore[list-item]
        return waiting

    @property
    def errors(self) -> list[BaseException | None]:
        return [error for _, error, _ in self.engine.told]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_engine_hears_of_the_end_and_a_turn_is_asked_for() -> None:
    async def body() -> None:
        scene = Scene()
        event = asyncio.Event()

        async def route() -> None:
            await event.wait()

        waiting = scene.begin(route())
        await settle()
        assert (scene.engine.told, len(scene.tasks)) == ([], 1)
        event.set()
        await settle()
        assert scene.engine.told == [(waiting, None, 42)]
        assert (scene.turns, len(scene.tasks)) == (1, 0)

    asyncio.run(body())


def test_the_engine_hears_what_was_raised() -> None:
    async def body() -> None:
        scene = Scene()

        async def route() -> None:
            raise ValueError("x")

        scene.begin(route())
        await settle()
        assert [str(error) for error in scene.errors] == ["x"]

    asyncio.run(body())


def test_one_that_cancels_itself_is_told_of_like_a_fault() -> None:
    async def body() -> None:
        scene = Scene()

        async def route() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(1)

        scene.begin(route())
        await settle()
        assert [type(error) for error in scene.errors] == [asyncio.CancelledError]

    asyncio.run(body())


def test_a_request_that_is_over_cancels_its_route_and_hears_nothing_more() -> None:
    async def body() -> None:
        scene = Scene()
        ended: list[str] = []

        async def route() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        waiting = scene.begin(route())
        await settle()
        waiting.over = True
        waiting.stop()
        await settle()
        assert ended == ["cancelled"]
        assert (scene.engine.told, scene.turns, len(scene.tasks)) == ([], 0, 0)

    asyncio.run(body())


def test_a_route_that_does_not_let_itself_be_cancelled_ends_without_a_word() -> None:
    async def body() -> None:
        scene = Scene()

        async def route() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise LookupError("something of its own") from None

        waiting = scene.begin(route())
        await settle()
        waiting.over = True
        waiting.stop()
        await settle()
        assert scene.engine.told == []

    asyncio.run(body())


def test_the_end_of_the_worker_cancels_what_still_runs() -> None:
    async def body() -> None:
        scene = Scene()
        scene.begin(asyncio.sleep(60))
        scene.begin(asyncio.sleep(60))
        await settle()
        scene.tasks.stop()
        await settle()
        assert len(scene.tasks) == 0

    asyncio.run(body())


def test_a_route_that_nobody_saw_begin_may_be_cancelled() -> None:
    async def body() -> None:
        scene = Scene()
        waiting = scene.begin(asyncio.sleep(60))
        waiting.over = True
        waiting.stop()
        await settle()
        assert len(scene.tasks) == 0

    asyncio.run(body())


def test_nothing_is_kept_of_what_has_ended_not_even_after_an_error() -> None:
    async def body() -> None:
        scene = Scene()

        async def route() -> None:
            await asyncio.sleep(0)
            raise ValueError("x")

        seen = []
        for made in (route(), asyncio.sleep(0)):
            waiting = scene.begin(made)
            seen.append(weakref.ref(waiting))
        del waiting, made
        await settle()
        scene.engine.told.clear()
        assert [one() for one in seen] == [None, None]

    gc.collect()
    gc.disable()
    try:
        asyncio.run(body())
    finally:
        gc.enable()
