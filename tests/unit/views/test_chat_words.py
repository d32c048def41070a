"""The words of every event, compared as text with tests/golden/chat.txt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from quarterdeck.chat.irc.lines import TEXT_BYTES
from quarterdeck.core.charts.editing.edit_plan import EditPlan
from quarterdeck.core.model.build import Build
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.question import Question
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.records import Briefing, Checked, Edited, Merged, PlaceDiff, ShownDiff
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.rollout.subject import whole
from quarterdeck.core.situation import Situation
from quarterdeck.views import words
from quarterdeck.views.chat import ChatVoice
from tests.worlds.world import IMAGE, NEW, OLD, PAGE, PROJECT, START, TEMPLATES, VALUES, catalogue, rolled

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


def events() -> Iterator[tuple[str, tuple[Line, ...]]]:
    """Every event in its shapes, by name."""
    one, two = rolled(), rolled(**PRODUCTION)
    briefing = Briefing(nick="alice", files=(VALUES,), commits=3, running={"codfw": OLD, "eqiad": OLD})
    shared = replace(one, pending=("codfw", "eqiad"), briefing=briefing)
    image = ("- image …/citoid:OLD", "+ image …/citoid:NEW")
    say = VOICE.lines
    yield "accepted", say("accepted", shared, plan=EditPlan())
    yield "accepted, one pending", say("accepted", replace(shared, pending=("codfw",)), plan=EditPlan())
    yield "accepted, production, merged", say("accepted", two, plan=EditPlan(already=True))
    yield "accepted, production, to merge", say("accepted", two, plan=EditPlan())
    taking = replace(two, briefing=Briefing(nick="alice", takeover=(41, 42)))
    yield "accepted, takes over", say("accepted", taking, plan=EditPlan(already=True))
    yield "accepted, apply", say("accepted", replace(one, kind=Kind.APPLY), plan=EditPlan(already=True))
    yield "accepted, apply of several tags", say("accepted", replace(two, kind=Kind.APPLY, tag=""), plan=EditPlan())
    going = replace(one, kind=Kind.ROLLBACK, tag=OLD, before={"staging": NEW})
    yield "accepted, rollback", say("accepted", going, plan=EditPlan())
    yield "diff, few lines", say("diff", one, found={"staging": found(*image)})
    yield "diff, the same in both", say("diff", two, found={"codfw": found(*image), "eqiad": found(*image)})
    many = found(summary="image + 2 surprises: + ConfigMap a; + ConfigMap b")
    yield "diff, many lines", say("diff", two, found={"codfw": many, "eqiad": found(summary="")})
    yield "diff, nothing", say("diff", one, found={"staging": found(summary="")})
    asked = Question("prod-k7p", 0, "1 Deployment, image only")
    yield "ask", say("ask", two, asked=asked, found={"codfw": found()})
    odd = ("memory 400Mi → 600Mi", "+ ConfigMap a", "+ ConfigMap b", "+ ConfigMap c", "+ ConfigMap d")
    asked = Question("prod-k7p", 5, "image + 5 surprises")
    yield "ask, surprises", say("ask", two, asked=asked, found={"codfw": found(surprises=odd)})
    yield (
        "ask, before anything",
        say("ask", one, asked=Question("staging-k7p", 0, "this takes 1 away from codfw"), found={}),
    )
    checked = (
        *MERGED,
        step(StepName.APPLY, "staging"),
        step(StepName.CHECK, "staging", result=Checked((1, 1), "", 20.0, "match")),
    )
    done = replace(shared, steps=checked)
    after = {"debts": (debt("codfw"), debt("eqiad")), "next": "!deploy citoid production"}
    yield "succeeded", say("succeeded", done, **after)
    agreed = replace(one, steps=(step(StepName.CHECK, "staging", result=Checked((1, 1), "", 20.0, "match")),))
    yield "succeeded, nothing to apply", say("succeeded", agreed, debts=(), next="")
    failed = replace(two, steps=(*APPLIED, *REST))
    yield "failed, helm went back", say("failed", failed, why=WHY, situation=BACK)
    yield "failed, nothing serves", say("failed", failed, why=WHY, situation=DEAD)
    yield "failed, out of sight", say("failed", failed, why=WHY, situation=BLIND)
    gate = replace(one, steps=(MERGED[0], step(StepName.MERGE, state=StepState.FAILED)))
    yield (
        "failed at the gate",
        say("failed", gate, why="jenkins-bot says Verified -1", situation=replace(BACK, git={"staging": OLD})),
    )
    yield "failed, git unknown", say("failed", gate, why="Gerrit is away", situation=replace(BACK, git={}))
    yield "failed, a long reason", say("failed", failed, why="x" * 600, situation=BACK)
    lost = replace(two, steps=(*MERGED, step(StepName.APPLY, "codfw", StepState.LOST), *REST))
    yield (
        "unknown",
        say("unknown", lost, why="helmfile on the deploy host ended without an exit status", situation=BACK),
    )
    yield "stopped", say("stopped", replace(failed, stop="bob"), why="", situation=BACK)
    owed = replace(BACK, debts=(debt("staging"), debt("codfw")), git={"staging": NEW})
    synced = replace(shared, steps=(*MERGED, step(StepName.SYNC, state=StepState.INTENDED)), stop="bob")
    yield "stopped before an apply", say("stopped", synced, why="", situation=owed)
    yield "expired", say("expired", two)
    yield (
        "expired, pending",
        say("expired", replace(two, pending=("staging",)), debts=(debt("eqiad", 44), debt("staging"))),
    )
    yield "closed, pending", say("closed", two, by="bob", was=State.WAITING, debts=(debt("codfw", 44),))
    yield "closed, waiting", say("closed", two, by="bob", was=State.WAITING)
    yield "closed, failed", say("closed", two, by="bob", was=State.FAILED)
    applying = replace(two, steps=(*MERGED, step(StepName.APPLY, "codfw", StepState.INTENDED), *REST))
    bad = {"step": applying.steps[2], "words_": WHY}
    yield "bad", say("bad", applying, gives_up=LATER + timedelta(seconds=240), **bad)
    yield "bad, no deadline known", say("bad", applying, gives_up=None, **bad)
    yield "still", say("still", applying, words_="codfw 3/8 new pods")
    members = [whole(catalogue().services["citoid"])]
    ready = {"build": BUILD, "members": members}
    yield "build ready", say("build_ready", None, **ready)
    since = {"staging": 3, "codfw": 9, "eqiad": 8}
    yield "build ready, counted", say("build_ready", None, **ready, since=since, mends=replace(BUILD, change=1089000))
    yield (
        "build pushed again",
        say("build_again", None, build=replace(BUILD, digest="sha256:bb"), members=members, was="sha256:aa"),
    )
    yield "build failed", say("build_failed", None, build=BUILD, members=members)
    yield "build silent", say("build_silent", None, build=BUILD, members=members)
    codfw = failed.steps[2]
    yield "SAL start", say("sal_start", failed, step=codfw)
    yield "SAL done", say("sal_done", failed, step=codfw, pods=[8, 8])
    for outcome in ("failed", "unknown", "stopped"):
        yield f"SAL {outcome}", say("sal_end", failed, step=codfw, outcome=outcome, why=WHY, situation=BACK)


def as_text() -> str:
    """All of them, as the golden file has them."""
    said = ((name, line) for name, lines in events() for line in lines)
    return "".join(f"# {name}\n{line.room} {line.within(TEXT_BYTES)}\n" for name, line in said)


def test_the_words_are_the_ones_agreed_on() -> None:
    """Change the templates and this file together, and read both."""
    assert as_text().split("\n") == GOLDEN.read_text().split("\n")


@pytest.mark.parametrize(("name", "lines"), list(events()), ids=[name for name, _ in events()])
def test_each_line_fits(name: str, lines: tuple[Line, ...]) -> None:
    """At most 400 bytes, one line, the page's address whole; SAL lines are plain ASCII."""
    (line,) = lines
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
