"""Writes changes as a unified diff that `git apply` takes, byte for byte."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from quarterdeck.core.charts.editing.request import FileChange
from quarterdeck.core.charts.editing.splice import Span, apply
from quarterdeck.core.charts.reading.document import BOM

_CONTEXT = 3
_SMALL = 250_000  #: lines times lines, up to which equal ones are looked for
#: first old line, the old line after the last, new lines
Run = tuple[int, int, list[bytes]]


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
    *ended, last = raw.split(b"\n")
    whole = [line + b"\n" for line in ended]
    return [*whole, last] if last else whole


def _runs(change: FileChange) -> list[Run]:
    """The differing runs: where the spans are, nowhere else."""
    before = lines(change.old or b"")
    blocks = _blocks(change)
    if blocks is None:
        blocks = [(0, len(before), lines(change.new or b""))]
    runs: list[Run] = []
    for first, after_last, new in blocks:
        runs += _differing(first, before[first:after_last], new)
    return runs


def _blocks(change: FileChange) -> list[Run] | None:
    """The whole lines that spans touch, with what becomes of them; None where the spans do not make the new file."""
    if change.old is None or change.new is None:
        return None
    text = change.old.decode("utf-8", "surrogateescape")
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    spans = _shifted(change.spans, len(BOM) if text.startswith(BOM) else 0)
    blocks: list[Run] = []
    pieces: list[str] = []
    end_of_last = 0
    for first, last, touching in _by_lines(spans, line_starts):
        start, end = line_starts[first], [*line_starts, len(text)][last + 1]
        new = apply(text[start:end], _shifted(touching, -start))
        blocks.append((first, last + 1, lines(new.encode("utf-8", "surrogateescape"))))
        pieces += [text[end_of_last:start], new]
        end_of_last = end
    whole = "".join([*pieces, text[end_of_last:]]).encode("utf-8", "surrogateescape")
    return blocks if whole == change.new else None


def _shifted(spans: Iterable[Span], by: int) -> list[Span]:
    return [replace(span, start=span.start + by, end=span.end + by) for span in spans]


def _by_lines(spans: Iterable[Span], line_starts: Sequence[int]) -> list[tuple[int, int, list[Span]]]:
    """(first line, last line, spans) of those that touch the same lines, in the order of the file."""
    groups: list[tuple[int, int, list[Span]]] = []
    for span in spans:
        first, last = bisect_right(line_starts, span.start) - 1, bisect_right(line_starts, span.end) - 1
        if groups and first <= groups[-1][1]:
            first_of_group, last_of_group, touching = groups[-1]
            groups[-1] = (first_of_group, max(last_of_group, last), [*touching, span])
        else:
            groups.append((first, last, [span]))
    return groups


def _differing(start: int, old: list[bytes], new: list[bytes]) -> list[Run]:
    """The differing runs of a block, found from both ends and, where it is small, by equal lines."""
    import difflib  # here, because the command-line tool starts fast

    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    old, new, start = old[head : len(old) - tail], new[head : len(new) - tail], start + head
    if len(old) == len(new):
        return _same_length(start, old, new)
    if len(old) * len(new) > _SMALL:
        return [(start, start + len(old), new)]
    runs: list[Run] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            runs.append((start + old_start, start + old_end, new[new_start:new_end]))
    return runs


def _same_length(start: int, old: list[bytes], new: list[bytes]) -> list[Run]:
    """The differing runs of blocks in which each line has its counterpart."""
    runs: list[Run] = []
    for number, (before, after) in enumerate(zip(old, new, strict=True), start):
        if before == after:
            continue
        if runs and runs[-1][1] == number:
            first, _, new_lines = runs[-1]
            runs[-1] = (first, number + 1, [*new_lines, after])
        else:
            runs.append((number, number + 1, [after]))
    return runs


def _hunks(change: FileChange) -> list[bytes]:
    """The hunks of a file, each with its header."""
    before = lines(change.old or b"")
    hunks: list[bytes] = []
    grown = 0  # by how many lines the new file is longer so far
    for runs in _near(_runs(change)):
        first = max(0, runs[0][0] - _CONTEXT)
        after_last = min(len(before), runs[-1][1] + _CONTEXT)
        growth = sum(len(new) - (end - start) for start, end, new in runs)
        count = after_last - first
        header = _header(first, count, first + grown, count + growth)
        hunks.append(header + b"".join(map(_ended, _body(before, first, after_last, runs))))
        grown += growth
    return hunks


def _near(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs in groups, those together whose context would touch."""
    groups: list[list[Run]] = []
    for run in runs:
        if groups and run[0] - groups[-1][-1][1] <= 2 * _CONTEXT:
            groups[-1].append(run)
        else:
            groups.append([run])
    return groups


def _body(before: Sequence[bytes], first: int, after_last: int, runs: Iterable[Run]) -> list[bytes]:
    """The lines of a hunk, each with its mark."""
    body: list[bytes] = []
    at = first
    for start, end, new in runs:
        body += [b" " + line for line in before[at:start]]
        body += [b"-" + line for line in before[start:end]]
        body += [b"+" + line for line in new]
        at = end
    return body + [b" " + line for line in before[at:after_last]]


def _header(old: int, old_count: int, new: int, new_count: int) -> bytes:
    return b"@@ -%b +%b @@\n" % (_range(old, old_count), _range(new, new_count))


def _range(start: int, count: int) -> bytes:
    first = start + 1 if count else start
    return b"%d" % first if count == 1 else b"%d,%d" % (first, count)


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"
