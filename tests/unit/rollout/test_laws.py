"""The laws of a rollout, one test or more for each, on a whole world of fakes."""

from __future__ import annotations

import asyncio
import re

import pytest

from quarterdeck.core.model.change import ChangeStatus
from quarterdeck.core.model.errors import StaleError, TemporaryError, WrongStateError
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.naming import change_id, job_name
from quarterdeck.core.rollout.rollout import advance
from quarterdeck.core.rollout.state import MOVES, Move, State
from quarterdeck.core.rollout.step import Step, StepName
from quarterdeck.testing.review import Gate
from tests.worlds.world import IMAGE, NEW, NEWER, OLD, SECRET, VALUES, Deck, config_map, hanging, rolled, values


async def test_law_1_only_the_worker_moves_a_running_rollout(deck: Deck) -> None:
    """People raise a flag on what runs, and move what rests; a second writer is refused."""
    await hanging(deck)
    running = deck.rollout()
    await deck.say("stop 1", "bob")
    assert deck.rollout().version == running.version
    assert deck.rollout().stop == "bob"
    await deck.settle()
    with pytest.raises(StaleError):
        await deck.store.save(running, advance(running, Move.FAIL, deck.clock.now()))
    with pytest.raises(WrongStateError):
        advance(deck.rollout(), Move.STEP, deck.clock.now())
    assert set(MOVES) == set(State)


async def test_law_2_what_is_said_was_saved_before(deck: Deck) -> None:
    """Lines stand in the move's own transaction: a move that is refused says nothing."""
    await deck.deploy()
    before = deck.said()
    with pytest.raises(StaleError):
        await deck.store.save(
            rolled(number=1, version=0), rolled(number=1, version=1), [Line(Room("irc", "#deploy"), "a lie")]
        )
    assert deck.said() == before
    rows = await deck.store.claim_lines("irc")
    assert [row.line.whole for row in rows] == before
    again = await deck.store.reborn("second").claim_lines("irc")
    assert all(row.again for row in again), "handed over and never confirmed: due again, marked"


async def test_law_3_targets_are_held_by_rows_until_it_is_over(deck: Deck) -> None:
    """Held from acceptance to the end; FAILED holds nothing, UNKNOWN holds."""
    await hanging(deck)
    assert deck.store.tables.targets == {("citoid", "staging"): 1}
    assert deck.store.tables.write_sets == {(VALUES, "main_app.version"): 1}
    assert deck.cluster.release_hang is not None
    deck.cluster.release_hang.set()
    await deck.settle()
    assert (deck.store.tables.targets, deck.store.tables.write_sets) == ({}, {})


async def test_law_3_a_scalar_is_written_by_one_rollout_at_a_time(deck: Deck) -> None:
    """The file is shared: another environment's deploy is refused at once, and names who has it in hands."""
    await hanging(deck)
    said = await deck.say(f"deploy citoid codfw {NEWER}", "bob")
    assert "values.yaml is in the hands of #1 (alice, RUNNING)" in said
    assert said.endswith("Nothing done")
    assert deck.git == NEW


async def test_law_3_a_scalar_that_was_taken_in_between_fails_at_edit(deck: Deck) -> None:
    """Between the look and the write somebody else got the scalar: the store's index decides."""
    await deck.store.accept(rolled(id="other", service="zotero", number=0), (), lambda _: ())
    other = deck.rollout(1)
    going = advance(other, Move.CONFIRM, deck.clock.now())
    await deck.store.save(other, going, (), [(VALUES, "main_app.version")])
    late = await deck.deploy()
    assert late.state is State.FAILED
    assert "main_app.version is held by #1" in late.note
    assert deck.git == OLD


async def test_law_4_who_else_is_touched_is_named_and_owed(deck: Deck) -> None:
    """The accepted line names them, `!status` shows them until they are applied."""
    await deck.deploy()
    assert "codfw and eqiad become pending" in deck.said()[0]
    assert "codfw, eqiad pending since" in await deck.say("status citoid")
    assert "pending: citoid codfw, citoid eqiad" in await deck.say("status")
    await deck.deploy("citoid codfw")
    await deck.confirm(2)
    assert deck.debts == {"eqiad": NEW}


