"""What several steps read of git and the registry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.ports.charts import Charts, Tree
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.steps.run import Run


async def trees_at(run: Run, charts: Charts, commit: str, seconds: float) -> dict[str, Tree]:
    """Service -> its files at a commit, for each that the rollout serves; waits as `Run.patiently` does."""

    async def read() -> dict[str, Tree]:
        return {name: await charts.tree(commit, name) for name in run.rollout.services}

    return await run.patiently("Gerrit", read, seconds)


async def digests_of(registry: Registry, references: Iterable[str]) -> dict[str, str]:
    """Reference (`name:tag`) -> the digest it names just now; left out where the registry cannot say."""
    digests: dict[str, str] = {}
    for reference in dict.fromkeys(references):
        name, _, tag = reference.rpartition(":")
        with contextlib.suppress(PermanentError, TemporaryError):
            digests[reference] = await registry.digest(name, tag) or ""
    return {reference: digest for reference, digest in digests.items() if digest}
