"""What every store promises, run against SQLite and against the one in memory."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quarterdeck.adapters.store.sqlite import SqliteStore
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.errors import BusyError, NotFoundError, StaleError
from quarterdeck.core.model.line import Line, Urgency
from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import Intent, Target
from quarterdeck.core.rollout.records import Briefing, MergeIntent
from quarterdeck.core.rollout.refusals import Held, NotReadable
from quarterdeck.core.rollout.rollout import Kind, Rollout, advance
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.testing.store import MemoryStore
from tests.worlds.subjects import subject

AT = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)


class World:
    """A store, and the next process that opens it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.path = kind, folder / "quarterdeck.sqlite"
        self.store: Any = self._sqlite("one") if kind == "sqlite" else MemoryStore("one", lambda: AT)

    def _sqlite(self, incarnation: str) -> SqliteStore:
        return SqliteStore(self.path, incarnation, lambda: AT)

    def restart(self, incarnation: str = "two") -> None:
        """Close it, and open it as the next process."""
        self.store.close()
        self.store = self._sqlite(incarnation) if self.kind == "sqlite" else self.store.reborn(incarnation)

    def written_by_a_newer_version(self, number: int) -> str:
        """Give a rollout a field that this version does not know; why it cannot be read."""
        why = "Rollout.newer: unknown field"
        if self.kind == "memory":
            self.store.tables.unreadable[number] = why
            return why
        with sqlite3.connect(self.path) as raw:
            (body,) = raw.execute("SELECT body FROM rollouts WHERE number = ?", (number,)).fetchone()
            newer = json.dumps({**json.loads(body), "newer": 1})
            raw.execute("UPDATE rollouts SET body = ? WHERE number = ?", (newer, number))
        raw.close()
        return why


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Both stores, one after the other."""
    world = World(request.param, tmp_path)
    yield world
    world.store.close()


def rollout(
    n: int = 1, service: str = "citoid", environments: tuple[str, ...] = ("staging",), group: str = "", **more: Any
):
    """A deploy of citoid, not accepted yet."""
    plan = (
        Step(StepName.EDIT),
        Step(StepName.MERGE, intent=MergeIntent(1001, "c")),
        *(Step(StepName.APPLY, e, "default") for e in environments),
    )
    return Rollout(
        id=f"{n:016x}",
        kind=Kind.DEPLOY,
        subject=subject(service, group=group, places=environments),
        environments=environments,
        tag="2026-08-17-094555-production",
        before=dict.fromkeys(environments, "2026-08-06-230932-production"),
        actor=more.pop("actor", "alice"),
        shell="alice",
        account="alice",
        home=Room("irc", "#deploy"),
        created=AT,
        steps=plan,
        intent=Intent(Target(service), "codfw", "2026-08-17-094555", "why", alone=True),
        briefing=Briefing(nick="alice", running={"codfw": "v1"}, takeover=(7,), usual_gate=1.5),
        **more,
    )


def said(text: str, urgency: Urgency = Urgency.NEWS, network: str = "irc") -> Line:
    """A line for the channel."""
    return Line(Room(network, "#deploy"), text, urgency)


async def held(world: World, service: str) -> list[tuple[str, int]]:
    """(environment, number of the holder) of a service's held targets, as the store's own tables have them."""
    if world.kind == "memory":
        targets = world.store.tables.targets
        return sorted((environment, number) for (name, environment), number in targets.items() if name == service)
    with sqlite3.connect(world.path) as raw:
        query = "SELECT environment, number FROM targets WHERE service = ? ORDER BY environment"
        rows = raw.execute(query, (service,)).fetchall()
    raw.close()
    return rows


async def accepted(store: Any, n: int = 1, takeover: tuple[int, ...] = (), **more: Any) -> Rollout:
    """A rollout the store has accepted."""
    return await store.accept(rollout(n, **more), takeover, lambda r: [said(f"#{r.number} accepted")])


async def moved(store: Any, r: Rollout, *moves: Move, **changes: Any) -> Rollout:
    """A rollout after some moves, each saved."""
    for move in moves:
        r = await store.save(r, advance(r, move, AT, **changes))
    return r


async def test_a_rollout_comes_back_as_it_was(world: World) -> None:
    """A rollout with steps, records, times and tuples is the same after a restart, and has a number."""
    first = await accepted(world.store)
    assert first.number == 1
    world.restart()
    assert await world.store.get(1) == first
    assert await world.store.get(2) is None


async def test_steps_are_kept_with_intent_result_and_attempt(world: World) -> None:
    """A step's new attempt replaces the former one in the rollout, and the order stays."""
    r = await moved(world.store, await accepted(world.store), Move.CONFIRM)
    step = replace(r.steps[1], state=StepState.FAILED, why="no", started=AT, ended=AT)
    r = await world.store.save(r, advance(r.with_step(step), Move.FAIL, AT))
    again = replace(step, attempt=2, state=StepState.INTENDED, why="")
    r = await world.store.save(r, advance(r.with_step(again), Move.RETRY, AT))
    assert await world.store.get(1) == r
    assert [s.name for s in r.steps] == [StepName.EDIT, StepName.MERGE, StepName.APPLY]
    assert r.steps[1].attempt == 2


