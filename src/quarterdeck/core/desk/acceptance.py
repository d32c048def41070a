"""Makes an order a rollout, and closes in the same breath the resting ones that it takes over."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from quarterdeck.core.desk.answers import LeftOpen
from quarterdeck.core.desk.authority import Authority
from quarterdeck.core.desk.refusals import FilesInHand, Overtaken, SameWaits
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import BusyError, StaleError
from quarterdeck.core.orders.drafting import Drafting
from quarterdeck.core.orders.order import Order
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.rollout.events import Accepted
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import HOLDING, State
from quarterdeck.core.steps.take_back import Withdrawal
from quarterdeck.core.worker.deployer import Deployer

#: what a newer command closes
CLOSED_BY_A_NEWER_ONE = frozenset({State.WAITING, State.FAILED})
#: what going back closes
RESTING = CLOSED_BY_A_NEWER_ONE | {State.UNKNOWN}


class Acceptance:
    """Saves, and hands over to the worker."""

    def __init__(
        self,
        store: Store,
        voice: Voice,
        drafting: Drafting,
        deployer: Deployer,
        withdrawal: Withdrawal,
        authority: Authority,
    ) -> None:
        self.store, self.voice, self.authority = store, voice, authority
        self.drafting, self.deployer, self.withdrawal = drafting, deployer, withdrawal

    async def taken_over(self, said: Said, order: Order) -> tuple[Rollout, ...]:
        """Resting rollouts on the same targets, which a newer command closes.

        Only those that he might close himself: one of a whole group holds on, and so does one of another part. Going
        *back* is blocked by nobody's (law 9).

        Raises:
            BusyError: one of them is the same deploy, and waits for an answer.
        """
        going_back = order.kind == Kind.ROLLBACK
        targets, taken = _targets(order), []
        for rollout in await self._resting(order, RESTING if going_back else CLOSED_BY_A_NEWER_ONE):
            if not set(rollout.targets) & targets:
                continue
            other_part = not order.subject.covers(rollout.part)
            if other_part and not (going_back and rollout.state is not State.FAILED):
                continue  # its failure is not this one's business; if it waits it keeps the place: the store says so
            if not going_back and not self.authority.may(said.actor, said.verb, rollout):
                continue
            if _is_the_same_and_waits(rollout, order):
                raise BusyError(_same_waits(rollout))
            taken.append(rollout)
        return tuple(taken)

    async def accept(self, said: Said, order: Order, taken_over: Sequence[Rollout]) -> list[str]:
        """Save a rollout of an order, and begin it. What is left to say: the rollout itself speaks.

        Raises:
            BusyError: what it needs is in somebody's hands.
        """
        numbers = tuple(rollout.number for rollout in taken_over)
        rollout = await self.drafting.drafted(said.actor, order, numbers)
        await self._refuse_files_in_hand(order, numbers)
        try:
            accepted = await self.store.accept(
                rollout, numbers, lambda numbered: self.voice.lines(Accepted(numbered, order.plan.already))
            )
        except StaleError as error:
            raise BusyError(Overtaken(str(error))) from error
        left = await self._take_back(numbers, f"Taken over by rollout #{accepted.number} ({accepted.actor})")
        self.deployer.take_up(accepted)
        return [said.to_speaker(line) for line in self.voice.answer(left)] if left else []

    async def left_open(self, rollout: Rollout, why: str) -> LeftOpen | None:
        """Take back the change of a rollout that is over; what remains to be done by hand, if anything."""
        left = await self.withdrawal.take_back(rollout, why)
        return LeftOpen(((rollout.number, left),)) if left else None

    async def _resting(self, order: Order, states: Collection[State]) -> list[Rollout]:
        by_number: dict[int, Rollout] = {}
        for member in order.subject.members:
            for rollout in await self.store.find(states, service=member.service.name, limit=200):
                by_number.setdefault(rollout.number, rollout)
        return list(by_number.values())

    async def _take_back(self, numbers: Sequence[int], why: str) -> LeftOpen | None:
        left: list[tuple[int, str]] = []
        for number in numbers:
            rollout = await self.store.get(number)
            if rollout is not None and (remains := await self.left_open(rollout, why)):
                left += remains.left
        return LeftOpen(tuple(left)) if left else None

    async def _refuse_files_in_hand(self, order: Order, taken_over: Sequence[int]) -> None:
        """Another rollout under way has its hands on the same file: said now, not after a number was given."""
        targets = _targets(order)
        for rollout in await self.store.find(HOLDING, limit=200):
            shared = set(order.plan.files) & set(rollout.briefing.files)
            holds_a_target = bool(set(rollout.targets) & targets)  # the store has the words for that
            if shared and not holds_a_target and rollout.number not in taken_over:
                refusal = FilesInHand(tuple(sorted(shared)), rollout.number, rollout.actor, rollout.state)
                raise BusyError(refusal)


def _targets(order: Order) -> set[tuple[str, str]]:
    """(service, environment) of each place."""
    members = map(order.subject.at, order.places)
    return {(member.service.name, environment) for member, environment in members}


def _is_the_same_and_waits(rollout: Rollout, order: Order) -> bool:
    same_places = set(rollout.targets) == _targets(order)
    same_edit = (rollout.tag, rollout.part) == (order.tag, order.subject.part)
    waits = rollout.state is State.WAITING and rollout.kind != Kind.ROLLBACK
    return waits and same_places and same_edit


def _same_waits(rollout: Rollout) -> SameWaits:
    until = f"{rollout.deadline:%H:%M}" if rollout.deadline else ""
    return SameWaits(rollout.number, rollout.actor, until, rollout.code, rollout.code_count)
