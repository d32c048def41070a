"""What an order or a rollout is about: a service, one of its parts, or a group; and which images are its own.

Plain data: a rollout stores it, so that a catalogue that changes later changes nothing about the rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from quarterdeck.core.model import place as places
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.environment import Environment
from quarterdeck.core.model.service import Service
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import ALL, spoken_target


@dataclass(frozen=True)
class Member:
    """A service, or one part of it.

    Attributes:
        part: its name, "all" for every part, or empty for the service's own image.
        images: repositories whose containers are its own.
        registry_suffixes: what the registry's tags have beyond those in git, e.g. "-score83"; none where they are equal.
        environments: those of its helmfile where it is, in that order; none where only the catalogue was read.
        parts: name -> images, where it has several and is not one of them; the service's own image has no name.
    """

    service: Service
    part: str = ""
    images: tuple[str, ...] = ()
    registry_suffixes: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def single_parts(self) -> tuple[Member, ...]:
        """Its parts one by one."""
        return tuple(replace(self, part=name, images=images, parts={}) for name, images in self.parts.items())

    @property
    def meant(self) -> tuple[Member, ...]:
        """What it stands for: every part by itself where all are meant, else itself."""
        return self.single_parts if self.part == ALL else (self,)

    @property
    def is_part(self) -> bool:
        """Whether it is one part by its name, and not the whole service."""
        return self.part not in ("", ALL)

    @property
    def title(self) -> str:
        """As people say it."""
        return spoken_target(self.service.name, self.part)

    def in_git(self, registry_tag: str) -> str:
        """A tag of the registry as it would stand in git; "" if it has none of the suffixes that it must have."""
        if not self.registry_suffixes:
            return registry_tag
        fitting = [suffix for suffix in self.registry_suffixes if registry_tag.endswith(suffix)]
        return registry_tag.removesuffix(max(fitting, key=len)) if fitting else ""

    def owes(self, debt: Debt) -> bool:
        """Whether a debt of the service is (also) this part's."""
        of_all_parts = not debt.part and not self.service.image  # else it is that of the service's own image
        return of_all_parts or self.part in ("", ALL, debt.part)


@dataclass(frozen=True)
class Subject:
    """One member, or several that are served one after the other.

    Attributes:
        members: the first one's rooms, people and suffix count.
        group: its name; empty for one member.
        environments: name -> what is known of the environments that a rollout of it serves.
    """

    members: tuple[Member, ...]
    group: str = ""
    environments: Mapping[str, Environment] = field(default_factory=dict)

    @property
    def own(self) -> Member:
        """The first member."""
        return self.members[0]

    @property
    def service(self) -> Service:
        """The first member's service."""
        return self.own.service

    @property
    def part(self) -> str:
        """The part, where it is one."""
        return self.own.part

    @property
    def title(self) -> str:
        """As people say it."""
        return spoken_target(self.service.name, self.part, self.group)

    def covers(self, part: str) -> bool:
        """Whether a rollout of that part of the service is (also) about this."""
        return self.part in ("", ALL, part) or part in ("", ALL)

    def at(self, place: str) -> tuple[Member, str]:
        """The member that a place belongs to, and the environment."""
        name, environment = places.split(place, self.service.name)
        for member in self.members:
            if member.service.name == name:
                return member, environment
        raise KeyError(f"{place} is no place of {self.title}")

    def environment(self, place: str) -> Environment:
        """What is known of the environment of a place."""
        return self.environments[self.at(place)[1]]

    def spoken(self, place: str) -> str:
        """A place for people; in a group the service is always named."""
        member, environment = self.at(place)
        return f"{member.service.name} {environment}" if self.group or "/" in place else environment

    def place(self, member: Member, environment: str) -> str:
        """The place of a member's environment."""
        return places.named(member.service.name, environment, self.service.name)

    def places(self, environments: Iterable[str]) -> tuple[str, ...]:
        """The places of environments: one environment after the other, in each all members that are there."""
        places_in_order: list[str] = []
        for environment in environments:
            present = [member for member in self.members if environment in member.environments]
            places_in_order += [self.place(member, environment) for member in present]
        return tuple(places_in_order)


def whole(service: Service) -> Member:
    """A service as the catalogue alone describes it."""
    return Member(service, "", service.images, (service.image_suffix,) if service.image_suffix else ())


def built_from(catalogue: Catalogue, project: str, image: str = "") -> tuple[Member, ...]:
    """The members whose images a Gerrit project builds, or that run one image of it, by the catalogue alone."""
    members: list[Member] = []
    for service in catalogue.services.values():
        if service.image and (service.image == image if image else service.project == project):
            members.append(whole(service))
        for name, part in service.parts.items():
            images = tuple(dict.fromkeys(part.images.values()))
            if image in images if image else part.project == project:
                members.append(Member(service, name, images, whole(service).registry_suffixes))
    return tuple(members)


def in_git(members: Iterable[Member], registry_tag: str) -> str:
    """A registry's tag as it stands in git, without the suffix that it has for one of these members."""
    suffixes = {suffix for member in members for suffix in member.registry_suffixes}
    fitting = [suffix for suffix in suffixes if registry_tag.endswith(suffix)]
    return registry_tag.removesuffix(max(fitting, key=len)) if fitting else registry_tag


def spoken_members(members: Sequence[Member]) -> str:
    """What to say for all of them in a command: their group where it is one, else the first."""
    groups = {member.service.group for member in members}
    group = groups.pop() if len(groups) == 1 and len(members) > 1 else ""
    return spoken_target(members[0].service.name, members[0].part, group)


def owed(members: Iterable[Member], debts: Iterable[Debt]) -> tuple[Debt, ...]:
    """The debts that are theirs."""
    by_service = {member.service.name: member for member in members}
    return tuple(debt for debt in debts if debt.service in by_service and by_service[debt.service].owes(debt))
