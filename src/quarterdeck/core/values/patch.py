"""Writes changes as a unified diff that `git apply` takes, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from .asking import FileChange

_CONTEXT = 3
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
    before, after = lines(change.old or b""), lines(change.new or b"")
    hunks = b"".join(_hunks(before, after))
    return head + old + new + hunks if hunks else head


def lines(raw: bytes) -> list[bytes]:
    """Lines with their ends; only a line feed ends one."""
    return [line + b"\n" for line in raw.split(b"\n")[:-1]] + (
        [raw.split(b"\n")[-1]] if not raw.endswith(b"\n") and raw else []
    )


def _ops(before: list[bytes], after: list[bytes]) -> list[Op]:
    """(first old line, old line after the last, new lines): the differing runs, found from both ends and by equal lines."""
    import difflib

    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    tail = 0
    while tail < min(len(before), len(after)) - start and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    old, new = before[start : len(before) - tail], after[start : len(after) - tail]
    if len(old) == len(new):
        return _same_length(start, old, new)
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


def _hunks(before: list[bytes], after: list[bytes]) -> list[bytes]:
    groups: list[list[Op]] = []
    for op in _ops(before, after):
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
