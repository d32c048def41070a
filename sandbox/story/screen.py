"""Show the story on a terminal: the channel as an IRC client shows it, captions between the acts, figures at the end."""

import os
import shutil
import sys
import textwrap
import threading
import time
import zlib
from typing import TextIO

from sandbox.story.irc_client import Said

_NICK_COLOURS = (36, 35, 34, 33, 32, 96, 95, 94, 93, 92)
_MARGIN = 9  # the width of a time and a blank
_NARROWEST = 60


class Screen:
    """A terminal, or a file, which gets no colours and no line breaks of ours. Any thread may use it."""

    def __init__(self, out: TextIO = sys.stdout, pace: float = 1.0) -> None:
        """Write there; every pause lasts *pace* times as long as asked."""
        self._out, self._pace = out, pace
        self._colours = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._lock = threading.Lock()
        self.mine = "alice"

    def pause(self, seconds: float) -> None:
        """Time to read."""
        time.sleep(seconds * self._pace)

    def heard(self, said: Said) -> None:
        """A line of the channel; what the server and services say in private is not shown."""
        if not said.room.startswith("#"):
            return
        clock = time.strftime("%H:%M:%S", time.gmtime(said.at))
        nick = self._paint(_nick_colour(said.nick), f"<{said.nick}>")
        text = said.text
        if self.mine in text and said.nick != self.mine and said.room == "#deploy":
            text = text.replace(self.mine, self._paint("1;33", self.mine))
        room = self._paint("2", f"{said.room:<7}")
        self._write(f"{self._paint('2', clock)} {room} {nick} {text}", _MARGIN + 8)

    def caption(self, text: str) -> None:
        """What happens next, in plain words; then time to read it."""
        self._write(f"\n{self._paint('1;37;44', f' {text} ')}")
        self.pause(2.5)

    def note(self, text: str) -> None:
        """What happens outside the channel at this time."""
        clock = time.strftime("%H:%M:%S", time.gmtime())
        self._write(self._paint("2", f"{clock} * {text}"))

    def quiet(self, text: str) -> None:
        """Something by the way."""
        self._write(self._paint("2", text))

    def heading(self, text: str) -> None:
        """A title of a list."""
        self._write(f"\n{self._paint('1', text)}")

    def mark(self, good: bool, text: str, problem: str = "") -> None:
        """One line of a list, with whether it is as it should be."""
        sign = self._paint("32", "  ok  ") if good else self._paint("1;31", "  NO  ")
        self._write(f"{sign} {text}{f': {problem}' if problem else ''}")

    def plain(self, text: str) -> None:
        """As it is."""
        self._write(text)

    def _paint(self, colour: str, text: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._colours else text

    def _write(self, text: str, indent: int = 0) -> None:
        if self._colours and indent:
            text = _folded(text, shutil.get_terminal_size().columns, indent)
        with self._lock:
            print(text, file=self._out, flush=True)


def _nick_colour(nick: str) -> str:
    """The same colour for the same nick, as IRC clients do it."""
    return f"1;{_NICK_COLOURS[zlib.crc32(nick.encode()) % len(_NICK_COLOURS)]}"


def _folded(text: str, width: int, indent: int) -> str:
    """Broken between words; a URL stays whole. Colours count as letters, so lines end a little early."""
    if width < _NARROWEST:
        return text
    return textwrap.fill(
        text,
        width + 20,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
