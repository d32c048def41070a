"""The worker: takes rollouts through their steps, takes them up after a crash, ends them honestly."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from quarterdeck.core.errors import ConflictError, PermanentError, TemporaryError
from quarterdeck.core.model import ChangeStatus, MergeMode
from quarterdeck.core.rollout import State, StepName
from quarterdeck.testing.review import Gate
from tests.unit.world import CHARTS, NEW, NEWER, OLD, VALUES, Deck, Fate, values


async def test_a_plain_staging_deploy_runs_to_its_end(deck: Deck) -> None:
    """One command: the tag is edited and merged, applied, checked, and said."""
    rollout = await deck.deploy()
    assert (rollout.state, deck.git, deck.cluster.applied) == (State.SUCCEEDED, NEW, [("staging", NEW)])
    assert [s.name for s in rollout.steps] == list(StepName)
    assert len(deck.said()) == 3
    assert deck.debts == {"codfw": NEW, "eqiad": NEW}


async def test_production_goes_by_data_centre_the_primary_last(deck: Deck) -> None:
    """Codfw is applied and checked before eqiad is touched, after one question for both."""
    await deck.deploy()
    assert (await deck.deploy("citoid production")).state is State.WAITING
    assert (await deck.confirm(2, "bob")).state is State.SUCCEEDED
    assert deck.cluster.applied[1:] == [("codfw", NEW), ("eqiad", NEW)]
    assert deck.debts == {}


async def test_in_submit_mode_the_bot_submits() -> None:
    """Where CI only verifies, the worker submits what CI verified."""
    deck = Deck(MergeMode.SUBMIT)
    deck.review.gate = Gate.VERIFY
    deck.announce()
    assert (await deck.deploy()).state is State.SUCCEEDED
    await deck.close()


async def crashed(at: int, after: bool) -> tuple[Deck, bool]:
    """A staging deploy whose process dies at its call number *at*, taken up by the next process."""
    deck = Deck()
    deck.announce()
    await deck.say("versions citoid")
    deck.fate = Fate(at, after)
    deck.build(mortal=True)
    asking = asyncio.create_task(deck.say("deploy citoid staging"))
    driving = asyncio.create_task(driven(deck))
    dying = asyncio.create_task(deck.fate.reached.wait())
    async with asyncio.timeout(10):
        await asyncio.wait({dying, driving}, return_when=asyncio.FIRST_COMPLETED)
    died = dying.done()
    for task in (asking, driving, dying):
        task.cancel()
    await asyncio.gather(asking, driving, dying, return_exceptions=True)
    await deck.crash()
    if deck.store.tables.rollouts:
        await deck.settle()
    return deck, died


async def driven(deck: Deck) -> None:
    """Wait until the rollout is over."""
    await deck.until(lambda: deck.store.tables.rollouts and deck.rollout().ended)


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after its effect"])
async def test_a_crash_at_any_call_ends_in_the_aim(after: bool) -> None:
    """Whatever the process was doing when it died: the next one ends it, with one effect of each kind."""
    at, died = 0, True
    while died:
        deck, died = await crashed(at, after)
        call = deck.fate.calls[-1] if deck.fate.calls else ""
        where = f"died at call {at}, {call}"
        if not deck.store.tables.rollouts:
            assert deck.cluster.applied == [], where
        else:
            rollout = deck.rollout()
            assert rollout.state is State.SUCCEEDED, f"{where}: {rollout.state} {rollout.note}"
            assert deck.cluster.applied == [("staging", NEW)], where
            assert len(deck.review.changes) == 1, where
            assert deck.debts == {"codfw": NEW, "eqiad": NEW}, where
            assert [line.split()[4] for line in deck.sal] == ["START", "DONE"], where
            assert sum("OK in" in line for line in deck.said()) == 1, where
        at += 1
        await deck.close()
    assert at > 30


async def hanging(deck: Deck, words: str = "citoid staging") -> None:
    """A deploy whose helm takes until it is interrupted, or until `release_hang`."""
    deck.cluster.hang, deck.cluster.release_hang = asyncio.Event(), asyncio.Event()
    assert await deck.say(f"deploy {words}") == ""
    async with asyncio.timeout(10):
        await deck.cluster.hang.wait()


async def test_a_running_job_is_followed_by_the_next_process(deck: Deck) -> None:
    """The process dies while helm works: the next one follows the same job to its end."""
    await hanging(deck)
    taken = await deck.crash()
    assert [r.number for r in taken] == [1]
    assert deck.cluster.release_hang is not None
    deck.cluster.release_hang.set()
    assert (await deck.settle()).state is State.SUCCEEDED
    assert len(deck.apply_jobs()) == 1
    assert [line.split()[4] for line in deck.sal] == ["START", "DONE"]


async def test_a_job_that_ended_meanwhile_is_read(deck: Deck) -> None:
    """The job ended while nobody looked: its exit status is found, nothing is applied again."""
    await hanging(deck)
    await deck.deployer.close()
    assert deck.cluster.release_hang is not None
    deck.cluster.release_hang.set()
    await deck.until(lambda: deck.apply_jobs()[0].ended)
    await deck.crash()
    assert (await deck.settle()).state is State.SUCCEEDED
    assert deck.cluster.applied == [("staging", NEW)]


async def test_a_job_without_an_exit_status_is_unknown(deck: Deck) -> None:
    """Helmfile was killed: nobody can say what it did, so it is UNKNOWN, says what serves, and keeps its target."""
    await hanging(deck)
    await deck.runner.kill(deck.apply_jobs()[0].name)
    rollout = await deck.settle()
    assert rollout.state is State.UNKNOWN
    assert f"staging serves {OLD[:17]} (1/1)" in deck.last
    assert "!retry 1" in deck.last
    assert "UNKNOWN" in deck.sal[-1]
    assert "held by #1" in await deck.say("deploy citoid staging", "bob")


async def test_a_rebooted_host_is_unknown(deck: Deck) -> None:
    """The job is gone and so is the host it was on: UNKNOWN, never a second apply on a guess."""
    await hanging(deck)
    await deck.deployer.close()
    await deck.runner.reboot()
    deck.runner.jobs.clear()
    deck.cluster.boot = "boot-2"
    await deck.crash()
    assert (await deck.settle()).state is State.UNKNOWN
    assert deck.cluster.applied == [("staging", NEW)]


async def test_a_job_that_never_began_is_begun(deck: Deck) -> None:
    """The same host knows no such job and the release stands where it stood: it is applied, under the same name."""
    await hanging(deck)
    (name,) = [job.name for job in deck.apply_jobs()]
    await deck.deployer.close()
    await deck.runner.kill(name)
    del deck.runner.jobs[name]
    deck.cluster.applied.clear()
    deck.cluster.hang = None
    await deck.crash()
    assert (await deck.settle()).state is State.SUCCEEDED
    assert [job.name for job in deck.apply_jobs()] == [name]
    assert [line.split()[4] for line in deck.sal] == ["START", "DONE"]


async def test_a_job_that_is_gone_and_a_release_that_moved_is_unknown(deck: Deck) -> None:
    """Somebody is at another revision already: nobody knows whether it was us."""
    await hanging(deck)
    (name,) = [job.name for job in deck.apply_jobs()]
    await deck.deployer.close()
    await deck.runner.kill(name)
    del deck.runner.jobs[name]
    deck.cluster._upgrade(("citoid", "staging"), deck.cluster.live["citoid", "staging"][0], "")
    await deck.crash()
    assert (await deck.settle()).state is State.UNKNOWN


async def test_a_host_that_stays_away_after_a_crash_is_unknown(deck: Deck) -> None:
    """The apply may still run there: a host that does not answer leaves the rollout UNKNOWN, not FAILED."""
    await hanging(deck)
    await deck.deployer.close()
    deck.runner.away = True
    await deck.crash()
    assert (await deck.settle()).state is State.UNKNOWN
    deck.runner.away = False
    assert "going on from apply" in await deck.say("retry 1")
    assert deck.cluster.release_hang is not None
    deck.cluster.release_hang.set()
    assert (await deck.settle()).state is State.SUCCEEDED
    assert len(deck.apply_jobs()) == 1


async def test_a_found_job_with_another_command_is_not_taken_for_ours(deck: Deck) -> None:
    """A job of our name whose command has another digest is refused."""
    await hanging(deck)
    await deck.deployer.close()
    job = deck.apply_jobs()[0]
    job.script += " "
    await deck.crash()
    rollout = await deck.settle()
    assert rollout.state is State.UNKNOWN, rollout.note
    assert "another command" in rollout.note


async def test_a_full_disk_of_our_own_while_helm_works_is_unknown(deck: Deck) -> None:
    """Where we cannot keep the log we lose sight of the job, and say so."""
    real = deck.files.append

    async def full(number: int, name: str, data: bytes) -> int:
        if "apply" in name:
            raise PermanentError("the disk is full")
        return await real(number, name, data)

    deck.files.append = full  # type: ignore[method-assign]
    deck.cluster.hang, deck.cluster.release_hang = asyncio.Event(), asyncio.Event()
    await deck.say("deploy citoid staging")
    assert (await deck.settle()).state is State.UNKNOWN


async def test_a_crashing_image_fails_and_says_what_serves(deck: Deck) -> None:
    """Pods that crash end the rollout; the line has reason, what serves, what git says and what to do."""
    deck.cluster.broken.add(NEW)
    rollout = await deck.deploy()
    assert rollout.state is State.FAILED
    assert "1/1 new pods crash (exit 1)" in deck.last
    assert "git still says 2026-08-17-094555" in deck.last
    assert "!rollback citoid staging" in deck.last
    assert [line.split()[4] for line in deck.sal] == ["START", "FAILED"]
    assert deck.files.texts[1, "staging.default.evidence.json"]


async def test_helm_going_back_is_told_and_the_primary_not_touched(deck: Deck) -> None:
    """Codfw fails: eqiad is never touched, and both chat and SAL say so."""
    await deck.deploy()
    await deck.deploy("citoid production")
    deck.cluster.status = 1
    rollout = await deck.confirm(2)
    assert rollout.state is State.FAILED
    assert "eqiad not touched" in deck.last
    assert f"codfw serves {OLD[:17]} (2/2)" in deck.last
    assert "eqiad not touched" in deck.sal[-1]
    assert deck.cluster.applied[1:] == [("codfw", NEW)]
    assert deck.debts == {"codfw": NEW, "eqiad": NEW}


async def test_a_check_that_fails_after_an_apply_is_retried_without_another_apply(deck: Deck) -> None:
    """The pods were bad and got well: a retry sees an empty diff, looks at the pods, and is done."""
    deck.cluster.broken.add(NEW)
    await deck.deploy()
    deck.cluster.run("staging", NEW)
    said = await deck.say("retry 1", "bob")
    assert said.startswith("#1: looking again, going on from sync")
    rollout = await deck.settle()
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert deck.cluster.applied == [("staging", NEW)]
    assert {s.attempt for s in rollout.steps if s.name in (StepName.SYNC, StepName.DIFF, StepName.CHECK)} == {2}


async def test_a_retry_after_helm_went_back_applies_under_a_new_name(deck: Deck) -> None:
    """A person's retry raises the attempt: a new job, and a second START and DONE in the SAL."""
    deck.cluster.status = 1
    await deck.deploy()
    deck.cluster.status = 0
    await deck.say("retry 1")
    assert (await deck.settle()).state is State.SUCCEEDED
    assert [job.name[-2:] for job in deck.apply_jobs()] == ["a1", "a2"]
    assert [line.split()[4] for line in deck.sal] == ["START", "FAILED", "START", "DONE"]


