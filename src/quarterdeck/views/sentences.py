"""Fills the templates of chat and SAL lines, which stand in templates/chat, with the words they need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import jinja2

from quarterdeck.core.model import place as places
from quarterdeck.core.model.tag import short_tag
from quarterdeck.views import words


@dataclass(frozen=True)
class Words:
    """The words of one template; base of frozen dataclasses whose fields the template names.

    Attributes:
        template: name of the file without its end.
    """

    template: ClassVar[str]


class Sentences:
    """The templates of a folder."""

    def __init__(self, templates: Path) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates),
            autoescape=False,  # noqa: S701  chat is not HTML
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"count": words.count, "listed": places.joined, "duration": words.duration}

    def told(self, own: Words, common: Words | None = None) -> str:
        """The line of *own*'s template, which may use words it has in *common* with others; its own come first."""
        given: dict[str, object] = {}
        for source in (common, own):
            if source is not None:
                given |= {field.name: getattr(source, field.name) for field in fields(source)}
        return words.one_line(self._environment.get_template(f"{own.template}.j2").render(given))


def listed_tags(tags: Iterable[str], suffix: str) -> str:
    """`a, b and c`: tags as people say them, each once, sorted."""
    return places.joined(sorted({short_tag(tag, suffix) for tag in tags if tag}))


def either_tag(tags: Iterable[str], suffix: str) -> str:
    """`a or b or c`: the same where one of them is meant."""
    return " or ".join(sorted({short_tag(tag, suffix) for tag in tags if tag}))
