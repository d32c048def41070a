"""MERGE: vote on exactly our patch set and wait until it is merged, by the gate or by us."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.catalogue import ChartsRepository, MergeMode
from quarterdeck.core.model.change import Change, ChangeStatus, Vote
from quarterdeck.core.model.errors import ConflictError, PermanentError, StopRequested, TemporaryError
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.ports.review import Review
from quarterdeck.core.rollout.records import Edited, Merged, MergeIntent
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.debts import DebtBook
from quarterdeck.core.steps.limit import prove_change
from quarterdeck.core.steps.reading import snapshot_at
from quarterdeck.core.steps.run import Run


class MergeStep:
    """Votes, and waits for the gate or submits, as the charts repository has it."""

    def __init__(
        self, charts: Snapshots, review: Review, repository: ChartsRepository, debts: DebtBook, limits: Limits
    ) -> None:
        self.charts, self.review, self.repository = charts, review, repository
        self.debts, self.limits = debts, limits

    async def perform(self, run: Run, step: Step) -> Merged:
        """Bring the change of EDIT to the branch.

        Raises:
            ConflictError: it no longer merges, or is no longer ours: compute it again.
            PermanentError: CI or a person said no, or nobody said anything within the deadline.
        """
        edited = run.rollout.records.edited
        assert edited is not None, "EDIT comes before"
        if edited.already:
            return Merged(edited.base, already=True)
        change = await self._look(run, edited)
        if change.status is ChangeStatus.NEW:
            step = await run.intend(step, MergeIntent(edited.change, edited.revision))
            change = await self._vote(run, change, edited)
            change = await self._until_closed(run, change, edited, step.started or run.clock.now())
        if change.status is ChangeStatus.ABANDONED:
            raise PermanentError(f"change {change.number} was abandoned by somebody")
        if {path: blob for path, (_, blob, _) in change.files.items()} != edited.blobs:
            raise PermanentError(f"change {change.number} was merged with another content than ours")
        await self.debts.owe(run.rollout)  # before the merge counts as done: a crash between loses no debt
        return Merged(change.revision, change=change.number)

    async def _look(self, run: Run, edited: Edited) -> Change:
        look = partial(self.review.get, self.repository.project, edited.change)
        return await run.patiently("Gerrit", look, self.limits.gate)

    async def _vote(self, run: Run, change: Change, edited: Edited) -> Change:
        """Vote once, after proving that the change is our edit, within our limit, and that nothing else rides along."""
        limits, review = self.limits, self.review
        await self._refuse(run, change, edited)
        others = await run.patiently("Gerrit", lambda: review.submitted_together(change), limits.gate)
        if others:
            raise PermanentError(f"change {change.number} would take along {', '.join(map(str, others))}")
        read_again = partial(self.charts.read_again, edited.base, run.rollout.services)
        snapshot = await run.patiently("Gerrit", read_again, limits.gate)
        await prove_change(run, change, edited, snapshot, self.repository.services_dir)
        words = f"Requested by {run.rollout.shell} ({run.rollout.account}), rollout #{run.rollout.number}"
        return await run.patiently("Gerrit", lambda: review.approve(change, words), limits.gate)

    async def _until_closed(self, run: Run, change: Change, edited: Edited, begun: datetime) -> Change:
        """The change once it is merged or abandoned; a stop takes it back."""
        limits = self.limits
        while change.status is ChangeStatus.NEW:
            await self._refuse(run, change, edited)
            if self.repository.merge is MergeMode.SUBMIT and change.submittable:
                change = await run.patiently("Gerrit", partial(self.review.submit, change), limits.gate)
                continue
            if (run.clock.now() - begun).total_seconds() > limits.gate:
                raise PermanentError(
                    f"change {change.number} is not merged after {limits.gate:.0f} s: CI said nothing. "
                    "Vote or submit it there, then retry"
                )
            try:
                await run.pause(limits.poll)
            except StopRequested:
                change = await self._withdraw(run, change)
                if change.status is not ChangeStatus.MERGED:
                    raise
            else:
                change = await self._look(run, edited)
        return change

    async def _refuse(self, run: Run, change: Change, edited: Edited) -> None:
        """Like `_refuse_if_hopeless`; CI also says no where the branch moved under the patch, which is a conflict."""
        try:
            _refuse_if_hopeless(change, edited)
        except PermanentError as error:
            if isinstance(error, ConflictError) or not await self._overtaken(run, edited):
                raise
            raise ConflictError(f"somebody changed {', '.join(edited.files)} first") from error

    async def _overtaken(self, run: Run, edited: Edited) -> bool:
        """Whether the branch has other contents in our files than the commit that the edit was computed from."""
        tip = await run.patiently("Gerrit", self.charts.tip, self.limits.gate)
        return await self._contents(run, edited, tip) != await self._contents(run, edited, edited.base)

    async def _contents(self, run: Run, edited: Edited, commit: str) -> list[bytes | None]:
        snapshot = await snapshot_at(run, self.charts, commit, self.limits.gate)
        return [snapshot.files.get(path) for path in edited.files]

    async def _withdraw(self, run: Run, change: Change) -> Change:
        """Take the change back if it is still open; the gate may have been faster. Tried again at the rollout's end."""
        why = f"Stopped by {run.rollout.stop or 'request'}, rollout #{run.rollout.number}"
        try:
            latest = await self.review.get(change.project, change.number)
            if latest.status is ChangeStatus.NEW:
                await self.review.abandon(latest, why)
                latest = await self.review.get(change.project, change.number)
        except (PermanentError, TemporaryError):
            return change
        return latest


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


def _newer(vote: Vote, ours: datetime | None) -> bool:
    return ours is not None and vote.at is not None and vote.at >= ours
