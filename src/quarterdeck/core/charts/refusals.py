"""Why an edit is not made: one reason, the file and line it is about, and what to say instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quarterdeck.core.model.errors import EditRefusedError


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
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        say = f": say {self.say}" if self.say else ""
        return " ".join(f"{place}{self.reason}{say}".split())


class RefusedError(EditRefusedError):
    """An edit that is not made.

    Attributes:
        refusals: every reason, at least one.
    """

    def __init__(self, refusals: Iterable[Obstacle]) -> None:
        self.refusals = tuple(refusals)
        super().__init__("; ".join(str(refusal) for refusal in self.refusals))


def refuse(code: str, reason: str, file: str = "", line: int = 0, say: str = "") -> RefusedError:
    """The error for a single reason."""
    return RefusedError([Obstacle(code, reason, file, line, say)])
