"""What is told of merged changes and their images, in the rooms of whoever runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.core.builds.events import BuildEvent, BuildFailed, BuildSilent, ImageReady, TagPushedAgain
from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.subject import spoken_members
from quarterdeck.views import words
from quarterdeck.views.sentences import Sentences, Words

#: characters of a change's subject
_SUBJECT = 80
#: characters of a digest, with its algorithm
_DIGEST = 19


@dataclass(frozen=True)
class CommonWords(Words):
    """What every line about a build may use.

    Attributes:
        names: of the services and parts that run the image.
        target: what to say for all of them in a command.
        owner: the change's, without highlighting him.
    """

    names: tuple[str, ...]
    target: str
    tag: str
    change: int
    subject: str
    owner: str


@dataclass(frozen=True)
class ReadyWords(Words):
    """The image is there.

    Attributes:
        since: how many commits it is ahead, one text for staging and one for production.
        mends: number of the failed change that it makes good; 0 for none.
    """

    template = "build_ready"

    since: tuple[str, ...]
    mends: int


@dataclass(frozen=True)
class FailedWords(Words):
    """No image came of it."""

    template = "build_failed"


@dataclass(frozen=True)
class SilentWords(Words):
    """Nobody said anything.

    Attributes:
        waited: seconds since the merge.
    """

    template = "build_silent"

    waited: float


@dataclass(frozen=True)
class PushedAgainWords(Words):
    """The tag names another image.

    Attributes:
        was: the digest before.
        now: the digest it has.
    """

    template = "build_again"

    was: str
    now: str


def build_lines(
    event: BuildEvent, sentences: Sentences, now: datetime, environments: Mapping[str, Environment]
) -> tuple[Line, ...]:
    """The same line for each room of whoever runs the image.

    Args:
        now: aware UTC.
        environments: name -> environment, of the catalogue.
    """
    text = sentences.told(_words_of(event, now, environments), _common_words(event))
    rooms: list[Room] = []
    for member in event.members:
        rooms += member.service.rooms
    return tuple(Line(room, text) for room in dict.fromkeys(rooms))


def _common_words(event: BuildEvent) -> CommonWords:
    build, members = event.build, event.members
    return CommonWords(
        names=tuple(member.title for member in members),
        target=spoken_members(members),
        tag=short_tag(build.tag, members[0].service.suffix),
        change=build.change,
        subject=build.subject[:_SUBJECT],
        owner=words.quiet(build.owner),
    )


def _words_of(event: BuildEvent, now: datetime, environments: Mapping[str, Environment]) -> Words:
    match event:
        case ImageReady():
            return ReadyWords(_ahead(event.commits_since, environments), event.mends.change if event.mends else 0)
        case BuildFailed():
            return FailedWords()
        case BuildSilent():
            return SilentWords((now - event.build.merged).total_seconds())
        case TagPushedAgain():
            return PushedAgainWords(event.digest_before[:_DIGEST], event.build.digest[:_DIGEST])
    raise NotImplementedError(f"no words for {event!r}")


def _ahead(commits_since: Mapping[str, int], environments: Mapping[str, Environment]) -> tuple[str, ...]:
    """`3 commits since staging`, `9 since production`; production counts from the one furthest behind."""
    texts: list[str] = []
    for kind in (EnvironmentKind.STAGING, EnvironmentKind.PRODUCTION):
        counts = [number for name, number in commits_since.items() if environments[name].kind is kind]
        most = max(counts, default=0)
        if most:
            number = str(most) if texts else words.count(most, "commit")
            texts.append(f"{number} since {kind.value}")
    return tuple(texts)
