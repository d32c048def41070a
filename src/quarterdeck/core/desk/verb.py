"""What the bot knows of a verb: how it is said, by whom and where, and when its turn is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.text import nearest
from quarterdeck.core.rules.moments import Where, Who


class Turn(Enum):
    """When a command is carried out, among others of the same person."""

    IN_ORDER = "in order"  #: after those that were said before it
    FREELY = "freely"  #: beside all others
    AT_ONCE = "at once"  #: beside all others, however many slow ones are under way


@dataclass(frozen=True)
class Words:
    """What follows a verb that is about a service, each as `usage` shows it; empty for what does not follow.

    Attributes:
        environment: `ENV`, or `[ENV]` where one stands in.
        usual_environment: stands in for a missing one.
        options: that the verb takes, each with its two dashes.
    """

    environment: str = ""
    tag: str = ""
    options: frozenset[str] = frozenset()
    usual_environment: str = ""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb.

    Attributes:
        aliases: other verbs for the same.
        who: whom it is for; everyone, if it only looks.
        brief: how the one-line help shows it; empty if it does not.
        help: all that `!help VERB` says.
        in_a_room: what must follow it in a room, where it was not said to us by name: other bots know the verb too.
    """

    name: str
    help: str
    aliases: tuple[str, ...] = ()
    words: Words = field(default_factory=Words)
    who: Who = Who.EVERYONE
    where: Where = Where.ANYWHERE
    turn: Turn = Turn.FREELY
    brief: str = ""
    in_a_room: re.Pattern[str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is said by."""
        return (self.name, *self.aliases)

    @property
    def changes_something(self) -> bool:
        """Whether it is an order."""
        return self.who is not Who.EVERYONE

    def usage(self, service: str = "", environment: str = "") -> str:
        """The exact command to type: `!deploy citoid ENV [TAG]`."""
        words = (service or "SERVICE", environment or self.words.environment, self.words.tag)
        return " ".join(filter(None, (f"!{self.name}", *words)))


@dataclass(frozen=True)
class Said:
    """A command as somebody said it.

    Attributes:
        text: the words after the verb.
    """

    verb: Verb
    actor: Actor
    text: str = ""

    def to_speaker(self, text: str) -> str:
        """An answer for the speaker alone; in a room it begins with his nick, unless it is of a rollout (`#42 …`)."""
        return text if text.startswith("#") else to_person(self.actor, text)


class Vocabulary:
    """All verbs, found by what people type."""

    def __init__(self, verbs: Iterable[Verb], planned: Iterable[str] = ()) -> None:
        self.verbs = tuple(verbs)
        self.planned = frozenset(planned)
        self._by_name = {name: verb for verb in self.verbs for name in verb.names}

    def __iter__(self) -> Iterator[Verb]:
        return iter(self.verbs)

    def find(self, word: str) -> Verb | None:
        """The verb of that name or alias."""
        return self._by_name.get(word)

    def nearest(self, word: str) -> str:
        """The verb that was probably meant; empty if none is near."""
        return nearest(word, (verb.name for verb in self.verbs))

    def taking(self, option: str) -> tuple[str, ...]:
        """The names of the verbs that take an option."""
        return tuple(verb.name for verb in self.verbs if option in verb.words.options)

    def names_of(self, turn: Turn) -> frozenset[str]:
        """All that the verbs of a turn are said by."""
        return frozenset(name for verb in self.verbs if verb.turn is turn for name in verb.names)


def to_person(actor: Actor, text: str) -> str:
    """A text that begins, in a room, with the nick of whom it is for."""
    addressed = not actor.room or text.startswith(f"{actor.nick}:")
    return text if addressed else f"{actor.nick}: {text}"
