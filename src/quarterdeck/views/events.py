"""What is told of a rollout in its home room: gathers the words of each event, the sentences stand in templates/chat."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import singledispatch
from typing import ClassVar

from quarterdeck.core.model import place as places
from quarterdeck.core.model.environment import EnvironmentKind
from quarterdeck.core.model.line import Line, Urgency
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.events import (
    Accepted,
    Closed,
    DiffTaken,
    PodsLookBad,
    QuestionExpired,
    QuestionOpened,
    RolloutEvent,
    StillBusy,
    StopSaidInPrivate,
    Succeeded,
    TakenUp,
)
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.records import Checked, ShownDiff
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.step import StepName, StepState
from quarterdeck.core.situation import Situation
from quarterdeck.core.worker.events import EndedShort, Failed, Lost, Stopped
from quarterdeck.views import words
from quarterdeck.views.commands import same_elsewhere
from quarterdeck.views.sentences import Sentences, Words, either_tag, listed_tags

#: a verdict calls the person by name if he has waited longer than this, in seconds
LONG = 60.0


class Calls(Enum):
    """Whether a line begins with the name of the person who gave the command, which highlights him."""

    NEVER = "never"
    IF_LONG = "if long"  #: he has waited for more than a minute
    ALWAYS = "always"


@dataclass(frozen=True)
class RolloutWords(Words):
    """The words of one event of a rollout."""

    urgency: ClassVar[Urgency] = Urgency.VERDICT
    calls: ClassVar[Calls] = Calls.NEVER

    @property
    def linked(self) -> bool:
        """Whether the page's address follows."""
        return True

    @property
    def forms(self) -> Iterator[RolloutWords]:
        """The same from everything there is to say to less and less of what only explains."""
        yield self


@dataclass(frozen=True)
class CommonWords(Words):
    """What every line about a rollout may use.

    Attributes:
        n: the rollout's number.
        where: its environments, in the order they are served.
        before: what ran before, or what git said.
        who: the person to call, with what stands between the name and the line.
        took: seconds since the command.
    """

    n: int
    service: str
    where: str
    before: str
    tag: str
    who: str
    took: float


def rollout_line(event: RolloutEvent, sentences: Sentences, now: datetime, page_url: str) -> Line:
    """The line for the rollout's home room; empty where its template says nothing.

    Args:
        now: aware UTC.
        page_url: where the page is, without the rollout's number.
    """
    rollout = event.rollout
    own = words_of(event)
    waited = (now - rollout.created).total_seconds()
    is_called = own.calls is Calls.ALWAYS or (own.calls is Calls.IF_LONG and waited > LONG)
    common = _common_words(rollout, waited, is_called)
    texts = dict.fromkeys(sentences.told(form, common) for form in own.forms)
    text, *shorter = texts
    link = f"{page_url}/{rollout.number}" if own.linked else ""
    return Line(rollout.home, text, own.urgency, tuple(shorter), link)


def _common_words(rollout: Rollout, waited: float, is_called: bool) -> CommonWords:
    suffix = rollout.subject.service.suffix
    name = rollout.briefing.nick or rollout.actor
    return CommonWords(
        n=rollout.number,
        service=rollout.title,
        where=places.joined(places.environments(rollout.environments), "then"),
        before=_before(rollout, suffix),
        tag=short_tag(rollout.tag, suffix),
        who=f"{name}: " if is_called else "",
        took=waited,
    )


def _before(rollout: Rollout, suffix: str) -> str:
    """What the pods ran; where they run the tag already, what git said: it is git that moves then."""
    ran: set[str] = set()
    for place in rollout.environments:
        ran |= rollout.ran(place, rollout.part)
    if ran - {rollout.tag}:
        return either_tag(ran - {rollout.tag}, suffix)
    in_git = {rollout.briefing.git.get(place, "") for place in rollout.environments} - {"", rollout.tag}
    return " or ".join(sorted({f"git {short_tag(tag, suffix)}" for tag in in_git}))


@singledispatch
def words_of(event: RolloutEvent) -> RolloutWords:
    """The words that tell of an event. Each event registers what gathers its own here."""
    raise NotImplementedError(f"no words for {event!r}")


# -- on its way ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AcceptedWords(RolloutWords):
    """A command became a rollout.

    Attributes:
        commits: merged changes that it brings; 0 where nobody can tell.
        gate: whether a change goes through it.
        usual: seconds that the gate usually takes.
        git_only: the pods run the tag already.
        asks: production is among its places.
        late: how many places become pending.
        absent: (service, environments) of those that are not everywhere.
        takes: numbers of the rollouts it closes.
    """

    template = "accepted"
    urgency = Urgency.PROGRESS

    kind: str
    commits: int
    gate: bool
    usual: float
    git_only: bool
    asks: bool
    files: tuple[str, ...]
    pending: str
    late: int
    pin: bool
    members: int
    absent: tuple[tuple[str, str], ...]
    takes: tuple[int, ...]


