"""The worker: takes rollouts through their steps, takes them up after a crash, ends them honestly."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from quarterdeck.core.model.catalogue import MergeMode
from quarterdeck.core.model.change import ChangeStatus
from quarterdeck.core.model.errors import ConflictError, TemporaryError
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName
from quarterdeck.core.worker.questions import tend_questions
from quarterdeck.testing.review import Gate
from quarterdeck.testing.runner import FakeJob
from tests.worlds.world import CHARTS, NEW, NEWER, OLD, VALUES, Deck, hanging, values


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
        return await real(commit, service if len(calls) < 2 else "nothing-there")

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
    tending = asyncio.create_task(tend_questions(deck.world.store, deck.world.voice, deck.clock))
    deck.clock.forward(deck.limits.ask_production + 1)
    deck.clock.standing = False
    await deck.until(lambda: deck.rollout(2).ended)
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert deck.rollout(2).state is State.ABORTED
    assert "nobody confirmed in time" in deck.last
    assert deck.store.tables.targets == {}
    assert (await deck.store.audit(2))[0].who == "worker"


async def test_the_deadline_of_a_question_depends_on_the_place(deck: Deck) -> None:
    """Half an hour in production."""
    await deck.deploy()
    asked = await deck.deploy("citoid production")
    assert asked.deadline is not None
    assert timedelta(0) <= deck.clock.now() + timedelta(seconds=1800) - asked.deadline < timedelta(seconds=5)


def test_the_charts_project_is_the_catalogues() -> None:
    """The world's Gerrit and catalogue speak of the same repository."""
    assert Deck().catalogue.charts.project == CHARTS


async def test_canaries_go_first_and_pay_nothing_yet(deck: Deck) -> None:
    """The canary is applied and checked before the rest; it does not settle what the environment owes."""
    deck.cluster.add_canary("codfw")
    await deck.deploy()
    waiting = await deck.deploy("citoid codfw")
    assert [s.key[0::2] for s in waiting.steps if s.environment] == [
        ("apply", "canary"), ("check", "canary"), ("apply", "default"), ("check", "default"),
    ]  # fmt: skip
    real, owed = deck.store.set_debts, []

    async def watched(add: object, paid: object) -> None:
        await real(add, paid)  # type: ignore[arg-type]
        checked = deck.rollout(2).records.checked("codfw", "default")
        owed.append(("codfw" in deck.debts, bool(checked)))

    deck.store.set_debts = watched  # type: ignore[method-assign]
    rollout = await deck.confirm(2)
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert all(owes is not checked for owes, checked in owed)
    assert deck.debts == {"eqiad": NEW}
    assert [line.split("[")[1].split("]")[0] for line in deck.sal[2:]] == ["codfw/canary"] * 2 + ["codfw"] * 2


async def test_a_bad_canary_stops_the_rest(deck: Deck) -> None:
    """Only the canary has the new image; the rest of its environment is as it was."""
    deck.cluster.add_canary("codfw")
    await deck.deploy()
    await deck.deploy("citoid production")
    deck.cluster.broken.add(NEW)
    rollout = await deck.confirm(2)
    assert rollout.state is State.FAILED
    assert deck.cluster.tags["codfw", "canary"] == NEW
    assert deck.cluster.tags["codfw", "main"] == OLD
    assert "eqiad not touched" in deck.last
    assert set(deck.debts) == {"codfw", "eqiad"}


async def test_pods_that_go_bad_are_told_long_before_helm_gives_up(deck: Deck) -> None:
    """One early warning with the way back, the evidence kept, and a sign of life every few minutes."""
    await hanging(deck)
    deck.cluster.run("staging", NEW, ready=False)
    await deck.until(lambda: any("looks bad" in line for line in deck.said()))
    warning = next(line for line in deck.said() if "looks bad" in line)
    assert warning.startswith("alice: #1 citoid staging looks bad: 1/1 new pods crash (exit 1)")
    assert "!stop 1 = go back now" in warning
    assert "helm gives up by itself at 14:0" in warning
    await deck.until(lambda: any("still at it" in line for line in deck.said()))
    await deck.say("stop 1")
    await deck.settle()
    assert sum("looks bad" in line for line in deck.said()) == 1
    assert deck.files.texts[1, "staging.default.evidence.json"]


async def test_helms_end_is_explained_by_what_the_watcher_saw(deck: Deck) -> None:
    """Helm removed the bad pods; the reason they had is the one in the verdict."""
    await hanging(deck)
    deck.cluster.run("staging", NEW, ready=False)
    await deck.until(lambda: (1, "staging.default.evidence.json") in deck.files.texts)
    deck.cluster.run("staging", OLD)
    deck.cluster.status = 1
    assert deck.cluster.release_hang is not None
    deck.cluster.release_hang.set()
    rollout = await deck.settle()
    assert rollout.state is State.FAILED
    assert "crash (exit 1)" in rollout.note
    assert f"Back: staging serves {OLD[:17]} (1/1)" in deck.last


async def test_a_watcher_that_sees_nothing_is_no_verdict(deck: Deck) -> None:
    """The cluster does not answer while helm works: the rollout goes on, and is judged afterwards."""
    await hanging(deck)
    deck.cluster.faults.always("objects", TemporaryError("timed out"))
    await deck.until(lambda: (deck.clock.now() - deck.rollout().created).total_seconds() > 20)
    deck.cluster.faults.always("objects", None)
    assert deck.cluster.release_hang is not None
    deck.cluster.release_hang.set()
    assert (await deck.settle()).state is State.SUCCEEDED


async def test_somebody_elses_lock_on_the_host_is_named(deck: Deck) -> None:
    """The host's lock is held: nothing is applied, and it says so."""
    deck.cluster.holders["citoid", "staging"] = "bob"
    rollout = await deck.deploy()
    assert rollout.state is State.FAILED
    assert "holds the host's lock" in rollout.note


async def test_a_diff_that_fails_says_helmfiles_last_words(deck: Deck) -> None:
    """Nothing is applied; the lines of the log are the reason."""

    async def fails(job: FakeJob) -> int:
        await job.write("Error: chart not found\n")
        return 74

    deck.runner.player = fails
    assert (await deck.deploy()).state is State.FAILED
    assert "helmfile diff failed in staging: Error: chart not found. Nothing was applied" in deck.last


async def test_a_host_that_cannot_begin_a_job_is_quoted(deck: Deck) -> None:
    """A full disk, say: the line has the host's own words, not only that the time is over."""
    deck.runner.full = True
    rollout = await deck.deploy()
    assert rollout.state is State.FAILED
    assert "disk full?" in rollout.note
