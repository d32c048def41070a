"""Tries a bump of every service, and of every part, in a checkout of the charts and says what came of it.

`python -m quarterdeck.charts_report DIR [SERVICES_DIR…]` prints a table: *right* (the tags asked for changed, in
lines that held them, and nothing else), *refused* with the reason, or *wrong*. Exit status 1 if anything is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.cli.checkout import Checkout
from quarterdeck.core.charts.editing.bump import bump
from quarterdeck.core.charts.editing.request import BumpOutcome, BumpRequest
from quarterdeck.core.charts.reading.layers import ParsedFiles, read_service, service_names, service_tags
from quarterdeck.core.charts.reading.parts import ImageGroup, image_groups

_TAG, _DIGEST = "2099-12-31-235959-report", f"@sha256:{'0' * 64}"


@dataclass(frozen=True)
class Result:
    """What came of one bump."""

    service: str
    part: str
    outcome: str
    detail: str


def report(charts: Path, services_dir: str = "helmfile.d/services") -> Iterator[Result]:
    """Every service of a folder, and each part of those with parts.

    Raises:
        OSError: the checkout cannot be read.
    """
    tree = Checkout(charts, services_dir)
    shelf = ParsedFiles(tree)
    for name in service_names(tree, tree.services_dir):
        service = read_service(shelf, tree.services_dir, name)
        if service is None:
            continue
        parts = image_groups(service, service_tags(shelf, service))
        yield _try(tree, name, "", parts)
        if len(parts) > 1:
            yield from (_try(tree, name, part.name, (part,)) for part in parts)


def _try(tree: Checkout, name: str, part: str, parts: Sequence[ImageGroup]) -> Result:
    digest = any("sha256:" in scalar.tag for p in parts for scalar in p.scalars)
    tag = _TAG + (_DIGEST if digest else "")
    outcome = bump(tree, BumpRequest(tree.services_dir, name, tag, part))
    if outcome is None or outcome.refusals:
        why = str(outcome.refusals[0]) if outcome else "not found"
        return Result(name, part, "refused", why)
    wrong = _wrong(outcome, tag, {row.id for p in parts[:1] for row in p.rows})
    if wrong:
        return Result(name, part, "wrong", wrong)
    lines = sum(len(change.spans) for change in outcome.changes)
    services = sorted({effect.service for effect in outcome.side_effects} - {name})
    shared = f"; also {', '.join(services)}" if services else ""
    return Result(
        name,
        part,
        "right",
        f"{lines} line{'s' * (lines != 1)} in {len(outcome.changes)} file{'s' * (len(outcome.changes) != 1)}{shared}",
    )


def _wrong(outcome: BumpOutcome, tag: str, asked: set[object]) -> str:
    """What is wrong with an edit, "" if nothing is: checked on the texts, apart from the edit's own proof."""
    if not outcome.changes:
        return "nothing changed"
    for change in outcome.changes:
        old, new = (change.old or b"").split(b"\n"), (change.new or b"").split(b"\n")
        differing = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
        if len(old) != len(new) or len(differing) != len(change.spans):
            return f"{change.path}: {len(differing)} lines differ"
        for before, after in differing:
            if tag.encode() not in after or _around(before, after, tag.encode()) is None:
                return f"{change.path}: {after.decode(errors='replace').strip()} differs in more than the tag"
    left = [row for row in outcome.after if row.id in asked and row.scalar.tag != tag]
    return f"{left[0].release.environment}/{left[0].release.name} keeps {left[0].scalar.tag}" if left else ""


def _around(before: bytes, after: bytes, tag: bytes) -> bytes | None:
    """The old tag, if all else of the line is the same."""
    head, _, tail = after.partition(tag)
    same = before.startswith(head) and before.endswith(tail)
    return before[len(head) : len(before) - len(tail)] if same else None


def main(args: Sequence[str]) -> int:
    """Print the table."""
    if not args:
        print("usage: python -m quarterdeck.charts_report DIR [SERVICES_DIR…]", file=sys.stderr)
        return 2
    results = [result for place in (*args[1:],) or ("helmfile.d/services",) for result in report(Path(args[0]), place)]
    widths = [max((len(getattr(r, field)) for r in results), default=0) for field in ("service", "part")]
    for r in results:
        print(f"{r.service:<{widths[0]}}  {r.part or '-':<{widths[1]}}  {r.outcome:<7}  {r.detail}")
    whole = [r for r in results if not r.part]
    counts = ", ".join(f"{sum(r.outcome == word for r in whole)} {word}" for word in ("right", "refused", "wrong"))
    parts = [r for r in results if r.part]
    by_part = ", ".join(f"{sum(r.outcome == word for r in parts)} {word}" for word in ("right", "refused", "wrong"))
    print(f"\n{len(whole)} services: {counts}. {len(parts)} parts of them: {by_part}")
    return 1 if any(r.outcome == "wrong" for r in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
