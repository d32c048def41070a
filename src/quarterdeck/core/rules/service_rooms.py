"""What changes a service is said where its people read it."""

from __future__ import annotations

from datetime import datetime

from quarterdeck.core.rules.moments import SaidCommand, Where
from quarterdeck.core.rules.refusals import NotSaidHere
from quarterdeck.core.rules.ruling import ALLOW, Refuse, Rule, Ruling


class IsSaidInAServiceRoom(Rule):
    """A service is changed from its own rooms; stopping and going back are possible in private too."""

    def on_command(self, command: SaidCommand, now: datetime) -> Ruling:
        """Judge somebody's command."""
        actor, service = command.actor, command.service
        if service is None or command.where is Where.ANYWHERE:
            return ALLOW
        if command.where is Where.SERVICE_ROOMS_OR_PRIVATE and not actor.room:
            return ALLOW
        if actor.room in service.rooms:
            return ALLOW
        return Refuse(NotSaidHere(service.name, service.rooms))
