"""What the bot asks of values files at a pinned commit: which tag stands where, and the edit that moves it.

The bot moves the tag of a service, or of one of its parts, in whole environments. What a careful reader would have to
guess is refused in words: a person pushes it, `!apply` takes it from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from quarterdeck.core.charts.conventions import HELMFILE_NAMES
from quarterdeck.core.charts.editing.bump import bump
from quarterdeck.core.charts.editing.choosing import choose_part
from quarterdeck.core.charts.editing.request import BumpOutcome, BumpRequest, FileChange
from quarterdeck.core.charts.keys import dotted
from quarterdeck.core.charts.reading import helmfile as helmfiles
from quarterdeck.core.charts.reading import images as of_images
from quarterdeck.core.charts.reading.images import PartInFiles, ReleaseImage
from quarterdeck.core.charts.reading.layers import (
    ParsedFiles,
    ReleaseTag,
    ServiceFiles,
    ServiceTags,
    read_service,
    service_tags,
)
from quarterdeck.core.charts.reading.parts import CatalogueImages, matches
from quarterdeck.core.charts.refusals import Obstacle, RefusedError, refuse
from quarterdeck.core.model import place as places
from quarterdeck.core.model.errors import EditRefusedError
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.intent import ALL

_TIMEOUT = re.compile(r"^ +timeout: *(?P<seconds>[0-9]{1,6}) *(?:#.*)?$")
_SHOWN = 3


@dataclass(frozen=True)
class TagLocation:
    """Where an environment's tag stands.

    Attributes:
        tag: as it stands in git.
        file: path from the repository's root.
        keys: e.g. "main_app.version".
        line: from 1.
    """

    tag: str
    file: str
    keys: str
    line: int


@dataclass(frozen=True)
class EditPlan:
    """An edit, computed and proven, not yet written.

    Attributes:
        files: path from the repository's root -> whole new content.
        lines: (file, line, scalar) of each replacement; the line counts in the old content.
        write_set: (file, scalar) that the edit touches.
        effect: place (`core.places`) -> (tag before, tag afterwards), for every one whose tag changes, targets or not;
            before is "" where several tags are replaced by one.
        parts: part -> its own effect, where all parts move together.
        already: every target has the tag already; nothing to write.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    lines: tuple[tuple[str, int, str], ...] = ()
    write_set: tuple[tuple[str, str], ...] = ()
    effect: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    already: bool = False

    @property
    def others(self) -> tuple[str, ...]:
        """Other services whose tags change too."""
        return tuple(dict.fromkeys(places.split(place, "")[0] for place in self.effect if "/" in place))


def home(tree: Tree, directory: str) -> str:
    """The service's folder from the repository's root; *directory* may be its last part only.

    Raises:
        EditRefusedError: there is no helmfile, or several folders could be meant.
    """
    wanted = directory.strip("/")
    paths = (*tree.files, *tree.links)
    folders = {path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] in HELMFILE_NAMES}
    if wanted in folders:
        return wanted
    found = sorted(f for f in folders if f.rpartition("/")[2] == wanted)
    if len(found) != 1:
        many = f"several folders are called so: {', '.join(found)}" if found else "it has no helmfile.yaml"
        raise EditRefusedError(f"{wanted or 'no folder'}: {many}")
    return found[0]


def environments(tree: Tree, directory: str) -> tuple[str, ...]:
    """The environments of a service's helmfile, in its own order.

    Raises:
        EditRefusedError: there is no helmfile, or it names no environments.
    """
    path, raw = _helmfile(tree, directory)
    names = helmfiles.read(raw).environments
    if not names:
        raise EditRefusedError(f"{path}: I find no environments in it")
    return names


def timeout(tree: Tree, directory: str) -> int:
    """Seconds helm waits for a release (`helmDefaults.timeout`); Helm's own default of 300 where none is named.

    Raises:
        EditRefusedError: there is no helmfile.
    """
    _, raw = _helmfile(tree, directory)
    lines = helmfiles.block(raw.decode("utf-8", "replace").splitlines(), "helmDefaults")
    found = [match for line in lines if (match := _TIMEOUT.match(line))]
    return int(found[0]["seconds"]) if found else 300


