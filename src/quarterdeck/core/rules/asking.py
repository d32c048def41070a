"""The question that a person is asked, its code, and what an answer to it is worth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.question import Question
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rules.reasons import Grounds

#: 29 letters and digits that nobody mistakes for each other
_LETTERS = "abcdefghjkmnpqrstwxyz23456789"
_LETTERS_IN_CODE = 3


class Answer(StrEnum):
    """What an answer to an open question is worth."""

    RIGHT = "right"
    NOT_ASKED = "no question is open"
    TOO_LATE = "the question has closed"
    WRONG_CODE = "another code"
    WRONG_COUNT = "another number of surprises"


def question(asking: Grounds, text: str, digest: str) -> Question:
    """The question to open where the rules say *ask*.

    Args:
        digest: stands for the whole plan; the code derives from it.
    """
    words = ["back"] if asking.about.kind == Kind.ROLLBACK else []
    words += [reason.code_word for reason in asking.reasons if reason.code_word]
    prefix = "-".join([code_prefix(asking.about.places.values()), *dict.fromkeys(words)])
    return Question(code(digest, prefix), asking.counted, text, digest)


def code(digest: str, prefix: str) -> str:
    """`prefix-k7p`: three characters that stand for the plan, without 0 o 1 l i u v."""
    number = int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big")
    letters = ""
    for _ in range(_LETTERS_IN_CODE):
        number, position = divmod(number, len(_LETTERS))
        letters += _LETTERS[position]
    return f"{prefix}-{letters}"


def code_prefix(environments: Iterable[Environment]) -> str:
    """What a code begins with: the environment's name, or "prod" for several of production."""
    by_name = {environment.name: environment for environment in environments}
    if len(by_name) == 1:
        return next(iter(by_name))
    kinds = {environment.kind for environment in by_name.values()}
    return "prod" if kinds == {EnvironmentKind.PRODUCTION} else "all"


def matches(code_given: str, count_given: int, rollout: Rollout, now: datetime | None = None) -> Answer:
    """What an answer is worth for that rollout's open question; case does not matter.

    Args:
        code_given: as typed.
        count_given: the N of `with N`, 0 when it was not said.
        rollout: as last read.
        now: aware UTC; None leaves the deadline to somebody else.
    """
    if rollout.state is not State.WAITING or not rollout.code:
        return Answer.NOT_ASKED
    if code_given.strip().casefold() != rollout.code.casefold():
        return Answer.WRONG_CODE
    if now is not None and rollout.deadline is not None and now >= rollout.deadline:
        return Answer.TOO_LATE
    return Answer.RIGHT if count_given == rollout.code_count else Answer.WRONG_COUNT
