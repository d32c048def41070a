"""Checks a request against Gerrit, registry and cluster: an order that can be carried out, or a refusal in words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import builds, grammar, policy, values
from .errors import EditRefusedError, NotFoundError, RequestError, TemporaryError
from .grammar import NOTHING, Request
from .model import Environment, Service, short_tag
from .ports import BuildState, Tree
from .rollout import Kind, Rollout, State, StepName, StepState
from .situation import Situation, survey
from .world import World


@dataclass(frozen=True)
class Order:
    """A request that was checked against the world.

    Attributes:
        tag: whole tag, as it stands in git.
        ask_first: why a person is asked before anything is written; empty if nobody need be.
    """

    service: Service
    environments: tuple[str, ...]
    tag: str
    situation: Situation
    tree: Tree
    plan: values.EditPlan
    request: Request
    ask_first: str = ""


class Orders:
    """Reads only; nothing is written before an order stands."""

    def __init__(self, world: World) -> None:
        self.world = world

    def parse(self, verb: str, text: str, default: str = "") -> Request:
        """The request in a command's words; *default* stands in for a missing environment."""
        catalogue = self.world.catalogue
        request = grammar.parse_target(verb, text, catalogue.services, catalogue.environments)
        if not request.environment and default:
            return replace(request, environment=default)
        if not request.environment:
            which = f"{grammar.clip(request.tag)} is no environment." if request.tag else "which environment?"
            raise RequestError(
                f"{which} {grammar.usage(verb, request.service)}, ENV one of "
                f"{', '.join([*catalogue.environments, 'production'])}. {NOTHING}"
            )
        return request

    async def check(self, request: Request, kind: Kind) -> Order:
        """Check a request against Gerrit, registry and cluster; RequestError says what does not fit."""
        world, service = self.world, self.world.catalogue.services[request.service]
        try:
            tip = await world.charts.tip()
            tree = await world.charts.tree(tip, service.name)
        except TemporaryError as error:
            raise RequestError(f"Gerrit does not answer, so I cannot read the charts: {error}. {NOTHING}") from error
        known = self.environments(tree, service)
        environments = tuple(e.name for e in policy.resolve_environment(request.environment, known, service.name))
        if kind is not Kind.APPLY:
            await asyncio.to_thread(_refuse_uneditable, tree, service, environments)
        names = tuple(e.name for e in known)
        situation = await survey(world, service, names, 10.0, tree)
        missing = [situation.problems[e] for e in environments if e in situation.problems]
        if missing:
            raise RequestError(f"I cannot see {', '.join(environments)} of {service.name}: {missing[0]}. {NOTHING}")
        tag = await self._tag(request, kind, service, environments, known, situation)
        try:
            plan = values.EditPlan(already=True)
            if kind is not Kind.APPLY:
                plan = await asyncio.to_thread(values.plan, tree, service.name, environments, tag)
        except EditRefusedError as error:
            raise RequestError(f"{error}. {NOTHING}") from error
        plan = replace(plan, effect={e: plan.effect[e] for e in (*names, *plan.effect) if e in plan.effect})
        if kind is Kind.DEPLOY:
            await self._refuse_to_undo(service, plan, tag, situation)
        first = takes_away(plan, environments, situation, service.suffix) if kind is Kind.DEPLOY else ""
        return Order(service, environments, tag, situation, tree, plan, request, first)

    def environments(self, tree: Tree, service: Service) -> tuple[Environment, ...]:
        """A service's own environments that the catalogue knows, in rollout order."""
        names = values.environments(tree, service.name)
        return policy.order(e for e in self.world.catalogue.environments.values() if e.name in names)

    async def _tag(
        self,
        request: Request,
        kind: Kind,
        service: Service,
        environments: Sequence[str],
        known: Sequence[Environment],
        situation: Situation,
    ) -> str:
        if kind is Kind.APPLY:
            tags = {situation.git.get(e, "") for e in environments}
            return tags.pop() if len(tags) == 1 else ""
        if kind is Kind.ROLLBACK and not request.tag:
            return await self._ran_before(service, environments, situation)
        try:
            if request.tag:
                tag = builds.resolve(request.tag, await self.world.registry.tags(service.image), service.suffix)
            elif any(e.kind == "staging" for e in known if e.name in environments):
                tag = await self._newest(service)
            else:
                tag = self._staging_tag(service, known, situation)
            digest = await self.world.registry.digest(service.image, tag)
        except TemporaryError as error:
            raise RequestError(
                f"the registry does not answer, so I cannot check the image: {error}. {NOTHING}"
            ) from error
        if digest is None:
            raise NotFoundError(f"{service.image}:{tag} is not in the registry. {NOTHING}")
        return tag

    async def _newest(self, service: Service) -> str:
        ready = [b for b in await self.world.store.builds(image=service.image, states={BuildState.READY}) if b.said]
        if not ready:
            raise NotFoundError(
                f"no image of {service.name} was announced yet: say the tag, !deploy {service.name} ENV TAG. {NOTHING}"
            )
        return builds.latest(ready)

    def _staging_tag(self, service: Service, known: Sequence[Environment], situation: Situation) -> str:
        staging = next((e.name for e in known if e.kind == "staging"), "")
        if not staging:
            raise RequestError(f"{service.name} has no staging to take the tag from: say the tag. {NOTHING}")
        if staging in situation.problems:
            raise RequestError(f"I cannot see what staging runs: {situation.problems[staging]}. {NOTHING}")
        tags = situation.serving.get(staging, {})
        ready = [tag for tag, (up, all_) in tags.items() if up]
        if len(ready) != 1 or tags[ready[0]][0] != tags[ready[0]][1]:
            shown = ", ".join(f"{short_tag(t, service.suffix)} {up}/{n}" for t, (up, n) in tags.items()) or "nothing"
            raise RequestError(
                f"staging is no proof just now: it runs {shown}. Mend it, or say the tag: !deploy {service.name} production TAG. {NOTHING}"
            )
        return ready[0]

    async def _ran_before(self, service: Service, environments: Sequence[str], situation: Situation) -> str:
        """The tag our last rollout there replaced; one for all environments, or we ask which.

        Rollbacks do not count, or going back twice would go forward; neither does what never touched the place.
        """
        found: dict[str, str] = {}
        rollouts = await self.world.store.find(service=service.name, limit=200)
        _refuse_if_back_already(rollouts, service, environments, situation)
        for rollout in rollouts:
            for environment in environments:
                before, running = rollout.before.get(environment, ""), situation.running(environment)
                stands = before == running == situation.git.get(environment, "")
                if environment in found or before in ("", rollout.tag) or stands or rollout.kind is Kind.ROLLBACK:
                    continue
                if touched(rollout, environment):
                    found[environment] = before
        tags = set(found.values())
        if len(tags) == 1 and len(found) == len(environments):
            return tags.pop()
        shown = "; ".join(f"{e} ran {short_tag(t, service.suffix)}" for e, t in found.items()) or "I have no record"
        raise RequestError(
            f"back to what? {shown}. Say the tag: !rollback {service.name} {' '.join(environments[:1])} TAG. {NOTHING}"
        )

    async def _refuse_to_undo(self, service: Service, plan: values.EditPlan, tag: str, situation: Situation) -> None:
        """Law 4: somebody's newer hand-made bump that runs nowhere is not undone silently."""
        ours = {r.tag for r in await self.world.store.find(service=service.name, limit=50)}
        running = {situation.running(e) for e in situation.serving}
        for environment, (old, new) in plan.effect.items():
            if old == new or old in running or old in ours or not builds.newer(old, tag):
                continue
            short = short_tag(old, service.suffix)
            raise RequestError(
                f"not started. git says {short} for {service.name} {environment}: a bump made by hand, running nowhere, "
                f"newer than {short_tag(tag, service.suffix)}. Go forward: !deploy {service.name} {environment} {short}, "
                f"or take that change back in Gerrit first. {NOTHING}"
            )

    def nothing_to_do(self, order: Order) -> str:
        """The line to say where git and every target have the tag already; empty where there is work."""
        if not order.plan.already:
            return ""
        for environment in order.environments:
            tags = order.situation.serving.get(environment, {})
            if [t for t, (_, n) in tags.items() if n] != [order.tag] or tags[order.tag][0] != tags[order.tag][1]:
                return ""
        up, n = order.situation.serving[order.environments[0]][order.tag]
        verb = "runs" if len(order.environments) == 1 else "run"
        return f"{title(order)} already {verb} {short(order)} ({up}/{n}). Nothing to do."