def parts_of(tree: Tree, directory: str, known: CatalogueImages | None = None) -> tuple[PartInFiles, ...]:
    """The parts of a service by name: the catalogue's, else one for each image of its own.

    Raises:
        EditRefusedError: files that cannot be read.
    """
    _, service, finding = _looked(tree, directory)
    return of_images.found_parts(service, finding, known)


def effective(
    tree: Tree, directory: str, environments: Iterable[str] = (), known: CatalogueImages | None = None, part: str = ""
) -> dict[str, TagLocation]:
    """Environment -> the tag it gets, as far as git says (values on the deploy host only are not seen).

    Args:
        tree: the service's files at a commit.
        directory: the service's folder, from the root or by its last part.
        environments: which; none means all of the helmfile.
        known: what the catalogue says of its images.
        part: one of its parts, or `ALL` if all have one tag; empty for the service's own image.

    Raises:
        EditRefusedError: no tag, several that could be meant, or files that cannot be read.
    """
    shelf, service, finding = _looked(tree, directory)
    wanted = tuple(environments) or service.environments
    unknown = [name for name in wanted if name not in service.environments]
    if unknown:
        raise EditRefusedError(f"{service.base} has no environment {unknown[0]}: {', '.join(service.environments)}")
    return {name: _one(shelf, service, finding, BumpRequest("", "", "", part, (name,), known=known)) for name in wanted}


def release_images(
    tree: Tree, directory: str, environment: str, known: CatalogueImages | None = None, part: str = ""
) -> dict[str, tuple[ReleaseImage, ...]]:
    """Release -> the images that it is to run in an environment; without a part those that the catalogue knows.

    Raises:
        EditRefusedError: no such environment or part, or files that cannot be read.
    """
    shelf, service, finding = _looked(tree, directory)
    rows: Sequence[ReleaseTag] = [row for row in finding.rows if row.release.environment == environment]
    if part and part != ALL:
        rows = choose_part(
            BumpRequest("", service.name, "", part, (environment,), known=known), shelf, service, finding
        ).rows
    else:
        own = {row.id for p in of_images.main_parts(service, finding, known) for row in p.rows}
        rows = [row for row in rows if row.id in own and (part or known is None or _is_known(row, known))]
    of: dict[str, list[ReleaseTag]] = {}
    for row in rows:
        of.setdefault(row.release.name, []).append(row)
    return {name: of_images.release_images(shelf, mine, known) for name, mine in of.items()}


def tags_of(tree: Tree, directory: str, environment: str, known: CatalogueImages | None = None) -> frozenset[str]:
    """Every tag that the releases of an environment get, of all parts.

    Raises:
        EditRefusedError: files that cannot be read.
    """
    _, service, finding = _looked(tree, directory)
    rows = (row for part in of_images.main_parts(service, finding, known) for row in part.rows)
    return frozenset(row.scalar.tag for row in rows if row.release.environment == environment)


def plan(
    tree: Tree,
    directory: str,
    environments: Sequence[str],
    tag: str,
    known: CatalogueImages | None = None,
    part: str = "",
    pin: bool = False,
    by_hand: str = "",
) -> EditPlan:
    """The edit that gives *environments* the tag. An environment with its own copy has only that copy edited.

    Args:
        tree: the service's files at the pinned commit, and those of the services that share one of them.
        directory: the service's folder, from the root or by its last part.
        environments: the targets; the helmfile must have them.
        tag: the whole tag, as it shall stand in git.
        known: what the catalogue says of its images.
        part: one of its parts, or `ALL`; empty for the service's own image.
        pin: the environments get a copy of their own, and nothing else moves.
        by_hand: the command that takes it from there; by default an apply of the same.

    Raises:
        EditRefusedError: the files do not allow a safe edit; says where the candidates are and what to do.
    """
    try:
        folder = home(tree, directory)
        if part != ALL:
            return _plan(tree, folder, tuple(environments), tag, known, part, pin)
        names = [found.name for found in parts_of(tree, folder, known) if set(found.tags) & set(environments)]
        if not names:
            raise refuse(
                "no-tag-in-git", f"{folder.rpartition('/')[2]} has no tag in git for {', '.join(environments)}"
            )
        done = EditPlan(already=True)
        for name in names:
            here = replace(tree, files={**tree.files, **done.files})
            found = _plan(here, folder, tuple(environments), tag, known, name, pin)
            done = joined(done, replace(found, parts={name: found.effect}))
        return done
    except EditRefusedError as why:
        service = directory.strip("/").rpartition("/")[2]
        title = f"{service}/{part}" if part else service
        where = environments[0] if len(environments) == 1 else "production" if environments else "ENV"
        say = by_hand or f"!apply {title} {where}"
        raise EditRefusedError(f"I do not edit this: {_shortened(why)}. Push the change by hand, then {say}") from None


