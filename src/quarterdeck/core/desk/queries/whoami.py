"""`!whoami`: who the speaker is to the bot, and what he may do."""

from __future__ import annotations

from quarterdeck.core.desk.answers import KnownPerson, UnknownAccount
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.person import Person
from quarterdeck.core.rules.refusals import NotIdentified


async def whoami(desk: Desk, said: Said) -> list[str]:
    """Account, person, groups; what a stranger is to do."""
    actor = said.actor
    if actor.account is None:
        lines: tuple[str, ...] = (desk.voice.refusal(NotIdentified(actor.network), begun=True),)
    elif actor.person is None:
        lines = desk.voice.answer(UnknownAccount(actor.account))
    else:
        lines = desk.voice.answer(
            KnownPerson(actor.account, actor.person, desk.host_name, _may_deploy(desk, actor.person))
        )
    return [f"{actor.nick}: {line}" for line in lines]


def _may_deploy(desk: Desk, person: Person) -> tuple[str, ...]:
    """Names of the services that are for one of his groups."""
    return tuple(service.name for service in desk.catalogue.services.values() if service.deployers & person.groups)
