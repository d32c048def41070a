"""Which scalar in which file decides each tag of each release of a service."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import yaml

from quarterdeck.core.charts.keys import KeyPath, TagKind, dotted, embedded, image_paths
from quarterdeck.core.charts.reading.document import Document, Scalar, child, doubled, is_null, keys_at
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.service_files import HelmfileRelease, ServiceFiles, ValuesLayer
from quarterdeck.core.charts.refusals import Obstacle

_ORDER_OF_KINDS = (TagKind.MAIN, TagKind.IMAGE, TagKind.OTHER)
#: service, environment, release, keys: names a tag of a release among all
ReleaseTagId = tuple[str, str, str, KeyPath]


@dataclass(frozen=True)
class ReleaseTag:
    """One tag of a release in an environment, and the scalar that decides it.

    Attributes:
        path: the keys.
        kind: main, another image's, a helper's.
        image: as the values name it, without registry; "" where only the chart knows.
        scalar: the one that wins.
        depth: number of its layer.
        unseen: layers above it that exist on the deploy host only.
    """

    service: str
    release: HelmfileRelease
    path: KeyPath
    kind: TagKind
    image: str
    scalar: Scalar
    depth: int
    unseen: tuple[str, ...]

    @property
    def holder(self) -> bool:
        """Whether the anchor stands here whose value other tags repeat, and nothing else is decided here."""
        return self.kind is TagKind.OTHER and self.path == self.scalar.path and len(self.scalar.paths) > 1

    @property
    def id(self) -> ReleaseTagId:
        """Names it among all tags of all releases."""
        return self.service, self.release.environment, self.release.name, self.path


@dataclass(frozen=True)
class ServiceTags:
    """All tags of a service.

    Attributes:
        release_tags: every tag of every release in every environment.
        kinds: keys -> what they hold the tag of.
        unreadable: why files of layers cannot be read.
    """

    release_tags: tuple[ReleaseTag, ...]
    kinds: Mapping[KeyPath, TagKind]
    unreadable: tuple[Obstacle, ...]


def service_tags(
    files: ParsedFiles, service: ServiceFiles, ignored: frozenset[tuple[str, int]] = frozenset(), hollow: bool = False
) -> ServiceTags:
    """The deciding scalar of each tag of each release.

    Args:
        ignored: ids of scalars that count as taken away.
        hollow: a block without content hides nothing, because a pin is about to fill it.
    """
    documents = [document for real in service.values if (document := files.document(real)) is not None]
    kinds = _kinds(documents)
    unreadable = {document.file: document.broken for document in documents if document.broken}
    for document in documents:
        obstacle = None if document.broken else _doubled(document, kinds)
        if obstacle is not None:
            unreadable[document.file] = obstacle
    decided: list[ReleaseTag] = []
    for release in service.releases:
        layers = _Layers(files, service, release, ignored, hollow)
        for path, kind in kinds.items():
            release_tag = layers.decide(path, kind)
            if release_tag is not None:
                decided.append(release_tag)
    return ServiceTags(tuple(decided), kinds, tuple(unreadable.values()))


def _kinds(documents: Iterable[Document]) -> dict[KeyPath, TagKind]:
    """Keys -> what they hold the tag of; where files differ, what is nearest to a main tag."""
    kinds: dict[KeyPath, TagKind] = {}
    for document in documents:
        for path, scalar in document.scalars().items():
            kind = scalar.kinds[scalar.paths.index(path)] or TagKind.OTHER
            kinds[path] = min(kinds.get(path, kind), kind, key=_ORDER_OF_KINDS.index)
    return kinds


def _doubled(document: Document, kinds: Iterable[KeyPath]) -> Obstacle | None:
    """A tag below a key that stands there twice, which is gone for readers that take the last one."""
    for path in kinds:
        if path in document.scalars() or not keys_at(document.root, path):
            continue
        for depth in range(1, len(path)):
            occurrences = keys_at(document.root, path[:depth])
            if len(occurrences) > 1:
                lines = [key.start_mark.line + 1 for key, _ in occurrences]
                return doubled(document.file, dotted(path), lines)
    return None


@dataclass(frozen=True)
class _Layers:
    """The values files of one release, asked for one tag after the other."""

    files: ParsedFiles
    service: ServiceFiles
    release: HelmfileRelease
    ignored: frozenset[tuple[str, int]]
    hollow: bool

    def decide(self, path: KeyPath, kind: TagKind) -> ReleaseTag | None:
        """The scalar that wins for a tag; None where no layer has one, or a higher layer takes it away."""
        unseen: list[str] = []
        for depth in range(len(self.release.layers) - 1, -1, -1):
            layer = self.release.layers[depth]
            if layer.on_server:
                unseen.append(layer.path)
                continue
            for document in documents_of(self.files, self.service, layer):
                scalar = document.scalars().get(path)
                if scalar is None:
                    if not document.broken and blocks(document.root, path, self.hollow):
                        return None
                    continue
                if scalar.id in self.ignored:
                    continue
                if scalar.null:
                    return None
                image = plain_image(scalar.name or self._image(path))
                return ReleaseTag(self.service.name, self.release, path, kind, image, scalar, depth, tuple(unseen))
        return None

    def _image(self, path: KeyPath) -> str:
        """The image that the layers name for a tag, "" if they name none."""
        for image_path in image_paths(path):
            for document in self._from_the_top():
                image = value_at(document.root, image_path)
                if image:
                    return image
        return ""

    def _from_the_top(self) -> Iterator[Document]:
        """The files of all layers that are in the repository, the winning ones first."""
        for layer in reversed(self.release.layers):
            if not layer.on_server:
                yield from documents_of(self.files, self.service, layer)


def documents_of(files: ParsedFiles, service: ServiceFiles, layer: ValuesLayer) -> list[Document]:
    """The files that a layer may mean: one, or all that fit where its name is not certain."""
    reals = [layer.real]
    if not layer.certain:
        reals = [real for real in service.values if fnmatch.fnmatchcase(real, layer.path)]
    return [document for real in reals if (document := files.document(real)) is not None]


def blocks(root: yaml.Node | None, path: KeyPath, hollow: bool = False) -> bool:
    """Whether a document that has no tag there has something else, so that what lower layers say there is gone."""
    node = root
    for key in path:
        if node is None:
            return False
        if hollow and is_null(node):
            return False
        if isinstance(node, yaml.ScalarNode) or (isinstance(node, yaml.SequenceNode) and not key.isdigit()):
            return node is not root
        below = child(node, key)
        if below is None and isinstance(node, yaml.SequenceNode):
            return True
        node = below
    return node is not None


def value_at(root: yaml.Node | None, path: KeyPath) -> str:
    """The text of a scalar, "" if there is none."""
    node = root
    for key in path:
        node = child(node, key)
    return node.value if isinstance(node, yaml.ScalarNode) and not is_null(node) else ""


def plain_image(image: str) -> str:
    """An image's name without registry and tag."""
    name_and_tag = embedded(image)
    name = name_and_tag[0] if name_and_tag else image
    host, slash, rest = name.partition("/")
    return rest if slash and ("." in host or ":" in host) else name
