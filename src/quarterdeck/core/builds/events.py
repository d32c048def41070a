"""What became of merged changes, as people are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quarterdeck.core.model.build import Build
from quarterdeck.core.model.event import Event
from quarterdeck.core.rollout.subject import Member


@dataclass(frozen=True)
class BuildEvent(Event):
    """Something that the rooms of whoever runs the image hear of.

    Attributes:
        build: with its tag as git has it.
        members: services and parts that run the image; at least one.
    """

    build: Build
    members: tuple[Member, ...]


@dataclass(frozen=True)
class ImageReady(BuildEvent):
    """The registry has the image.

    Attributes:
        commits_since: environment -> merged changes between what it runs and this build, where that is known.
        mends: the failed build that this one makes good; None if there is none.
    """

    commits_since: Mapping[str, int] = field(default_factory=dict)
    mends: Build | None = None


@dataclass(frozen=True)
class BuildFailed(BuildEvent):
    """CI says that no image came of the change."""


@dataclass(frozen=True)
class BuildSilent(BuildEvent):
    """Nobody said anything about an image for too long."""


@dataclass(frozen=True)
class TagPushedAgain(BuildEvent):
    """A tag that was announced names another image now.

    Attributes:
        digest_before: of the image that it named.
    """

    digest_before: str