async def test_a_retry_holds_what_it_wrote(deck: Deck) -> None:
    """A retry after the merge holds the edited scalar again until its last apply."""
    deck.cluster.status = 1
    await deck.deploy()
    assert deck.store.tables.write_sets == {}
    deck.cluster.status, deck.cluster.hang = 0, asyncio.Event()
    await deck.say("retry 1")
    async with asyncio.timeout(10):
        await deck.cluster.hang.wait()
    assert list(deck.store.tables.write_sets) == [(VALUES, "main_app.version")]


async def test_a_gate_that_fails_ends_it_and_a_retry_takes_the_old_change_back(deck: Deck) -> None:
    """CI says no: FAILED, nothing applied. The retry's change is a new one, the old one is abandoned."""
    deck.review.gate = Gate.FAIL
    assert (await deck.deploy()).state is State.FAILED
    assert "Nothing was applied" in deck.last
    deck.review.gate = Gate.MERGE
    assert "going on from edit" in await deck.say("retry 1")
    assert (await deck.settle()).state is State.SUCCEEDED
    assert [c.status for c in deck.review.changes] == [ChangeStatus.ABANDONED, ChangeStatus.MERGED]
    assert len({c.change_id for c in deck.review.changes}) == 2


async def test_closing_a_failed_rollout_takes_its_change_back(deck: Deck) -> None:
    """A change with our vote on it must not merge after everybody has gone."""
    deck.review.gate = Gate.FAIL
    await deck.deploy()
    await deck.say("stop 1", "bob")
    assert deck.rollout().state is State.ABORTED
    assert [c.status for c in deck.review.changes] == [ChangeStatus.ABANDONED]


