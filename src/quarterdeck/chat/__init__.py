"""The transports: plain asyncio clients that hear and say lines on one network each.

Law of this folder: nothing here knows Errbot, a rollout or a command. A transport hands over what somebody
said (`Heard`) and takes lines to say. Nothing a user or a server sends ends a transport, and what was not said
live is never handed over: notices, our own echo, CTCP, history. Everything runs on one event loop; no method
may be called from another thread.
"""

from __future__ import annotations

from quarterdeck.chat.contract import ChatError, Heard, Lost, QueueFull, Refused, TooOld, Transport
from quarterdeck.chat.irc.connection import Timing, tls_context
from quarterdeck.chat.irc.transport import IrcTransport

__all__ = [
    "ChatError",
    "Heard",
    "IrcTransport",
    "Lost",
    "QueueFull",
    "Refused",
    "Timing",
    "TooOld",
    "Transport",
    "tls_context",
]
