"""The loop in its own thread: one door in, services that are started again, one orderly end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from quarterdeck.engine import Engine, Service


async def nothing() -> None:
    """Finish nothing."""


def preparing(**services: Service) -> Callable[[], Awaitable[dict[str, Service]]]:
    """A preparation that leads to these services."""

    async def prepare() -> dict[str, Service]:
        return services

    return prepare


def test_work_of_other_threads_runs_on_its_loop() -> None:
    """A coroutine is submitted, its result awaited; call() reaches the loop too."""
    engine, ended = Engine(), []
    called = threading.Event()

    async def finish() -> None:
        ended.append(threading.current_thread().name)

    engine.start(preparing(), finish)

    async def where() -> str:
        return threading.current_thread().name

    assert engine.submit(where()).result(5) == "engine"
    engine.call(called.set)
    assert called.wait(5)
    engine.stop()
    engine.stop()
    assert ended == ["engine"]


def test_what_prepare_raises_is_raised_and_finished() -> None:
    """The caller's start fails with the reason, and nothing is left."""
    engine, ended = Engine(), []

    async def prepare() -> dict[str, Service]:
        raise OSError("the store is held")

    async def finish() -> None:
        ended.append(1)
        raise ValueError("cannot close what was never opened")

    with pytest.raises(OSError, match="held"):
        engine.start(prepare, finish)
    engine.stop()
    assert ended == [1]


def test_a_prepare_that_hangs_has_a_deadline() -> None:
    """No start for ever."""
    engine = Engine()
    release = threading.Event()

    async def prepare() -> dict[str, Service]:
        await asyncio.get_running_loop().run_in_executor(None, release.wait)
        return {}

    with pytest.raises(TimeoutError):
        engine.start(prepare, nothing, timeout=0.01)
    release.set()
    engine.stop()


def test_a_service_that_crashes_is_started_again_and_takes_nothing_with_it() -> None:
    """Another service goes on; the crashed one comes back."""
    engine, runs, back = Engine(restart_after=0.0), [], threading.Event()
    calm = threading.Event()

    async def crashes() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise ValueError("oh")
        back.set()

    async def stays() -> None:
        calm.set()
        await asyncio.Event().wait()

    engine.start(preparing(crashes=crashes, stays=stays), nothing)
    assert back.wait(5)
    assert calm.is_set()
    engine.stop()
    assert len(runs) == 3
