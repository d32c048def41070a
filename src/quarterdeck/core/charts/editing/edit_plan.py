"""An edit of one or several components, with its effect on every place: what the bot plans with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from quarterdeck.core.charts.editing.request import BumpOutcome
from quarterdeck.core.model import place as places
from quarterdeck.core.model.errors import EditRefusedError

#: place -> (tag before, tag afterwards)
Effect = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class EditPlan:
    """An edit, computed and proven, not yet written.

    Attributes:
        files: path from the repository's root -> whole new content.
        lines: (file, line, scalar) of each replacement; the line counts in the old content.
        write_set: (file, scalar) that the edit touches.
        effect: for every place whose tag changes, whether it was asked for or not; the tag before is "" where several
            tags are replaced by one.
        parts: part -> its own effect, where all parts move together; the service's own image has no name.
        already: every place has the tag already; nothing to write.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    lines: tuple[tuple[str, int, str], ...] = ()
    write_set: tuple[tuple[str, str], ...] = ()
    effect: Effect = field(default_factory=dict)
    parts: Mapping[str, Effect] = field(default_factory=dict)
    already: bool = False

    @property
    def others(self) -> tuple[str, ...]:
        """Other services whose tags change too."""
        services = [places.split(place, "")[0] for place in self.effect if "/" in place]
        return tuple(dict.fromkeys(services))


#: an edit that writes nothing
NOTHING_TO_WRITE = EditPlan(already=True)


def edit_plan(outcome: BumpOutcome, service: str, own: str) -> EditPlan:
    """The edit that came of a bump of a service.

    Args:
        own: the service as whose places those without a service's name count.

    Raises:
        EditRefusedError: an environment's releases come from different tags; a rollout has one to go back to.
    """
    if not outcome.changes:
        return NOTHING_TO_WRITE
    lines: list[tuple[str, int, str]] = []
    for change in outcome.changes:
        lines += [(change.path, span.line, span.key) for span in change.spans]
    return EditPlan(
        files={change.path: change.new for change in outcome.changes if change.new is not None},
        lines=tuple(lines),
        write_set=outcome.decided,
        effect=_effect(outcome, service, own),
    )


def _effect(outcome: BumpOutcome, service: str, own: str) -> Effect:
    tags_after = {release_tag.id: release_tag.scalar.tag for release_tag in outcome.after}
    moves: dict[str, set[tuple[str, str]]] = {}
    for release_tag in outcome.before:
        before, after = release_tag.scalar.tag, tags_after.get(release_tag.id, "")
        if before != after:
            moves.setdefault(release_tag.release.environment, set()).add((before, after))
    for environment, pairs in moves.items():
        refuse_several_moves(environment, [before for before, _ in pairs])
    ids_before = {release_tag.id for release_tag in outcome.before}
    for release_tag in outcome.after:  # a pin may give a tag where none was
        if release_tag.id not in ids_before:
            moves.setdefault(release_tag.release.environment, set()).add(("", release_tag.scalar.tag))
    effect = {places.named(service, environment, own): _as_one(pairs) for environment, pairs in moves.items()}
    of_others: dict[str, set[tuple[str, str]]] = {}
    for moved in outcome.side_effects:
        if moved.service != service:
            place = places.named(moved.service, moved.environment, own)
            of_others.setdefault(place, set()).add((moved.before, moved.after))
    return effect | {place: _as_one(pairs) for place, pairs in of_others.items()}


def _as_one(pairs: set[tuple[str, str]]) -> tuple[str, str]:
    """The one move of a place; where several tags are replaced by one, the tag before is not told."""
    if len(pairs) == 1:
        return next(iter(pairs))
    return "", next(after for _, after in pairs)


def refuse_several_moves(environment: str, tags: Collection[str]) -> None:
    """Refuse where several tags of an environment would be replaced at once.

    Raises:
        EditRefusedError: with the tags.
    """
    if len(tags) > 1:
        raise EditRefusedError(f"several tags would move in {environment}: {', '.join(sorted(tags))}")


def joined(first: EditPlan, then: EditPlan) -> EditPlan:
    """Two edits as one; *then* was computed on the files that *first* left."""
    effect = dict(first.effect)
    for place, (before, after) in then.effect.items():
        before_first = effect.get(place, (before, after))[0]
        effect[place] = (before if before_first == before else "", after)
    return EditPlan(
        files={**first.files, **then.files},
        lines=tuple(dict.fromkeys((*first.lines, *then.lines))),
        write_set=tuple(dict.fromkeys((*first.write_set, *then.write_set))),
        effect=effect,
        parts={**first.parts, **then.parts},
        already=first.already and then.already,
    )
