"""The worker: drives RUNNING rollouts step by step, takes them up after a crash, and closes open questions in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from quarterdeck.core.model.change import ChangeStatus
from quarterdeck.core.model.errors import (
    BusyError,
    ConflictError,
    LostError,
    NotFoundError,
    PermanentError,
    QuarterdeckError,
    StopRequested,
    TemporaryError,
)
from quarterdeck.core.model.line import Line, Urgency
from quarterdeck.core.rollout import holding
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.naming import change_id
from quarterdeck.core.rollout.records import Edited, Merged
from quarterdeck.core.rollout.rollout import Kind, Rollout, advance
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.rollout.subject import owed
from quarterdeck.core.situation import Situation, Surveyor
from quarterdeck.core.steps import PERFORM, Run
from quarterdeck.core.steps.gate import Paused
from quarterdeck.core.world import World

log = logging.getLogger(__name__)
EDIT_ATTEMPTS = 3
#: seconds between two tries to save an end
SAVE_AGAIN = 5.0
#: seconds that the end of a rollout waits for Gerrit
TAKE_BACK_WITHIN = 10.0


class Deployer:
    """The only mover of RUNNING rollouts. Lives on the engine's loop; none of it is thread-safe on purpose."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.surveyor = Surveyor(world.charts, world.host, world.store)
        self._runs: dict[int, tuple[Run, asyncio.Task[None]]] = {}

    # -- taking up ---------------------------------------------------------------------------------------------

    def take_up(self, rollout: Rollout) -> None:
        """Drive a PLANNED or RUNNING rollout in a task of its own."""
        run = Run(self.world, rollout)
        task = asyncio.create_task(self._drive(run), name=f"rollout-{rollout.number}")
        self._runs[rollout.number] = (run, task)
        task.add_done_callback(lambda done: self._forget(rollout.number, done))

    def _forget(self, number: int, done: asyncio.Task[None]) -> None:
        if number in self._runs and self._runs[number][1] is done:
            del self._runs[number]

    async def recover(self) -> tuple[Rollout, ...]:
        """After a start: take up what was RUNNING or accepted. The steps themselves look before they act."""
        for left_alone in await self.world.store.unreadable():
            sentence = self.world.voice.refusal(left_alone)
            log.warning("%s", sentence)
            await self.world.store.note("worker", "left alone", sentence, left_alone.number)
        found = await self.world.store.find({State.RUNNING, State.PLANNED}, limit=1000)
        for rollout in found:
            try:
                await self.world.store.say(self.world.voice.lines("back", rollout))
            except TemporaryError:
                log.exception("rollout #%s: cannot say that it goes on", rollout.number)
            self.take_up(rollout)
        return found

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

    async def tend(self) -> None:
        """For ever: close questions whose deadline has passed."""
        while True:
            await self.world.clock.sleep(1.0)
            try:
                for rollout in await self.world.store.find({State.WAITING}, limit=1000):
                    late = rollout.deadline and rollout.deadline <= self.world.clock.now()
                    if late or rollout.stop:  # a stop that came while the question was being opened
                        await self._expire(rollout)
            except TemporaryError:
                log.exception("cannot read open questions")

    async def _expire(self, rollout: Rollout) -> None:
        note = f"stopped by {rollout.stop}" if rollout.stop else "nobody confirmed in time"
        closed = advance(rollout, Move.ABORT, self.world.clock.now(), note=note, moved_by=rollout.stop)
        debts = await self.world.store.debts()
        if rollout.stop:
            lines = self.world.voice.lines("closed", closed, by=rollout.stop, was=State.WAITING, debts=debts)
        else:
            lines = self.world.voice.lines("expired", closed, debts=debts)
        with contextlib.suppress(QuarterdeckError):
            await self.world.store.save(rollout, closed, lines, write_set=())

    # -- driving -----------------------------------------------------------------------------------------------

    async def _drive(self, run: Run) -> None:
        try:
            if run.rollout.state is State.PLANNED:
                await run.move(Move.CONFIRM)
            if run.rollout.served:  # the process that died may not have come to it
                await self._pay(run.rollout, run.rollout.served)
            while (step := run.rollout.current) is not None:
                await self._perform(run, step)
            await self._finish(run)
        except Paused:
            return
        except StopRequested:
            await self._end(run, Move.ABORT, "stopped", f"stopped by {run.rollout.stop}")
        except LostError as error:
            await self._end(run, Move.LOSE, "unknown", str(error))
        except (PermanentError, TemporaryError, BusyError, NotFoundError) as error:
            await self._end(run, Move.FAIL, "failed", str(error))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("rollout #%s: internal error", run.rollout.number)
            move, event = (Move.LOSE, "unknown") if _in_flight(run.rollout) else (Move.FAIL, "failed")
            await self._end(run, move, event, "internal error in the bot; the log has it")

    async def _perform(self, run: Run, step: Step) -> None:
        if not _in_flight(run.rollout):  # an apply that may run is found and interrupted first
            run.check_stop()
        try:
            result = await PERFORM[step.name](run, step)
        except ConflictError as error:
            await self._recompute(run, str(error))
            return
        if isinstance(result, Merged) and not result.already:
            await self._owe(
                run.rollout
            )  # before the merge counts as done: twice is once, and a crash between loses no debt
        latest = run.rollout.step(step.name, step.environment, step.stage)
        if latest is None or latest.state is not StepState.DONE:
            await run.done(step, result)
        if step.name == StepName.CHECK and step.environment in run.rollout.served:
            await self._pay(run.rollout, [step.environment])

    async def _recompute(self, run: Run, why: str) -> None:
        """Somebody was faster on the same lines: a new attempt from the new tip, three at most."""
        edited = run.rollout.step(StepName.EDIT)
        if edited is None or edited.attempt >= EDIT_ATTEMPTS:
            raise PermanentError(f"{why} ({EDIT_ATTEMPTS} attempts)")
        await self.take_back(run.rollout, f"Computed again: {why}")
        fresh = {StepName.EDIT, StepName.MERGE}
        steps = tuple(
            Step(s.name, s.environment, s.stage, edited.attempt + 1) if s.name in fresh else s
            for s in run.rollout.steps
        )
        await run.move(Move.STEP, steps=steps, write_set=())

    async def take_back(self, rollout: Rollout, why: str) -> str:
        """Abandon the change of a rollout that is not merged: it has our vote, and a gate would merge it later.

        Returns what a person has to do about it; empty if nothing.
        """
        edited, merged = rollout.step(StepName.EDIT), rollout.step(StepName.MERGE)
        if edited is None or edited.state is StepState.TODO or merged is None or merged.state is StepState.DONE:
            return ""
        if isinstance(edited.result, Edited) and edited.result.already:
            return ""
        charts, review = self.world.catalogue.charts, self.world.review
        try:
            change = await review.find(charts.project, charts.branch, change_id(rollout.id, edited))
            if change is not None:
                await review.abandon(change, why)
                change = await review.get(charts.project, change.number)
        except (PermanentError, TemporaryError) as error:
            return f"its change in Gerrit could not be taken back ({error}): abandon it there"
        if change is not None and change.status is ChangeStatus.MERGED:  # the gate was faster
            await self._owe(rollout)
            return f"change {change.number} was merged meanwhile"
        return ""

    async def _taken_back(self, rollout: Rollout, why: str) -> str:
        """`take_back`, but a verdict does not wait long for a Gerrit that hangs."""
        try:
            async with asyncio.timeout(TAKE_BACK_WITHIN):
                return await self.take_back(rollout, f"Rollout #{rollout.number}: {why}")
        except TimeoutError:
            return "its change in Gerrit could not be taken back (no answer): abandon it there"

    async def _owe(self, rollout: Rollout) -> None:
        """From the merge on, every place whose tag changed owes an apply until its pods were seen."""
        now, edited = self.world.clock.now(), rollout.records.edited or rollout.records.editing
        if edited is None:
            return
        debts, paid = list[Debt](), list[tuple[str, str, str]]()
        for name, effect in (edited.parts or {"": edited.effect}).items():
            running = rollout.briefing.running_by_part.get(name) or rollout.briefing.running
            for place, (old, tag) in effect.items():
                if old == tag:
                    continue
                # an earlier debt was taken back where what runs is what git says again, else this one is in its place
                service, environment, part = debtor = holding.debtor(rollout, place, name)
                paid.append(debtor)
                # where nothing of it runs, nobody owes
                if tag != running.get(place) and (running.get(place, tag) or place in rollout.environments):
                    debts.append(Debt(service, environment, tag, rollout.number, rollout.actor, now, part))
        await self.world.store.set_debts(debts, paid)

    async def _pay(self, rollout: Rollout, where: Sequence[str]) -> None:
        """Places whose pods were seen owe nothing more; but a tag that the pinned commit had not yet stays owed."""
        debts, diffed = await self.world.store.debts(), rollout.records.diffed
        paid = []
        for place in where:
            service, environment, part = holding.debtor(rollout, place)
            tags = diffed.places[place].tags if diffed and place in diffed.places else ()
            for debt in debts:
                here = (debt.service, debt.environment) == (service, environment) and part in ("", debt.part)
                if here and (not tags or debt.tag in tags):
                    paid.append((service, environment, debt.part))
        await self.world.store.set_debts((), paid)

    # -- ends --------------------------------------------------------------------------------------------------

    async def _finish(self, run: Run) -> None:
        checked = [s.environment for s in run.rollout.steps if s.name == StepName.CHECK]
        if set(checked) != set(run.rollout.environments):
            raise PermanentError("not every environment's pods were looked at")
        await self._pay(run.rollout, checked)
        debts = await self._debts(run.rollout)
        applied = any(s.name == StepName.APPLY for s in run.rollout.steps)
        note = "new pods run and stayed up" if applied else "git and cluster agree, nothing was to be applied"
        lines = self.world.voice.lines("succeeded", run.rollout, debts=debts, next=await self._next(run.rollout))
        await run.move(Move.FINISH, lines, write_set=(), note=note)

    async def _debts(self, rollout: Rollout) -> tuple[Debt, ...]:
        """What its services still owe, and others by its edit."""
        mine = owed(rollout.subject.members, debts := await self.world.store.debts())
        return tuple(debt for debt in debts if debt in mine or debt.number == rollout.number)

    async def _next(self, rollout: Rollout) -> str:
        """The command that naturally follows a success."""
        kinds = {e.name: e.kind.value for e in self.world.catalogue.environments.values()}
        kinds |= {e.name: e.kind.value for e in rollout.subject.environments.values()}
        if rollout.kind is Kind.ROLLBACK or rollout.intent.pin:
            return ""
        running = rollout.briefing.running.items()
        behind = {tag for place, tag in running if kinds.get(rollout.target(place)[1]) == "production"} - {rollout.tag}
        staging = all(kinds.get(e) == "staging" for _, e in rollout.targets)
        if staging and "production" in kinds.values() and (behind or not rollout.tag):
            return rollout.command("apply" if rollout.kind is Kind.APPLY else "deploy", "production")
        return ""

    async def _end(self, run: Run, move: Move, event: str, why: str) -> None:
        """Any end short of success: say what failed, what serves, what was not touched, what git says, what next."""
        why = self.world.redactor.text(why)
        ended = _broken(run.rollout, move, why, self.world.clock.now())
        # an open change has our vote: a slow gate would merge it after we said that nothing happened
        if move is not Move.LOSE and (left := await self._taken_back(ended, why)):
            why = f"{why}; {left}"
        situation = await self.surveyor.at_the_end(ended)
        lines = self._last_words(ended, event, why, situation)
        write_set = None if move is Move.LOSE else ()
        while True:
            try:
                await run.move(move, lines, write_set=write_set, steps=ended.steps, note=why)
                return
            except TemporaryError:
                # until this end is saved the rollout counts as RUNNING, and nobody drives it
                log.exception("rollout #%s: cannot save its end (%s), trying again", run.rollout.number, why)
                await self.world.clock.sleep(SAVE_AGAIN)
            except QuarterdeckError:
                log.exception("rollout #%s: cannot save its end (%s)", run.rollout.number, why)
                return

    def _last_words(self, rollout: Rollout, event: str, why: str, situation: Situation) -> tuple[Line, ...]:
        try:
            lines = self.world.voice.lines(event, rollout, why=why, situation=situation)
        except Exception:  # an end is saved even where the words for it fail
            log.exception("rollout #%s: no words for its end", rollout.number)
            lines = (
                Line(
                    rollout.home, f"#{rollout.number} {rollout.service} {event.upper()}: {why}", urgency=Urgency.VERDICT
                ),
            )
        step = rollout.current
        mine = step and rollout.step(StepName.APPLY, step.environment, step.stage)
        if step and mine and mine.state is not StepState.TODO:  # its START wants an end; what never began has none
            lines += self.world.voice.lines("sal_end", rollout, step=step, outcome=event, why=why, situation=situation)
        return lines


def _broken(rollout: Rollout, move: Move, why: str, at: datetime) -> Rollout:
    """The rollout with the step it ended in marked so."""
    step = rollout.current
    if step is None or step.state is StepState.TODO:
        return rollout
    state = StepState.LOST if move is Move.LOSE else StepState.FAILED
    return rollout.with_step(replace(step, state=state, ended=at, why=why))


def _in_flight(rollout: Rollout) -> bool:
    step = rollout.current
    return step is not None and step.name == StepName.APPLY and step.state is StepState.INTENDED
