"""Why an edit is not made: what stands in its way, in which file and line, and what to say instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quarterdeck.core.model.errors import EditRefusedError, Refusal


@dataclass(frozen=True)
class NoPart(Refusal):
    """A service has no such part.

    Attributes:
        name: as typed.
        parts: the names of those it has.
    """

    service: str
    name: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Obstacle:
    """One reason.

    Attributes:
        code: for programs, e.g. "several-parts", "duplicate-key", "template".
        reason: one line for people; names every candidate and what to say instead.
        file: path from the root of the charts, or "" where no single file is to blame.
        line: from 1, or 0.
        say: what to say to the tool instead, or "".
    """

    code: str
    reason: str
    file: str = ""
    line: int = 0
    say: str = ""

    def __str__(self) -> str:
        place = ""
        if self.file:
            place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        say = f": say {self.say}" if self.say else ""
        return " ".join(f"{place}{self.reason}{say}".split())


class RefusedError(EditRefusedError):
    """An edit that is not made.

    Attributes:
        obstacles: every reason, at least one.
    """

    def __init__(self, obstacles: Iterable[Obstacle]) -> None:
        self.obstacles = tuple(obstacles)
        super().__init__("; ".join(str(obstacle) for obstacle in self.obstacles))


def refuse(code: str, reason: str, file: str = "", line: int = 0, say: str = "") -> RefusedError:
    """The error for a single reason."""
    return RefusedError([Obstacle(code, reason, file, line, say)])


# -- in few words, for chat -----------------------------------------------------------------------------------------

#: so many reasons and places are said
_MOST_SAID = 3


def shortened(error: EditRefusedError) -> EditRefusedError:
    """The first reasons and candidates, with the ends of their paths: a chat line is short."""
    if not isinstance(error, RefusedError):
        return error
    reasons = [_in_few_words(obstacle) for obstacle in error.obstacles if obstacle.code != "candidate"]
    candidates = [
        f"{end_of_path(obstacle.file)}:{obstacle.line}" for obstacle in error.obstacles if obstacle.code == "candidate"
    ]
    words = "; ".join(first_few(reasons))
    return EditRefusedError(f"{words} ({', '.join(first_few(candidates))})" if candidates else words)


def first_few(items: Sequence[str]) -> list[str]:
    """The first items, and how many more there are."""
    hidden = len(items) - _MOST_SAID
    return [*items[:_MOST_SAID], f"and {hidden} more"] if hidden > 0 else list(items)


def end_of_path(path: str) -> str:
    """The last two parts of a path: enough to find the file."""
    return "/".join(path.split("/")[-2:])


def _in_few_words(obstacle: Obstacle) -> str:
    if not obstacle.file:
        return obstacle.reason
    file = end_of_path(obstacle.file)
    place = f"{file}:{obstacle.line}" if obstacle.line else file
    return f"{place} {obstacle.reason.replace(obstacle.file, file)}"
