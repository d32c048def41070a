"""Rooms and accounts have the names that their networks give them."""

from __future__ import annotations

from dataclasses import replace

from quarterdeck.chat.irc.transport import IrcTransport
from quarterdeck.chat.naming import with_canonical_names
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.room import Room
from quarterdeck.testing.network import FakeNetwork, FakeTransport
from tests.worlds.world import Deck

IRC = IrcTransport(
    host="", port=0, tls=None, nick="qd", account="qd", password="x", rooms=["#Deploy[1]"], on_heard=lambda _: None
)
EXACT = FakeTransport(FakeNetwork("exact"), "qd", ["Deploy"])


def written() -> Catalogue:
    """A catalogue as somebody wrote it who cares little for capitals."""
    catalogue = Deck().catalogue
    rooms = (Room("irc", "#DEPLOY[1]"), Room("exact", "Deploy"), Room("unknown", "Deploy"))
    accounts = {"irc": "Alice", "exact": "Alice", "gerrit": "Alice"}
    citoid = replace(catalogue.services["citoid"], rooms=rooms)
    alice = replace(catalogue.people["alice"], accounts=accounts)
    return replace(catalogue, services={"citoid": citoid}, people={"alice": alice})


def test_each_network_decides_which_names_mean_one_room() -> None:
    """IRC takes `#Deploy[1]` and `#deploy{1}` for one room (RFC 1459); where every letter counts nothing changes."""
    canonical = with_canonical_names(written(), {"irc": IRC, "exact": EXACT})
    rooms = canonical.services["citoid"].rooms
    assert rooms == (Room("irc", "#deploy{1}"), Room("exact", "Deploy"), Room("unknown", "Deploy"))
    assert rooms[:2] == IRC.rooms + EXACT.rooms


def test_each_network_decides_which_accounts_are_one_person() -> None:
    """On IRC alice is Alice; where every letter counts she is a stranger."""
    canonical = with_canonical_names(written(), {"irc": IRC, "exact": EXACT})
    assert canonical.person("irc", IRC.account("ALICE")) == canonical.people["alice"]
    assert canonical.person("exact", EXACT.account("Alice")) == canonical.people["alice"]
    assert canonical.person("exact", EXACT.account("alice")) is None
    assert canonical.person("irc", None) is None
