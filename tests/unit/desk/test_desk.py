"""The front desk: what it accepts, what it refuses and in which words, and what happens when two come at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from quarterdeck.core.desk.use_cases.confirm import approve
from quarterdeck.core.desk.verb import Said, Verb
from quarterdeck.core.model.change import ChangeStatus
from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName
from quarterdeck.core.worker.questions import tend_questions
from quarterdeck.testing.review import Gate
from tests.worlds.saying import asked
from tests.worlds.world import LIMITS, NEW, NEWER, OLD, Deck, Fate, hanging

# -- stop --------------------------------------------------------------------------------------------------------


async def test_stopping_before_the_merge_takes_the_change_back(deck: Deck) -> None:
    """A stop at the gate: the change is abandoned, nothing is merged, nobody owes anything."""
    deck.review.gate = Gate.STALL
    await deck.say("deploy citoid staging")
    await deck.until(lambda: any(c.votes for c in deck.review.changes))
    assert await deck.say("stop 1", "bob") == "#1: stopping at merge"
    assert (await deck.settle()).state is State.ABORTED
    assert deck.review.changes[0].status is ChangeStatus.ABANDONED
    assert "stopped by bob at merge. Nothing was applied" in deck.last
    assert deck.debts == {}


async def test_a_stop_while_the_change_is_made_leaves_no_change(deck: Deck) -> None:
    """Gerrit made the change and its answer was lost: a stop finds it by its Change-Id and takes it back."""
    real = deck.review.propose

    async def lost(draft: object) -> object:
        await real(draft)  # type: ignore[arg-type]
        raise TemporaryError("no answer", retry_after=1000)

    deck.review.propose = lost  # type: ignore[method-assign, assignment]
    deck.clock.standing = True
    await deck.say("deploy citoid staging")
    await deck.until(lambda: deck.review.changes)
    assert await deck.say("stop 1") == "#1: stopping at edit"
    deck.clock.standing = False
    assert (await deck.settle()).state is State.ABORTED
    assert deck.review.changes[0].status is ChangeStatus.ABANDONED


async def test_a_gate_faster_than_the_stop_leaves_a_debt(deck: Deck) -> None:
    """It merged in the moment of the stop: the stop says so, and what is merged is owed."""
    deck.review.gate = Gate.STALL
    await deck.say("deploy citoid staging")
    await deck.until(lambda: any(c.votes for c in deck.review.changes))
    real = deck.review.abandon

    async def slow(change: object, message: str) -> None:
        deck.review.merge(deck.review.changes[0].number)
        await real(change, message)  # type: ignore[arg-type]

    deck.review.abandon = slow  # type: ignore[method-assign]
    await deck.say("stop 1")
    assert (await deck.settle()).state is State.ABORTED
    assert deck.debts == dict.fromkeys(("staging", "codfw", "eqiad"), NEW)
    assert "git says 2026-08-17-094555" in deck.last


async def test_stopping_while_the_host_pulls(deck: Deck) -> None:
    """A stop at SYNC ends at once; what is merged stays owed, and the line says git's tag."""
    deck.cluster.stuck = True
    await deck.say("deploy citoid staging")
    await deck.until(lambda: (s := deck.rollout().current) and s.name == StepName.SYNC)
    await deck.say("stop 1")
    assert (await deck.settle()).state is State.ABORTED
    assert "Nothing was applied" in deck.last
    assert "git says 2026-08-17-094555" in deck.last
    assert set(deck.debts) == {"staging", "codfw", "eqiad"}


async def test_stopping_a_diff_does_not_wait_for_it(deck: Deck) -> None:
    """A diff changes nothing: a stop interrupts it."""
    never = asyncio.Event()

    async def slow(job: object) -> int:
        await asyncio.wait(
            {asyncio.ensure_future(never.wait()), asyncio.ensure_future(job.interrupted.wait())},  # type: ignore[attr-defined]
            return_when=asyncio.FIRST_COMPLETED,
        )
        never.set()
        return 130

    deck.runner.player = slow
    await deck.say("deploy citoid staging")
    await deck.until(lambda: deck.runner.jobs)
    await deck.say("stop 1")
    rollout = await deck.settle()
    assert rollout.state is State.ABORTED, rollout.note


