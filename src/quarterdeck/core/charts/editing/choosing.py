"""Chooses the scalars that a request moves, and refuses where more than one thing could be meant."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import yaml

from quarterdeck.core.charts.conventions import MAIN_BLOCKS
from quarterdeck.core.charts.editing.request import BumpRequest
from quarterdeck.core.charts.keys import TAG, KeyPath, TagKind, dotted, is_helper, is_holder
from quarterdeck.core.charts.reading.document import Document, Scalar, doubled, is_null, keys_at
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.parts import ImageGroup, image_groups, matches, overridden_scalars
from quarterdeck.core.charts.reading.release_tags import ReleaseTag, ServiceTags
from quarterdeck.core.charts.reading.service_files import ServiceFiles
from quarterdeck.core.charts.refusals import Obstacle, RefusedError, refuse

#: so many files of the deploy host are named
_MOST_NAMED = 3


@dataclass(frozen=True)
class ScalarEdit:
    """A scalar that gets a tag.

    Attributes:
        tag: the new one.
    """

    scalar: Scalar
    tag: str


# -- naming scalars for people --------------------------------------------------------------------------------------


def located(scalar: Scalar) -> str:
    """`file:line key (tag)`, for people."""
    return f"{scalar.file}:{scalar.line} {dotted(scalar.path)} ({scalar.tag})"


def key_option(service: ServiceFiles, scalar: Scalar) -> str:
    """How `--key` names a scalar: in its file only, as a bare path would mean every file that holds it."""
    for environment, home in service.homes.items():
        if environment and scalar.file.startswith(f"{home}/"):
            return f"--key {environment}/{scalar.file[len(home) + 1 :]}:{dotted(scalar.path)}"
    file = _named_in_own_folder(service, scalar.file)
    return f"--key {posixpath.relpath(file, service.base)}:{dotted(scalar.path)}"


def _named_in_own_folder(service: ServiceFiles, real: str) -> str:
    """The path in the service's folder that leads to a file; the file itself where none does."""
    for release in service.releases:
        for layer in release.layers:
            if layer.real == real and layer.path.startswith(f"{service.base}/"):
                return layer.path
    return real


def candidate(scalar: Scalar, said: str) -> Obstacle:
    """A line for a scalar that could be meant."""
    return Obstacle("candidate", f"{said}: {dotted(scalar.path)} ({scalar.tag})", scalar.file, scalar.line)


def _part_options(groups: Iterable[ImageGroup]) -> str:
    """`--part a or --part b`."""
    return " or ".join(f"--part {group.name}" for group in groups)


# -- the request itself ---------------------------------------------------------------------------------------------


def check_request(request: BumpRequest, service: ServiceFiles) -> None:
    """Refuse what is no tag, and environments and releases that are not there.

    Raises:
        RefusedError: with every reason.
    """
    tags = [request.tag, *[key.tag for key in request.keys]]
    wrong_tags = [tag for tag in tags if tag and not TAG.fullmatch(tag)]
    obstacles = [Obstacle("no-tag", f"{tag[:80]!r} is no image tag") for tag in wrong_tags]
    for name in request.environments:
        if name not in service.environments:
            existing = ", ".join(service.environments) or "none that can be read from its helmfile"
            reason = f"{service.name} has no environment {name}; it has {existing}"
            obstacles.append(Obstacle("environment", reason))
    for name in request.releases:
        obstacles += _missing_release(request, service, name)
    if obstacles:
        raise RefusedError(obstacles)


def _missing_release(request: BumpRequest, service: ServiceFiles, name: str) -> Iterator[Obstacle]:
    """Where a release that is asked for is missing."""
    environments = {release.environment for release in service.releases if release.name == name}
    if not environments:
        releases = dict.fromkeys(release.name for release in service.releases)
        yield Obstacle("release", f"{service.name} has no release {name}; it has {', '.join(releases)}")
        return
    for environment in request.environments:
        if environment in service.environments and environment not in environments:
            reason = f"{environment} has no release {name}; {name} is in {', '.join(sorted(environments))}"
            yield Obstacle("release", reason)


# -- which images are meant -----------------------------------------------------------------------------------------


