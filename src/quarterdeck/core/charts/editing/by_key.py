"""Finds the scalars that `--key [FILE:]PATH[=TAG]` names, exactly those."""

from __future__ import annotations

import posixpath

from quarterdeck.core.charts.conventions import HELMFILE_NAMES
from quarterdeck.core.charts.editing.choosing import ScalarEdit, asked
from quarterdeck.core.charts.editing.request import BumpRequest, KeyOption
from quarterdeck.core.charts.keys import KeyPath, dotted, undotted
from quarterdeck.core.charts.reading.document import Document, Scalar, places
from quarterdeck.core.charts.reading.layers import ParsedFiles, ServiceFiles, ServiceTags
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


def by_key(
    request: BumpRequest, shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags
) -> tuple[ScalarEdit, ...]:
    """The scalars that keys name.

    Raises:
        RefusedError: a key is missing or no tag, or one scalar would get two tags.
    """
    found: dict[tuple[str, int], ScalarEdit] = {}
    wrong: list[Obstacle] = []
    deciding = {row.scalar.id for row in asked(request, finding.rows)}
    narrow = bool(request.environments or request.releases)
    for key in request.keys:
        tag = key.tag or request.tag
        here, why = _named(key, shelf, service, request.environments)
        if narrow and not key.file:
            here = [scalar for scalar in here if scalar.id in deciding]
            if not here and not why:
                why = [Obstacle("key", f"no {dotted(key.path)} decides what was named of {service.name}")]
        wrong += why
        for scalar in here:
            other = found.get(scalar.id)
            if other is not None and other.tag != tag:
                wrong.append(Obstacle("key", f"{dotted(scalar.path)} would get two tags", scalar.file, scalar.line))
            found[scalar.id] = ScalarEdit(scalar, tag)
    if wrong:
        raise RefusedError(wrong)
    return tuple(found[key] for key in sorted(found))


def _named(
    key: KeyOption, shelf: ParsedFiles, service: ServiceFiles, environments: tuple[str, ...]
) -> tuple[list[Scalar], list[Obstacle]]:
    files = list(service.values) if not key.file else _files(key.file, shelf, service, environments)
    name = dotted(key.path)
    if not files:
        return [], [Obstacle("key", f"{service.name} has no file {key.file}")]
    found: list[Scalar] = []
    wrong: list[Obstacle] = []
    for real in dict.fromkeys(files):
        document = shelf.full(real)
        if document is None:
            continue
        if document.broken:
            if key.file or _mentions(document, key.path):
                wrong.append(document.broken)
            continue
        scalar = document.defined(key.path)
        if scalar is not None and not scalar.null:
            found.append(scalar)
        elif (line := _line(document, key.path)) is not None:
            wrong.append(Obstacle("key", f"{name} is no image tag", real, line))
    if not found and not wrong:
        where = key.file or f"any values file of {service.name}"
        wrong.append(Obstacle("key", f"{name} is not in {where}"))
    return found, wrong


def _files(file: str, shelf: ParsedFiles, service: ServiceFiles, environments: tuple[str, ...]) -> list[str]:
    """A file by its name relative to the service's folder; of each environment where each has a folder."""
    tries = [posixpath.join(service.base, file)]
    if service.old_layout:
        environment, _, rest = file.partition("/")
        homes = [home for name, home in service.homes.items() if not environments or name in environments]
        home = service.homes.get(environment)
        tries = [posixpath.join(home, rest)] if home else [*tries, *(posixpath.join(each, file) for each in homes)]
    inside = tuple(f"{home}/" for home in service.homes.values())
    found: list[str] = []
    for path in map(posixpath.normpath, tries):
        real = shelf.real(path)
        name = posixpath.basename(real)
        if name in HELMFILE_NAMES or name.startswith("."):
            continue  # a helmfile's versions are charts', and fixtures are CI's
        if shelf.raw(real) is not None and (real in service.values or path.startswith(inside)):
            found.append(real)
    return found


def _mentions(document: Document, path: KeyPath) -> bool:
    return f"{path[-1]}:".encode() in document.raw


def _line(document: Document, path: KeyPath) -> int | None:
    """The line of a scalar that is no tag, None if there is nothing at the path."""
    if document.root is None:
        return None
    return next((node.start_mark.line + 1 for place, node, _, _, _ in places(document.root) if place == path), None)
