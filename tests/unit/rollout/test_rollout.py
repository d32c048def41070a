"""The table of lawful moves, and the names that steps give to things elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from quarterdeck.core.model.errors import WrongStateError
from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.holding import debtor
from quarterdeck.core.rollout.naming import change_id, derived, job_name
from quarterdeck.core.rollout.pipeline import PIPELINES
from quarterdeck.core.rollout.records import Edited
from quarterdeck.core.rollout.refusals import NoSuchMove
from quarterdeck.core.rollout.rollout import Kind, Rollout, advance
from quarterdeck.core.rollout.state import HOLDING, MOVES, OVER, Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from tests.worlds.subjects import subject

NOW = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)
LATER = datetime(2026, 8, 17, 14, 1, tzinfo=UTC)
EDIT, APPLY = Step(StepName.EDIT), Step(StepName.APPLY, "codfw", "default")


def rollout(state: State = State.PLANNED) -> Rollout:
    """A rollout of citoid with two steps."""
    return Rollout(
        id="0123456789abcdef",
        kind=Kind.DEPLOY,
        subject=subject(places=("codfw",)),
        environments=("codfw",),
        tag="new",
        before={"codfw": "old"},
        actor="alice",
        shell="alice",
        account="alice",
        home=Room("irc", "#deploy"),
        created=NOW,
        number=42,
        state=state,
        steps=(EDIT, APPLY),
        code="prod-k7p",
        code_count=2,
        deadline=LATER,
    )


@pytest.mark.parametrize(("state", "move"), list(product(State, Move)))
def test_only_moves_of_the_table_are_lawful(state: State, move: Move) -> None:
    """Each pair of state and move either leads where the table says or raises and says what is possible."""
    target = MOVES[state].get(move)
    if target is None:
        with pytest.raises(WrongStateError) as caught:
            advance(rollout(state), move, LATER)
        assert caught.value.refusal == NoSuchMove(42, state, move, tuple(MOVES[state]))
        return
    moved = advance(rollout(state), move, LATER)
    assert moved.state is target
    assert moved.updated == LATER
    assert moved.version == 1
    assert (moved.ended == LATER) is (target in OVER or target is State.FAILED)


def test_every_state_can_be_reached_and_left() -> None:
    """From PLANNED every state is reached, and from every state an end is."""
    assert set(MOVES) == set(State)
    assert _closure(State.PLANNED) == set(State)
    for state in State:
        assert _closure(state) & OVER, state


def _closure(state: State) -> set[State]:
    reached, todo = {state}, [state]
    while todo:
        fresh = set(MOVES[todo.pop()].values()) - reached
        reached |= fresh
        todo += fresh
    return reached


def test_every_move_is_used() -> None:
    """No move stands in the enumeration that the table does not know."""
    assert {move for moves in MOVES.values() for move in moves} == set(Move)


def test_what_is_over_holds_nothing() -> None:
    """Ended and failed rollouts hold no targets; running, waiting and unknown ones do."""
    assert {State.SUCCEEDED, State.ABORTED} == OVER
    assert not HOLDING & OVER
    assert State.FAILED not in HOLDING


def test_a_question_lives_as_long_as_the_waiting() -> None:
    """A move to WAITING keeps code and deadline, any other closes the question, and a fresh one may be set."""
    waiting = advance(rollout(State.RUNNING), Move.PAUSE, LATER)
    assert (waiting.code, waiting.code_count, waiting.deadline) == ("prod-k7p", 2, LATER)
    approved = advance(waiting, Move.APPROVE, LATER)
    assert (approved.code, approved.code_count, approved.deadline) == ("", 0, None)
    again = advance(approved, Move.STEP, LATER, code="prod-m4t")
    assert again.code == "prod-m4t"


def test_a_retry_is_not_ended() -> None:
    """A failed rollout that is taken up again has no end any more."""
    failed = advance(rollout(State.RUNNING), Move.FAIL, NOW)
    assert failed.ended == NOW
    assert advance(failed, Move.RETRY, LATER).ended is None


def test_steps_are_found_by_their_key() -> None:
    """A step is found by name, environment and stage; its result is there once it ended."""
    r = rollout()
    assert r.step(StepName.EDIT) is EDIT
    assert r.step(StepName.APPLY, "codfw", "default") is APPLY
    assert r.step(StepName.APPLY) is None
    assert r.records.edited is None
    edited = Edited("base", {}, change=1)
    done = replace(EDIT, state=StepState.DONE, result=edited)
    changed = r.with_step(done)
    assert changed.records.edited == edited
    assert changed.steps == (done, APPLY)
    assert (r.current, changed.current) == (EDIT, APPLY)
    assert changed.with_step(replace(APPLY, state=StepState.DONE)).current is None


def test_names_differ_by_all_that_tells_attempts_apart() -> None:
    """Rollout, step, environment, stage and attempt all make another name; a crash keeps it."""
    steps = [
        APPLY,
        replace(APPLY, attempt=2),
        replace(APPLY, stage="canary"),
        replace(APPLY, environment="eqiad"),
        replace(APPLY, name=StepName.CHECK),
        Step(StepName.APPLY, "codfwd", "efault"),
    ]
    ids = {derived(identity, step) for identity in ("a" * 16, "b" * 16) for step in steps}
    assert len(ids) == 2 * len(steps)
    assert derived("a" * 16, APPLY) == derived("a" * 16, replace(APPLY, state=StepState.INTENDED, started=NOW))
    assert change_id("a" * 16, EDIT) == f"I{derived('a' * 16, EDIT)}"
    assert len(change_id("a" * 16, EDIT)) == 41
    assert len({job_name(rollout(), step) for step in steps}) == len(steps)


def test_job_names_are_readable() -> None:
    """A job's name tells a person which rollout, step, place and attempt it is."""
    assert job_name(rollout(), APPLY) == "r42-0123456789abcdef-apply-codfw-default-a1"
    assert job_name(rollout(), replace(EDIT, attempt=3)) == "r42-0123456789abcdef-edit-a3"