def choose_group(request: BumpRequest, files: ParsedFiles, service: ServiceFiles, tags: ServiceTags) -> ImageGroup:
    """The one group of images that a request means, with the tags asked for.

    Raises:
        RefusedError: several could be meant, or there is none.
    """
    groups = image_groups(service, tags, request.catalogued)
    if request.part:
        return _named_group(request, service, groups)
    narrowed = [group for group in map(partial(_narrowed, request), groups) if group.release_tags]
    main = [group for group in narrowed if group.main]
    if request.catalogued and request.catalogued.image:
        image = request.catalogued.image
        of_catalogue = [group for group in narrowed if matches(image, group.images)]
        main = of_catalogue or _nameless(image, service, main)
    if not main:
        raise _no_tag(request, files, service, tags, narrowed)
    if len(main) == 1:
        return main[0]
    if request.releases and _each_in_releases_of_its_own(main):
        return _as_one(main)
    names = ", ".join(group.name for group in main)
    obstacles = [Obstacle("several-parts", f"{service.name} has several images: {names}", say=_part_options(main))]
    for group in main:
        obstacles += [candidate(scalar, group.name) for scalar in group.scalars]
    raise RefusedError(obstacles)


def _named_group(request: BumpRequest, service: ServiceFiles, groups: Sequence[ImageGroup]) -> ImageGroup:
    named = [group for group in groups if group.name == request.part]
    named = named or [group for group in groups if matches(request.part, group.images)]
    if len(named) != 1:
        names = ", ".join(group.name for group in groups) or "none"
        how = "means several parts" if named else "is no part"
        raise refuse("part", f"{request.part} {how} of {service.name}; its parts: {names}")
    narrowed = _narrowed(request, named[0])
    if not narrowed.release_tags:
        raise refuse("part", f"{request.part} does not run in what was named of {service.name}")
    return narrowed


def _nameless(image: str, service: ServiceFiles, main: Sequence[ImageGroup]) -> list[ImageGroup]:
    """The groups of which only the chart knows the image, which is then the catalogue's.

    Raises:
        RefusedError: the files name other images, and none of them is the catalogue's.
    """
    nameless = [group for group in main if not group.images]
    if main and not nameless:
        running = ", ".join(f"{group.name} ({', '.join(group.images)})" for group in main)
        reason = f"the catalogue says {service.name} runs {image}, and what was named of it runs {running}"
        raise refuse("image", reason, say=_part_options(main))
    return nameless


def _each_in_releases_of_its_own(groups: Sequence[ImageGroup]) -> bool:
    """Whether each release has one of the groups only, so that naming releases names what moves."""
    names: list[str] = []
    for group in groups:
        names += {release_tag.release.name for release_tag in group.release_tags}
    return len(names) == len(set(names))


def _as_one(groups: Sequence[ImageGroup]) -> ImageGroup:
    release_tags: list[ReleaseTag] = []
    identities: set[str] = set()
    for group in groups:
        release_tags += group.release_tags
        identities |= group.identities
    name = "+".join(group.name for group in groups)
    return ImageGroup(name, (), tuple(release_tags), True, frozenset(identities))


def _narrowed(request: BumpRequest, group: ImageGroup) -> ImageGroup:
    """A group with the tags of the environments and releases asked for."""
    return replace(group, release_tags=tuple(filter(request.includes, group.release_tags)))


def _no_tag(
    request: BumpRequest,
    files: ParsedFiles,
    service: ServiceFiles,
    tags: ServiceTags,
    narrowed: Sequence[ImageGroup],
) -> RefusedError:
    """The refusal where no main tag is in the repository: with all that could be meant instead."""
    environments = ", ".join(request.environments)
    if not service.releases:
        return refuse("helmfile", f"the helmfile of {service.name} names no releases that can be read", say="--key")
    if environments and not any(release.environment in request.environments for release in service.releases):
        return refuse("release", f"no release of {service.name} is installed in {environments}")
    where = f" for {environments}" if environments else ""
    unseen = _on_the_host(request, service)[:_MOST_NAMED]
    on_the_host = f"; values on the deploy host may set it: {', '.join(unseen)}" if unseen else ""
    reason = f"{service.name} has no main image tag{where} in the repository{on_the_host}"
    obstacles = [Obstacle("no-tag-in-git", reason, say=_part_options(narrowed))]
    for real in service.values:
        document = files.document(real)
        if document is not None:
            obstacles += _instead_of_a_main_tag(document)
    moving = {release_tag.scalar.id: release_tag.scalar for release_tag in filter(request.includes, tags.release_tags)}
    for _, scalar in sorted(moving.items()):
        obstacles.append(candidate(scalar, f"moves by {key_option(service, scalar)} only"))
    return RefusedError(obstacles)


