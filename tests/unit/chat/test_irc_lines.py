"""Single IRC lines: parsing, folding, cleaning and splitting."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.chat.irc.lines import clean, fold, parse, room_for_text, sasl_plain, server_time, split


@given(st.text(), st.integers(min_value=16, max_value=500))
def test_a_split_text_is_the_text_in_pieces_that_fit(text: str, limit: int) -> None:
    """Nothing is lost, no piece is longer than the limit, and no character is broken."""
    text = text.encode("utf-8", "replace").decode()
    pieces = split(text, limit)
    assert "".join(pieces) == text
    assert all(0 < len(piece.encode()) <= limit for piece in pieces)


def test_a_split_keeps_words_whole_where_it_can() -> None:
    """A URL near the end goes to the next line as a whole."""
    url = "https://deck.example.org/42"
    assert split("word " * 10 + url, 60) == ["word " * 10, url]


@given(st.text())
def test_clean_lines_can_be_sent(text: str) -> None:
    """No line holds what would end it, make a CTCP of it, or be nothing."""
    for line in clean(text):
        assert line.strip()
        assert not {"\r", "\n", "\0", "\1"} & set(line)
        read = parse(f"PRIVMSG #c :{line}".encode())
        assert read is not None
        assert read.args == ("#c", line)


@given(st.binary(max_size=700))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    """Whatever comes is a line or none."""
    line = parse(raw)
    assert line is None or line.command


@pytest.mark.parametrize(
    ("raw", "prefix", "command", "args"),
    [
        (b"PING :a b\r\n", "", "PING", ("a b",)),
        (b":s 433 * nick :in use", "s", "433", ("*", "nick", "in use")),
        (b"AUTHENTICATE :+", "", "AUTHENTICATE", ("+",)),
        (b":n!u@h JOIN :#c", "n!u@h", "JOIN", ("#c",)),
        (b"@a=b;c :n!u@h privmsg #c :x :y", "n!u@h", "PRIVMSG", ("#c", "x :y")),
        (b":n!u@h PRIVMSG #c :", "n!u@h", "PRIVMSG", ("#c", "")),
        (b":n!u@h PRIVMSG #c", "n!u@h", "PRIVMSG", ("#c",)),
        (b":irc BATCH :-1", "irc", "BATCH", ("-1",)),
    ],
)
def test_lines_of_real_servers_are_read(raw: bytes, prefix: str, command: str, args: tuple[str, ...]) -> None:
    """Colons, blanks, missing and empty arguments mean what they mean."""
    line = parse(raw)
    assert line is not None
    assert (line.prefix, line.command, line.args) == (prefix, command, args)
    assert line.arg(9) == ""


def test_tags_are_unescaped() -> None:
    """The escapes of message-tags; a tag without a value is empty."""
    line = parse(rb"@a=x\:y\s\\;+b;msgid=1 :n!u@h PRIVMSG #c :t")
    assert line is not None
    assert line.tags == {"a": "x;y \\", "+b": "", "msgid": "1"}
    assert (line.nick, line.mask) == ("n", "u@h")


def test_names_fold_as_irc_folds_them() -> None:
    """RFC 1459: brackets are the capitals of braces."""
    assert fold("#De[p]LOY^") == fold("#de{p}loy~")


def test_server_time_is_read_or_not_there() -> None:
    """Aware UTC; nonsense is nothing."""
    assert server_time("2026-08-17T09:45:55.703Z") == datetime(2026, 8, 17, 9, 45, 55, 703000, UTC)
    assert server_time("") is None
    assert server_time("yesterday") is None
    assert server_time("2026-08-17T09:45:55") is None


def test_a_line_with_our_prefix_fills_512_bytes() -> None:
    """What others see is counted, not what we send."""
    prefix, target = "qd!qd@host.example.org", "#dépløy"
    room = room_for_text(prefix, target)
    assert len(f":{prefix} PRIVMSG {target} :{'x' * room}\r\n".encode()) == 512


def test_sasl_plain_is_cut_at_400_characters() -> None:
    """A full last piece is followed by a plus."""
    assert list(sasl_plain("a", "b")) == ["YQBhAGI="]
    pieces = sasl_plain("a" * 100, "b" * 98)
    assert [len(piece) for piece in pieces] == [400, 1]
    assert pieces[-1] == "+"