async def test_stopping_an_apply_lets_helm_go_back(deck: Deck) -> None:
    """The job is interrupted, its end awaited, and chat and SAL say what serves."""
    await hanging(deck)
    assert await deck.say("stop 1") == "#1: stopping; helm goes back in staging, I tell when it has"
    assert (await deck.settle()).state is State.ABORTED
    assert deck.apply_jobs()[0].ended
    assert f"staging serves {OLD[:17]} (1/1)" in deck.last
    assert [line.split()[4] for line in deck.sal] == ["START", "STOPPED"]
    assert f"back on {OLD[:17]}" in deck.sal[-1]


async def test_a_stop_that_came_too_late_tells_what_serves(deck: Deck) -> None:
    """Helm finished in spite of the interrupt: the new pods serve, and the line says so."""
    await hanging(deck)
    deck.cluster.shield = True
    await deck.say("stop 1")
    assert (await deck.settle()).state is State.ABORTED
    assert f"staging serves {NEW[:17]} (1/1)" in deck.last
    assert [line.split()[4] for line in deck.sal] == ["START", "STOPPED"]


async def test_a_stop_before_a_crash_still_interrupts_the_job(deck: Deck) -> None:
    """The flag was raised, then the process died: the next one interrupts the job and awaits its end."""
    await hanging(deck)
    await deck.store.raise_stop(1, "bob")
    await deck.crash()
    assert (await deck.settle()).state is State.ABORTED
    assert deck.apply_jobs()[0].ended
    assert "stopped by bob" in deck.last


async def test_stopping_a_check_tells_what_serves(deck: Deck) -> None:
    """A stop while the pods are watched."""
    deck.cluster.broken.add(NEW)
    await deck.say("deploy citoid staging")
    await deck.until(lambda: (s := deck.rollout().current) and s.name == StepName.CHECK)
    deck.clock.standing = True
    await deck.say("stop 1")
    deck.clock.standing = False
    rollout = await deck.settle()
    assert rollout.state in (State.ABORTED, State.FAILED)


async def test_a_question_is_declined_by_stop(deck: Deck) -> None:
    """Nothing is applied, the target is free, the code is dead."""
    number = await asked(deck)
    code = deck.rollout(number).code
    assert await deck.say(f"stop {number}", "bob") == ""
    assert deck.rollout(number).state is State.ABORTED
    assert "closed by bob (was WAITING). Nothing was applied" in deck.last
    assert deck.store.tables.targets == {}
    assert (await deck.say(f"confirm {code}")).endswith("Nothing done")


async def test_a_stop_that_meets_the_question_being_opened_closes_it(deck: Deck) -> None:
    """The flag came between the diff and the question: the question closes by itself."""
    number = await asked(deck)
    await deck.store.raise_stop(number, "bob")
    tending = asyncio.create_task(tend_questions(deck.world.store, deck.world.voice, deck.clock))
    await deck.until(lambda: deck.rollout(number).ended)
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert "closed by bob" in deck.last


async def test_what_is_over_cannot_be_stopped(deck: Deck) -> None:
    """A refusal, in words."""
    await deck.deploy()
    assert await deck.say("stop 1") == "alice: #1 is over (SUCCEEDED). Nothing done"
    assert await deck.say("stop 99") == "alice: there is no #99. See !status. Nothing done"


async def test_an_unknown_one_is_not_closed_while_its_job_runs(deck: Deck) -> None:
    """As long as helm works on the host nobody may let the target go."""
    await hanging(deck)
    await deck.deployer.close()
    deck.runner.away = True
    await deck.crash()
    assert (await deck.settle()).state is State.UNKNOWN
    deck.runner.away = False
    assert "still applies on the deploy host" in await deck.say("stop 1")
    assert "still applies on the deploy host" in await deck.say(f"rollback citoid staging {OLD}")
    await deck.runner.kill(deck.apply_jobs()[0].name)
    assert await deck.say("stop 1") == ""
    assert deck.rollout().state is State.ABORTED


