"""Turns a rollout's dossier into its page, as HTML for browsers and as text for curl; and the list of rollouts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from quarterdeck.core.desk.dossier import Dossier
from quarterdeck.core.model import place as places
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import spoken_target
from quarterdeck.core.rollout.pipeline import PIPELINES
from quarterdeck.core.rollout.records import GatePassed
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import OVER, State
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.views import words

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
#: state -> seconds after which a browser looks again; a page that people read stays as it is
REFRESH: Mapping[State, int] = {State.PLANNED: 3, State.RUNNING: 3, State.WAITING: 60}
#: what the page calls steps whose names would mislead
SHOWN: Mapping[str, str] = {name: kind.shown for name, kind in PIPELINES.steps.items() if kind.shown}
STEP_WORDS = {StepState.TODO: "", StepState.INTENDED: "under way"}
_NEEDY = frozenset({State.WAITING, State.FAILED, State.UNKNOWN})
#: unchanged lines around a changed one, and the most lines of one object; the whole diff is one link away
AROUND, MOST_LINES = 3, 200
GAP = "⋯"


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
                "tail": tail,
                "slug": places.slug,
                "environments": places.environments,
            }
        self._catalogue = catalogue

    def rollout(self, dossier: Dossier, now: datetime, html: bool) -> str:
        """The page of one rollout."""
        r = dossier.rollout
        css, sentence = BANNERS[r.state]
        until = r.ended or now
        diffed, edited, synced = r.records.diffed, r.records.edited, r.records.synced
        diffs = diffed.places if diffed else {}
        facts = {
            "d": dossier,
            "r": r,
            "css": css,
            "sentence": r.note or sentence,
            "where": places.joined(places.environments(r.environments), "then"),
            "tag": self._tag(r, r.tag) or "as git says",
            "before": " / ".join(dict.fromkeys(self._ran(r, e) for e in r.environments)),
            "tiles": [self._tile(dossier, e, until) for e in r.environments],
            "steps": [_step(r, s, until) for s in r.steps],
            "serving": self._serving(dossier),
            "surprises": list(dict.fromkeys(x for found in diffs.values() for x in found.shown.surprises)),
            "changes": {e: objects(text) for e, text in dossier.diffs.items()},
            "summaries": {e: found.shown.summary for e, found in diffs.items()},
            "refresh": REFRESH.get(r.state, 0),
            "change": (edited.change or "") if edited else "",
            "files": (edited.lines or edited.files) if edited else (),
            "effect": {e: [self._tag(r, tag) for tag in tags] for e, tags in (edited.effect if edited else {}).items()},
            "commit": synced.commit if synced else "",
            "evidence": {name: evidence(text) for name, text in dossier.evidence.items()},
            "bad": r.state in (State.FAILED, State.UNKNOWN),
            "now": now,
        }
        return self._render("rollout", facts, html)

    def index(
        self,
        rollouts: Sequence[Rollout],
        debts: Sequence[Debt],
        now: datetime,
        html: bool,
        unreadable: Sequence[NotReadable] = (),
    ) -> str:
        """The list: what needs a person, what runs, what is pending, then what was."""
        rows = [(r, BANNERS[r.state][0], self._tag(r, r.tag)) for r in rollouts]
        owed = [(d, spoken_target(d.service, d.part), self._short(d.service, d.tag)) for d in debts]
        parts = (
            ("Needs a person", [row for row in rows if row[0].state in _NEEDY]),
            ("Running", [row for row in rows if row[0].state in (State.PLANNED, State.RUNNING)]),
            ("Over", [row for row in rows if row[0].state in OVER]),
        )
        return self._render("index", {"parts": parts, "debts": owed, "now": now, "unreadable": unreadable}, html)

    def _render(self, name: str, facts: Mapping[str, Any], html: bool) -> str:
        environment = self._html if html else self._text
        return environment.get_template(f"{name}.{'html' if html else 'txt'}.j2").render(**facts)

    def _short(self, name: str, tag: str) -> str:
        service = self._catalogue.services.get(name)
        return short_tag(tag, service.suffix if service else "")

    def _tag(self, rollout: Rollout, tag: str) -> str:
        return short_tag(tag, rollout.subject.service.suffix)

    def _ran(self, rollout: Rollout, place: str) -> str:
        return " or ".join(sorted(self._tag(rollout, t) for t in rollout.ran(place, rollout.part))) or "nothing"

    def _tile(self, dossier: Dossier, environment: str, now: datetime) -> dict[str, Any]:
        r = dossier.rollout
        mine = [s for s in r.steps if s.environment == environment]
        begun = [s for s in mine if s.state is not StepState.TODO]
        state, css = "not touched", "todo"
        if mine and all(s.state is StepState.DONE for s in mine):
            state = css = "done"
        elif begun:
            last = begun[-1]
            state = f"{last.name} {last.state}" if last.state is not StepState.INTENDED else str(last.name)
            css = "failed" if r.state in (State.FAILED, State.UNKNOWN) else last.state.value
        started = min((s.started for s in begun if s.started), default=None)
        ended = max((s.ended for s in begun if s.ended), default=now)
        pods = dossier.pods.get(environment, ())
        return {
            "name": r.spoken(environment),
            "before": self._ran(r, environment),
            "after": self._tag(r, r.tag) or "as git says",
            "state": state,
            "css": css,
            "took": (ended - started).total_seconds() if started else 0.0,
            "pods": pods,
            "ready": f"{sum(p.ready for p in pods)}/{len(pods)} pods ready" if pods else "no pods",
            "blind": dossier.blind.get(environment, ""),
        }

    def _serving(self, dossier: Dossier) -> list[tuple[str, str, bool]]:
        """Environment, what to say of it, and whether that is nothing good."""
        said = []
        for environment, pods in dossier.pods.items():
            tags: dict[str, int] = {}
            for pod in pods:
                if pod.ready:
                    tags[pod.tag] = tags.get(pod.tag, 0) + 1
            shown = (f"{self._tag(dossier.rollout, tag)} ({words.count(n, 'pod')})" for tag, n in tags.items())
            said.append((dossier.rollout.spoken(environment), f"serves {places.joined(shown) or 'NOTHING'}", not tags))
        return said + [(dossier.rollout.spoken(e), f"cannot be seen: {why}", True) for e, why in dossier.blind.items()]


def objects(diff: str) -> list[tuple[str, list[str]]]:
    """The objects of a full-context diff: their headers with the changed lines and a little around them.

    What goes away comes first, what comes new last.
    """
    found: list[tuple[str, list[str]]] = []
    for line in diff.splitlines():
        if re.match(r"\S.*(?:has changed|has been \w+|changed)[^:]*:?$", line):
            found.append((line.rstrip(":"), []))
        elif found:
            found[-1][1].append(line)
    shown = [(header, _hunks(lines)) for header, lines in found]
    return sorted(shown, key=lambda it: ("has been removed" not in it[0], "has been added" in it[0]))


def _hunks(lines: Sequence[str]) -> list[str]:
    changed = [i for i, line in enumerate(lines) if line[:1] in ("+", "-")]
    near = {j for i in changed for j in range(i - AROUND, i + AROUND + 1)}
    kept: list[str] = []
    for i, line in enumerate(lines):
        if i in near and line.strip():
            kept.append(line)
        elif kept and kept[-1] != GAP and any(c > i for c in changed):
            kept.append(GAP)
    return kept[:MOST_LINES] + ([f"{GAP} {len(kept) - MOST_LINES} more lines"] if len(kept) > MOST_LINES else [])


def evidence(text: str) -> list[str]:
    """What was captured of bad pods, a line for each reason; the text itself where it is not what we wrote."""
    try:
        kept = json.loads(text)
        seen = [f"{kept['captured'][11:19]} {kept['text']}"]
        for e in kept["evidence"]:
            where = "/".join(filter(None, (e["pod"], e["container"])))
            exit_code = "" if e["exit_code"] is None else f"exit {e['exit_code']}"
            restarts = words.count(e["restarts"], "restart") if e["restarts"] else ""
            what = ", ".join(filter(None, (e["reason"], exit_code, restarts)))
            seen.append(": ".join(filter(None, (where, what, e["message"]))))
    except (ValueError, KeyError, TypeError):
        return text.rstrip().splitlines()
    return seen


def tail(text: str, lines: int) -> str:
    """The last lines of a log, without blanks at its end and theirs."""
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()[-lines:])


def clock(at: datetime | None) -> str:
    """`2026-08-17 14:02:06`, UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def diff_class(line: str) -> str:
    """CSS class of a diff's line."""
    return {"+": "add", "-": "del", GAP: "gap"}.get(line[:1], "")


def _step(rollout: Rollout, step: Step, now: datetime) -> dict[str, Any]:
    ended = step.ended or now
    return {
        "name": " ".join(
            p for p in (SHOWN.get(step.name, step.name), rollout.spoken(step.environment), step.stage) if p
        ),
        "css": step.state.value,
        "state": STEP_WORDS.get(step.state, step.state.value),
        "attempt": step.attempt,
        "started": step.started,
        "took": (ended - step.started).total_seconds() if step.started else 0.0,
        "why": step.why or _who_confirmed(step),
    }


def _who_confirmed(step: Step) -> str:
    return f"by {step.result.by}" if isinstance(step.result, GatePassed) and step.result.by else ""
