"""Small words for people: durations, tags, lists. Pure."""

from __future__ import annotations

from collections.abc import Sequence

JOINER = "\N{ZERO WIDTH JOINER}"


def duration(seconds: float) -> str:
    """`64` → `1m04s`, `9` → `9s`, `90000` → `1d01h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def sal_duration(seconds: float) -> str:
    """As scap writes it in the server admin log: `01m 14s`."""
    whole = max(0, round(seconds))
    return f"{whole // 60:02d}m {whole % 60:02d}s"


def count(number: int, noun: str) -> str:
    """`1 surprise`, `3 surprises`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def quiet(name: str) -> str:
    """A name that highlights nobody."""
    return f"{name[:1]}{JOINER}{name[1:]}" if len(name) > 1 else name


def ascii_only(text: str) -> str:
    """For the server admin log: ASCII, one line, none of the signs the wiki would eat."""
    swapped = text.replace("→", "->").replace("…", "...").replace("·", "-")
    safe = "".join(c if 32 <= ord(c) < 127 else "?" for c in " ".join(swapped.split()) if c != JOINER)
    return safe.translate(str.maketrans("{|}", "(/)"))


def one_line(text: str) -> str:
    """The text with single blanks where any white space was."""
    return " ".join(text.split())


def clip(text: str, limit: int) -> str:
    """At most *limit* characters."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def pods(counts: Sequence[int]) -> str:
    """`8/8`."""
    return f"{counts[0]}/{counts[1]}"