@words_of.register
def _(event: Accepted) -> AcceptedWords:
    rollout, briefing = event.rollout, event.rollout.briefing
    git_has_it = event.in_git or rollout.kind == Kind.APPLY
    kinds = {rollout.subject.environment(place).kind for place in rollout.environments}
    file_names = [path.rpartition("/")[2] for path in briefing.files]
    return AcceptedWords(
        kind=str(rollout.kind),
        commits=briefing.commits,
        gate=not git_has_it,
        usual=briefing.usual_gate,
        git_only=not git_has_it and _runs_everywhere(rollout),
        asks=EnvironmentKind.PRODUCTION in kinds,
        files=tuple(dict.fromkeys(file_names)),
        pending=rollout.listed(rollout.pending),
        late=len(rollout.pending),
        pin=rollout.intent.pin,
        members=len(rollout.services),
        absent=briefing.absent,
        takes=briefing.takeover,
    )


def _runs_everywhere(rollout: Rollout) -> bool:
    """Whether the pods ran nothing but the tag when it began."""
    return all(rollout.ran(place, rollout.part) == {rollout.tag} for place in rollout.environments)


@dataclass(frozen=True)
class TakenUpWords(RolloutWords):
    """A new process goes on with it."""

    template = "back"
    urgency = Urgency.PROGRESS

    step: str


@words_of.register
def _(event: TakenUp) -> TakenUpWords:
    step = event.rollout.current
    return TakenUpWords(step.name if step else "its end")


@dataclass(frozen=True)
class DiffWords(RolloutWords):
    """What would change.

    Attributes:
        lines: the changed lines, where they are few and the same everywhere.
        summary: the change in half a line for each place; empty where nothing changes.
        same_as: the places that nothing changes in.
        left: releases that differ and stay as they are.
    """

    template = "diff"
    urgency = Urgency.PROGRESS  # it comes before the question about it, so it may not wait

    lines: tuple[str, ...]
    summary: str
    same_as: str
    left: tuple[str, ...]

    @property
    def linked(self) -> bool:
        """The page has no more than the line has where the changed lines are on it."""
        return not self.lines


@words_of.register
def _(event: DiffTaken) -> DiffWords:
    rollout = event.rollout
    changing = {place: diff.shown for place, diff in event.differences.items() if diff.shown.changes}
    left: list[str] = []
    for diff in event.differences.values():
        left += diff.left
    summaries = {place: shown.summary for place, shown in changing.items()}
    return DiffWords(
        lines=_lines_of_all(list(changing.values())),
        summary=places.told(summaries, rollout.service, named=bool(rollout.group)),
        same_as=rollout.listed(place for place in rollout.environments if place not in changing),
        left=tuple(dict.fromkeys(left)),
    )


def _lines_of_all(diffs: Sequence[ShownDiff]) -> tuple[str, ...]:
    """The changed lines, where they are the same everywhere; none elsewhere."""
    different = {diff.lines for diff in diffs}
    return different.pop() if len(different) == 1 else ()


@dataclass(frozen=True)
class QuestionWords(RolloutWords):
    """A person is asked.

    Attributes:
        asked: what would happen, in half a line.
        with_count: the N of `with N`; 0 when none is asked.
    """

    template = "ask"
    urgency = Urgency.QUESTION
    calls = Calls.ALWAYS

    asked: str
    surprises: tuple[str, ...]
    code: str
    with_count: int


@words_of.register
def _(event: QuestionOpened) -> QuestionWords:
    surprises: list[str] = []
    for diff in event.differences.values():
        surprises += diff.shown.surprises
    question = event.question
    return QuestionWords(question.text, tuple(dict.fromkeys(surprises)), question.code, question.count)


@dataclass(frozen=True)
class ExpiredWords(RolloutWords):
    """Nobody answered in time.

    Attributes:
        pending: the places that it leaves so.
    """

    template = "expired"
    calls = Calls.IF_LONG

    pending: str


@words_of.register
def _(event: QuestionExpired) -> ExpiredWords:
    return ExpiredWords(_left_pending(event.rollout, event.debts))


@dataclass(frozen=True)
class ClosedWords(RolloutWords):
    """A person ended what rested.

    Attributes:
        pending: the places that it leaves so.
    """

    template = "closed"

    by: str
    was: str
    pending: str


