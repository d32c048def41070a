"""Why a person is asked first: facts only, the sentences stand in `views/questions.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quarterdeck.core.model.reason import Reason
from quarterdeck.core.rules.moments import ProposedOrder, ShownPlan


@dataclass(frozen=True)
class Grounds(Reason):
    """Why one question is asked: what would happen, and every reason to ask.

    Attributes:
        about: the order that nothing was written for yet, or the plan whose diffs were shown.
    """

    reasons: tuple[Reason, ...]
    about: ProposedOrder | ShownPlan

    @property
    def counted(self) -> int:
        """The sum of them."""
        return sum(reason.counted for reason in self.reasons)


@dataclass(frozen=True)
class TakesTagsAway(Reason):
    """Other places would lose the tag that they run.

    Attributes:
        service: the order's own service.
        suffix: the usual end of its tags.
        tags: place -> the tag it runs.
    """

    service: str
    suffix: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ChangesProduction(Reason):
    """A place of production would change."""


@dataclass(frozen=True)
class ChangesMoreThanAsked(Reason):
    """Something else than the image would change.

    Attributes:
        surprises: each once, in words.
    """

    surprises: tuple[str, ...]

    @property
    def counted(self) -> int:
        """Each is one."""
        return len(self.surprises)


@dataclass(frozen=True)
class FirstRollouts(Reason):
    """The person has had few rollouts yet."""
