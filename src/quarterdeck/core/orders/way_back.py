"""Finds the tag to go back to: the one that our last rollout replaced."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.core.model.errors import RequestError
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.orders.refusals import BackAlready, BackToWhat
from quarterdeck.core.orders.staging_proof import ways_of
from quarterdeck.core.ports.rollouts import Rollouts
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName, StepState
from quarterdeck.core.rollout.subject import Member, Subject
from quarterdeck.core.situation import Situation

#: so many rollouts are looked through
_MOST_ROLLOUTS = 200


class WayBack:
    """Reads the rollouts of the past; what git and cluster say is given."""

    def __init__(self, store: Rollouts) -> None:
        self.store = store

    async def tag(self, word: str, subject: Subject, places: Sequence[str], situation: Situation) -> str:
        """The tag that our last rollout replaced in all places.

        Rollbacks do not count, or going back twice would go forward; neither does what never touched the place.

        Args:
            word: the environment, as said.

        Raises:
            RequestError: it is back already, or no one tag ran in all places.
        """
        ran_before: dict[str, frozenset[str]] = {}
        for member in subject.members:
            rollouts = await self._rollouts(member)
            places_of_member = [place for place in places if subject.at(place)[0] is member]
            _refuse_if_back_already(rollouts, subject, places_of_member, situation)
            ran_before |= _replaced(rollouts, member, subject, places_of_member, situation)
        if ran_before:
            ran_before = _running_ahead(places, situation) | ran_before
        tags = frozenset[str]().union(*ran_before.values())
        if len(tags) == 1 and len(ran_before) == len(places):
            return next(iter(tags))
        ran = {subject.spoken(place): tags for place, tags in ran_before.items()}
        raise RequestError(BackToWhat(subject.service.suffix, ran, ways_of("rollback", subject, word)))

    async def _rollouts(self, member: Member) -> list[Rollout]:
        """Rollouts of a member, newest first: of its part, or of all parts."""
        rollouts = await self.store.find(service=member.service.name, limit=_MOST_ROLLOUTS)
        return [rollout for rollout in rollouts if rollout.part in ("", ALL, member.part)]


def touched(rollout: Rollout, place: str) -> bool:
    """Whether a rollout changed git, or began an apply, for a place of its own."""
    merged = rollout.records.merged
    if merged is not None and not merged.already:
        return True
    applies = [step for step in rollout.steps if step.name == StepName.APPLY and step.environment == place]
    return any(step.state is not StepState.TODO for step in applies)


def _replaced(
    rollouts: Sequence[Rollout], member: Member, subject: Subject, places: Sequence[str], situation: Situation
) -> dict[str, frozenset[str]]:
    """Place -> the tags that the newest rollout which changed anything there found running."""
    replaced: dict[str, frozenset[str]] = {}
    for rollout in rollouts:
        if rollout.kind == Kind.ROLLBACK:
            continue
        for place in places:
            in_rollout = rollout.place(*_target(subject, place))
            ran = rollout.ran(in_rollout, member.part)
            if place in replaced or ran <= {rollout.tag} or _stands(place, ran, situation):
                continue
            if touched(rollout, in_rollout):
                replaced[place] = ran
    return replaced


def _stands(place: str, ran: frozenset[str], situation: Situation) -> bool:
    """Whether pods and git have what ran there."""
    return ran == {situation.running(place)} == {situation.git.get(place, "")}


def _running_ahead(places: Sequence[str], situation: Situation) -> dict[str, frozenset[str]]:
    """Place -> what runs there, where git says something else: it was never begun, so what runs is what ran."""
    running = {place: situation.running(place) for place in places}
    return {place: frozenset({tag}) for place, tag in running.items() if tag and tag != situation.git.get(place, "")}


def _refuse_if_back_already(
    rollouts: Sequence[Rollout], subject: Subject, places: Sequence[str], situation: Situation
) -> None:
    """A failure that is mended already must not send a later `!rollback` one image too far."""
    targets = {_target(subject, place) for place in places}
    newest = next((rollout for rollout in rollouts if targets & set(rollout.targets)), None)
    if newest is None or newest.state is not State.FAILED:
        return
    ran = frozenset[str]().union(*(newest.ran(newest.place(*target), subject.part) for target in targets))
    now: set[str] = set()
    for place in places:
        now |= {situation.running(place), situation.git.get(place, "")}
    if ran == now and len(now) == 1 and "" not in now:
        refusal = BackAlready(subject.title, environments_of(places), now.pop(), subject.service.suffix, newest.number)
        raise RequestError(refusal)


def _target(subject: Subject, place: str) -> tuple[str, str]:
    member, environment = subject.at(place)
    return member.service.name, environment
