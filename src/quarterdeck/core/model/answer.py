"""What a person is told who asked, or whose command made no rollout."""

from __future__ import annotations


class Answer:
    """Base of frozen dataclasses that hold facts only.

    Each stands in the room that answers; `views/answers.py` has the sentences.
    """
