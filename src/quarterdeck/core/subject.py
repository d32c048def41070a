"""What a command or a rollout is about: a service, one of its parts, or a group; and which images are its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from quarterdeck.core.charts import facade
from quarterdeck.core.model import place as places
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import EditRefusedError, NotFoundError
from quarterdeck.core.model.service import Service
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import spoken_target
from quarterdeck.core.rollout.rollout import Rollout


@dataclass(frozen=True)
class Member:
    """A service, or one part of it.

    Attributes:
        part: its name, "all" for every part, or empty for the service's own image.
        images: repositories whose containers are its own.
        ends: what the registry's tags have beyond those in git, e.g. "-score83"; none where they are equal.
        environments: those of its helmfile where it is, in that order; none where only the catalogue was read.
        parts: name -> images, where it has several and is not one of them; the service's own image has no name.
    """

    service: Service
    part: str = ""
    images: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def each(self) -> tuple[Member, ...]:
        """Its parts one by one."""
        return tuple(replace(self, part=name, images=images, parts={}) for name, images in self.parts.items())

    @property
    def meant(self) -> tuple[Member, ...]:
        """What it stands for: every part by itself where all are meant, else itself."""
        return self.each if self.part == facade.ALL else (self,)

    @property
    def is_part(self) -> bool:
        """Whether it is one part by its name, and not the whole service."""
        return self.part not in ("", facade.ALL)

    @property
    def title(self) -> str:
        """As people say it."""
        return spoken_target(self.service.name, self.part)

    @property
    def known(self) -> facade.CatalogueImages:
        """What the catalogue tells the values editor."""
        return known(self.service)

    def release_images(self, tree: Tree, environment: str) -> dict[str, tuple[facade.ReleaseImage, ...]]:
        """Release -> the images it is to run; raises as `facade.release_images` does."""
        return facade.release_images(tree, self.service.name, environment, self.known, self.part)

    def plain_images(self, tag: str) -> tuple[facade.ReleaseImage, ...]:
        """Its images with a tag of git, by what is known of it without files."""
        return tuple(facade.ReleaseImage(name, tag, end) for name in self.images for end in self.ends or ("",))

    def in_git(self, tag: str) -> str:
        """A tag of the registry as it would stand in git; "" if it has none of the ends that it must have."""
        if not self.ends:
            return tag
        fitting = [end for end in self.ends if tag.endswith(end)]
        return tag.removesuffix(max(fitting, key=len)) if fitting else ""

    def owes(self, debt: Debt) -> bool:
        """Whether a debt of the service is (also) this part's."""
        whole = not debt.part and not self.service.image  # else it is that of the service's own image
        return whole or self.part in ("", facade.ALL, debt.part)


@dataclass(frozen=True)
class Subject:
    """One member, or several that are served one after the other.

    Attributes:
        members: the first one's rooms, people and suffix count.
        group: its name; empty for one member.
    """

    members: tuple[Member, ...]
    group: str = ""

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
        return self.part in ("", facade.ALL, part) or part in ("", facade.ALL)

    def at(self, place: str) -> tuple[Member, str]:
        """The member that a place belongs to, and the environment."""
        service, environment = places.split(place, self.service.name)
        return next(m for m in self.members if m.service.name == service), environment

    def spoken(self, place: str) -> str:
        """A place for people; in a group the service is always named."""
        member, environment = self.at(place)
        return f"{member.service.name} {environment}" if self.group or "/" in place else environment

    def place(self, member: Member, environment: str) -> str:
        """The place of a member's environment."""
        return places.named(member.service.name, environment, self.service.name)

    def places(self, environments: Iterable[str]) -> tuple[str, ...]:
        """The places of environments: one environment after the other, in each all members that are there."""
        return tuple(self.place(m, e) for e in environments for m in self.members if e in m.environments)

    def plan(self, trees: Mapping[str, Tree], where: Iterable[str], tag: str, pin: bool = False) -> facade.EditPlan:
        """The edit that gives places the tag, over all members; see `facade.plan`.

        Args:
            trees: service -> its files at the pinned commit.
            where: the places.

        Raises:
            EditRefusedError: the files of one of them do not allow a safe edit.
        """
        done = facade.EditPlan(already=True)
        targets = [self.at(place) for place in where]
        named = dict.fromkeys(environment for _, environment in targets)
        by_hand = f"!apply {self.title} {next(iter(named)) if len(named) == 1 else 'production'}"
        for each in self.members:
            environments = [environment for mine, environment in targets if mine is each]
            if not environments:
                continue
            name, tree = each.service.name, trees[each.service.name]
            here = replace(tree, files={**tree.files, **done.files})
            found = facade.plan(here, name, environments, tag, each.known, each.part, pin, by_hand)
            own = self.service.name
            effect, parts = _placed(found.effect, name, own), found.parts.items()
            apart = {part if part in each.parts else "": _placed(tags, name, own) for part, tags in parts}
            moved = replace(found, effect=effect, parts=apart)
            done = facade.joined(done, moved)
        return done

    def others(self, plan: facade.EditPlan) -> tuple[str, ...]:
        """Services outside of the subject that an edit changes too."""
        mine = {m.service.name for m in self.members}
        return tuple(name for name in plan.others if name not in mine)


