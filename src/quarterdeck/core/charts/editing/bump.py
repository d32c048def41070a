"""Computes a bump from file texts and proves it: the asked tags change, and nothing that was not reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from quarterdeck.core.charts.editing.by_key import by_key
from quarterdeck.core.charts.editing.choosing import (
    ScalarEdit,
    asked,
    check,
    check_targets,
    choose_part,
    place,
    refuse_doubtful,
    refuse_several,
    targets,
)
from quarterdeck.core.charts.editing.pinning import Insertion, check_unpinned, copies, pin
from quarterdeck.core.charts.editing.proof import prove_files
from quarterdeck.core.charts.editing.request import BumpOutcome, BumpRequest, FileChange, SideEffect
from quarterdeck.core.charts.editing.splice import Span, apply, insertion, removal, replacement, stays_string, together
from quarterdeck.core.charts.keys import KeyPath, dotted
from quarterdeck.core.charts.reading.document import Scalar, leaf_at
from quarterdeck.core.charts.reading.layers import (
    FileTree,
    ParsedFiles,
    ReleaseTag,
    ServiceFiles,
    ServiceTags,
    read_service,
    service_tags,
)
from quarterdeck.core.charts.refusals import Obstacle, RefusedError, refuse


@dataclass(frozen=True)
class PlannedEdit:
    """What is to be done to scalars.

    Attributes:
        wanted: ids of the rows that shall have a new tag -> that tag.
    """

    edits: tuple[ScalarEdit, ...] = ()
    inserts: tuple[Insertion, ...] = ()
    gone: tuple[Scalar, ...] = ()
    wanted: Mapping[tuple[str, str, str, KeyPath], str] = field(default_factory=dict)


def bump(tree: FileTree, request: BumpRequest) -> BumpOutcome | None:
    """The edit that a request asks for; None if there is no such service.

    Nothing is raised for what files hold: reasons are in the outcome's `refusals`.
    """
    shelf = ParsedFiles(tree)
    service = read_service(shelf, request.services_dir, request.service)
    if service is None:
        return None
    finding = service_tags(shelf, service)
    try:
        check(request, service)
        filled = service_tags(shelf, service, hollow=True) if request.pin else finding
        plan = _plan(request, shelf, service, filled)
        return _carried_out(request, shelf, service, finding, plan)
    except RefusedError as why:
        return BumpOutcome(before=finding.rows, after=finding.rows, refusals=why.refusals)


def _plan(request: BumpRequest, shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags) -> PlannedEdit:
    if request.keys:
        edits = by_key(request, shelf, service, finding)
        tags = {target.scalar.id: target.tag for target in edits}
        wanted = {row.id: tags[row.scalar.id] for row in finding.rows if row.scalar.id in tags}
        if request.environments or request.releases:
            named = {row.id for row in asked(request, finding.rows)}
            wanted = {key: tag for key, tag in wanted.items() if key in named}
        return PlannedEdit(edits, wanted=wanted)
    if finding.broken:
        raise RefusedError(finding.broken)
    part = choose_part(request, shelf, service, finding)
    if request.environments or request.releases:
        refuse_doubtful(service, part)
    refuse_several(service, part, request.tag)
    wanted = {row.id: request.tag for row in part.rows}
    if request.pin:
        edits, inserts = pin(request, shelf, finding, part)
        return PlannedEdit(edits, inserts, wanted=wanted)
    gone: tuple[Scalar, ...] = ()
    if request.unpin:
        gone = copies(request, shelf, service, finding, part)
        after = service_tags(shelf, service, frozenset(scalar.id for scalar in gone))
        check_unpinned(gone, finding, after)
        mine = {row.id for row in part.rows}
        part = replace(part, rows=tuple(row for row in after.rows if row.id in mine))
        finding = after
    edits = tuple(t for t in targets(request, shelf, service, finding, part) if t.scalar not in gone)
    return PlannedEdit(edits, gone=gone, wanted=wanted)


def _carried_out(
    request: BumpRequest, shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags, plan: PlannedEdit
) -> BumpOutcome:
    """The texts of a plan, proven."""
    check_targets(plan.edits)
    edits = tuple(target for target in plan.edits if not _settled(shelf, target))
    changes = _changes(shelf, edits, plan)
    if not changes:
        return BumpOutcome(before=finding.rows, after=finding.rows)
    edited = shelf.edited({change.path: change.new for change in changes})
    seen = tuple(target for target in edits if target.scalar.tag != target.tag or not _is_text(shelf, target.scalar))
    prove_files(shelf, edited, changes, seen, plan.inserts, plan.gone)
    others = _sharers(shelf, request, service, changes)
    theirs = [service_tags(shelf, other) for other in others]
    _refuse_unread(others, theirs)
    before = [*finding.rows, *(row for found in theirs for row in found.rows)]
    after = [row for each in (service, *others) for row in _again(edited, request, each, shelf)]
    effects = _prove_rows(before, after, plan, {target.scalar.id: target.tag for target in edits})
    if request.pin and effects:
        raise refuse("pin-shared", f"the pin would also move {_listed(effects, service.name)}")
    notes = _notes(request, edits, effects, shelf, changes, service)
    mine = tuple(row for row in after if row.service == service.name)
    decided = tuple(dict.fromkeys((change.path, span.key) for change in changes for span in change.spans))
    return BumpOutcome(changes, finding.rows, mine, effects, notes, decided=decided)


def _settled(shelf: ParsedFiles, target: ScalarEdit) -> bool:
    """Whether a scalar has its tag already, and as a string: a plain 1.10 is a number, which Helm writes as 1.1."""
    scalar, document = target.scalar, shelf.full(target.scalar.file)
    if scalar.tag != target.tag or document is None:
        return scalar.tag == target.tag
    node = leaf_at(document.root, scalar.path)
    typed = node is not None and "!!str" in document.text[node.start_mark.index : scalar.start]
    return typed or bool(scalar.style) or stays_string(scalar.value)


def _is_text(shelf: ParsedFiles, scalar: Scalar) -> bool:
    """Whether our parser takes a scalar for a string, so that quotes alone change no leaf: a plain 1e5, not 1.10."""
    document = shelf.full(scalar.file)
    node = leaf_at(document.root, scalar.path) if document else None
    return node is not None and node.tag == "tag:yaml.org,2002:str"


def _again(
    edited: ParsedFiles, request: BumpRequest, service: ServiceFiles, shelf: ParsedFiles
) -> tuple[ReleaseTag, ...]:
    """The rows of a service after the edit, files that came or went included."""
    loaded = read_service(edited, request.services_dir, service.name) or service
    made = tuple(real for real, raw in edited.over.items() if raw is not None and shelf.raw(real) is None)
    reals = {layer.real for release in service.releases for layer in release.layers}
    values = tuple(dict.fromkeys((*loaded.values, *(real for real in made if real in reals))))
    return service_tags(edited, replace(loaded, values=values)).rows


def _changes(shelf: ParsedFiles, edits: Sequence[ScalarEdit], plan: PlannedEdit) -> tuple[FileChange, ...]:
    """Every file with its spans and its new content."""
    spans: dict[str, list[Span]] = {}
    for target in edits:
        document = shelf.full(target.scalar.file)
        if document is not None:
            spans.setdefault(target.scalar.file, []).append(replacement(document, target.scalar, target.tag))
    inserts: dict[str, list[Span]] = {}
    for item in plan.inserts:
        document, like = shelf.full(item.file), shelf.full(item.like.file)
        if document is not None and document.broken:
            raise RefusedError([document.broken])
        newline = like.newline if like else "\n"
        inserts.setdefault(item.file, []).append(insertion(document, item.path, item.value, item.like.style, newline))
    for real, made in inserts.items():
        spans.setdefault(real, []).extend(together(made))
    for scalar in plan.gone:
        document = shelf.full(scalar.file)
        if document is not None:
            spans.setdefault(scalar.file, []).append(removal(document, scalar.path))
    gone = {scalar.file for scalar in plan.gone}
    return tuple(_change(shelf, real, spans[real], real in gone) for real in sorted(spans))


def _change(shelf: ParsedFiles, real: str, spans: Sequence[Span], may_go: bool) -> FileChange:
    ordered = tuple(sorted(spans, key=lambda span: (span.start, span.end)))
    document = shelf.full(real)
    if document is None:
        merged = replace(ordered[0], new="".join(span.new for span in ordered))
        return FileChange(real, None, merged.new.encode(), (merged,) if len(ordered) > 1 else ordered)
    text = apply(document.text, ordered)
    if may_go and not text.replace("---", "").strip():
        whole = Span(0, len(document.text), "", ordered[0].key, ordered[0].line)
        return FileChange(real, document.raw, None, (whole,))
    return FileChange(real, document.raw, (document.bom + text).encode(), ordered)


def _sharers(
    shelf: ParsedFiles, request: BumpRequest, service: ServiceFiles, changes: Iterable[FileChange]
) -> list[ServiceFiles]:
    """Other services that read an edited file."""
    names = {name for change in changes for name in shelf.tree.sharers.get(change.path, ()) if name != service.name}
    found = (read_service(shelf, request.services_dir, name) for name in sorted(names))
    return [other for other in found if other is not None]


def _refuse_unread(others: Sequence[ServiceFiles], theirs: Sequence[ServiceTags]) -> None:
    """Refuse where a sharer's file cannot be read: what the edit does to that service cannot be told.

    Raises:
        RefusedError: with each such file.
    """
    wrong = [
        Obstacle(
            "shared",
            f"{other.name} shares an edited file, and this one of its files is {why.reason}",
            why.file,
            why.line,
        )
        for other, found in zip(others, theirs, strict=True)
        for why in found.broken
    ]
    if wrong:
        raise RefusedError(wrong)


def _prove_rows(
    before: Sequence[ReleaseTag], after: Sequence[ReleaseTag], plan: PlannedEdit, tags: Mapping[tuple[str, int], str]
) -> tuple[SideEffect, ...]:
    """The side effects; refuses when a tag is not what was asked, or changed without a reason.

    Raises:
        RefusedError: the proof fails.
    """
    new = {row.id: row for row in after}
    old = {row.id: row for row in before}
    gone = {scalar.id for scalar in plan.gone}
    inserted = {item.file for item in plan.inserts}
    effects = []
    for key in dict.fromkeys((*old, *new)):
        was = old[key].scalar.tag if key in old else ""
        now = new[key].scalar.tag if key in new else ""
        _, environment, release, path = key
        if key in plan.wanted:
            if now != plan.wanted[key]:
                raise refuse(
                    "unproven",
                    f"{environment}/{release} would have {now or 'no tag'} at {dotted(path)}, not what was asked",
                )
            continue
        if was == now:
            continue
        if key in old and old[key].holder and now == tags.get(old[key].scalar.id):
            continue  # named with its anchor
        cause = key in old and (old[key].scalar.id in tags or old[key].scalar.id in gone)
        if not cause and not (key in new and new[key].scalar.file in inserted):
            raise refuse(
                "unproven",
                f"{key[0]} {environment}/{release} {dotted(path)} would change from {was} to {now} without a reason",
            )
        if key in old and old[key].scalar.id in gone and not now:
            raise refuse("unpin", f"without {place(old[key].scalar)} {key[0]} would have no tag in {environment}")
        effects.append(SideEffect(key[0], environment, release, dotted(path), was, now))
    return tuple(effects)


def _listed(effects: Sequence[SideEffect], own: str = "") -> str:
    """The side effects for people: releases of the service itself, environments of others."""
    named: dict[str, dict[str, None]] = {}
    for effect in effects:
        where = f"{effect.environment}/{effect.release}" if effect.service == own else effect.environment
        named.setdefault(effect.service, {})[where] = None
    return "; ".join(f"{name}: {', '.join(places)}" for name, places in named.items())


def _notes(
    request: BumpRequest,
    edits: Sequence[ScalarEdit],
    effects: Sequence[SideEffect],
    shelf: ParsedFiles,
    changes: Sequence[FileChange],
    service: ServiceFiles,
) -> tuple[str, ...]:
    """What people should know: side effects, anchors, links."""
    notes = []
    if effects:
        where = ", ".join(dict.fromkeys(f"{t.scalar.file}:{t.scalar.line}" for t in edits))
        pin_too = (
            "; --pin gives a copy of its own" if request.environments and not (request.unpin or request.keys) else ""
        )
        notes.append(f"also moves {_listed(effects, service.name)} ({where}){pin_too}")
    for target in edits:
        if len(target.scalar.paths) > 1:
            others = ", ".join(dotted(path) for path in target.scalar.paths[1:])
            notes.append(
                f"{target.scalar.file}:{target.scalar.line}: {dotted(target.scalar.path)} is anchored and feeds {others} too"
            )
    for change in changes:
        names = [name for name in shelf.tree.sharers.get(change.path, ()) if name != service.name]
        if names:
            notes.append(f"{change.path} is shared with {', '.join(names)}")
    return tuple(notes)
