"""The catalogue file (services.yaml): services, environments and people, or every mistake in it at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from quarterdeck.config.mistakes import SettingsError, in_words, suggestion
from quarterdeck.core.model.catalogue import Catalogue, ChartsRepository, MergeMode
from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.person import Person
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Part, Service
from quarterdeck.core.rollout.intent import ALL

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
#: people's keys that are no account of a network
PERSON_KEYS = ("shell", "groups", "email", "gerrit")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class _Charts(_Part):
    project: Text
    """Gerrit project of the charts."""
    branch: Text = "master"
    services_dir: Text = "helmfile.d/services"
    merge: MergeMode = MergeMode.GATE


class _Environment(_Part):
    kind: EnvironmentKind
    """Staging or production."""
    primary: bool = False


class _Person(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)
    shell: Text
    """Login name on the deploy host."""
    groups: tuple[Text, ...] = ()
    email: str = ""
    gerrit: str = ""


class _PartOfService(_Part):
    project: str = ""
    """Gerrit project of that part's code; empty if built elsewhere."""
    branch: Text = "master"
    images: Annotated[dict[Name, Text], Field(min_length=1)]
    """Release name and image of that part."""


class _Service(_Part):
    project: str = ""
    image: str = ""
    branch: Text = "master"
    suffix: str = "-production"
    image_suffix: str = ""
    group: str = ""
    canaries: tuple[Text, ...] = ("canary",)
    parts: dict[Name, _PartOfService] = Field(default_factory=dict)
    rooms: tuple[Text, ...] = ()
    deployers: tuple[Text, ...] = ("deployers",)


class CatalogueFile(_Part):
    """What services.yaml may say."""

    charts: _Charts
    """Where the helmfile values live in Gerrit."""
    environments: dict[Name, _Environment]
    """The helmfile environments in the order of a rollout."""
    people: dict[Name, _Person]
    """Who is who."""
    services: dict[Name, _Service]
    """What may be deployed."""


class _UniqueKeys(yaml.SafeLoader):
    """SafeLoader takes the last of two equal keys in silence: a service could vanish so."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} is here twice", key.start_mark)
        seen.add(key.value)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(path: Path, networks: Collection[str] = ("irc", "matrix")) -> Catalogue:
    """The catalogue of a file.

    Args:
        path: the YAML file.
        networks: names of the chat networks, as in the settings.

    Raises:
        SettingsError: with every mistake in words.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506  a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path.name}: cannot be read: {error}"]) from error
    except yaml.YAMLError as error:
        raise SettingsError([f"{path.name}: is no YAML: {' '.join(str(error).split())}"]) from error
    return parse(raw, networks)


def parse(raw: Any, networks: Collection[str] = ("irc", "matrix")) -> Catalogue:
    """The catalogue of what YAML gave; see `load`."""
    try:
        file = CatalogueFile.model_validate(raw)
    except ValidationError as error:
        raise SettingsError([*in_words(error, CatalogueFile), *_unknown_accounts(raw, networks)]) from None
    mistakes = [
        *_unknown_accounts(raw, networks),
        *_doubles(file, networks),
        *_service_mistakes(file, networks),
        *_environment_mistakes(file),
    ]
    if mistakes:
        raise SettingsError(mistakes)
    return Catalogue(
        charts=ChartsRepository(**file.charts.model_dump()),
        environments={
            name: Environment(name=name, kind=e.kind, primary=e.primary) for name, e in file.environments.items()
        },
        people={name: _person(name, person, networks) for name, person in file.people.items()},
        services={name: _service(name, service) for name, service in file.services.items()},
    )


def _person(name: str, person: _Person, networks: Collection[str]) -> Person:
    return Person(
        name=name,
        shell=person.shell,
        groups=frozenset(person.groups),
        accounts=_accounts(person, networks),
        email=person.email,
    )


def _accounts(person: _Person, networks: Collection[str]) -> dict[str, str]:
    said = {**(person.model_extra or {}), **({"gerrit": person.gerrit} if person.gerrit else {})}
    return {network: str(account) for network, account in said.items() if network in (*networks, "gerrit")}


