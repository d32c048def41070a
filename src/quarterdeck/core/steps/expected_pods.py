"""What the pods of an apply must be."""

from __future__ import annotations

from functools import partial

from quarterdeck.core.cluster import health
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.run import Run


async def expected_pods(run: Run, step: Step, registry: Registry, limits: Limits, applied: bool) -> health.Expected:
    """The images that git makes the releases of a step's place and stage run, by their digests.

    Args:
        applied: whether the apply is over.
    """
    diffed = run.rollout.records.diffed
    assert diffed is not None, "DIFF comes before"
    place_diff = diffed.places[step.environment]
    releases = place_diff.stage_releases(step.stage)
    images: dict[str, frozenset[str]] = {}
    for release in releases:
        for reference in place_diff.images.get(release, ()):
            name, _, tag = reference.rpartition(":")
            look = partial(registry.digest, name, tag)
            digest = diffed.digests.get(reference) or await run.patiently("the registry", look, limits.check)
            images[reference] = frozenset({digest} if digest else ())
    return health.Expected(
        releases=frozenset(releases),
        images=images,
        grace=limits.grace,
        soak=limits.soak,
        applied=applied,
    )
