"""Changes in Gerrit: what is read of them, and what we want to exist."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ChangeStatus(StrEnum):
    """Gerrit's states of a change."""

    NEW = "NEW"
    MERGED = "MERGED"
    ABANDONED = "ABANDONED"


@dataclass(frozen=True)
class Vote:
    """One label vote on a change."""

    label: str
    value: int
    who: str
    at: datetime | None = None


def blob_id(content: bytes) -> str:
    """The id git gives a file with that content, in a repository of SHA-1."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Change:
    """A Gerrit change as we last read it.

    Attributes:
        number: Gerrit's `_number`.
        change_id: `I…` footer.
        revision: sha of the current patch set; after a merge the commit on the branch.
        parent: first parent of that commit.
        files: path -> (status letter, git blob id, octal mode), without `/COMMIT_MSG`.
        submittable: Gerrit's own word, with every submit requirement counted.
        submitted: when it was merged, aware UTC.
        uploader: account name of the current patch set's uploader.
    """

    number: int
    change_id: str
    project: str
    branch: str
    subject: str
    status: ChangeStatus
    revision: str
    parent: str = ""
    message: str = ""
    files: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)
    submittable: bool = False
    votes: tuple[Vote, ...] = ()
    submitted: datetime | None = None
    uploader: str = ""
    owner: str = ""
    work_in_progress: bool = False


@dataclass(frozen=True)
class Draft:
    """A change we want to exist.

    Attributes:
        change_id: derived from rollout, step and attempt, so that asking twice finds the same change.
        base: commit the contents were read from; the change's parent.
        message: whole commit message, Change-Id footer included.
        files: path -> new bytes.
    """

    project: str
    branch: str
    change_id: str
    base: str
    message: str
    files: Mapping[str, bytes]
    topic: str = ""
    author: tuple[str, str] | None = None


@dataclass(frozen=True)
class Comment:
    """One message on a change.

    Attributes:
        author: account's username, or its name where Gerrit gives no username.
        at: aware UTC.
    """

    id: str
    author: str
    text: str
    at: datetime
    patch_set: int = 0
