"""What the desk refuses: facts only, the sentences stand in `views/refusals.py`."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.rollout.state import State

# -- words -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LineTooLong(Refusal):
    """More words than a command has.

    Attributes:
        characters: that were typed.
        most: that are read.
    """

    characters: int
    most: int


@dataclass(frozen=True)
class NotPlainText(Refusal):
    """Control characters, or bytes that are no UTF-8."""


@dataclass(frozen=True)
class WhichService(Refusal):
    """No service was said.

    Attributes:
        usage: the exact command to type.
        services: that there are; empty where they do not help.
    """

    usage: str
    services: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoService(Refusal):
    """The catalogue has no such service.

    Attributes:
        word: as typed.
        meant: the whole command that was probably meant, or the target alone; empty if nothing is near.
        services: that there are.
    """

    word: str
    services: tuple[str, ...]
    meant: str = ""


@dataclass(frozen=True)
class NoServiceOfThatPart(NoService):
    """The same, where a part of it was named."""


@dataclass(frozen=True)
class NoGroup(Refusal):
    """The catalogue has no such group.

    Attributes:
        word: as typed.
        meant: the group that was probably meant; empty if none is near.
    """

    word: str
    meant: str


@dataclass(frozen=True)
class WhichEnvironment(Refusal):
    """No environment was said.

    Attributes:
        word: what was said in its place; empty if nothing was.
        usage: the exact command to type.
        environments: that there are.
    """

    word: str
    usage: str
    environments: tuple[str, ...]


@dataclass(frozen=True)
class TooManyWords(Refusal):
    """Words are left over.

    Attributes:
        words: those.
        usage: the exact command to type.
    """

    words: str
    usage: str


@dataclass(frozen=True)
class NotATag(Refusal):
    """A word in the place of the tag is none.

    Attributes:
        usage: the exact command to type.
    """

    word: str
    usage: str


@dataclass(frozen=True)
class ApplyTakesNoTag(Refusal):
    """What is applied is what git says."""

    title: str
    environment: str


@dataclass(frozen=True)
class NoOption(Refusal):
    """There is no such option."""

    word: str


@dataclass(frozen=True)
class OptionOfOthers(Refusal):
    """The option belongs to other verbs.

    Attributes:
        verb: that was said.
        verbs: that take it.
    """

    option: str
    verb: str
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class NoNumber(Refusal):
    """No rollout was named.

    Attributes:
        word: in the number's place; empty if nothing was said.
    """

    word: str
    verb: str


@dataclass(frozen=True)
class OnlyANumber(Refusal):
    """Nothing follows the rollout's number."""

    verb: str
    number: int


@dataclass(frozen=True)
class NoCode(Refusal):
    """That is no answer to a question."""


@dataclass(frozen=True)
class StatusOfWhat(Refusal):
    """More words than `!status` takes."""


@dataclass(frozen=True)
class HowManyLines(Refusal):
    """What follows the number is no count of lines."""

    number: int


@dataclass(frozen=True)
class NoCommand(Refusal):
    """There is no such command.

    Attributes:
        word: as typed.
        meant: the command that was probably meant.
    """

    word: str
    meant: str


@dataclass(frozen=True)
class NoHelp(Refusal):
    """There is no such command to tell of.

    Attributes:
        word: as typed.
        meant: the command that was probably meant; empty if none is near.
        verbs: that there are.
    """

    word: str
    meant: str
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class NotUnderstood(Refusal):
    """Something was said to us that is no command.

    Attributes:
        word: the first; empty if there is none.
    """

    word: str


@dataclass(frozen=True)
class SayEnvironment(Refusal):
    """`!deploy SERVICE` alone never acts."""

    title: str


# -- rollouts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoRollout(Refusal):
    """There is none of that number."""

    number: int


@dataclass(frozen=True)
class IsOver(Refusal):
    """Nothing is left to stop."""

    number: int
    state: State


@dataclass(frozen=True)
class NothingToRetry(Refusal):
    """Only what failed or is lost is retried."""

    number: int
    state: State


@dataclass(frozen=True)
class SomebodyWasFaster(Refusal):
    """Somebody else moved it in this moment."""

    number: int


@dataclass(frozen=True)
class StillApplies(Refusal):
    """Its job is at work on the deploy host."""

    number: int


@dataclass(frozen=True)
class HostSilent(Refusal):
    """The deploy host does not answer, so nobody knows whether a rollout still applies."""

    number: int
    why: str


@dataclass(frozen=True)
class SameWaits(Refusal):
    """The same deploy waits for an answer already.

    Attributes:
        until: hour and minute at which its question closes; empty if it never does.
        count: the N of `with N`; 0 when none is asked.
    """

    number: int
    owner: str
    until: str
    code: str
    count: int


@dataclass(frozen=True)
class FilesInHand(Refusal):
    """Another rollout under way edits the same files."""

    files: tuple[str, ...]
    number: int
    owner: str
    state: State


@dataclass(frozen=True)
class Overtaken(Refusal):
    """The world changed while the order was being accepted."""

    why: str


# -- questions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JustClosed(Refusal):
    """The question's time is over."""

    number: int


@dataclass(frozen=True)
class NothingCounted(Refusal):
    """A count was said where no surprise was counted."""

    number: int
    code: str


@dataclass(frozen=True)
class WrongCount(Refusal):
    """Not so many surprises were shown.

    Attributes:
        surprises: how many were.
    """

    number: int
    code: str
    surprises: int


@dataclass(frozen=True)
class AlreadyConfirmed(Refusal):
    """Somebody answered it before.

    Attributes:
        at: hour, minute and second.
    """

    number: int
    by: str
    at: str


@dataclass(frozen=True)
class NothingWaits(Refusal):
    """No question is open in this room."""


@dataclass(frozen=True)
class NoSuchCode(Refusal):
    """No open question of this room has that code.

    Attributes:
        waiting: the rollouts that wait in it, as people say them.
    """

    code: str
    waiting: tuple[str, ...]


# -- what went wrong -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failed(Refusal):
    """Something outside failed while the command was looked at."""

    why: str


@dataclass(frozen=True)
class PreviewTooLong(Refusal):
    """The deploy host made no diff in time."""

    title: str
    seconds: float


@dataclass(frozen=True)
class PreviewFailed(Refusal):
    """No diff could be made."""

    title: str
    why: str
