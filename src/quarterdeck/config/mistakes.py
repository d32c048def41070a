"""Turns what pydantic found wrong into sentences with the key's path, all of them at once."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.model.text import MANY_SLIPS, nearest


class SettingsError(PermanentError):
    """The settings or the catalogue have mistakes.

    Attributes:
        mistakes: one sentence for each, beginning with the key's path.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be True or False",
    "bool_parsing": "must be True or False",
    "string_type": "must be a text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
}


def suggestion(word: str, known: Iterable[str]) -> str:
    """The words that end a sentence about an unknown key."""
    names = sorted(known)
    near = nearest(word, names, MANY_SLIPS)
    return f" (did you mean {near}?)" if near else f" (known: {', '.join(names)})"


def in_words(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """One sentence for each mistake, in the order of the keys; never a value, for it may be a secret."""
    sentences = []
    for detail in error.errors(include_input=False, include_url=False):
        where = detail["loc"]
        path = ".".join([prefix, *map(str, where)] if prefix else map(str, where)) or "QUARTERDECK"
        kind = detail["type"]
        if kind == "extra_forbidden":
            known = keys_at(model, where[:-1])
            sentences.append(f"{path}: unknown key{suggestion(str(where[-1]), known)}")
            continue
        text = _WORDS.get(kind) or detail["msg"].removeprefix("Value error, ")
        if kind == "missing":
            field = _field(model, where)
            text += f": {field.lower()}" if field else ""
        sentences.append(f"{path}: {text}")
    return sentences


def keys_at(model: type[BaseModel], where: Sequence[int | str]) -> tuple[str, ...]:
    """The keys that are known at a path."""
    found = _model_at(model, where)
    return tuple(found.model_fields) if found else ()


def _field(model: type[BaseModel], where: Sequence[int | str]) -> str:
    """The first sentence of a field's description; its first letter is the caller's."""
    found = _model_at(model, where[:-1])
    field = found.model_fields.get(str(where[-1])) if found else None
    return (field.description or "").split(".")[0].split(";")[0].replace("\n", " ") if field else ""


def _model_at(model: type[BaseModel] | None, where: Sequence[int | str]) -> type[BaseModel] | None:
    for part in where:
        if model is None:
            return None
        field = model.model_fields.get(str(part))
        # a key of a mapping of models stays at the model of its values
        model = inner_model(field.annotation) if field else model
    return model


def inner_model(hint: Any) -> type[BaseModel] | None:
    """The model a hint speaks of: itself, one of a union's, or a mapping's values."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint
    if get_origin(hint) in (typing.Union, types.UnionType, tuple, dict, Mapping):
        return next((m for a in get_args(hint) if (m := inner_model(a))), None)
    if origin := get_origin(hint):
        return next((m for a in (origin, *get_args(hint)) if (m := inner_model(a))), None)
    return None
