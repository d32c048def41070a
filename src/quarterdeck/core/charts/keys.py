"""Tells by its place whether a scalar is an image tag: the service's main one, another image's, or a helper's.

The names that decide are those of `conventions`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

from quarterdeck.core.charts.conventions import (
    BLOCKS_WITHOUT_TAGS,
    HELPER_KEY,
    HELPERS,
    HOLDER_KEY,
    IMAGE_BESIDE_TAG,
    IMAGE_BESIDE_VERSION,
    IMAGE_BLOCKS_BELOW,
    IMAGE_KEY,
    MAIN_BLOCKS,
    MAIN_IMAGE_KEY,
    MODEL_BLOCKS_END,
    PREFIXED_TAG_KEY,
    TAG_KEY,
)
from quarterdeck.core.model.tag import TAG_PATTERN

KeyPath = tuple[str, ...]

_NAME = r"(?P<name>(?:[\w.-]+(?::\d+)?/)?[a-zA-Z0-9][\w./-]*?)"
_DIGEST = r"sha256:[0-9a-fA-F]{64}"
#: a tag, with or without the digest that pins it
TAG = re.compile(rf"{TAG_PATTERN}(@{_DIGEST})?")
#: `name:tag`; a port belongs to the name
_IMAGE = re.compile(rf"{_NAME}:(?P<tag>{TAG_PATTERN}(?:@{_DIGEST})?)")
#: `name@sha256:…`
_IMAGE_BY_DIGEST = re.compile(rf"{_NAME}@(?P<tag>{_DIGEST})")
_LONGEST_IMAGE = 500
_REPOSITORY = re.compile(r"[^\s/?#][^\s?#]*")
_PICTURE = re.compile(r".*\.(?:png|svg|jpe?g|gif|ico|webp|bmp|iso|img)", re.IGNORECASE)


class TagKind(StrEnum):
    """What a tag is of."""

    MAIN = "main"
    IMAGE = "image"
    OTHER = "other"


def embedded(value: str, key: str = "image") -> tuple[str, str] | None:
    """(name, tag) of `name:tag`, `name:tag@sha256:…` or, in an image's key, `name@sha256:…`; None if it is neither."""
    if len(value) > _LONGEST_IMAGE:
        return None
    match = _IMAGE.fullmatch(value)
    if match is None and IMAGE_KEY.fullmatch(key):
        match = _IMAGE_BY_DIGEST.fullmatch(value)
    return (match["name"], match["tag"]) if match else None


def classify(path: KeyPath, value: str, siblings: Collection[str], in_list: bool = False) -> TagKind | None:
    """What the scalar is the tag of, or None for no tag at all.

    Args:
        path: its keys, list items by number.
        value: as a string.
        siblings: the keys of the mapping it stands in.
        in_list: whether a list is on the path.
    """
    key, above = path[-1], path[:-1]
    if key in ("<<", ""):
        return None
    holds_image = embedded(value, key) is not None
    if _is_main(path, holds_image):
        return TagKind.MAIN
    if key == "version":
        return _kind_of_version(path, siblings, in_list)
    if TAG_KEY.fullmatch(key):
        return _kind_of_tag_key(path, siblings)
    if HELPER_KEY.fullmatch(key) and not _below_no_tags(above):
        return TagKind.OTHER
    if holds_image:
        return _kind_of_image_string(path)
    return None


def _is_main(path: KeyPath, holds_image: bool) -> bool:
    """Whether it is the `version`, or the `image` with its tag, of a main block at the top of the file."""
    if len(path) != 2 or path[0] not in MAIN_BLOCKS:
        return False
    return path[1] == "version" or (path[1] == MAIN_IMAGE_KEY and holds_image)


def _kind_of_version(path: KeyPath, siblings: Collection[str], in_list: bool) -> TagKind | None:
    above = path[:-1]
    has_image = any(key in siblings for key in IMAGE_BESIDE_VERSION)
    if not above or (_below_no_tags(above) and not has_image):
        return None
    if any(name.endswith(MODEL_BLOCKS_END) for name in above) and not has_image:
        return None
    if is_helper(path):
        return TagKind.OTHER
    # a chart below an umbrella chart has a main block of its own
    in_known_block = len(above) == 2 and (above[0] in IMAGE_BLOCKS_BELOW or above[1] in MAIN_BLOCKS)
    if has_image or in_known_block:
        return TagKind.IMAGE
    return None if in_list else TagKind.OTHER


def _kind_of_tag_key(path: KeyPath, siblings: Collection[str]) -> TagKind | None:
    key, above = path[-1], path[:-1]
    if key == "tag":
        if _below_no_tags(above):
            return None
        in_image = bool(above) and IMAGE_KEY.fullmatch(above[-1]) is not None
        if not in_image and not any(name in siblings for name in IMAGE_BESIDE_TAG):
            return TagKind.OTHER  # log lines and releases have tags too
    return TagKind.OTHER if is_helper(path) else TagKind.IMAGE


def _kind_of_image_string(path: KeyPath) -> TagKind | None:
    """What a whole image `name:tag` is; None where neither its key nor a block above says that it is one."""
    if IMAGE_KEY.fullmatch(path[-1]):
        return TagKind.OTHER if is_helper(path) else TagKind.IMAGE
    return TagKind.OTHER if any(name.endswith("images") for name in path[:-1]) else None


def _below_no_tags(above: KeyPath) -> bool:
    return not BLOCKS_WITHOUT_TAGS.isdisjoint(above)


def is_helper(path: KeyPath) -> bool:
    """Whether a tag is a helper's by its place."""
    return not HELPERS.isdisjoint(path[:-1]) or path[-1].split("_image")[0] in HELPERS


def is_holder(path: KeyPath) -> bool:
    """Whether a place at the top of a file is there to define a tag once: `version`, `app_version`, `tag`."""
    return len(path) == 1 and HOLDER_KEY.fullmatch(path[0]) is not None


def image_paths(path: KeyPath) -> tuple[KeyPath, ...]:
    """Where the image of a tag may be named, the likeliest first."""
    key, above = path[-1], path[:-1]
    names: tuple[str, ...]
    if key == "tag":
        names = IMAGE_BESIDE_TAG
    elif (match := PREFIXED_TAG_KEY.fullmatch(key)) is not None:
        names = tuple(f"{match['prefix']}{name}" for name in IMAGE_BESIDE_VERSION)
    else:
        names = IMAGE_BESIDE_VERSION
    return tuple((*above, name) for name in names)


def dotted(path: KeyPath) -> str:
    """The keys with dots between; a dot in a key gets a backslash."""
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in path)


def undotted(text: str) -> KeyPath:
    """The way back from `dotted`."""
    keys: list[str] = []
    key, escaped = "", False
    for char in text:
        if escaped:
            key += char if char in ".\\" else f"\\{char}"
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ".":
            keys.append(key)
            key = ""
        else:
            key += char
    if escaped:
        key += "\\"
    return (*keys, key)


def short_image(image: str) -> str:
    """The last path element of an image's name."""
    return image.rstrip("/").rpartition("/")[2]


def is_repository(image: str) -> bool:
    """Whether an image's name could be one of a registry's, and not a picture's on a web page."""
    return bool(_REPOSITORY.fullmatch(image)) and "://" not in image and not _PICTURE.fullmatch(image)
