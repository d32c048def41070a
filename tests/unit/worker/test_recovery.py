"""After a crash: the next process takes up what runs, and guesses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.rollout.state import State
from quarterdeck.testing.review import Gate
from tests.worlds.world import NEW, OLD, Deck, hanging

Prepare = Callable[[Deck], None]


async def crashed(at: int, after: bool, prepare: Prepare) -> tuple[Deck, bool]:
    """A staging deploy whose process dies at its call number *at*, taken up by the next process."""
    deck = Deck()
    deck.announce()
    prepare(deck)
    return deck, await deck.die("deploy citoid staging", at, after)


def well(_deck: Deck) -> None:
    """Nothing goes wrong."""


def gate_fails(deck: Deck) -> None:
    """CI says no."""
    deck.review.gate = Gate.FAIL


def helm_fails(deck: Deck) -> None:
    """Helm goes back."""
    deck.cluster.status = 1


def pods_crash(deck: Deck) -> None:
    """The image is bad."""
    deck.cluster.broken.add(NEW)


#: what goes wrong -> state, tags applied, environments owed, SAL marks, the one verdict in chat
STORIES: list[tuple[Prepare, State, list[str], str, list[str], str]] = [
    (well, State.SUCCEEDED, [NEW], "codfw eqiad", ["START", "DONE"], "OK in"),
    (gate_fails, State.FAILED, [], "", [], "FAILED at merge"),
    (helm_fails, State.FAILED, [NEW], "codfw eqiad staging", ["START", "FAILED"], "FAILED at apply"),
    (pods_crash, State.FAILED, [NEW], "codfw eqiad staging", ["START", "FAILED"], "FAILED at check"),
]


#: before a call is after the one that came before it, so once for each is enough, but for the good story
WAYS = [(story, True) for story in STORIES] + [(STORIES[0], False)]


@pytest.mark.parametrize(("story", "after"), WAYS, ids=lambda x: x[0].__name__ if isinstance(x, tuple) else str(x))
async def test_a_crash_at_any_call_ends_as_without_it(
    after: bool, story: tuple[Prepare, State, list[str], str, list[str], str]
) -> None:
    """Whatever the process was doing when it died: the next one ends it, with one effect of each kind."""
    prepare, state, applied, owed, marks, verdict = story
    at, died = 0, True
    while died:
        deck, died = await crashed(at, after, prepare)
        where = f"died at call {at}, {deck.fate.calls[-1]}"
        if not deck.store.tables.rollouts:
            assert deck.cluster.applied == [], where
        else:
            rollout = deck.rollout()
            assert rollout.state is state, f"{where}: {rollout.state} {rollout.note}"
            assert [tag for _, tag in deck.cluster.applied] == applied, where
            assert len(deck.review.changes) == 1, where
            assert " ".join(sorted(deck.debts)) == owed, where
            assert [line.split()[4] for line in deck.sal] == marks, where
            assert sum(verdict in line for line in deck.said()) == 1, where
        at += 1
        await deck.close()
    assert at > 15


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


async def test_an_end_is_saved_as_soon_as_the_store_lets_us(deck: Deck) -> None:
    """A store that is away when the end is to be saved: tried again, until it is."""
    real = deck.store.save
    refused: list[object] = []

    async def save(old: object, new: object, *rest: object, **more: object) -> object:
        if getattr(new, "state", None) is State.FAILED and len(refused) < 3:
            refused.append(new)
            raise TemporaryError("disk full")
        return await real(old, new, *rest, **more)  # type: ignore[arg-type]

    deck.store.save = save  # type: ignore[method-assign, assignment]
    deck.review.gate = Gate.FAIL
    assert (await deck.deploy()).state is State.FAILED
    assert len(refused) == 3


async def test_waiting_outlives_the_process(deck: Deck) -> None:
    """An open question is answered in the next process as in this one."""
    await deck.deploy()
    await deck.deploy("citoid production")
    assert await deck.crash() == ()
    assert (await deck.confirm(2)).state is State.SUCCEEDED


@pytest.mark.parametrize("began", [True, False])
async def test_a_start_whose_answer_is_lost_is_looked_up_by_name(deck: Deck, began: bool) -> None:
    """The connection broke while the job was started: its name tells whether it began."""
    real = deck.runner.start

    async def lost(job: str, script: str) -> object:
        if "-apply-" not in job:
            return await real(job, script)
        if began:
            await real(job, script)
        raise TemporaryError("connection lost")

    deck.runner.start = lost  # type: ignore[method-assign, assignment]
    rollout = await deck.deploy()
    assert rollout.state is (State.SUCCEEDED if began else State.FAILED)
    if not began:
        assert "the apply did not start" in rollout.note
        assert deck.cluster.applied == []


async def test_a_rollout_of_a_newer_version_is_named_once_and_left_alone(deck: Deck) -> None:
    """The bot starts, takes up the others, and says in `!status`, on the page and in the audit what it cannot read."""
    await hanging(deck)
    deck.store.tables.unreadable[1] = "Rollout.newer: unknown field"
    assert await deck.crash() == ()
    why = "#1 was written by another version of me and cannot be read (Rollout.newer: unknown field)"
    assert [row.detail.startswith(why) for row in await deck.store.audit(1) if row.verb == "left alone"] == [True]
    assert "CANNOT READ: #1 (Rollout.newer: unknown field)" in await deck.say("status")
    for command in ("status 1", "pods 1", "stop 1", "retry 1", "diff 1", "log 1"):
        assert why in await deck.say(command), command
    assert "held by #1" in await deck.say("deploy citoid staging", "bob")