async def test_a_newer_command_takes_the_change_of_a_failed_one_back(deck: Deck) -> None:
    """The same for a takeover."""
    deck.review.gate = Gate.FAIL
    await deck.deploy()
    deck.review.gate = Gate.MERGE
    rollout = await deck.deploy(f"citoid staging {NEWER}", "bob")
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert [c.status for c in deck.review.changes] == [ChangeStatus.ABANDONED, ChangeStatus.MERGED]


async def test_a_gate_that_says_nothing_has_a_deadline(deck: Deck) -> None:
    """A stalled gate ends the rollout after its deadline, and says where to look."""
    deck.review.gate = Gate.STALL
    assert (await deck.deploy()).state is State.FAILED
    assert "CI said nothing" in deck.last


@pytest.mark.parametrize("mode", list(MergeMode))
async def test_a_conflict_is_computed_again_from_the_new_tip(mode: MergeMode) -> None:
    """Somebody changes the same file first: the old change is abandoned, a new attempt starts from the new tip."""
    deck = Deck(mode)
    deck.announce()
    deck.review.gate = Gate.STALL
    await deck.say("deploy citoid staging")
    await deck.until(lambda: any(v.value == 2 for c in deck.review.changes for v in c.votes))
    deck.repository.push({VALUES: values(OLD) + b"other: 1\n"})
    deck.review.gate = Gate.MERGE if mode is MergeMode.GATE else Gate.VERIFY
    rollout = await deck.settle()
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert [c.status for c in deck.review.changes] == [ChangeStatus.ABANDONED, ChangeStatus.MERGED]
    assert deck.repository.files[VALUES] == values(NEW) + b"other: 1\n"
    edited = rollout.step(StepName.EDIT)
    assert edited is not None
    assert edited.attempt == 2
    await deck.close()


