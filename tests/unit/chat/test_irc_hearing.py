"""Which lines count as said to us: everything that must never become a command."""

from datetime import UTC, datetime, timedelta

import pytest

from quarterdeck.chat.contract import Heard
from quarterdeck.chat.irc.hearing import Hearing
from quarterdeck.chat.irc.lines import parse
from quarterdeck.core.model.room import Room

NOW = datetime(2026, 8, 17, 12, 0, 0, tzinfo=UTC)
ALL = {"account-tag", "batch", "message-tags", "server-time"}


class Ears:
    """A hearing with a clock of its own."""

    def __init__(self, caps: set[str] = ALL) -> None:
        self.now = NOW
        self.hearing = Hearing("irc", "session", lambda: self.now)
        self.hearing.caps |= caps
        self.hearing.joined("#deploy")
        self.now += timedelta(seconds=10)

    def hear(self, text: str) -> Heard | None:
        """Take a raw line."""
        line = parse(text.encode())
        assert line is not None
        if line.command == "BATCH":
            self.hearing.batch(line)
        return self.hearing.hear(line, "qd")


def test_a_live_line_is_heard_whole() -> None:
    """Account, id and time are the server's."""
    heard = Ears().hear("@time=2026-08-17T12:00:09.5Z;msgid=m1;account=alice :ali!u@h PRIVMSG #Deploy :!x  y ")
    at = datetime(2026, 8, 17, 12, 0, 9, 500000, UTC)
    assert heard == Heard("irc", Room("irc", "#deploy"), "ali", "alice", "u@h", "!x  y ", "m1", at)


@pytest.mark.parametrize(
    "line",
    [
        ":a!u@h NOTICE #deploy :!x",
        ":a!u@h NOTICE qd :!x",
        ":a!u@h PRIVMSG #deploy :\x01ACTION !x\x01",
        ":a!u@h PRIVMSG #deploy :\x01DCC",
        ":a!u@h PRIVMSG #deploy :",
        ":a!u@h PRIVMSG #deploy",
        ":a!u@h PRIVMSG",
        ":QD!u@h PRIVMSG #deploy :!x",
        "@inspircd.org/echo :old!u@h PRIVMSG #deploy :!x",
        ":irc.example.org PRIVMSG #deploy :!x",
        "PRIVMSG #deploy :!x",
        ":a!u@h PRIVMSG @#deploy :!x",
        ":a!u@h PRIVMSG $* :!x",
        ":a!u@h PRIVMSG somebody :!x",
        "@time=2026-08-17T11:59:00Z :a!u@h PRIVMSG #deploy :!x",
    ],
)
def test_s3_k3_what_is_not_said_to_us_live_is_not_heard(line: str) -> None:
    """Notices, CTCP, echoes, servers, parts of a room, others, and what is older than 60 s."""
    assert Ears().hear(line) is None


def test_history_in_a_batch_is_not_heard_even_nested() -> None:
    """A chathistory batch and whatever is inside it; another batch is live, and ids come again."""
    ears = Ears()
    ears.hear(":irc BATCH +1 chathistory :#deploy")
    ears.hear("@batch=1 :irc BATCH +2 netjoin")
    assert ears.hear("@batch=1 :a!u@h PRIVMSG #deploy :old") is None
    assert ears.hear("@batch=2 :a!u@h PRIVMSG #deploy :old") is None
    ears.hear(":irc BATCH :-1")
    ears.hear(":irc BATCH +1 labeled-response")
    assert ears.hear("@batch=1 :a!u@h PRIVMSG #deploy :live") is not None


@pytest.mark.parametrize("lacking", ["batch", "server-time"])
def test_where_history_is_not_marked_a_room_is_not_heard_for_five_seconds(lacking: str) -> None:
    """After our JOIN its lines may be old; in private nothing is played back."""
    ears = Ears(ALL - {lacking})
    ears.hearing.joined("#deploy")
    ears.now += timedelta(seconds=4.9)
    assert ears.hear(":a!u@h PRIVMSG #deploy :old") is None
    assert ears.hear(":a!u@h PRIVMSG qd :live") is not None
    ears.now += timedelta(seconds=0.2)
    assert ears.hear(":a!u@h PRIVMSG #deploy :live") is not None


def test_an_account_counts_only_where_account_tag_was_acknowledged() -> None:
    """Without the capability anybody could have written the tag; an empty one is none."""
    line = "@account=alice;msgid=1 :a!u@h PRIVMSG #deploy :x"
    bare = Ears(set()).hear(line)
    assert bare is not None
    assert bare.account is None
    assert bare.msgid == "session-1"
    empty = Ears().hear("@account= :a!u@h PRIVMSG #deploy :x")
    assert empty is not None
    assert empty.account is None


def test_ids_that_the_network_does_not_give_are_made_up_and_differ() -> None:
    """The inbox can tell any two lines apart."""
    ears = Ears()
    lines = [ears.hear(":a!u@h PRIVMSG #deploy :same") for _ in range(3)]
    assert len({heard.msgid for heard in lines if heard}) == 3


def test_k5_rooms_with_other_marks_are_rooms_where_the_server_has_them() -> None:
    """`&local`, `+modeless` and `!safe` end nothing, in or out of CHANTYPES."""
    ears = Ears()
    ears.hearing.channel_types = "#&+!"
    for room in ("&loc", "+free", "!12345safe"):
        heard = ears.hear(f":a!u@h PRIVMSG {room} :x")
        assert heard is not None
        assert heard.room == Room("irc", room)
    ears.hearing.channel_types = "#"
    assert ears.hear(":a!u@h PRIVMSG &loc :x") is None
