"""Keeps the house in order: what is old goes, and what the first command needs is at hand."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Protocol

from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.errors import QuarterdeckError
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.host import Host
from quarterdeck.core.ports.rollouts import Rollouts
from quarterdeck.core.rollout.state import OVER, State

log = logging.getLogger(__name__)

OPEN = frozenset(State) - OVER
SECONDS_A_DAY = 86400.0
KEEP_JOBS_DAYS = 7
"""Days that finished jobs stay on the deploy host."""
KEEP_FILES_DAYS = 90
"""Days that a rollout's logs and diffs stay here once it is over."""


class ExpiringFiles(Protocol):
    """The rollouts' files, as far as keeping house needs them."""

    async def expire(self, older_than: float, keep: Collection[int] = ()) -> tuple[int, ...]:
        """Remove what was last written before a time (seconds since the epoch), except of the rollouts to keep."""
        ...


class ReapableJobs(Protocol):
    """The deploy host's jobs, as far as keeping house needs them."""

    async def reap(self, days: int) -> tuple[str, ...]:
        """Remove the jobs that ended more than that many days ago."""
        ...


class Housekeeping:
    """Removes old jobs on the deploy host and old files here, once a day; what is not over stays."""

    def __init__(self, store: Rollouts, files: ExpiringFiles, jobs: ReapableJobs, clock: Clock) -> None:
        self.store, self.files, self.jobs, self.clock = store, files, jobs, clock

    async def run(self) -> None:
        """For ever."""
        while True:
            open_rollouts = await self.store.find(OPEN, limit=10_000)
            oldest = self.clock.now().timestamp() - KEEP_FILES_DAYS * SECONDS_A_DAY
            await self.files.expire(oldest, {rollout.number for rollout in open_rollouts})
            try:
                await self.jobs.reap(KEEP_JOBS_DAYS)
            except QuarterdeckError as error:
                log.warning("old jobs on the deploy host were not removed: %s", error)
            await self.clock.sleep(SECONDS_A_DAY)


async def warm(host: Host, charts: Snapshots) -> None:
    """Connect to the deploy host and fetch the charts once, so that the first command finds both at hand."""
    for system, look in (("deploy host", host.position), ("charts", charts.tip)):
        try:
            await look()
        except QuarterdeckError as error:
            log.warning("%s: %s", system, error)