def joined(first: EditPlan, then: EditPlan) -> EditPlan:
    """Two edits as one; *then* was computed on the files that *first* left."""
    effect = dict(first.effect)
    for place, (old, new) in then.effect.items():
        was = first.effect.get(place, (old, new))[0]
        effect[place] = (old if was == old else "", new)
    return EditPlan(
        files={**first.files, **then.files},
        lines=tuple(dict.fromkeys((*first.lines, *then.lines))),
        write_set=tuple(dict.fromkeys((*first.write_set, *then.write_set))),
        effect=effect,
        parts={**first.parts, **then.parts},
        already=first.already and then.already,
    )


def _plan(
    tree: Tree,
    folder: str,
    environments: tuple[str, ...],
    tag: str,
    known: CatalogueImages | None,
    part: str,
    pin: bool,
) -> EditPlan:
    if not environments:
        raise EditRefusedError("no environment was named")
    _service(tree, folder)
    services_dir, _, name = folder.rpartition("/")
    outcome = bump(tree, BumpRequest(services_dir, name, tag, part, environments, pin=pin, known=known))
    if outcome is None:
        raise EditRefusedError(f"{folder}: it has no helmfile.yaml")
    if outcome.refusals:
        raise RefusedError(outcome.refusals)
    if not outcome.changes:
        return EditPlan(already=True)
    for change in outcome.changes:
        _refuse_unseen(tree, change, services_dir)
    return EditPlan(
        files=_contents(outcome.changes),
        lines=tuple((change.path, span.line, span.key) for change in outcome.changes for span in change.spans),
        write_set=outcome.decided,
        effect=_effect(outcome, name),
    )


def _effect(outcome: BumpOutcome, own: str) -> dict[str, tuple[str, str]]:
    """Place -> (tag before, tag afterwards), for every one whose tag changes.

    Raises:
        EditRefusedError: an environment's releases come from different tags; a rollout has one to go back to.
    """
    after = {row.id: row.scalar.tag for row in outcome.after}
    found: dict[str, set[tuple[str, str]]] = {}
    for row in outcome.before:
        now = after.get(row.id, "")
        if now != row.scalar.tag:
            found.setdefault(row.release.environment, set()).add((row.scalar.tag, now))
    for environment, pairs in found.items():
        if len(pairs) > 1:
            tags = ", ".join(sorted(old for old, _ in pairs))
            raise EditRefusedError(f"several tags would move in {environment}: {tags}")
    known = {row.id for row in outcome.before}
    for row in outcome.after:  # a pin may give a tag where none was
        if row.id not in known:
            found.setdefault(row.release.environment, set()).add(("", row.scalar.tag))
    for effect in outcome.side_effects:
        if effect.service != own:
            place = places.named(effect.service, effect.environment, own)
            found.setdefault(place, set()).add((effect.before, effect.after))
    return {place: pairs.pop() if len(pairs) == 1 else ("", pairs.pop()[1]) for place, pairs in found.items()}


def _contents(changes: Iterable[FileChange]) -> dict[str, bytes]:
    return {change.path: change.new for change in changes if change.new is not None}


def _helmfile(tree: Tree, directory: str) -> tuple[str, bytes]:
    folder = home(tree, directory)
    path = next(p for p in (f"{folder}/{n}" for n in HELMFILE_NAMES) if p in tree.files or p in tree.links)
    return path, tree.files.get(tree.links.get(path, path), b"")


