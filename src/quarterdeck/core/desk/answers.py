"""Answers that change nothing: status, versions, diffs, pods, logs, who you are, and what can be said."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.cluster.pods import pods as pods_of
from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.grammar import NOTHING
from quarterdeck.core.model.errors import NotFoundError, QuarterdeckError, RequestError
from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.place import grouped, joined, slug
from quarterdeck.core.model.service import Service
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.orders.tagging import Tagging
from quarterdeck.core.orders.targets import Targets
from quarterdeck.core.rollout.intent import ALL, Target, spoken_target
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import HOLDING, State
from quarterdeck.core.rollout.step import StepName, StepState
from quarterdeck.core.rollout.subject import Member, Subject
from quarterdeck.core.rules.refusals import NotIdentified
from quarterdeck.core.rules.serving_order import in_serving_order
from quarterdeck.core.situation import Situation, Surveyor
from quarterdeck.core.world import World

#: lines a `!log` or `!diff` prints at most; the page has all
MOST_LINES = 40
#: parts or services of a group that are told one by one
MOST_MEMBERS = 8
#: debts that `!status` tells one by one
MOST_OWED = 8
#: verb -> its help line; the order is the order of `!help`
HELP: Mapping[str, str] = {
    "deploy": "!deploy SERVICE[/PART]|@GROUP ENV [TAG] [-- why]: edits the tag in git, merges, syncs, diffs, asks where it must, applies, "
    "checks the pods. Without TAG: staging takes the newest announced image, production takes what staging runs. ENV: an environment or "
    "production. --pin: in a copy of ENV's own. --alone: one service of a group, the others become pending",
    "apply": "!apply SERVICE[/PART]|@GROUP ENV: brings the cluster to what git says already (config, charts, a tag bumped by hand)",
    "preview": "!preview SERVICE[/PART]|@GROUP ENV [TAG]: a deploy up to the diff, changes nothing; !preview apply … previews an apply",
    "confirm": "!confirm CODE [with N]: answers my question, in the channel where I asked it; N is the number of surprises",
    "stop": "!stop ID (also !cancel, !abort): declines the question, closes what is FAILED or UNKNOWN, or ends the apply and lets helm go back",
    "retry": "!retry ID: looks again at a FAILED or UNKNOWN rollout and goes on from there",
    "rollback": "!rollback SERVICE[/PART]|@GROUP [ENV] [TAG]: back to the tag that ran before; without ENV production. --alone as for deploy",
    "status": "!status [SERVICE|@GROUP|ID|mine]: what runs, what waits, what is stuck",
    "versions": "!versions SERVICE|SERVICE/PART|@GROUP...: tags only",
    "diff": "!diff ID: what the rollout changes",
    "pods": "!pods ID: the pods of its environments now",
    "log": "!log ID [LINES]: the end of helmfile's log",
    "whoami": "!whoami: who I think you are and what you may do",
    "help": "!help [VERB]",
}


class Answers:
    """Read-only commands. Each returns lines to say."""

    def __init__(self, world: World, page_url: str, targets: Targets, tagging: Tagging, surveyor: Surveyor) -> None:
        self.world, self.page = world, page_url.rstrip("/")
        self.targets, self.tagging, self.surveyor = targets, tagging, surveyor

    async def status(self, actor: Actor, text: str) -> list[str]:
        """`!status [SERVICE|ID|mine]`."""
        said = grammar.words(text)
        if len(said) > 1:
            raise RequestError(f"say !status, !status SERVICE, !status ID or !status mine. {NOTHING}")
        if not said:
            return [await self._overview(await self._open())]
        word = said[0].lower()
        if word == "mine":
            mine = [r for r in await self._open() if r.actor == actor.name]
            return [await self._overview(mine, actor.name)]
        if word.lstrip("#r").isdigit() and word not in self.world.catalogue.services:
            return [self._one(await self._get("status", text))]
        (target,) = grammar.parse_names("status", text, self.world.catalogue.services, self.world.catalogue.groups)
        found = await self.targets.members_of(target)
        return [await self._service(member, snapshot) for member, snapshot in found[:MOST_MEMBERS]]

    async def versions(self, actor: Actor, text: str) -> list[str]:
        """`!versions SERVICE…`: tags only, each service on a line."""
        targets = grammar.parse_names("versions", text, self.world.catalogue.services, self.world.catalogue.groups)
        if not targets:
            raise RequestError(f"which service? Say !versions SERVICE. {NOTHING}")
        found = [pair for target in targets[:5] for pair in await self.targets.members_of(target)]
        return [await self.versions_line(member, snapshot) for member, snapshot in found[:MOST_MEMBERS]]

    async def versions_of(self, target: Target) -> list[str]:
        """A line for the service, or for each of its parts."""
        return [
            await self.versions_line(member, snapshot) for member, snapshot in await self.targets.members_of(target)
        ]

    async def versions_line(self, member: Member, snapshot: Snapshot | None) -> str:
        """`citoid: git … | staging … | codfw, eqiad … | newest …`."""
        situation = await self._survey(member, snapshot)
        parts = [f"{names} {tag}" for names, tag in self._fold(member.service, situation, pods=False)]
        newest = await self._newest(member)
        line = [*parts, *self._unread(situation, snapshot), *newest]
        return " | ".join([f"{member.title}: {line[0] if line else '?'}", *line[1:]])

    async def diff(self, actor: Actor, text: str) -> list[str]:
        """`!diff ID`: the changed lines of each environment."""
        rollout = await self._get("diff", text)
        lines: list[str] = []
        for place in rollout.environments:
            environment = rollout.spoken(place)
            data, _ = await self.world.files.read(rollout.number, f"{slug(place)}.diff")
            changed = [
                x for x in data.decode("utf-8", "replace").splitlines() if x[:2] in ("+ ", "- ") and x.strip("+- ")
            ]
            lines += [f"#{rollout.number} {environment}: {' '.join(x.split())}" for x in changed]
        if not lines:
            return [
                f"#{rollout.number} has no changed lines{'' if rollout.records.diffed else ' yet: it did not diff'}. {self.page}/{rollout.number}"
            ]
        return self._paced(rollout, lines)

    async def pods(self, actor: Actor, text: str) -> list[str]:
        """`!pods ID`: the pods of its environments as they are now."""
        rollout = await self._get("pods", text)
        suffix = rollout.subject.service.suffix
        subject, lines = rollout.subject, list[str]()
        for place in rollout.environments:
            (member, _), environment = subject.at(place), rollout.spoken(place)
            try:
                objects = await self.world.host.objects(*rollout.target(place))
                found = pods_of(objects, member.images, member.registry_suffixes, member.is_part)
            except QuarterdeckError as error:
                lines.append(f"#{rollout.number} {environment}: cannot be seen: {error}")
                continue
            shown = [f"{p.name} {short_tag(p.tag, suffix)} {p.words}" for p in found]
            lines += [f"#{rollout.number} {environment}: {x}" for x in shown] or [
                f"#{rollout.number} {environment}: no pods"
            ]
        return self._paced(rollout, [self.world.redactor.text(x) for x in lines])

    async def log(self, actor: Actor, text: str) -> list[str]:
        """`!log ID [LINES]`: the end of the newest helmfile log."""
        number, rest = grammar.parse_number("log", text)
        if len(rest) > 1 or (rest and not (rest[0].isascii() and rest[0].isdigit() and len(rest[0]) < 6)):
            raise RequestError(f"say !log {number} or !log {number} 20. {NOTHING}")
        rollout = await self._known(number)
        wanted = min(int(rest[0]) if rest else 10, MOST_LINES)
        kept: list[str] = []
        for name in log_names(rollout):
            data, _ = await self.world.files.read(number, name)
            kept += [x for x in data.decode("utf-8", "replace").splitlines() if x.strip()]
        if not kept:
            return [f"#{number} has no log yet. {self.page}/{number}"]
        return (
            [f"#{number} {x}" for x in kept[-wanted:]]
            if wanted
            else [f"#{number} has {len(kept)} lines: {self.page}/{number}"]
        )

    async def whoami(self, actor: Actor, text: str) -> list[str]:
        """`!whoami`: account, person, groups."""
        if actor.account is None:
            how = self.world.voice.refusal(NotIdentified(actor.network), begun=True)
            return [f"{actor.nick}: {how}"]
        if actor.person is None:
            return [
                f"{actor.nick}: account {grammar.clip(actor.account)}, unknown to me: ask for an entry in the catalogue's people. You may look, not deploy"
            ]
        may = [s.name for s in self.world.catalogue.services.values() if s.deployers & actor.person.groups]
        groups = ", ".join(sorted(actor.person.groups)) or "none"
        return [
            f"{actor.nick}: account {actor.account} = {actor.person.name} ({actor.person.shell} on {self.world.deploy_host_name}), "
            f"groups {groups}; may deploy {', '.join(may) or 'nothing'}"
        ]

    async def help(self, actor: Actor, text: str) -> list[str]:
        """`!help [VERB]`: one line in a channel, all of it in private."""
        said = grammar.words(text)
        if said:
            verb = said[0].lstrip("!").lower()
            verb = {"cancel": "stop", "abort": "stop"}.get(verb, verb)
            if verb not in HELP:
                near = grammar.nearest(verb, HELP)
                hint = f"Did you mean !help {near}?" if near else f"I know {', '.join(HELP)}"
                raise NotFoundError(f"no command {grammar.clip(said[0])}. {hint}")
            return [HELP[verb]]
        if actor.room:
            return [
                "!deploy SERVICE ENV [TAG] | !apply SERVICE ENV | !preview | !confirm CODE | !stop ID | !retry ID | "
                f"!rollback SERVICE | !status [SERVICE] | more: !help VERB, or in private !help | {self.page}/"
            ]
        return [*HELP.values(), *await self.whoami(actor, "")]

    # -- helpers -----------------------------------------------------------------------------------------------

    async def _open(self) -> tuple[Rollout, ...]:
        return await self.world.store.find(HOLDING | {State.FAILED, State.PLANNED}, limit=50)

    async def _overview(self, rollouts: Sequence[Rollout], owner: str = "") -> str:
        def shown(state: State) -> str:
            return ", ".join(
                f"#{r.number} {r.title} {'+'.join(environments_of(r.environments))} ({r.actor}{step_words(r)})"
                for r in rollouts
                if r.state is state
            )

        debts = [debt for debt in await self.world.store.debts() if owner in ("", debt.owner)]
        named = tuple(dict.fromkeys((spoken_target(d.service, d.part), d.environment) for d in debts))
        owed = ", ".join(map(" ".join, named))
        if len(named) > MOST_OWED:
            owed = grouped(
                (service, e) for e in self._ordered({e for _, e in named}) for service, at in named if at == e
            )
        left_alone = await self.world.store.unreadable()
        parts = [f"CANNOT READ: {', '.join(f'#{one.number} ({one.why})' for one in left_alone)}"] if left_alone else []
        parts += [f"UNKNOWN: {shown(State.UNKNOWN)}"] if shown(State.UNKNOWN) else []
        parts += [f"FAILED: {shown(State.FAILED)}"] if shown(State.FAILED) else []
        parts += [f"pending: {owed}"] if owed else []
        parts += [f"running: {shown(State.RUNNING) or 'none'}", f"waiting: {shown(State.WAITING) or 'none'}"]
        return f"{' | '.join(parts)} | {self.page}/"

    async def _service(self, member: Member, snapshot: Snapshot | None) -> str:
        situation, service = await self._survey(member, snapshot), member.service
        parts = [f"{names} {tag}" for names, tag in self._fold(service, situation, pods=True)]
        mine = [r for r in await self._open() if service.name in r.services and r.part in ("", ALL, member.part)]
        business = [f"#{r.number} {r.state}{step_words(r)}" for r in mine]
        owed: dict[str, list[str]] = {}
        order = self._ordered({d.environment for d in situation.debts})
        for d in sorted(situation.debts, key=lambda d: order.index(d.environment)):
            name = d.environment if d.part in ("", member.part) else f"{d.part} {d.environment}"
            owed.setdefault(f"pending since {d.since:%H:%M} (#{d.number} {d.owner})", []).append(name)
        debts = [f"{', '.join(names)} {words}" for words, names in owed.items()]
        line = [*debts, *parts, *self._unread(situation, snapshot), *await self._newest(member), *business]
        return " | ".join([f"{member.title}: {line[0]}" if line else f"{member.title}: ?", *line[1:], f"{self.page}/"])

    def _ordered(self, environments: Collection[str]) -> list[str]:
        """Names of environments in rollout order, those that the catalogue has not at the end."""
        known = [e.name for e in in_serving_order(self.world.catalogue.environments.values())]
        return [*(name for name in known if name in environments), *sorted(set(environments) - set(known))]

    async def _survey(self, member: Member, snapshot: Snapshot | None) -> Situation:
        known = self.world.catalogue.environments
        order = in_serving_order(e for e in known.values() if e.name in member.environments)
        return await self.surveyor.survey(Subject((member,)), tuple(e.name for e in order), 8.0, snapshot)

    def _fold(self, service: Service, situation: Situation, pods: bool) -> list[tuple[str, str]]:
        """Environments with the same words on one entry, git first."""
        git = list(dict.fromkeys(situation.git.values()))
        said: dict[str, list[str]] = {}
        if len(git) == 1:
            said[short_tag(git[0], service.suffix)] = ["git"]
        environments = dict.fromkeys([*situation.git, *situation.serving, *situation.problems])
        for environment in environments:
            if environment != "git":
                said.setdefault(self._words(service, situation, environment, pods), []).append(environment)
        if len(git) > 1:
            of = {tag: joined(e for e, t in situation.git.items() if t == tag) for tag in git}
            said = {
                ", ".join(f"{short_tag(tag, service.suffix)} for {names}" for tag, names in of.items()): ["git"],
                **said,
            }
        return [(", ".join(names), words) for words, names in said.items()]

    def _unread(self, situation: Situation, snapshot: Snapshot | None) -> list[str]:
        """Why git says no tag, where its files were read."""
        return (
            [f"git: {grammar.clip(situation.problems['git'], 80)}"] if snapshot and "git" in situation.problems else []
        )

    def _words(self, service: Service, situation: Situation, environment: str, pods: bool) -> str:
        if environment in situation.problems:
            return "?"
        tags = {t: n for t, n in situation.serving.get(environment, {}).items() if n[1]}
        if not tags:
            return "nothing"
        git = situation.git.get(environment, "")
        shown = " and ".join(
            short_tag(t, service.suffix) + (f" {n[0]}/{n[1]}" if pods else "") for t, n in tags.items()
        )
        return shown if set(tags) == {git} or not git or not pods else f"{shown}, behind git"

    async def _newest(self, member: Member) -> list[str]:
        newest = await self.tagging.newest(member)
        return [f"newest {short_tag(newest, member.service.suffix)}"] if newest else []

    def _one(self, rollout: Rollout) -> str:
        suffix = rollout.subject.service.suffix
        where = "+".join(environments_of(rollout.environments))
        note = f": {rollout.note}" if rollout.note else ""
        return f"#{rollout.number} {rollout.title} {where} {short_tag(rollout.tag, suffix)} {rollout.state}{step_words(rollout)} ({rollout.actor}){note}. {self.page}/{rollout.number}"

    async def _get(self, verb: str, text: str) -> Rollout:
        number, rest = grammar.parse_number(verb, text)
        if rest:
            raise RequestError(f"too many words: say !{verb} {number}. {NOTHING}")
        return await self._known(number)

    async def _known(self, number: int) -> Rollout:
        rollout = await self.world.store.get(number)
        if rollout is None:
            raise NotFoundError(f"there is no #{number}. See !status. {NOTHING}")
        return rollout

    def _paced(self, rollout: Rollout, lines: list[str]) -> list[str]:
        if len(lines) <= MOST_LINES:
            return lines
        return [
            *lines[:MOST_LINES],
            f"#{rollout.number}: {len(lines) - MOST_LINES} more lines: {self.page}/{rollout.number}",
        ]


def step_words(rollout: Rollout) -> str:
    """Where a rollout stands, in two words."""
    step = rollout.current
    if rollout.state is State.WAITING:
        return f", till {rollout.deadline:%H:%M}" if rollout.deadline else ""
    if step is None:
        return ""
    return f", {step.name}{f' {rollout.spoken(step.environment)}' if step.environment else ''}"


def log_names(rollout: Rollout) -> tuple[str, ...]:
    """The files that hold a rollout's helmfile logs, in the order they were written."""
    diffs = [f"{slug(place)}.diff.log" for place in rollout.environments]
    applies = [
        f"{slug(s.environment)}.{s.stage}.apply.log"
        for s in rollout.steps
        if s.name == StepName.APPLY and s.state is not StepState.TODO
    ]
    return (*diffs, *applies)


def next_commands(rollout: Rollout) -> tuple[str, ...]:
    """What a person can type from here, ready to paste."""
    n = rollout.number
    match rollout.state:
        case State.WAITING:
            with_ = f" with {rollout.code_count}" if rollout.code_count else ""
            return (f"!confirm {rollout.code}{with_}", f"!stop {n}")
        case State.PLANNED | State.RUNNING:
            return (f"!stop {n}",)
        case State.FAILED:
            return (f"!retry {n}", rollout.command("rollback", rollout.targets[0][1]), f"!stop {n}")
        case State.UNKNOWN:
            return (f"!retry {n}", f"!stop {n}")
        case State.SUCCEEDED if rollout.pending and rollout.kind == Kind.DEPLOY:
            return (rollout.command("deploy", "production"), f"!status {rollout.title}")
        case _:
            return (f"!status {rollout.title}",)
