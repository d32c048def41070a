"""Who changes something is in the catalogue."""

from __future__ import annotations

from datetime import datetime

from quarterdeck.core.rules.moments import SaidCommand
from quarterdeck.core.rules.refusals import UnknownAccount
from quarterdeck.core.rules.ruling import ALLOW, Refuse, Rule, Ruling


class IsInTheCatalogue(Rule):
    """An account that belongs to no person of the catalogue changes nothing."""

    def on_command(self, command: SaidCommand, now: datetime) -> Ruling:
        """Judge somebody's command."""
        actor = command.actor
        if command.looks_only or actor.person is not None:
            return ALLOW
        return Refuse(UnknownAccount(actor.account or actor.nick))
