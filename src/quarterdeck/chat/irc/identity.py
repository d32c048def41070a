"""Become who we are on an IRC network: register, ask for capabilities, log in by SASL, get our nick back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quarterdeck.chat.irc.connection import ClosedError, Connection, Timing
from quarterdeck.chat.irc.lines import fold, sasl_plain
from quarterdeck.chat.irc.session import Session

WANTED = (
    "account-notify",
    "account-tag",
    "batch",
    "echo-message",
    "labeled-response",
    "message-tags",
    "server-time",
)
"""Capabilities besides sasl. All are optional: what cannot be done without them is refused, not guessed."""


class Identity:
    """The account we log in to and the nick we want, on one connection."""

    def __init__(self, connection: Connection, session: Session, timing: Timing, account: str, password: str) -> None:
        self._connection = connection
        self._session = session
        self._timing = timing
        self._account = account
        self._password = password

    async def register(self, realname: str, user_modes: str) -> None:
        """Introduce ourselves, identified if the network lets us.

        Raises:
            ClosedError: the server or the services do not answer, or refuse the password.
        """
        session, send = self._session, self._connection.send
        await send("CAP LS 302")
        await send(f"NICK {session.nick}")
        await send(f"USER {session.wanted_nick} 0 * :{realname}")
        seconds = self._timing.register
        if not await session.until(lambda: session.offered is not None or session.registered, seconds):
            raise ClosedError("the server answers nothing")
        if session.offered is not None:
            if "sasl" in session.offered:
                await self.log_in()
            await self._request([cap for cap in WANTED if cap in session.offered])
            await send("CAP END")
        if not await session.until(lambda: session.registered, seconds):
            raise ClosedError(f"the server did not register us within {seconds:g} s")
        if user_modes:
            await send(f"MODE {session.nick} +{user_modes}")

    async def log_in(self) -> bool:
        """Identify by SASL PLAIN, also on a live session; False when the network offers no SASL just now.

        Raises:
            ClosedError: the password is refused, or the services do not answer.
        """
        session, seconds = self._session, self._timing.sasl
        session.sasl_prompt, session.sasl_failure = False, ""
        if not await self._request(["sasl"]):
            return False
        await self._connection.send("AUTHENTICATE PLAIN")
        await self._answer(lambda: session.sasl_prompt, seconds)
        if session.sasl_prompt:
            for chunk in sasl_plain(self._account, self._password):
                await self._connection.send(f"AUTHENTICATE {chunk}")
            await self._answer(lambda: bool(session.account), seconds)
        if not session.account:
            raise ClosedError(f"SASL: login as {self._account} failed: {session.sasl_failure}")
        return True

    async def regain_nick(self) -> None:
        """Ask the services to end whoever holds our nick, and take it back; it may not succeed."""
        session = self._session
        session.ghosted = False
        await self._connection.send(f"PRIVMSG NickServ :GHOST {session.wanted_nick}")
        await session.until(lambda: session.ghosted, 2)
        await self._connection.send(f"NICK {session.wanted_nick}")
        await session.until(lambda: fold(session.nick) == fold(session.wanted_nick), 2)

    async def _answer(self, holds: Callable[[], bool], seconds: float) -> None:
        if not await self._session.until(lambda: holds() or bool(self._session.sasl_failure), seconds):
            raise ClosedError(f"SASL: the services did not answer within {seconds:g} s")

    async def _request(self, caps: Sequence[str]) -> bool:
        """Ask for capabilities in one line, to spare the flood budget; one by one if the server says no.

        A server takes all of a line or nothing (ircv3.net/specs/extensions/capability-negotiation).
        """
        if not caps:
            return True
        session, wanted = self._session, set(caps)
        session.caps.difference_update(wanted)
        session.naked.difference_update(wanted)
        await self._connection.send(f"CAP REQ :{' '.join(caps)}")
        await session.until(lambda: wanted <= session.caps or bool(wanted & session.naked), self._timing.sasl)
        if len(caps) > 1 and not wanted <= session.caps:
            for cap in caps:
                await self._request([cap])
        return wanted <= session.caps
