"""The charts at one commit, each file parsed once: what the bot asks of them, and the edit that moves a tag.

The bot moves the tag of a service, or of one of its parts, in whole environments. What a careful reader would have to
guess is refused in words: a person pushes it, `!apply` takes it from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from quarterdeck.core.charts.conventions import HELMFILE_NAMES
from quarterdeck.core.charts.editing.bump import bump
from quarterdeck.core.charts.editing.choosing import choose_group
from quarterdeck.core.charts.editing.edit_plan import (
    NOTHING_TO_WRITE,
    EditPlan,
    edit_plan,
    joined,
    refuse_several_moves,
)
from quarterdeck.core.charts.editing.planning import Reach, WrittenPlace, reach
from quarterdeck.core.charts.editing.request import BumpRequest, FileChange
from quarterdeck.core.charts.keys import dotted
from quarterdeck.core.charts.reading.files import FileTree, ParsedFiles, WorkCounts
from quarterdeck.core.charts.reading.images import (
    PartInFiles,
    ReleaseImage,
    is_catalogued,
    main_groups,
    part_in_files,
    release_images,
)
from quarterdeck.core.charts.reading.parts import NOTHING_CATALOGUED, CatalogueImages
from quarterdeck.core.charts.reading.release_tags import ReleaseTag, ReleaseTagId, ServiceTags, service_tags
from quarterdeck.core.charts.reading.service_files import ServiceFiles, read_service
from quarterdeck.core.charts.refusals import RefusedError, end_of_path, first_few, refuse, shortened
from quarterdeck.core.model.errors import EditRefusedError
from quarterdeck.core.rollout.intent import ALL

#: edits that are kept, the last ones
_MOST_PLANS = 8


@dataclass(frozen=True)
class Component:
    """What the charts are asked about: a service, or one of its parts.

    Attributes:
        service: its folder, from the repository's root or by its last part.
        part: one of its parts, or `ALL`; empty for the service's own image.
        catalogued: what the catalogue says of its images; None without a catalogue.
    """

    service: str
    part: str = ""
    catalogued: CatalogueImages | None = None

    @property
    def images(self) -> CatalogueImages:
        """What the catalogue says, nothing without one."""
        return self.catalogued or NOTHING_CATALOGUED

    @property
    def name(self) -> str:
        """The service's."""
        return self.service.strip("/").rpartition("/")[2]

    @property
    def title(self) -> str:
        """As people say it."""
        return f"{self.name}/{self.part}" if self.part else self.name


@dataclass(frozen=True)
class EditRequest:
    """What an edit is for; several components are edited one after the other, each on the files the one before left.

    Attributes:
        components: with the environments in which their tag moves.
        own: service as whose places those without a service's name count; empty for the first component's.
        pin: the environments get a copy of their own, and nothing else moves.
        by_hand: the command that takes it from there where the edit is refused; by default an apply of the same.
    """

    components: tuple[tuple[Component, tuple[str, ...]], ...]
    own: str = ""
    pin: bool = False
    by_hand: str = ""


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
class Touched:
    """What an edit would touch, whatever its tag.

    Attributes:
        files: that it would write, from the repository's root.
        services: that would get another tag, the components' own among them.
    """

    files: tuple[str, ...]
    services: tuple[str, ...]