async def test_three_conflicts_are_enough(deck: Deck) -> None:
    """Somebody else's patch sets on each of our changes: three attempts, then FAILED."""
    for _ in range(3):
        deck.review.faults.once("propose", ConflictError("somebody was faster"))
    rollout = await deck.deploy()
    assert rollout.state is State.FAILED
    assert "(3 attempts)" in rollout.note


async def test_a_foreign_patch_set_is_never_voted_on(deck: Deck) -> None:
    """A patch set that is not ours makes a new attempt, without a vote on it."""
    deck.review.gate = Gate.STALL
    await deck.say("deploy citoid staging")
    await deck.until(lambda: any(v.value == 2 for c in deck.review.changes for v in c.votes))
    deck.review.upload(deck.review.changes[0].number, {VALUES: values("evil")}, "mallory")
    await deck.until(lambda: len(deck.review.changes) == 2)
    deck.review.gate = Gate.MERGE
    assert (await deck.settle()).state is State.SUCCEEDED
    assert deck.review.changes[0].votes == ()
    assert deck.git == NEW


async def test_changes_that_would_ride_along_stop_it(deck: Deck) -> None:
    """submitted_together must list nothing else."""
    deck.review.together[1001] = (77,)
    assert (await deck.deploy()).state is State.FAILED
    assert "would take along 77" in deck.last
    assert not deck.review.changes[0].votes


