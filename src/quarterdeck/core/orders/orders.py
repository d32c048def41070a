"""Checks a request against Gerrit, registry and cluster: an order that can be carried out, or a refusal in words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.charts import facade
from quarterdeck.core.desk.grammar import NOTHING
from quarterdeck.core.model.environment import Environment
from quarterdeck.core.model.errors import EditRefusedError, NotFoundError, RequestError, TemporaryError
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.place import joined, listed, split
from quarterdeck.core.model.service import Service
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.orders.environments import resolve_environment
from quarterdeck.core.orders.tagging import Tagging, silent
from quarterdeck.core.orders.targets import ANY, part_names, read_trees, services_of
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.intent import Intent, Target
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rules.moments import ProposedOrder
from quarterdeck.core.rules.reasons import Together
from quarterdeck.core.rules.ruling import permitted
from quarterdeck.core.rules.serving_order import in_serving_order
from quarterdeck.core.situation import Situation, survey
from quarterdeck.core.subject import Member, Subject, known, member
from quarterdeck.core.world import World

#: so many parts are told in one line
_NAMED = 3


@dataclass(frozen=True)
class Order:
    """A request that was checked against the world.

    Attributes:
        environments: the places to serve, in their order.
        tag: whole tag, as it stands in git.
        trees: service -> its files at the commit that all this was read at.
        asking: what a person is asked before anything is written; None if nobody need be.
    """

    subject: Subject
    environments: tuple[str, ...]
    tag: str
    situation: Situation
    trees: Mapping[str, Tree]
    plan: facade.EditPlan
    intent: Intent
    asking: Together | None = None

    @property
    def service(self) -> Service:
        """The subject's own service."""
        return self.subject.service

    @property
    def title(self) -> str:
        """`citoid codfw and eqiad`."""
        return f"{self.subject.title} {joined(environments_of(self.environments))}"

    @property
    def pending(self) -> tuple[str, ...]:
        """The places outside the targets that the edit leaves behind git."""
        late: set[str] = set()
        for seen, effect in moves(self.plan, self.situation):
            changed = {p: new for p, (old, new) in effect.items() if old != new and p not in self.environments}
            # where nothing of it runs, nothing is left behind
            late |= {
                p for p, new in changed.items() if seen.running(p) != new and (p not in seen.serving or seen.serving[p])
            }
        return tuple(place for place in self.plan.effect if place in late)

    @property
    def runs(self) -> tuple[str, ...]:
        """The tags that its places run, each once; of every part where all are meant."""
        seen = self.situation.meant(self.subject)
        return tuple(dict.fromkeys(filter(None, (each.running(p) for each in seen for p in self.environments))))

    def runs_alone(self, place: str) -> bool:
        """Whether a place runs the tag, in every part where all are meant."""
        seen = self.situation.meant(self.subject)
        return {each.running(place) for each in seen} - {""} == {self.tag}

    @property
    def absent(self) -> list[tuple[str, str]]:
        """(service, environments) of members that are not everywhere where the others are served."""
        named = environments_of(self.environments)
        lacking = {m.service.name: [e for e in named if e not in m.environments] for m in self.subject.members}
        return [(name, joined(names, "or")) for name, names in lacking.items() if names]

    @property
    def short(self) -> str:
        """The tag as people say it."""
        return short_tag(self.tag, self.service.suffix)


