"""What the use cases and queries are given to work with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quarterdeck.core.desk.acceptance import Acceptance
from quarterdeck.core.desk.apply_jobs import ApplyJobs
from quarterdeck.core.desk.authority import Authority
from quarterdeck.core.desk.grammar import Grammar
from quarterdeck.core.desk.refusals import NoRollout
from quarterdeck.core.desk.trial import TrialDiffs
from quarterdeck.core.desk.verb import Said, Vocabulary
from quarterdeck.core.model.answer import Answer
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import NotFoundError
from quarterdeck.core.orders.order import Order
from quarterdeck.core.orders.orders import Orders
from quarterdeck.core.orders.tagging import Tagging
from quarterdeck.core.orders.targets import Targets
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.files import Files
from quarterdeck.core.ports.host import Host
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.intent import Intent
from quarterdeck.core.rollout.pipeline import Pipelines
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rules.ruling import Rule
from quarterdeck.core.situation import Surveyor
from quarterdeck.core.worker.deployer import Deployer


@dataclass(frozen=True)
class Desk:
    """Everything that commands are carried out with.

    Attributes:
        host_name: the deploy host, as people call it.
    """

    catalogue: Catalogue
    vocabulary: Vocabulary
    grammar: Grammar
    authority: Authority
    orders: Orders
    acceptance: Acceptance
    apply_jobs: ApplyJobs
    trial: TrialDiffs
    deployer: Deployer
    targets: Targets
    tagging: Tagging
    surveyor: Surveyor
    pipelines: Pipelines
    rules: Sequence[Rule]
    store: Store
    files: Files
    host: Host
    voice: Voice
    clock: Clock
    redactor: Redactor
    host_name: str

    def tell(self, answer: Answer) -> list[str]:
        """The lines of an answer for everybody who hears the question."""
        return list(self.voice.answer(answer))

    def tell_speaker(self, said: Said, answer: Answer) -> list[str]:
        """The lines of an answer for the speaker alone."""
        return [said.to_speaker(line) for line in self.voice.answer(answer)]

    async def rollout(self, number: int) -> Rollout:
        """The rollout of a number. NotFoundError: there is none, or it cannot be read."""
        rollout = await self.store.get(number)
        if rollout is None:
            raise NotFoundError(NoRollout(number))
        return rollout

    async def order(self, said: Said, intent: Intent, kind: Kind) -> Order:
        """An order by somebody who may give it: for each service that it touches.

        Raises:
            RequestError: he may not, or it does not fit the world.
        """
        self.authority.permit(said.actor, said.verb)
        services = await self.orders.services(intent.target)
        for service in services:
            self.authority.permit(said.actor, said.verb, service)
        return await self.orders.check(intent, kind, said.actor.name, services)
