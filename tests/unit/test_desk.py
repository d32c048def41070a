"""The front desk: what it accepts, what it refuses and in which words, and what happens when two come at once."""

from __future__ import annotations

import asyncio

import pytest

from quarterdeck.core.errors import TemporaryError
from quarterdeck.core.model import ChangeStatus
from quarterdeck.core.rollout import Kind, State, StepName, StepState
from quarterdeck.testing.review import Gate
from tests.unit.test_deployer import hanging
from tests.unit.world import NEW, NEWER, OLD, Deck


async def asked(deck: Deck) -> int:
    """A production rollout that waits for a confirm; its number."""
    await deck.deploy()
    waiting = await deck.deploy("citoid production")
    assert waiting.state is State.WAITING
    return waiting.number


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

    deck.review.abandon = slow  # type: ignore[method-assign, assignment]
    await deck.say("stop 1")
    assert (await deck.settle()).state is State.ABORTED
    assert deck.debts == dict.fromkeys(("staging", "codfw", "eqiad"), NEW)
    assert "git says 2026-08-17-094555" in deck.last


async def test_stopping_while_the_host_pulls(deck: Deck) -> None:
    """A stop at SYNC ends at once; what is merged stays owed, and the line says git's tag."""
    deck.cluster.stuck = True
    await deck.say("deploy citoid staging")
    await deck.until(lambda: (s := deck.rollout().current) and s.name is StepName.SYNC)
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
    await deck.until(lambda: (s := deck.rollout().current) and s.name is StepName.CHECK)
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
    tending = asyncio.create_task(deck.deployer.tend())
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
    said = await deck.desk._approve(deck.actor(), waiting)
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
    await deck.say("deploy citoid staging")
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


# -- rollback ----------------------------------------------------------------------------------------------------


async def test_going_back_after_a_success(deck: Deck) -> None:
    """The tag that ran before: git and pods, and nobody owes what runs already."""
    await deck.deploy()
    back = await deck.order("rollback citoid staging")
    assert back.state is State.SUCCEEDED, back.note
    assert (deck.git, deck.cluster.runs["staging"]) == (OLD, OLD)
    assert deck.debts == {}


async def test_git_alone_follows_where_helm_went_back(deck: Deck) -> None:
    """Helm went back by itself: the rollback edits git, and applies nothing."""
    deck.cluster.status = 1
    await deck.deploy()
    deck.cluster.status = 0
    applied = list(deck.cluster.applied)
    back = await deck.order("rollback citoid staging")
    assert back.state is State.SUCCEEDED
    assert deck.git == OLD
    assert deck.cluster.applied == applied
    assert "git and cluster agree on 2026-08-06-230932" in deck.last
    assert deck.debts == {}


async def test_production_goes_back_after_one_question(deck: Deck) -> None:
    """Without ENV it is production; the code says -back-."""
    number = await asked(deck)
    await deck.confirm(number)
    back = await deck.order("rollback citoid", "bob")
    assert back.environments == ("codfw", "eqiad")
    assert back.code.startswith("prod-back-")
    assert (await deck.confirm(back.number)).state is State.SUCCEEDED
    assert {deck.cluster.runs[e] for e in ("codfw", "eqiad")} == {OLD}


async def test_a_stopped_question_is_nothing_to_go_back_to(deck: Deck) -> None:
    """What never touched an environment is not what ran there."""
    await deck.deploy(f"citoid staging {NEW}")
    deck.ask_first = 3
    deck.build()
    waiting = await deck.deploy(f"citoid staging {NEWER}")
    assert waiting.state is State.WAITING
    await deck.say(f"stop {waiting.number}")
    deck.ask_first = 0
    deck.build()
    back = await deck.order("rollback citoid staging")
    assert back.tag == NEW, "git was moved: it goes back to what runs"
    again = await deck.order("rollback citoid staging")
    assert again.tag == OLD


async def test_going_back_twice_does_not_go_forward(deck: Deck) -> None:
    """After a rollback the bad tag is not "the one before"."""
    await deck.deploy()
    await deck.order("rollback citoid staging")
    said = await deck.say("rollback citoid staging")
    assert said.startswith("alice: back to what?")
    assert said.endswith("Nothing done")


async def test_nothing_to_go_back_to(deck: Deck) -> None:
    """No record: the tag is to be said."""
    said = await deck.say("rollback citoid staging")
    assert "back to what? I have no record" in said
    assert said.endswith("Nothing done")


async def test_back_to_what_runs_is_nothing_to_do(deck: Deck) -> None:
    """Git and cluster agree already."""
    said = await deck.say(f"rollback citoid staging {OLD}")
    assert said == "alice: citoid staging: pods and git have 2026-08-06-230932 already. Nothing to do."


# -- who ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["deploy citoid staging", "apply citoid staging", "rollback citoid staging"])
async def test_who_may_not_gets_told_why(deck: Deck, verb: str) -> None:
    """No account, an unknown account, the wrong groups, the wrong room: nothing is accepted."""
    await deck.deploy()
    for actor, word in (
        (deck.actor("alice", account=None), "not identified"),
        (deck.actor("mallory"), "do not know the account mallory"),
        (deck.actor("eve"), "is for deployers"),
    ):
        name, _, rest = verb.partition(" ")
        (said,) = await deck.reception.answer(name, actor, rest)
        assert word in said
        assert said.endswith("Nothing done")
    assert len(deck.store.tables.rollouts) == 1


async def test_sre_may_go_back_and_no_more(deck: Deck) -> None:
    """Group sre may roll back what it may not deploy."""
    await deck.deploy()
    assert "is for deployers" in await deck.say("deploy citoid staging", "sre1")
    assert (await deck.order("rollback citoid staging", "sre1")).state is State.SUCCEEDED


async def test_the_audit_says_who(deck: Deck) -> None:
    """Moves by people carry their names, moves by the worker carry its."""
    number = await asked(deck)
    await deck.confirm(number, "bob")
    rows = [(row.who, row.verb) for row in await deck.store.audit(number)]
    assert ("alice", "accept") in rows
    assert ("bob", "approve") in rows
    assert ("worker", "finish") in rows
    waiting = await deck.deploy(f"citoid production {NEWER}")
    await deck.say(f"stop {waiting.number}", "sre1")
    await deck.say(f"stop {waiting.number}", "bob")
    assert (await deck.store.audit(waiting.number))[0].who == "bob"


async def test_what_a_step_lost_is_not_done(deck: Deck) -> None:
    """An UNKNOWN rollout's lost step stays visible."""
    await hanging(deck)
    await deck.runner.kill(deck.apply_jobs()[0].name)
    rollout = await deck.settle()
    step = rollout.current
    assert step is not None
    assert step.state is StepState.LOST
