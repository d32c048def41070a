"""Going back, and who may: rollbacks, rights, and who is named for what."""

from __future__ import annotations

import pytest

from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepState
from tests.worlds.saying import asked
from tests.worlds.world import NEW, NEWER, OLD, Deck, hanging

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


async def test_production_goes_back_after_its_first_half_failed(deck: Deck) -> None:
    """The data centre that was never begun runs what it ran: nobody is asked for the tag, one change mends git."""
    number = await asked(deck)
    deck.cluster.status = 1
    assert (await deck.confirm(number)).state is State.FAILED
    deck.cluster.status = 0
    back = await deck.order("rollback citoid production", "bob")
    assert (back.tag, back.state) == (OLD, State.SUCCEEDED)
    assert {deck.cluster.runs[e] for e in ("codfw", "eqiad")} == {OLD}
    assert deck.git == OLD


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
        (said,) = await deck.dispatcher.answer(name, actor, rest)
        assert word in said
        assert said.endswith("Nothing done")
    assert len(deck.store.tables.rollouts) == 1


async def test_sre_may_go_back_and_no_more(deck: Deck) -> None:
    """Group sre may roll back what it may not deploy."""
    await deck.deploy()
    assert "is for deployers" in await deck.say("deploy citoid staging", "sre1")
    assert (await deck.order("rollback citoid staging", "sre1")).state is State.SUCCEEDED


async def test_an_sre_answers_his_own_rollback(deck: Deck) -> None:
    """Production asks, and who may begin a rollback may confirm it, and nothing else."""
    number = await asked(deck)
    assert "is for deployers" in await deck.say(f"confirm {deck.rollout(number).code}", "sre1")
    await deck.confirm(number)
    back = await deck.order("rollback citoid", "sre1")
    assert (await deck.confirm(back.number, "sre1")).state is State.SUCCEEDED


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