async def test_the_lines_of_an_acceptance_know_the_number(world: World) -> None:
    """Lines are made after the number is known and written in the same transaction."""
    await accepted(world.store)
    assert [row.line.text for row in await world.store.claim_lines("irc")] == ["#1 accepted"]


async def test_a_held_target_refuses_and_says_who(world: World) -> None:
    """A second rollout for a held target is refused with holder, state and what to do, and leaves nothing."""
    first = await accepted(world.store, environments=("staging", "codfw"))
    await moved(world.store, first, Move.CONFIRM)
    with pytest.raises(BusyError) as caught:
        await accepted(world.store, 2, environments=("codfw",), actor="bob")
    assert caught.value.refusal == Held("citoid codfw", 1, "alice", State.RUNNING)
    assert len(await world.store.find()) == 1
    assert len(await world.store.claim_lines("irc")) == 1
    await accepted(world.store, 3, service="cxserver")


async def test_of_twenty_at_once_one_wins(world: World) -> None:
    """Twenty concurrent acceptances of one target: one wins, nineteen are told they are late."""
    results = await asyncio.gather(*(accepted(world.store, n) for n in range(1, 21)), return_exceptions=True)
    assert sum(isinstance(r, Rollout) for r in results) == 1
    assert sum(isinstance(r, BusyError) for r in results) == 19
    assert len(await held(world, "citoid")) == 1


@pytest.mark.parametrize(
    ("moves", "holds"),
    [
        ((), True),
        ((Move.CONFIRM,), True),
        ((Move.CONFIRM, Move.PAUSE), True),
        ((Move.CONFIRM, Move.LOSE), True),
        ((Move.CONFIRM, Move.FAIL), False),
        ((Move.CONFIRM, Move.FINISH), False),
        ((Move.CONFIRM, Move.ABORT), False),
        ((Move.ABORT,), False),
    ],
)
async def test_targets_are_held_by_state(world: World, moves: tuple[Move, ...], holds: bool) -> None:
    """RUNNING, WAITING, UNKNOWN and a fresh rollout hold their targets; FAILED and the ended ones do not."""
    r = await accepted(world.store)
    await world.store.save(r, r, write_set=[("values.yaml", "main_app.version")])
    r = await moved(world.store, await world.store.get(1), *moves)
    assert await held(world, "citoid") == [("staging", 1)] * holds
    other = await accepted(world.store, 2, service="cxserver")
    wanted = [("values.yaml", "main_app.version")]
    if holds:
        with pytest.raises(BusyError) as caught:
            await world.store.save(other, other, write_set=wanted)
        assert caught.value.refusal == Held("values.yaml main_app.version", 1, "alice", r.state)
    else:
        await world.store.save(other, other, write_set=wanted)


async def test_a_retry_takes_its_targets_again_or_is_refused(world: World) -> None:
    """A FAILED rollout that is retried holds again; if somebody else holds meanwhile, it is refused."""
    r = await moved(world.store, await accepted(world.store), Move.CONFIRM, Move.FAIL)
    second = await accepted(world.store, 2)
    with pytest.raises(BusyError) as caught:
        await moved(world.store, r, Move.RETRY)
    assert caught.value.refusal == Held("citoid staging", 2, "alice", State.PLANNED)
    assert (await world.store.get(1)).state is State.FAILED
    await moved(world.store, second, Move.ABORT)
    await moved(world.store, r, Move.RETRY)
    assert [number for _, number in await held(world, "citoid")] == [1]


async def test_a_write_set_is_freed_on_word(world: World) -> None:
    """An empty write set frees the scalars of a running rollout; none at all leaves them."""
    r = await moved(world.store, await accepted(world.store), Move.CONFIRM)
    r = await world.store.save(r, advance(r, Move.STEP, AT), write_set=[("v", "a")])
    r = await world.store.save(r, advance(r, Move.STEP, AT))
    other = await accepted(world.store, 2, service="cxserver")
    with pytest.raises(BusyError):
        await world.store.save(other, other, write_set=[("v", "a")])
    await world.store.save(r, advance(r, Move.STEP, AT), write_set=())
    await world.store.save(other, other, write_set=[("v", "a")])


