"""Turns frozen dataclasses into JSON and back, by their type hints alone.

Times are ISO 8601 in UTC, enums their value, tuples and sets lists. Where a hint says `Any` (intents,
results, facts) the few types JSON lacks are marked: `{"$time": …}`, `{"$tuple": […]}`, `{"$set": […]}`,
`{"$bytes": base64}`; a mapping whose own keys begin with `$` is wrapped in `{"$map": …}`.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import types
from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def dumps(value: Any) -> str:
    """JSON of a dataclass or of anything it may hold, keys sorted.

    Raises:
        TypeError: a type this codec does not know, a naive time or a mapping key that is no string.
    """
    plain = to_plain(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else mark(value)
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(hint: type[T], text: str) -> T:
    """The value of that type which `dumps` wrote."""
    result: T = from_plain(hint, json.loads(text))
    return result


def loads_any(text: str) -> Any:
    """What `dumps` wrote of a value without a dataclass of its own."""
    return unmark(json.loads(text))


def instant(value: datetime) -> str:
    """An aware time as ISO 8601 in UTC; always with microseconds, so that the text sorts as the time does."""
    if value.tzinfo is None:
        raise TypeError(f"a time without a zone cannot be kept: {value!r}")
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """The aware UTC time that `instant` wrote."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _hashable(kind: Any) -> Hashable:
    hashable: Hashable = kind
    return hashable


@cache
def _fields(kind: Hashable) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(cast(Any, kind))
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(cast(Any, kind)) if field.init)


def to_plain(value: Any) -> dict[str, Any]:
    """A dataclass as a dictionary of what JSON knows."""
    return {name: _encode(hint, getattr(value, name)) for name, hint in _fields(_hashable(type(value)))}


def _encode(hint: Any, value: Any) -> Any:
    if hint is Any:
        return mark(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return instant(value)
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    arguments = _arguments(hint)
    if isinstance(value, Mapping):
        return {_key(k): _encode(arguments[-1], v) for k, v in value.items()}
    if isinstance(value, frozenset | set):
        return [_encode(arguments[0], v) for v in sorted(value)]
    if isinstance(value, tuple | list):
        return [_encode(h, v) for h, v in zip(_each(arguments, len(value)), value, strict=True)]
    raise TypeError(f"cannot keep a {type(value).__name__} as JSON: {value!r}")


def _arguments(hint: Any) -> tuple[Any, ...]:
    """The type arguments of a hint, with `| None` looked through; `Any` where it has none."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(h for h in get_args(hint) if h is not types.NoneType)
    return get_args(hint) or (Any,)


def _each(arguments: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    """One hint for each item: `tuple[T, ...]` and lists repeat theirs, `tuple[A, B]` has one for each."""
    if len(arguments) == length and Ellipsis not in arguments:
        return arguments
    return (arguments[0],) * length


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a mapping's key must be a string, not {key!r}")
    return str(key.value) if isinstance(key, Enum) else key


def from_plain(hint: Any, plain: Any) -> Any:
    """The value a hint promises; a missing field keeps its default, one that no longer exists is dropped."""
    origin = get_origin(hint)
    if hint is Any:
        return unmark(plain)
    if plain is None:
        return None
    if origin in (Union, types.UnionType):
        return from_plain(next(h for h in get_args(hint) if h is not types.NoneType), plain)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint(**{n: from_plain(h, plain[n]) for n, h in _fields(_hashable(hint)) if n in plain})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(plain)
    if hint is datetime:
        return moment(plain)
    if hint is bytes:
        return base64.b64decode(plain)
    arguments = get_args(hint) or (Any,)
    if origin is tuple:
        return tuple(from_plain(h, v) for h, v in zip(_each(arguments, len(plain)), plain, strict=True))
    if origin in (frozenset, set):
        return frozenset(from_plain(arguments[0], v) for v in plain)
    if isinstance(plain, Mapping):
        return {k: from_plain(arguments[-1], v) for k, v in plain.items()}
    return plain


def mark(value: Any) -> Any:
    """A value of any kind as JSON, with what JSON lacks marked."""
    if isinstance(value, Enum):
        return mark(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return {"$time": instant(value)}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return {"$tuple": [mark(v) for v in value]}
    if isinstance(value, list):
        return [mark(v) for v in value]
    if isinstance(value, frozenset | set):
        return {"$set": [mark(v) for v in sorted(value)]}
    if isinstance(value, Mapping):
        plain = {_key(k): mark(v) for k, v in value.items()}
        return {"$map": plain} if any(k.startswith("$") for k in plain) else plain
    raise TypeError(f"cannot keep a {type(value).__name__} as JSON: {value!r}")


def unmark(plain: Any) -> Any:
    """What `mark` was given."""
    if isinstance(plain, list):
        return [unmark(v) for v in plain]
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"$time": str(text)}:
            return moment(text)
        case {"$bytes": str(text)}:
            return base64.b64decode(text)
        case {"$tuple": list(items)}:
            return tuple(unmark(v) for v in items)
        case {"$set": list(items)}:
            return frozenset(unmark(v) for v in items)
        case {"$map": dict(inner)}:
            return {k: unmark(v) for k, v in inner.items()}
    return {k: unmark(v) for k, v in plain.items()}