# -- confirm -----------------------------------------------------------------------------------------------------


async def test_two_confirm_at_once_and_one_is_told(deck: Deck) -> None:
    """One goes on; the other hears who was faster. Nothing runs twice."""
    number = await asked(deck)
    code = deck.rollout(number).code
    said = await asyncio.gather(deck.say(f"confirm {code}", "alice"), deck.say(f"confirm {code}", "bob"))
    assert sum("goes on" in line for line in said) == 1
    loser = next(line for line in said if "goes on" not in line)
    assert "already confirmed by" in loser
    assert loser.endswith("Nothing done")
    assert (await deck.settle(number)).state is State.SUCCEEDED
    assert deck.cluster.applied[1:] == [("codfw", NEW), ("eqiad", NEW)]
    assert (await deck.say(f"confirm {code}")).startswith(f"#{number} was already confirmed by")


async def test_stale_answers_are_told_what_happened(deck: Deck) -> None:
    """The question changed hands between reading and answering: one clear line, no exception text."""
    number = await asked(deck)
    waiting = deck.rollout(number)
    await deck.say(f"stop {number}", "bob")
    (said,) = await approve(deck.desk, Said(Verb(name="confirm", help=""), deck.actor()), waiting)
    assert said.endswith("Nothing done")
    assert deck.rollout(number).state is State.ABORTED


async def test_a_stop_that_loses_the_race_against_a_confirm_stops_all_the_same(deck: Deck) -> None:
    """Confirm and stop in one moment: both are heard, in the order the store took them."""
    number = await asked(deck)
    code = deck.rollout(number).code
    said = await asyncio.gather(deck.say(f"confirm {code}"), deck.say(f"stop {number}", "bob"))
    rollout = await deck.settle(number)
    assert rollout.state is State.ABORTED, said
    assert deck.cluster.applied == [("staging", NEW)]


async def test_a_code_counts_where_it_was_asked_and_in_time(deck: Deck) -> None:
    """Another room, another case, another count, too late."""
    deck.cluster.extra["codfw"] = "".join(
        f"citoid, c{i}, ConfigMap (v1) has been added:\n+ apiVersion: v1\n+ kind: ConfigMap\n" for i in range(2)
    )
    number = await asked(deck)
    waiting = deck.rollout(number)
    assert waiting.code_count == 2
    assert "nothing waits" in await deck.say(f"confirm {waiting.code} with 2", room="#other")
    assert "has 2 surprises: read them, then !confirm" in await deck.say(f"confirm {waiting.code}")
    assert (await deck.say(f"confirm {waiting.code} with 3")).endswith("Nothing done")
    assert "no open question has the code" in await deck.say("confirm prod-zzz")
    deck.clock.forward(deck.limits.ask_production + 1)
    assert "has just closed" in await deck.say(f"confirm {waiting.code} with 2")
    assert deck.rollout(number).state is State.WAITING


async def test_a_code_of_one_without_surprises_takes_no_count(deck: Deck) -> None:
    """`with 1` where nothing was counted is a misunderstanding."""
    number = await asked(deck)
    said = await deck.say(f"confirm {deck.rollout(number).code.upper()} with 1")
    assert "has no surprises" in said
    assert said.endswith("Nothing done")


# -- held targets and takeovers ----------------------------------------------------------------------------------


async def test_the_same_deploy_twice_is_refused_while_it_runs(deck: Deck) -> None:
    """Who holds it, and what to do."""
    deck.review.gate = Gate.STALL
    deck.clock.standing = True  # or the gate's deadline may pass while the second is read
    await deck.say("deploy citoid staging")
    deck.clock.standing = True  # or the gate's time is up while the second one is being checked
    said = await deck.say("deploy citoid staging", "bob")
    assert said == "bob: citoid staging is held by #1 (alice, RUNNING). !stop 1, or wait. Nothing done"


