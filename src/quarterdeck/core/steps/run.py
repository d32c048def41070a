"""One rollout in the worker's hands: its only writer while it is RUNNING."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from quarterdeck.core.model.errors import PermanentError, StopRequested, TemporaryError
from quarterdeck.core.model.event import Event
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.service import Service
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import Move
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.rollout.subject import Subject

T = TypeVar("T")


class Run:
    """Saves what a step intends and finds, speaks in the same transaction, and hears the stop flag.

    Attributes:
        rollout: as last saved.
        interrupted: set when somebody raised the stop flag.
    """

    def __init__(self, rollout: Rollout, store: Store, voice: Voice, clock: Clock) -> None:
        self.rollout = rollout
        self.store, self.voice, self.clock = store, voice, clock
        self.interrupted = asyncio.Event()
        if rollout.stop:
            self.interrupted.set()

    @property
    def service(self) -> Service:
        """The rollout's own service."""
        return self.rollout.subject.service

    @property
    def subject(self) -> Subject:
        """What the rollout is about."""
        return self.rollout.subject

    def at(self, place: str) -> tuple[str, str]:
        """(service, environment) of a place."""
        return self.rollout.target(place)

    async def save(
        self, new: Rollout, lines: Sequence[Line] = (), write_set: Sequence[tuple[str, str]] | None = None
    ) -> None:
        """One move, its lines and its write set in one transaction."""
        self.rollout = await self.store.save(self.rollout, new, lines, write_set)
        if self.rollout.stop:
            self.interrupted.set()

    async def move(
        self,
        move: Move,
        lines: Sequence[Line] = (),
        write_set: Sequence[tuple[str, str]] | None = None,
        **changes: Any,
    ) -> None:
        """Advance by the table and save."""
        await self.save(advance(self.rollout, move, self.clock.now(), **changes), lines, write_set)

    async def intend(
        self,
        step: Step,
        intent: object | None = None,
        lines: Sequence[Line] = (),
        write_set: Sequence[tuple[str, str]] | None = None,
    ) -> Step:
        """Save what is about to be done, before it is done."""
        begun = replace(
            step,
            state=StepState.INTENDED,
            intent=intent,
            started=step.started or self.clock.now(),
        )
        await self.move(Move.STEP, lines, write_set, steps=self.rollout.with_step(begun).steps)
        return begun

    async def done(self, step: Step, result: object, lines: Sequence[Line] = (), follow: Sequence[Step] = ()) -> None:
        """Save what came of a step, and in the same move the steps that follow from it."""
        now = self.clock.now()
        begun = self.rollout.step(step.name, step.environment, step.stage) or step
        ended = replace(begun, state=StepState.DONE, result=result, started=begun.started or now, ended=now)
        await self.move(Move.STEP, lines, steps=(*self.rollout.with_step(ended).steps, *follow))

    async def tell(self, event: Event) -> None:
        """Speak without a move (a warning, a sign of life)."""
        await self.store.say(self.voice.lines(event))

    def check_stop(self) -> None:
        """Raise StopRequested if somebody raised the flag."""
        if self.interrupted.is_set():
            raise StopRequested

    async def pause(self, seconds: float) -> None:
        """Sleep, but wake and raise StopRequested as soon as the flag is raised."""
        sleeping = asyncio.ensure_future(self.clock.sleep(seconds))
        flag = asyncio.ensure_future(self.interrupted.wait())
        try:
            await asyncio.wait({sleeping, flag}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeping, flag):
                task.cancel()
            await asyncio.gather(sleeping, flag, return_exceptions=True)
        self.check_stop()

    async def patiently(self, what: str, act: Callable[[], Awaitable[T]], seconds: float, heed_stop: bool = True) -> T:
        """Do *act*, again and again while the other side is late, until *seconds* have passed.

        Args:
            heed_stop: False where a stop must wait for the answer.

        Raises:
            PermanentError: the other side stayed away; says for how long and what it said last.
            StopRequested: the flag was raised meanwhile.
        """
        begun = self.clock.now()
        while True:
            if heed_stop:
                self.check_stop()
            try:
                return await act()
            except TemporaryError as error:
                waited = (self.clock.now() - begun).total_seconds()
                if waited >= seconds:
                    raise PermanentError(f"{what}: no use after {waited:.0f} s: {error}") from error
                wait = min(error.retry_after, max(seconds - waited, 0.05))
                await (self.pause(wait) if heed_stop else self.clock.sleep(wait))
