"""What the server admin log records of an apply: one line when it begins, one when it ends, in plain ASCII."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quarterdeck.core.model.line import Line
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.events import ApplyEvent, ApplyProven, ApplyStarted
from quarterdeck.core.rollout.records import CANARY
from quarterdeck.core.rollout.step import StepName
from quarterdeck.core.worker.events import ApplyEndedShort
from quarterdeck.views import words
from quarterdeck.views.sentences import Sentences, Words, either_tag

#: the server admin log: the only room of a network of its own
SAL = Room("sal", "")


@dataclass(frozen=True)
class CommonWords(Words):
    """What every line about an apply may use.

    Attributes:
        who: shell name and host, as helmfile's own lines have them.
        env: the environment, with its stage where that is the canaries'.
        directory: of the service, in the charts repository.
        part: of the service; empty for all of it.
        n: the rollout's number.
    """

    who: str
    env: str
    directory: str
    part: str
    tag: str
    n: int


@dataclass(frozen=True)
class StartedWords(Words):
    """An apply is about to begin."""

    template = "sal_start"

    before: str


@dataclass(frozen=True)
class ProvenWords(Words):
    """The new pods run and stayed up."""

    template = "sal_done"

    pods: str
    took: str


@dataclass(frozen=True)
class EndedShortWords(Words):
    """It was not proven.

    Attributes:
        outcome: FAILED, UNKNOWN or STOPPED.
        serving: the tag most ready pods run; empty if none or unreadable.
        untouched: the places that nothing was done to.
    """

    template = "sal_end"

    outcome: str
    serving: str
    untouched: str


def sal_line(event: ApplyEvent, sentences: Sentences, now: datetime, host_name: str, services_dir: str) -> Line:
    """The line for the server admin log.

    Args:
        now: aware UTC.
        host_name: what people call the deploy host.
        services_dir: folder of the services in the charts repository.
    """
    rollout, step = event.rollout, event.step
    service, environment = rollout.target(step.environment)
    common = CommonWords(
        who=f"{rollout.shell}@{host_name}",
        env=f"{environment}/{CANARY}" if step.stage == CANARY else environment,
        directory=f"{services_dir}/{service}",
        part=rollout.part,
        tag=short_tag(rollout.tag or "as in git", rollout.subject.service.suffix),
        n=rollout.number,
    )
    return Line(SAL, words.ascii_only(sentences.told(_words_of(event, now), common)))


def _words_of(event: ApplyEvent, now: datetime) -> Words:
    match event:
        case ApplyStarted():
            return _started(event)
        case ApplyProven():
            return _proven(event, now)
        case ApplyEndedShort():
            return _ended_short(event)
    raise NotImplementedError(f"no words for {event!r}")


def _started(event: ApplyStarted) -> StartedWords:
    rollout = event.rollout
    ran = rollout.ran(event.step.environment, rollout.part)
    return StartedWords(either_tag(ran, rollout.subject.service.suffix) or "nothing")


def _proven(event: ApplyProven, now: datetime) -> ProvenWords:
    apply = event.rollout.step(StepName.APPLY, event.step.environment, event.step.stage)
    took = words.sal_duration((now - apply.started).total_seconds()) if apply and apply.started else ""
    return ProvenWords(words.pods(event.pods), took)


def _ended_short(event: ApplyEndedShort) -> EndedShortWords:
    rollout, situation = event.rollout, event.end.situation
    place = event.step.environment
    return EndedShortWords(
        outcome=event.end.outcome,
        serving=short_tag(situation.running(place), rollout.subject.service.suffix),
        untouched=rollout.listed(other for other in situation.untouched if other != place),
    )
