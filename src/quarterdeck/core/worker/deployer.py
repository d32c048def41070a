"""The worker: drives rollouts step by step, each in a task of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from quarterdeck.core.model.errors import (
    AbsentError,
    BusyError,
    ConflictError,
    LostError,
    NotFoundError,
    PermanentError,
    StopRequested,
    TemporaryError,
)
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.rollout.pipeline import Pipelines
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.steps import Perform
from quarterdeck.core.steps.debts import DebtBook
from quarterdeck.core.steps.gate import Paused
from quarterdeck.core.steps.run import Run
from quarterdeck.core.steps.take_back import Withdrawal
from quarterdeck.core.worker.endings import Endings

log = logging.getLogger(__name__)
#: so often an edit is computed anew because somebody was faster on the same lines
EDIT_ATTEMPTS = 3


class Deployer:
    """The only mover of RUNNING rollouts. Lives on the engine's loop; none of it is thread-safe on purpose.

    Args:
        steps: name of a step -> what performs it.
    """

    def __init__(
        self,
        store: Store,
        voice: Voice,
        clock: Clock,
        pipelines: Pipelines,
        steps: Mapping[str, Perform],
        debts: DebtBook,
        withdrawal: Withdrawal,
        endings: Endings,
    ) -> None:
        self.store, self.voice, self.clock = store, voice, clock
        self.pipelines, self.steps = pipelines, steps
        self.debts, self.withdrawal, self.endings = debts, withdrawal, endings
        self._runs: dict[int, tuple[Run, asyncio.Task[None]]] = {}

    def take_up(self, rollout: Rollout) -> None:
        """Drive a PLANNED or RUNNING rollout in a task of its own."""
        run = Run(rollout, self.store, self.voice, self.clock)
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
            await self._perform_all(run)
        except Paused:
            return
        except StopRequested:
            await self.endings.end_short(run, Move.ABORT, f"stopped by {run.rollout.stop}")
        except LostError as error:
            await self.endings.end_short(run, Move.LOSE, str(error))
        except (PermanentError, TemporaryError, AbsentError) as error:
            await self.endings.end_short(run, Move.FAIL, str(error))
        except (BusyError, NotFoundError) as error:
            await self.endings.end_short(run, Move.FAIL, self.voice.refusal(error.refusal))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("rollout #%s: internal error", run.rollout.number)
            move = Move.LOSE if self.pipelines.in_flight(run.rollout) else Move.FAIL
            await self.endings.end_short(run, move, "internal error in the bot; the log has it")

    async def _perform_all(self, run: Run) -> None:
        """Every step that is left, and then the end."""
        if run.rollout.state is State.PLANNED:
            await run.move(Move.CONFIRM)
        if run.rollout.served:  # the process that died may not have come to it
            await self.debts.pay(run.rollout, run.rollout.served)
        while (step := run.rollout.current) is not None:
            await self._perform(run, step)
        await self.endings.succeed(run)

    async def _perform(self, run: Run, step: Step) -> None:
        if not self.pipelines.in_flight(run.rollout):  # a job that may run is found and interrupted first
            run.check_stop()
        try:
            result = await self.steps[step.name](run, step)
        except ConflictError as error:
            await self._begin_anew(run, str(error))
            return
        latest = run.rollout.step(step.name, step.environment, step.stage)
        if latest is None or latest.state is not StepState.DONE:
            await run.done(step, result)

    async def _begin_anew(self, run: Run, why: str) -> None:
        """Somebody was faster on the same lines: a new attempt from the new tip, three at most."""
        if self.pipelines.retry_attempt(run.rollout) >= EDIT_ATTEMPTS:
            raise PermanentError(f"{why} ({EDIT_ATTEMPTS} attempts)")
        await self.withdrawal.take_back(run.rollout, f"Computed again: {why}")
        await run.move(Move.STEP, steps=self.pipelines.begun_anew(run.rollout), write_set=())
