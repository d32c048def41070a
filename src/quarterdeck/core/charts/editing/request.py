"""What is asked of an edit, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quarterdeck.core.charts.editing.splice import Span
from quarterdeck.core.charts.keys import KeyPath
from quarterdeck.core.charts.reading.layers import ReleaseTag
from quarterdeck.core.charts.reading.parts import CatalogueImages
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
        tag: as it shall stand in git; "" where every key brings its own.
        part: name or image, or "".
        environments: none means all.
        releases: none means all.
        keys: exactly these scalars.
        pin: the environments get a copy of their own.
        unpin: the environments' copies go.
        known: what a catalogue says.
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
    known: CatalogueImages | None = None


@dataclass(frozen=True)
class FileChange:
    """A file before and after.

    Attributes:
        path: real path from the root of the charts.
        old: None where it is created.
        new: None where it is deleted.
        spans: what is replaced, in the order of the file.
        bom: characters before the text: 1 with a byte order mark.
    """

    path: str
    old: bytes | None
    new: bytes | None
    spans: tuple[Span, ...]

    @property
    def action(self) -> str:
        """create, delete or modify."""
        return "create" if self.old is None else "delete" if self.new is None else "modify"


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
        before: the rows of the service.
        after: the same afterwards.
        side_effects: what else changes.
        notes: lines for people.
        refusals: why nothing is done.
        decided: (file, key) of every scalar written or taken away.
    """

    changes: tuple[FileChange, ...] = ()
    before: tuple[ReleaseTag, ...] = ()
    after: tuple[ReleaseTag, ...] = ()
    side_effects: tuple[SideEffect, ...] = ()
    notes: tuple[str, ...] = ()
    refusals: tuple[Obstacle, ...] = ()
    decided: tuple[tuple[str, str], ...] = field(default=())
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