class Snapshot:
    """The files of some services at one commit, with those of the services that share one of their files.

    Each file is parsed when it is first needed, and each edit is computed once. Errors: `EditRefusedError` where a
    service has no helmfile, or its files cannot be read.

    Attributes:
        commit: sha.
    """

    def __init__(self, tree: FileTree, commit: str = "") -> None:
        self.commit = commit
        self._files = ParsedFiles(tree)
        self._services: dict[str, tuple[ServiceFiles, ServiceTags]] = {}
        self._plans: list[tuple[EditRequest, str, EditPlan]] = []

    @property
    def files(self) -> Mapping[str, bytes]:
        """Path from the repository's root -> content; without what an edit changed."""
        return self._files.tree.files

    @property
    def work(self) -> WorkCounts:
        """How often files were parsed and edits computed, here and in whatever was made of this."""
        return self._files.counts

    def within(self, tree: FileTree) -> Snapshot:
        """The same commit with more services, or with fewer; what is parsed is parsed for both."""
        other = Snapshot(tree, self.commit)
        other._files, other._services, other._plans = self._files.within(tree), self._services, self._plans
        return other

    def edited(self, plan: EditPlan) -> Snapshot:
        """The files after an edit."""
        if not plan.files:
            return self
        after = Snapshot(self._files.tree, self.commit)
        after._files = self._files.with_changes(plan.files)
        return after

    # -- what stands there ------------------------------------------------------------------------------------------

    def parse(self, services: Iterable[str]) -> None:
        """Read services and all who share a file with them now, so that later questions need not; never refuses."""
        for service in services:
            names = {service}
            for real in self._files.tree.files:
                sharers = self._files.sharers_of(real)
                if service in sharers:
                    names.update(sharers)
            for name in sorted(names):
                self._parse_one(name)

    def _parse_one(self, service: str) -> None:
        try:
            self._service_and_tags(self.home(service))
        except EditRefusedError:  # whoever asks is told
            return

    def home(self, service: str) -> str:
        """The service's folder from the repository's root; *service* may be its last part only.

        Raises:
            EditRefusedError: there is no helmfile, or several folders could be meant.
        """
        wanted = service.strip("/")
        if wanted in self._folders:
            return wanted
        named_so = sorted(folder for folder in self._folders if folder.rpartition("/")[2] == wanted)
        if len(named_so) == 1:
            return named_so[0]
        many = f"several folders are called so: {', '.join(named_so)}" if named_so else "it has no helmfile.yaml"
        raise EditRefusedError(f"{wanted or 'no folder'}: {many}")

    @cached_property
    def _folders(self) -> frozenset[str]:
        """The folders with a helmfile."""
        tree = self._files.tree
        return frozenset(path.rpartition("/")[0] for path in (*tree.files, *tree.links) if _is_helmfile(path))

    def environments(self, service: str) -> tuple[str, ...]:
        """The environments of a service's helmfile, in its own order.

        Raises:
            EditRefusedError: there is no helmfile, or it names no environments.
        """
        folder = self.home(service)
        names = self._files.helmfile(folder).environments
        if not names:
            raise EditRefusedError(f"{self._helmfile_path(folder)}: I find no environments in it")
        return names

    def timeout(self, service: str) -> int:
        """Seconds helm waits for a release (`helmDefaults.timeout`); Helm's own default of 300 where none is named."""
        return self._files.helmfile(self.home(service)).timeout

    def parts(self, component: Component) -> tuple[PartInFiles, ...]:
        """The parts of a service by name: the catalogue's, else one for each image of its own."""
        service, tags = self._readable(component.service)
        groups = main_groups(service, tags, component.images)
        return tuple(part_in_files(group, component.images) for group in groups)

    def tags(self, component: Component, environments: Iterable[str] = ()) -> dict[str, TagLocation]:
        """Environment -> the tag it gets, as far as git says (values on the deploy host only are not seen).

        Args:
            environments: which; none means all of the helmfile.

        Raises:
            EditRefusedError: no tag, several that could be meant, or files that cannot be read.
        """
        service, tags = self._readable(component.service)
        wanted = tuple(environments) or service.environments
        for name in wanted:
            if name not in service.environments:
                existing = ", ".join(service.environments)
                raise EditRefusedError(f"{service.base} has no environment {name}: {existing}")
        return {name: self._tag(component, service, tags, name) for name in wanted}

    def tag(self, component: Component, environment: str) -> TagLocation:
        """The tag of one environment; raises as `tags`."""
        return self.tags(component, (environment,))[environment]

    def _tag(self, component: Component, service: ServiceFiles, tags: ServiceTags, environment: str) -> TagLocation:
        """The one tag of a component in an environment."""
        try:
            release_tags = self._release_tags(component, service, tags, environment)
        except RefusedError as why:
            raise shortened(why) from None
        scalars = {release_tag.scalar.id: release_tag.scalar for release_tag in release_tags}
        if len({scalar.tag for scalar in scalars.values()}) > 1:
            places = [f"{end_of_path(s.file)}:{s.line} {dotted(s.path)}" for _, s in sorted(scalars.items())]
            raise EditRefusedError(f"several tags could be meant for {environment}: {', '.join(first_few(places))}")
        if not release_tags:
            raise EditRefusedError(f"{service.name} has no image tag for {environment}")
        first = min(release_tags, key=lambda release_tag: release_tag.scalar.id)
        return TagLocation(first.scalar.tag, first.scalar.file, dotted(first.path), first.scalar.line)

    def _release_tags(
        self, component: Component, service: ServiceFiles, tags: ServiceTags, environment: str
    ) -> Sequence[ReleaseTag]:
        """The tags of a component's releases in an environment."""
        if component.part == ALL:
            return _of_main_groups(service, tags, component.images, environment)
        request = _request(component, service, (environment,))
        return choose_group(request, self._files, service, tags).release_tags

    def all_tags(self, component: Component, environment: str) -> frozenset[str]:
        """Every tag that the releases of an environment get, of all parts of the service."""
        service, tags = self._readable(component.service)
        release_tags = _of_main_groups(service, tags, component.images, environment)
        return frozenset(release_tag.scalar.tag for release_tag in release_tags)

    def release_images(self, component: Component, environment: str) -> dict[str, tuple[ReleaseImage, ...]]:
        """Release -> the images that it is to run in an environment; without a part those that the catalogue knows.

        Raises:
            EditRefusedError: no such environment or part, or files that cannot be read.
        """
        service, tags = self._readable(component.service)
        release_tags: Sequence[ReleaseTag]
        if component.part and component.part != ALL:
            release_tags = self._release_tags(component, service, tags, environment)
        else:
            release_tags = _of_main_groups(service, tags, component.images, environment)
            if not component.part and component.catalogued is not None:
                release_tags = [tag for tag in release_tags if is_catalogued(tag, component.images)]
        by_release: dict[str, list[ReleaseTag]] = {}
        for release_tag in release_tags:
            by_release.setdefault(release_tag.release.name, []).append(release_tag)
        return {name: release_images(self._files, own, component.images) for name, own in by_release.items()}

    # -- edits ------------------------------------------------------------------------------------------------------

    def touched(self, request: EditRequest) -> Touched:
        """What an edit would touch: a question to the files, whatever the tag will be.

        Raises:
            EditRefusedError: the files do not allow a safe edit; says where the candidates are and what to do.
        """
        files: dict[str, None] = {}
        services: dict[str, None] = {}
        for component, environments in request.components:
            try:
                for _, part in self._parts_meant(component, environments):
                    reached = self._reach(part, environments, request.pin)
                    files |= dict.fromkeys(place.file for place in reached.written)
                    services |= dict.fromkeys(release_tag.service for release_tag in reached.release_tags)
            except EditRefusedError as error:
                raise _with_advice(error, request, component, environments) from None
        return Touched(tuple(files), tuple(services))

    def _reach(self, component: Component, environments: tuple[str, ...], pin: bool) -> Reach:
        service = self._editable(component.service, environments)
        request = replace(_request(component, service, environments), pin=pin)
        reached = reach(self._files, request, service)
        for place in reached.written:
            self._refuse_hidden_sharers(place, request.services_dir)
        tags: dict[str, set[str]] = {}
        for release_tag in reached.release_tags:
            if release_tag.service == service.name:
                tags.setdefault(release_tag.release.environment, set()).add(release_tag.scalar.tag)
        for environment, of_environment in tags.items():
            refuse_several_moves(environment, of_environment)
        return reached

    def edit(self, request: EditRequest, tag: str) -> EditPlan:
        """The edit that gives components the tag. An environment with its own copy has only that copy edited.

        Args:
            tag: the whole tag, as it shall stand in git.

        Raises:
            EditRefusedError: the files do not allow a safe edit; says where the candidates are and what to do.
        """
        for earlier, earlier_tag, plan in self._plans:
            if (earlier, earlier_tag) == (request, tag):
                return plan
        self._files.counts.edits += 1
        plan = self._computed(request, tag)
        self._plans.append((request, tag, plan))
        del self._plans[:-_MOST_PLANS]
        return plan

    def _computed(self, request: EditRequest, tag: str) -> EditPlan:
        own = request.own or request.components[0][0].name
        done = NOTHING_TO_WRITE
        for component, environments in request.components:
            try:
                for name, part in self._parts_meant(component, environments):
                    plan = self.edited(done)._edit_of_one(part, environments, tag, request.pin, own)
                    if component.part == ALL:
                        plan = replace(plan, parts={name: plan.effect})
                    done = joined(done, plan)
            except EditRefusedError as error:
                raise _with_advice(error, request, component, environments) from None
        return done

    def _parts_meant(self, component: Component, environments: tuple[str, ...]) -> Iterator[tuple[str, Component]]:
        """The component; where all parts are meant, each that is in one of the environments, by itself.

        Each with its name among the parts; the service's own image has none.

        Raises:
            EditRefusedError: no part is there.
        """
        if component.part != ALL:
            yield component.part, component
            return
        parts = [part for part in self.parts(component) if not set(environments).isdisjoint(part.tags)]
        if not parts:
            raise refuse("no-tag-in-git", f"{component.name} has no tag in git for {', '.join(environments)}")
        for part in parts:
            is_own_image = component.images.image in part.images
            yield "" if is_own_image else part.name, replace(component, part=part.name)

    def _edit_of_one(
        self, component: Component, environments: tuple[str, ...], tag: str, pin: bool, own: str
    ) -> EditPlan:
        service = self._editable(component.service, environments)
        request = replace(_request(component, service, environments), tag=tag, pin=pin)
        outcome = bump(self._files, request)
        if outcome is None:
            raise EditRefusedError(f"{service.base}: it has no helmfile.yaml")
        if outcome.obstacles:
            raise RefusedError(outcome.obstacles)
        for change in outcome.changes:
            self._refuse_hidden_sharers(_first_place(change), request.services_dir)
        return edit_plan(outcome, service.name, own)

    def _editable(self, service: str, environments: tuple[str, ...]) -> ServiceFiles:
        if not environments:
            raise EditRefusedError("no environment was named")
        return self._service_and_tags(self.home(service))[0]

    def _refuse_hidden_sharers(self, place: WrittenPlace, services_dir: str) -> None:
        """A file that others read too is edited only where it can be told what becomes of them."""
        hidden = []
        for name in self._files.sharers_of(place.file):
            service = read_service(self._files, services_dir, name)
            if service is None or not service.releases:
                hidden.append(name)
        if hidden:
            reason = f"{place.key} is shared with {', '.join(hidden)}, whose helmfile I cannot read"
            raise refuse("shared", reason, place.file, place.line)

    # -- reading ----------------------------------------------------------------------------------------------------

    def _readable(self, service: str) -> tuple[ServiceFiles, ServiceTags]:
        """A service with all about its tags, in files that can be read."""
        service_files, tags = self._service_and_tags(self.home(service))
        if tags.unreadable:
            raise shortened(RefusedError(tags.unreadable))
        return service_files, tags

    def _service_and_tags(self, folder: str) -> tuple[ServiceFiles, ServiceTags]:
        if folder not in self._services:
            self.environments(folder)
            services_dir, _, name = folder.rpartition("/")
            service = read_service(self._files, services_dir, name)
            if service is None or service.old_layout:
                raise EditRefusedError(f"{folder}: its folder is not laid out as a service's is today")
            self._services[folder] = service, service_tags(self._files, service)
        return self._services[folder]

    def _helmfile_path(self, folder: str) -> str:
        tree = self._files.tree
        paths = [f"{folder}/{name}" for name in HELMFILE_NAMES]
        return next(path for path in paths if path in tree.files or path in tree.links)


