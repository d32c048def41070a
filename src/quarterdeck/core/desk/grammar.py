"""Turns the words of a command into an intent, or refuses them with what to type instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from quarterdeck.core.desk.refusals import (
    LineTooLong,
    NoCode,
    NoGroup,
    NoNumber,
    NoOption,
    NoService,
    NoServiceOfThatPart,
    NotATag,
    NotPlainText,
    OnlyANumber,
    OptionOfOthers,
    TooManyWords,
    WhichEnvironment,
    WhichService,
)
from quarterdeck.core.desk.verb import Verb, Vocabulary
from quarterdeck.core.model.errors import NotFoundError, NotYetError, RequestError
from quarterdeck.core.model.tag import is_tag
from quarterdeck.core.model.text import nearest
from quarterdeck.core.orders.refusals import LatestIsNoTag, NoEnvironment, NotYet
from quarterdeck.core.rollout.intent import Intent, Target

#: longest line of words that is read, in characters; IRC lines are shorter, Matrix messages need not be
LONGEST = 400
_IGNORED = frozenset({"to", "on"})
_PLANNED_OPTIONS = frozenset({"--over", "--emergency", "--unpin"})
_PLANNED_ENVIRONMENTS = frozenset({"canary", "beta"})
_PARTED = re.compile(r"(?P<service>[a-z0-9][a-z0-9._-]*)/(?P<part>[a-z0-9][a-z0-9._+-]*)")
_NUMBER = re.compile(r"[#r]?([0-9]{1,9})")
#: Unicode categories that are no text: control, format, surrogate, private use, line and paragraph separators
_NO_TEXT = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


@dataclass
class _Sorted:
    """The words of a line by what they are."""

    target: Target | None = None
    environment: str = ""
    options: set[str] = field(default_factory=set)
    rest: list[str] = field(default_factory=list)


class Grammar:
    """Knows the names that words may mean."""

    def __init__(
        self, vocabulary: Vocabulary, services: Iterable[str], environments: Iterable[str], groups: Iterable[str] = ()
    ) -> None:
        self.vocabulary = vocabulary
        self.services, self.environments, self.groups = tuple(services), tuple(environments), tuple(groups)
        by_word = {name.lower(): name for name in self.environments}
        self._places = by_word | {"production": "production", "prod": "production"}

    def intent(self, verb: Verb, text: str) -> Intent:
        """What the words of a command for an environment ask for.

        Raises:
            RequestError: see `parse`; or no environment was said, and none stands in.
        """
        intent = self.parse(verb, text)
        if intent.environment:
            return intent
        if verb.words.usual_environment:
            return replace(intent, environment=verb.words.usual_environment)
        environments = (*self.environments, "production")
        raise RequestError(WhichEnvironment(intent.tag, verb.usage(intent.title), environments))

    def parse(self, verb: Verb, text: str) -> Intent:
        """Parse `TARGET [ENV] [TAG] [OPTION…] [-- why]`, in any order where the words can be told apart.

        TARGET is SERVICE, SERVICE/PART or @GROUP.

        Raises:
            RequestError: a word is missing, doubled or not understood; the refusal has the exact command to type.
        """
        said, reason = _split_reason(text)
        found = self._sorted(verb, said)
        if found.target is None:
            raise self._no_service(verb, said, found.rest)
        if found.rest and not found.environment:
            self._refuse_mistyped_environment(verb, found.target, found.rest)
        usage = verb.usage(found.target.title, found.environment)
        if len(found.rest) > 1:
            raise RequestError(TooManyWords(" ".join(found.rest[1:]), usage))
        tag = found.rest[0] if found.rest else ""
        if tag.lower() == "latest":
            raise RequestError(LatestIsNoTag())
        if tag and not is_tag(tag):
            raise RequestError(NotATag(tag, usage))
        alone, pin = "--alone" in found.options, "--pin" in found.options
        return Intent(found.target, found.environment, tag, reason, alone, pin, verb.name)

    def names(self, verb: Verb, text: str) -> tuple[Target, ...]:
        """Parse targets; NotFoundError names the first that is none."""
        said = tuple(word.lower() for word in words(text))
        targets = []
        for word in said:
            _refuse_planned(word)
            target = self.target_of(word)
            if target is None:
                raise self._no_service(verb, said, [word])
            targets.append(target)
        return tuple(targets)

    def target_of(self, word: str) -> Target | None:
        """The target that a word in lower case names; None if it is another kind of word.

        Raises:
            NotFoundError: it has the form of a target, and there is no such service or group.
        """
        if word.startswith("@"):
            if word[1:] not in self.groups:
                raise NotFoundError(NoGroup(word, nearest(word[1:], self.groups)))
            return Target(group=word[1:])
        match = _PARTED.fullmatch(word)
        if match is None:
            return Target(word) if word in self.services else None
        service, part = match["service"], match["part"]
        if service not in self.services:
            near = nearest(service, self.services)
            raise NotFoundError(NoServiceOfThatPart(service, self._sorted_services, f"{near}/{part}" if near else ""))
        return Target(service, part)

    # -- words of one line -------------------------------------------------------------------------------------

    def _sorted(self, verb: Verb, said: Sequence[str]) -> _Sorted:
        found = _Sorted()
        for word in said:
            low = word.lower()
            if self.vocabulary.taking(low):
                self._refuse_option_of_others(verb, low)
                found.options.add(low)
                continue
            _refuse_planned(word)
            if low in _IGNORED and not found.rest:
                continue
            named = self.target_of(low) if found.target is None else None
            if named is not None:
                found.target = named
            elif not found.environment and low in self._places:
                found.environment = self._places[low]
            else:
                found.rest.append(word)
        return found

    def _refuse_option_of_others(self, verb: Verb, option: str) -> None:
        if option not in verb.words.options:
            raise RequestError(OptionOfOthers(option, verb.name, self.vocabulary.taking(option)))

    def _refuse_mistyped_environment(self, verb: Verb, target: Target, rest: Sequence[str]) -> None:
        """A word that is near an environment, or can be nothing else, was meant as one."""
        near = nearest(rest[0], self._places)
        if not near and len(rest) == 1 and is_tag(rest[0]):
            return
        environments = set(self._places.values())
        others = tuple(sorted(environments - {near}))
        words_meant = [near, *rest[1:]] if verb.words.tag else [near]
        meant = " ".join(words_meant) if near else ""
        raise NotFoundError(NoEnvironment(rest[0], target.title, verb.name, meant, others))

    def _no_service(self, verb: Verb, said: Sequence[str], rest: Sequence[str]) -> RequestError:
        if not rest:
            return RequestError(WhichService(verb.usage(), self._sorted_services))
        near = nearest(rest[0], self.services)
        meant = ""
        if near:
            meant = " ".join([f"!{verb.name}", *(near if word == rest[0] else word for word in said)])
        return NotFoundError(NoService(rest[0], self._sorted_services, meant))

    @property
    def _sorted_services(self) -> tuple[str, ...]:
        return tuple(sorted(self.services))


def words(text: str) -> tuple[str, ...]:
    """Split into words.

    Raises:
        RequestError: the text is too long, or holds control characters or bytes that were no UTF-8.
    """
    if len(text) > LONGEST:
        raise RequestError(LineTooLong(len(text), LONGEST))
    if any(unicodedata.category(c) in _NO_TEXT or c == "\N{REPLACEMENT CHARACTER}" for c in text):
        raise RequestError(NotPlainText())
    return tuple(text.split())


def number_and_rest(verb: Verb, text: str) -> tuple[int, tuple[str, ...]]:
    """Parse `ID [more]` with ID as 42, #42 or r42: the number, and the words after it.

    Raises:
        RequestError: there is no number.
    """
    said = words(text)
    match = _NUMBER.fullmatch(said[0]) if said else None
    if match is None:
        raise RequestError(NoNumber(said[0] if said else "", verb.name))
    return int(match.group(1)), said[1:]


def number(verb: Verb, text: str) -> int:
    """Parse `ID`. RequestError: there is no number, or more than one word."""
    rollout, rest = number_and_rest(verb, text)
    if rest:
        raise RequestError(OnlyANumber(verb.name, rollout))
    return rollout


def code_and_count(text: str) -> tuple[str, int]:
    """Parse `CODE [with N]`: the code in lower case, and N, 0 if none was said."""
    said = words(text)
    match len(said):
        case 1:
            return said[0].lower(), 0
        case 3 if said[1].lower() == "with" and is_count(said[2]):
            return said[0].lower(), int(said[2])
    raise RequestError(NoCode())


def is_count(word: str) -> bool:
    """Whether a word is a plain number of a few digits."""
    return word.isascii() and word.isdigit() and len(word) < 6


def _split_reason(text: str) -> tuple[tuple[str, ...], str]:
    said = words(text)
    if "--" in said:
        at = said.index("--")
        return said[:at], " ".join(said[at + 1 :])
    return said, ""


def _refuse_planned(word: str) -> None:
    low = word.lower()
    option = low.split("=")[0]
    planned = option in _PLANNED_OPTIONS or low in _PLANNED_ENVIRONMENTS or low.startswith("#") or "," in low
    if planned:
        raise NotYetError(NotYet(word))
    if low.startswith("-"):
        raise RequestError(NoOption(word))
