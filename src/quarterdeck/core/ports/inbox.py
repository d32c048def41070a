"""Where heard lines are noted, so that a command runs once."""

from __future__ import annotations

from typing import Protocol


class Inbox(Protocol):
    """Heard lines."""

    async def heard(self, network: str, msgid: str, room: str, account: str, text: str) -> bool:
        """Note a message; True exactly once for each (network, msgid)."""
        ...
