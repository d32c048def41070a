"""`!status [SERVICE|@GROUP|ID|mine]`: what runs, what waits, what is stuck."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.rollouts import step_words
from quarterdeck.core.desk.queries.survey import MOST_MEMBERS, folded, git_unread, newest, survey
from quarterdeck.core.desk.refusals import StatusOfWhat
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import RequestError
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.place import grouped
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import ALL, spoken_target
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import HOLDING, State
from quarterdeck.core.rollout.subject import Member
from quarterdeck.core.rules.serving_order import in_serving_order

#: debts that are told one by one
_MOST_OWED = 8


async def status(desk: Desk, said: Said) -> list[str]:
    """The overview, one's own business, one rollout, or a service."""
    words = grammar.words(said.text)
    if len(words) > 1:
        raise RequestError(StatusOfWhat())
    if not words:
        return [await _overview(desk, await _open(desk))]
    word = words[0].lower()
    if word == "mine":
        name = said.actor.name
        own_rollouts = [rollout for rollout in await _open(desk) if rollout.actor == name]
        return [await _overview(desk, own_rollouts, name)]
    if word.lstrip("#r").isdigit() and word not in desk.catalogue.services:
        rollout = await desk.rollout(grammar.number(said.verb, said.text))
        return [_rollout_line(desk, rollout)]
    (target,) = desk.grammar.names(said.verb, said.text)
    members = await desk.targets.members_of(target)
    return [await _service_line(desk, member, snapshot) for member, snapshot in members[:MOST_MEMBERS]]


async def _open(desk: Desk) -> tuple[Rollout, ...]:
    return await desk.store.find(HOLDING | {State.FAILED, State.PLANNED}, limit=50)


# -- all -------------------------------------------------------------------------------------------------------------


async def _overview(desk: Desk, rollouts: Sequence[Rollout], owner: str = "") -> str:
    """What is wrong first; debts of one *owner* if one is named."""
    owed = [debt for debt in await desk.store.debts() if owner in ("", debt.owner)]
    unread = ", ".join(f"#{one.number} ({one.why})" for one in await desk.store.unreadable())
    entries = [
        _entry("CANNOT READ", unread),
        _entry("UNKNOWN", _shown(rollouts, State.UNKNOWN)),
        _entry("FAILED", _shown(rollouts, State.FAILED)),
        _entry("pending", _owed_words(desk, owed)),
        f"running: {_shown(rollouts, State.RUNNING) or 'none'}",
        f"waiting: {_shown(rollouts, State.WAITING) or 'none'}",
        f"{desk.page}/",
    ]
    return " | ".join(filter(None, entries))


def _entry(title: str, words: str) -> str:
    return f"{title}: {words}" if words else ""


def _shown(rollouts: Iterable[Rollout], state: State) -> str:
    """The rollouts in a state: `#44 citoid codfw+eqiad (alice, till 14:31)`."""
    shown = []
    for rollout in rollouts:
        if rollout.state is state:
            where = "+".join(environments_of(rollout.environments))
            shown.append(f"#{rollout.number} {rollout.title} {where} ({rollout.actor}{step_words(rollout)})")
    return ", ".join(shown)


def _owed_words(desk: Desk, debts: Iterable[Debt]) -> str:
    """What is merged and not applied, by environment where it is much."""
    owed = list(dict.fromkeys((spoken_target(debt.service, debt.part), debt.environment) for debt in debts))
    if len(owed) <= _MOST_OWED:
        return ", ".join(f"{title} {environment}" for title, environment in owed)
    order = _in_rollout_order(desk, {environment for _, environment in owed})
    return grouped(sorted(owed, key=lambda pair: order.index(pair[1])))


def _in_rollout_order(desk: Desk, environments: Collection[str]) -> list[str]:
    """Names of environments, those that the catalogue has not at the end."""
    catalogue = [environment.name for environment in in_serving_order(desk.catalogue.environments.values())]
    return [*(name for name in catalogue if name in environments), *sorted(set(environments) - set(catalogue))]


# -- one -------------------------------------------------------------------------------------------------------------


async def _service_line(desk: Desk, member: Member, snapshot: Snapshot | None) -> str:
    """`citoid: codfw pending … | git … | staging … | newest … | #44 WAITING …`."""
    situation = await survey(desk, member, snapshot)
    debts = _debt_words(desk, member, situation.debts)
    tags = folded(situation, member.service.suffix, with_pods=True)
    announced, business = await newest(desk, member), await _business(desk, member)
    entries = [*debts, *tags, *git_unread(situation, snapshot), *announced, *business]
    first, *others = entries or ["?"]
    return " | ".join([f"{member.title}: {first}", *others, f"{desk.page}/"])


def _debt_words(desk: Desk, member: Member, debts: Collection[Debt]) -> list[str]:
    """`codfw, eqiad pending since 14:00 (#1 alice)`."""
    order = _in_rollout_order(desk, {debt.environment for debt in debts})
    names_by_words: dict[str, list[str]] = {}
    for debt in sorted(debts, key=lambda debt: order.index(debt.environment)):
        own = debt.part in ("", member.part)
        name = debt.environment if own else f"{debt.part} {debt.environment}"
        words = f"pending since {debt.since:%H:%M} (#{debt.number} {debt.owner})"
        names_by_words.setdefault(words, []).append(name)
    return [f"{', '.join(names)} {words}" for words, names in names_by_words.items()]


async def _business(desk: Desk, member: Member) -> list[str]:
    """The open rollouts of a member."""
    service, parts = member.service.name, ("", ALL, member.part)
    return [
        f"#{rollout.number} {rollout.state}{step_words(rollout)}"
        for rollout in await _open(desk)
        if service in rollout.services and rollout.part in parts
    ]


def _rollout_line(desk: Desk, rollout: Rollout) -> str:
    where = "+".join(environments_of(rollout.environments))
    tag = short_tag(rollout.tag, rollout.subject.service.suffix)
    note = f": {rollout.note}" if rollout.note else ""
    return (
        f"#{rollout.number} {rollout.title} {where} {tag} {rollout.state}{step_words(rollout)} ({rollout.actor}){note}. "
        f"{desk.page}/{rollout.number}"
    )
