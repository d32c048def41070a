"""What a diff says, as data that can be stored: releases, counts, surprises, the lines for chat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from quarterdeck.core.charts.reading.images import ReleaseImage
from quarterdeck.core.cluster.diff import Diff
from quarterdeck.core.cluster.diff_reader import Images
from quarterdeck.core.ports.host import Release
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.records import PinnedRelease, ShownDiff


def expected(images: Iterable[ReleaseImage], before: str, tag: str) -> Images:
    """The image changes that a diff should show: from the tag that ran, where one is known.

    Args:
        images: those the releases are to run.
        before: the tag that ran, as it stands in git; "" if none is known.
        tag: the tag they get, as it stands in git; "" for whatever git says of each.
    """
    expected_changes: dict[str, tuple[str, str]] = {}
    for image in images:
        if tag and image.tag != tag:
            continue
        change = (f"{before}{image.end}" if before and tag else "", f"{image.tag}{image.end}")
        # two flavours of one repository: which pod has which is for CHECK to say
        same = expected_changes.get(image.name, change) == change
        expected_changes[image.name] = change if same else ("", "")
    return expected_changes


def references(images: Mapping[str, Sequence[ReleaseImage]]) -> dict[str, tuple[str, ...]]:
    """Release -> references (`name:tag`) of its images."""
    return {release: tuple(image.reference for image in named) for release, named in images.items()}


def describe(
    diff: Diff, releases: Sequence[Release], redactor: Redactor, unwanted_releases: Sequence[str] = ()
) -> ShownDiff:
    """The parts of a diff that gate, layout, chat and page need, redacted.

    Args:
        unwanted_releases: those that helmfile would delete; the bot never does, and each is a surprise.
    """
    left_alone = [f"release {name} is no longer wanted; I leave it" for name in unwanted_releases]
    return ShownDiff(
        releases={r.name: PinnedRelease(r.revision, r.status, r.namespace) for r in releases},
        changed_releases=tuple(release.name for release in diff.releases if release.objects),
        changes=not diff.empty,
        image_only=diff.image_only,
        surprises=tuple(redactor.text(surprise) for surprise in (*diff.surprises, *left_alone)),
        lines=tuple(redactor.text(line) for line in diff.changed_lines(4)),
        summary=redactor.text(diff.summary()),
        workloads=diff.workloads(),
        pods=diff.pods,
    )
