"""The asyncio loop in a thread of its own, on which everything long-lived runs; Errbot's threads enter by one door."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)

#: a long-lived task: started on the loop, and again after a crash
Service = Callable[[], Coroutine[Any, Any, None]]
#: seconds between a crash of a long-lived task and its next start
RESTART_AFTER = 2.0


class Engine:
    """Owns the loop. `submit` is the only door from other threads.

    Args:
        restart_after: seconds between a crash of a service and its next start.
    """

    def __init__(self, restart_after: float = RESTART_AFTER) -> None:
        self._restart_after = restart_after
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(
        self,
        prepare: Callable[[], Awaitable[Mapping[str, Service]]],
        finish: Callable[[], Awaitable[None]],
        timeout: float = 30.0,
    ) -> None:
        """Start the thread: run *prepare* once, then keep every service that it names; *finish* runs at the end.

        Args:
            timeout: seconds that *prepare* may take.

        Raises:
            whatever *prepare* raises.
        """
        self._prepare, self._finish = prepare, finish
        self._failure: BaseException | None = None
        self._thread.start()
        if not self._ready.wait(timeout):
            raise TimeoutError(f"the engine was not ready within {timeout:.0f} s")
        if self._failure is not None:
            raise self._failure

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop; wait on the future from any thread but the loop's own."""
        assert self._loop is not None, "start() comes first"
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, act: Callable[..., Any], *args: Any) -> None:
        """Call a function on the loop, soon, from any thread."""
        assert self._loop is not None, "start() comes first"
        self._loop.call_soon_threadsafe(act, *args)

    def stop(self, timeout: float = 15.0) -> None:
        """End all services, run *finish*, end the thread. May be called twice."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            services = await self._prepare()
        except BaseException as error:
            self._failure = error
            await self._end()
            self._ready.set()
            return
        tasks = [asyncio.create_task(self._keep(name, run), name=name) for name, run in services.items()]
        self._ready.set()
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._end()

    async def _end(self) -> None:
        try:
            await self._finish()
        except Exception:
            log.exception("could not end in order")

    async def _keep(self, name: str, run: Service) -> None:
        """One crashing service takes nothing else with it, and is started again."""
        while True:
            try:
                await run()
                return
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("%s crashed, starting it again in %.0f s", name, self._restart_after)
                await asyncio.sleep(self._restart_after)