def _refuse_uneditable(tree: Tree, service: Service, environments: Sequence[str]) -> None:
    """Files that allow no edit are named before the registry is asked about tags that could not be written."""
    try:
        values.plan(tree, service.name, environments, "any")
    except EditRefusedError as error:
        raise RequestError(f"{error}. {NOTHING}") from error


def touched(rollout: Rollout, environment: str) -> bool:
    """Whether a rollout changed git, or began an apply, for an environment of its own."""
    merged = rollout.step(StepName.MERGE)
    wrote = merged is not None and merged.state is StepState.DONE and not merged.result.get("already")
    begun = (
        s.name is StepName.APPLY and s.environment == environment and s.state is not StepState.TODO
        for s in rollout.steps
    )
    return wrote or any(begun)


def _refuse_if_back_already(
    rollouts: Sequence[Rollout], service: Service, environments: Sequence[str], situation: Situation
) -> None:
    """A failure that is mended already must not send a later `!rollback` one image too far."""
    failed = next((r for r in rollouts if set(environments) & set(r.environments)), None)
    if failed is None or failed.state is not State.FAILED:
        return
    back = {failed.before.get(e, "") for e in environments}
    now = {situation.running(e) for e in environments} | {situation.git.get(e, "") for e in environments}
    if back == now and len(now) == 1 and "" not in now:
        tag = short_tag(now.pop(), service.suffix)
        raise RequestError(
            f"{service.name} {' and '.join(environments)} is back on {tag} already, in git and pods (#{failed.number} "
            f"failed there). To go further back say the tag: !rollback {service.name} {environments[0]} TAG. {NOTHING}"
        )


def takes_away(plan: values.EditPlan, targets: Sequence[str], situation: Situation, suffix: str) -> str:
    """Law 4: which other environments would lose a tag that they run to an older one; empty if none would."""
    lost = {
        environment: old
        for environment, (old, new) in plan.effect.items()
        if environment not in targets and situation.running(environment) == old and builds.newer(old, new)
    }
    if not lost:
        return ""
    tags = ", ".join(sorted({short_tag(tag, suffix) for tag in lost.values()}))
    return f"this takes {tags} away from {' and '.join(lost)}, which run{'s' if len(lost) == 1 else ''} it"


def title(order: Order) -> str:
    """`citoid codfw and eqiad`."""
    return f"{order.service.name} {' and '.join(order.environments)}"


def short(order: Order) -> str:
    """The order's tag as people say it."""
    return short_tag(order.tag, order.service.suffix)
