"""Turns what happened into chat and SAL lines: gathers the words here, the sentences stand in templates/chat."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from quarterdeck.core.model import place as places
from quarterdeck.core.model.build import Build
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.line import Line, Urgency
from quarterdeck.core.model.question import Question
from quarterdeck.core.model.reason import Reason
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.records import Checked, PlaceDiff
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.rollout.subject import Member, spoken_members
from quarterdeck.core.situation import Situation
from quarterdeck.views import words
from quarterdeck.views.questions import reason_sentence
from quarterdeck.views.refusals import NO_NETWORKS, Networks, refusal_line, refusal_told

#: a verdict calls the person by name if he has waited longer than this, in seconds
LONG = 60.0
#: the server admin log: the only room of a network of its own
SAL = Room("sal", "")
#: characters of a reason, from all of them to curt, and whether what explains is left out
CLIPS = ((sys.maxsize, False), (400, False), (160, False), (100, False), (100, True), (60, True), (30, True))
#: why a line is said; every other event is a rollout's end
URGENCIES = {
    "ask": Urgency.QUESTION,
    "accepted": Urgency.PROGRESS,
    "diff": Urgency.PROGRESS,  # it comes before the question about it, so it may not wait
    "bad": Urgency.PROGRESS,
    "back": Urgency.PROGRESS,
    "still": Urgency.NEWS,
}


class ChatVoice:
    """Voice port: lines for the rollout's home room, for a service's rooms, or for the SAL."""

    def __init__(
        self,
        templates: Path,
        catalogue: Catalogue,
        page_url: str,
        host_name: str,
        now: Callable[[], datetime],
        networks: Networks = NO_NETWORKS,
    ) -> None:
        self._networks = networks
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates / "chat"),
            autoescape=False,  # noqa: S701  chat is not HTML
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"count": words.count, "listed": places.joined, "duration": words.duration}
        self._catalogue, self._page, self._host, self._now = catalogue, page_url.rstrip("/"), host_name, now

    def lines(self, event: str, rollout: Rollout | None, /, **facts: Any) -> tuple[Line, ...]:
        """The lines for an event; see the methods named after the events for what each needs."""
        if event.startswith("sal_"):
            assert rollout is not None
            return (Line(SAL, self._sal(event, rollout, **facts)),)
        if event.startswith("build_"):
            return self._build(event, **facts)
        assert rollout is not None
        gather = getattr(self, f"_{event}")
        line = self._say(event, rollout, gather(rollout, **facts))
        return (line,) if line.text else ()

    def refusal(self, refusal: Refusal, begun: bool = False) -> str:
        """What is said to somebody who is refused; ends with "Nothing done" unless something was *begun* already."""
        say = refusal_told if begun else refusal_line
        return say(refusal, self._networks)

    def question(self, reason: Reason) -> str:
        """What a person is asked, in half a line."""
        return reason_sentence(reason)

    # -- one method an event: the words its template needs -----------------------------------------------------

    def _accepted(self, rollout: Rollout, plan: Any) -> dict[str, Any]:
        git_has_it = plan.already or rollout.kind == Kind.APPLY
        return {
            "kind": str(rollout.kind),
            "commits": rollout.briefing.commits,
            "gate": not git_has_it,
            "usual": rollout.briefing.usual_gate,
            "git_only": not git_has_it
            and all(rollout.ran(e, rollout.part) == {rollout.tag} for e in rollout.environments),
            "asks": any(rollout.subject.environment(place).kind == "production" for place in rollout.environments),
            "files": list(dict.fromkeys(f.rpartition("/")[2] for f in rollout.briefing.files)),
            "pending": rollout.listed(rollout.pending),
            "late": len(rollout.pending),
            "pin": rollout.intent.pin,
            "members": len(rollout.services),
            "absent": rollout.briefing.absent,
            "takes": rollout.briefing.takeover,
        }

    def _diff(self, rollout: Rollout, found: Mapping[str, PlaceDiff]) -> dict[str, Any]:
        changed = {place: diff.shown for place, diff in found.items() if diff.shown.changes}
        lines = {shown.lines for shown in changed.values()}
        same = next(iter(lines)) if len(lines) == 1 else ()
        return {
            "lines": list(same),
            "summary": places.told(
                {place: shown.summary for place, shown in changed.items()}, rollout.service, named=bool(rollout.group)
            ),
            "same_as": rollout.listed(p for p in rollout.environments if p not in changed),
            "left": list(dict.fromkeys(name for diff in found.values() for name in diff.left)),
        }

    def _ask(self, rollout: Rollout, asked: Question, found: Mapping[str, PlaceDiff]) -> dict[str, Any]:
        surprises = list(dict.fromkeys(s for diff in found.values() for s in diff.shown.surprises))
        return {"asked": asked.text, "surprises": surprises, "code": asked.code, "with": asked.count}

    def _succeeded(self, rollout: Rollout, debts: Sequence[Debt], next: str) -> dict[str, Any]:
        took = ((self._now() - rollout.created).total_seconds()) if rollout.created else 0.0
        merge_step, merged = rollout.step(StepName.MERGE), rollout.records.merged
        gate = merge_step.seconds if merge_step and merged and not merged.already else 0.0
        checks = [step.result for step in rollout.steps if isinstance(step.result, Checked)]
        ready = [sum(check.pods[0] for check in checks), sum(check.pods[1] for check in checks)]
        running: list[Mapping[str, str]] = [rollout.briefing.running]
        if rollout.part == ALL and len(parts := rollout.briefing.running_by_part) > 1:  # each of them may run another
            running = [{e: t for e, t in runs.items() if t != rollout.tag} for runs in parts.values()]
        owed = {rollout.place(d.service, d.environment): d for d in debts}
        late = [p for p in dict.fromkeys((*rollout.pending, *owed)) if p in owed and p not in rollout.environments]
        suffix = self._service(rollout).suffix
        return {
            "took": took,
            "gate": gate,
            "ready": ready,
            "soak": max((check.soak for check in checks), default=0),
            "pending": rollout.listed(late),
            "pending_tag": listed_tags(
                {runs.get(place, "") for runs in running for place in late} - {rollout.tag}, suffix
            ),
            "checked": bool(checks),
            "git_only": not any(s.name == StepName.APPLY for s in rollout.steps),
            "next": next,
        }

    def _failed(self, rollout: Rollout, why: str, situation: Situation) -> dict[str, Any]:
        step = rollout.current
        suffix = self._service(rollout).suffix
        where = step.environment if step and step.environment else ""
        git = {short_tag(t, suffix) for e, t in situation.git.items() if e in rollout.environments and t}
        tag = short_tag(rollout.tag, suffix)
        begun = where not in situation.untouched
        applied = any(s.name == StepName.APPLY and s.state is not StepState.TODO for s in rollout.steps)
        return {
            "where": rollout.spoken(where),
            "step": step.name if step else "",
            "why": why,
            "serving": self._serving(situation, where, rollout),
            "back": bool(where) and begun and situation.running(where) not in ("", rollout.tag),
            "untouched": rollout.listed(p for p in situation.untouched if p != where or not begun),
            "nothing_applied": not applied,
            "git": places.joined(sorted(git)),
            "git_ahead": tag in git and applied and not situation.serving.get(where, {}).get(rollout.tag, (0, 0))[0],
            "rollback": rollout.command("rollback", rollout.target(where)[1] or "production")
            if any(rollout.before.values())
            else "",
            "done": rollout.listed(p for p in rollout.served if p != where),
            "problems": [f"{name}: {text}" for name, text in situation.problems.items()],
            "stopped_by": rollout.stop,
            "pending": self._pending(rollout, situation.debts),
        }

    _unknown = _failed
    _stopped = _failed

    def _back(self, rollout: Rollout) -> dict[str, Any]:
        step = rollout.current
        return {"step": step.name if step else "its end"}

    def _expired(self, rollout: Rollout, debts: Sequence[Debt] = ()) -> dict[str, Any]:
        return {"pending": self._pending(rollout, debts)}

    def _closed(self, rollout: Rollout, by: str, was: str, debts: Sequence[Debt] = ()) -> dict[str, Any]:
        return {"by": by, "was": str(was), "pending": self._pending(rollout, debts)}

    def _bad(self, rollout: Rollout, step: Step, words_: str, gives_up: datetime | None) -> dict[str, Any]:
        rest = [s.environment for s in rollout.steps if s.name == StepName.APPLY and s.state is StepState.TODO]
        return {
            "where": rollout.spoken(step.environment),
            "words": words_,
            "gives_up": gives_up,
            "rest": rollout.listed(dict.fromkeys(rest)),
        }

    def _still(self, rollout: Rollout, words_: str) -> dict[str, Any]:
        return {"words": words_}

    # -- builds and SAL ----------------------------------------------------------------------------------------

    def _build(self, event: str, build: Build, members: Sequence[Member], **more: Any) -> tuple[Line, ...]:
        rooms = dict.fromkeys(room for member in members for room in member.service.rooms)
        service = members[0].service
        text = self._templates.get_template(f"{event}.j2").render(
            target=spoken_members(members),
            names=[m.title for m in members],
            image=build.image.rpartition("/")[2],
            tag=short_tag(build.tag, service.suffix),
            subject=build.subject[:80],
            change=build.change,
            owner=words.quiet(build.owner),
            waited=(self._now() - build.merged).total_seconds(),
            since=self._since(more.get("since", {})),
            mends=more.get("mends"),
            was=str(more.get("was", ""))[:19],
            now=build.digest[:19],
        )
        return tuple(Line(room, words.one_line(text)) for room in rooms)

    def _since(self, counts: Mapping[str, int]) -> list[str]:
        """`3 commits since staging`, `9 since production`; production counts from the one furthest behind."""
        staging = [n for e, n in counts.items() if self._catalogue.environments[e].kind == "staging"]
        production = [n for e, n in counts.items() if self._catalogue.environments[e].kind == "production"]
        most = {name: max(found, default=0) for name, found in (("staging", staging), ("production", production))}
        behind = [(n, name) for name, n in most.items() if n]
        return [f"{words.count(n, 'commit') if not i else n} since {name}" for i, (n, name) in enumerate(behind)]

    def _sal(self, event: str, rollout: Rollout, step: Step, **facts: Any) -> str:
        suffix = self._service(rollout).suffix
        begun = rollout.step(StepName.APPLY, step.environment, step.stage)
        service, environment = rollout.target(step.environment)
        situation: Situation | None = facts.get("situation")
        text = self._templates.get_template(f"{event}.j2").render(
            who=f"{rollout.shell}@{self._host}",
            part=rollout.part,
            env=environment + (f"/{step.stage}" if step.stage == "canary" else ""),
            directory=f"{self._catalogue.charts.services_dir}/{service}",
            before=" or ".join(sorted(short_tag(t, suffix) for t in rollout.ran(step.environment, rollout.part)))
            or "nothing",
            tag=short_tag(rollout.tag or "as in git", suffix),
            n=rollout.number,
            outcome=str(facts.get("outcome", "")),
            pods=words.pods(facts["pods"]) if facts.get("pods") else "",
            took=words.sal_duration((self._now() - begun.started).total_seconds()) if begun and begun.started else "",
            serving=short_tag(situation.running(step.environment), suffix) if situation else "",
            untouched=rollout.listed(p for p in situation.untouched if p != step.environment) if situation else "",
        )
        return words.ascii_only(text)

    # -- helpers -----------------------------------------------------------------------------------------------

    def _say(self, event: str, rollout: Rollout, facts: Mapping[str, Any]) -> Line:
        suffix = self._service(rollout).suffix
        ran = [tag for place in rollout.environments for tag in rollout.ran(place, rollout.part)]
        before = {short_tag(tag, suffix) for tag in ran if tag != rollout.tag}
        if not before:  # the pods have it; git is what moves
            git = rollout.briefing.git
            said = {git.get(e, "") for e in rollout.environments} - {"", rollout.tag}
            before = {f"git {short_tag(t, suffix)}" for t in said}
        waited = (self._now() - rollout.created).total_seconds()
        ends = {"succeeded", "failed", "unknown", "stopped", "ask", "bad", "expired"}
        calls = event in {"ask", "bad", "failed", "unknown"} or (event in ends and waited > LONG)
        common = {
            "n": rollout.number,
            "service": rollout.title,
            "where": places.joined(places.environments(rollout.environments), "then"),
            "before": " or ".join(sorted(before)),
            "tag": short_tag(rollout.tag, suffix),
            "actor": rollout.actor,
            "who": f"{rollout.briefing.nick or rollout.actor}: " if calls else "",
            "reason": rollout.reason,
        }
        template = self._templates.get_template(f"{event}.j2")
        url = "" if event == "diff" and facts.get("lines") else f"{self._page}/{rollout.number}"
        forms: dict[str, None] = {}
        for clip, curt in CLIPS:  # a long reason is cut before anything that says what to do
            why = {"why": words.clip(str(facts["why"]), clip)} if "why" in facts else {}
            forms[words.one_line(template.render({**common, **facts, **why, "curt": curt}))] = None
        text, *shorter = forms
        return Line(rollout.home, text, URGENCIES.get(event, Urgency.VERDICT), tuple(shorter), url)

    def _pending(self, rollout: Rollout, debts: Sequence[Debt]) -> str:
        """What this rollout merged and nobody applied yet, in rollout order."""
        owed = {rollout.place(d.service, d.environment) for d in debts if d.number == rollout.number}
        late = (place for place in (*rollout.environments, *rollout.pending) if place in owed)
        return rollout.listed(late)

    def _service(self, rollout: Rollout) -> Service:
        return rollout.subject.service

    def _serving(self, situation: Situation, where: str, rollout: Rollout) -> str:
        suffix = self._service(rollout).suffix
        said = []
        for place in [where] if where else rollout.environments:
            tags = {t: n for t, n in situation.serving.get(place, {}).items() if n[0]}
            shown = places.joined(f"{short_tag(t, suffix)} ({words.pods(n)})" for t, n in tags.items())
            does = f"serves {shown or 'NOTHING'}" if place in situation.serving else "cannot be seen"
            said.append(f"{rollout.spoken(place)} {does}")
        return ", ".join(said)


def listed_tags(tags: set[str], suffix: str) -> str:
    """Tags as people say them."""
    return places.joined(sorted(short_tag(t, suffix) for t in tags if t))
