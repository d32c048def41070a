"""The front desk: takes what a person asks for, refuses it in words, or accepts it as a rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.grammar import NOTHING
from quarterdeck.core.desk.permissions import said_command
from quarterdeck.core.model.errors import (
    BusyError,
    NotAllowedError,
    NotFoundError,
    RequestError,
    StaleError,
    TemporaryError,
    WrongStateError,
)
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.question import confirm_command
from quarterdeck.core.model.room import Room
from quarterdeck.core.orders.drafting import Drafting
from quarterdeck.core.orders.order import Order
from quarterdeck.core.orders.orders import Orders
from quarterdeck.core.ports.runner import JobState
from quarterdeck.core.rollout.events import Accepted, Closed
from quarterdeck.core.rollout.intent import Intent
from quarterdeck.core.rollout.naming import job_name
from quarterdeck.core.rollout.records import Edited, GateIntent
from quarterdeck.core.rollout.rollout import Kind, Rollout, advance
from quarterdeck.core.rollout.state import HOLDING, Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.rules.asking import Answer, matches
from quarterdeck.core.rules.moments import SaidCommand
from quarterdeck.core.rules.ruling import permitted
from quarterdeck.core.steps.take_back import Withdrawal
from quarterdeck.core.worker.deployer import Deployer
from quarterdeck.core.world import World

_RESTING = {State.WAITING, State.FAILED, State.UNKNOWN}


class Actions:
    """Commands that change something. Each returns the line to say; empty when the rollout itself speaks."""

    def __init__(
        self, world: World, orders: Orders, drafting: Drafting, deployer: Deployer, withdrawal: Withdrawal
    ) -> None:
        self.world = world
        self.orders, self.drafting = orders, drafting
        self.deployer = deployer
        self.withdrawal = withdrawal

    async def deploy(self, actor: Actor, text: str) -> str:
        """`!deploy SERVICE ENV [TAG]`: edit, merge, sync, diff, gate, apply, check."""
        order = await self._checked(
            actor, grammar.parse_intent(self.world.catalogue, "deploy", text), "deploy", Kind.DEPLOY
        )
        if order.served:
            ready, pods = order.served
            verb = "runs" if len(environments_of(order.places)) == 1 else "run"
            return f"{order.title} already {verb} {order.short} ({ready}/{pods}). Nothing to do."
        return await self._accept(actor, order, await self._takeover(actor, order, {State.WAITING, State.FAILED}))

    async def apply(self, actor: Actor, text: str) -> str:
        """`!apply SERVICE ENV`: what is merged and not applied."""
        request = grammar.parse_intent(self.world.catalogue, "apply", text)
        if request.tag:
            raise RequestError(
                f"!apply takes what git says, no tag. Say !apply {request.title} {request.environment}. {NOTHING}"
            )
        order = await self._checked(actor, request, "apply", Kind.APPLY)
        return await self._accept(actor, order, await self._takeover(actor, order, {State.WAITING, State.FAILED}))

    async def rollback(self, actor: Actor, text: str) -> str:
        """`!rollback SERVICE [ENV] [TAG]`: back to the tag that ran before; without ENV production."""
        request = grammar.parse_intent(self.world.catalogue, "rollback", text, environment="production")
        order = await self._checked(actor, request, "rollback", Kind.ROLLBACK)
        taken = await self._takeover(actor, order, _RESTING, back=True)
        for number in taken:
            await self._refuse_if_job_runs(number)
        if order.plan.already and all(order.runs_alone(place) for place in order.places):
            return f"{order.title}: pods and git have {order.short} already. Nothing to do."
        return await self._accept(actor, order, taken)

    async def confirm(self, actor: Actor, text: str) -> str:
        """`!confirm CODE [with N]`: answers an open question, where it was asked."""
        code, count = grammar.parse_confirm(text)
        for rollout in await self.world.store.find({State.WAITING}, limit=200):
            if rollout.home != actor.room or rollout.code.lower() != code:
                continue
            self._authorise(actor, rollout, "confirm")
            answer = matches(code, count, rollout, self.world.clock.now())
            if answer is Answer.TOO_LATE:
                return f"#{rollout.number}: the question has just closed. Say the command again. {NOTHING}"
            if answer is Answer.WRONG_COUNT and not rollout.code_count:
                return f"#{rollout.number} has no surprises: !confirm {rollout.code}. {NOTHING}"
            if answer is Answer.WRONG_COUNT:
                n = rollout.code_count
                raise RequestError(
                    f"#{rollout.number} has {n} surprise{'s' if n > 1 else ''}: read them, then !confirm {rollout.code} with {n}. {NOTHING}"
                )
            return await self._approve(actor, rollout)
        return await self._no_such_code(code, actor.room)

    async def stop(self, actor: Actor, text: str) -> str:
        """`!stop ID`: declines a question, ends the apply and lets helm go back, or closes what rests."""
        rollout = await self._find(actor, "stop", text)
        if not actor.room:  # what is said in private is seen by all
            await self.world.store.say([Line(rollout.home, f"#{rollout.number}: {actor.name} says !stop, in private")])
        if rollout.state in (State.RUNNING, State.PLANNED):
            await self.world.store.raise_stop(rollout.number, actor.name)
            self.deployer.interrupt(rollout.number, actor.name)
            return f"#{rollout.number}: stopping{self._stop_words(rollout)}"
        if rollout.state not in _RESTING:
            raise WrongStateError(f"#{rollout.number} is over ({rollout.state}). {NOTHING}")
        if rollout.state is State.UNKNOWN:
            await self._refuse_if_job_runs(rollout.number)
        closed = advance(
            rollout,
            Move.ABORT,
            self.world.clock.now(),
            note=f"stopped by {actor.name}",
            moved_by=actor.name,
        )
        lines = self.world.voice.lines(Closed(closed, actor.name, rollout.state, await self.world.store.debts()))
        try:
            await self.world.store.save(rollout, closed, lines, write_set=())
        except StaleError:  # answered, expired or taken over in this very moment
            return await self.stop(actor, text)
        return await self._left_open(rollout, f"Closed by {actor.name}, rollout #{rollout.number}")

    async def retry(self, actor: Actor, text: str) -> str:
        """`!retry ID`: goes on from where a FAILED or UNKNOWN rollout stands; looks again first."""
        rollout = await self._find(actor, "retry", text)
        if rollout.state not in (State.FAILED, State.UNKNOWN):
            raise WrongStateError(
                f"#{rollout.number} is {rollout.state}: only FAILED and UNKNOWN are retried. {NOTHING}"
            )
        steps = rollout.steps
        if not await self._job_runs(rollout):
            steps = self.world.pipelines.retried(rollout)
        else:
            steps = tuple(
                replace(s, state=StepState.INTENDED, ended=None) if s.state is StepState.LOST else s for s in steps
            )
        if rollout.stop:
            await self.world.store.raise_stop(rollout.number, "")
            rollout = replace(rollout, stop="")
        again = advance(
            rollout,
            Move.RETRY,
            self.world.clock.now(),
            steps=steps,
            note=f"retried by {actor.name}",
            moved_by=actor.name,
        )
        kept = _write_set(steps) if rollout.state is State.FAILED else None  # UNKNOWN holds it still
        try:
            saved = await self.world.store.save(rollout, again, (), write_set=kept)
        except StaleError:
            raise WrongStateError(
                f"#{rollout.number}: somebody was faster. See !status {rollout.number}. {NOTHING}"
            ) from None
        self.deployer.take_up(saved)
        current = saved.current
        return f"#{rollout.number}: looking again, going on from {current.name if current else 'the end'}. !stop {rollout.number}"

    # -- accepting ---------------------------------------------------------------------------------------------

    async def _takeover(self, actor: Actor, order: Order, states: set[State], back: bool = False) -> tuple[int, ...]:
        """Resting rollouts on the same targets, which a newer command closes in the same breath.

        Only those that he might stop too: one of a whole group holds on, and so does one of another part. Going *back*
        is blocked by nobody's (law 9).
        """
        taken = []
        subject = order.subject
        targets = {(m.service.name, e) for m, e in map(subject.at, order.places)}
        found = [await self.world.store.find(states, service=m.service.name, limit=200) for m in subject.members]
        for rollout in {r.number: r for rollouts in found for r in rollouts}.values():
            if not set(rollout.targets) & targets:
                continue
            if not subject.covers(rollout.part) and not (back and rollout.state is not State.FAILED):
                continue  # another part's failure is not its business; one that waits keeps the place: the store says so
            if not back and not self._may_stop(actor, rollout):
                continue
            same = set(rollout.targets) == targets and (rollout.tag, rollout.part) == (order.tag, subject.part)
            if rollout.state is State.WAITING and same and rollout.kind != Kind.ROLLBACK:
                until = f" until {rollout.deadline:%H:%M}" if rollout.deadline else ""
                raise BusyError(
                    f"#{rollout.number} ({rollout.actor}) is the same deploy and waits for a confirm{until}. "
                    f"You may {confirm_command(rollout.code, rollout.code_count)} yourself, or !stop {rollout.number}. {NOTHING}"
                )
            taken.append(rollout.number)
        return tuple(taken)

    async def _accept(self, actor: Actor, order: Order, takeover: tuple[int, ...]) -> str:
        rollout = await self.drafting.drafted(actor, order, takeover)
        await self._refuse_if_edited(order, takeover)
        try:
            accepted = await self.world.store.accept(
                rollout, takeover, lambda numbered: self.world.voice.lines(Accepted(numbered, order.plan.already))
            )
        except StaleError as error:
            raise BusyError(f"{error}. Say it again. {NOTHING}") from error
        said = await self._take_back(takeover, f"Taken over by rollout #{accepted.number} ({accepted.actor})")
        self.deployer.take_up(accepted)
        return said

    async def _take_back(self, numbers: Sequence[int], why: str) -> str:
        found = [await self.world.store.get(number) for number in numbers]
        said = [await self._left_open(rollout, why) for rollout in found if rollout is not None]
        return " ".join(filter(None, said))

    async def _left_open(self, rollout: Rollout, why: str) -> str:
        """Take back the change of a rollout that is over; what remains to be done by hand, if anything."""
        left = await self.withdrawal.take_back(rollout, why)
        return f"#{rollout.number}: {left}" if left else ""

    async def _refuse_if_edited(self, order: Order, takeover: tuple[int, ...]) -> None:
        """Another rollout under way has its hands on the same file: say so now, not after a number was given."""
        targets = {(m.service.name, e) for m, e in map(order.subject.at, order.places)}
        for rollout in await self.world.store.find(HOLDING, limit=200):
            shared = set(order.plan.files) & set(rollout.briefing.files)
            same = set(rollout.targets) & targets  # a held target: the store has the words
            if shared and not same and rollout.number not in takeover:
                n = rollout.number
                way = f"!retry {n} or !stop {n}" if rollout.state is State.UNKNOWN else f"!stop {n}, or wait"
                raise BusyError(
                    f"{', '.join(sorted(shared))} is in the hands of #{n} ({rollout.actor}, {rollout.state}). "
                    f"{way}. {NOTHING}"
                )

    # -- answering ---------------------------------------------------------------------------------------------

    async def _approve(self, actor: Actor, rollout: Rollout) -> str:
        gate = rollout.current
        assert gate is not None
        now = self.world.clock.now()
        assert isinstance(gate.intent, GateIntent), "what waits has a question"
        answered = replace(gate, intent=replace(gate.intent, answered=actor.name, code=rollout.code, at=now))
        going = advance(
            rollout,
            Move.APPROVE,
            now,
            steps=rollout.with_step(answered).steps,
            note=f"confirmed by {actor.name}",
            moved_by=actor.name,
        )
        try:
            saved = await self.world.store.save(rollout, going)
        except StaleError:
            return await self._no_such_code(rollout.code.lower(), rollout.home)
        self.deployer.take_up(saved)
        where = " then ".join(environments_of(rollout.environments))
        return f"#{rollout.number} goes on: {where}. !stop {rollout.number}"

    async def _no_such_code(self, code: str, here: Room | None) -> str:
        for rollout in await self.world.store.find(limit=50):
            question = rollout.records.question
            if question and question.at and question.code.lower() == code:
                answer = f"{question.answered} {question.at:%H:%M:%S}"
                return f"#{rollout.number} was already confirmed by {answer}. {NOTHING}"
        waiting = [r for r in await self.world.store.find({State.WAITING}, limit=50) if r.home == here]
        if not waiting:
            return f"nothing waits for a confirm here. {NOTHING}"
        return f"no open question has the code {grammar.clip(code)}. Waiting here: {', '.join(f'#{r.number} {r.title}' for r in waiting)}. {NOTHING}"

    async def _checked(self, actor: Actor, request: Intent, verb: str, kind: Kind) -> Order:
        """An order by somebody who may give it: for each service it touches."""
        self._permit(said_command(actor, verb))
        services = await self.orders.services(request.target)
        for service in services:
            self._permit(said_command(actor, verb, service))
        return await self.orders.check(request, kind, actor.name, services)

    def _permit(self, command: SaidCommand) -> None:
        """Pass if no rule refuses the command; NotAllowedError says which does."""
        permitted(command, self.world.clock.now(), self.world.rules)

    def _authorise(self, actor: Actor, rollout: Rollout, verb: str) -> None:
        for member in rollout.subject.members:
            service = self.world.catalogue.services.get(member.service.name, member.service)
            self._permit(said_command(actor, verb, service, going_back=rollout.kind == Kind.ROLLBACK))

    def _may_stop(self, actor: Actor, rollout: Rollout) -> bool:
        try:
            self._authorise(actor, rollout, "stop")
        except NotAllowedError:
            return False
        return True

    async def _find(self, actor: Actor, verb: str, text: str) -> Rollout:
        number, rest = grammar.parse_number(verb, text)
        if rest:
            raise RequestError(f"too many words: say !{verb} {number}. {NOTHING}")
        rollout = await self.world.store.get(number)
        if rollout is None:
            raise NotFoundError(f"there is no #{number}. See !status. {NOTHING}")
        self._authorise(actor, rollout, verb)
        return rollout

    async def _job_runs(self, rollout: Rollout) -> bool:
        """Whether the host job of the step a rollout was lost in still runs."""
        pipelines, open_states = self.world.pipelines, (StepState.LOST, StepState.INTENDED)
        step = next((s for s in rollout.steps if pipelines.outlives_us(s) and s.state in open_states), None)
        if step is None:
            return False
        try:
            status = await self.world.runner.status(job_name(rollout, step))
        except TemporaryError as error:
            raise RequestError(
                f"the deploy host does not answer, so I cannot see whether #{rollout.number} still applies: {error}. {NOTHING}"
            ) from error
        return status.state is JobState.RUNNING

    async def _refuse_if_job_runs(self, number: int) -> None:
        rollout = await self.world.store.get(number)
        if rollout is not None and rollout.state is State.UNKNOWN and await self._job_runs(rollout):
            raise BusyError(f"#{number} still applies on the deploy host: !retry {number} follows it again. {NOTHING}")

    def _stop_words(self, rollout: Rollout) -> str:
        step = rollout.current
        if step is None:
            return ""
        if self.world.pipelines.outlives_us(step):
            return f"; helm goes back in {rollout.spoken(step.environment)}, I tell when it has"
        return f" at {step.name}"


def _write_set(steps: Sequence[Step]) -> tuple[tuple[str, str], ...]:
    """The scalars a retry holds again: those its EDIT wrote, unless it begins with EDIT anew."""
    edited = next((s for s in steps if s.name == StepName.EDIT and s.state is StepState.DONE), None)
    return edited.result.write_set if edited and isinstance(edited.result, Edited) else ()
