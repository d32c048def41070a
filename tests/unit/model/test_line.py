"""A line is shortened where its network has no room for it, and its link is never cut."""

from __future__ import annotations

from quarterdeck.core.model.line import Line, Urgency
from quarterdeck.core.model.room import Room

ROOM = Room("irc", "#deploy")


def test_the_longest_form_that_fits_is_taken() -> None:
    """What only explains goes first, in the order the forms are given."""
    line = Line(ROOM, "a long reason", shorter=("a reason", "why"), link="http://x/1")
    assert line.whole == "a long reason http://x/1"
    assert line.within(100) == line.whole
    assert line.within(len(line.whole)) == line.whole
    assert line.within(len(line.whole) - 1) == "a reason http://x/1"
    assert line.within(14) == "why http://x/1"


def test_where_no_form_fits_the_shortest_is_cut_before_the_link() -> None:
    """Never inside of a character, and never more than the network takes."""
    cut = Line(ROOM, "è" * 400, shorter=("é" * 300,), link="http://x/1").within(400)
    assert cut.startswith("é")
    assert cut.endswith("é… http://x/1")
    assert 395 <= len(cut.encode()) <= 400
    assert 395 <= len(Line(ROOM, "é" * 300).within(400).encode()) <= 400
    assert Line(ROOM, "some text", link="http://x/1").within(5) == "… http://x/1"


def test_a_change_is_made_to_each_text() -> None:
    """What is taken out of a line is taken out of its shorter forms too."""
    line = Line(ROOM, "secret and more", Urgency.VERDICT, ("secret",), "http://secret/1")
    clean = line.with_texts(lambda text: text.replace("secret", "***"))
    assert clean == Line(ROOM, "*** and more", Urgency.VERDICT, ("***",), "http://***/1")


def test_only_news_may_wait() -> None:
    """Questions, verdicts and what somebody waits for go before it."""
    assert [urgency for urgency in Urgency if urgency.may_wait] == [Urgency.NEWS]
