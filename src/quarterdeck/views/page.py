"""Turns a rollout's dossier into its page, as HTML for browsers and as text for curl; and the list of rollouts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from quarterdeck.core.desk.queries.dossier import Dossier
from quarterdeck.core.model import place as places
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import spoken_target
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import OVER, State
from quarterdeck.views import words
from quarterdeck.views.hunks import diff_class
from quarterdeck.views.rollout_page import BANNERS, RolloutPage, rollout_page

_NEEDY = frozenset({State.WAITING, State.FAILED, State.UNKNOWN})
_UNDER_WAY = frozenset({State.PLANNED, State.RUNNING})


@dataclass(frozen=True)
class IndexPage:
    """What the templates of the list name.

    Attributes:
        parts: title -> (rollout, class for its colour, tag) of each of its rows.
        debts: (debt, target, tag) of each.
        now: when the list was made, aware UTC.
    """

    parts: tuple[tuple[str, list[tuple[Rollout, str, str]]], ...]
    debts: tuple[tuple[Debt, str, str], ...]
    unreadable: tuple[NotReadable, ...]
    now: datetime


class Pages:
    """Fills the templates; escapes everything for HTML, nothing for text."""

    def __init__(self, templates: Path, catalogue: Catalogue) -> None:
        loader = jinja2.FileSystemLoader(templates / "web")
        shared: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
        self._html = jinja2.Environment(loader=loader, autoescape=True, **shared)
        self._text = jinja2.Environment(loader=loader, autoescape=False, **shared)  # noqa: S701  plain text for curl
        for environment in (self._html, self._text):
            environment.filters |= {
                "clock": clock,
                "duration": words.duration,
                "diffclass": diff_class,
                "count": words.count,
                "tail": tail,
                "slug": places.slug,
                "environments": places.environments,
            }
        self._catalogue = catalogue

    def rollout(self, dossier: Dossier, now: datetime, html: bool) -> str:
        """The page of one rollout."""
        return self._filled("rollout", rollout_page(dossier, now), html)

    def index(
        self,
        rollouts: Sequence[Rollout],
        debts: Sequence[Debt],
        now: datetime,
        html: bool,
        unreadable: Sequence[NotReadable] = (),
    ) -> str:
        """The list: what needs a person, what runs, what is pending, then what was."""
        parts = (
            ("Needs a person", _rows(rollouts, _NEEDY)),
            ("Running", _rows(rollouts, _UNDER_WAY)),
            ("Over", _rows(rollouts, OVER)),
        )
        return self._filled("index", IndexPage(parts, tuple(map(self._owed, debts)), tuple(unreadable), now), html)

    def _owed(self, debt: Debt) -> tuple[Debt, str, str]:
        service = self._catalogue.services.get(debt.service)
        tag = short_tag(debt.tag, service.suffix if service else "")
        return debt, spoken_target(debt.service, debt.part), tag

    def _filled(self, name: str, page: RolloutPage | IndexPage, html: bool) -> str:
        environment, end = (self._html, "html") if html else (self._text, "txt")
        given = {field.name: getattr(page, field.name) for field in fields(page)}
        return environment.get_template(f"{name}.{end}.j2").render(given)


def _rows(rollouts: Sequence[Rollout], states: Collection[State]) -> list[tuple[Rollout, str, str]]:
    """The rollouts in some states."""
    return [_row(rollout) for rollout in rollouts if rollout.state in states]


def _row(rollout: Rollout) -> tuple[Rollout, str, str]:
    """A rollout, the class for its colour, and its tag."""
    return rollout, BANNERS[rollout.state].css, short_tag(rollout.tag, rollout.subject.service.suffix)


def tail(text: str, lines: int) -> str:
    """The last lines of a log, without blanks at its end and theirs."""
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()[-lines:])


def clock(at: datetime | None) -> str:
    """`2026-08-17 14:02:06`, UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
