"""Tries a bump of every service, and of every part, in a checkout of the charts and says what came of it.

`python -m quarterdeck.cli.charts_report DIR [SERVICES_DIR…]` prints a table: *right* (the tags asked for changed, in
lines that held them, and nothing else), *refused* with the reason, or *wrong*. Exit status 1 if anything is wrong.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quarterdeck.cli.checkout import Checkout
from quarterdeck.core.charts.editing.bump import bump
from quarterdeck.core.charts.editing.request import BumpOutcome, BumpRequest, FileChange
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.parts import ImageGroup, image_groups
from quarterdeck.core.charts.reading.release_tags import ReleaseTagId, service_tags
from quarterdeck.core.charts.reading.service_files import read_service, service_names

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
    files = ParsedFiles(tree)
    for name in service_names(tree, tree.services_dir):
        service = read_service(files, tree.services_dir, name)
        if service is None:
            continue
        groups = image_groups(service, service_tags(files, service))
        request = BumpRequest(tree.services_dir, name)
        yield _tried(files, request, groups)
        if len(groups) > 1:
            yield from (_tried(files, replace(request, part=group.name), (group,)) for group in groups)


def _tried(files: ParsedFiles, request: BumpRequest, groups: Sequence[ImageGroup]) -> Result:
    """What comes of a bump of the first of these groups, which is all that a service without parts has."""
    tag = _TAG + (_DIGEST if any(map(_has_digest, groups)) else "")
    outcome = bump(files, replace(request, tag=tag))
    if outcome is None or outcome.obstacles:
        why = str(outcome.obstacles[0]) if outcome else "not found"
        return Result(request.service, request.part, "refused", why)
    asked = {release_tag.id for release_tag in groups[0].release_tags} if groups else set()
    wrong = _wrong(outcome, tag, asked)
    if wrong:
        return Result(request.service, request.part, "wrong", wrong)
    lines, count = sum(len(change.spans) for change in outcome.changes), len(outcome.changes)
    services = sorted({effect.service for effect in outcome.side_effects} - {request.service})
    shared = f"; also {', '.join(services)}" if services else ""
    detail = f"{lines} line{'s' * (lines != 1)} in {count} file{'s' * (count != 1)}{shared}"
    return Result(request.service, request.part, "right", detail)


def _has_digest(group: ImageGroup) -> bool:
    return any("sha256:" in scalar.tag for scalar in group.scalars)


def _wrong(outcome: BumpOutcome, tag: str, asked: set[ReleaseTagId]) -> str:
    """What is wrong with an edit, "" if nothing is: checked on the texts, apart from the edit's own proof."""
    if not outcome.changes:
        return "nothing changed"
    for change in outcome.changes:
        wrong = _wrong_in_file(change, tag)
        if wrong:
            return wrong
    for release_tag in outcome.after:
        if release_tag.id in asked and release_tag.scalar.tag != tag:
            release = release_tag.release
            return f"{release.environment}/{release.name} keeps {release_tag.scalar.tag}"
    return ""


def _wrong_in_file(change: FileChange, tag: str) -> str:
    """What is wrong with the lines of a file that differ, "" if nothing is."""
    old, new = (change.old or b"").split(b"\n"), (change.new or b"").split(b"\n")
    differing = [(before, after) for before, after in zip(old, new, strict=False) if before != after]
    if len(old) != len(new) or len(differing) != len(change.spans):
        return f"{change.path}: {len(differing)} lines differ"
    for before, after in differing:
        if tag.encode() not in after or _around(before, after, tag.encode()) is None:
            return f"{change.path}: {after.decode(errors='replace').strip()} differs in more than the tag"
    return ""


def _around(before: bytes, after: bytes, tag: bytes) -> bytes | None:
    """The old tag, if all else of the line is the same."""
    head, _, tail = after.partition(tag)
    same = before.startswith(head) and before.endswith(tail)
    return before[len(head) : len(before) - len(tail)] if same else None


def main(args: Sequence[str]) -> int:
    """Print the table."""
    if not args:
        print("usage: python -m quarterdeck.cli.charts_report DIR [SERVICES_DIR…]", file=sys.stderr)
        return 2
    charts, *services_dirs = args
    results: list[Result] = []
    for services_dir in services_dirs or ["helmfile.d/services"]:
        results += report(Path(charts), services_dir)
    service_width = max((len(result.service) for result in results), default=0)
    part_width = max((len(result.part) for result in results), default=0)
    for result in results:
        names = f"{result.service:<{service_width}}  {result.part or '-':<{part_width}}"
        print(f"{names}  {result.outcome:<7}  {result.detail}")
    services = [result for result in results if not result.part]
    parts = [result for result in results if result.part]
    print(f"\n{len(services)} services: {_counted(services)}. {len(parts)} parts of them: {_counted(parts)}")
    return 1 if any(result.outcome == "wrong" for result in results) else 0


def _counted(results: Sequence[Result]) -> str:
    """`49 right, 18 refused, 0 wrong`."""
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("right", "refused", "wrong"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
