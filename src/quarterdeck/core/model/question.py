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

    @property
    def confirm(self) -> str:
        """The exact command that answers yes."""
        return confirm_command(self.code, self.count)


def confirm_command(code: str, count: int) -> str:
    """What to type to say yes: `!confirm prod-k7p with 2`."""
    return f"!confirm {code}" + (f" with {count}" if count else "")
