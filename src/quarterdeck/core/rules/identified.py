"""Who changes something is identified by the network."""

from __future__ import annotations

from datetime import datetime

from quarterdeck.core.rules.moments import SaidCommand
from quarterdeck.core.rules.refusals import AccountsNotShown, NotIdentified
from quarterdeck.core.rules.ruling import ALLOW, Refuse, Rule, Ruling


class IsIdentified(Rule):
    """Without an account nobody changes anything; a network that shows none just now is named instead of the person."""

    def on_command(self, command: SaidCommand, now: datetime) -> Ruling:
        """Judge somebody's command."""
        actor = command.actor
        if command.looks_only or actor.account is not None:
            return ALLOW
        if not actor.accounts_shown:
            return Refuse(AccountsNotShown(actor.network))
        return Refuse(NotIdentified(actor.network))
