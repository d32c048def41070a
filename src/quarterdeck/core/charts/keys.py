"""Tells by its place whether a scalar is an image tag: the service's main one, another image's, or a helper's."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

KeyPath = tuple[str, ...]

MAIN_BLOCKS = ("main_app", "app", "shellbox")
#: a tag, with or without the digest that pins it
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(@sha256:[0-9a-fA-F]{64})?")
#: `name:tag`; a port belongs to the name
IMAGE = re.compile(
    r"(?P<name>(?:[\w.-]+(?::\d+)?/)?[a-zA-Z0-9][\w./-]*?):(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(?:@sha256:[0-9a-fA-F]{64})?)"
)
_DIGESTED = re.compile(r"(?P<name>(?:[\w.-]+(?::\d+)?/)?[a-zA-Z0-9][\w./-]*?)@(?P<tag>sha256:[0-9a-fA-F]{64})")
_LONGEST = 500
_TAG_KEY = re.compile(r"(?:.*[_-])?image[_-](?:version|tag)|image(?:Version|Tag)|tag")
_HOLDER = re.compile(r"(?:.*[_-])?(?:version|tag)|.*(?:Version|Tag)")
_HELPER_KEY = re.compile(r"(?:.*_)?exporter_version|fluent_bit_version")
_IMAGE_KEY = re.compile(r"(?:.*[_-])?image(?:Name|_name)?|.*Image(?:Name)?")
#: beside a bare `tag`, these say which image it is of
_NAMES_IMAGE = frozenset({"repository", "image", "image_name", "name"})
_REPOSITORY = re.compile(r"[^\s/?#][^\s?#]*")
_PICTURE = re.compile(r".*\.(?:png|svg|jpe?g|gif|ico|webp|bmp|iso|img)", re.IGNORECASE)
#: what stands beside a service, not the service: moved by --key only
HELPERS = frozenset(
    [
        "mesh",
        "haproxy",
        "php",
        "nutcracker",
        "mcrouter",
        "envoy",
        "httpd",
        "exporter",
        "statsd",
        "prometheus",
        "monitoring",
        "logging",
        "rsyslog",
        "ratelimiter",
        "common_images",
        "tls",
        "wmf",
        "memcached",
        "logstash",
        "kafka_exporter",
    ]
)
#: below these nothing named `version` or `tag` is an image's
_NO_TAGS_BELOW = frozenset(
    [
        "config",
        "config_files",
        "env",
        "envvars",
        "annotations",
        "labels",
        "chart",
        "charts",
        "helm",
        "selector",
        "matchLabels",
        "schema",
        "public",
        "private",
        "connections",
    ]
)


class TagKind(StrEnum):
    """What a tag is of."""

    MAIN = "main"
    IMAGE = "image"
    OTHER = "other"


def embedded(value: str, key: str = "image") -> tuple[str, str] | None:
    """(name, tag) of `name:tag`, `name:tag@sha256:…` or, in an image's key, `name@sha256:…`; None if it is neither."""
    if len(value) > _LONGEST:
        return None
    match = IMAGE.fullmatch(value) or (_DIGESTED.fullmatch(value) if _IMAGE_KEY.fullmatch(key) else None)
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
    held = embedded(value, key) is not None
    if len(path) == 2 and above[0] in MAIN_BLOCKS and (key == "version" or (key == "image" and held)):
        return TagKind.MAIN
    helper = is_helper(path)
    if key == "version":
        return _version(above, siblings, helper, in_list)
    if _TAG_KEY.fullmatch(key):
        if key == "tag" and _NO_TAGS_BELOW & set(above):
            return None
        if key == "tag" and not (_NAMES_IMAGE & set(siblings) or (above and _IMAGE_KEY.fullmatch(above[-1]))):
            return TagKind.OTHER  # log lines and releases have tags too
        return TagKind.OTHER if helper else TagKind.IMAGE
    if _HELPER_KEY.fullmatch(key) and not _NO_TAGS_BELOW & set(above):
        return TagKind.OTHER
    if held and (_IMAGE_KEY.fullmatch(key) or any(name.endswith("images") for name in above)):
        return TagKind.OTHER if helper or not _IMAGE_KEY.fullmatch(key) else TagKind.IMAGE
    return None


def is_helper(path: KeyPath) -> bool:
    """Whether a tag is a helper's by its place."""
    return bool(HELPERS & set(path[:-1])) or path[-1].split("_image")[0] in HELPERS


def is_holder(path: KeyPath) -> bool:
    """Whether a place at the top of a file is there to define a tag once: `version`, `app_version`, `tag`."""
    return len(path) == 1 and _HOLDER.fullmatch(path[0]) is not None


def _version(above: KeyPath, siblings: Collection[str], helper: bool, in_list: bool) -> TagKind | None:
    imaged = "image" in siblings or "image_name" in siblings
    if not above or (_NO_TAGS_BELOW & set(above) and not imaged):
        return None
    if any(name.endswith("inference_services") for name in above) and not imaged:
        return None  # the version of a model
    if helper:
        return TagKind.OTHER
    if imaged or (len(above) == 2 and (above[0] in ("sidecars", "inference") or above[1] in MAIN_BLOCKS)):
        return TagKind.IMAGE  # a chart below an umbrella chart has a main block of its own
    return None if in_list else TagKind.OTHER


def image_paths(path: KeyPath) -> tuple[KeyPath, ...]:
    """Where the image of a tag may be named, the likeliest first."""
    key, above = path[-1], path[:-1]
    near = [(*above, "image"), (*above, "image_name")]
    if key == "tag":
        near = [(*above, "repository"), (*above, "name"), (*above, "image"), (*above, "image_name")]
    elif (match := re.fullmatch(r"(.+[_-])image[_-](?:version|tag)", key)) is not None:
        near = [(*above, f"{match[1]}image"), (*above, f"{match[1]}image_name")]
    return tuple(near)


def dotted(path: KeyPath) -> str:
    """The keys with dots between; a dot in a key gets a backslash."""
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in path)


def undotted(text: str) -> KeyPath:
    """The way back from `dotted`."""
    keys, now, escaped = [], "", False
    for char in text:
        if escaped:
            now, escaped = now + (char if char in ".\\" else f"\\{char}"), False
        elif char == "\\":
            escaped = True
        elif char == ".":
            keys.append(now)
            now = ""
        else:
            now += char
    return (*keys, now + ("\\" if escaped else ""))


def short_image(image: str) -> str:
    """The last path element of an image's name."""
    return image.rstrip("/").rpartition("/")[2]


def is_repository(image: str) -> bool:
    """Whether an image's name could be one of a registry's, and not a picture's on a web page."""
    return bool(_REPOSITORY.fullmatch(image)) and "://" not in image and not _PICTURE.fullmatch(image)