class Orders:
    """Reads only; nothing is written before an order stands."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tagging = Tagging(world)

    async def services(self, target: Target) -> tuple[Service, ...]:
        """The services that a target means; see `targets.services_of`."""
        try:
            return await services_of(self.world, target)
        except TemporaryError as error:
            raise _unread(error) from error

    async def check(self, intent: Intent, kind: Kind, requester: str, services: Sequence[Service] = ()) -> Order:
        """Check a request against Gerrit, registry and cluster; RequestError says what does not fit.

        Args:
            requester: name of the person who asks.
            services: those it means, if they are known already; see `services`.
        """
        services = services or await self.services(intent.target)
        trees = await self._trees(services)
        members = [await asyncio.to_thread(member, trees[s.name], s, intent.target.part) for s in services]
        subject = Subject(tuple(members), intent.target.group)
        every = self._environments(members)
        named = resolve_environment(intent.environment, every, intent.title)
        places, around = subject.places(e.name for e in named), subject
        if kind is not Kind.APPLY:
            around = await self._with_others(intent, kind, subject, trees, places)
        seen = around.places(e.name for e in self._environments(around.members))
        situation = await survey(self.world, around, seen, 10.0, _trees_of(around, trees))
        blind = [place for place in places if place in situation.problems]
        if blind:
            raise RequestError(
                f"I cannot see {listed(blind, subject.service.name)} of {subject.title}: "
                f"{situation.problems[blind[0]]}. {NOTHING}"
            )
        tag = await self.tagging.choose(intent, kind, subject, places, situation, around.members)
        plan = facade.EditPlan(already=True)
        if kind is not Kind.APPLY:
            plan = await asyncio.to_thread(_plan, subject, trees, places, tag, intent.pin)
            plan = replace(plan, effect={p: plan.effect[p] for p in (*seen, *plan.effect) if p in plan.effect})
        if kind is Kind.DEPLOY or (kind is Kind.ROLLBACK and intent.tag):
            await self._refuse_missing(around, trees, plan, places, tag)
        if kind is Kind.DEPLOY:
            await self._refuse_to_undo(intent, subject, plan, tag, situation)
        asking = self._judged(requester, kind, subject, places, tag, plan, situation)
        return Order(subject, places, tag, situation, trees, plan, intent, asking)

    def _judged(
        self,
        requester: str,
        kind: Kind,
        subject: Subject,
        places: Sequence[str],
        tag: str,
        plan: facade.EditPlan,
        situation: Situation,
    ) -> Together | None:
        """What a person is asked before anything is written; NotAllowedError where a rule refuses the order."""
        environments = self.world.catalogue.environments
        proposed = ProposedOrder(
            requester=requester,
            kind=kind,
            service=subject.service,
            places={place: environments[subject.at(place)[1]] for place in places},
            tag=tag,
            taken_away=taken_away(plan, places, situation),
        )
        reasons = permitted(proposed, self.world.clock.now(), self.world.rules)
        return Together(reasons, proposed) if reasons else None

    async def which_part(self, service: Service, verb: str, environment: str, tree: Tree | None = None) -> str:
        """The line that asks which part is meant; empty if the service has an image of its own, and it is in git."""
        try:
            tree = tree or (await self._trees((service,)))[service.name]
        except RequestError:
            if service.image:  # its pods can be told without git
                return ""
            raise
        if (line := await asyncio.to_thread(_elsewhere, tree, service, environment)) or service.image:
            return line
        if not await asyncio.to_thread(part_names, tree, service):
            return ""
        found = await asyncio.to_thread(facade.parts_of, tree, service.name, known(service))
        found = tuple(part for part in found if environment in part.tags) or found
        shown, first = list[str](), ""
        for part in found[:_NAMED]:
            mine = Member(service, part.name, part.images, tuple(filter(None, (service.image_suffix,))))
            tags = part.tags.get(environment) or next(iter(part.tags.values()), ())
            newest = await self.tagging.newest(mine)
            words = [f"{part.files} files"] if part.files > 1 else []
            words.append(joined(short_tag(tag, service.suffix) for tag in tags))
            if newest:
                first = first or part.name
                words.append("newest" if (newest,) == tags else f"newest {short_tag(newest, service.suffix)}")
            shown.append(f"{mine.title} ({', '.join(words)})")
        example = f"!{verb} {service.name}/{first or found[0].name} {environment or 'ENV'}{'' if first else ' TAG'}"
        shown += [f"and {len(found) - _NAMED} more: !versions {service.name}"] if len(found) > _NAMED else []
        shown += [f"{service.name}/{facade.ALL}"] if len(found) > 1 else []
        return f"which part? {' · '.join(shown)}. E.g. {example}. {NOTHING}"

    async def _trees(self, services: Sequence[Service]) -> dict[str, Tree]:
        try:
            return await read_trees(self.world, services)
        except TemporaryError as error:
            raise _unread(error) from error
        except NotFoundError as error:
            raise NotFoundError(f"{error}. {NOTHING}") from error

    def _environments(self, members: Sequence[Member]) -> tuple[Environment, ...]:
        """The members' own environments that the catalogue knows, in rollout order."""
        names = {name for each in members for name in each.environments}
        return in_serving_order(e for e in self.world.catalogue.environments.values() if e.name in names)

    async def _with_others(
        self, intent: Intent, kind: Kind, subject: Subject, trees: Mapping[str, Tree], places: Sequence[str]
    ) -> Subject:
        """The subject, and behind it the other services that its edit moves too.

        Raises:
            RequestError: the files cannot be edited, a part must be named, or nobody said that the others may move.
        """
        verb = intent.verb
        own, target = subject.service, intent.target
        whole = not (target.part or target.group or own.image)
        if whole and (line := await self.which_part(own, verb, intent.environment, trees[own.name])):
            raise RequestError(line)
        # files that allow no edit are named before the registry is asked about tags that could not be written
        probe = await asyncio.to_thread(_plan, subject, trees, places, ANY, intent.pin)
        others = subject.others(probe)
        if others and not target.group and not intent.alone:
            raise RequestError(self._shared(subject, probe, others, verb, intent.environment))
        if intent.alone and target.group:
            raise RequestError(f"--alone is for one service of {intent.title}, not for all of it. {NOTHING}")
        catalogue = self.world.catalogue.services
        found = [catalogue.get(name) or Service(name, "", own.image, suffix=own.suffix) for name in others]
        beside = [await asyncio.to_thread(member, holding_tree(trees, s.name), s) for s in found]
        return Subject((*subject.members, *beside), subject.group)

    def _shared(
        self, subject: Subject, probe: facade.EditPlan, others: Sequence[str], verb: str, environment: str
    ) -> str:
        """One file holds the tag of several services: say all of them, or this one alone."""
        own, catalogue = subject.service, self.world.catalogue
        file = next(iter(probe.files))
        holder = file.split("/")[-2] if "/" in file else ""
        group = own.group or (holder if holder in catalogue.services else own.name)
        declared = {service.name for service in catalogue.group(group)}
        ours = declared or {name for name in (own.name, *others) if name in catalogue.services}
        strangers = [name for name in others if name not in ours]
        of = f"@{group}" if declared else "my catalogue"
        be = f"is not in {of} and becomes" if len(strangers) == 1 else f"are not in {of} and become"
        foreign = f" {joined(strangers)} {be} pending." if strangers else ""
        does = f"{'takes back' if verb == 'rollback' else 'applies'} {len(ours) if strangers else f'all {len(ours)}'}"
        return (
            f"{'/'.join(file.split('/')[-2:])} holds one tag for {len(others) + 1} services. !{verb} @{group} "
            f"{environment} {does}, one after the other.{foreign} Only {own.name}, {len(others)} "
            f"pending: !{verb} {own.name} {environment} --alone. {NOTHING}"
        )

    async def _refuse_missing(
        self, around: Subject, trees: Mapping[str, Tree], plan: facade.EditPlan, places: Sequence[str], tag: str
    ) -> None:
        """Every image that the edit makes somebody run must be in the registry, the bystanders' too."""
        wanted = await asyncio.to_thread(_references, around, trees, plan, (*places, *plan.effect), tag)
        try:
            found = await asyncio.gather(*(self.world.registry.digest(name, tag_) for name, tag_ in wanted))
        except TemporaryError as error:
            raise silent(error) from error
        missing = [f"{name}:{tag_}" for (name, tag_), digest in zip(wanted, found, strict=True) if digest is None]
        if missing:
            verb = "are" if len(missing) > 1 else "is"
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise NotFoundError(f"{', '.join(missing[:3])}{more} {verb} not in the registry. {NOTHING}")

    async def _refuse_to_undo(
        self, intent: Intent, subject: Subject, plan: facade.EditPlan, tag: str, situation: Situation
    ) -> None:
        """Law 4: somebody's newer hand-made bump that runs nowhere is not undone silently."""
        own, suffix = subject.service.name, subject.service.suffix
        movers = dict.fromkeys(split(place, own)[0] for place in plan.effect)
        known = [r for name in movers for r in await self.world.store.find(service=name, limit=50)]
        ours = {r.tag for r in known if subject.covers(r.part)}
        alone = " --alone" if intent.alone else ""
        for seen, effect in moves(plan, situation):
            running = {seen.running(place) for place in seen.serving}
            found = ((p, old) for p, (old, new) in effect.items() if old != new and old not in running | ours)
            place, old = next(((p, old) for p, old in found if builds.newer(old, tag)), ("", ""))
            if not place:
                continue
            short, (service, environment) = short_tag(old, suffix), split(place, own)
            title = seen.subject if plan.parts else subject.title
            whose = title if service == own and not subject.group else service
            raise RequestError(
                f"not started. git says {short} for {whose} {environment}: a bump made by hand, running nowhere, "
                f"newer than {short_tag(tag, suffix)}. Go forward: !deploy {title} {environment} {short}{alone}, "
                f"or take that change back in Gerrit first. {NOTHING}"
            )

    def nothing_to_do(self, order: Order) -> str:
        """The line to say where git and every target have the tag already; empty where there is work."""
        if not order.plan.already:
            return ""
        for place in order.environments:
            tags = order.situation.serving.get(place, {})
            if [t for t, (_, n) in tags.items() if n] != [order.tag] or tags[order.tag][0] != tags[order.tag][1]:
                return ""
        counts = [order.situation.serving[place][order.tag] for place in order.environments]
        up, n = sum(ready for ready, _ in counts), sum(pods for _, pods in counts)
        verb = "runs" if len(environments_of(order.environments)) == 1 else "run"
        return f"{order.title} already {verb} {order.short} ({up}/{n}). Nothing to do."


