"""What a diff says, as data that can be stored: releases, counts, surprises, the lines for chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..diff import Diff, Images
from ..ports import Release
from ..redact import Redactor


def expected(image: str, before: str, tag: str) -> Images:
    """The image change that a diff should show: from the tag that ran, where one is known; none for an apply."""
    if not tag:
        return {}
    return {image: (before, tag) if before else tag}


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