def test_a_retry_before_the_merge_begins_with_a_new_edit() -> None:
    """Until something is merged all steps are new attempts; APPLY and CHECK are laid out again by DIFF."""
    steps = (EDIT, Step(StepName.MERGE), Step(StepName.SYNC), Step(StepName.DIFF), APPLY)
    fresh = PIPELINES.retried(replace(rollout(State.FAILED), steps=steps))
    assert [(s.name, s.attempt, s.state) for s in fresh] == [
        (name, 2, StepState.TODO) for name in (StepName.EDIT, StepName.MERGE, StepName.SYNC, StepName.DIFF)
    ]


def test_a_retry_after_the_merge_begins_with_sync() -> None:
    """What is merged stays done, and so does an answered question of a stage."""
    done = replace(EDIT, state=StepState.DONE), Step(StepName.MERGE, state=StepState.DONE)
    answered = Step(StepName.GATE, stage="canary", state=StepState.DONE)
    steps = (*done, Step(StepName.SYNC, state=StepState.DONE), answered, Step(StepName.GATE), APPLY)
    fresh = PIPELINES.retried(replace(rollout(State.FAILED), steps=steps))
    assert fresh == (*done, Step(StepName.SYNC, attempt=2), answered, Step(StepName.GATE, attempt=2))


def test_a_retry_of_an_apply_begins_with_sync() -> None:
    """A rollout without an edit has nothing before SYNC."""
    assert PIPELINES.retried(replace(rollout(), kind=Kind.APPLY, steps=(Step(StepName.SYNC),))) == (
        Step(StepName.SYNC, attempt=2),
    )


@pytest.mark.parametrize(("part", "owing"), [("", ""), ("orchestrator", "orchestrator"), ("all", "")])
def test_who_owes_at_a_place(part: str, owing: str) -> None:
    """Debts are by service and by the own service's part; all parts together, and other services, are whole."""
    places = ("codfw", "shellbox-media/codfw")
    grouped = replace(rollout(), subject=subject(part=part, places=places), environments=places)
    assert [debtor(grouped, place) for place in grouped.environments] == [
        ("citoid", "codfw", owing),
        ("shellbox-media", "codfw", ""),
    ]
