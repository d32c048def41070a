"""What is answered to a person who asked, or whose command made no rollout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import singledispatch

from quarterdeck.core.cluster.pods import Pod
from quarterdeck.core.desk.answers import (
    AlreadyBack,
    AlreadyRuns,
    ChangedLines,
    GoesOn,
    HelpInBrief,
    KnownPerson,
    LeftOpen,
    LogEnd,
    LooksAgain,
    Overview,
    PodsNow,
    Previewed,
    RolloutStatus,
    ServiceStatus,
    ServiceVersions,
    Stopping,
    UnknownAccount,
)
from quarterdeck.core.model.answer import Answer
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.place import grouped, joined, listed, told
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.model.text import clip
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import spoken_target
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.subject import Member
from quarterdeck.core.situation import Situation
from quarterdeck.views import words
from quarterdeck.views.questions import reason_sentence
from quarterdeck.views.sentences import either_tag

#: lines that `!log`, `!pods` or `!diff` print at most; the page has all
MOST_LINES = 40
#: debts that are told one by one
_MOST_OWED = 8
#: characters of what a system says
_LONGEST_WHY = 80


@singledispatch
def answer_lines(answer: Answer, page_url: str) -> tuple[str, ...]:
    """The lines of an answer. An answer registers its own here.

    Args:
        page_url: where the page is, without a rollout's number and without a slash at its end.
    """
    raise NotImplementedError(f"no words for {answer!r}")


# -- to orders -------------------------------------------------------------------------------------------------------


@answer_lines.register
def _(answer: AlreadyRuns, page_url: str) -> tuple[str, ...]:
    runs = "runs" if len(answer.environments) == 1 else "run"
    tag = short_tag(answer.tag, answer.suffix)
    where = joined(answer.environments)
    return (f"{answer.title} {where} already {runs} {tag} ({words.pods(answer.pods)}). Nothing to do.",)


@answer_lines.register
def _(answer: AlreadyBack, page_url: str) -> tuple[str, ...]:
    tag = short_tag(answer.tag, answer.suffix)
    return (f"{answer.title} {joined(answer.environments)}: pods and git have {tag} already. Nothing to do.",)


@answer_lines.register
def _(answer: GoesOn, page_url: str) -> tuple[str, ...]:
    number = answer.rollout.number
    where = " then ".join(environments_of(answer.rollout.environments))
    return (f"#{number} goes on: {where}. !stop {number}",)


@answer_lines.register
def _(answer: LooksAgain, page_url: str) -> tuple[str, ...]:
    number, step = answer.rollout.number, answer.rollout.current
    return (f"#{number}: looking again, going on from {step.name if step else 'the end'}. !stop {number}",)


@answer_lines.register
def _(answer: Stopping, page_url: str) -> tuple[str, ...]:
    rollout, step = answer.rollout, answer.rollout.current
    at_which_step = f" at {step.name}" if step else ""
    if step and answer.helm_goes_back:
        at_which_step = f"; helm goes back in {rollout.spoken(step.environment)}, I tell when it has"
    return (f"#{rollout.number}: stopping{at_which_step}",)


@answer_lines.register
def _(answer: LeftOpen, page_url: str) -> tuple[str, ...]:
    return (" ".join(f"#{number}: {left}" for number, left in answer.left),)


@answer_lines.register
def _(answer: Previewed, page_url: str) -> tuple[str, ...]:
    where = " then ".join(answer.environments)
    changing = {place: diff.summary for place, diff in answer.differences.items() if diff.changes}
    would_change = told(changing, answer.service) or "nothing would change"
    asked = reason_sentence(answer.asking) if answer.asking else ""
    would_ask = f"would ask ({asked})" if asked else "would not ask"
    pending = f" {listed(answer.pending, answer.service)} would become pending." if answer.pending else ""
    return (
        f"preview {answer.title} {where} {_move(answer)}: {_edits(answer)}; {would_change}; "
        f"{would_ask}.{pending} Nothing was changed",
    )


def _move(preview: Previewed) -> str:
    """From which tags to which."""
    if not preview.tag:
        return "as git says"
    others = {tag for tag in preview.running if tag != preview.tag or len(preview.running) == 1}
    return f"{either_tag(others, preview.suffix)} → {short_tag(preview.tag, preview.suffix)}"


def _edits(preview: Previewed) -> str:
    if not preview.files:
        return "git has it already"
    return f"{words.count(preview.files, 'file')}, {words.count(preview.lines, 'line')}"


# -- what is under way -----------------------------------------------------------------------------------------------


@answer_lines.register
def _(answer: Overview, page_url: str) -> tuple[str, ...]:
    """What is wrong comes first."""
    entries = (
        _entry("CANNOT READ", ", ".join(f"#{one.number} ({one.why})" for one in answer.unreadable)),
        _entry("UNKNOWN", _in_state(answer.rollouts, State.UNKNOWN)),
        _entry("FAILED", _in_state(answer.rollouts, State.FAILED)),
        _entry("pending", _owed(answer.debts, answer.serving_order)),
        f"running: {_in_state(answer.rollouts, State.RUNNING) or 'none'}",
        f"waiting: {_in_state(answer.rollouts, State.WAITING) or 'none'}",
        f"{page_url}/",
    )
    return (" | ".join(filter(None, entries)),)


def _entry(title: str, shown: str) -> str:
    return f"{title}: {shown}" if shown else ""


def _in_state(rollouts: Iterable[Rollout], state: State) -> str:
    """The rollouts in a state: `#44 citoid codfw+eqiad (alice, till 14:31)`."""
    shown = [
        f"#{rollout.number} {rollout.title} {_where(rollout)} ({rollout.actor}{_at_which_step(rollout)})"
        for rollout in rollouts
        if rollout.state is state
    ]
    return ", ".join(shown)


def _where(rollout: Rollout) -> str:
    return "+".join(environments_of(rollout.environments))


def _at_which_step(rollout: Rollout) -> str:
    """Where a rollout stands, in two words."""
    step = rollout.current
    if rollout.state is State.WAITING:
        return f", till {rollout.deadline:%H:%M}" if rollout.deadline else ""
    if step is None:
        return ""
    where = f" {rollout.spoken(step.environment)}" if step.environment else ""
    return f", {step.name}{where}"


def _owed(debts: Iterable[Debt], serving_order: Sequence[str]) -> str:
    """What is merged and not applied, by environment where it is much."""
    owed = tuple(dict.fromkeys((spoken_target(debt.service, debt.part), debt.environment) for debt in debts))
    if len(owed) <= _MOST_OWED:
        return ", ".join(f"{title} {environment}" for title, environment in owed)
    order = _in_serving_order({environment for _, environment in owed}, serving_order)
    return grouped(sorted(owed, key=lambda pair: order.index(pair[1])))


def _in_serving_order(environments: Collection[str], serving_order: Sequence[str]) -> list[str]:
    """Names of environments, those that the catalogue has not at the end."""
    known = [name for name in serving_order if name in environments]
    return [*known, *sorted(set(environments) - set(known))]


@answer_lines.register
def _(answer: RolloutStatus, page_url: str) -> tuple[str, ...]:
    rollout = answer.rollout
    tag = short_tag(rollout.tag, rollout.subject.service.suffix)
    note = f": {rollout.note}" if rollout.note else ""
    return (
        f"#{rollout.number} {rollout.title} {_where(rollout)} {tag} {rollout.state}{_at_which_step(rollout)} "
        f"({rollout.actor}){note}. {page_url}/{rollout.number}",
    )


# -- services --------------------------------------------------------------------------------------------------------


@answer_lines.register
def _(answer: ServiceVersions, page_url: str) -> tuple[str, ...]:
    """`citoid: git … | staging … | codfw, eqiad … | newest …`."""
    entries = [*_folded(answer, with_pods=False), *_git_and_newest(answer)]
    return (f"{answer.member.title}: {' | '.join(entries or ['?'])}",)


@answer_lines.register
def _(answer: ServiceStatus, page_url: str) -> tuple[str, ...]:
    """`citoid: codfw pending … | git … | staging … | newest … | #44 WAITING …`."""
    versions = answer.versions
    business = [f"#{rollout.number} {rollout.state}{_at_which_step(rollout)}" for rollout in answer.rollouts]
    entries = [
        *_debts(versions.member, versions.situation.debts, answer.serving_order),
        *_folded(versions, with_pods=True),
        *_git_and_newest(versions),
        *business,
    ]
    return (" | ".join([f"{versions.member.title}: {' | '.join(entries or ['?'])}", f"{page_url}/"]),)


def _debts(member: Member, debts: Sequence[Debt], serving_order: Sequence[str]) -> list[str]:
    """`codfw, eqiad pending since 14:00 (#1 alice)`."""
    order = _in_serving_order({debt.environment for debt in debts}, serving_order)
    names_by_text: dict[str, list[str]] = {}
    for debt in sorted(debts, key=lambda debt: order.index(debt.environment)):
        is_its_own = debt.part in ("", member.part)
        name = debt.environment if is_its_own else f"{debt.part} {debt.environment}"
        text = f"pending since {debt.since:%H:%M} (#{debt.number} {debt.owner})"
        names_by_text.setdefault(text, []).append(name)
    return [f"{', '.join(names)} {text}" for text, names in names_by_text.items()]


def _folded(versions: ServiceVersions, with_pods: bool) -> list[str]:
    """`git 2026-08-17-094555`, `codfw, eqiad 2026-08-06-230932`: what says the same in one entry, git first."""
    situation, suffix = versions.situation, versions.member.service.suffix
    names_by_text: dict[str, list[str]] = {}
    git_tags = list(dict.fromkeys(situation.git.values()))
    if len(git_tags) == 1:
        names_by_text[short_tag(git_tags[0], suffix)] = ["git"]
    for place in dict.fromkeys([*situation.git, *situation.serving, *situation.problems]):
        if place != "git":
            names_by_text.setdefault(_running(situation, suffix, place, with_pods), []).append(place)
    if len(git_tags) > 1:
        names_by_text = {_several_in_git(situation.git, suffix): ["git"], **names_by_text}
    return [f"{', '.join(names)} {text}" for text, names in names_by_text.items()]


def _several_in_git(git: Mapping[str, str], suffix: str) -> str:
    """Several tags, each with the places it is for."""
    places_by_tag: dict[str, list[str]] = {}
    for place, tag in git.items():
        places_by_tag.setdefault(tag, []).append(place)
    return ", ".join(f"{short_tag(tag, suffix)} for {joined(places)}" for tag, places in places_by_tag.items())


def _running(situation: Situation, suffix: str, place: str, with_pods: bool) -> str:
    """The tags that run in a place, with how many pods are ready; `?` where it cannot be seen."""
    if place in situation.problems:
        return "?"
    serving = situation.serving.get(place, {})
    tags = {tag: (ready, pods) for tag, (ready, pods) in serving.items() if pods}
    if not tags:
        return "nothing"
    shown = []
    for tag, pods in tags.items():
        counts = f" {words.pods(pods)}" if with_pods else ""
        shown.append(f"{short_tag(tag, suffix)}{counts}")
    git = situation.git.get(place, "")
    behind = ", behind git" if with_pods and git and set(tags) != {git} else ""
    return " and ".join(shown) + behind


def _git_and_newest(versions: ServiceVersions) -> list[str]:
    entries = []
    if versions.git_problem:
        entries.append(f"git: {clip(versions.git_problem, _LONGEST_WHY)}")
    if versions.newest:
        entries.append(f"newest {short_tag(versions.newest, versions.member.service.suffix)}")
    return entries


# -- one rollout, at length ------------------------------------------------------------------------------------------


@answer_lines.register
def _(answer: ChangedLines, page_url: str) -> tuple[str, ...]:
    rollout = answer.rollout
    if not answer.lines:
        not_yet = "" if rollout.records.diffed else " yet: it did not diff"
        return (f"#{rollout.number} has no changed lines{not_yet}. {page_url}/{rollout.number}",)
    shown = [f"#{rollout.number} {rollout.spoken(place)}: {words.one_line(line)}" for place, line in answer.lines]
    return _at_most(shown, rollout, page_url)


@answer_lines.register
def _(answer: PodsNow, page_url: str) -> tuple[str, ...]:
    rollout = answer.rollout
    lines: list[str] = []
    for place in rollout.environments:
        shown = [f"cannot be seen: {answer.blind[place]}"] if place in answer.blind else ["no pods"]
        if pods := answer.pods.get(place):
            shown = [_pod(pod, rollout) for pod in pods]
        lines += [f"#{rollout.number} {rollout.spoken(place)}: {text}" for text in shown]
    return _at_most(lines, rollout, page_url)


def _pod(pod: Pod, rollout: Rollout) -> str:
    return f"{pod.name} {short_tag(pod.tag, rollout.subject.service.suffix)} {pod.words}"


@answer_lines.register
def _(answer: LogEnd, page_url: str) -> tuple[str, ...]:
    number = answer.number
    if not answer.lines:
        return (f"#{number} has no log yet. {page_url}/{number}",)
    wanted = min(answer.wanted, MOST_LINES)
    if not wanted:
        return (f"#{number} has {len(answer.lines)} lines: {page_url}/{number}",)
    return tuple(f"#{number} {line}" for line in answer.lines[-wanted:])


def _at_most(lines: Sequence[str], rollout: Rollout, page_url: str) -> tuple[str, ...]:
    """The first lines, and where the others are."""
    if len(lines) <= MOST_LINES:
        return tuple(lines)
    hidden = len(lines) - MOST_LINES
    return (*lines[:MOST_LINES], f"#{rollout.number}: {hidden} more lines: {page_url}/{rollout.number}")


# -- people and commands ---------------------------------------------------------------------------------------------


@answer_lines.register
def _(answer: UnknownAccount, page_url: str) -> tuple[str, ...]:
    return (
        f"account {clip(answer.account)}, unknown to me: ask for an entry in the catalogue's people. "
        "You may look, not deploy",
    )


@answer_lines.register
def _(answer: KnownPerson, page_url: str) -> tuple[str, ...]:
    person = answer.person
    groups = ", ".join(sorted(person.groups)) or "none"
    return (
        f"account {answer.account} = {person.name} ({person.shell} on {answer.host_name}), "
        f"groups {groups}; may deploy {', '.join(answer.services) or 'nothing'}",
    )


@answer_lines.register
def _(answer: HelpInBrief, page_url: str) -> tuple[str, ...]:
    return (" | ".join([*answer.briefs, "more: !help VERB, or in private !help", f"{page_url}/"]),)
