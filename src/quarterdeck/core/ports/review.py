"""Gerrit, as the core asks it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from quarterdeck.core.model.change import Change, Comment, Draft


class Review(Protocol):
    """Gerrit. Every call raises TemporaryError when the server is late or away, PermanentError when it refuses."""

    async def find(self, project: str, branch: str, change_id: str) -> Change | None:
        """The change with that Change-Id, whatever its status; None if there is none."""
        ...

    async def get(self, project: str, number: int) -> Change:
        """The change as NoteDb has it now (not from the index), files, votes and message included."""
        ...

    async def propose(self, draft: Draft) -> Change:
        """Make the change exist, and prove it: files, blob ids, message and parent as drafted.

        Asking twice with the same Change-Id gives the same change, also after a time-out in the middle.

        Raises:
            ConflictError: a change with our Change-Id exists and is not what we drafted.
        """
        ...

    async def approve(self, change: Change, message: str) -> Change:
        """Vote Code-Review +2 on exactly `change.revision`; refused if another patch set is current."""
        ...

    async def submit(self, change: Change) -> Change:
        """Submit exactly that revision; already merged is success.

        Raises:
            ConflictError: it no longer merges; compute it again.
        """
        ...

    async def submitted_together(self, change: Change) -> tuple[int, ...]:
        """Numbers of other changes that this submit would take along."""
        ...

    async def abandon(self, change: Change, message: str) -> None:
        """Abandon an open change; already closed is success."""
        ...

    async def comments(self, project: str, number: int) -> tuple[Comment, ...]:
        """All messages on a change, oldest first."""
        ...

    async def merged_since(self, project: str, branch: str, since: datetime) -> tuple[Change, ...]:
        """Changes merged at or after *since*, oldest first (sorted by `submitted`), paged to the end."""
        ...

    async def whoami(self) -> str:
        """Username the server knows us by."""
        ...
