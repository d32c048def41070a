"""The words of a rollout's page: what its templates need of a dossier."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.core.cluster.pods import Pod
from quarterdeck.core.desk.queries.dossier import Dossier
from quarterdeck.core.model import place as places
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.pipeline import PIPELINES
from quarterdeck.core.rollout.records import Edited, GatePassed, PlaceDiff
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.views import words
from quarterdeck.views.commands import next_commands
from quarterdeck.views.hunks import objects
from quarterdeck.views.sentences import either_tag


@dataclass(frozen=True)
class Banner:
    """How the page shows a state.

    Attributes:
        css: class for its colour.
        sentence: stands where the rollout has no note.
    """

    css: str
    sentence: str


BANNERS: Mapping[State, Banner] = {
    State.PLANNED: Banner("busy", "accepted, about to begin"),
    State.RUNNING: Banner("busy", "under way"),
    State.WAITING: Banner("wait", "waits for a person"),
    State.FAILED: Banner("bad", "ended short of its aim"),
    State.UNKNOWN: Banner("bad", "the end of an effect could not be proven"),
    State.SUCCEEDED: Banner("good", "new pods run and stayed up"),
    State.ABORTED: Banner("calm", "stopped"),
}
#: state -> seconds after which a browser looks again; a page that people read stays as it is
_REFRESH: Mapping[State, int] = {State.PLANNED: 3, State.RUNNING: 3, State.WAITING: 60}
#: what the page calls steps whose names would mislead
_SHOWN_NAMES: Mapping[str, str] = {name: kind.shown for name, kind in PIPELINES.steps.items() if kind.shown}
_STEP_WORDS = {StepState.TODO: "", StepState.INTENDED: "under way"}
_BAD = frozenset({State.FAILED, State.UNKNOWN})
_AS_IN_GIT = "as git says"


@dataclass(frozen=True)
class Tile:
    """One place.

    Attributes:
        before: the tags it ran when the rollout began.
        after: the tag it is to run.
        css: class for its colour.
        took: seconds since its first step began, up to the end of its last.
        blind: why its pods cannot be seen; empty where they can.
    """

    name: str
    before: str
    after: str
    state: str
    css: str
    took: float
    pods: tuple[Pod, ...]
    ready: str
    blind: str


@dataclass(frozen=True)
class StepRow:
    """One step.

    Attributes:
        css: class for its dot.
        took: seconds, up to now where it has not ended.
        why: why it failed, or who confirmed it.
    """

    name: str
    css: str
    state: str
    attempt: int
    started: datetime | None
    took: float
    why: str


@dataclass(frozen=True)
class Serving:
    """What serves users at one place.

    Attributes:
        alarm: nothing does, or nobody can see it.
    """

    place: str
    what: str
    alarm: bool


@dataclass(frozen=True)
class RolloutPage:
    """What the templates of the page name.

    Attributes:
        css: class for the banner's colour.
        sentence: why it stands where it stands.
        next_commands: what can be typed from here, ready to paste.
        where: its environments, in the order they are served.
        before: what its places ran when it began.
        changes: place -> (header, lines) of each object that changes.
        summaries: place -> the change in half a line.
        refresh: seconds after which a browser looks again; 0 for never.
        change: number of the Gerrit change; 0 for none.
        files: the lines it replaces, or the files.
        effect: place -> (tag before, tag afterwards).
        commit: what the deploy host applies; empty while nobody knows.
        evidence: place and stage -> what was seen of bad pods, a line for each reason.
        bad: it needs a person.
        now: when the page was made, aware UTC.
    """

    dossier: Dossier
    rollout: Rollout
    css: str
    sentence: str
    next_commands: tuple[str, ...]
    where: str
    before: str
    tag: str
    tiles: tuple[Tile, ...]
    steps: tuple[StepRow, ...]
    serving: tuple[Serving, ...]
    surprises: tuple[str, ...]
    changes: Mapping[str, list[tuple[str, list[str]]]]
    summaries: Mapping[str, str]
    refresh: int
    change: int
    files: tuple[str, ...]
    effect: Mapping[str, tuple[str, str]]
    commit: str
    evidence: Mapping[str, list[str]]
    bad: bool
    now: datetime


def rollout_page(dossier: Dossier, now: datetime) -> RolloutPage:
    """Gather the words of a dossier.

    Args:
        now: aware UTC.
    """
    rollout = dossier.rollout
    banner, until = BANNERS[rollout.state], rollout.ended or now
    diffed, edited, synced = rollout.records.diffed, rollout.records.edited, rollout.records.synced
    differences = diffed.places if diffed else {}
    ran = [_ran(rollout, place) for place in rollout.environments]
    return RolloutPage(
        dossier=dossier,
        rollout=rollout,
        css=banner.css,
        sentence=rollout.note or banner.sentence,
        next_commands=next_commands(rollout),
        where=places.joined(places.environments(rollout.environments), "then"),
        before=" / ".join(dict.fromkeys(ran)),
        tag=_short(rollout, rollout.tag) or _AS_IN_GIT,
        tiles=tuple(_tile(dossier, place, until) for place in rollout.environments),
        steps=tuple(_step_row(rollout, step, until) for step in rollout.steps),
        serving=_serving(dossier),
        surprises=_surprises(differences),
        changes={place: objects(text) for place, text in dossier.diffs.items()},
        summaries={place: diff.shown.summary for place, diff in differences.items()},
        refresh=_REFRESH.get(rollout.state, 0),
        change=edited.change if edited else 0,
        files=(edited.lines or edited.files) if edited else (),
        effect=_effect(rollout, edited),
        commit=synced.commit if synced else "",
        evidence={name: evidence_lines(text) for name, text in dossier.evidence.items()},
        bad=rollout.state in _BAD,
        now=now,
    )


def _short(rollout: Rollout, tag: str) -> str:
    return short_tag(tag, rollout.subject.service.suffix)


def _ran(rollout: Rollout, place: str) -> str:
    return either_tag(rollout.ran(place, rollout.part), rollout.subject.service.suffix) or "nothing"


def _surprises(differences: Mapping[str, PlaceDiff]) -> tuple[str, ...]:
    """Each once, however many places have it."""
    surprises: dict[str, None] = {}
    for diff in differences.values():
        surprises |= dict.fromkeys(diff.shown.surprises)
    return tuple(surprises)


def _effect(rollout: Rollout, edited: Edited | None) -> dict[str, tuple[str, str]]:
    if edited is None:
        return {}
    return {
        place: (_short(rollout, tag_before), _short(rollout, tag_after))
        for place, (tag_before, tag_after) in edited.effect.items()
    }


# -- places ----------------------------------------------------------------------------------------------------------


def _tile(dossier: Dossier, place: str, until: datetime) -> Tile:
    rollout = dossier.rollout
    its_steps = [step for step in rollout.steps if step.environment == place]
    state, css = _how_far(rollout, its_steps)
    pods = dossier.pods.get(place, ())
    ready = sum(pod.ready for pod in pods)
    return Tile(
        name=rollout.spoken(place),
        before=_ran(rollout, place),
        after=_short(rollout, rollout.tag) or _AS_IN_GIT,
        state=state,
        css=css,
        took=_seconds_spent(its_steps, until),
        pods=pods,
        ready=f"{ready}/{len(pods)} pods ready" if pods else "no pods",
        blind=dossier.blind.get(place, ""),
    )


def _how_far(rollout: Rollout, its_steps: Sequence[Step]) -> tuple[str, str]:
    """A place's state in words, and the class for its colour."""
    begun = [step for step in its_steps if step.state is not StepState.TODO]
    if not begun:
        return "not touched", "todo"
    if all(step.state is StepState.DONE for step in its_steps):
        return "done", "done"
    last = begun[-1]
    how_far = str(last.name) if last.state is StepState.INTENDED else f"{last.name} {last.state}"
    return how_far, "failed" if rollout.state in _BAD else last.state.value


