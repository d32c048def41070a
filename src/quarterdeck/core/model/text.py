"""Words as people type them: quoting them within a line, and telling what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

_QUOTED = 40
#: slips of the finger where a word can be nothing else than one of the candidates
MANY_SLIPS = 3


def clip(text: str, limit: int = _QUOTED) -> str:
    """A quotation of at most *limit* characters, which cannot fill the line."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(word: str, candidates: Iterable[str], most: int = 1) -> str:
    """The one candidate that is least mistyped; empty if none is near enough, or several are equally near.

    Args:
        most: how many slips of the finger there may be; two letters swapped are one.
    """
    by_slips: dict[int, list[str]] = {}
    for candidate in candidates:
        by_slips.setdefault(slips(word.lower(), candidate), []).append(candidate)
    for count in range(1, most + 1):
        if count in by_slips:
            return by_slips[count][0] if len(by_slips[count]) == 1 else ""
    return ""


def slips(typed: str, meant: str) -> int:
    """How many slips of the finger make one word of another: the Damerau-Levenshtein distance."""
    rows = [[0] * (len(meant) + 1) for _ in range(len(typed) + 1)]
    for i in range(len(typed) + 1):
        rows[i][0] = i
    for j in range(len(meant) + 1):
        rows[0][j] = j
    for i in range(1, len(typed) + 1):
        for j in range(1, len(meant) + 1):
            differs = typed[i - 1] != meant[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + differs)
            swapped = i > 1 and j > 1 and typed[i - 1] == meant[j - 2] and typed[i - 2] == meant[j - 1]
            if swapped:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]