def _on_the_host(request: BumpRequest, service: ServiceFiles) -> list[str]:
    """The releases' own values files that only the deploy host has."""
    paths: set[str] = set()
    for release in service.releases:
        if not request.environments or release.environment in request.environments:
            paths |= {layer.path for layer in release.layers if layer.on_server and layer.per_release}
    return sorted(paths)


def _instead_of_a_main_tag(document: Document) -> Iterator[Obstacle]:
    """What stands in a file where a main tag should be."""
    if document.broken:
        yield document.broken
    elif document.root is not None:
        if not isinstance(document.root, yaml.MappingNode):
            line = document.root.start_mark.line + 1
            yield Obstacle("no-mapping", "the file holds no mapping", document.file, line)
        for block in MAIN_BLOCKS:
            obstacle = _in_main_block(document, block)
            if obstacle is not None:
                yield obstacle


def _in_main_block(document: Document, block: str) -> Obstacle | None:
    """What is wrong with a main block, None if nothing is, or if there is none."""
    blocks, versions = keys_at(document.root, (block,)), keys_at(document.root, (block, "version"))
    if not blocks:
        return None
    first_line = blocks[0][0].start_mark.line + 1
    if versions and len(blocks) > 1:
        return doubled(document.file, f"{block}.version", [key.start_mark.line + 1 for key, _ in blocks])
    if versions and isinstance(versions[0][1], yaml.ScalarNode):
        scalar = document.scalars().get((block, "version"))
        if scalar is None:
            return Obstacle("no-tag", f"{block}.version is no image tag", document.file, first_line)
        return scalar.problem
    if versions:
        line = versions[0][0].start_mark.line + 1
        return Obstacle("no-tag", f"{block}.version is no single value", document.file, line)
    if isinstance(blocks[0][1], yaml.ScalarNode | yaml.SequenceNode) and not is_null(blocks[0][1]):
        return Obstacle("no-mapping", f"{block} is no mapping", document.file, first_line)
    return None


def scalar_edits(
    request: BumpRequest, files: ParsedFiles, service: ServiceFiles, tags: ServiceTags, group: ImageGroup
) -> tuple[ScalarEdit, ...]:
    """The scalars of a group that get the tag; where nothing is narrowed, overridden ones too."""
    scalars = list(group.scalars)
    if not request.narrowed:
        scalars += overridden_scalars(files, service, tags, group)
    by_id = {scalar.id: scalar for scalar in scalars}
    return tuple(ScalarEdit(by_id[scalar_id], request.tag) for scalar_id in sorted(by_id))


# -- what cannot be told, or not be edited --------------------------------------------------------------------------


def refuse_doubtful(service: ServiceFiles, group: ImageGroup) -> None:
    """Refuse where a helmfile's loop, condition or own values leave open which files decide for a release.

    Raises:
        RefusedError: what is doubtful, with its place.
    """
    for release_tag in group.release_tags:
        release = release_tag.release
        if release.doubt is not None:
            home = service.homes.get(release.environment) or service.homes.get("", service.base)
            raise refuse("helmfile", release.doubt.reason, f"{home}/helmfile.yaml", release.doubt.line, say="--key")


def refuse_several_tags(service: ServiceFiles, group: ImageGroup, tag: str) -> None:
    """Refuse one image with different tags in one release: a single tag cannot be right for all of them.

    Raises:
        RefusedError: with each of them.
    """
    by_release: dict[tuple[str, str], list[ReleaseTag]] = {}
    for release_tag in group.release_tags:
        release = release_tag.release
        by_release.setdefault((release.environment, release.name), []).append(release_tag)
    for (_, release_name), release_tags in by_release.items():
        scalars = _by_tag(release_tags)
        tags = dict.fromkeys(scalar.tag for scalar in scalars)
        if len(tags) < 2:
            continue
        new_tags = _tags_of_one_build(tag, tags)
        keys = " ".join(f"{key_option(service, s)}={new_tags.get(s.tag, 'TAG')}" for s in scalars)
        reason = f"several tags of {group.name} in release {release_name} could be meant"
        candidates = [candidate(scalar, group.name) for scalar in scalars]
        raise RefusedError([Obstacle("several-tags", reason, say=keys), *candidates])


