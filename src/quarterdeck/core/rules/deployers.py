"""A service is changed by its deployers; those on call may go back."""

from __future__ import annotations

from datetime import datetime

from quarterdeck.core.rules.moments import SaidCommand, Who
from quarterdeck.core.rules.refusals import NotADeployer
from quarterdeck.core.rules.ruling import ALLOW, Refuse, Rule, Ruling

#: groups whose people may take any service back
RESCUERS = frozenset({"sre"})


class MayDeploy(Rule):
    """The person is in one of the service's groups, or in one of the rescuers' where the command goes back."""

    def on_command(self, command: SaidCommand, now: datetime) -> Ruling:
        """Judge somebody's command."""
        person, service = command.actor.person, command.service
        if service is None or command.looks_only:
            return ALLOW
        groups = service.deployers
        if command.going_back or command.who is Who.DEPLOYERS_AND_RESCUERS:
            groups |= RESCUERS
        groups_of_person = person.groups if person else frozenset()
        if groups & groups_of_person:
            return ALLOW
        return Refuse(NotADeployer(service.name, groups, command.actor.account or "", groups_of_person))
