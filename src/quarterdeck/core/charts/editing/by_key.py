"""Finds the scalars that `--key [FILE:]PATH[=TAG]` names, exactly those."""

from __future__ import annotations

import posixpath

from quarterdeck.core.charts.conventions import HELMFILE_NAMES
from quarterdeck.core.charts.editing.choosing import ScalarEdit
from quarterdeck.core.charts.editing.request import BumpRequest, KeyOption
from quarterdeck.core.charts.keys import KeyPath, dotted, undotted
from quarterdeck.core.charts.reading.document import Document, Scalar, placed_scalars
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.release_tags import ServiceTags
from quarterdeck.core.charts.reading.service_files import ServiceFiles
from quarterdeck.core.charts.refusals import Obstacle, RefusedError


def parse_key(text: str) -> KeyOption:
    """`[FILE:]PATH[=TAG]`, taken apart."""
    left, equals, tag = text.rpartition("=")
    if not equals:
        left, tag = text, ""
    file, colon, path = left.partition(":")
    if not colon:
        file, path = "", left
    return KeyOption(file, undotted(path), tag)


def edits_by_key(
    request: BumpRequest, files: ParsedFiles, service: ServiceFiles, tags: ServiceTags
) -> tuple[ScalarEdit, ...]:
    """The scalars that keys name.

    Raises:
        RefusedError: a key is missing or no tag, or one scalar would get two tags.
    """
    edits: dict[tuple[str, int], ScalarEdit] = {}
    obstacles: list[Obstacle] = []
    deciding = {release_tag.scalar.id for release_tag in filter(request.includes, tags.release_tags)}
    for key in request.keys:
        tag = key.tag or request.tag
        scalars, obstacles_of_key = _named(key, files, service, request.environments)
        if request.narrowed and not key.file:
            scalars = [scalar for scalar in scalars if scalar.id in deciding]
            if not scalars and not obstacles_of_key:
                reason = f"no {dotted(key.path)} decides what was named of {service.name}"
                obstacles_of_key = [Obstacle("key", reason)]
        obstacles += obstacles_of_key
        for scalar in scalars:
            other = edits.get(scalar.id)
            if other is not None and other.tag != tag:
                reason = f"{dotted(scalar.path)} would get two tags"
                obstacles.append(Obstacle("key", reason, scalar.file, scalar.line))
            edits[scalar.id] = ScalarEdit(scalar, tag)
    if obstacles:
        raise RefusedError(obstacles)
    return tuple(edits[scalar_id] for scalar_id in sorted(edits))


def _named(
    key: KeyOption, files: ParsedFiles, service: ServiceFiles, environments: tuple[str, ...]
) -> tuple[list[Scalar], list[Obstacle]]:
    """The scalars that a key names, and why it names none, or none in a file."""
    reals = _named_files(key.file, files, service, environments) if key.file else list(service.values)
    name = dotted(key.path)
    if not reals:
        return [], [Obstacle("key", f"{service.name} has no file {key.file}")]
    scalars: list[Scalar] = []
    obstacles: list[Obstacle] = []
    for real in dict.fromkeys(reals):
        document = files.document(real)
        if document is None:
            continue
        if document.broken:
            if key.file or _mentions(document, key.path):
                obstacles.append(document.broken)
            continue
        scalar = document.defined(key.path)
        if scalar is not None and not scalar.null:
            scalars.append(scalar)
        elif (line := _line(document, key.path)) is not None:
            obstacles.append(Obstacle("key", f"{name} is no image tag", real, line))
    if not scalars and not obstacles:
        where = key.file or f"any values file of {service.name}"
        obstacles.append(Obstacle("key", f"{name} is not in {where}"))
    return scalars, obstacles


def _named_files(file: str, files: ParsedFiles, service: ServiceFiles, environments: tuple[str, ...]) -> list[str]:
    """A file by its name relative to the service's folder; of each environment where each has a folder."""
    inside = tuple(f"{home}/" for home in service.homes.values())
    reals: list[str] = []
    for path in map(posixpath.normpath, _possible_paths(file, service, environments)):
        real = files.real(path)
        name = posixpath.basename(real)
        if name in HELMFILE_NAMES or name.startswith("."):
            continue  # a helmfile's versions are charts', and fixtures are CI's
        if files.content(real) is not None and (real in service.values or path.startswith(inside)):
            reals.append(real)
    return reals


def _possible_paths(file: str, service: ServiceFiles, environments: tuple[str, ...]) -> list[str]:
    """The paths that a file's name may mean."""
    if not service.old_layout:
        return [posixpath.join(service.base, file)]
    environment, _, rest = file.partition("/")
    if environment in service.homes:
        return [posixpath.join(service.homes[environment], rest)]
    homes = [home for name, home in service.homes.items() if not environments or name in environments]
    return [posixpath.join(folder, file) for folder in (service.base, *homes)]


def _mentions(document: Document, path: KeyPath) -> bool:
    return f"{path[-1]}:".encode() in document.raw


def _line(document: Document, path: KeyPath) -> int | None:
    """The line of a scalar that is no tag, None if there is nothing at the path."""
    if document.root is None:
        return None
    for placed in placed_scalars(document.root):
        if placed.path == path:
            return placed.node.start_mark.line + 1
    return None
