"""The moments at which the rules are asked, each with what they may know then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from quarterdeck.core.model.environment import Environment
from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.service import Service


class Who(Enum):
    """Whom a command is for."""

    EVERYONE = "everyone"
    DEPLOYERS = "deployers"  #: of every service it is about
    DEPLOYERS_AND_RESCUERS = "deployers and rescuers"  #: going back is for those on call too


class Where(Enum):
    """Where a command may be said."""

    ANYWHERE = "anywhere"
    SERVICE_ROOMS = "service rooms"
    SERVICE_ROOMS_OR_PRIVATE = "service rooms or private"


@dataclass(frozen=True)
class SaidCommand:
    """Somebody says a command.

    Attributes:
        actor: who, as the transport vouches for it.
        service: one that it is about; None while that is not known yet.
        going_back: it is about a rollback under way: who may begin one may answer, stop and retry it.
    """

    actor: Actor
    who: Who
    where: Where
    service: Service | None = None
    going_back: bool = False

    @property
    def looks_only(self) -> bool:
        """Whether it changes nothing."""
        return self.who is Who.EVERYONE


@dataclass(frozen=True)
class ProposedOrder:
    """An order that was checked against the world and may become a rollout.

    Attributes:
        requester: the person's name.
        places: the targets, in the order they are served, each with its environment.
        tag: as git would have it; empty where git has several.
        taken_away: other places that would lose the tag they run to an older one, with that tag.
    """

    requester: str
    kind: str
    service: Service
    places: Mapping[str, Environment]
    tag: str
    taken_away: Mapping[str, str]


class Difference(Protocol):
    """What the diff of one place says."""

    @property
    def changes(self) -> bool:
        """Whether anything would change."""
        ...

    @property
    def surprises(self) -> Sequence[str]:
        """What else than the image would change, each in words."""
        ...

    @property
    def summary(self) -> str:
        """All of it in half a line."""
        ...

    @property
    def pods(self) -> int:
        """How many would restart."""
        ...


@dataclass(frozen=True)
class PlaceDifference:
    """A `Difference` in memory."""

    changes: bool
    surprises: tuple[str, ...]
    summary: str
    pods: int = 0


_UNREADABLE = "the diff could not be read"
#: stands for a diff that could not be read: never taken for harmless
UNREAD = PlaceDifference(changes=True, surprises=(_UNREADABLE,), summary=_UNREADABLE)


@dataclass(frozen=True)
class ShownPlan:
    """What would be applied, as the diffs show it.

    Attributes:
        requester: the person's name.
        own: the rollout's own service.
        places: the targets, in the order they are served, each with its environment.
        differences: place -> its diff; missing where it could not be read.
        beginner: whether this is one of the person's first rollouts.
    """

    requester: str
    kind: str
    own: str
    places: Mapping[str, Environment]
    differences: Mapping[str, Difference]
    beginner: bool = False

    def difference(self, place: str) -> Difference:
        """The diff of a place."""
        return self.differences.get(place, UNREAD)

    @property
    def changing(self) -> tuple[str, ...]:
        """The places where anything would change."""
        return tuple(place for place in self.places if self.difference(place).changes)

    @property
    def surprises(self) -> tuple[str, ...]:
        """What else than the image would change: each once, in the order of the places."""
        each_once: dict[str, None] = {}
        for place in self.changing:
            each_once |= dict.fromkeys(self.difference(place).surprises)
        return tuple(each_once)
