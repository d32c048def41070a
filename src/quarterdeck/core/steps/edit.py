"""EDIT: move the tag in the values files and have a Gerrit change for it, without a vote yet."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from quarterdeck.core.charts.editing.edit_plan import EditPlan
from quarterdeck.core.charts.members import edit_request
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.catalogue import ChartsRepository
from quarterdeck.core.model.change import ChangeStatus, Draft
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.model.place import listed
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.ports.review import Review
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.naming import change_id
from quarterdeck.core.rollout.records import Edited, EditIntent
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.reading import snapshot_at
from quarterdeck.core.steps.run import Run


class EditStep:
    """Proposes the edit in Gerrit."""

    def __init__(
        self, charts: Snapshots, review: Review, repository: ChartsRepository, redactor: Redactor, limits: Limits
    ) -> None:
        self.charts, self.review, self.repository = charts, review, repository
        self.redactor, self.limits = redactor, limits

    async def perform(self, run: Run, step: Step) -> Edited:
        """Compute the edit on a pinned base and propose it; nothing to write is a lawful end.

        Raises:
            EditRefusedError: the values files do not allow a safe edit; says where the candidates are.
            ConflictError: the change exists with another content.
        """
        if isinstance(step.intent, EditIntent):
            base = step.intent.base
        else:
            await self._clear_earlier(run, step)
            base = await run.patiently("Gerrit", self.charts.tip, self.limits.gate)
        snapshot = await snapshot_at(run, self.charts, base, self.limits.gate)
        plan = await asyncio.to_thread(plan_edit, run, snapshot)
        if plan.already:
            return Edited(base, plan.effect, already=True)
        identity = change_id(run.rollout.id, step)
        await run.intend(step, EditIntent(base, identity, plan.effect, plan.parts), write_set=plan.write_set)
        draft = Draft(
            project=self.repository.project,
            branch=self.repository.branch,
            change_id=identity,
            base=base,
            message=self.redactor.text(message(run.rollout, identity, run.service.suffix)),
            files=plan.files,
            topic=f"quarterdeck-{run.rollout.id}",
            author=(run.rollout.actor, run.rollout.email) if run.rollout.email else None,
        )
        change = await run.patiently("Gerrit", lambda: self.review.propose(draft), self.limits.gate)
        return Edited(
            base=base,
            effect=plan.effect,
            parts=plan.parts,
            change=change.number,
            change_id=identity,
            revision=change.revision,
            files=tuple(sorted(plan.files)),
            write_set=plan.write_set,
            lines=tuple(f"{file}:{line} {scalar}" for file, line, scalar in plan.lines),
            blobs={path: blob for path, (_, blob, _) in change.files.items()},
        )

    async def _clear_earlier(self, run: Run, step: Step) -> None:
        """Take back open changes of earlier attempts: with our vote on them a gate would still merge them."""
        for attempt in range(1, step.attempt):
            earlier = change_id(run.rollout.id, replace(step, attempt=attempt))
            clear = partial(self._abandon_open, earlier, f"Computed again in attempt {step.attempt}")
            await run.patiently("Gerrit", clear, self.limits.gate)

    async def _abandon_open(self, identity: str, why: str) -> None:
        change = await self.review.find(self.repository.project, self.repository.branch, identity)
        if change is not None and change.status is ChangeStatus.NEW:
            await self.review.abandon(change, why)


def plan_edit(run: Run, snapshot: Snapshot) -> EditPlan:
    """The edit that brings the rollout's places to its tag."""
    rollout = run.rollout
    return snapshot.edit(edit_request(run.subject, rollout.environments, rollout.intent.pin), rollout.tag)


def message(rollout: Rollout, identity: str, suffix: str) -> str:
    """The commit message: what, who asked, which rollout; a rollback in Gerrit's revert form."""
    name = rollout.title.removeprefix("@")
    if rollout.kind == Kind.ROLLBACK:
        bad = rollout.briefing.bad_tag
        subject = f'Revert "{name}: bump to {bad}"' if bad else f"{name}: back to {rollout.tag}"
        body = [
            f"Going back to {rollout.tag}, which ran before.",
            f"Reason for revert: {rollout.reason or 'rollback'}",
        ]
    else:
        subject = f"{name}: bump to {rollout.tag}"
        if len(subject) > 50:
            short = f"{name}: bump to {short_tag(rollout.tag, suffix)}"
            subject = short if len(short) <= 50 else subject
        body = [f"For {listed(rollout.environments, rollout.service)}."]
        if rollout.reason:
            body.append(f"Why: {rollout.reason}")
    footers = [
        f"Requested-by: {rollout.shell} ({rollout.account})",
        f"Rollout: #{rollout.number} {rollout.id}",
        f"Change-Id: {identity}",
    ]
    return "\n".join([subject, "", *body, "", *footers]) + "\n"