async def test_an_old_version_is_refused(world: World) -> None:
    """Who read before somebody else wrote is refused, and nothing of his is kept."""
    r = await accepted(world.store)
    await moved(world.store, r, Move.CONFIRM)
    with pytest.raises(StaleError):
        await world.store.save(r, advance(r, Move.ABORT, AT), [said("aborted")])
    assert (await world.store.get(1)).state is State.RUNNING
    assert [row.line.text for row in await world.store.claim_lines("irc")] == ["#1 accepted"]


@pytest.mark.parametrize("moves", [(), (Move.CONFIRM, Move.PAUSE), (Move.CONFIRM, Move.LOSE)])
async def test_a_takeover_ends_the_resting_one(world: World, moves: tuple[Move, ...]) -> None:
    """A newer command ends a resting rollout and takes its targets in one transaction, and the audit says so."""
    old = await moved(world.store, await accepted(world.store), *moves)
    await world.store.save(old, old, write_set=[("v", "a")])
    new = await accepted(world.store, 2, takeover=(1,), actor="bob")
    await world.store.save(new, new, write_set=[("v", "a")])
    old = await world.store.get(1)
    assert (old.state, old.note) == (State.ABORTED, "taken over by #2 (bob)")
    assert [number for _, number in await held(world, "citoid")] == [2]
    assert ("bob", "taken over") in [(row.who, row.verb) for row in await world.store.audit(1)]


async def test_a_takeover_of_one_that_moved_is_refused(world: World) -> None:
    """A rollout that runs again cannot be taken over, and the newer one does not exist."""
    await moved(world.store, await accepted(world.store), Move.CONFIRM)
    with pytest.raises(StaleError):
        await accepted(world.store, 2, takeover=(1,))
    assert [r.number for r in await world.store.find()] == [1]


async def test_the_stop_flag_never_races_with_the_worker(world: World) -> None:
    """A flag raised between two saves is read back by the next, is never written by one, and keeps its name."""
    r = await moved(world.store, await accepted(world.store), Move.CONFIRM)
    await world.store.raise_stop(1, "bob")
    await world.store.raise_stop(1, "carol")
    r = await world.store.save(r, advance(r, Move.STEP, AT, stop="nobody"))
    assert r.stop == "bob"
    assert (await world.store.get(1)).stop == "bob"
    assert (await world.store.find())[0].stop == "bob"
    await world.store.raise_stop(1, "")
    assert (await world.store.get(1)).stop == ""


async def test_find_filters_and_is_newest_first(world: World) -> None:
    """Rollouts are found by state and service, newest first, as many as asked for."""
    for n, service in enumerate(("citoid", "cxserver", "wikifeeds"), 1):
        await accepted(world.store, n, service=service)
    await moved(world.store, await world.store.get(2), Move.CONFIRM)
    assert [r.number for r in await world.store.find()] == [3, 2, 1]
    assert [r.number for r in await world.store.find(limit=1)] == [3]
    assert [r.number for r in await world.store.find({State.RUNNING})] == [2]
    assert [r.number for r in await world.store.find(service="citoid")] == [1]


GROUP = {"service": "shellbox", "environments": ("staging", "shellbox-media/staging"), "group": "shellbox"}


async def test_a_group_holds_the_targets_of_each_of_its_services(world: World) -> None:
    """Who serves several services is in the way of each, and lets go of all at once; the audit names the group."""
    r = await moved(world.store, await accepted(world.store, **GROUP), Move.CONFIRM)
    for service in ("shellbox", "shellbox-media"):
        assert await held(world, service) == [("staging", 1)]
    with pytest.raises(BusyError) as caught:
        await accepted(world.store, 2, service="shellbox-media")
    assert caught.value.refusal == Held("shellbox-media staging", 1, "alice", r.state)
    r = await moved(world.store, r, Move.PAUSE)
    await accepted(world.store, 2, takeover=(1,), service="shellbox-media")
    assert await held(world, "shellbox") == []
    assert [number for _, number in await held(world, "shellbox-media")] == [2]
    (detail,) = [row.detail for row in await world.store.audit(1) if row.verb == "accept"]
    assert detail == f"deploy @shellbox staging, shellbox-media/staging {r.tag}"


