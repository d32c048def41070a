"""What is asked of an edit, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.core.charts.editing.splice import Span
from quarterdeck.core.charts.keys import KeyPath
from quarterdeck.core.charts.reading.parts import CatalogueImages
from quarterdeck.core.charts.reading.release_tags import ReleaseTag
from quarterdeck.core.charts.refusals import Obstacle


@dataclass(frozen=True)
class KeyOption:
    """One `--key [FILE:]PATH[=TAG]`.

    Attributes:
        file: relative to the service's folder, or "" for every file that holds the path.
        path: the keys.
        tag: its own, or "" for the request's.
    """

    file: str
    path: KeyPath
    tag: str = ""


@dataclass(frozen=True)
class BumpRequest:
    """A bump.

    Attributes:
        services_dir: folder whose entries are the services' folders.
        tag: as it shall stand in git; "" where every key brings its own, or where none is chosen yet.
        part: name or image, or "".
        environments: none means all.
        releases: none means all.
        keys: exactly these scalars.
        pin: the environments get a copy of their own.
        unpin: the environments' copies go.
        catalogued: what a catalogue says of the service's images; None without one.
    """

    services_dir: str
    service: str
    tag: str = ""
    part: str = ""
    environments: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    keys: tuple[KeyOption, ...] = ()
    pin: bool = False
    unpin: bool = False
    catalogued: CatalogueImages | None = None

    @property
    def narrowed(self) -> bool:
        """Whether it is for some environments or releases only."""
        return bool(self.environments or self.releases)

    def includes(self, release_tag: ReleaseTag) -> bool:
        """Whether a tag is of one of the environments and releases that are asked for."""
        release = release_tag.release
        if self.environments and release.environment not in self.environments:
            return False
        return not self.releases or release.name in self.releases


@dataclass(frozen=True)
class FileChange:
    """A file before and after.

    Attributes:
        path: real path from the root of the charts.
        old: None where it is created.
        new: None where it is deleted.
        spans: what is replaced, in the order of the file.
    """

    path: str
    old: bytes | None
    new: bytes | None
    spans: tuple[Span, ...]

    @property
    def action(self) -> str:
        """create, delete or modify."""
        if self.old is None:
            return "create"
        return "delete" if self.new is None else "modify"


@dataclass(frozen=True)
class SideEffect:
    """A tag that changes and was not asked for."""

    service: str
    environment: str
    release: str
    key: str
    before: str
    after: str


@dataclass(frozen=True)
class BumpOutcome:
    """A bump, computed and proven, not written.

    Attributes:
        changes: none if there is nothing to change or it is refused.
        before: the tags of the service's releases.
        after: the same afterwards.
        side_effects: what else changes.
        notes: lines for people.
        obstacles: why nothing is done.
        decided: (file, key) of every scalar written or taken away.
    """

    changes: tuple[FileChange, ...] = ()
    before: tuple[ReleaseTag, ...] = ()
    after: tuple[ReleaseTag, ...] = ()
    side_effects: tuple[SideEffect, ...] = ()
    notes: tuple[str, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    decided: tuple[tuple[str, str], ...] = ()
