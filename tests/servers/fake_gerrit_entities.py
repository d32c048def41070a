"""What the small Gerrit of the tests keeps of a change, and how its REST writes it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]
LABELS = {"Code-Review": (-2, 2), "Verified": (-1, 2)}


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass
class Fault:
    """What goes wrong with requests that match.

    Attributes:
        match: searched in "METHOD path".
        action: "status" answers with it and does nothing, "lost" does it and cuts the connection, "cut" does
            nothing and cuts, "hang" does nothing and never answers, "done-hang" does it and never
            answers, "slow" does it and answers byte by byte,
            "done-500" does it and answers 500, "text" answers 200 with a page,
            "shape" with JSON of another shape.
        skip: matching requests to let pass first.
        times: how often it happens.
    """

    match: str
    action: str
    status: int = 500
    skip: int = 0
    times: int = 1


@dataclass
class PatchSet:
    sha: str
    parent: str
    message: str
    base: Mapping[str, bytes]
    files: Mapping[str, bytes]
    uploader: str
    kind: str = "REWORK"

    def info(self, number: int) -> Json:
        """A RevisionInfo."""
        entries: Json = {}
        for path in sorted({*self.base, *self.files}):
            old, new = self.base.get(path), self.files.get(path)
            if old == new:
                continue
            entry: Json = {}
            if old is not None:
                entry |= {"old_mode": 0o100644, "old_sha": blob(old)}
            if new is not None:
                entry |= {"new_mode": 0o100644, "new_sha": blob(new)}
            if old is None or new is None:
                entry["status"] = "A" if old is None else "D"
            entries[path] = entry
        return {
            "kind": self.kind,
            "_number": number,
            "uploader": account(self.uploader),
            "commit": {"parents": [{"commit": self.parent}], "message": self.message.rstrip("\n")},
            "files": entries,
        }


@dataclass
class Record:
    number: int
    change_id: str
    project: str
    branch: str
    topic: str
    author: Json | None
    owner: str
    patch_sets: list[PatchSet]
    wip: bool
    status: str = "NEW"
    edit: dict[str, bytes] | None = None
    votes: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    messages: list[Json] = field(default_factory=list)
    submitted: datetime | None = None

    @property
    def current(self) -> PatchSet:
        """The newest patch set."""
        return self.patch_sets[-1]


def blob(content: bytes) -> str:
    """The id git gives a file with that content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def account(name: str) -> Json:
    """An AccountInfo."""
    return {"_account_id": 1000000 + len(name), "name": name.title(), "username": name}


def stamp(at: datetime) -> str:
    """A time as Gerrit writes it."""
    return f"{at:%Y-%m-%d %H:%M:%S}.000000000"