async def test_a_group_is_found_by_each_of_its_services(world: World) -> None:
    """By its own service and by the others, by whole names only, and counted with what a service did alone."""
    await accepted(world.store, **GROUP)
    await accepted(world.store, 2, service="shellbox-media", environments=("codfw",))
    world.restart()

    async def found(service: str) -> list[int]:
        return [r.number for r in await world.store.find(service=service)]

    assert await found("shellbox") == [1]
    assert await found("shellbox-media") == [2, 1]
    assert [r.number for r in await world.store.find(service="shellbox-media", limit=1)] == [2]
    assert [r.number for r in await world.store.find({State.RUNNING}, "shellbox-media")] == []
    for other in ("shell", "media", "box-media", "shellbox_media", "Shellbox", "shellbox%", "%"):
        assert await found(other) == [], other


async def test_lines_are_handed_over_once_urgent_first(world: World) -> None:
    """A claimed line is not handed over twice by one process; urgent ones go first; networks are apart."""
    await world.store.say([said("a"), said("b", Urgency.VERDICT), said("m", network="matrix"), said("c")])
    assert [r.line.text for r in await world.store.claim_lines("irc", 2)] == ["b", "a"]
    assert [r.line.text for r in await world.store.claim_lines("irc")] == ["c"]
    assert await world.store.claim_lines("irc") == ()


async def test_a_line_of_a_dead_process_is_due_again_and_says_so(world: World) -> None:
    """Sent lines stay sent; claimed ones come back marked after a restart; untouched ones come unmarked."""
    await world.store.say([said("sent"), said("claimed"), said("untouched")])
    first, _ = await world.store.claim_lines("irc", 2)
    await world.store.sent(first.id)
    world.restart()
    rows = await world.store.claim_lines("irc")
    assert [(r.line.text, r.again) for r in rows] == [("claimed", True), ("untouched", False)]
    assert all(r.created == AT for r in rows)


async def test_a_line_given_back_is_due_again(world: World) -> None:
    """A line the network may have lost is handed over again, marked."""
    await world.store.say([said("a")])
    (row,) = await world.store.claim_lines("irc")
    await world.store.unsent(row.id)
    assert await world.store.claim_lines("irc") == (replace(row, again=True),)


async def test_a_message_is_heard_once(world: World) -> None:
    """The same message id of a network counts once, also after a restart."""
    assert await world.store.heard("irc", "x1", "#deploy", "alice", "!status")
    world.restart()
    assert not await world.store.heard("irc", "x1", "#deploy", "alice", "!status")
    assert await world.store.heard("matrix", "x1", "#deploy", "alice", "!status")


def build(change: int = 1, **more: Any) -> Build:
    """A merged change, one minute after the other."""
    return Build(
        project="services/citoid",
        change=change,
        commit="c" * 40,
        subject="Fix",
        owner="mvolz",
        merged=AT + timedelta(minutes=change),
        **more,
    )


async def test_the_ledger_adds_a_change_once(world: World) -> None:
    """Adding known changes again changes nothing and tells what was new; newest merge comes first."""
    assert await world.store.add_builds([build(1), build(2)]) == (build(1), build(2))
    await world.store.set_build(build(1, image="citoid", state=BuildState.READY), [said("ready")])
    assert await world.store.add_builds([build(1), build(3)]) == (build(3),)
    assert [b.change for b in await world.store.builds()] == [3, 2, 1]
    assert [row.line.text for row in await world.store.claim_lines("irc")] == ["ready"]


async def test_the_first_image_takes_the_place_of_the_unnamed_entry(world: World) -> None:
    """Two images of one change are two entries, and none without an image is left."""
    await world.store.add_builds([build()])
    one, two = (build(image=i, state=BuildState.READY) for i in ("one", "two"))
    await world.store.set_build(one)
    await world.store.set_build(two)
    await world.store.set_build(replace(two, said="ready"))
    assert await world.store.builds() == (one, replace(two, said="ready"))
    assert await world.store.builds(image="two", states=[BuildState.READY], limit=5) == (replace(two, said="ready"),)
    assert await world.store.builds(states=[BuildState.AWAITING]) == ()
    assert await world.store.builds(project="other") == ()


async def test_debts_are_kept_until_paid(world: World) -> None:
    """A debt is one per place, replaced by a newer one, and gone when paid."""
    old = Debt("citoid", "codfw", "t1", 1, "alice", AT)
    new, other = replace(old, tag="t2", number=2), Debt("cxserver", "eqiad", "t", 1, "bob", AT)
    await world.store.set_debts([old, other], [])
    await world.store.set_debts([new], [("cxserver", "staging", "")])
    assert await world.store.debts() == (new, other)
    assert await world.store.debts("citoid") == (new,)
    await world.store.set_debts([], [("citoid", "codfw", "")])
    assert await world.store.debts() == (other,)


