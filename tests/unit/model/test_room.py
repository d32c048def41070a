"""Rooms are compared exactly and have one text form."""

from __future__ import annotations

import pytest

from quarterdeck.core.model.room import Room


@pytest.mark.parametrize(
    "text", ["irc/#deploy", "matrix/#deploy:example.org", "irc/#a/b", "matrix/#Deploy:example.org"]
)
def test_a_room_is_read_back_from_its_text(text: str) -> None:
    """The first slash ends the network; a name may have slashes and letters of any case."""
    assert str(Room.parse(text)) == text


def test_the_text_is_network_and_name() -> None:
    """Case matters: whether it means another room is for the network to say."""
    assert Room.parse("irc/#a/b") == Room("irc", "#a/b")
    assert Room("irc", "#deploy") != Room("irc", "#Deploy")


@pytest.mark.parametrize("text", ["", "#deploy", "irc/", "/#deploy", "/"])
def test_half_a_room_is_none(text: str) -> None:
    """Without a network or a name nobody can tell where that is."""
    with pytest.raises(ValueError, match="NETWORK/ROOM"):
        Room.parse(text)
