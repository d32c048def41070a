"""The tools `quarterdeck bump` and `quarterdeck versions`: a checkout in, a diff, JSON or a table out."""

from __future__ import annotations

import json
import posixpath
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from quarterdeck.cli.checkout import Checkout, write
from quarterdeck.core.charts.editing.bump import bump
from quarterdeck.core.charts.editing.by_key import parse_key
from quarterdeck.core.charts.editing.patch import unified
from quarterdeck.core.charts.editing.request import BumpOutcome, BumpRequest, FileChange
from quarterdeck.core.charts.keys import dotted
from quarterdeck.core.charts.reading.document import BOM, LOADER
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.parts import CatalogueImages, image_groups
from quarterdeck.core.charts.reading.release_tags import ReleaseTag, ReleaseTagId, ServiceTags, service_tags
from quarterdeck.core.charts.reading.service_files import ServiceFiles, read_service, service_names
from quarterdeck.core.model.text import MANY_SLIPS, nearest

CHANGED, FAILED, USAGE, NOTHING, REFUSED = 0, 1, 2, 3, 4


class UsageError(Exception):
    """The command line makes no sense, or names what is not there."""


def run(charts: Path, request: BumpRequest, to_write: bool, form: str) -> int:
    """Print the edit and return the exit status.

    Raises:
        UsageError: there is no such service, or its folder is not in the checkout.
        OSError: something cannot be read or written.
    """
    request = replace(request, services_dir=inside(charts, request.services_dir))
    tree = Checkout(charts, request.services_dir)
    outcome = bump(ParsedFiles(tree), request)
    if outcome is None:
        raise UsageError(f"no service {request.service} in {request.services_dir}{_near(tree, request)}")
    for note in () if outcome.obstacles else outcome.notes:
        print(note, file=sys.stderr)
    for obstacle in outcome.obstacles:
        print(str(obstacle), file=sys.stderr)
    if not outcome.changes and not outcome.obstacles:
        print(f"nothing to change: {request.service} has that tag already", file=sys.stderr)
    if to_write and outcome.changes:
        write(charts, outcome.changes)
    if form == "json":
        sys.stdout.write(json.dumps(as_json(outcome), indent=2) + "\n")
    elif outcome.changes:
        sys.stdout.buffer.write(unified(outcome.changes))
    sys.stdout.flush()
    if outcome.obstacles:
        return REFUSED
    return CHANGED if outcome.changes else NOTHING


def inside(charts: Path, services_dir: str) -> str:
    """A folder of services as paths from the root of the checkout begin.

    Raises:
        UsageError: it is somewhere else.
    """
    folder = posixpath.normpath(services_dir.strip("/"))
    if folder.split("/")[0] == ".." or not (charts / folder).resolve().is_relative_to(charts.resolve()):
        raise UsageError(f"--services-dir {services_dir} is not in {charts}")
    return folder


def _near(tree: Checkout, request: BumpRequest) -> str:
    near = nearest(request.service, service_names(tree, tree.services_dir), MANY_SLIPS)
    return f"; did you mean {near}?" if near else ""


def as_json(outcome: BumpOutcome) -> dict[str, Any]:
    """An outcome for programs; offsets are bytes in the old file."""
    return {
        "files": [
            {"path": change.path, "action": change.action, "spans": _spans(change)} for change in outcome.changes
        ],
        "side_effects": [
            {
                "service": effect.service,
                "environment": effect.environment,
                "release": effect.release,
                "key": effect.key,
                "before": effect.before,
                "after": effect.after,
            }
            for effect in outcome.side_effects
        ],
        "before": [_row(release_tag) for release_tag in outcome.before],
        "after": [_row(release_tag) for release_tag in outcome.after],
        "notes": list(outcome.notes),
        "refusals": [
            {"code": obstacle.code, "reason": obstacle.reason, "file": obstacle.file, "line": obstacle.line}
            for obstacle in outcome.obstacles
        ],
    }


def _spans(change: FileChange) -> list[dict[str, Any]]:
    raw = (change.old or b"").decode("utf-8")
    bom, text = (BOM, raw[1:]) if raw.startswith(BOM) else ("", raw)
    shift = len(bom.encode())
    return [
        {
            "start": shift + len(text[: span.start].encode()),
            "end": shift + len(text[: span.end].encode()),
            "line": span.line,
            "key": span.key,
            "old": text[span.start : span.end],
            "new": span.new,
        }
        for span in change.spans
    ]


def _row(release_tag: ReleaseTag, part: str = "") -> dict[str, Any]:
    """One line of the table."""
    named = {"part": part} if part else {}
    return {
        "service": release_tag.service,
        "environment": release_tag.release.environment,
        "release": release_tag.release.name,
        **named,
        "kind": release_tag.kind.value,
        "image": release_tag.image,
        "key": dotted(release_tag.path),
        "tag": release_tag.scalar.tag,
        "file": release_tag.scalar.file,
        "line": release_tag.scalar.line,
        "unseen": list(release_tag.unseen),
    }


