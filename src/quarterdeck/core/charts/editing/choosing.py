"""Chooses the scalars that a request moves, and refuses where more than one thing could be meant."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import yaml

from quarterdeck.core.charts.editing.request import BumpRequest
from quarterdeck.core.charts.keys import MAIN_BLOCKS, TAG, KeyPath, TagKind, dotted, is_helper, is_holder
from quarterdeck.core.charts.reading.document import Scalar, doubled, is_null, keys_at, pairs
from quarterdeck.core.charts.reading.layers import ParsedFiles, ReleaseTag, ServiceFiles, ServiceTags
from quarterdeck.core.charts.reading.parts import ImageGroup, image_groups, matches, unread
from quarterdeck.core.charts.refusals import Obstacle, RefusedError, refuse


@dataclass(frozen=True)
class ScalarEdit:
    """A scalar that gets a tag.

    Attributes:
        tag: the new one.
    """

    scalar: Scalar
    tag: str


def place(scalar: Scalar) -> str:
    """`file:line key (tag)`, for people."""
    return f"{scalar.file}:{scalar.line} {dotted(scalar.path)} ({scalar.tag})"


def key_option(service: ServiceFiles, scalar: Scalar) -> str:
    """How `--key` names a scalar: in its file only, as a bare path would mean every file that holds it."""
    for environment, home in service.homes.items():
        if environment and scalar.file.startswith(f"{home}/"):
            return f"--key {environment}/{scalar.file[len(home) + 1 :]}:{dotted(scalar.path)}"
    named = (layer.path for r in service.releases for layer in r.layers if layer.real == scalar.file)
    file = next((path for path in named if path.startswith(f"{service.base}/")), scalar.file)
    return f"--key {posixpath.relpath(file, service.base)}:{dotted(scalar.path)}"


def candidate(scalar: Scalar, said: str) -> Obstacle:
    """A line for a scalar that could be meant."""
    return Obstacle("candidate", f"{said}: {dotted(scalar.path)} ({scalar.tag})", scalar.file, scalar.line)


def check(request: BumpRequest, service: ServiceFiles) -> None:
    """Refuse what is no tag, and environments and releases that are not there.

    Raises:
        RefusedError: with every reason.
    """
    wrong: list[Obstacle] = []
    tags = [tag for tag in (request.tag, *(key.tag for key in request.keys)) if tag]
    wrong += [Obstacle("no-tag", f"{tag[:80]!r} is no image tag") for tag in tags if not TAG.fullmatch(tag)]
    for name in request.environments:
        if name not in service.environments:
            there = ", ".join(service.environments) or "none that can be read from its helmfile"
            wrong.append(Obstacle("environment", f"{service.name} has no environment {name}; it has {there}"))
    releases = tuple(dict.fromkeys(release.name for release in service.releases))
    for name in request.releases:
        if name not in releases:
            wrong.append(Obstacle("release", f"{service.name} has no release {name}; it has {', '.join(releases)}"))
            continue
        at = {release.environment for release in service.releases if release.name == name}
        wrong += [
            Obstacle("release", f"{environment} has no release {name}; {name} is in {', '.join(sorted(at))}")
            for environment in request.environments
            if environment in service.environments and environment not in at
        ]
    if wrong:
        raise RefusedError(wrong)


def asked(request: BumpRequest, rows: Iterable[ReleaseTag]) -> tuple[ReleaseTag, ...]:
    """The rows of the environments and releases of a request."""
    return tuple(
        row
        for row in rows
        if (not request.environments or row.release.environment in request.environments)
        and (not request.releases or row.release.name in request.releases)
    )


def choose_part(request: BumpRequest, shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags) -> ImageGroup:
    """The one part a request means, with the rows asked for.

    Raises:
        RefusedError: several could be meant, or there is none.
    """
    every = image_groups(service, finding, request.known)
    here = [p for p in (_narrowed(request, part) for part in every) if p.rows]
    if request.part:
        found = [p for p in every if p.name == request.part] or [p for p in every if matches(request.part, p.images)]
        if len(found) != 1:
            names = ", ".join(p.name for p in every) or "none"
            how = "means several parts" if found else "is no part"
            raise refuse("part", f"{request.part} {how} of {service.name}; its parts: {names}")
        narrowed = _narrowed(request, found[0])
        if not narrowed.rows:
            raise refuse("part", f"{request.part} does not run in what was named of {service.name}")
        return narrowed
    main = [part for part in here if part.main]
    if request.known and request.known.image:
        ours = [p for p in here if matches(request.known.image, p.images)]
        main = ours or _nameless(request.known.image, service, main)
    if not main:
        raise _no_tag(request, shelf, service, finding, here)
    if len(main) > 1 and request.releases and _apart(main):
        rows = tuple(row for part in main for row in part.rows)
        return ImageGroup(
            "+".join(p.name for p in main), (), rows, True, frozenset().union(*(p.identities for p in main))
        )
    if len(main) > 1:
        raise RefusedError(
            [
                Obstacle(
                    "several-parts",
                    f"{service.name} has several images: {', '.join(p.name for p in main)}",
                    say=f"--part {' or --part '.join(p.name for p in main)}",
                )
            ]
            + [candidate(s, p.name) for p in main for s in p.scalars]
        )
    return main[0]


def _nameless(image: str, service: ServiceFiles, main: Sequence[ImageGroup]) -> list[ImageGroup]:
    """The parts of which only the chart knows the image, which is then the catalogue's.

    Raises:
        RefusedError: the files name other images, and none of them is the catalogue's.
    """
    found = [part for part in main if not part.images]
    if main and not found:
        there = ", ".join(f"{p.name} ({', '.join(p.images)})" for p in main)
        reason = f"the catalogue says {service.name} runs {image}, and what was named of it runs {there}"
        raise refuse("image", reason, say=f"--part {' or --part '.join(p.name for p in main)}")
    return found


def _apart(parts: Sequence[ImageGroup]) -> bool:
    """Whether each release has one of the parts only, so that naming releases names what moves."""
    names = [name for part in parts for name in {row.release.name for row in part.rows}]
    return len(names) == len(set(names))


def _narrowed(request: BumpRequest, part: ImageGroup) -> ImageGroup:
    return ImageGroup(part.name, part.images, asked(request, part.rows), part.main, part.identities)


def _no_tag(
    request: BumpRequest, shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags, here: Sequence[ImageGroup]
) -> RefusedError:
    where = f" for {', '.join(request.environments)}" if request.environments else ""
    if not service.releases:
        return refuse("helmfile", f"the helmfile of {service.name} names no releases that can be read", say="--key")
    if request.environments and not any(r.environment in request.environments for r in service.releases):
        return refuse("release", f"no release of {service.name} is installed in {', '.join(request.environments)}")
    unseen = sorted(
        {
            layer.path
            for release in service.releases
            for layer in release.layers
            if layer.on_server
            and layer.per_release
            and (not request.environments or release.environment in request.environments)
        }
    )
    server = f"; values on the deploy host may set it: {', '.join(unseen[:3])}" if unseen else ""
    held = sorted({row.scalar.id: row.scalar for row in asked(request, finding.rows)}.items())
    others = [*_odd(shelf, service)]
    others += [candidate(s, f"moves by {key_option(service, s)} only") for _, s in held]
    parts = f"--part {' or --part '.join(p.name for p in here)}" if here else ""
    return RefusedError(
        [
            Obstacle(
                "no-tag-in-git", f"{service.name} has no main image tag{where} in the repository{server}", say=parts
            ),
            *others,
        ]
    )


def _odd(shelf: ParsedFiles, service: ServiceFiles) -> Iterator[Obstacle]:
    """Where a main tag should be and something else is."""
    for real in service.values:
        document = shelf.full(real)
        if document is not None and document.broken:
            yield document.broken
        if document is None or document.root is None or document.broken:
            continue
        if not isinstance(document.root, yaml.MappingNode):
            yield Obstacle("no-mapping", "the file holds no mapping", real, document.root.start_mark.line + 1)
        for block in MAIN_BLOCKS:
            line = next((k.start_mark.line + 1 for k, _ in pairs(document.root) if k.value == block), 0)
            found, lines = keys_at(document.root, (block, "version")), keys_at(document.root, (block,))
            if found and len(lines) > 1:
                yield doubled(real, f"{block}.version", [k.start_mark.line + 1 for k, _ in lines])
            elif found and isinstance(found[0][1], yaml.ScalarNode):
                odd = document.scalars().get((block, "version"))
                if odd is None or odd.problem is not None:
                    yield (
                        odd.problem
                        if odd and odd.problem
                        else Obstacle("no-tag", f"{block}.version is no image tag", real, line)
                    )
            elif found:
                yield Obstacle("no-tag", f"{block}.version is no single value", real, found[0][0].start_mark.line + 1)
            elif line and isinstance(lines[0][1], yaml.ScalarNode | yaml.SequenceNode) and not is_null(lines[0][1]):
                yield Obstacle("no-mapping", f"{block} is no mapping", real, line)


def targets(
    request: BumpRequest, shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags, part: ImageGroup
) -> tuple[ScalarEdit, ...]:
    """The scalars of a part that get the tag."""
    scalars = {scalar.id: scalar for scalar in part.scalars}
    if not request.environments and not request.releases:
        scalars |= {scalar.id: scalar for scalar in unread(shelf, service, finding, part)}
    return tuple(ScalarEdit(scalars[key], request.tag) for key in sorted(scalars))


def refuse_doubtful(service: ServiceFiles, part: ImageGroup) -> None:
    """Refuse where a helmfile's loop, condition or own values leave open which files decide for a release.

    Raises:
        RefusedError: what is doubtful, with its place.
    """
    for row in part.rows:
        if row.release.doubt is not None:
            where = service.homes.get(row.release.environment) or service.homes.get("", service.base)
            why, line = row.release.doubt.reason, row.release.doubt.line
            raise RefusedError([Obstacle("helmfile", why, f"{where}/helmfile.yaml", line, say="--key")])


_BUILT = re.compile(r"\d{4}-\d\d-\d\d-\d{6}")


def _ends(tag: str, tags: Iterable[str]) -> dict[str, str]:
    """Each tag with the build's time of the one asked for, where they differ by what follows the time; else nothing."""
    new, built = _BUILT.match(tag), {old: _BUILT.match(old) for old in tags}
    olds = {old: match[0] for old, match in built.items() if match}
    if not new or len(olds) < len(built) or len(set(olds.values())) != 1:
        return {}
    ends = {old: old[len(time) :] for old, time in olds.items()}
    return {old: new[0] + end for old, end in ends.items()} if tag[new.end() :] in ("", *ends.values()) else {}