def owed(part: str, environment: str = "codfw", tag: str = "t1") -> Debt:
    """What a part of wikifunctions owes."""
    return Debt("wikifunctions", environment, tag, 1, "alice", AT, part)


async def test_each_part_has_its_own_debt(world: World) -> None:
    """Parts owe side by side, each replaced by its own newer debt, also after a restart."""
    whole, one, two = owed(""), owed("evaluators"), owed("orchestrator")
    newer = replace(two, tag="t2", number=2)
    await world.store.set_debts([two, one, whole], [])
    await world.store.set_debts([newer], [])
    world.restart()
    assert await world.store.debts() == (whole, one, newer)
    assert await world.store.debts("wikifunctions") == (whole, one, newer)


@pytest.mark.parametrize(
    ("part", "left"),
    [
        ("orchestrator", ["", "evaluators"]),
        ("other", ["", "evaluators", "orchestrator"]),
        ("", ["evaluators", "orchestrator"]),
    ],
)
async def test_a_debt_is_paid_by_its_own_name(world: World, part: str, left: list[str]) -> None:
    """Of that part, or of the service as a whole; others of the place and other places still owe."""
    elsewhere = owed("orchestrator", "eqiad"), replace(owed("orchestrator"), service="wikifeeds")
    await world.store.set_debts([owed(""), owed("evaluators"), owed("orchestrator"), *elsewhere], [])
    await world.store.set_debts([], [("wikifunctions", "codfw", part)])
    here = [d for d in await world.store.debts() if d not in elsewhere]
    assert [d.part for d in here] == left
    assert len(await world.store.debts()) == len(left) + 2
    await world.store.set_debts([owed(part, tag="t2")], [("wikifunctions", "codfw", part)])
    assert owed(part, tag="t2") in await world.store.debts()


async def test_every_move_is_in_the_audit(world: World) -> None:
    """Acceptance names the actor, moves name the worker, or the person where a resting one is moved."""
    r = await moved(world.store, await accepted(world.store), Move.CONFIRM, Move.FAIL)
    await world.store.save(r, advance(r, Move.RETRY, AT, moved_by="bob"))
    await world.store.note("carol", "look", "at it", 1)
    rows = await world.store.audit(1)
    assert [(row.who, row.verb) for row in reversed(rows)] == [
        ("alice", "accept"),
        ("worker", "confirm"),
        ("worker", "fail"),
        ("bob", "retry"),
        ("carol", "look"),
    ]
    assert "RUNNING → FAILED" in rows[2].detail
    assert len(await world.store.audit(limit=2)) == 2


async def test_cursors_are_remembered(world: World) -> None:
    """A word is empty at first, and the last one set after a restart."""
    assert await world.store.cursor("merged") == ""
    await world.store.set_cursor("merged", "a")
    await world.store.set_cursor("merged", "b")
    world.restart()
    assert await world.store.cursor("merged") == "b"


async def test_what_cannot_be_kept_is_refused(world: World) -> None:
    """A fact JSON cannot hold, or two steps of one key, is refused by each store alike, and nothing is kept."""
    bad = replace(rollout(), briefing=Briefing(running={"x": object()}))
    with pytest.raises(TypeError):
        await world.store.accept(bad, (), lambda _: [])
    twins = replace(rollout(), steps=(Step(StepName.EDIT), Step(StepName.EDIT, attempt=2)))
    with pytest.raises(ValueError, match="two steps of one key"):
        await world.store.accept(twins, (), lambda _: [])
    assert await world.store.find() == ()


async def test_a_rollout_that_cannot_be_read_is_named_and_stands_in_nobodys_way(world: World) -> None:
    """It is left out where rollouts are found, named where it is asked for, and what it holds stays held."""
    mine = await moved(world.store, await accepted(world.store), Move.CONFIRM)
    other = await accepted(world.store, 2, service="cxserver")
    why = world.written_by_a_newer_version(mine.number)
    world.restart()
    assert [r.number for r in await world.store.find()] == [other.number]
    assert await world.store.get(other.number) is not None
    assert await world.store.unreadable() == (NotReadable(mine.number, why),)
    with pytest.raises(NotFoundError) as caught:
        await world.store.get(mine.number)
    assert caught.value.refusal == NotReadable(mine.number, why)
    with pytest.raises(BusyError):
        await accepted(world.store, 3)


async def test_what_is_over_and_cannot_be_read_asks_nobody_for_anything(world: World) -> None:
    """Only what is still open is named without being asked for."""
    over = await moved(world.store, await accepted(world.store), Move.ABORT)
    world.written_by_a_newer_version(over.number)
    assert await world.store.unreadable() == ()
    assert await world.store.find() == ()
