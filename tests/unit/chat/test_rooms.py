"""Rooms have the names that their networks give them."""

from __future__ import annotations

from dataclasses import replace

from quarterdeck.chat.rooms import with_canonical_rooms
from quarterdeck.core.model.room import Room
from tests.bot.doubles import MemoryTransport
from tests.worlds.world import Deck


def test_a_room_has_the_name_that_its_network_gives_it() -> None:
    """IRC takes `#Deploy` and `#deploy` for one room, so whoever compares rooms sees one name."""
    catalogue = Deck().catalogue
    citoid = replace(catalogue.services["citoid"], rooms=(Room("irc", "#Deploy"),))
    networks = {"irc": MemoryTransport("irc", "qd", ["#deploy"])}
    canonical = with_canonical_rooms(replace(catalogue, services={"citoid": citoid}), networks)
    assert canonical.services["citoid"].rooms == (Room("irc", "#deploy"),)