def request_of(
    services_dir: str, service: str, tag: str, keys: Sequence[str], catalogue: Path | None, **more: Any
) -> BumpRequest:
    """The request that a command line makes.

    Raises:
        UsageError: its options exclude each other, or no tag is said.
        OSError: the catalogue cannot be read.
    """
    parsed = tuple(parse_key(key) for key in keys)
    if more["pin"] and more["unpin"]:
        raise UsageError("--pin and --unpin exclude each other")
    if more["pin"] and parsed:
        raise UsageError("--pin and --key exclude each other")
    if more["unpin"] and parsed:
        raise UsageError("--unpin and --key exclude each other")
    if more["part"] and parsed:
        raise UsageError("--part and --key exclude each other")
    if more["pin"] and not more["environments"]:
        raise UsageError("--pin needs --env")
    if any(not all(key.path) for key in parsed):
        raise UsageError("--key is [FILE:]PATH[=TAG], PATH dotted")
    if not tag and (not parsed or not all(key.tag for key in parsed)):
        raise UsageError("TAG is missing")
    catalogued = read_catalogue(catalogue, service) if catalogue else None
    return BumpRequest(services_dir=services_dir, service=service, tag=tag, keys=parsed, catalogued=catalogued, **more)


def read_catalogue(path: Path, service: str) -> CatalogueImages | None:
    """What a catalogue says of a service's images.

    Raises:
        UsageError: it is no catalogue.
        OSError: it cannot be read.
    """
    try:
        document = yaml.load(path.read_bytes(), Loader=LOADER)  # noqa: S506 - a SafeLoader, in C where there is one
        services = document["services"]
        entry = services.get(service)
        if entry is None:
            return None
        parts = {
            str(name): tuple(map(str, (part.get("images") or {}).values()))
            for name, part in (entry.get("parts") or {}).items()
        }
        return CatalogueImages(str(entry.get("image") or ""), parts)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"{path} is no catalogue: {error}") from error


def survey(
    charts: Path, services_dirs: Iterable[str], wanted: Sequence[str]
) -> tuple[list[tuple[ServiceFiles, ServiceTags]], list[str]]:
    """Services with all about their tags, and wanted names that are nowhere.

    Raises:
        UsageError: a folder has no services.
        OSError: something cannot be read.
    """
    surveyed: list[tuple[ServiceFiles, ServiceTags]] = []
    for services_dir in (inside(charts, name) for name in services_dirs):
        tree = Checkout(charts, services_dir)
        files = ParsedFiles(tree)
        existing = service_names(tree, tree.services_dir)
        if not existing:
            raise UsageError(f"no services in {services_dir}")
        for name in wanted or existing:
            service = read_service(files, tree.services_dir, name) if name in existing else None
            if service is not None:
                surveyed.append((service, service_tags(files, service)))
    names = {service.name for service, _ in surveyed}
    return surveyed, [name for name in wanted if name not in names]


def versions(charts: Path, services_dirs: Sequence[str], wanted: Sequence[str], form: str) -> int:
    """Print environment × release × image × tag × place and return the exit status.

    Raises:
        UsageError: there is no such service.
        OSError: something cannot be read.
    """
    surveyed, missing = survey(charts, services_dirs, wanted)
    if missing:
        raise UsageError(f"no service {', '.join(missing)} in {', '.join(services_dirs)}")
    rows: list[dict[str, Any]] = []
    for service, tags in surveyed:
        rows += _rows_of(service, tags)
        for obstacle in tags.unreadable:
            print(str(obstacle), file=sys.stderr)
        if all(release_tag.kind == "other" for release_tag in tags.release_tags):
            print(f"{service.name}: no image tag in the repository", file=sys.stderr)
    if form == "json":
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        sys.stdout.write(_table(rows))
    sys.stdout.flush()
    return CHANGED


def _rows_of(service: ServiceFiles, tags: ServiceTags) -> list[dict[str, Any]]:
    """The lines of a service: main tags first, helpers' last."""
    parts: dict[ReleaseTagId, str] = {}
    for group in image_groups(service, tags):
        parts |= dict.fromkeys((release_tag.id for release_tag in group.release_tags), group.name)
    ordered = sorted(tags.release_tags, key=lambda release_tag: (release_tag.kind != "main", release_tag.kind))
    return [_row(release_tag, parts.get(release_tag.id, "-")) for release_tag in ordered]


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [("SERVICE", "ENVIRONMENT", "RELEASE", "KIND", "IMAGE", "TAG", "KEY", "PLACE")]
    for row in rows:
        place = f"{row['file']}:{row['line']}"
        names = (row["service"], row["environment"], row["release"], row["kind"], row["image"] or "-")
        lines.append((*names, row["tag"], row["key"], place))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(_aligned(line, widths) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)]
    return "  ".join(cells).rstrip() + "\n"