def _seconds_spent(its_steps: Sequence[Step], until: datetime) -> float:
    begun = [step for step in its_steps if step.state is not StepState.TODO]
    started = [step.started for step in begun if step.started]
    ended = [step.ended for step in begun if step.ended]
    if not started:
        return 0.0
    return (max(ended, default=until) - min(started)).total_seconds()


def _serving(dossier: Dossier) -> tuple[Serving, ...]:
    """What is seen, then what is not."""
    rollout = dossier.rollout
    seen = [_served_by(rollout, place, pods) for place, pods in dossier.pods.items()]
    blind = [Serving(rollout.spoken(place), f"cannot be seen: {why}", True) for place, why in dossier.blind.items()]
    return (*seen, *blind)


def _served_by(rollout: Rollout, place: str, pods: Sequence[Pod]) -> Serving:
    ready = Counter(pod.tag for pod in pods if pod.ready)
    shown = [f"{_short(rollout, tag)} ({words.count(number, 'pod')})" for tag, number in ready.items()]
    return Serving(rollout.spoken(place), f"serves {places.joined(shown) or 'NOTHING'}", not ready)


# -- steps -----------------------------------------------------------------------------------------------------------


def _step_row(rollout: Rollout, step: Step, until: datetime) -> StepRow:
    name = (_SHOWN_NAMES.get(step.name, step.name), rollout.spoken(step.environment), step.stage)
    ended = step.ended or until
    return StepRow(
        name=" ".join(filter(None, name)),
        css=step.state.value,
        state=_STEP_WORDS.get(step.state, step.state.value),
        attempt=step.attempt,
        started=step.started,
        took=(ended - step.started).total_seconds() if step.started else 0.0,
        why=step.why or _who_confirmed(step),
    )


def _who_confirmed(step: Step) -> str:
    return f"by {step.result.by}" if isinstance(step.result, GatePassed) and step.result.by else ""


# -- evidence --------------------------------------------------------------------------------------------------------


def evidence_lines(text: str) -> list[str]:
    """What was captured of bad pods, a line for each reason; the text itself where it is not what we wrote."""
    try:
        kept = json.loads(text)
        captured_at = kept["captured"][11:19]
        return [f"{captured_at} {kept['text']}", *map(_finding, kept["evidence"])]
    except (ValueError, KeyError, TypeError):
        return text.rstrip().splitlines()


def _finding(kept: Mapping[str, str | int | None]) -> str:
    """`citoid-7d9/main: CrashLoopBackOff, exit 1, 3 restarts: cannot open …`."""
    where = _filled([kept["pod"], kept["container"]], "/")
    exit_code = "" if kept["exit_code"] is None else f"exit {kept['exit_code']}"
    restarts = words.count(int(kept["restarts"]), "restart") if kept["restarts"] else ""
    what = _filled([kept["reason"], exit_code, restarts], ", ")
    return _filled([where, what, kept["message"]], ": ")


def _filled(entries: Sequence[str | int | None], between: str) -> str:
    """Those that say something, in a row."""
    return between.join(str(entry) for entry in entries if entry)