async def test_two_in_one_moment_and_one_gets_it(deck: Deck) -> None:
    """The index decides, not who looked first."""
    said = await asyncio.gather(deck.say("deploy citoid staging"), deck.say("deploy citoid staging", "bob"))
    assert sorted(bool(line) for line in said) == [False, True]
    assert len(deck.store.tables.rollouts) == 1
    assert (await deck.settle()).state is State.SUCCEEDED


async def test_the_same_deploy_that_waits_is_pointed_at(deck: Deck) -> None:
    """Bob may confirm alice's."""
    number = await asked(deck)
    said = await deck.say("deploy citoid production", "bob")
    assert f"#{number} (alice) is the same deploy and waits for a confirm until 14:" in said
    assert f"!confirm {deck.rollout(number).code}" in said
    assert said.endswith("Nothing done")


async def test_another_tag_takes_a_waiting_one_over_and_says_so(deck: Deck) -> None:
    """A newer command closes the question in the same breath."""
    number = await asked(deck)
    newer = await deck.deploy(f"citoid production {NEWER}", "bob")
    assert deck.rollout(number).state is State.ABORTED
    assert deck.rollout(number).note == f"taken over by #{newer.number} (bob)"
    assert any(f"Takes over #{number}" in line for line in deck.said())
    assert newer.state is State.WAITING


async def test_a_failed_one_is_taken_over(deck: Deck) -> None:
    """FAILED holds nothing."""
    deck.cluster.status = 1
    await deck.deploy()
    deck.cluster.status = 0
    assert (await deck.deploy(f"citoid staging {NEWER}")).state is State.SUCCEEDED
    assert deck.rollout(1).state is State.ABORTED


async def test_only_a_rollback_takes_an_unknown_one_over(deck: Deck) -> None:
    """A deploy is refused with the two ways out; going back is not."""
    await hanging(deck)
    await deck.runner.kill(deck.apply_jobs()[0].name)
    await deck.settle()
    deck.cluster.hang = None
    said = await deck.say(f"deploy citoid staging {NEWER}", "bob")
    assert "held by #1 (alice, UNKNOWN). !retry 1 or !stop 1" in said
    back = await deck.order("rollback citoid staging", "bob")
    assert (back.kind, back.tag, back.state) == (Kind.ROLLBACK, OLD, State.SUCCEEDED)
    assert deck.rollout(1).state is State.ABORTED
    assert deck.git == OLD


# -- retry -------------------------------------------------------------------------------------------------------


async def test_retry_is_for_failed_and_unknown_ones(deck: Deck) -> None:
    """Everything else is refused."""
    await deck.deploy()
    assert await deck.say("retry 1") == "alice: #1 is SUCCEEDED: only FAILED and UNKNOWN are retried. Nothing done"


async def test_a_retry_lowers_the_stop_flag(deck: Deck) -> None:
    """An old stop does not stop the new attempt."""
    deck.review.gate = Gate.FAIL
    await deck.deploy()
    await deck.store.raise_stop(1, "bob")
    deck.review.gate = Gate.MERGE
    await deck.say("retry 1")
    assert (await deck.settle()).state is State.SUCCEEDED
    assert deck.rollout().stop == ""


async def test_a_retry_of_what_somebody_else_holds_now_is_refused(deck: Deck) -> None:
    """FAILED let go of its target; whoever has it is named."""
    deck.cluster.status = 1
    await deck.deploy()
    failed = deck.rollout()
    deck.cluster.status = 0
    await hanging(deck, f"citoid staging {NEWER}")
    deck.store.tables.rollouts[1] = failed
    said = await deck.say("retry 1")
    assert "held by #2" in said
    assert said.endswith("Nothing done")