def refuse_several(service: ServiceFiles, part: ImageGroup, tag: str) -> None:
    """Refuse one image with different tags in one release: a single tag cannot be right for all of them.

    Raises:
        RefusedError: with each of them.
    """
    seen: dict[tuple[str, str], dict[str, list[Scalar]]] = {}
    for row in part.rows:
        tags = seen.setdefault((row.release.environment, row.release.name), {})
        tags.setdefault(row.scalar.tag, []).append(row.scalar)
    for (_, release), tags in seen.items():
        if len(tags) < 2:
            continue
        scalars = {s.id: s for group in tags.values() for s in group}
        spelled = _ends(tag, tags)
        keys = " ".join(f"{key_option(service, s)}={spelled.get(s.tag, 'TAG')}" for s in scalars.values())
        raise RefusedError(
            [Obstacle("several-tags", f"several tags of {part.name} in release {release} could be meant", say=keys)]
            + [candidate(s, part.name) for s in scalars.values()]
        )


def check_targets(chosen: Sequence[ScalarEdit]) -> None:
    """Refuse scalars that cannot be edited as they stand.

    Raises:
        RefusedError: with every reason.
    """
    wrong: list[Obstacle] = []
    for target in chosen:
        scalar = target.scalar
        if scalar.problem is not None:
            wrong.append(scalar.problem)
        elif "sha256:" in scalar.tag and "@sha256:" not in target.tag:
            wrong.append(
                Obstacle(
                    "digest",
                    f"{dotted(scalar.path)} is pinned to a digest: TAG needs one too (TAG@sha256:…)",
                    scalar.file,
                    scalar.line,
                )
            )
        elif TagKind.MAIN not in scalar.kinds and not TAG.fullmatch(scalar.tag.removeprefix("sha256:")):
            wrong.append(Obstacle("no-tag", f"{dotted(scalar.path)} is no image tag", scalar.file, scalar.line))
        if len(scalar.paths) > 1:
            wrong += _fed(scalar)
    if wrong:
        raise RefusedError(dict.fromkeys(wrong))


def _fed(scalar: Scalar) -> list[Obstacle]:
    """What an anchor feeds besides the tags that are meant: no tag at all, or a helper's."""
    wrong = []
    proper = TagKind.MAIN in scalar.kinds or TagKind.IMAGE in scalar.kinds
    for path, kind in zip(scalar.paths, scalar.kinds, strict=True):
        holder = path == scalar.path and not is_helper(path)  # a place to define the anchor at is no use of it
        none = kind is None and not (holder and is_holder(path))
        if none or (kind is TagKind.OTHER and proper and not holder):
            what = "another tag" if kind else "no image tag"
            reason = f"the anchored value of {dotted(_tag_path(scalar))} also feeds {dotted(path)}, which is {what}"
            wrong.append(Obstacle("anchor", reason, scalar.file, scalar.line))
    return wrong


def _tag_path(scalar: Scalar) -> KeyPath:
    return next(path for path, kind in zip(scalar.paths, scalar.kinds, strict=True) if kind is not None)