def _placed(effect: Mapping[str, tuple[str, str]], name: str, own: str) -> dict[str, tuple[str, str]]:
    """A service's effect with its places named as the service *own* names them."""
    return {places.named(*places.split(place, name), own): tags for place, tags in effect.items()}


def known(service: Service) -> facade.CatalogueImages:
    """What the catalogue says of a service's images."""
    parts = {name: tuple(dict.fromkeys(part.images.values())) for name, part in service.parts.items()}
    return facade.CatalogueImages(service.image, parts, service.image_suffix)


def whole(service: Service) -> Member:
    """A service as the catalogue alone describes it."""
    return Member(service, "", service.images, (service.image_suffix,) if service.image_suffix else ())


def built_from(catalogue: Catalogue, project: str, image: str = "") -> tuple[Member, ...]:
    """The members whose images a Gerrit project builds, or that run one image of it, by the catalogue alone."""
    found = []
    for service in catalogue.services.values():
        if service.image and (service.image == image if image else service.project == project):
            found.append(whole(service))
        for name, part in service.parts.items():
            images = tuple(dict.fromkeys(part.images.values()))
            if image in images if image else part.project == project:
                found.append(Member(service, name, images, whole(service).ends))
    return tuple(found)


def in_git(members: Iterable[Member], tag: str) -> str:
    """A registry's tag as it stands in git, without the end that it has for one of these members."""
    ends = {end for m in members for end in m.ends if tag.endswith(end)}
    return tag.removesuffix(max(ends, key=len)) if ends else tag


def spoken_members(members: Sequence[Member]) -> str:
    """What to say for all of them in a command: their group where it is one, else the first."""
    groups = {m.service.group for m in members}
    group = groups.pop() if len(groups) == 1 and len(members) > 1 else ""
    return spoken_target(members[0].service.name, members[0].part, group)


def member(tree: Tree, service: Service, part: str = "") -> Member:
    """A service or one of its parts, by what its files say.

    Args:
        part: as typed; letters' case does not matter.

    Raises:
        NotFoundError: no such part; names those there are.
        EditRefusedError: a part was named, and files cannot be read.
    """
    try:
        found = facade.parts_of(tree, service.name, known(service))
    except EditRefusedError:
        if part:
            raise
        return replace(whole(service), environments=facade.environments(tree, service.name))
    images = (service.image,) if service.image else service.images
    environments = facade.environments(tree, service.name)
    parts: dict[str, tuple[str, ...]] = {}
    if part == facade.ALL or (not part and len(found) > 1):
        parts = {"" if service.image in each.images else each.name: each.images for each in found}
    if part == facade.ALL:
        images = tuple(dict.fromkeys(image for each in found for image in each.images)) or images
    elif part:
        mine = next((each for each in found if each.name.casefold() == part.casefold()), None)
        if mine is None:
            names = ", ".join(f"{service.name}/{each.name}" for each in found)
            raise NotFoundError(f"no part {part[:40]} of {service.name}: say {names or service.name}. Nothing done")
        part, images = mine.name, mine.images or images
        environments = tuple(name for name in environments if name in mine.tags)
        if service.image and service.image in images:
            part = ""  # the service's own image by its part's name
    plain = Member(service, part, images, (), environments, parts)
    return replace(plain, ends=_ends(tree, plain) or whole(service).ends)


def _ends(tree: Tree, plain: Member) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for environment in plain.environments:
        try:
            named = plain.release_images(tree, environment)
        except EditRefusedError:  # the part is not in that environment
            continue
        found |= {image.end: None for images in named.values() for image in images if image.end}
    return tuple(found)


def of_rollout(catalogue: Catalogue, rollout: Rollout) -> Subject:
    """The subject that a rollout was made for."""
    images, ends = rollout.briefing.images, rollout.briefing.registry_suffixes
    parts = rollout.briefing.part_images
    members = []
    for name in rollout.services:
        plain = whole(catalogue.services[name])
        mine, end = tuple(images.get(name, plain.images)), tuple(ends.get(name, plain.ends))
        members.append(Member(plain.service, rollout.part, mine, end, (), parts))
    return Subject(tuple(members), rollout.group)


def owed(members: Iterable[Member], debts: Iterable[Debt]) -> tuple[Debt, ...]:
    """The debts that are theirs."""
    mine = {m.service.name: m for m in members}
    return tuple(d for d in debts if d.service in mine and mine[d.service].owes(d))