async def test_law_4_a_stop_names_what_is_left_owed(deck: Deck) -> None:
    """Stopped after the merge: the line names the environments that are pending."""
    deck.cluster.stuck = True
    await deck.say("deploy citoid staging")
    await deck.until(lambda: (s := deck.rollout().current) and s.name == StepName.SYNC)
    await deck.say("stop 1")
    await deck.settle()
    assert "staging, codfw and eqiad pending" in deck.last


async def test_law_4_a_rollback_owes_nothing_where_the_old_tag_runs(deck: Deck) -> None:
    """Taking the edit back clears what it owed elsewhere."""
    await deck.deploy()
    assert set(deck.debts) == {"codfw", "eqiad"}
    await deck.order("rollback citoid staging")
    assert deck.debts == {}


async def test_law_4_a_newer_bump_by_hand_is_not_undone_silently(deck: Deck) -> None:
    """Somebody's newer tag that runs nowhere: refused, with both ways named."""
    deck.repository.push({VALUES: values(NEWER)})
    said = await deck.say("deploy citoid staging")
    assert "a bump made by hand" in said
    assert f"!deploy citoid staging {NEWER[:17]}" in said
    assert said.endswith("Nothing done")


async def test_law_4_a_tag_that_others_run_is_not_taken_away_unasked(deck: Deck) -> None:
    """An older tag for one environment would undo what others run: asked before anything is written."""
    for environment in ("staging", "codfw", "eqiad"):
        deck.cluster.run(environment, NEW)
    deck.repository.push({VALUES: values(NEW)})
    waiting = await deck.deploy(f"citoid staging {OLD}")
    assert waiting.state is State.WAITING
    assert not deck.review.changes
    assert "away from codfw and eqiad" in deck.last
    assert (await deck.confirm(1)).state is State.SUCCEEDED
    assert deck.git == OLD


async def test_law_5_what_is_done_already_is_not_done_again(deck: Deck) -> None:
    """Already there: no number, no change. Merged by hand: only applied."""
    await deck.deploy()
    assert "already runs 2026-08-17-094555 (1/1). Nothing to do." in await deck.say("deploy citoid staging")
    deck.repository.push({VALUES: values(NEWER)})
    rollout = await deck.deploy(f"citoid staging {NEWER}")
    assert rollout.state is State.SUCCEEDED
    assert len(deck.review.changes) == 1
    assert rollout.records.merged is not None
    assert rollout.records.merged.already


def test_law_6_names_derive_from_id_step_place_and_attempt() -> None:
    """The same attempt has the same names for ever; a retry has others."""
    step = Step(StepName.APPLY, "codfw", "default")
    again = Step(StepName.APPLY, "codfw", "default", attempt=2)
    assert job_name(rolled(), step) == "r41-0123456789abcdef-apply-codfw-default-a1"
    assert job_name(rolled(), again).endswith("-a2")
    assert change_id("a", step) == change_id("a", step)
    assert re.fullmatch(r"I[0-9a-f]{40}", change_id("a", step))
    assert len({change_id("a", step), change_id("b", step), change_id("a", again)}) == 3


async def test_law_6_the_release_carries_the_rollouts_id(deck: Deck) -> None:
    """Helm's label names the rollout that made a revision."""
    rollout = await deck.deploy()
    assert deck.cluster.live["citoid", "staging"][0].labels == {"quarterdeck": rollout.id}


async def test_law_7_never_a_second_apply_on_a_guess(deck: Deck) -> None:
    """A job that vanished with its host: UNKNOWN, and what the cluster shows."""
    await hanging(deck)
    await deck.deployer.close()
    await deck.runner.reboot()
    deck.runner.jobs.clear()
    await deck.crash()
    assert (await deck.settle()).state is State.UNKNOWN
    assert "Cluster now: staging serves" in deck.last
    assert deck.cluster.applied == [("staging", NEW)]


async def test_law_8_another_diff_than_the_shown_one_is_not_applied(deck: Deck) -> None:
    """The diff is taken again inside the apply job; it differs: nothing is applied."""
    await deck.deploy()
    await deck.deploy("citoid codfw")
    deck.cluster.extra["codfw"] = config_map()
    rollout = await deck.confirm(2)
    assert rollout.state is State.FAILED
    assert "no longer the one that was shown" in deck.last
    assert deck.cluster.applied == [("staging", NEW)]
    assert [line.split()[4] for line in deck.sal[2:]] == ["START", "FAILED"]


