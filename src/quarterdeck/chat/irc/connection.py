"""Hold one TCP or TLS connection to a line server: named failures, whole lines, a pace, and signs of life."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.chat.irc.queue import TokenBucket

_READ_LIMIT = 16 * 1024  # 8191 bytes of tags and 512 of line, with some air

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Deadlines and intervals, all in seconds."""

    connect: float = 10
    register: float = 30
    sasl: float = 5
    """For each answer of the services; stopped ones never answer, and the server would wait 20 s."""
    retry_login: float = 3
    ping: float = 60
    """Silence after which we ask the server whether it is there."""
    dead: float = 100
    """Silence after which it is not."""
    services: float = 15
    """How often we look whether accounts are shown; no server tells by itself."""
    rejoin: float = 5
    rejoin_refused: float = 30
    nick: float = 15
    confirm: float = 30
    first_delay: float = 0.5
    longest_delay: float = 30


class ClosedError(Exception):
    """The connection is of no use any more; the text says why."""


def tls_context(ca: Path | None = None) -> ssl.SSLContext:
    """Make a context that verifies certificate and name, against the system's authorities or one file.

    Raises:
        OSError: the file cannot be read.
        ssl.SSLError: there is no certificate in it.
    """
    return ssl.create_default_context(cafile=str(ca) if ca else None)


class Connection:
    """An open connection; `open` makes it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bucket: TokenBucket, timing: Timing
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._bucket = bucket
        self._timing = timing
        self._heard_at = asyncio.get_running_loop().time()

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        server_name: str,
        pace: tuple[float, float],
        timing: Timing,
    ) -> Connection:
        """Connect.

        Args:
            host: of the server.
            port: of the server.
            tls: how to verify it; None for plain text.
            server_name: the name that must be in its certificate.
            pace: lines at once, then lines a second.
            timing: deadlines.

        Raises:
            ClosedError: it failed; TLS failures are named as such.
        """
        where = f"{host}:{port}"
        try:
            async with asyncio.timeout(timing.connect):
                reader, writer = await asyncio.open_connection(
                    host, port, ssl=tls, server_hostname=server_name if tls else None, limit=_READ_LIMIT
                )
        except ssl.SSLCertVerificationError as error:
            raise ClosedError(f"TLS: the certificate of {where} is not accepted: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise ClosedError(f"TLS with {where} failed: {error.reason or error}") from error
        except TimeoutError as error:
            raise ClosedError(f"{where} did not answer within {timing.connect:.0f} s") from error
        except OSError as error:
            raise ClosedError(f"{where} cannot be reached: {error.strerror or error}") from error
        return cls(reader, writer, TokenBucket(*pace, asyncio.get_running_loop().time()), timing)

    async def read(self, on_line: Callable[[bytes], None]) -> None:
        """Hand over each line until the end; an odd line, or an error in its handling, ends nothing.

        Raises:
            ClosedError: the connection ended.
        """
        while True:
            try:
                raw = await self._reader.readline()
            except ValueError:
                _log.warning("a line over %d bytes was skipped", _READ_LIMIT)
                continue
            except OSError as error:
                raise ClosedError(error.strerror or str(error)) from error
            if not raw:
                raise ClosedError("the server closed the connection")
            self._heard_at = asyncio.get_running_loop().time()
            try:
                on_line(raw)
            except Exception:
                _log.exception("a line could not be handled")

    def write(self, line: str) -> None:
        """Write a line at once, as PONG must."""
        if not self._writer.is_closing():
            self._bucket.take(asyncio.get_running_loop().time())
            self._writer.write(re.sub(r"[\r\n\0]", " ", line).encode("utf-8", "replace") + b"\r\n")

    async def send(self, line: str) -> None:
        """Write a line when the server's flood rules allow it."""
        await self.paced()
        self.write(line)

    async def paced(self) -> None:
        """Wait until a line may go out."""
        clock = asyncio.get_running_loop().time
        # Somebody else may take the token meanwhile.
        while (wait := self._bucket.wait(clock())) > 0:  # noqa: ASYNC110 - it is a wait for the clock
            await asyncio.sleep(wait)

    async def drain(self) -> None:
        """Wait until the kernel takes what was written.

        Raises:
            OSError: the connection ended.
        """
        await self._writer.drain()

    async def keep_alive(self) -> None:
        """Ask a silent server for a sign of life.

        Raises:
            ClosedError: it gave none.
        """
        asked = 0.0
        while True:
            now = asyncio.get_running_loop().time()
            silent = now - self._heard_at
            if silent >= self._timing.dead:
                raise ClosedError(f"no byte from the server for {self._timing.dead:g} s")
            if silent >= self._timing.ping and asked <= self._heard_at:
                self.write("PING :quarterdeck")
                asked = now
            due = self._timing.dead if silent >= self._timing.ping else self._timing.ping
            await asyncio.sleep(due - silent)

    async def close(self, farewell: str = "") -> None:
        """Close it; after a farewell only when the server has closed its side, at most a second later."""
        if farewell and not self._writer.is_closing():
            self.write(farewell)
            try:
                async with asyncio.timeout(1):
                    while await self._reader.read(_READ_LIMIT):
                        pass
            except (OSError, TimeoutError):
                pass
        self._writer.transport.abort()
        try:
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass
