"""What the bot asks of values files at a pinned commit: which tag stands where, and the edit that moves it.

The bot moves one service's main tag in whole environments. What also moves other services' pods, or several images
at once, is refused in words: a person pushes it, `!apply` takes it from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import EditRefusedError
from ..ports import Tree
from . import reading
from .asking import FileChange, Outcome, Request
from .bump import bump
from .choosing import choose_part
from .keys import dotted
from .refusal import Refusal, RefusedError
from .service import Row, Service, Shelf, find, load

_TIMEOUT = re.compile(r"^ +timeout: *(?P<seconds>[0-9]{1,6}) *(?:#.*)?$")
_SHOWN = 3


@dataclass(frozen=True)
class Found:
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
        spans: path -> (first byte, byte after the last) of each replacement in the old content.
        write_set: (file, scalar) that the edit touches.
        effect: environment -> (tag before, tag afterwards), for every one whose tag changes, targets or not.
        already: every target has the tag already; nothing to write.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    spans: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    write_set: tuple[tuple[str, str], ...] = ()
    effect: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    already: bool = False


def home(tree: Tree, directory: str) -> str:
    """The service's folder from the repository's root; *directory* may be its last part only.

    Raises:
        EditRefusedError: there is no helmfile, or several folders could be meant.
    """
    wanted = directory.strip("/")
    paths = (*tree.files, *tree.links)
    folders = {path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] in reading.NAMES}
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
    names = reading.read(raw).environments
    if not names:
        raise EditRefusedError(f"{path}: I find no environments in it")
    return names


def timeout(tree: Tree, directory: str) -> int:
    """Seconds helm waits for a release (`helmDefaults.timeout`); Helm's own default of 300 where none is named.

    Raises:
        EditRefusedError: there is no helmfile.
    """
    _, raw = _helmfile(tree, directory)
    lines = reading.block(raw.decode("utf-8", "replace").splitlines(), "helmDefaults")
    found = [match for line in lines if (match := _TIMEOUT.match(line))]
    return int(found[0]["seconds"]) if found else 300


def effective(tree: Tree, directory: str, environments: Iterable[str] = ()) -> dict[str, Found]:
    """Environment -> the tag it gets, as far as git says (values on the deploy host only are not seen).

    Args:
        tree: the service's files at a commit.
        directory: the service's folder, from the root or by its last part.
        environments: which; none means all of the helmfile.

    Raises:
        EditRefusedError: no tag, several that could be meant, or files that cannot be read.
    """
    shelf, service = _service(tree, directory)
    wanted = tuple(environments) or service.environments
    unknown = [name for name in wanted if name not in service.environments]
    if unknown:
        raise EditRefusedError(f"{service.base} has no environment {unknown[0]}: {', '.join(service.environments)}")
    finding = find(shelf, service)
    if finding.broken:
        raise _shortened(RefusedError(finding.broken))
    return {name: _one(shelf, service, finding.rows, name) for name in wanted}


def plan(tree: Tree, directory: str, environments: Sequence[str], tag: str) -> EditPlan:
    """The edit that gives *environments* the tag. An environment with its own copy has only that copy edited.

    Args:
        tree: the service's files at the pinned commit.
        directory: the service's folder, from the root or by its last part.
        environments: the targets; the helmfile must have them.
        tag: the whole tag, as it shall stand in git.

    Raises:
        EditRefusedError: the files do not allow a safe edit; says where the candidates are and what to do.
    """
    try:
        return _plan(tree, directory, tuple(environments), tag)
    except EditRefusedError as why:
        service = directory.strip("/").rpartition("/")[2]
        where = environments[0] if len(environments) == 1 else "production" if environments else "ENV"
        raise EditRefusedError(
            f"I do not edit this: {_shortened(why)}. Push the change by hand, then !apply {service} {where}"
        ) from None


def _plan(tree: Tree, directory: str, environments: tuple[str, ...], tag: str) -> EditPlan:
    if not environments:
        raise EditRefusedError("no environment was named")
    folder = home(tree, directory)
    effective(tree, folder, environments)
    services_dir, _, name = folder.rpartition("/")
    outcome = bump(tree, Request(services_dir, name, tag, environments=environments))
    if outcome is None:
        raise EditRefusedError(f"{folder}: it has no helmfile.yaml")
    if outcome.refusals:
        raise RefusedError(outcome.refusals)
    if not outcome.changes:
        return EditPlan(already=True)
    for change in outcome.changes:
        _refuse_shared(tree, change, name)
    return EditPlan(
        files=_contents(outcome.changes),
        spans={change.path: _bytes(change) for change in outcome.changes},
        write_set=outcome.decided,
        effect=_effect(outcome),
    )


def _effect(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Environment -> (tag before, tag afterwards), for every one whose tag changes.

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
    return {environment: pairs.pop() for environment, pairs in found.items()}


def _contents(changes: Iterable[FileChange]) -> dict[str, bytes]:
    return {change.path: change.new for change in changes if change.new is not None}


def _bytes(change: FileChange) -> tuple[tuple[int, int], ...]:
    """The spans as byte offsets in the old content."""
    text = (change.old or b"").decode()
    bom = 1 if text.startswith("\ufeff") else 0
    ends = [(len(text[: s.start + bom].encode()), len(text[: s.end + bom].encode())) for s in change.spans]
    return tuple(ends)


def _helmfile(tree: Tree, directory: str) -> tuple[str, bytes]:
    folder = home(tree, directory)
    path = next(p for p in (f"{folder}/{n}" for n in reading.NAMES) if p in tree.files or p in tree.links)
    return path, tree.files.get(tree.links.get(path, path), b"")


def _service(tree: Tree, directory: str) -> tuple[Shelf, Service]:
    folder = home(tree, directory)
    environments(tree, folder)
    shelf = Shelf(tree)
    services_dir, _, name = folder.rpartition("/")
    service = load(shelf, services_dir, name)
    if service is None or service.old_layout:
        raise EditRefusedError(f"{folder}: its folder is not laid out as a service's is today")
    return shelf, service


def _one(shelf: Shelf, service: Service, rows: Sequence[Row], environment: str) -> Found:
    """The one tag of an environment."""
    request = Request("", service.name, environments=(environment,))
    try:
        part = choose_part(request, shelf, service, find(shelf, service))
    except RefusedError as why:
        raise _shortened(why) from None
    scalars = part.scalars
    if len({scalar.tag for scalar in scalars}) > 1:
        places = ", ".join(_cut([f"{_end(s.file)}:{s.line} {dotted(s.path)}" for s in scalars]))
        raise EditRefusedError(f"several tags could be meant for {environment}: {places}")
    first = next(row for row in rows if row.scalar.id == scalars[0].id)
    return Found(first.scalar.tag, first.scalar.file, dotted(first.path), first.scalar.line)


def _refuse_shared(tree: Tree, change: FileChange, service: str) -> None:
    """A file that other services read too is not edited for one of them."""
    others = [name for name in tree.sharers.get(change.path, ()) if name != service]
    linked = change.path in tree.links.values()
    if others or linked:
        with_whom = f" with {', '.join(others)}" if others else " by a symlink"
        reason = f"{change.spans[0].key} is shared{with_whom}"
        raise RefusedError([Refusal("shared", reason, change.path, change.spans[0].line)])


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


def _said(refusal: Refusal) -> str:
    where = (
        f"{_end(refusal.file)}:{refusal.line} " if refusal.line else f"{_end(refusal.file)} " if refusal.file else ""
    )
    return f"{where}{refusal.reason.replace(refusal.file, _end(refusal.file)) if refusal.file else refusal.reason}"


def _end(path: str) -> str:
    """The last two parts of a path: enough to find the file."""
    return "/".join(path.split("/")[-2:])