def _by_tag(release_tags: Iterable[ReleaseTag]) -> list[Scalar]:
    """Each deciding scalar once; those of one tag stand together, in the order in which tags and scalars come up."""
    scalars_by_tag: dict[str, dict[tuple[str, int], Scalar]] = {}
    for release_tag in release_tags:
        scalar = release_tag.scalar
        scalars_by_tag.setdefault(scalar.tag, {})[scalar.id] = scalar
    ordered: list[Scalar] = []
    for scalars in scalars_by_tag.values():
        ordered += scalars.values()
    return ordered


_BUILD_TIME = re.compile(r"\d{4}-\d\d-\d\d-\d{6}")


def _tags_of_one_build(tag: str, old_tags: Iterable[str]) -> dict[str, str]:
    """Old tag -> the same with the build's time of *tag*, where the old ones differ by what follows the time; else {}."""
    new_time = _BUILD_TIME.match(tag)
    old_times = {old: _BUILD_TIME.match(old) for old in old_tags}
    if not new_time or len({match and match[0] for match in old_times.values()}) != 1:
        return {}
    ends = {old: old[match.end() :] for old, match in old_times.items() if match}
    if not ends or tag[new_time.end() :] not in ("", *ends.values()):
        return {}
    return {old: new_time[0] + end for old, end in ends.items()}


def check_edits(edits: Sequence[ScalarEdit]) -> None:
    """Refuse scalars that cannot be edited as they stand.

    Raises:
        RefusedError: with every reason.
    """
    obstacles: dict[Obstacle, None] = {}
    for edit in edits:
        obstacle = _obstacle(edit)
        if obstacle is not None:
            obstacles[obstacle] = None
        if len(edit.scalar.paths) > 1:
            obstacles |= dict.fromkeys(_fed_besides(edit.scalar))
    if obstacles:
        raise RefusedError(obstacles)


def _obstacle(edit: ScalarEdit) -> Obstacle | None:
    """Why a scalar cannot get its tag, None if it can."""
    scalar, key = edit.scalar, dotted(edit.scalar.path)
    if scalar.problem is not None:
        return scalar.problem
    if "sha256:" in scalar.tag and "@sha256:" not in edit.tag:
        reason = f"{key} is pinned to a digest: TAG needs one too (TAG@sha256:…)"
        return Obstacle("digest", reason, scalar.file, scalar.line)
    if TagKind.MAIN not in scalar.kinds and not TAG.fullmatch(scalar.tag.removeprefix("sha256:")):
        return Obstacle("no-tag", f"{key} is no image tag", scalar.file, scalar.line)
    return None


def _fed_besides(scalar: Scalar) -> Iterator[Obstacle]:
    """What an anchor feeds besides the tags that are meant: no tag at all, or a helper's."""
    feeds_image = TagKind.MAIN in scalar.kinds or TagKind.IMAGE in scalar.kinds
    for path, kind in zip(scalar.paths, scalar.kinds, strict=True):
        defines_anchor = path == scalar.path and not is_helper(path)  # no use of the anchor: it stands there
        no_tag = kind is None and not (defines_anchor and is_holder(path))
        of_helper = kind is TagKind.OTHER and feeds_image and not defines_anchor
        if no_tag or of_helper:
            what = "another tag" if kind else "no image tag"
            reason = f"the anchored value of {dotted(_tag_path(scalar))} also feeds {dotted(path)}, which is {what}"
            yield Obstacle("anchor", reason, scalar.file, scalar.line)


def _tag_path(scalar: Scalar) -> KeyPath:
    """The first place of a scalar where it is a tag."""
    return next(path for path, kind in zip(scalar.paths, scalar.kinds, strict=True) if kind is not None)
