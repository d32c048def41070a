"""How a rollout ends: what is said, what is left, and what somebody would do next."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.environment import EnvironmentKind
from quarterdeck.core.model.errors import PermanentError, QuarterdeckError, TemporaryError
from quarterdeck.core.model.line import Line, Urgency
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.events import Succeeded
from quarterdeck.core.rollout.pipeline import Pipelines
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import Move
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.rollout.subject import owed
from quarterdeck.core.situation import Surveyor
from quarterdeck.core.steps.debts import DebtBook
from quarterdeck.core.steps.run import Run
from quarterdeck.core.steps.take_back import Withdrawal
from quarterdeck.core.worker.events import ApplyEndedShort, EndedShort, Failed, Lost, Stopped

log = logging.getLogger(__name__)
#: how a rollout ends short -> the event that tells it
_ENDS: Mapping[Move, type[EndedShort]] = {Move.FAIL: Failed, Move.LOSE: Lost, Move.ABORT: Stopped}
#: seconds between two tries to save an end
SAVE_AGAIN = 5.0
#: seconds that the end of a rollout waits for Gerrit
TAKE_BACK_WITHIN = 10.0


class Endings:
    """Says and saves how a rollout ended."""

    def __init__(
        self,
        pipelines: Pipelines,
        catalogue: Catalogue,
        redactor: Redactor,
        surveyor: Surveyor,
        debts: DebtBook,
        withdrawal: Withdrawal,
    ) -> None:
        self.pipelines, self.catalogue, self.redactor = pipelines, catalogue, redactor
        self.surveyor, self.debts, self.withdrawal = surveyor, debts, withdrawal

    async def succeed(self, run: Run) -> None:
        """All steps are done: say so, with what is still owed and what comes next.

        Raises:
            PermanentError: a place was not proven.
        """
        rollout = run.rollout
        proof = self.pipelines.of(rollout).proof
        proven_places = [step.environment for step in rollout.steps if step.name == proof]
        if proof and set(proven_places) != set(rollout.environments):
            raise PermanentError("not every environment's pods were looked at")
        await self.debts.pay(rollout, proven_places)
        debts = _debts_to_tell(rollout, await run.store.debts())
        lines = run.voice.lines(Succeeded(rollout, debts, self._next_verb(rollout)))
        await run.move(Move.FINISH, lines, write_set=(), note=self._success_note(rollout))

    async def end_short(self, run: Run, move: Move, why: str) -> None:
        """Any end short of success: say what failed, what serves, what was not touched, what git says, what next."""
        why = self.redactor.text(why)
        ended = _with_broken_step(run.rollout, move, why, run.clock.now())
        # an open change has our vote: a slow gate would merge it after we said that nothing happened
        if move is not Move.LOSE and (left := await self.withdrawal.take_back_within(ended, why, TAKE_BACK_WITHIN)):
            why = f"{why}; {left}"
        situation = await self.surveyor.at_the_end(ended)
        lines = self._last_lines(run, _ENDS[move](ended, why, situation))
        write_set = None if move is Move.LOSE else ()
        while True:
            try:
                await run.move(move, lines, write_set=write_set, steps=ended.steps, note=why)
                return
            except TemporaryError:
                # until this end is saved the rollout counts as RUNNING, and nobody drives it
                log.exception("rollout #%s: cannot save its end (%s), trying again", run.rollout.number, why)
                await run.clock.sleep(SAVE_AGAIN)
            except QuarterdeckError:
                log.exception("rollout #%s: cannot save its end (%s)", run.rollout.number, why)
                return

    def _success_note(self, rollout: Rollout) -> str:
        if not self.pipelines.of(rollout).proof:
            return "all its steps are done"
        if any(self.pipelines.outlives_us(step) for step in rollout.steps):
            return "new pods run and stayed up"
        return "git and cluster agree, nothing was to be applied"

    def _next_verb(self, rollout: Rollout) -> str:
        """The command that naturally follows a success: to production, after staging alone; empty for none."""
        if rollout.kind == Kind.ROLLBACK or rollout.intent.pin:
            return ""
        kinds = {environment.name: environment.kind for environment in self.catalogue.environments.values()}
        kinds |= {environment.name: environment.kind for environment in rollout.subject.environments.values()}
        if EnvironmentKind.PRODUCTION not in kinds.values():
            return ""
        if any(kinds.get(environment) is not EnvironmentKind.STAGING for _, environment in rollout.targets):
            return ""
        production_tags = set()
        for place, tag in rollout.briefing.running.items():
            if kinds.get(rollout.target(place)[1]) is EnvironmentKind.PRODUCTION:
                production_tags.add(tag)
        if rollout.tag and not production_tags - {rollout.tag}:
            return ""
        return "apply" if rollout.kind == Kind.APPLY else "deploy"

    def _last_lines(self, run: Run, end: EndedShort) -> tuple[Line, ...]:
        rollout = end.rollout
        try:
            lines = run.voice.lines(end)
        except Exception:  # an end is saved even where the words for it fail
            log.exception("rollout #%s: no words for its end", rollout.number)
            text = f"#{rollout.number} {rollout.service} {end.outcome}: {end.why}"
            lines = (Line(rollout.home, text, urgency=Urgency.VERDICT),)
        step = rollout.current
        if step is not None and self._has_begun_apply(rollout, step):  # its START wants an end
            lines += run.voice.lines(ApplyEndedShort(rollout, step, end))
        return lines

    def _has_begun_apply(self, rollout: Rollout, step: Step) -> bool:
        """Whether something was applied, or may have been, where and when a step acts."""
        at_the_place = [s for s in rollout.steps if (s.environment, s.stage) == (step.environment, step.stage)]
        return any(self.pipelines.outlives_us(s) and s.state is not StepState.TODO for s in at_the_place)


def _debts_to_tell(rollout: Rollout, debts: Sequence[Debt]) -> tuple[Debt, ...]:
    """What its services still owe, and what others owe by its edit."""
    own_debts = owed(rollout.subject.members, debts)
    return tuple(debt for debt in debts if debt in own_debts or debt.number == rollout.number)


def _with_broken_step(rollout: Rollout, move: Move, why: str, at: datetime) -> Rollout:
    """The rollout with the step it ended in marked so."""
    step = rollout.current
    if step is None or step.state is StepState.TODO:
        return rollout
    state = StepState.LOST if move is Move.LOSE else StepState.FAILED
    return rollout.with_step(replace(step, state=state, ended=at, why=why))
