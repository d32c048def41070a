"""Errors that a test orders beforehand: every fake raises them instead of answering."""

from __future__ import annotations

from collections import defaultdict, deque


class Faults:
    """Errors to raise, by the name of the call they replace."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Exception]] = defaultdict(deque)
        self._always: dict[str, Exception] = {}

    def once(self, call: str, error: Exception) -> None:
        """The next call of that name raises; more of them queue up."""
        self._waiting[call].append(error)

    def always(self, call: str, error: Exception | None) -> None:
        """Every call of that name raises, until None is given."""
        if error is None:
            self._always.pop(call, None)
        else:
            self._always[call] = error

    def check(self, call: str) -> None:
        """Raise what was ordered for that call, if anything."""
        if self._waiting[call]:
            raise self._waiting[call].popleft()
        if call in self._always:
            raise self._always[call]
