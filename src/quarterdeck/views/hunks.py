"""Cuts a full-context diff down to what a person reads: the objects that change, and a little around each change."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: unchanged lines around a changed one
AROUND = 3
#: lines of one object; the whole diff is one link away
MOST_LINES = 200
#: stands for lines that are left out
GAP = "⋯"
#: the line above an object, as helm-diff writes it
_HEADER = re.compile(r"\S.*(?:has changed|has been \w+|changed)[^:]*:?$")


def objects(diff: str) -> list[tuple[str, list[str]]]:
    """The objects of a diff: their headers, with the changed lines and those around them.

    What goes away comes first, what comes new last.
    """
    whole: list[tuple[str, list[str]]] = []
    for line in diff.splitlines():
        if _HEADER.match(line):
            whole.append((line.rstrip(":"), []))
        elif whole:
            _, lines = whole[-1]
            lines.append(line)
    return sorted(((header, _hunks(lines)) for header, lines in whole), key=_order)


def _order(shown: tuple[str, list[str]]) -> tuple[bool, bool]:
    header, _ = shown
    return "has been removed" not in header, "has been added" in header


def _hunks(lines: Sequence[str]) -> list[str]:
    changed = [index for index, line in enumerate(lines) if line[:1] in ("+", "-")]
    near: set[int] = set()
    for index in changed:
        near |= set(range(index - AROUND, index + AROUND + 1))
    last_change = max(changed, default=-1)
    kept: list[str] = []
    for index, line in enumerate(lines):
        if index in near and line.strip():
            kept.append(line)
        elif kept and kept[-1] != GAP and index < last_change:
            kept.append(GAP)
    if len(kept) > MOST_LINES:
        return [*kept[:MOST_LINES], f"{GAP} {len(kept) - MOST_LINES} more lines"]
    return kept


def diff_class(line: str) -> str:
    """CSS class of a diff's line."""
    return {"+": "add", "-": "del", GAP: "gap"}.get(line[:1], "")
