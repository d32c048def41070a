"""A question that a person is asked before a rollout goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question to open.

    Attributes:
        code: what to say, e.g. "prod-k7p".
        count: the N of `with N`; 0 when none is to be said.
        text: what would happen, in half a line.
        digest: stands for all that a yes is for; the code derives from it.
    """

    code: str
    count: int
    text: str
    digest: str = ""
