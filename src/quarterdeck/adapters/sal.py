"""The server admin log: one line a connection to a relay that takes TCP lines (as Wikimedia's tcpircbot does)."""

from __future__ import annotations

import asyncio

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.model.line import Line, Utterance

MOST_BYTES = 425
"""The relay reads this many bytes at a time."""
TEXT_BYTES = 400
"""A line of ours has no more: the relay says it on IRC."""


class SalRelay:
    """Speaks to the relay; always `up`, because it is connected for each line anew."""

    up = True
    repeats_show = True

    def __init__(self, host: str, port: int, network: str = "sal", timeout: float = 5.0) -> None:
        self.network, self._host, self._port, self._timeout = network, host, port, timeout

    def fit(self, line: Line) -> str:
        """The line in at most 400 bytes."""
        return line.within(TEXT_BYTES)

    async def say(self, utterance: Utterance) -> None:
        """Send one line of at most 425 bytes.

        Raises:
            TemporaryError: the relay is away; it may or may not have the line.
        """
        line = " ".join(utterance.text.split()).encode()[: MOST_BYTES - 1] + b"\n"
        try:
            async with asyncio.timeout(self._timeout):
                _, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    writer.write(line)
                    await writer.drain()
                finally:
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            raise TemporaryError(f"the SAL relay at {self._host}:{self._port} is away: {error}", 2.0) from error


class NoRelay:
    """Where no relay is configured: lines are taken and go nowhere."""

    up = True
    repeats_show = True

    def __init__(self, network: str = "sal") -> None:
        self.network = network

    def fit(self, line: Line) -> str:
        """All of it."""
        return line.whole

    async def say(self, utterance: Utterance) -> None:
        """Do nothing."""