def _with_advice(
    error: EditRefusedError, request: EditRequest, component: Component, environments: tuple[str, ...]
) -> EditRefusedError:
    """A refusal, with what a person can do instead."""
    where = "production"
    if len(environments) < 2:
        where = environments[0] if environments else "ENV"
    by_hand = request.by_hand or f"!apply {component.title} {where}"
    return EditRefusedError(f"I do not edit this: {shortened(error)}. Push the change by hand, then {by_hand}")


def _is_helmfile(path: str) -> bool:
    return path.rpartition("/")[2] in HELMFILE_NAMES


def _request(component: Component, service: ServiceFiles, environments: tuple[str, ...]) -> BumpRequest:
    """A bump of a component, its tag not chosen yet."""
    return BumpRequest(
        services_dir=service.base.rpartition("/")[0],
        service=service.name,
        part=component.part,
        environments=environments,
        catalogued=component.catalogued,
    )


def _of_main_groups(
    service: ServiceFiles, tags: ServiceTags, catalogued: CatalogueImages, environment: str
) -> list[ReleaseTag]:
    """The tags that the releases of an environment get, of all parts of the service."""
    in_parts: set[ReleaseTagId] = set()
    for group in main_groups(service, tags, catalogued):
        in_parts |= {release_tag.id for release_tag in group.release_tags}
    return [
        release_tag
        for release_tag in tags.release_tags
        if release_tag.release.environment == environment and release_tag.id in in_parts
    ]


def _first_place(change: FileChange) -> WrittenPlace:
    first = change.spans[0]
    return WrittenPlace(change.path, first.key, first.line)
