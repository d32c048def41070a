"""Gives environments a copy of their own, and takes such copies away."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quarterdeck.core.charts.editing.choosing import ScalarEdit, asked, place
from quarterdeck.core.charts.editing.request import BumpRequest
from quarterdeck.core.charts.keys import KeyPath, dotted
from quarterdeck.core.charts.reading.document import Scalar, list_at
from quarterdeck.core.charts.reading.layers import ParsedFiles, ReleaseTag, ServiceFiles, ServiceTags, ValuesLayer
from quarterdeck.core.charts.reading.parts import ImageGroup
from quarterdeck.core.charts.refusals import refuse


@dataclass(frozen=True)
class Insertion:
    """A line to put in.

    Attributes:
        file: real path; it may not exist yet.
        path: the keys.
        value: the whole value, with an image's name if the shared scalar has one.
        like: the scalar whose quoting it follows.
    """

    file: str
    path: KeyPath
    value: str
    like: Scalar
    tag: str


def pin(
    request: BumpRequest, shelf: ParsedFiles, finding: ServiceTags, part: ImageGroup
) -> tuple[tuple[ScalarEdit, ...], tuple[Insertion, ...]]:
    """Copies to edit and copies to write so that the asked rows, and no others, get the tag.

    Raises:
        RefusedError: no layer of the environment wins without touching others.
    """
    wanted = {row.id for row in part.rows}
    edits: dict[tuple[str, int], ScalarEdit] = {}
    inserts: dict[tuple[str, KeyPath], Insertion] = {}
    for row in part.rows:
        if _own(row, finding, wanted, shelf):
            edits[row.scalar.id] = ScalarEdit(row.scalar, request.tag)
            continue
        found = _lowest(row, finding, wanted, shelf)
        scalar = row.scalar
        _refuse_list(row, found, shelf)
        value = f"{scalar.name}:{request.tag}" if scalar.name else request.tag
        inserts[found.real, row.path] = Insertion(found.real, row.path, value, scalar, request.tag)
    return tuple(edits.values()), tuple(inserts.values())


def _refuse_list(row: ReleaseTag, layer: ValuesLayer, shelf: ParsedFiles) -> None:
    """Refuse to write a copy of what stands in a list: a later file's list takes the place of all of it."""
    document = shelf.full(row.scalar.file)
    keys = list_at(document.root, row.scalar.path) if document else ()
    if keys:
        reason = f"{dotted(keys)} is a list: one in {layer.path} would replace all of it"
        raise refuse("pin-list", reason, row.scalar.file, row.scalar.line)


def _own(row: ReleaseTag, finding: ServiceTags, wanted: set[tuple[str, str, str, KeyPath]], shelf: ParsedFiles) -> bool:
    """Whether what decides a row is a copy of what was asked for: it decides nothing else, and no later file could."""
    layer = row.release.layers[row.depth]
    if not {r.id for r in finding.rows if r.scalar.id == row.scalar.id and not r.holder} <= wanted:
        return False
    if layer.per_environment:
        return not _others(layer, row, shelf) or not any(_fits(row, at, finding, wanted, shelf) for at in _above(row))
    return layer.per_release and not any(at.per_environment for at in _above(row))


def _others(layer: ValuesLayer, row: ReleaseTag, shelf: ParsedFiles) -> list[str]:
    """Other services that read a layer's file."""
    return [name for name in shelf.tree.sharers.get(layer.real, ()) if name != row.service]


def _fits(
    row: ReleaseTag,
    layer: ValuesLayer,
    finding: ServiceTags,
    wanted: set[tuple[str, str, str, KeyPath]],
    shelf: ParsedFiles,
) -> bool:
    """Whether a scalar in a layer above would win for the row and decide asked rows only."""
    touched = {r.id for r in finding.rows if r.path == row.path and _wins(r, layer)}
    return touched <= wanted and not _others(layer, row, shelf)


