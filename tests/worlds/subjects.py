"""Subjects for tests that need a rollout and no world: what it is about, made from names."""

from __future__ import annotations

from collections.abc import Iterable

from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.place import split
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.rollout.subject import Member, Subject


def environment(name: str) -> Environment:
    """An environment by its name: staging, or production with eqiad as the primary."""
    kind = EnvironmentKind.STAGING if name == "staging" else EnvironmentKind.PRODUCTION
    return Environment(name, kind, name == "eqiad")


def subject(service: str = "citoid", part: str = "", group: str = "", places: Iterable[str] = ("staging",)) -> Subject:
    """What a rollout of these places is about; a place of another service makes that one a member too."""
    targets = [split(place, service) for place in places]
    names = dict.fromkeys((service, *(name for name, _ in targets)))
    members = tuple(
        Member(Service(name, f"services/{name}", f"wikimedia/{name}", rooms=(Room("irc", "#deploy"),)), part)
        for name in names
    )
    return Subject(members, group, {name: environment(name) for _, name in targets})
