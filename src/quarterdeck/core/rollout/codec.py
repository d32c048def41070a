"""Turns frozen dataclasses into JSON and back, by their type hints alone.

Times are ISO 8601 in UTC, enums their value, tuples and sets lists, bytes base64. Nothing is lost silently: a field
that the type does not know, or that it wants and does not get, is an error that names its path.
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


class UnreadableError(ValueError):
    """A stored text that does not fit its type; the message begins with the path of what does not."""


def dumps(value: Any) -> str:
    """JSON of a dataclass, keys sorted; `null` of None.

    Raises:
        TypeError: a type this codec does not know, a naive time or a mapping key that is no string.
    """
    return json.dumps(_encode(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(hint: type[T], text: str, path: str = "") -> T:
    """The value of that type which `dumps` wrote.

    Args:
        path: where the text stands, for what an error says; the type's name where nothing is given.

    Raises:
        UnreadableError: it does not fit the type.
    """
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise UnreadableError(f"{path or hint.__name__}: no JSON") from error
    value: T = _decode(hint, plain, path or hint.__name__)
    return value


def plain(value: Any) -> Any:
    """A value as what JSON knows; of a dataclass a dictionary."""
    return _encode(value)


def instant(value: datetime) -> str:
    """An aware time as ISO 8601 in UTC; always with microseconds, so that the text sorts as the time does."""
    if value.tzinfo is None:
        raise TypeError(f"a time without a zone cannot be kept: {value!r}")
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """The aware UTC time that `instant` wrote."""
    return datetime.fromisoformat(text).astimezone(UTC)


# -- to JSON ---------------------------------------------------------------------------------------------------


#: what JSON knows as it stands; an enum of texts is none of them
_PLAIN = frozenset({str, int, float, bool, types.NoneType})


def _encode(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if dataclasses.is_dataclass(value):
        return {name: _encode(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, Mapping):
        return {_checked_key(key): _encode(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return [_encode(item) for item in sorted(value)]
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    raise TypeError(f"cannot keep a {type(value).__name__} as JSON: {value!r}")


def _checked_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a mapping's key must be a string, not {key!r}")
    return str(key.value) if isinstance(key, Enum) else key


# -- from JSON -------------------------------------------------------------------------------------------------


@cache
def _hints_of(kind: Hashable) -> Mapping[str, Any]:
    hints = get_type_hints(cast(Any, kind))
    return {field.name: hints[field.name] for field in dataclasses.fields(cast(Any, kind)) if field.init}


def _hints(kind: type) -> Mapping[str, Any]:
    """Field -> its type, of a dataclass."""
    return _hints_of(cast(Hashable, kind))


@cache
def _required(kind: Hashable) -> tuple[str, ...]:
    """The fields that have no default."""
    without_default = []
    for field in dataclasses.fields(cast(Any, kind)):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.init and not has_default:
            without_default.append(field.name)
    return tuple(without_default)


def _decode(hint: Any, plain: Any, path: str) -> Any:
    """What the hint promises, out of what JSON gave."""
    if type(plain) is hint:
        return plain
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if plain is None else _decode(_not_none(hint), plain, path)
    if origin is not None:
        return _decode_container(origin, get_args(hint), plain, path)
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(cast(type, hint), plain, path)
    try:
        return _decode_scalar(hint, plain)
    except (TypeError, ValueError) as error:
        raise UnreadableError(f"{path}: {plain!r} is no {hint.__name__}") from error


def _not_none(hint: Any) -> Any:
    """The one type of `T | None`."""
    (only,) = [argument for argument in get_args(hint) if argument is not types.NoneType]
    return only


def _decode_scalar(hint: Any, plain: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(plain)
    if hint is datetime:
        return moment(plain)
    if hint is bytes:
        return base64.b64decode(plain)
    if hint is float and isinstance(plain, int):
        return float(plain)
    if not isinstance(plain, hint):
        raise TypeError
    return plain


def _decode_dataclass(kind: type, plain: Any, path: str) -> Any:
    hints = _hints(kind)
    if not isinstance(plain, dict):
        raise UnreadableError(f"{path}: no {kind.__name__}")
    for name in plain:
        if name not in hints:
            raise UnreadableError(f"{path}.{name}: unknown field")
    for name in _required(cast(Hashable, kind)):
        if name not in plain:
            raise UnreadableError(f"{path}.{name}: missing")
    return kind(**{name: _decode(hints[name], item, f"{path}.{name}") for name, item in plain.items()})


def _decode_container(origin: Any, arguments: tuple[Any, ...], plain: Any, path: str) -> Any:
    if issubclass(origin, Mapping):
        if not isinstance(plain, dict):
            raise UnreadableError(f"{path}: no mapping")
        return {key: _decode(arguments[1], item, f"{path}.{key}") for key, item in plain.items()}
    if not isinstance(plain, list):
        raise UnreadableError(f"{path}: no list")
    if origin is tuple and Ellipsis not in arguments:
        if len(arguments) != len(plain):
            raise UnreadableError(f"{path}: {len(plain)} items instead of {len(arguments)}")
        return tuple(
            _decode(hint, item, f"{path}[{at}]") for at, (hint, item) in enumerate(zip(arguments, plain, strict=True))
        )
    return origin(_decode(arguments[0], item, f"{path}[{at}]") for at, item in enumerate(plain))
