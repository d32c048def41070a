"""Turns a rollout's dossier into its page, as HTML for browsers and as text for curl; and the list of rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from quarterdeck.core.dossier import Dossier
from quarterdeck.core.model import Catalogue, short_tag
from quarterdeck.core.ports import Debt
from quarterdeck.core.rollout import Rollout, State, StepName, StepState

from . import words

#: state -> colour class and one sentence
BANNERS: Mapping[State, tuple[str, str]] = {
    State.PLANNED: ("busy", "accepted, about to begin"),
    State.RUNNING: ("busy", "under way"),
    State.WAITING: ("wait", "waits for a person"),
    State.FAILED: ("bad", "ended short of its aim"),
    State.UNKNOWN: ("bad", "the end of an effect could not be proven"),
    State.SUCCEEDED: ("good", "new pods run and stayed up"),
    State.ABORTED: ("calm", "stopped"),
}


class Pages:
    """The pages' words; escapes everything for HTML, nothing for text."""

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
            }
        self._catalogue = catalogue

    def rollout(self, dossier: Dossier, now: datetime, html: bool) -> str:
        """The page of one rollout."""
        r = dossier.rollout
        css, sentence = BANNERS[r.state]
        facts = {
            "d": dossier,
            "r": r,
            "css": css,
            "sentence": sentence if r.state is State.SUCCEEDED or not r.note else r.note,
            "where": words.listed(r.environments, "then"),
            "tiles": [self._tile(dossier, e, now) for e in r.environments],
            "steps": [_step(s, now) for s in r.steps],
            "serving": self._serving(dossier),
            "change": r.result(StepName.EDIT).get("change", ""),
            "files": r.result(StepName.EDIT).get("files", ()),
            "effect": r.result(StepName.EDIT).get("effect", {}),
            "commit": r.result(StepName.SYNC).get("commit", ""),
            "now": now,
        }
        return self._render("rollout", facts, html)

    def index(self, rollouts: Sequence[Rollout], debts: Sequence[Debt], now: datetime, html: bool) -> str:
        """The list: open business first, then what was."""
        rows = [(r, BANNERS[r.state][0], self._short(r)) for r in rollouts]
        return self._render("index", {"rows": rows, "debts": debts, "now": now}, html)

    def _render(self, name: str, facts: Mapping[str, Any], html: bool) -> str:
        environment = self._html if html else self._text
        return environment.get_template(f"{name}.{'html' if html else 'txt'}.j2").render(**facts)

    def _short(self, rollout: Rollout) -> str:
        service = self._catalogue.services.get(rollout.service)
        return short_tag(rollout.tag, service.suffix if service else "")

    def _tile(self, dossier: Dossier, environment: str, now: datetime) -> dict[str, Any]:
        r = dossier.rollout
        mine = [s for s in r.steps if s.environment == environment]
        begun = [s for s in mine if s.state is not StepState.TODO]
        state = "not touched"
        if mine and all(s.state is StepState.DONE for s in mine):
            state = "done"
        elif begun:
            state = begun[-1].state.value if begun[-1].state is not StepState.INTENDED else begun[-1].name.value
        started = min((s.started for s in begun if s.started), default=None)
        ended = max((s.ended for s in begun if s.ended), default=now)
        return {
            "name": environment,
            "before": r.before.get(environment, "") or "nothing",
            "after": r.tag or "as git says",
            "state": state,
            "took": (ended - started).total_seconds() if started else 0.0,
            "pods": dossier.pods.get(environment, ()),
            "blind": dossier.blind.get(environment, ""),
        }

    def _serving(self, dossier: Dossier) -> list[str]:
        said = []
        for environment, pods in dossier.pods.items():
            tags: dict[str, int] = {}
            for pod in pods:
                if pod.ready:
                    tags[pod.tag] = tags.get(pod.tag, 0) + 1
            shown = words.listed(f"{tag} ({words.count(n, 'pod')})" for tag, n in tags.items())
            said.append(f"{environment} serves {shown or 'NOTHING'}")
        return said + [f"{e} cannot be seen: {why}" for e, why in dossier.blind.items()]


def clock(at: datetime | None) -> str:
    """`2026-08-17 14:02:06`, UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def diff_class(line: str) -> str:
    """CSS class of a diff's line."""
    return {"+ ": "add", "- ": "del"}.get(line[:2], "head" if line[:1].strip() else "")


def _step(step: Any, now: datetime) -> dict[str, Any]:
    ended = step.ended or now
    return {
        "name": " ".join(p for p in (step.name.value, step.environment, step.stage) if p),
        "state": step.state.value,
        "attempt": step.attempt,
        "started": step.started,
        "took": (ended - step.started).total_seconds() if step.started else 0.0,
        "why": step.result.get("why", ""),
    }