async def test_law_8_a_release_that_somebody_else_moved_is_not_applied(deck: Deck) -> None:
    """Another revision than the pinned one: refused by the job, said in words."""
    await deck.deploy()
    await deck.deploy("citoid codfw")
    deck.cluster._upgrade(("citoid", "codfw"), deck.cluster.live["citoid", "codfw"][0], "")
    rollout = await deck.confirm(2)
    assert rollout.state is State.FAILED
    assert "somebody else is on this release" in deck.last


async def test_law_8_a_tag_that_was_pushed_again_is_not_applied(deck: Deck) -> None:
    """Between the question and the yes the tag got another image, which nobody was shown."""
    await deck.deploy()
    await deck.deploy("citoid production")
    deck.registry.push(IMAGE, NEW, content="something else")
    rollout = await deck.confirm(2)
    assert rollout.state is State.FAILED
    assert "was pushed again" in deck.last
    assert deck.cluster.applied == [("staging", NEW)]


async def test_law_8_a_yes_is_for_what_git_still_says(deck: Deck) -> None:
    """Whoever answers an old question does not bring back what was taken back meanwhile."""
    await deck.deploy()
    await deck.order("apply citoid eqiad")
    await deck.order("rollback citoid staging")
    rollout = await deck.confirm(2)
    assert rollout.state is State.FAILED
    assert "git gives eqiad another image by now than I showed. Say it again. Nothing was applied" in deck.last
    assert (deck.cluster.runs["eqiad"], deck.git, deck.debts) == (OLD, OLD, {})


async def test_law_8_pods_are_held_to_the_digest_that_was_shown(deck: Deck) -> None:
    """Where the registry was silent before the apply, the pods tell."""
    await deck.deploy()
    await deck.deploy("citoid codfw")
    deck.registry.push(IMAGE, NEW, content="something else")
    deck.registry.faults.once("digest", TemporaryError("away"))
    rollout = await deck.confirm(2)
    assert rollout.state is State.FAILED
    assert "another digest" in deck.last


async def test_law_9_going_back_is_a_new_rollout_in_reverts_form(deck: Deck) -> None:
    """Its own number, the inverse edit, Gerrit's revert form, our Change-Id."""
    await deck.deploy()
    back = await deck.order("rollback citoid staging -- it leaks")
    change = deck.review.changes[-1]
    assert change.subject == f'Revert "citoid: bump to {NEW}"'
    assert "Reason for revert: it leaks" in change.message
    assert change.message.splitlines()[-1] == f"Change-Id: {change.change_id}"
    assert (back.number, deck.git) == (2, OLD)


async def test_law_10_a_stop_waits_for_the_jobs_end(deck: Deck) -> None:
    """Interrupted and not ended within its deadline: the move is lose, not abort."""
    await hanging(deck)
    await deck.say("stop 1")
    assert (await deck.settle()).state is State.ABORTED
    assert all(job.ended for job in deck.apply_jobs())


async def test_law_10_a_host_that_is_lost_while_it_is_interrupted_is_unknown(deck: Deck) -> None:
    """The interrupt could not be sent: nobody knows."""
    await hanging(deck)
    deck.runner.away = True
    await deck.say("stop 1")
    assert (await deck.settle()).state is State.UNKNOWN


async def test_law_11_no_argument_sets_the_actor(deck: Deck) -> None:
    """The person is the account's; a nick that looks like alice is nobody."""
    stranger = Actor("irc", Room("irc", "#deploy"), "alice", None, None)
    (said,) = await deck.dispatcher.answer("deploy", stranger, "citoid staging --as alice")
    assert "Nothing done" in said
    (said,) = await deck.dispatcher.answer("deploy", stranger, "citoid staging")
    assert "not identified" in said
    split = Actor("irc", Room("irc", "#deploy"), "alice", None, None, accounts_shown=False)
    (said,) = await deck.dispatcher.answer("deploy", split, "citoid staging")
    assert "shows no accounts just now" in said
    assert not deck.store.tables.rollouts


async def test_law_11_the_human_is_named_in_git_sal_and_store(deck: Deck) -> None:
    """Requested-by, shell name, account."""
    rollout = await deck.deploy()
    assert "Requested-by: alice (irc:alice)" in deck.review.changes[0].message
    assert all(line.startswith("!log alice@deploy1003 ") for line in deck.sal)
    assert (rollout.actor, rollout.account) == ("alice", "irc:alice")


