"""What is refused while an order is made: facts only, the sentences stand in `views/refusals.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quarterdeck.core.model.errors import Refusal


@dataclass(frozen=True)
class NotYet(Refusal):
    """A form of command that is planned.

    Attributes:
        word: as typed.
    """

    word: str


@dataclass(frozen=True)
class NoEnvironment(Refusal):
    """The service has no such environment.

    Attributes:
        word: as typed.
        service: empty where it does not matter.
        near: what was probably meant; empty if nothing is near.
        others: what else there is.
    """

    word: str
    service: str
    verb: str
    near: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class ChartsSilent(Refusal):
    """Gerrit does not answer."""

    why: str


@dataclass(frozen=True)
class NotInCharts(Refusal):
    """The charts have no such service."""

    why: str


@dataclass(frozen=True)
class RegistrySilent(Refusal):
    """The registry does not answer."""

    why: str


@dataclass(frozen=True)
class NotOneOfAGroup(Refusal):
    """The service shares its tag with no other of the catalogue.

    Attributes:
        group: that it is in by another name; empty if it is in none.
    """

    service: str
    group: str


@dataclass(frozen=True)
class DeployedInParts(Refusal):
    """It is no group: its parts have a tag each."""

    service: str


@dataclass(frozen=True)
class SharersUnknown(Refusal):
    """The files do not tell with whom the service shares its tag."""

    service: str
    why: str


@dataclass(frozen=True)
class NotInGit(Refusal):
    """The service's tag is not in git.

    Attributes:
        environment: as said; empty if none was.
    """

    service: str
    environment: str


@dataclass(frozen=True)
class NoSafeEdit(Refusal):
    """The files do not allow a safe edit."""

    why: str


@dataclass(frozen=True)
class OfferedPart:
    """One part that may be meant.

    Attributes:
        files: how many hold its tag.
        tags: that git says.
        newest: that was announced; empty if none was.
    """

    title: str
    files: int
    tags: tuple[str, ...]
    newest: str


@dataclass(frozen=True)
class WhichPart(Refusal):
    """The service has several parts, and none was named.

    Attributes:
        suffix: the usual end of its tags.
        offered: the first few.
        hidden: how many more there are.
        example: title of the part to show a command with.
        tag_is_needed: whether that command needs a tag, because none was announced.
        every: what means all of them; empty where there is one.
    """

    service: str
    verb: str
    environment: str
    suffix: str
    offered: tuple[OfferedPart, ...]
    hidden: int
    example: str
    tag_is_needed: bool
    every: str


@dataclass(frozen=True)
class TagIsShared(Refusal):
    """One file holds the tag of several services, and nobody said that the others may move.

    Attributes:
        file: from the root of the charts.
        services: how many share it.
        group: by what name all of them are deployed together.
        declared: whether the catalogue says who is in it, not the file.
        members: how many of them a command for the group serves.
        strangers: those that it does not.
        environment: as said.
    """

    service: str
    verb: str
    environment: str
    file: str
    services: int
    group: str
    declared: bool
    members: int
    strangers: tuple[str, ...]


@dataclass(frozen=True)
class AloneIsForOne(Refusal):
    """`--alone` was said for a group."""

    title: str


@dataclass(frozen=True)
class PlacesUnseen(Refusal):
    """The cluster does not show what runs.

    Attributes:
        service: the order's own, for the names of places.
        why: what the first of them said.
    """

    title: str
    service: str
    places: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class ImagesMissing(Refusal):
    """The registry has not got what the edit makes somebody run.

    Attributes:
        references: `name:tag`.
    """

    references: tuple[str, ...]


@dataclass(frozen=True)
class UndoesNewerBump(Refusal):
    """Git has a newer tag that runs nowhere and is no rollout's: somebody put it there by hand.

    Attributes:
        title: what to deploy to go forward.
        whose: the service or part whose tag it is.
        bump: the tag that git says.
        tag: the tag that was asked for.
        suffix: the usual end of its tags.
        alone: whether the command said so.
    """

    title: str
    whose: str
    environment: str
    bump: str
    tag: str
    suffix: str
    alone: bool


@dataclass(frozen=True)
class Ways:
    """What to type instead: the whole with a tag, or its parts one by one.

    Attributes:
        word: the environment, as said.
        parts: titles of the parts that all are meant; none where it is one.
    """

    verb: str
    title: str
    word: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class LatestIsNoTag(Refusal):
    """`latest` was said."""


@dataclass(frozen=True)
class NoTag(Refusal):
    """A word that has not the form of a tag."""

    word: str


@dataclass(frozen=True)
class SeveralTags(Refusal):
    """The word is a tag, and so it is with its usual suffix."""

    word: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class TagNotInRegistry(Refusal):
    """The registry has no such tag.

    Attributes:
        newest: the last few that it has and that may be deployed.
    """

    word: str
    newest: tuple[str, ...]


@dataclass(frozen=True)
class NotForServices(Refusal):
    """A candidate, or a development image."""

    tag: str


@dataclass(frozen=True)
class NothingAnnounced(Refusal):
    """No tag was said, and no image was announced."""

    title: str
    verb: str
    word: str


@dataclass(frozen=True)
class SeveralNewest(Refusal):
    """The parts' newest images differ.

    Attributes:
        newest: title of a part -> its newest tag; empty if none was announced.
    """

    title: str
    verb: str
    word: str
    suffix: str
    newest: Mapping[str, str]


@dataclass(frozen=True)
class NoStaging(Refusal):
    """There is no staging to take the tag from."""

    title: str


@dataclass(frozen=True)
class StagingUnseen(Refusal):
    """The cluster does not show what staging runs.

    Attributes:
        place: as people say it.
    """

    place: str
    why: str


@dataclass(frozen=True)
class StagingIsNoProof(Refusal):
    """Staging does not run one tag with all pods ready.

    Attributes:
        place: as people say it.
        tags: tag -> (ready pods, all pods).
    """

    title: str
    place: str
    suffix: str
    tags: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class StagingDiffers(Refusal):
    """Staging proves several tags.

    Attributes:
        services: tag -> the services that run it there.
        group: whether it is about a group.
    """

    suffix: str
    services: Mapping[str, tuple[str, ...]]
    group: bool
    ways: Ways


@dataclass(frozen=True)
class BackToWhat(Refusal):
    """No one tag ran before in all places.

    Attributes:
        ran: place, as people say it -> the tags that ran there.
    """

    suffix: str
    ran: Mapping[str, frozenset[str]]
    ways: Ways


@dataclass(frozen=True)
class BackAlready(Refusal):
    """What failed is mended already.

    Attributes:
        number: of the rollout that failed there.
        tag: that git and pods have.
    """

    title: str
    environments: tuple[str, ...]
    tag: str
    suffix: str
    number: int
