"""Rooms: where people and the bot talk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Room:
    """One room of one network; `str()` writes it as the catalogue does, for example `irc/#deploy`.

    Which spellings of a name mean the same room is for its network to say, so a transport makes the name canonical
    before anybody else sees it. Everywhere else rooms are compared exactly.

    Attributes:
        network: name of the network, for example `irc`.
        name: canonical name, as the network writes it; empty where a network has only one place to write to.
    """

    network: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Room:
        """The room that `network/name` means; the name may hold further slashes.

        Raises:
            ValueError: the network or the name is missing.
        """
        network, _, name = text.partition("/")
        if not (network and name):
            raise ValueError(f"{text[:80]!r} is no room: it must be NETWORK/ROOM")
        return cls(network, name)

    def __str__(self) -> str:
        return f"{self.network}/{self.name}"
