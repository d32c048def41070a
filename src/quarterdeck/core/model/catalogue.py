"""Everything the bot knows beforehand: charts, environments, people, services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from quarterdeck.core.model.environment import Environment
from quarterdeck.core.model.person import Person
from quarterdeck.core.model.service import Service


class MergeMode(StrEnum):
    """Who submits a charts change."""

    GATE = "gate"  #: we vote, CI verifies and submits
    SUBMIT = "submit"  #: we vote, CI verifies, we submit


@dataclass(frozen=True)
class ChartsRepository:
    """Where the helmfile values live in Gerrit."""

    project: str
    branch: str = "master"
    services_dir: str = "helmfile.d/services"
    merge: MergeMode = MergeMode.GATE


@dataclass(frozen=True)
class Catalogue:
    """Everything the bot knows beforehand: charts, environments, people, services."""

    charts: ChartsRepository
    environments: Mapping[str, Environment]
    people: Mapping[str, Person]
    services: Mapping[str, Service]

    def person(self, network: str, account: str | None) -> Person | None:
        """The person behind an authenticated account, as its network writes it; None for a stranger."""
        if account is None:
            return None
        return next((person for person in self.people.values() if person.accounts.get(network) == account), None)

    @property
    def groups(self) -> tuple[str, ...]:
        """What may be said after `@`: the groups, and every service, whose shared file may make one."""
        return tuple(dict.fromkeys((*(s.group for s in self.services.values() if s.group), *self.services)))

    def group(self, name: str) -> tuple[Service, ...]:
        """The services that say they are in a group, in the catalogue's order."""
        return tuple(s for s in self.services.values() if s.group == name and name)