def _lowest(
    row: ReleaseTag, finding: ServiceTags, wanted: set[tuple[str, str, str, KeyPath]], shelf: ParsedFiles
) -> ValuesLayer:
    """The lowest layer of the environment, else of the release, that wins for the row and changes asked rows only."""
    if row.release.doubt:
        raise refuse(
            "helmfile", f"the helmfile of {row.service} cannot be read, so no layer is known to win", say="--key"
        )
    for layer in _above(row):
        made = shelf.raw(layer.real) is None and posixpath.basename(layer.path).startswith("global")
        if not made and _fits(row, layer, finding, wanted, shelf):
            return layer  # a file of several services' settings is not begun for a tag
    environment, release = row.release.environment, row.release.name
    own = row.release.layers[row.depth]
    shared = next((layer.path for layer in (*_above(row), own) if layer.per_environment), "")
    if shared:
        raise refuse(
            "pin-shared",
            f"a pin in {shared} would move more than was asked for; name the others too, or leave --pin out",
        )
    raise refuse(
        "pin-overridden",
        f"a pin for {environment} would do nothing in release {release}: {place(row.scalar)} overrides it, "
        f"and the helmfile names no later file of {environment}",
        row.scalar.file,
        row.scalar.line,
    )


def _above(row: ReleaseTag) -> list[ValuesLayer]:
    """The layers above the one that decides: the environment's, then those of the release in all environments."""
    higher = [layer for layer in row.release.layers[row.depth + 1 :] if not layer.on_server and layer.known]
    own = [layer for layer in higher if layer.per_environment]
    return own + [layer for layer in higher if layer.per_release and not layer.per_environment]


def _wins(row: ReleaseTag, layer: ValuesLayer) -> bool:
    """Whether a scalar in that layer would decide the row."""
    return any(other.real == layer.real and depth > row.depth for depth, other in enumerate(row.release.layers))


def copies(
    request: BumpRequest, shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags, part: ImageGroup
) -> tuple[Scalar, ...]:
    """The copies of single environments that go.

    Raises:
        RefusedError: without them an environment would have no tag, or another image's.
    """
    if service.old_layout:
        raise refuse("unpin", f"{service.name} has a folder for each environment; no tag is shared, so no copy can go")
    gone: dict[tuple[str, int], Scalar] = {}
    paths = {row.path for row in part.rows}
    for release in service.releases:
        if request.environments and release.environment not in request.environments:
            continue
        for layer in release.layers:
            if not layer.per_environment or layer.on_server:
                continue
            document = shelf.full(layer.real)
            for path, scalar in (document.scalars() if document else {}).items():
                if path in paths and not scalar.null and _of_part(scalar, layer, finding, part, shelf):
                    gone[scalar.id] = scalar
    if request.releases:
        mine = {row.scalar.id for row in asked(request, part.rows)}
        gone = {key: scalar for key, scalar in gone.items() if key in mine}
    return tuple(gone[key] for key in sorted(gone))


def _of_part(scalar: Scalar, layer: ValuesLayer, finding: ServiceTags, part: ImageGroup, shelf: ParsedFiles) -> bool:
    """A copy that decides something of another part is that part's; one that decides nothing here may be a sharer's."""
    rows = [row for row in finding.rows if row.scalar.id == scalar.id]
    mine = {row.id for row in part.rows}
    return all(row.id in mine for row in rows) and bool(rows or not _others(layer, part.rows[0], shelf))


def check_unpinned(gone: Sequence[Scalar], before: ServiceTags, after: ServiceTags) -> None:
    """Refuse to take a copy away where nothing else says the tag of the same image.

    Raises:
        RefusedError: with the copy.
    """
    left = {row.id: row for row in after.rows}
    ids = {scalar.id for scalar in gone}
    for row in before.rows:
        if row.scalar.id not in ids:
            continue
        new = left.get(row.id)
        environment = row.release.environment
        if new is None:
            raise refuse(
                "unpin",
                f"without {place(row.scalar)} {environment} would have no tag in the repository",
                row.scalar.file,
                row.scalar.line,
            )
        if new.image != row.image:
            raise refuse(
                "unpin",
                f"{environment} runs {row.image or 'the default image of its chart'} with {place(row.scalar)}, not what the shared tag is of",
                row.scalar.file,
                row.scalar.line,
            )


def copies_named(scalars: Iterable[Scalar]) -> str:
    """The copies, for people."""
    return ", ".join(f"{s.file}:{s.line} {dotted(s.path)}" for s in scalars)
