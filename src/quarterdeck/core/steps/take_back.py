"""Takes the change of a rollout back that is not merged: it has our vote, and a gate would merge it later."""

from __future__ import annotations

import asyncio

from quarterdeck.core.model.change import ChangeStatus
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.rollout.naming import change_id
from quarterdeck.core.rollout.records import Edited
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.steps.debts import owe
from quarterdeck.core.world import World


async def take_back(world: World, rollout: Rollout, why: str) -> str:
    """Abandon the change of a rollout that is not merged.

    Returns what a person has to do about it; empty if nothing.
    """
    edit = _proposing_step(rollout)
    if edit is None:
        return ""
    charts, review = world.catalogue.charts, world.review
    try:
        change = await review.find(charts.project, charts.branch, change_id(rollout.id, edit))
        if change is not None:
            await review.abandon(change, why)
            change = await review.get(charts.project, change.number)
    except (PermanentError, TemporaryError) as error:
        return f"its change in Gerrit could not be taken back ({error}): abandon it there"
    if change is not None and change.status is ChangeStatus.MERGED:  # the gate was faster
        await owe(world, rollout)
        return f"change {change.number} was merged meanwhile"
    return ""


async def take_back_within(world: World, rollout: Rollout, why: str, seconds: float) -> str:
    """`take_back`, but a verdict does not wait long for a Gerrit that hangs."""
    try:
        async with asyncio.timeout(seconds):
            return await take_back(world, rollout, f"Rollout #{rollout.number}: {why}")
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