async def test_a_service_that_vanished_from_git_is_a_plain_failure(deck: Deck) -> None:
    """What a step does not find is said in words, not as an internal error."""
    deck.review.gate = Gate.STALL
    real = deck.charts.tree
    calls: list[str] = []

    async def gone(commit: str, service: str) -> object:
        calls.append(commit)
        return await real(commit, service if len(calls) < 3 else "nothing-there")

    deck.charts.tree = gone  # type: ignore[method-assign, assignment]
    rollout = await deck.deploy()
    assert rollout.state is State.FAILED
    assert "no directory" in deck.last


async def test_a_stuck_checkout_is_named(deck: Deck) -> None:
    """The host's checkout stays behind: FAILED with the reason, merged and pending."""
    deck.cluster.stuck, deck.cluster.problem = True, "local change in proton"
    assert (await deck.deploy()).state is State.FAILED
    assert "git pull fails: local change in proton" in deck.last
    assert deck.debts == dict.fromkeys(("staging", "codfw", "eqiad"), NEW)
    deck.cluster.stuck = False
    await deck.say("retry 1")
    assert (await deck.settle()).state is State.SUCCEEDED


async def test_short_outages_are_waited_out(deck: Deck) -> None:
    """A Gerrit, a registry and a host that are away for a moment fail nothing."""
    for port, calls in (
        (deck.review, ("propose", "approve", "get", "submitted_together")),
        (deck.cluster, ("has_commit", "position")),
    ):
        for call in calls:
            port.faults.once(call, TemporaryError("away"))
    assert (await deck.deploy()).state is State.SUCCEEDED


async def test_an_end_is_saved_as_soon_as_the_store_lets_us(deck: Deck) -> None:
    """A store that is away when the end is to be saved: tried again, until it is."""
    real, refused = deck.store.save, []

    async def save(old: object, new: object, *rest: object, **more: object) -> object:
        if getattr(new, "state", None) is State.FAILED and len(refused) < 3:
            refused.append(new)
            raise TemporaryError("disk full")
        return await real(old, new, *rest, **more)  # type: ignore[arg-type]

    deck.store.save = save  # type: ignore[method-assign, assignment]
    deck.review.gate = Gate.FAIL
    assert (await deck.deploy()).state is State.FAILED
    assert len(refused) == 3


async def test_an_unexpected_error_ends_the_rollout_too(deck: Deck) -> None:
    """A bug in a step: FAILED where nothing is in flight, without the exception's text in chat."""
    deck.review.faults.once("propose", ZeroDivisionError("secret detail"))
    assert (await deck.deploy()).state is State.FAILED
    assert "internal error" in deck.last
    assert "secret detail" not in deck.last


async def test_questions_close_in_time(deck: Deck) -> None:
    """Nobody confirms: the question closes by itself, once, and the target is free."""
    await deck.deploy()
    await deck.deploy("citoid production")
    deck.clock.standing = True
    tending = asyncio.create_task(deck.deployer.tend())
    deck.clock.forward(deck.limits.ask_production + 1)
    deck.clock.standing = False
    await deck.until(lambda: deck.rollout(2).ended)
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert deck.rollout(2).state is State.ABORTED
    assert "nobody confirmed in time" in deck.last
    assert deck.store.tables.targets == {}
    assert (await deck.store.audit(2))[0].who == "worker"


async def test_waiting_outlives_the_process(deck: Deck) -> None:
    """An open question is answered in the next process as in this one."""
    await deck.deploy()
    await deck.deploy("citoid production")
    assert await deck.crash() == ()
    assert (await deck.confirm(2)).state is State.SUCCEEDED


async def test_the_deadline_of_a_question_depends_on_the_place(deck: Deck) -> None:
    """Half an hour in production."""
    await deck.deploy()
    asked = await deck.deploy("citoid production")
    assert asked.deadline is not None
    assert timedelta(0) <= deck.clock.now() + timedelta(seconds=1800) - asked.deadline < timedelta(seconds=5)


def test_the_charts_project_is_the_catalogues() -> None:
    """The world's Gerrit and catalogue speak of the same repository."""
    assert Deck().catalogue.charts.project == CHARTS
