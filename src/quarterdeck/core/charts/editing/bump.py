"""Computes a bump and proves it: the asked tags change, and nothing that was not reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from quarterdeck.core.charts.editing.choosing import ScalarEdit, check_edits, located
from quarterdeck.core.charts.editing.planning import PlannedBump, plan_bump, unreadable_sharers
from quarterdeck.core.charts.editing.proof import IntendedChanges, prove_files
from quarterdeck.core.charts.editing.request import BumpOutcome, BumpRequest, FileChange, SideEffect
from quarterdeck.core.charts.editing.splice import (
    Span,
    apply,
    insertion_point,
    removal,
    replacement,
    stays_string,
    together,
)
from quarterdeck.core.charts.keys import dotted
from quarterdeck.core.charts.reading.document import Scalar, leaf_at
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.release_tags import ReleaseTag, ServiceTags, service_tags
from quarterdeck.core.charts.reading.service_files import ServiceFiles, read_service
from quarterdeck.core.charts.refusals import RefusedError, refuse

_STRING = "tag:yaml.org,2002:str"


def bump(files: ParsedFiles, request: BumpRequest) -> BumpOutcome | None:
    """The edit that a request asks for; None if there is no such service.

    Nothing is raised for what files hold: reasons are in the outcome's `obstacles`.
    """
    service = read_service(files, request.services_dir, request.service)
    if service is None:
        return None
    tags = service_tags(files, service)
    try:
        planned = plan_bump(request, files, service, tags)
        return _Execution(request, files, service, tags, planned).outcome()
    except RefusedError as why:
        return BumpOutcome(before=tags.release_tags, after=tags.release_tags, obstacles=why.obstacles)


@dataclass(frozen=True)
class _Execution:
    """A planned bump that is made of texts and proven."""

    request: BumpRequest
    files: ParsedFiles
    service: ServiceFiles
    tags: ServiceTags
    planned: PlannedBump

    def outcome(self) -> BumpOutcome:
        """What comes of it.

        Raises:
            RefusedError: a scalar cannot be edited, or the proof fails.
        """
        check_edits(self.planned.edits)
        edits = [edit for edit in self.planned.edits if not _is_settled(self.files, edit)]
        changes = self._changes(edits)
        if not changes:
            return BumpOutcome(before=self.tags.release_tags, after=self.tags.release_tags)
        edited = self.files.with_changes({change.path: change.new for change in changes})
        # quotes alone make another leaf only of what our parser did not take for a string before
        visible = [edit for edit in edits if edit.scalar.tag != edit.tag or not _is_string(self.files, edit.scalar)]
        intended = IntendedChanges(visible, self.planned.insertions, self.planned.gone)
        prove_files(self.files, edited, changes, intended)
        before, after = self._release_tags(edited, changes)
        side_effects = _prove_tags(before, after, self.planned, {edit.scalar.id: edit.tag for edit in edits})
        if self.request.pin and side_effects:
            raise refuse("pin-shared", f"the pin would also move {_listed(side_effects, self.service.name)}")
        written = dict.fromkeys((change.path, span.key) for change, span in _spans(changes))
        return BumpOutcome(
            changes=changes,
            before=self.tags.release_tags,
            after=tuple(release_tag for release_tag in after if release_tag.service == self.service.name),
            side_effects=side_effects,
            notes=self._notes(edits, side_effects, changes),
            decided=tuple(written),
        )

    def _release_tags(
        self, edited: ParsedFiles, changes: Sequence[FileChange]
    ) -> tuple[list[ReleaseTag], list[ReleaseTag]]:
        """All tags of the service and of those that share an edited file, before and after.

        Raises:
            RefusedError: a file of a sharer cannot be read: what the edit does to that service cannot be told.
        """
        sharers = self._sharers(changes)
        before, after = list(self.tags.release_tags), self._again(edited, self.service)
        obstacles = []
        for sharer in sharers:
            tags_of_sharer = service_tags(self.files, sharer)
            obstacles += unreadable_sharers(sharer, tags_of_sharer)
            before += tags_of_sharer.release_tags
        if obstacles:
            raise RefusedError(obstacles)
        for sharer in sharers:
            after += self._again(edited, sharer)
        return before, after

    def _sharers(self, changes: Iterable[FileChange]) -> list[ServiceFiles]:
        """Other services that read an edited file."""
        names: set[str] = set()
        for change in changes:
            names.update(self.files.sharers_of(change.path))
        found = [
            read_service(self.files, self.request.services_dir, name) for name in sorted(names - {self.service.name})
        ]
        return [sharer for sharer in found if sharer is not None]

    def _again(self, edited: ParsedFiles, service: ServiceFiles) -> list[ReleaseTag]:
        """The tags of a service after the edit, with values files that came or went."""
        loaded = read_service(edited, self.request.services_dir, service.name) or service
        layers: set[str] = set()
        for release in service.releases:
            layers |= {layer.real for layer in release.layers}
        created = [real for real, new in edited.changes.items() if new is not None and self.files.content(real) is None]
        values = dict.fromkeys((*loaded.values, *(real for real in created if real in layers)))
        return list(service_tags(edited, replace(loaded, values=tuple(values))).release_tags)

    # -- texts ------------------------------------------------------------------------------------------------------

    def _changes(self, edits: Sequence[ScalarEdit]) -> tuple[FileChange, ...]:
        """Every file with its spans and its new content."""
        spans_by_file: dict[str, list[Span]] = {}
        for edit in edits:
            document = self.files.document(edit.scalar.file)
            if document is not None:
                span = replacement(document, edit.scalar, edit.tag)
                spans_by_file.setdefault(edit.scalar.file, []).append(span)
        for file, insertions in self._insertions().items():
            spans_by_file.setdefault(file, []).extend(together(insertions))
        for scalar in self.planned.gone:
            document = self.files.document(scalar.file)
            if document is not None:
                spans_by_file.setdefault(scalar.file, []).append(removal(document, scalar.path))
        return tuple(self._change(file, spans_by_file[file]) for file in sorted(spans_by_file))

    def _insertions(self) -> dict[str, list[Span]]:
        spans: dict[str, list[Span]] = {}
        for insertion in self.planned.insertions:
            document, like = self.files.document(insertion.file), self.files.document(insertion.like.file)
            if document is not None and document.broken:
                raise RefusedError([document.broken])
            point = insertion_point(document, insertion.path, like.newline if like else "\n")
            spans.setdefault(insertion.file, []).append(point.span(insertion.value, insertion.like.style))
        return spans

    def _change(self, file: str, spans: Sequence[Span]) -> FileChange:
        ordered = tuple(sorted(spans, key=lambda span: (span.start, span.end)))
        document = self.files.document(file)
        if document is None:
            whole = replace(ordered[0], new="".join(span.new for span in ordered))
            return FileChange(file, None, whole.new.encode(), (whole,))
        text = apply(document.text, ordered)
        may_go = any(scalar.file == file for scalar in self.planned.gone)
        if may_go and not text.replace("---", "").strip():
            whole = Span(0, len(document.text), "", ordered[0].key, ordered[0].line)
            return FileChange(file, document.raw, None, (whole,))
        return FileChange(file, document.raw, (document.bom + text).encode(), ordered)

    # -- notes ------------------------------------------------------------------------------------------------------

    def _notes(
        self, edits: Sequence[ScalarEdit], side_effects: Sequence[SideEffect], changes: Sequence[FileChange]
    ) -> tuple[str, ...]:
        """What people should know: side effects, anchors, links."""
        request, notes = self.request, []
        if side_effects:
            places = ", ".join(dict.fromkeys(f"{edit.scalar.file}:{edit.scalar.line}" for edit in edits))
            pin_would_help = request.environments and not (request.unpin or request.keys)
            pin_too = "; --pin gives a copy of its own" if pin_would_help else ""
            notes.append(f"also moves {_listed(side_effects, self.service.name)} ({places}){pin_too}")
        for scalar in (edit.scalar for edit in edits):
            if len(scalar.paths) > 1:
                others = ", ".join(dotted(path) for path in scalar.paths[1:])
                place = f"{scalar.file}:{scalar.line}"
                notes.append(f"{place}: {dotted(scalar.path)} is anchored and feeds {others} too")
        for change in changes:
            names = [name for name in self.files.sharers_of(change.path) if name != self.service.name]
            if names:
                notes.append(f"{change.path} is shared with {', '.join(names)}")
        return tuple(notes)


def _spans(changes: Iterable[FileChange]) -> Iterable[tuple[FileChange, Span]]:
    for change in changes:
        for span in change.spans:
            yield change, span


def _is_settled(files: ParsedFiles, edit: ScalarEdit) -> bool:
    """Whether a scalar has its tag already, and as a string: a plain 1.10 is a number, which Helm writes as 1.1."""
    scalar, document = edit.scalar, files.document(edit.scalar.file)
    if scalar.tag != edit.tag or document is None:
        return scalar.tag == edit.tag
    node = leaf_at(document.root, scalar.path)
    typed = node is not None and "!!str" in document.text[node.start_mark.index : scalar.start]
    return typed or bool(scalar.style) or stays_string(scalar.value)


def _is_string(files: ParsedFiles, scalar: Scalar) -> bool:
    """Whether our parser takes a scalar for a string: a plain 1e5, not 1.10."""
    document = files.document(scalar.file)
    node = leaf_at(document.root, scalar.path) if document else None
    return node is not None and node.tag == _STRING


def _prove_tags(
    before: Sequence[ReleaseTag],
    after: Sequence[ReleaseTag],
    planned: PlannedBump,
    new_tags: Mapping[tuple[str, int], str],
) -> tuple[SideEffect, ...]:
    """The side effects.

    Args:
        new_tags: id of an edited scalar -> the tag it gets.

    Raises:
        RefusedError: a tag is not what was asked, or changed without a reason.
    """
    old = {release_tag.id: release_tag for release_tag in before}
    new = {release_tag.id: release_tag for release_tag in after}
    side_effects: list[SideEffect] = []
    for key in dict.fromkeys((*old, *new)):
        service, environment, release, path = key
        tag_before = old[key].scalar.tag if key in old else ""
        tag_after = new[key].scalar.tag if key in new else ""
        if key in planned.wanted:
            if tag_after != planned.wanted[key]:
                result = f"{environment}/{release} would have {tag_after or 'no tag'} at {dotted(path)}"
                raise refuse("unproven", f"{result}, not what was asked")
        elif tag_before != tag_after and not _is_renamed_anchor(old.get(key), tag_after, new_tags):
            _refuse_without_reason(old.get(key), new.get(key), planned, new_tags)
            side_effects.append(SideEffect(service, environment, release, dotted(path), tag_before, tag_after))
    return tuple(side_effects)


def _is_renamed_anchor(old: ReleaseTag | None, tag_after: str, new_tags: Mapping[tuple[str, int], str]) -> bool:
    """Whether only the anchor stands here that was edited: what it feeds is told."""
    return old is not None and old.holder and tag_after == new_tags.get(old.scalar.id)


def _refuse_without_reason(
    old: ReleaseTag | None, new: ReleaseTag | None, planned: PlannedBump, new_tags: Mapping[tuple[str, int], str]
) -> None:
    """Refuse a tag that changes although nothing was done to what decides it, or that goes altogether.

    Raises:
        RefusedError: says which.
    """
    gone = {scalar.id for scalar in planned.gone}
    decided_by_gone = old is not None and old.scalar.id in gone
    decided_by_edited = old is not None and old.scalar.id in new_tags
    decided_by_inserted = new is not None and any(new.scalar.file == line.file for line in planned.insertions)
    if not (decided_by_gone or decided_by_edited or decided_by_inserted):
        service, environment, release, path = old.id if old else new.id if new else ("", "", "", ())
        change = f"from {old.scalar.tag if old else ''} to {new.scalar.tag if new else ''}"
        where = f"{service} {environment}/{release} {dotted(path)}"
        raise refuse("unproven", f"{where} would change {change} without a reason")
    if old is not None and decided_by_gone and not (new and new.scalar.tag):
        environment = old.release.environment
        raise refuse("unpin", f"without {located(old.scalar)} {old.service} would have no tag in {environment}")


def _listed(side_effects: Sequence[SideEffect], own: str) -> str:
    """The side effects for people: releases of the service itself, environments of others."""
    places: dict[str, dict[str, None]] = {}
    for effect in side_effects:
        where = f"{effect.environment}/{effect.release}" if effect.service == own else effect.environment
        places.setdefault(effect.service, {})[where] = None
    return "; ".join(f"{service}: {', '.join(of_service)}" for service, of_service in places.items())
