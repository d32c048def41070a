"""MERGE: vote on exactly our patch set and wait until it is merged, by the gate or by us."""

from __future__ import annotations

from typing import Any

from quarterdeck.core.model.catalogue import MergeMode
from quarterdeck.core.model.change import Change, ChangeStatus, Vote
from quarterdeck.core.model.errors import ConflictError, PermanentError, StopRequested, TemporaryError
from quarterdeck.core.rollout.records import Edited, Merged, MergeIntent
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.debts import owe
from quarterdeck.core.steps.limit import prove_change
from quarterdeck.core.steps.run import Run


async def merge(run: Run, step: Step) -> Merged:
    """Bring the change of EDIT to the branch.

    Raises:
        ConflictError: it no longer merges, or is no longer ours: compute it again.
        PermanentError: CI or a person said no, or nobody said anything within the deadline.
    """
    edited = run.rollout.records.edited
    assert edited is not None, "EDIT comes before"
    if edited.already:
        return Merged(edited.base, already=True)
    charts, limits = run.world.catalogue.charts, run.world.limits
    number = edited.change

    async def look() -> Change:
        return await run.world.review.get(charts.project, number)

    change = await run.patiently("Gerrit", look, limits.gate)
    if change.status is ChangeStatus.NEW:
        step = await run.intend(step, MergeIntent(number, edited.revision))
        change = await _vote(run, change, edited)
        begun = step.started or run.world.clock.now()
        while change.status is ChangeStatus.NEW:
            await _refuse(run, change, edited)
            if charts.merge is MergeMode.SUBMIT and change.submittable:
                ready = change
                change = await run.patiently("Gerrit", lambda c=ready: run.world.review.submit(c), limits.gate)  # type: ignore[misc]
                continue
            if (run.world.clock.now() - begun).total_seconds() > limits.gate:
                raise PermanentError(
                    f"change {number} is not merged after {limits.gate:.0f} s: CI said nothing. "
                    "Vote or submit it there, then retry"
                )
            try:
                await run.pause(limits.poll)
            except StopRequested:
                change = await _withdraw(run, change)
                if change.status is not ChangeStatus.MERGED:
                    raise
            else:
                change = await run.patiently("Gerrit", look, limits.gate)
    if change.status is ChangeStatus.ABANDONED:
        raise PermanentError(f"change {number} was abandoned by somebody")
    if {path: blob for path, (_, blob, _) in change.files.items()} != edited.blobs:
        raise PermanentError(f"change {number} was merged with another content than ours")
    await owe(run.world, run.rollout)  # before the merge counts as done: a crash between loses no debt
    return Merged(change.revision, change=number)


async def _vote(run: Run, change: Change, edited: Edited) -> Change:
    """Vote once, after proving that the change is our edit, within our limit, and that nothing else rides along."""
    await _refuse(run, change, edited)
    review = run.world.review
    others = await run.patiently("Gerrit", lambda: review.submitted_together(change), run.world.limits.gate)
    if others:
        raise PermanentError(f"change {change.number} would take along {', '.join(map(str, others))}")
    await prove_change(run, change, edited)
    words = f"Requested by {run.rollout.shell} ({run.rollout.account}), rollout #{run.rollout.number}"
    return await run.patiently("Gerrit", lambda: review.approve(change, words), run.world.limits.gate)


async def _refuse(run: Run, change: Change, edited: Edited) -> None:
    """Like `_refuse_if_hopeless`; CI also says no where the branch moved under the patch, which is a conflict."""
    try:
        _refuse_if_hopeless(change, edited)
    except PermanentError as error:
        if isinstance(error, ConflictError) or not await _overtaken(run, edited):
            raise
        raise ConflictError(f"somebody changed {', '.join(edited.files)} first") from error


async def _overtaken(run: Run, edited: Edited) -> bool:
    """Whether the branch has other contents in our files than the commit that the edit was computed from."""

    async def contents(commit: str) -> list[bytes | None]:
        trees = await run.trees(commit, run.world.limits.gate)
        files = {path: content for tree in trees.values() for path, content in tree.files.items()}
        return [files.get(path) for path in edited.files]

    tip = await run.patiently("Gerrit", run.world.charts.tip, run.world.limits.gate)
    return await contents(tip) != await contents(edited.base)


def _refuse_if_hopeless(change: Change, edited: Edited) -> None:
    """Stop early where waiting cannot help: foreign patch set, a no from CI or from a person."""
    if change.revision != edited.revision:
        raise ConflictError(f"change {change.number} has a patch set that is not ours")
    ours = max((v.at for v in change.votes if v.label == "Code-Review" and v.value == 2 and v.at), default=None)
    for vote in change.votes:
        if vote.label == "Code-Review" and vote.value == -2:
            raise PermanentError(f"{vote.who} voted Code-Review -2 on change {change.number}. Settle it there")
        if vote.label == "Verified" and vote.value < 0 and _newer(vote, ours):
            raise PermanentError(
                f"{vote.who} says Verified {vote.value} on change {change.number}: CI refused the patch"
            )


def _newer(vote: Vote, ours: Any) -> bool:
    return ours is not None and vote.at is not None and vote.at >= ours


async def _withdraw(run: Run, change: Change) -> Change:
    """Take the change back if it is still open; the gate may have been faster. Tried again at the rollout's end."""
    review = run.world.review
    try:
        latest = await review.get(change.project, change.number)
        if latest.status is ChangeStatus.NEW:
            await review.abandon(latest, f"Stopped by {run.rollout.stop or 'request'}, rollout #{run.rollout.number}")
            latest = await review.get(change.project, change.number)
    except (PermanentError, TemporaryError):
        return change
    return latest
