"""Read and write single IRC lines: parsing, folding of names, and texts cut into lines that fit.

Pure. Source: modern.ircdocs.horse, ircv3.net/specs/extensions/message-tags and server-time.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from irc.message import Arguments, Tag
from irc.strings import lower

TEXT_BYTES = 400
"""A line of ours has no more, so that every server takes it whole behind whatever prefix others see."""
WIRE_BYTES = 512
"""A line with its prefix and CR LF, tags not counted; servers cut the rest off silently."""

_LINE = re.compile(
    r"^(?:@(?P<tags>[^ ]*) +)?(?::(?P<prefix>[^ ]*) +)?(?P<command>[A-Za-z]+|[0-9]{3})(?P<args> .*)?$",
    re.DOTALL,
)
# NUL and CR cannot be sent, \x01 makes a CTCP; formatting (02 03 0f 11 16 1d 1e 1f) and TAB may stay.
_UNSAFE = re.compile(r"[\x00\x01\x04-\x08\x0b\x0c\x0e\x10\x12-\x15\x17-\x1c\x7f\x80-\x9f]")
_LINE_END = re.compile("\r\n|[\r\n\u0085\u2028\u2029]")


@dataclass(frozen=True)
class Line:
    """One line from a server."""

    tags: Mapping[str, str]
    prefix: str
    command: str
    """Upper case, or a numeric of three digits."""
    args: tuple[str, ...]

    @property
    def nick(self) -> str:
        """Who it is from: a nick, or a server's name."""
        return self.prefix.partition("!")[0]

    @property
    def mask(self) -> str:
        """user@host; empty when it is from a server."""
        return self.prefix.partition("!")[2]

    def arg(self, index: int) -> str:
        """An argument, empty when it is not there."""
        return self.args[index] if -len(self.args) <= index < len(self.args) else ""


def parse(raw: bytes) -> Line | None:
    """Read a line; None when it is none. Bytes that are not UTF-8 become U+FFFD."""
    found = _LINE.match(raw.rstrip(b"\r\n").decode("utf-8", "replace"))
    if not found:
        return None
    given = Tag.from_group(found["tags"]) or ()  # type: ignore[no-untyped-call]
    tags = {tag["key"]: tag["value"] or "" for tag in given}
    args = tuple(Arguments.from_group(found["args"]))  # type: ignore[no-untyped-call]
    return Line(tags, found["prefix"] or "", found["command"].upper(), args)


def fold(name: str) -> str:
    """Fold a nick or a channel as RFC 1459 compares them."""
    return str(lower(name))  # type: ignore[no-untyped-call]


def server_time(text: str) -> datetime | None:
    """Read the `time` tag; None when it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None


def clean(text: str) -> list[str]:
    """Make lines of a text: unsafe characters taken out, lone surrogates replaced, empty lines dropped."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    lines = (_UNSAFE.sub("", line).rstrip() for line in _LINE_END.split(text))
    return [line for line in lines if line.strip()]


def split(text: str, limit: int) -> list[str]:
    """Cut a text into pieces of at most `limit` bytes of UTF-8, after a blank where one is near enough.

    Nothing is lost: the pieces joined are the text.
    """
    pieces: list[str] = []
    data = text.encode()
    while len(data) > limit:
        end = limit
        while end > 0 and data[end] & 0xC0 == 0x80:  # never inside a character
            end -= 1
        blank = data.rfind(b" ", limit // 2, end)
        cut = blank + 1 if blank != -1 else end or limit
        pieces.append(data[:cut].decode("utf-8", "replace"))
        data = data[cut:]
    return [*pieces, data.decode()] if data else pieces


def room_for_text(prefix: str, target: str) -> int:
    """How many bytes of text fit into one PRIVMSG as others see it, behind `:prefix PRIVMSG target :`."""
    return max(WIRE_BYTES - len(f":{prefix} PRIVMSG {target} :\r\n".encode()), 16)


def sasl_plain(account: str, password: str) -> Sequence[str]:
    """Encode an account's password for AUTHENTICATE, 400 characters a line (RFC 4616, ircv3 sasl-3.1)."""
    text = base64.b64encode(f"{account}\0{account}\0{password}".encode()).decode()
    chunks = [text[start : start + 400] for start in range(0, len(text), 400)]
    return [*chunks, "+"] if len(text) % 400 == 0 else chunks
