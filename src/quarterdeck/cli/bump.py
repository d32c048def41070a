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
from quarterdeck.core.charts.reading.layers import (
    ParsedFiles,
    ReleaseTag,
    ServiceFiles,
    ServiceTags,
    read_service,
    service_names,
    service_tags,
)
from quarterdeck.core.charts.reading.parts import CatalogueImages, image_groups

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
    outcome = bump(tree, request)
    if outcome is None:
        raise UsageError(f"no service {request.service} in {request.services_dir}{_near(tree, request)}")
    for note in () if outcome.refusals else outcome.notes:
        print(note, file=sys.stderr)
    for refusal in outcome.refusals:
        print(str(refusal), file=sys.stderr)
    if not outcome.changes and not outcome.refusals:
        print(f"nothing to change: {request.service} has that tag already", file=sys.stderr)
    if to_write and outcome.changes:
        write(charts, outcome.changes)
    if form == "json":
        sys.stdout.write(json.dumps(as_json(outcome), indent=2) + "\n")
    elif outcome.changes:
        sys.stdout.buffer.write(unified(outcome.changes))
    sys.stdout.flush()
    return REFUSED if outcome.refusals else CHANGED if outcome.changes else NOTHING


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
    import difflib

    close = difflib.get_close_matches(request.service, service_names(tree, tree.services_dir), 1)
    return f"; did you mean {close[0]}?" if close else ""


def as_json(outcome: BumpOutcome) -> dict[str, Any]:
    """An outcome for programs; offsets are bytes in the old file."""
    return {
        "files": [
            {"path": change.path, "action": change.action, "spans": _spans(change)} for change in outcome.changes
        ],
        "side_effects": [
            {
                "service": e.service,
                "environment": e.environment,
                "release": e.release,
                "key": e.key,
                "before": e.before,
                "after": e.after,
            }
            for e in outcome.side_effects
        ],
        "before": [_row(row) for row in outcome.before],
        "after": [_row(row) for row in outcome.after],
        "notes": list(outcome.notes),
        "refusals": [{"code": r.code, "reason": r.reason, "file": r.file, "line": r.line} for r in outcome.refusals],
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


def _row(row: ReleaseTag, part: str = "") -> dict[str, Any]:
    named = {"part": part} if part else {}
    return {
        "service": row.service,
        "environment": row.release.environment,
        "release": row.release.name,
        **named,
        "kind": row.kind.value,
        "image": row.image,
        "key": dotted(row.path),
        "tag": row.scalar.tag,
        "file": row.scalar.file,
        "line": row.scalar.line,
        "unseen": list(row.unseen),
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
    known = read_catalogue(catalogue, service) if catalogue else None
    return BumpRequest(services_dir=services_dir, service=service, tag=tag, keys=parsed, known=known, **more)


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
            str(n): tuple(map(str, (p.get("images") or {}).values())) for n, p in (entry.get("parts") or {}).items()
        }
        return CatalogueImages(str(entry.get("image") or ""), parts)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"{path} is no catalogue: {error}") from error


def survey(
    charts: Path, services_dirs: Iterable[str], wanted: Sequence[str]
) -> tuple[list[tuple[ServiceFiles, ServiceTags, ParsedFiles]], list[str]]:
    """Services with all about their tags, and wanted names that are nowhere.

    Raises:
        UsageError: a folder has no services.
        OSError: something cannot be read.
    """
    found: list[tuple[ServiceFiles, ServiceTags, ParsedFiles]] = []
    for services_dir in (inside(charts, name) for name in services_dirs):
        tree = Checkout(charts, services_dir)
        shelf = ParsedFiles(tree)
        there = service_names(tree, tree.services_dir)
        if not there:
            raise UsageError(f"no services in {services_dir}")
        for name in wanted or there:
            service = read_service(shelf, tree.services_dir, name) if name in there else None
            if service is not None:
                found.append((service, service_tags(shelf, service), shelf))
    have = {service.name for service, _, _ in found}
    return found, [name for name in wanted if name not in have]


def versions(charts: Path, services_dirs: Sequence[str], wanted: Sequence[str], form: str) -> int:
    """Print environment × release × image × tag × place and return the exit status.

    Raises:
        UsageError: there is no such service.
        OSError: something cannot be read.
    """
    found, missing = survey(charts, services_dirs, wanted)
    if missing:
        raise UsageError(f"no service {', '.join(missing)} in {', '.join(services_dirs)}")
    rows: list[dict[str, Any]] = []
    for service, finding, _ in found:
        parts = {row.id: part.name for part in image_groups(service, finding) for row in part.rows}
        rows += [
            _row(row, parts.get(row.id, "-")) for row in sorted(finding.rows, key=lambda r: (r.kind != "main", r.kind))
        ]
        for refusal in finding.broken:
            print(str(refusal), file=sys.stderr)
        if not any(row.kind != "other" for row in finding.rows):
            print(f"{service.name}: no image tag in the repository", file=sys.stderr)
    if form == "json":
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        sys.stdout.write(_table(rows))
    sys.stdout.flush()
    return CHANGED


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = ("SERVICE", "ENVIRONMENT", "RELEASE", "KIND", "IMAGE", "TAG", "KEY", "PLACE")
    lines = [head] + [
        (
            r["service"],
            r["environment"],
            r["release"],
            r["kind"],
            r["image"] or "-",
            r["tag"],
            r["key"],
            f"{r['file']}:{r['line']}",
        )
        for r in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
