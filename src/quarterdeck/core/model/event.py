"""What happened, as people are told of it."""

from __future__ import annotations


class Event:
    """Base of frozen dataclasses that hold facts only.

    Each stands in the room where it happens; `views/` has the sentences.
    """