def _service(tree: Tree, directory: str) -> tuple[ParsedFiles, ServiceFiles]:
    folder = home(tree, directory)
    environments(tree, folder)
    shelf = ParsedFiles(tree)
    services_dir, _, name = folder.rpartition("/")
    service = read_service(shelf, services_dir, name)
    if service is None or service.old_layout:
        raise EditRefusedError(f"{folder}: its folder is not laid out as a service's is today")
    return shelf, service


def _looked(tree: Tree, directory: str) -> tuple[ParsedFiles, ServiceFiles, ServiceTags]:
    """A service with all about its tags, in files that can be read."""
    shelf, service = _service(tree, directory)
    finding = service_tags(shelf, service)
    if finding.broken:
        raise _shortened(RefusedError(finding.broken))
    return shelf, service, finding


def _one(shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags, request: BumpRequest) -> TagLocation:
    """The one tag of a request's environment."""
    (environment,) = request.environments
    try:
        if request.part == ALL:
            every = of_images.main_parts(service, finding, request.known)
            rows = [row for part in every for row in part.rows if row.release.environment == environment]
        else:
            rows = list(choose_part(replace(request, service=service.name), shelf, service, finding).rows)
    except RefusedError as why:
        raise _shortened(why) from None
    scalars = {row.scalar.id: row.scalar for row in rows}
    if len({scalar.tag for scalar in scalars.values()}) > 1:
        places_ = ", ".join(_cut([f"{_end(s.file)}:{s.line} {dotted(s.path)}" for _, s in sorted(scalars.items())]))
        raise EditRefusedError(f"several tags could be meant for {environment}: {places_}")
    if not rows:
        raise EditRefusedError(f"{service.name} has no image tag for {environment}")
    first = min(rows, key=lambda row: row.scalar.id)
    return TagLocation(first.scalar.tag, first.scalar.file, dotted(first.path), first.scalar.line)


def _is_known(row: ReleaseTag, known: CatalogueImages) -> bool:
    """Whether the catalogue speaks of a row's image; the chart's own counts as the service's."""
    return matches(row.image, known.images) if row.image else bool(known.image)


def _refuse_unseen(tree: Tree, change: FileChange, services_dir: str) -> None:
    """A file that others read too is edited only where it can be told what becomes of them."""
    shelf = ParsedFiles(tree)
    sharers = {name: read_service(shelf, services_dir, name) for name in tree.sharers.get(change.path, ())}
    unseen = [name for name, found in sharers.items() if found is None or not found.releases]
    if unseen:
        reason = f"{change.spans[0].key} is shared with {', '.join(unseen)}, whose helmfile I cannot read"
        raise RefusedError([Obstacle("shared", reason, change.path, change.spans[0].line)])


def _shortened(why: EditRefusedError) -> EditRefusedError:
    """The reasons and the first candidates, with the ends of their paths: a chat line is short."""
    if not isinstance(why, RefusedError):
        return why
    reasons = [_said(refusal) for refusal in why.refusals if refusal.code != "candidate"]
    places = [f"{_end(r.file)}:{r.line}" for r in why.refusals if r.code == "candidate"]
    words = "; ".join(_cut(reasons))
    return EditRefusedError(f"{words} ({', '.join(_cut(places))})" if places else words)


def _cut(items: Sequence[str]) -> list[str]:
    more = len(items) - _SHOWN
    return [*items[:_SHOWN], f"and {more} more"] if more > 0 else list(items)


def _said(refusal: Obstacle) -> str:
    where = (
        f"{_end(refusal.file)}:{refusal.line} " if refusal.line else f"{_end(refusal.file)} " if refusal.file else ""
    )
    return f"{where}{refusal.reason.replace(refusal.file, _end(refusal.file)) if refusal.file else refusal.reason}"


def _end(path: str) -> str:
    """The last two parts of a path: enough to find the file."""
    return "/".join(path.split("/")[-2:])


__all__ = [
    "ALL",
    "CatalogueImages",
    "EditPlan",
    "PartInFiles",
    "ReleaseImage",
    "TagLocation",
    "effective",
    "environments",
    "home",
    "joined",
    "parts_of",
    "plan",
    "release_images",
    "tags_of",
    "timeout",
]
