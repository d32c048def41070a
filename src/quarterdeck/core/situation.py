"""What is true right now for a service: what serves users, what git says, who owes what; read, never remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import values
from .errors import QuarterdeckError
from .model import Service
from .pods import serving as serving_pods
from .ports import Debt, Tree
from .rollout import Rollout, StepName, StepState
from .world import World

#: seconds a last look may take; a failure must be told even when the world is gone
PATIENCE = 8.0


@dataclass(frozen=True)
class Situation:
    """One look at a service.

    Attributes:
        git: environment -> tag that git's tip says; empty if it could not be read.
        serving: environment -> tag -> (ready pods, all pods); an unreadable environment is missing.
        problems: system -> what it said, for what could not be read.
    """

    service: str
    commit: str = ""
    git: Mapping[str, str] = field(default_factory=dict)
    serving: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    debts: tuple[Debt, ...] = ()
    untouched: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)

    def running(self, environment: str) -> str:
        """The tag most ready pods of an environment run; empty if none or unreadable."""
        tags = self.serving.get(environment, {})
        ready = [(counts[0], counts[1], tag) for tag, counts in tags.items() if counts[1]]
        return max(ready)[2] if ready else ""

    def facts(self) -> dict[str, Any]:
        """As data that can be stored with the rollout."""
        return {
            "serving": {env: {tag: list(n) for tag, n in tags.items()} for env, tags in self.serving.items()},
            "git": dict(self.git),
            "untouched": list(self.untouched),
        }


async def look(world: World, rollout: Rollout) -> Situation:
    """The situation a rollout ends in: its own environments, quickly, leaving out what does not answer."""
    service = world.catalogue.services[rollout.service]
    untouched = tuple(
        env
        for env in rollout.environments
        if all(s.state is StepState.TODO for s in rollout.steps if s.environment == env and s.name is StepName.APPLY)
    )
    found = await survey(world, service, rollout.environments, PATIENCE)
    return replace(found, untouched=untouched)


async def survey(
    world: World, service: Service, environments: tuple[str, ...], seconds: float = 20.0, tree: Tree | None = None
) -> Situation:
    """Read git and the cluster for a service, side by side, each within *seconds*; never raises for a dead system.

    Whoever has just read the tip's *tree* gives it, and git is not asked again.
    """
    problems: dict[str, str] = {}

    async def git() -> tuple[str, dict[str, str]]:
        at_tip = tree or await world.charts.tree(await world.charts.tip(), service.name)
        found = await asyncio.to_thread(values.effective, at_tip, service.name, environments)
        return at_tip.commit, {environment: f.tag for environment, f in found.items()}

    async def pods(environment: str) -> Mapping[str, tuple[int, int]]:
        return serving_pods(await world.host.objects(service.name, environment), service.images)

    async def guarded(name: str, act: Any) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await act
        except (QuarterdeckError, TimeoutError) as error:
            problems[name] = str(error) or f"no answer within {seconds:.0f} s"
            return None

    read = await asyncio.gather(guarded("git", git()), *(guarded(env, pods(env)) for env in environments))
    commit, tags = read[0] or ("", {})
    serving = {env: found for env, found in zip(environments, read[1:], strict=True) if found is not None}
    debts = await world.store.debts(service.name)
    return Situation(service.name, commit, tags, serving, debts, (), problems)
