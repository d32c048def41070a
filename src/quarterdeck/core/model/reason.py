"""Why a person is asked first."""

from __future__ import annotations

from typing import ClassVar


class Reason:
    """Base of frozen dataclasses that hold facts only; `views/questions.py` has the sentences.

    Attributes:
        code_word: what the question's code says of it, as the `back` in `prod-back-k7p`; empty for nothing.
    """

    code_word: ClassVar[str] = ""

    @property
    def counted(self) -> int:
        """How much it adds to the N of `!confirm CODE with N`."""
        return 0
