"""Makes an order of an intent: finds the target, looks at the world, decides the tag, and checks at every stage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace

from quarterdeck.core.charts.editing.edit_plan import NOTHING_TO_WRITE
from quarterdeck.core.charts.members import member, other_services
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.environment import Environment
from quarterdeck.core.model.errors import AbsentError, NotFoundError, Refusal, RequestError, TemporaryError
from quarterdeck.core.model.service import Service
from quarterdeck.core.orders.checks.check import Check
from quarterdeck.core.orders.editing import edit_of, taken_away, touched_by
from quarterdeck.core.orders.environments import resolve_environment
from quarterdeck.core.orders.order import Order, Reaching, Surveyed, Targeted
from quarterdeck.core.orders.refusals import ChartsSilent, NotInCharts
from quarterdeck.core.orders.tagging import Tagging
from quarterdeck.core.orders.targets import Targets
from quarterdeck.core.orders.which_part import which_part
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.rollout.intent import Intent, Target
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rollout.subject import Member, Subject
from quarterdeck.core.rules.moments import ProposedOrder
from quarterdeck.core.rules.reasons import Grounds
from quarterdeck.core.rules.ruling import Rule, permitted
from quarterdeck.core.rules.serving_order import in_serving_order
from quarterdeck.core.situation import Surveyor

#: seconds that git and cluster have to answer
_SURVEY_WITHIN = 10.0


class Orders:
    """Reads only; nothing is written before an order stands."""

    def __init__(
        self,
        catalogue: Catalogue,
        targets: Targets,
        tagging: Tagging,
        surveyor: Surveyor,
        checks: Mapping[Kind, Sequence[Check]],
        rules: Sequence[Rule],
        clock: Clock,
    ) -> None:
        self.catalogue, self.targets, self.tagging, self.surveyor = catalogue, targets, tagging, surveyor
        self.checks, self.rules, self.clock = checks, rules, clock

    async def services(self, target: Target) -> tuple[Service, ...]:
        """The services that a target means; see `Targets.services_of`."""
        try:
            return await self.targets.services_of(target)
        except TemporaryError as error:
            raise RequestError(ChartsSilent(str(error))) from error

    async def check(self, intent: Intent, kind: Kind, requester: str, services: Sequence[Service] = ()) -> Order:
        """Make an order of an intent, from the beginning, as the world is now.

        Args:
            requester: name of the person who asks.
            services: those it means, if they are known already; see `services`.

        Raises:
            RequestError: what does not fit; NotAllowedError where a rule refuses.
        """
        checks = self.checks[kind]
        targeted = await self._targeted(intent, kind, requester, services or await self.services(intent.target))
        await _pass(check.of_target(targeted) for check in checks)
        around = targeted.subject
        if kind != Kind.APPLY:
            # files that allow no edit are named before the registry is asked about tags that could not be written
            reaching = await self._reaching(targeted)
            await _pass(check.of_reach(reaching) for check in checks)
            around = await self._with_others(reaching)
        surveyed = await self._surveyed(targeted, around)
        await _pass(check.of_survey(surveyed) for check in checks)
        order = await self._order(surveyed, await self.tagging.choose(surveyed))
        await _pass(check.of_order(order) for check in checks)
        return replace(order, asking=self._judged(order, requester))

    async def which_part(self, service: Service, verb: str, environment: str) -> Refusal | None:
        """The refusal that asks which part is meant; None if the service has an image of its own, and it is in git."""
        try:
            snapshot = await self._snapshot((service,))
        except RequestError:
            if service.image:  # its pods can be told without git
                return None
            raise
        return await which_part(self.tagging, snapshot, service, verb, environment)

    # -- the stages of an order --------------------------------------------------------------------------------

    async def _targeted(self, intent: Intent, kind: Kind, requester: str, services: Sequence[Service]) -> Targeted:
        snapshot = await self._snapshot(services)
        members = [await asyncio.to_thread(member, snapshot, service, intent.target.part) for service in services]
        subject = Subject(tuple(members), intent.target.group)
        environments = self._environments(members)
        meant = resolve_environment(intent.environment, environments, intent.title, intent.verb)
        places = subject.places(environment.name for environment in meant)
        return Targeted(intent, kind, requester, subject, places, snapshot)

    async def _reaching(self, targeted: Targeted) -> Reaching:
        subject = targeted.subject
        touched = await touched_by(subject, targeted.snapshot, targeted.places, targeted.intent.pin)
        return Reaching(targeted, touched.files, other_services(subject, touched.services))

    async def _with_others(self, reaching: Reaching) -> Subject:
        """The subject, and behind it the other services that its edit moves too."""
        subject, snapshot = reaching.targeted.subject, reaching.targeted.snapshot
        own, known = subject.service, self.catalogue.services
        services = [known.get(name) or Service(name, "", own.image, suffix=own.suffix) for name in reaching.others]
        others = [await asyncio.to_thread(member, snapshot, service) for service in services]
        return Subject((*subject.members, *others), subject.group)

    async def _surveyed(self, targeted: Targeted, around: Subject) -> Surveyed:
        places = around.places(environment.name for environment in self._environments(around.members))
        situation = await self.surveyor.survey(around, places, _SURVEY_WITHIN, targeted.snapshot)
        return Surveyed(targeted, around, places, situation)

    async def _order(self, surveyed: Surveyed, tag: str) -> Order:
        targeted = surveyed.targeted
        plan = NOTHING_TO_WRITE
        if targeted.kind != Kind.APPLY:
            plan = await edit_of(targeted.subject, targeted.snapshot, targeted.places, tag, targeted.intent.pin)
            order_of_places = dict.fromkeys((*surveyed.seen, *plan.effect))
            effect = {place: plan.effect[place] for place in order_of_places if place in plan.effect}
            plan = replace(plan, effect=effect)
        return Order(
            intent=targeted.intent,
            kind=targeted.kind,
            subject=targeted.subject,
            around=surveyed.around,
            places=targeted.places,
            tag=tag,
            situation=surveyed.situation,
            snapshot=targeted.snapshot,
            plan=plan,
        )

    def _judged(self, order: Order, requester: str) -> Grounds | None:
        """What a person is asked before anything is written; NotAllowedError where a rule refuses the order."""
        environments = self.catalogue.environments
        proposed = ProposedOrder(
            requester=requester,
            kind=order.kind,
            service=order.service,
            places={place: environments[order.subject.at(place)[1]] for place in order.places},
            tag=order.tag,
            taken_away=taken_away(order.plan, order.places, order.situation),
        )
        reasons = permitted(proposed, self.clock.now(), self.rules)
        return Grounds(reasons, proposed) if reasons else None

    # -- reading -----------------------------------------------------------------------------------------------

    async def _snapshot(self, services: Sequence[Service]) -> Snapshot:
        try:
            return await self.targets.snapshot_at_tip(services)
        except TemporaryError as error:
            raise RequestError(ChartsSilent(str(error))) from error
        except AbsentError as error:
            raise NotFoundError(NotInCharts(str(error))) from error

    def _environments(self, members: Sequence[Member]) -> tuple[Environment, ...]:
        """The members' own environments that the catalogue knows, in the order they are served."""
        names = set[str]().union(*(one.environments for one in members))
        known = self.catalogue.environments.values()
        return in_serving_order(environment for environment in known if environment.name in names)


async def _pass(refusals: Iterable[Awaitable[Refusal | None]]) -> None:
    """Run checks one after the other; RequestError for the first that refuses."""
    for refusal in refusals:
        if (refused := await refusal) is not None:
            raise RequestError(refused)
