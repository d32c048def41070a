"""A merged change, and the image that came or did not come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BuildState(StrEnum):
    """How far a merged change got on its way to an image."""

    AWAITING = "awaiting"
    READY = "ready"  #: the registry has the image
    FAILED = "failed"  #: CI says there is none
    SILENT = "silent"  #: the deadline passed and nobody said anything
    SEEN = "seen"  #: merged before we watched: never announced


@dataclass(frozen=True)
class Build:
    """One merged change of a watched project, and the image that came or did not come of it.

    Attributes:
        change: Gerrit's number.
        commit: sha on the branch.
        image: repository name; empty until CI named one (then one entry per image).
        said: what was announced of it last ("" nothing, "ready", "failed", "silent").
    """

    project: str
    change: int
    commit: str
    subject: str
    owner: str
    merged: datetime
    state: BuildState = BuildState.AWAITING
    image: str = ""
    tag: str = ""
    digest: str = ""
    said: str = ""
    updated: datetime | None = None
