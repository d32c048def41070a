"""Writes changes as a unified diff that `git apply` takes, byte for byte."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.core.charts.editing.request import FileChange
from quarterdeck.core.charts.editing.splice import Span, apply
from quarterdeck.core.charts.reading.document import BOM

_CONTEXT = 3
_SMALL = 250_000  #: lines times lines, up to which equal ones are looked for
Op = tuple[int, int, list[bytes]]


def unified(changes: Sequence[FileChange]) -> bytes:
    """The diff of all files, paths with `a/` and `b/`."""
    return b"".join(_file(change) for change in changes)


def _file(change: FileChange) -> bytes:
    path = change.path.encode()
    head = b"diff --git a/%b b/%b\n" % (path, path)
    old, new = b"--- a/%b\n" % path, b"+++ b/%b\n" % path
    if change.old is None:
        head, old = head + b"new file mode 100644\n", b"--- /dev/null\n"
    elif change.new is None:
        head, new = head + b"deleted file mode 100644\n", b"+++ /dev/null\n"
    hunks = b"".join(_hunks(change))
    return head + old + new + hunks if hunks else head


def lines(raw: bytes) -> list[bytes]:
    """Lines with their ends; only a line feed ends one."""
    return [line + b"\n" for line in raw.split(b"\n")[:-1]] + (
        [raw.split(b"\n")[-1]] if not raw.endswith(b"\n") and raw else []
    )


def _ops(change: FileChange) -> list[Op]:
    """(first old line, old line after the last, new lines) of the differing runs: where the spans are, nowhere else."""
    before = lines(change.old or b"")
    blocks = _blocks(change)
    if blocks is None:
        blocks = [(0, len(before), lines(change.new or b""))]
    return [op for first, last, new in blocks for op in _differing(first, before[first:last], new)]


def _blocks(change: FileChange) -> list[Op] | None:
    """The whole lines that spans touch, with what becomes of them; None where the spans do not make the new file."""
    if change.old is None or change.new is None:
        return None
    text = change.old.decode("utf-8", "surrogateescape")
    shift = len(BOM) if text.startswith(BOM) else 0
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    groups: list[tuple[int, int, list[Span]]] = []
    for span in change.spans:
        moved = replace(span, start=span.start + shift, end=span.end + shift)
        first, last = bisect_right(starts, moved.start) - 1, bisect_right(starts, moved.end) - 1
        if groups and first <= groups[-1][1]:
            groups[-1] = (groups[-1][0], max(groups[-1][1], last), [*groups[-1][2], moved])
        else:
            groups.append((first, last, [moved]))
    starts.append(len(text))
    found, done, at = [], [], 0
    for first, last, spans in groups:
        start, end = starts[first], starts[last + 1]
        inner = [replace(span, start=span.start - start, end=span.end - start) for span in spans]
        new = apply(text[start:end], inner)
        found.append((first, last + 1, lines(new.encode("utf-8", "surrogateescape"))))
        done += [text[at:start], new]
        at = end
    whole = "".join([*done, text[at:]]).encode("utf-8", "surrogateescape")
    return found if whole == change.new else None


def _differing(start: int, old: list[bytes], new: list[bytes]) -> list[Op]:
    """The differing runs of a block, found from both ends and, where it is small, by equal lines."""
    import difflib

    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old, new, start = old[head : len(old) - tail], new[head : len(new) - tail], start + head
    if len(old) == len(new):
        return _same_length(start, old, new)
    if len(old) * len(new) > _SMALL:
        return [(start, start + len(old), new)]
    found = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [(start + a, start + b, new[c:d]) for tag, a, b, c, d in found if tag != "equal"]


def _same_length(start: int, old: list[bytes], new: list[bytes]) -> list[Op]:
    ops: list[Op] = []
    for number, (was, now) in enumerate(zip(old, new, strict=True), start):
        if was == now:
            continue
        if ops and ops[-1][1] == number:
            ops[-1] = (ops[-1][0], number + 1, [*ops[-1][2], now])
        else:
            ops.append((number, number + 1, [now]))
    return ops


def _hunks(change: FileChange) -> list[bytes]:
    before = lines(change.old or b"")
    groups: list[list[Op]] = []
    for op in _ops(change):
        if groups and op[0] - groups[-1][-1][1] <= 2 * _CONTEXT:
            groups[-1].append(op)
        else:
            groups.append([op])
    shift, out = 0, []
    for group in groups:
        first, last = max(0, group[0][0] - _CONTEXT), min(len(before), group[-1][1] + _CONTEXT)
        body, at, grown = [], first, 0
        for a, b, new in group:
            body += (
                [b" " + line for line in before[at:a]]
                + [b"-" + line for line in before[a:b]]
                + [b"+" + line for line in new]
            )
            at, grown = b, grown + len(new) - (b - a)
        body += [b" " + line for line in before[at:last]]
        out.append(_header(first, last - first, first + shift, last - first + grown) + b"".join(map(_ended, body)))
        shift += grown
    return out


def _header(old: int, old_count: int, new: int, new_count: int) -> bytes:
    return b"@@ -%b +%b @@\n" % (_range(old, old_count), _range(new, new_count))


def _range(start: int, count: int) -> bytes:
    first = start + 1 if count else start
    return b"%d" % first if count == 1 else b"%d,%d" % (first, count)


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