async def test_two_retries_at_once_make_one(deck: Deck) -> None:
    """The second hears that somebody was faster."""
    deck.cluster.status = 1
    await deck.deploy()
    deck.cluster.status = 0
    said = await asyncio.gather(deck.say("retry 1"), deck.say("retry 1", "bob"))
    assert sum("looking again" in line for line in said) == 1
    assert any("Nothing done" in line for line in said)
    assert (await deck.settle()).state is State.SUCCEEDED
    assert len(deck.apply_jobs()) == 2


class Stopping(Fate):
    """Says `!stop 1` as bob just before a chosen call of the worker."""

    def __init__(self, deck: Deck, at: int) -> None:
        super().__init__()
        self.deck, self.when, self.answer = deck, at, ""

    async def decide(self, name: str, act: Callable[[], Awaitable[object]]) -> object:
        """Let every call pass."""
        mine = len(self.calls) == self.when
        self.calls.append(name)
        if mine and 1 in self.deck.store.tables.rollouts:
            self.when = -1
            self.answer = await self.deck.say("stop 1", "bob")
        return await act()


@pytest.mark.parametrize("gate", [Gate.MERGE, Gate.STALL])
async def test_a_stop_at_any_call_leaves_nothing_under_way(gate: Gate) -> None:
    """Before whichever call it comes: an end, no job left, no open change of ours, what is merged is owed."""
    at, calls = 0, 1
    while at < calls and at < 100:
        deck = Deck(limits=replace(LIMITS, gate=3.0))
        deck.announce()
        deck.review.gate = gate
        deck.fate = stopping = Stopping(deck, at)
        deck.build(mortal=True)
        await deck.say("deploy citoid staging")
        rollout = await deck.settle()
        calls, where = (
            len(stopping.calls),
            f"stopped before call {at}, {stopping.calls[min(at, len(stopping.calls) - 1)]}",
        )
        ends = {State.ABORTED, State.SUCCEEDED} if gate is Gate.MERGE else {State.ABORTED, State.FAILED}
        assert rollout.state in ends, f"{where}: {rollout.state} {rollout.note}"
        assert all(job.ended for job in deck.apply_jobs()), where
        if rollout.state is State.ABORTED:
            assert "bob" in deck.last, where
            assert ChangeStatus.NEW not in {c.status for c in deck.review.changes}, where
        owed = {e: NEW for e in ("staging", "codfw", "eqiad") if deck.git == NEW and deck.cluster.runs[e] != NEW}
        assert owed.items() <= deck.debts.items(), where
        assert set(deck.debts.values()) <= {deck.git}, where
        assert [line.split()[4] for line in deck.sal][:1] in ([], ["START"]), where
        assert len(deck.sal) in (0, 2), where
        assert deck.store.tables.targets == {}, where
        at += 1
        await deck.close()
    assert at > 20


async def test_what_is_ordered_in_private_is_seen_by_all(deck: Deck) -> None:
    """A stop in private is echoed into the rollout's room, and works."""
    deck.review.gate = Gate.STALL
    await deck.say("deploy citoid staging")
    await deck.say("stop 1", "bob", room="")
    assert (await deck.settle()).state is State.ABORTED
    assert any(line == "#1: bob says !stop, in private" for line in deck.said())
    assert "say that in #deploy" in await deck.say("deploy citoid staging", room="")


async def test_a_stop_that_was_overtaken_looks_again(deck: Deck) -> None:
    """The question was answered between reading and closing: the stop reaches the running rollout."""
    number = await asked(deck)
    real, code = deck.store.save, deck.rollout(number).code
    overtaken: list[str] = []

    async def save(*args: object, **more: object) -> object:
        if not overtaken:
            overtaken.append("")
            overtaken[0] = await deck.say(f"confirm {code}")
        return await real(*args, **more)  # type: ignore[arg-type]

    deck.store.save = save  # type: ignore[method-assign, assignment]
    said = await deck.say(f"stop {number}", "bob")
    assert "goes on" in overtaken[0]
    assert said.startswith(f"#{number}: stopping")
    assert (await deck.settle(number)).state is State.ABORTED
    assert deck.cluster.applied == [("staging", NEW)]