@words_of.register
def _(event: Closed) -> ClosedWords:
    return ClosedWords(event.by, str(event.was), _left_pending(event.rollout, event.debts))


@dataclass(frozen=True)
class PrivateStopWords(RolloutWords):
    """Somebody said in private that it is to stop."""

    template = "private_stop"
    urgency = Urgency.NEWS

    by: str

    @property
    def linked(self) -> bool:
        """The room knows the rollout's page."""
        return False


@words_of.register
def _(event: StopSaidInPrivate) -> PrivateStopWords:
    return PrivateStopWords(event.by)


@dataclass(frozen=True)
class BadWords(RolloutWords):
    """New pods fail.

    Attributes:
        rest: the places where nothing has begun.
    """

    template = "bad"
    urgency = Urgency.PROGRESS
    calls = Calls.ALWAYS

    where: str
    finding: str
    gives_up: datetime | None
    rest: str


@words_of.register
def _(event: PodsLookBad) -> BadWords:
    rollout = event.rollout
    not_begun = [step for step in rollout.steps if step.name == StepName.APPLY and step.state is StepState.TODO]
    return BadWords(
        where=rollout.spoken(event.step.environment),
        finding=event.finding,
        gives_up=event.gives_up,
        rest=rollout.listed(dict.fromkeys(step.environment for step in not_begun)),
    )


@dataclass(frozen=True)
class StillWords(RolloutWords):
    """A sign of life."""

    template = "still"
    urgency = Urgency.NEWS

    place: str
    finding: str


@words_of.register
def _(event: StillBusy) -> StillWords:
    return StillWords(event.rollout.spoken(event.place), event.finding)


# -- success ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SucceededWords(RolloutWords):
    """All steps are done.

    Attributes:
        gate: seconds at the gate; 0 where nothing was merged.
        checked: whether pods were looked at.
        git_only: nothing had to be applied.
        ready: (ready, wanted) pods.
        soak: seconds all new pods stayed ready.
        pending_tag: what the pending places run.
        next: the command that follows; empty for none.
    """

    template = "succeeded"
    calls = Calls.IF_LONG

    gate: float
    checked: bool
    git_only: bool
    ready: tuple[int, int]
    soak: float
    pending: str
    pending_tag: str
    next: str


@words_of.register
def _(event: Succeeded) -> SucceededWords:
    rollout = event.rollout
    checks = [step.result for step in rollout.steps if isinstance(step.result, Checked)]
    late = _late_elsewhere(rollout, event.debts)
    return SucceededWords(
        gate=_seconds_at_the_gate(rollout),
        checked=bool(checks),
        git_only=not any(step.name == StepName.APPLY for step in rollout.steps),
        ready=(sum(check.pods[0] for check in checks), sum(check.pods[1] for check in checks)),
        soak=max((check.soak for check in checks), default=0.0),
        pending=rollout.listed(late),
        pending_tag=listed_tags(_running_at(rollout, late) - {rollout.tag}, rollout.subject.service.suffix),
        next=same_elsewhere(rollout, event.next_verb, "production") if event.next_verb else "",
    )


def _seconds_at_the_gate(rollout: Rollout) -> float:
    step, merged = rollout.step(StepName.MERGE), rollout.records.merged
    return step.seconds if step and merged and not merged.already else 0.0


def _late_elsewhere(rollout: Rollout, debts: Sequence[Debt]) -> tuple[str, ...]:
    """The places outside of the rollout that owe an apply, those that it made late first."""
    owing = [rollout.place(debt.service, debt.environment) for debt in debts]
    late = [place for place in (*rollout.pending, *owing) if place in owing and place not in rollout.environments]
    return tuple(dict.fromkeys(late))


def _running_at(rollout: Rollout, late: Sequence[str]) -> set[str]:
    """The tags that ran at places when it began; each of several parts may run another."""
    by_part = rollout.briefing.running_by_part
    several = rollout.part == ALL and len(by_part) > 1
    running: set[str] = set()
    for tags in by_part.values() if several else [rollout.briefing.running]:
        running |= {tags.get(place, "") for place in late}
    return running - {""}


# -- ends short of it ------------------------------------------------------------------------------------------------

#: characters of a cause, from all of them to curt, and whether what explains is left out
_CLIPS = ((sys.maxsize, False), (400, False), (160, False), (100, False), (100, True), (60, True), (30, True))


