"""What a diff says, as data that can be stored: releases, counts, surprises, the lines for chat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from quarterdeck.core.charts.facade import ReleaseImage
from quarterdeck.core.cluster.diff import Diff
from quarterdeck.core.cluster.diff_reader import Images
from quarterdeck.core.ports.host import Release
from quarterdeck.core.redaction.redactor import Redactor


def expected(images: Iterable[ReleaseImage], before: str, tag: str) -> Images:
    """The image changes that a diff should show: from the tag that ran, where one is known.

    Args:
        images: those the releases are to run.
        before: the tag that ran, as it stands in git; "" if none is known.
        tag: the tag they get, as it stands in git; "" for whatever git says of each.
    """
    found: dict[str, tuple[str, str]] = {}
    for image in images:
        if tag and image.tag != tag:
            continue
        change = (f"{before}{image.end}" if before and tag else "", f"{image.tag}{image.end}")
        # two flavours of one repository: which pod has which is for CHECK to say
        found[image.name] = change if found.get(image.name, change) == change else ("", "")
    return found


def describe(read: Diff, releases: Sequence[Release], redactor: Redactor) -> dict[str, Any]:
    """The parts of a diff that gate, layout, chat and page need, redacted."""
    return {
        "releases": {r.name: {"revision": r.revision, "status": r.status, "namespace": r.namespace} for r in releases},
        "changes": not read.empty,
        "changed_releases": [r.name for r in read.releases if r.objects],
        "image_only": read.image_only,
        "surprises": [redactor.text(s) for s in read.surprises],
        "lines": [redactor.text(s) for s in read.changed_lines(4)],
        "summary": redactor.text(read.summary()),
        "workloads": [list(w) for w in read.workloads()],
        "pods": read.pods,
    }
