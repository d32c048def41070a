"""`!whoami`: who the speaker is to the bot, and what he may do."""

from __future__ import annotations

from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.text import clip
from quarterdeck.core.rules.refusals import NotIdentified


async def whoami(desk: Desk, said: Said) -> list[str]:
    """Account, person, groups; what a stranger is to do."""
    return [f"{said.actor.nick}: {_words(desk, said)}"]


def _words(desk: Desk, said: Said) -> str:
    account, person = said.actor.account, said.actor.person
    if account is None:
        return desk.voice.refusal(NotIdentified(said.actor.network), begun=True)
    if person is None:
        return (
            f"account {clip(account)}, unknown to me: ask for an entry in the catalogue's people. "
            "You may look, not deploy"
        )
    services = [service.name for service in desk.catalogue.services.values() if service.deployers & person.groups]
    groups = ", ".join(sorted(person.groups)) or "none"
    return (
        f"account {account} = {person.name} ({person.shell} on {desk.host_name}), "
        f"groups {groups}; may deploy {', '.join(services) or 'nothing'}"
    )
