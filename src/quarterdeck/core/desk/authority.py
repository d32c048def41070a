"""Asks the rules whether somebody may say a command."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.core.desk.verb import Verb
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import NotAllowedError
from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.service import Service
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rules.moments import SaidCommand
from quarterdeck.core.rules.ruling import Rule, permitted


class Authority:
    """Each method passes if no rule refuses; NotAllowedError says which does."""

    def __init__(self, catalogue: Catalogue, rules: Sequence[Rule], clock: Clock) -> None:
        self.catalogue, self.rules, self.clock = catalogue, rules, clock

    def permit(self, actor: Actor, verb: Verb, service: Service | None = None, going_back: bool = False) -> None:
        """Pass what is said about a service, or about nothing known yet; see `SaidCommand`."""
        command = SaidCommand(actor, verb.who, verb.where, service, going_back)
        permitted(command, self.clock.now(), self.rules)

    def permit_on(self, actor: Actor, verb: Verb, rollout: Rollout) -> None:
        """Pass what is said about a rollout: for each of its services, as the catalogue has it today."""
        for member in rollout.subject.members:
            service = self.catalogue.services.get(member.service.name, member.service)
            self.permit(actor, verb, service, going_back=rollout.kind == Kind.ROLLBACK)

    def may(self, actor: Actor, verb: Verb, rollout: Rollout) -> bool:
        """Whether a command about a rollout would pass."""
        try:
            self.permit_on(actor, verb, rollout)
        except NotAllowedError:
            return False
        return True