@dataclass(frozen=True)
class EndWords(RolloutWords):
    """Ended short of its aim.

    Attributes:
        where: the place where it ended; empty where it ended in a step that serves all.
        why: the cause.
        serving: what serves users now.
        back: whether helm went back to what ran before.
        untouched: the places that nothing was done to.
        done: the places where all is done.
        git: what git says of its places.
        git_ahead: git says the tag that does not serve.
        rollback: the command that reverts git; empty where nothing ran before.
        pending: the places that it leaves so.
        curt: leave out what only explains.
    """

    where: str
    step: str
    why: str
    serving: str
    back: bool
    nothing_applied: bool
    untouched: str
    done: str
    git: str
    git_ahead: bool
    rollback: str
    stopped_by: str
    pending: str
    curt: bool = False

    @property
    def forms(self) -> Iterator[EndWords]:
        """A long cause is cut before anything that says what to do."""
        for length, curt in _CLIPS:
            yield replace(self, why=words.clip(self.why, length), curt=curt)


@dataclass(frozen=True)
class FailedWords(EndWords):
    """A step failed."""

    template = "failed"
    calls = Calls.ALWAYS


@dataclass(frozen=True)
class LostWords(EndWords):
    """Nobody knows how an effect ended."""

    template = "unknown"
    calls = Calls.ALWAYS


@dataclass(frozen=True)
class StoppedWords(EndWords):
    """A person stopped it."""

    template = "stopped"
    calls = Calls.IF_LONG


_END_WORDS: Mapping[type[EndedShort], type[EndWords]] = {
    Failed: FailedWords,
    Lost: LostWords,
    Stopped: StoppedWords,
}


@words_of.register
def _(event: EndedShort) -> EndWords:
    rollout, situation = event.rollout, event.situation
    step = rollout.current
    place = step.environment if step else ""
    suffix = rollout.subject.service.suffix
    has_begun = place not in situation.untouched
    return _END_WORDS[type(event)](
        where=rollout.spoken(place),
        step=step.name if step else "",
        why=event.why,
        serving=_serving(rollout, situation, [place] if place else rollout.environments),
        back=bool(place) and has_begun and situation.running(place) not in ("", rollout.tag),
        nothing_applied=not _has_applied(rollout),
        untouched=rollout.listed(other for other in situation.untouched if other != place or not has_begun),
        done=rollout.listed(other for other in rollout.served if other != place),
        git=listed_tags(_tags_in_git(rollout, situation), suffix),
        git_ahead=_is_git_ahead(rollout, situation, place),
        rollback=_way_back(rollout, place),
        stopped_by=rollout.stop,
        pending=_left_pending(rollout, situation.debts),
    )


def _has_applied(rollout: Rollout) -> bool:
    """Whether an apply has begun anywhere."""
    return any(step.name == StepName.APPLY and step.state is not StepState.TODO for step in rollout.steps)


def _tags_in_git(rollout: Rollout, situation: Situation) -> set[str]:
    """What git says of its places."""
    return {tag for place, tag in situation.git.items() if place in rollout.environments and tag}


def _is_git_ahead(rollout: Rollout, situation: Situation, place: str) -> bool:
    """Whether git has the tag, and no ready pod runs it at the place where the rollout ended."""
    if rollout.tag not in _tags_in_git(rollout, situation) or not _has_applied(rollout):
        return False
    ready, _ = situation.serving.get(place, {}).get(rollout.tag, (0, 0))
    return ready == 0


def _way_back(rollout: Rollout, place: str) -> str:
    if not any(rollout.before.values()):
        return ""
    _, environment = rollout.target(place)
    return same_elsewhere(rollout, "rollback", environment or "production")


def _serving(rollout: Rollout, situation: Situation, where: Sequence[str]) -> str:
    """What serves users at places."""
    return ", ".join(f"{rollout.spoken(place)} {_serves(rollout, situation, place)}" for place in where)


def _serves(rollout: Rollout, situation: Situation, place: str) -> str:
    if place not in situation.serving:
        return "cannot be seen"
    suffix = rollout.subject.service.suffix
    ready = {tag: pods for tag, pods in situation.serving[place].items() if pods[0]}
    shown = places.joined(f"{short_tag(tag, suffix)} ({words.pods(pods)})" for tag, pods in ready.items())
    return f"serves {shown or 'NOTHING'}"


def _left_pending(rollout: Rollout, debts: Sequence[Debt]) -> str:
    """What this rollout merged and nobody applied yet, in rollout order."""
    owing = {rollout.place(debt.service, debt.environment) for debt in debts if debt.number == rollout.number}
    late = [place for place in (*rollout.environments, *rollout.pending) if place in owing]
    return rollout.listed(late)
