"""Who asks: people of the catalogue, and whoever speaks just now as the network vouches for him."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quarterdeck.core.model.room import Room


@dataclass(frozen=True)
class Person:
    """Somebody the catalogue knows: one human on all networks.

    Attributes:
        name: the catalogue's key, also how we address him in text for people.
        shell: login name on the deploy host; named in SAL lines and commit footers.
        groups: names used by a service's `deployers`.
        accounts: network name -> services account (IRC) or MXID (Matrix).
        email: for the commit's author; empty if unknown.
    """

    name: str
    shell: str
    groups: frozenset[str] = frozenset()
    accounts: Mapping[str, str] = field(default_factory=dict)
    email: str = ""


@dataclass(frozen=True)
class Actor:
    """Who says a command, as the transport vouches for it; no argument can set it.

    Attributes:
        network: transport's name, e.g. "irc".
        room: room it was said in; None in private.
        nick: the name shown just now; never an identity.
        account: authenticated account, None when the network vouches for none.
        person: the catalogue's person for that account, None for strangers.
        accounts_shown: whether the network shows accounts at all just now.
    """

    network: str
    room: Room | None
    nick: str
    account: str | None
    person: Person | None
    accounts_shown: bool = True

    @property
    def name(self) -> str:
        """The person's name, else the nick marked as unproven."""
        return self.person.name if self.person else f"{self.nick}?"
