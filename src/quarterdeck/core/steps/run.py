"""One rollout in the worker's hands: its only writer while it is RUNNING."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from quarterdeck.core.model.errors import PermanentError, StopRequested, TemporaryError
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.service import Service
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.ports.runner import JobState, JobStatus
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import Move
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.rollout.subject import Subject
from quarterdeck.core.world import World

T = TypeVar("T")


class Run:
    """Saves what a step intends and finds, speaks in the same transaction, and hears the stop flag.

    Attributes:
        rollout: as last saved.
        interrupted: set when somebody raised the stop flag.
    """

    def __init__(self, world: World, rollout: Rollout) -> None:
        self.world = world
        self.rollout = rollout
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
        self.rollout = await self.world.store.save(self.rollout, new, lines, write_set)
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
        await self.save(advance(self.rollout, move, self.world.clock.now(), **changes), lines, write_set)

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
            started=step.started or self.world.clock.now(),
        )
        await self.move(Move.STEP, lines, write_set, steps=self.rollout.with_step(begun).steps)
        return begun

    async def done(self, step: Step, result: object, lines: Sequence[Line] = (), follow: Sequence[Step] = ()) -> None:
        """Save what came of a step, and in the same move the steps that follow from it."""
        now = self.world.clock.now()
        begun = self.rollout.step(step.name, step.environment, step.stage) or step
        ended = replace(begun, state=StepState.DONE, result=result, started=begun.started or now, ended=now)
        await self.move(Move.STEP, lines, steps=(*self.rollout.with_step(ended).steps, *follow))

    async def say(self, event: str, **facts: Any) -> None:
        """Speak without a move (a warning, a sign of life)."""
        await self.world.store.say(self.world.voice.lines(event, self.rollout, **facts))

    def check_stop(self) -> None:
        """Raise StopRequested if somebody raised the flag."""
        if self.interrupted.is_set():
            raise StopRequested

    async def pause(self, seconds: float) -> None:
        """Sleep, but wake and raise StopRequested as soon as the flag is raised."""
        sleeping = asyncio.ensure_future(self.world.clock.sleep(seconds))
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
        begun = self.world.clock.now()
        while True:
            if heed_stop:
                self.check_stop()
            try:
                return await act()
            except TemporaryError as error:
                waited = (self.world.clock.now() - begun).total_seconds()
                if waited >= seconds:
                    raise PermanentError(f"{what}: no use after {waited:.0f} s: {error}") from error
                wait = min(error.retry_after, max(seconds - waited, 0.05))
                await (self.pause(wait) if heed_stop else self.world.clock.sleep(wait))

    async def trees(self, commit: str, seconds: float) -> dict[str, Tree]:
        """Service -> its files at a commit, for each that the rollout serves; waits as `patiently` does."""

        async def read() -> dict[str, Tree]:
            return {name: await self.world.charts.tree(commit, name) for name in self.rollout.services}

        return await self.patiently("Gerrit", read, seconds)

    async def digests(self, references: Iterable[str]) -> dict[str, str]:
        """Reference (`name:tag`) -> the digest it names just now; left out where the registry cannot say."""
        found: dict[str, str] = {}
        for reference in dict.fromkeys(references):
            name, _, tag = reference.rpartition(":")
            with contextlib.suppress(PermanentError, TemporaryError):
                found[reference] = await self.world.registry.digest(name, tag) or ""
        return {reference: digest for reference, digest in found.items() if digest}

    async def job(self, job: str, script: str, log: str, seconds: float) -> JobStatus:
        """Run a host job that only reads: start (or find) it, keep its log, wait for its end.

        Raises:
            PermanentError: it ended without an exit status, or it took longer than *seconds*.
        """
        late = ""

        async def attempt() -> JobStatus:
            nonlocal late
            try:
                await self.world.runner.start(job, script)
            except TemporaryError as error:
                late = str(error)
                raise
            late = ""
            following = asyncio.ensure_future(self.follow(job, log))
            flag = asyncio.ensure_future(self.interrupted.wait())
            try:
                await asyncio.wait({following, flag}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    await self.world.runner.stop(job)  # it only reads: its end need not be awaited
                    raise StopRequested
                return following.result()
            finally:
                for task in (following, flag):
                    task.cancel()
                await asyncio.gather(following, flag, return_exceptions=True)

        try:
            async with asyncio.timeout(seconds):
                status = await self.patiently("the deploy host", attempt, seconds)
        except TimeoutError:
            if late:  # it never began
                raise PermanentError(f"the deploy host: no use after {seconds:.0f} s: {late}") from None
            with contextlib.suppress(TemporaryError, PermanentError):
                await self.world.runner.stop(job)
            raise PermanentError(f"job {job} on the deploy host did not end within {seconds:.0f} s") from None
        if status.state is not JobState.DONE:
            raise PermanentError(f"job {job} on the deploy host ended without an exit status")
        return status

    async def follow(self, job: str, log: str) -> JobStatus:
        """Follow a job to its end, appending its redacted log to our file; re-attaches where the file ends."""
        number, files = self.rollout.number, self.world.files
        mark = f"{job}.offset"  # by job: a new attempt has a log of its own on the host and shares ours
        kept, _ = await files.read(number, mark)
        offset = int(kept or b"0")
        stream = self.world.redactor.stream()

        async def keep(at: int, chunk: bytes) -> None:
            await files.append(number, log, stream.feed(chunk))
            await files.write(number, mark, str(at + len(chunk)).encode())

        try:
            return await self.world.runner.follow(job, offset, keep)
        finally:
            await files.append(number, log, stream.flush())