async def test_law_12_the_verdict_comes_from_the_new_pods(deck: Deck) -> None:
    """Exit status 0 and no ready pod on the image is no success; another digest is none either."""
    deck.cluster.digests = {NEW: "sha256:" + "f" * 64}
    rollout = await deck.deploy()
    assert rollout.state is State.FAILED
    assert "another digest" in deck.last


async def test_law_13_no_secret_leaves_us(deck: Deck) -> None:
    """Helm prints a password: not in the files, not in chat, not in the store, not in Gerrit."""
    deck.cluster.status = 1
    await deck.deploy(f"citoid staging -- it was {SECRET}")
    everything = [*deck.said(), *deck.sal, repr(deck.files.texts), repr(deck.store.tables.rollouts[1].steps)]
    everything += [c.message for c in deck.review.changes] + [repr(deck.review._records)]
    assert not [text for text in everything if SECRET in text]
    assert b"password=" in deck.files.texts[1, "staging.default.apply.log"]


async def test_law_14_a_failure_says_everything(deck: Deck) -> None:
    """What failed, what serves, what was not touched, what git says, and the next command."""
    await deck.deploy()
    await deck.deploy("citoid production")
    deck.cluster.status = 1
    await deck.confirm(2)
    for words in (
        "#2 citoid codfw FAILED at apply",
        f"codfw serves {OLD[:17]} (2/2)",
        "eqiad not touched",
        f"git still says {NEW[:17]}",
        "!rollback citoid codfw",
        "http://deck.example/2",
    ):
        assert words in deck.last


@pytest.mark.parametrize("gone", ["gerrit", "registry", "host", "cluster"])
async def test_law_14_a_dead_system_ends_in_a_true_state(deck: Deck, gone: str) -> None:
    """Whatever dies after the acceptance: an end within its deadline, one line, the target free or named."""
    from quarterdeck.core.model.errors import TemporaryError

    error = TemporaryError(f"{gone} is away")
    await deck.say("deploy citoid staging")
    if gone == "gerrit":
        for call in ("get", "propose", "find", "approve", "abandon", "submitted_together"):
            deck.review.faults.always(call, error)
        for call in ("tip", "tree"):
            deck.charts.faults.always(call, error)
    elif gone == "registry":
        deck.registry.faults.always("digest", error)
    elif gone == "cluster":
        deck.cluster.faults.always("objects", error)
    else:
        deck.runner.away = True
        for call in ("has_commit", "position", "releases", "objects"):
            deck.cluster.faults.always(call, error)
    rollout = await deck.settle()
    assert rollout.state is State.FAILED
    assert f"{gone if gone != 'host' else 'deploy host'}" in deck.last.lower()
    assert "!retry 1" in deck.last or "!rollback" in deck.last


async def test_no_open_change_of_ours_is_left_behind(deck: Deck) -> None:
    """Stopped while Gerrit is away: the line says which change is to be abandoned by hand."""
    from quarterdeck.core.model.errors import TemporaryError

    deck.review.gate = Gate.STALL
    await deck.say("deploy citoid staging")
    await deck.until(lambda: any(c.votes for c in deck.review.changes))
    deck.review.faults.always("abandon", TemporaryError("Gerrit is away"))
    await deck.say("stop 1")
    assert (await deck.settle()).state is State.ABORTED
    assert deck.review.changes[0].status is ChangeStatus.NEW
    assert "abandon it there" in deck.rollout().note


async def test_every_sal_start_has_one_end(deck: Deck) -> None:
    """For each environment that was applied: exactly one START and one end, in order."""
    await deck.deploy()
    await deck.deploy("citoid production")
    await deck.confirm(2)
    marks = [(line.split("[")[1].split("]")[0], line.split()[4]) for line in deck.sal]
    assert marks == [(e, mark) for e in ("staging", "codfw", "eqiad") for mark in ("START", "DONE")]
    assert all(line.isascii() and len(line) <= 400 and not set("{|}") & set(line) for line in deck.sal)


async def test_everything_said_fits_a_line(deck: Deck) -> None:
    """No line is longer than 400 bytes, and the page's address is whole."""
    reason = " ".join(["why"] * 60)
    deck.cluster.status = 1
    await deck.deploy(f"citoid staging -- {reason}")
    assert all(len(line.encode()) <= 400 for line in deck.said())
    assert all(line.endswith("http://deck.example/1") for line in deck.said() if "diff:" not in line)
    await asyncio.sleep(0)