def _service(name: str, service: _Service) -> Service:
    return Service(
        name=name,
        project=service.project,
        image=service.image,
        branch=service.branch,
        suffix=service.suffix,
        rooms=tuple(Room.parse(room) for room in service.rooms),
        deployers=frozenset(service.deployers),
        canaries=frozenset(service.canaries),
        image_suffix=service.image_suffix,
        parts={part: Part(p.project, p.branch, dict(p.images)) for part, p in service.parts.items()},
        group=service.group,
    )


def _unknown_accounts(raw: Any, networks: Collection[str]) -> list[str]:
    people = raw.get("people") if isinstance(raw, Mapping) else None
    known = (*PERSON_KEYS, *networks)
    mistakes = []
    for name, person in people.items() if isinstance(people, Mapping) else ():
        for key, value in person.items() if isinstance(person, Mapping) else ():
            if key not in known:
                mistakes.append(f"people.{name}.{key}: unknown key{suggestion(str(key), known)}")
            elif key in networks and not (isinstance(value, str) and value):
                mistakes.append(f"people.{name}.{key}: must be the name of an account")
    return mistakes


def _doubles(file: CatalogueFile, networks: Collection[str]) -> list[str]:
    """Accounts that two people claim: authority must not depend on an order."""
    owners: dict[tuple[str, str], str] = {}
    mistakes = []
    for name, person in file.people.items():
        for network, account in _accounts(person, networks).items():
            first = owners.setdefault((network, account.casefold()), name)
            if first != name:
                mistakes.append(f"people.{name}.{network}: the account {account} is {first}'s already")
    return mistakes


def _service_mistakes(file: CatalogueFile, networks: Collection[str]) -> list[str]:
    groups = {group for person in file.people.values() for group in person.groups}
    mistakes = []
    for name, service in file.services.items():
        where = f"services.{name}"
        if service.parts and (service.project or service.image):
            mistakes.append(f"{where}: has parts, so project and image belong to them")
        if not service.parts and not service.image:
            mistakes.append(f"{where}.image: is missing: repository in the registry, without host and tag")
        mistakes += _part_mistakes(where, service)
        if service.group and not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", service.group):
            mistakes.append(
                f"{where}.group: {service.group[:40]} cannot be said in chat: small letters, digits, dots, dashes"
            )
        if service.image_suffix and not re.fullmatch(r"[A-Za-z0-9._-]+", service.image_suffix):
            mistakes.append(
                f"{where}.image_suffix: {service.image_suffix[:40]} is no end of a tag: letters, digits, ._-"
            )
        mistakes += [
            f"{where}.rooms: {room} must be NETWORK/ROOM, with a network of {', '.join(networks)}"
            for room in service.rooms
            if not _is_on_one_of(networks, room)
        ]
        mistakes += [
            f"{where}.deployers: nobody is in the group {group}{suggestion(group, groups)}"
            for group in service.deployers
            if group not in groups
        ]
    return mistakes


def _is_on_one_of(networks: Collection[str], room: str) -> bool:
    try:
        return Room.parse(room).network in networks
    except ValueError:
        return False


def _part_mistakes(where: str, service: _Service) -> list[str]:
    """Parts are told apart by their names, whatever the letters' case, and by their images."""
    mistakes = []
    names: dict[str, str] = {}
    images: dict[str, str] = {}
    for name, part in service.parts.items():
        first = names.setdefault(name.lower(), name)
        if name.lower() == ALL:
            mistakes.append(f"{where}.parts.{name}: the name means all parts in chat, a part needs another")
        if first != name:
            mistakes.append(f"{where}.parts.{name}: {first} is the same in chat, where letters' case does not matter")
        for image in dict.fromkeys(part.images.values()):
            first = images.setdefault(image, name)
            if first != name:
                mistakes.append(f"{where}.parts.{name}.images: {image} is an image of the part {first} already")
    return mistakes


def _environment_mistakes(file: CatalogueFile) -> list[str]:
    mistakes = []
    primaries = [name for name, e in file.environments.items() if e.primary]
    if not file.environments:
        mistakes.append("environments: there must be at least one")
    if len(primaries) > 1:
        mistakes.append(f"environments: only one can be primary, not {', '.join(primaries)}")
    mistakes += [
        f"environments.{name}: the primary is a production environment"
        for name in primaries
        if file.environments[name].kind is not EnvironmentKind.PRODUCTION
    ]
    return mistakes
