"""What the rules refuse: facts only, the sentences stand in `views/refusals.py`."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.room import Room


@dataclass(frozen=True)
class NetworkRefusal(Refusal):
    """What each network says in its own words."""

    network: str


class AccountsNotShown(NetworkRefusal):
    """The network vouches for nobody just now."""


class NotIdentified(NetworkRefusal):
    """The network does not vouch for the speaker."""


@dataclass(frozen=True)
class UnknownAccount(Refusal):
    """The account belongs to nobody in the catalogue."""

    account: str


@dataclass(frozen=True)
class NotSaidHere(Refusal):
    """That is said in a room of the service.

    Attributes:
        rooms: the service's.
    """

    service: str
    rooms: tuple[Room, ...]


@dataclass(frozen=True)
class NotADeployer(Refusal):
    """The person is in none of the groups that may.

    Attributes:
        groups: those that may.
        groups_of_person: those that he is in.
    """

    service: str
    groups: frozenset[str]
    account: str
    groups_of_person: frozenset[str]