def _elsewhere(tree: Tree, service: Service, environment: str) -> str:
    """The line that says that a service is not deployed from git; empty if git has a tag of it."""
    try:
        if facade.parts_of(tree, service.name, known(service)):
            return ""
    except EditRefusedError:  # files that cannot be read are told by the edit
        return ""
    way = f"!apply {service.name} {environment or 'ENV'} brings the rest"
    return f"{service.name} is not deployed by me: its tag is not in git. {way}. {NOTHING}"


def _plan(subject: Subject, trees: Mapping[str, Tree], places: Sequence[str], tag: str, pin: bool) -> facade.EditPlan:
    """The edit, or why there is none as a line for people."""
    try:
        return subject.plan(trees, places, tag, pin)
    except EditRefusedError as error:
        own, where = subject.service, environments_of(places)
        line = _elsewhere(trees[own.name], own, where[0] if len(where) == 1 else "production")
        raise RequestError(line or f"{error}. {NOTHING}") from error


def _unread(error: TemporaryError) -> RequestError:
    return RequestError(f"Gerrit does not answer, so I cannot read the charts: {error}. {NOTHING}")


def _trees_of(around: Subject, trees: Mapping[str, Tree]) -> dict[str, Tree]:
    """Service -> the tree that has its files: its own, or that of a member that shares one with it."""
    return {each.service.name: holding_tree(trees, each.service.name) for each in around.members}


