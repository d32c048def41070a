"""Takes the change of a rollout back that is not merged: it has our vote, and a gate would merge it later."""

from __future__ import annotations

import asyncio

from quarterdeck.core.model.catalogue import ChartsRepository
from quarterdeck.core.model.change import ChangeStatus
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.ports.review import Review
from quarterdeck.core.rollout.naming import change_id
from quarterdeck.core.rollout.records import Edited
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.steps.debts import DebtBook


class Withdrawal:
    """Abandons changes in Gerrit."""

    def __init__(self, repository: ChartsRepository, review: Review, debts: DebtBook) -> None:
        self.repository, self.review, self.debts = repository, review, debts

    async def take_back(self, rollout: Rollout, why: str) -> str:
        """Abandon the change of a rollout that is not merged.

        Returns what a person has to do about it; empty if nothing.
        """
        edit = _proposing_step(rollout)
        if edit is None:
            return ""
        project, branch = self.repository.project, self.repository.branch
        try:
            change = await self.review.find(project, branch, change_id(rollout.id, edit))
            if change is not None:
                await self.review.abandon(change, why)
                change = await self.review.get(project, change.number)
        except (PermanentError, TemporaryError) as error:
            return f"its change in Gerrit could not be taken back ({error}): abandon it there"
        if change is not None and change.status is ChangeStatus.MERGED:  # the gate was faster
            await self.debts.owe(rollout)
            return f"change {change.number} was merged meanwhile"
        return ""

    async def take_back_within(self, rollout: Rollout, why: str, seconds: float) -> str:
        """`take_back`, but a verdict does not wait long for a Gerrit that hangs."""
        try:
            async with asyncio.timeout(seconds):
                return await self.take_back(rollout, f"Rollout #{rollout.number}: {why}")
        except TimeoutError:
            return "its change in Gerrit could not be taken back (no answer): abandon it there"


def _proposing_step(rollout: Rollout) -> Step | None:
    """The step whose change may be open in Gerrit; None where there is none, or it is merged."""
    edit, merge = rollout.step(StepName.EDIT), rollout.step(StepName.MERGE)
    if edit is None or edit.state is StepState.TODO or merge is None or merge.state is StepState.DONE:
        return None
    if isinstance(edit.result, Edited) and edit.result.already:
        return None
    return edit
