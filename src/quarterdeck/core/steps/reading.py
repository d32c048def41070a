"""What several steps read of git and the registry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import partial

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.steps.run import Run


async def snapshot_at(run: Run, charts: Snapshots, commit: str, seconds: float) -> Snapshot:
    """The files of the services that the rollout serves, at a commit; waits as `Run.patiently` does."""
    return await run.patiently("Gerrit", partial(charts.at, commit, run.rollout.services), seconds)


async def digests_of(registry: Registry, references: Iterable[str]) -> dict[str, str]:
    """Reference (`name:tag`) -> the digest it names just now; left out where the registry cannot say."""
    digests: dict[str, str] = {}
    for reference in dict.fromkeys(references):
        name, _, tag = reference.rpartition(":")
        with contextlib.suppress(PermanentError, TemporaryError):
            digests[reference] = await registry.digest(name, tag) or ""
    return {reference: digest for reference, digest in digests.items() if digest}