def holding_tree(trees: Mapping[str, Tree], name: str) -> Tree:
    """The tree that has a service's files: its own, else the first in which it is one of the sharers."""
    found = (tree for tree in trees.values() if any(name in sharers for sharers in tree.sharers.values()))
    return trees.get(name) or next(found, next(iter(trees.values())))


def _references(
    around: Subject, trees: Mapping[str, Tree], plan: facade.EditPlan, places: Sequence[str], tag: str
) -> tuple[tuple[str, str], ...]:
    """(repository, tag) of the images that places run after the edit; by the catalogue where files do not say."""
    all_trees = _trees_of(around, trees)
    found: dict[tuple[str, str], None] = {}
    for place in dict.fromkeys(places):
        each, environment = around.at(place)
        tree = all_trees[each.service.name]
        after = replace(tree, files={**tree.files, **plan.files})
        try:
            named = each.release_images(after, environment)
        except EditRefusedError:
            named = {}
        mine = [image for images in named.values() for image in images if image.tag == tag]
        found |= {(image.name, f"{image.tag}{image.end}"): None for image in mine or each.plain_images(tag)}
    return tuple(found)


def moves(plan: facade.EditPlan, situation: Situation) -> tuple[tuple[Situation, Mapping[str, tuple[str, str]]], ...]:
    """What an edit moves, beside what there is of just that: part by part where all of them move."""
    apart = tuple((situation.parts[name], effect) for name, effect in plan.parts.items() if name in situation.parts)
    return apart or ((situation, plan.effect),)


def taken_away(plan: facade.EditPlan, targets: Sequence[str], situation: Situation) -> dict[str, str]:
    """Other places that would lose a tag that they run to an older one, with that tag (law 4)."""
    lost: dict[str, str] = {}
    for seen, effect in moves(plan, situation):
        for place, (old, new) in effect.items():
            if place not in targets and seen.running(place) == old and builds.newer(old, new):
                lost[place] = old
    return lost
