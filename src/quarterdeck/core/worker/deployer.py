"""The worker: drives rollouts step by step, each in a task of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from quarterdeck.core.model.errors import (
    BusyError,
    ConflictError,
    LostError,
    NotFoundError,
    PermanentError,
    StopRequested,
    TemporaryError,
)
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.situation import Surveyor
from quarterdeck.core.steps import PERFORM, Perform, Run
from quarterdeck.core.steps.debts import pay
from quarterdeck.core.steps.gate import Paused
from quarterdeck.core.steps.take_back import take_back
from quarterdeck.core.worker.endings import end_short, succeed
from quarterdeck.core.world import World

log = logging.getLogger(__name__)
#: so often an edit is computed anew because somebody was faster on the same lines
EDIT_ATTEMPTS = 3


class Deployer:
    """The only mover of RUNNING rollouts. Lives on the engine's loop; none of it is thread-safe on purpose.

    Args:
        perform: name of a step -> what performs it.
    """

    def __init__(self, world: World, perform: Mapping[str, Perform] = PERFORM) -> None:
        self.world = world
        self.surveyor = Surveyor(world.charts, world.host, world.store)
        self._perform_by_name = perform
        self._runs: dict[int, tuple[Run, asyncio.Task[None]]] = {}

    def take_up(self, rollout: Rollout) -> None:
        """Drive a PLANNED or RUNNING rollout in a task of its own."""
        run = Run(self.world, rollout)
        task = asyncio.create_task(self._drive(run), name=f"rollout-{rollout.number}")
        self._runs[rollout.number] = (run, task)
        task.add_done_callback(lambda done: self._forget(rollout.number, done))

    def _forget(self, number: int, done: asyncio.Task[None]) -> None:
        if number in self._runs and self._runs[number][1] is done:
            del self._runs[number]

    def interrupt(self, number: int, who: str) -> bool:
        """Tell a driven rollout that its stop flag was raised; False if nobody drives it."""
        if number not in self._runs:
            return False
        run, _ = self._runs[number]
        run.rollout = replace(run.rollout, stop=who)
        run.interrupted.set()
        return True

    async def settled(self, number: int) -> None:
        """Wait until nobody drives that rollout any more."""
        if number in self._runs:
            await asyncio.gather(self._runs[number][1], return_exceptions=True)

    async def close(self) -> None:
        """Let go of all rollouts as they are: a later start takes them up."""
        tasks = [task for _, task in self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drive(self, run: Run) -> None:
        try:
            if run.rollout.state is State.PLANNED:
                await run.move(Move.CONFIRM)
            if run.rollout.served:  # the process that died may not have come to it
                await pay(self.world, run.rollout, run.rollout.served)
            while (step := run.rollout.current) is not None:
                await self._perform(run, step)
            await succeed(run)
        except Paused:
            return
        except StopRequested:
            await end_short(run, self.surveyor, Move.ABORT, "stopped", f"stopped by {run.rollout.stop}")
        except LostError as error:
            await end_short(run, self.surveyor, Move.LOSE, "unknown", str(error))
        except (PermanentError, TemporaryError, BusyError, NotFoundError) as error:
            await end_short(run, self.surveyor, Move.FAIL, "failed", str(error))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("rollout #%s: internal error", run.rollout.number)
            in_flight = self.world.pipelines.in_flight(run.rollout)
            move, event = (Move.LOSE, "unknown") if in_flight else (Move.FAIL, "failed")
            await end_short(run, self.surveyor, move, event, "internal error in the bot; the log has it")

    async def _perform(self, run: Run, step: Step) -> None:
        if not self.world.pipelines.in_flight(run.rollout):  # a job that may run is found and interrupted first
            run.check_stop()
        try:
            result = await self._perform_by_name[step.name](run, step)
        except ConflictError as error:
            await self._begin_anew(run, str(error))
            return
        latest = run.rollout.step(step.name, step.environment, step.stage)
        if latest is None or latest.state is not StepState.DONE:
            await run.done(step, result)

    async def _begin_anew(self, run: Run, why: str) -> None:
        """Somebody was faster on the same lines: a new attempt from the new tip, three at most."""
        pipelines = self.world.pipelines
        if pipelines.retry_attempt(run.rollout) >= EDIT_ATTEMPTS:
            raise PermanentError(f"{why} ({EDIT_ATTEMPTS} attempts)")
        await take_back(self.world, run.rollout, f"Computed again: {why}")
        await run.move(Move.STEP, steps=pipelines.begun_anew(run.rollout), write_set=())
