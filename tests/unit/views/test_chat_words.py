"""The words of every event, compared as text with tests/golden/chat.txt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from quarterdeck.chat.irc.lines import TEXT_BYTES
from quarterdeck.core.builds.events import BuildFailed, BuildSilent, ImageReady, TagPushedAgain
from quarterdeck.core.model.build import Build
from quarterdeck.core.model.event import Event
from quarterdeck.core.model.question import Question
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.events import (
    Accepted,
    ApplyProven,
    ApplyStarted,
    Closed,
    DiffTaken,
    PodsLookBad,
    QuestionExpired,
    QuestionOpened,
    StillBusy,
    StopSaidInPrivate,
    Succeeded,
    TakenUp,
)
from quarterdeck.core.rollout.records import Briefing, Checked, Edited, Merged, PlaceDiff, ShownDiff
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.rollout.subject import whole
from quarterdeck.core.situation import Situation
from quarterdeck.core.worker.events import ApplyEndedShort, Failed, Lost, Stopped
from quarterdeck.views import words
from quarterdeck.views.chat import ChatVoice
from quarterdeck.views.sentences import Words
from tests.worlds.world import IMAGE, NEW, OLD, PAGE, PROJECT, START, TEMPLATES, VALUES, catalogue, rolled

T = TypeVar("T")
GOLDEN = Path(__file__).parents[2] / "golden" / "chat.txt"
LATER = START + timedelta(seconds=310)
VOICE = ChatVoice(TEMPLATES, catalogue(), PAGE, "deploy1003", lambda: LATER)
PRODUCTION = {"environments": ("codfw", "eqiad"), "before": {"codfw": OLD, "eqiad": OLD}, "number": 44}


def step(name: StepName, environment: str = "", state: StepState = StepState.DONE, result: object = None) -> Step:
    """A step that began at 14:00 and took four minutes."""
    stage = "default" if environment else ""
    ended = START + timedelta(seconds=245) if state is not StepState.INTENDED else None
    return Step(name, environment, stage, 1, state, None, result, "", START, ended)


def found(*lines: str, summary: str = "1 Deployment, image only", surprises: tuple[str, ...] = ()) -> PlaceDiff:
    """What a diff says, as it is stored."""
    shown = ShownDiff(
        releases={},
        changed_releases=(),
        changes=bool(summary),
        image_only=not surprises,
        surprises=surprises,
        lines=lines,
        summary=summary,
        workloads=(),
        pods=0,
    )
    return PlaceDiff("job", "digest", {}, (), {}, (), (), shown)


def debt(environment: str, number: int = 41) -> Debt:
    """Merged, not applied."""
    return Debt("citoid", environment, NEW, number, "alice", START)


MERGED = (step(StepName.EDIT, result=Edited("b", {}, change=1001)), step(StepName.MERGE, result=Merged("c")))
APPLIED = (*MERGED, step(StepName.APPLY, "codfw"), step(StepName.CHECK, "codfw", StepState.FAILED))
REST = (Step(StepName.APPLY, "eqiad", "default"), Step(StepName.CHECK, "eqiad", "default"))
BACK = Situation(
    "citoid", "c", {"codfw": NEW, "eqiad": NEW}, {"codfw": {OLD: (8, 8)}, "eqiad": {OLD: (8, 8)}}, (), ("eqiad",)
)
DEAD = replace(BACK, serving={"codfw": {NEW: (0, 8)}})
BLIND = replace(BACK, serving={}, problems={"codfw": "timed out"})
BUILD = Build(PROJECT, 1089123, "c", "Fix DOI regex", "mvolz", START - timedelta(seconds=1500), image=IMAGE, tag=NEW)
WHY = "2/2 new pods crash (exit 1); 8/8 old pods serve"


def events() -> Iterator[tuple[str, Event]]:
    """Every event in its shapes, by name."""
    one, two = rolled(), rolled(**PRODUCTION)
    briefing = Briefing(nick="alice", files=(VALUES,), commits=3, running={"codfw": OLD, "eqiad": OLD})
    shared = replace(one, pending=("codfw", "eqiad"), briefing=briefing)
    image = ("- image …/citoid:OLD", "+ image …/citoid:NEW")
    yield "accepted", Accepted(shared, in_git=False)
    yield "accepted, one pending", Accepted(replace(shared, pending=("codfw",)), in_git=False)
    yield "accepted, production, merged", Accepted(two, in_git=True)
    yield "accepted, production, to merge", Accepted(two, in_git=False)
    taking = replace(two, briefing=Briefing(nick="alice", takeover=(41, 42)))
    yield "accepted, takes over", Accepted(taking, in_git=True)
    yield "accepted, apply", Accepted(replace(one, kind=Kind.APPLY), in_git=True)
    yield "accepted, apply of several tags", Accepted(replace(two, kind=Kind.APPLY, tag=""), in_git=False)
    going = replace(one, kind=Kind.ROLLBACK, tag=OLD, before={"staging": NEW})
    yield "accepted, rollback", Accepted(going, in_git=False)
    yield "diff, few lines", DiffTaken(one, {"staging": found(*image)})
    yield "diff, the same in both", DiffTaken(two, {"codfw": found(*image), "eqiad": found(*image)})
    many = found(summary="image + 2 surprises: + ConfigMap a; + ConfigMap b")
    yield "diff, many lines", DiffTaken(two, {"codfw": many, "eqiad": found(summary="")})
    yield "diff, nothing", DiffTaken(one, {"staging": found(summary="")})
    asked = Question("prod-k7p", 0, "1 Deployment, image only")
    yield "ask", QuestionOpened(two, asked, {"codfw": found()})
    odd = ("memory 400Mi → 600Mi", "+ ConfigMap a", "+ ConfigMap b", "+ ConfigMap c", "+ ConfigMap d")
    asked = Question("prod-k7p", 5, "image + 5 surprises")
    yield "ask, surprises", QuestionOpened(two, asked, {"codfw": found(surprises=odd)})
    yield (
        "ask, before anything",
        QuestionOpened(one, Question("staging-k7p", 0, "this takes 1 away from codfw"), {}),
    )
    checked = (
        *MERGED,
        step(StepName.APPLY, "staging"),
        step(StepName.CHECK, "staging", result=Checked((1, 1), "", 20.0, "match")),
    )
    done = replace(shared, steps=checked)
    yield "succeeded", Succeeded(done, (debt("codfw"), debt("eqiad")), "deploy")
    agreed = replace(one, steps=(step(StepName.CHECK, "staging", result=Checked((1, 1), "", 20.0, "match")),))
    yield "succeeded, nothing to apply", Succeeded(agreed, (), "")
    failed = replace(two, steps=(*APPLIED, *REST))
    yield "failed, helm went back", Failed(failed, WHY, BACK)
    yield "failed, nothing serves", Failed(failed, WHY, DEAD)
    yield "failed, out of sight", Failed(failed, WHY, BLIND)
    gate = replace(one, steps=(MERGED[0], step(StepName.MERGE, state=StepState.FAILED)))
    yield (
        "failed at the gate",
        Failed(gate, "jenkins-bot says Verified -1", replace(BACK, git={"staging": OLD})),
    )
    yield "failed, git unknown", Failed(gate, "Gerrit is away", replace(BACK, git={}))
    yield "failed, a long reason", Failed(failed, "x" * 600, BACK)
    lost = replace(two, steps=(*MERGED, step(StepName.APPLY, "codfw", StepState.LOST), *REST))
    yield (
        "unknown",
        Lost(lost, "helmfile on the deploy host ended without an exit status", BACK),
    )
    yield "stopped", Stopped(replace(failed, stop="bob"), "", BACK)
    owed = replace(BACK, debts=(debt("staging"), debt("codfw")), git={"staging": NEW})
    synced = replace(shared, steps=(*MERGED, step(StepName.SYNC, state=StepState.INTENDED)), stop="bob")
    yield "stopped before an apply", Stopped(synced, "", owed)
    yield "expired", QuestionExpired(two)
    yield (
        "expired, pending",
        QuestionExpired(replace(two, pending=("staging",)), (debt("eqiad", 44), debt("staging"))),
    )
    yield "closed, pending", Closed(two, "bob", State.WAITING, (debt("codfw", 44),))
    yield "closed, waiting", Closed(two, "bob", State.WAITING)
    yield "closed, failed", Closed(two, "bob", State.FAILED)
    applying = replace(two, steps=(*MERGED, step(StepName.APPLY, "codfw", StepState.INTENDED), *REST))
    yield "bad", PodsLookBad(applying, applying.steps[2], WHY, LATER + timedelta(seconds=240))
    yield "bad, no deadline known", PodsLookBad(applying, applying.steps[2], WHY, None)
    yield "still", StillBusy(applying, "codfw", "3/8 new pods")
    members = (whole(catalogue().services["citoid"]),)
    yield "build ready", ImageReady(BUILD, members)
    since = {"staging": 3, "codfw": 9, "eqiad": 8}
    yield "build ready, counted", ImageReady(BUILD, members, since, replace(BUILD, change=1089000))
    yield (
        "build pushed again",
        TagPushedAgain(replace(BUILD, digest="sha256:bb"), members, "sha256:aa"),
    )
    yield "build failed", BuildFailed(BUILD, members)
    yield "build silent", BuildSilent(BUILD, members)
    codfw = failed.steps[2]
    yield "SAL start", ApplyStarted(failed, codfw)
    yield "SAL done", ApplyProven(failed, codfw, (8, 8))
    for end in (Failed(failed, WHY, BACK), Lost(failed, WHY, BACK), Stopped(failed, WHY, BACK)):
        yield f"SAL {end.outcome.lower()}", ApplyEndedShort(failed, codfw, end)


def as_text() -> str:
    """All of them, as the golden file has them."""
    text = ""
    for name, event in events():
        for line in VOICE.lines(event):
            text += f"# {name}\n{line.room} {line.within(TEXT_BYTES)}\n"
    return text


def kinds_of(base: type[T]) -> Iterator[type[T]]:
    """The classes below a class that nothing stands below."""
    for kind in base.__subclasses__():
        if kind.__subclasses__():
            yield from kinds_of(kind)
        else:
            yield kind


def test_the_words_are_the_ones_agreed_on() -> None:
    """Change the templates and this file together, and read both."""
    assert as_text().split("\n") == GOLDEN.read_text().split("\n")


def test_every_event_is_told_and_every_template_has_its_words() -> None:
    """No missing words, no dead ones."""
    assert {TakenUp, StopSaidInPrivate, *(type(event) for _, event in events())} == set(kinds_of(Event))
    templates = {path.stem for path in (TEMPLATES / "chat").glob("*.j2")}
    assert {kind.template for kind in kinds_of(Words) if hasattr(kind, "template")} == templates


def test_a_new_process_says_that_it_goes_on() -> None:
    """What was said meanwhile was not heard."""
    (line,) = VOICE.lines(TakenUp(rolled(steps=MERGED[:1])))
    assert line.whole == (
        "back. #41 citoid staging goes on at its end. What was said to me meanwhile was not heard: say it again. "
        f"!stop 41 {PAGE}/41"
    )


def test_the_room_hears_what_was_said_in_private() -> None:
    """Without the page, which it knows."""
    (line,) = VOICE.lines(StopSaidInPrivate(rolled(), "sre1"))
    assert line.whole == "#41: sre1 says !stop, in private"


@pytest.mark.parametrize(("name", "event"), list(events()), ids=[name for name, _ in events()])
def test_each_line_fits(name: str, event: Event) -> None:
    """At most 400 bytes, one line, the page's address whole; SAL lines are plain ASCII."""
    (line,) = VOICE.lines(event)
    text = line.within(TEXT_BYTES)
    assert "\n" not in text
    assert len(text.encode()) <= 400
    if line.room.network == "sal":
        assert text.isascii()
    elif not name.startswith(("build", "diff")):
        assert text.endswith((f"{PAGE}/41", f"{PAGE}/44"))


def test_small_words() -> None:
    """Durations, counts, lists, quiet names, ASCII, and the cut."""
    assert [words.duration(s) for s in (9, 64, 3700, 90000)] == ["9s", "1m04s", "1h01m", "1d01h"]
    assert words.sal_duration(74) == "01m 14s"
    assert (words.count(1, "pod"), words.count(2, "pod")) == ("1 pod", "2 pods")
    assert words.quiet("mvolz") == "m\u200dvolz"
    assert words.ascii_only("a → b… {c|d} é\n·") == "a -> b... (c/d) ? -"
    assert words.one_line("a  b\nc") == "a b c"
