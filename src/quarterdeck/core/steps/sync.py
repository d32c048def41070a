"""SYNC: wait until the deploy host's checkout has the merged commit, and pin what it stands at."""

from __future__ import annotations

from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.ports.host import Host
from quarterdeck.core.rollout.records import Synced, SyncIntent
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.run import Run


class SyncStep:
    """Waits for the deploy host's own pull.

    Args:
        host_name: what people call the deploy host.
    """

    def __init__(self, charts: Snapshots, host: Host, limits: Limits, host_name: str) -> None:
        self.charts, self.host, self.limits, self.host_name = charts, host, limits, host_name

    async def perform(self, run: Run, step: Step) -> Synced:
        """Pin the commit that everything after this is made from.

        Raises:
            PermanentError: the checkout stayed behind; says where it stands and why the pull fails.
        """
        limits, clock = self.limits, run.clock
        merged = run.rollout.records.merged
        merged_commit = merged.commit if merged else ""
        wanted = await self._commit_to_wait_for(run, step, merged_commit)
        step = await run.intend(step, SyncIntent(wanted))
        begun = clock.now()
        while not await run.patiently("the deploy host", lambda: self.host.has_commit(wanted), limits.sync):
            waited = (clock.now() - begun).total_seconds()
            if waited > limits.sync:
                raise PermanentError(await self._why_stuck(wanted, waited))
            await run.pause(limits.poll)
        position = await run.patiently("the deploy host", self.host.position, limits.sync)
        return Synced(position.commit, merged_commit, position.host)

    async def _commit_to_wait_for(self, run: Run, step: Step, merged_commit: str) -> str:
        """What MERGE brought; in a person's retry the tip, because it follows a repair that was merged since."""
        if isinstance(step.intent, SyncIntent):
            return step.intent.commit
        if merged_commit and step.attempt == 1:
            return merged_commit
        return await run.patiently("Gerrit", self.charts.tip, self.limits.gate)

    async def _why_stuck(self, wanted: str, waited: float) -> str:
        try:
            position = await self.host.position()
        except TemporaryError as error:
            return f"the deploy host is away: {error}"
        problem = f", git pull fails: {position.problem}" if position.problem else ""
        return (
            f"{self.host_name} stands at {position.commit[:8]} and has not got {wanted[:8]} after {waited:.0f} s"
            f"{problem}. Needs root"
        )
