"""A rollout of a new kind is a list of steps: a made-up one needs no change outside of this file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.rollout.pipeline import PIPELINES, Pipeline, Pipelines, StepKind
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.steps.run import Run
from quarterdeck.views.page import Pages
from tests.worlds.world import TEMPLATES, Deck, rolled


@dataclass(frozen=True)
class Sanded:
    """What SAND finds."""

    grit: int


@dataclass(frozen=True)
class CoatIntent:
    """What COAT is about to do."""

    colour: str
    layers: tuple[int, ...]


@dataclass(frozen=True)
class Coated:
    """What COAT finds."""

    colour: str


SAND = StepKind("sand", None, Sanded)
COAT = StepKind("coat", CoatIntent, Coated)
PAINTING = Pipeline(once=(SAND, COAT), retry_points=frozenset({"sand", "coat"}))


class Deckhand(Deck):
    """A world with a hull to be painted; what is painted survives the process.

    Attributes:
        hull: (rollout, attempt) -> colour.
        fails: whether the paint has run out.
    """

    hull: ClassVar[dict[tuple[str, int], str]] = {}
    fails: ClassVar[bool] = False
    pipelines = Pipelines({**PIPELINES.kinds, "painting": PAINTING})

    @staticmethod
    async def sand(run: Run, step: Step) -> Sanded:
        """Nothing to save beforehand."""
        await run.clock.sleep(1.0)
        return Sanded(grit=120)

    @staticmethod
    async def coat(run: Run, step: Step) -> Coated:
        """Look first, save the intent, paint."""
        sanded = run.rollout.steps[0].result
        assert isinstance(sanded, Sanded)
        name = (run.rollout.id, step.attempt)
        if name not in Deckhand.hull:
            await run.intend(step, CoatIntent("navy", (1, 2)))
            await run.pause(1.0)
            if Deckhand.fails:
                raise PermanentError("the paint has run out")
            Deckhand.hull[name] = "navy"
        return Coated(Deckhand.hull[name])

    more_steps: ClassVar = {"sand": sand, "coat": coat}

    async def paint(self) -> Rollout:
        """Accept a painting and drive it to its rest."""
        self.deployer.take_up(await self.accept())
        return await self.settle()

    async def accept(self) -> Rollout:
        """A painting that the store has accepted."""
        steps = self.pipelines.first_steps("painting")
        planned = rolled(kind="painting", number=0, tag="", before={}, steps=steps)
        return await self.store.accept(planned, (), lambda _: ())


@pytest.fixture
async def yard() -> AsyncIterator[Deckhand]:
    """The world with the hull, unpainted."""
    Deckhand.hull.clear()
    Deckhand.fails = False
    yard = Deckhand()
    yield yard
    await yard.close()


async def test_it_is_accepted_and_runs(yard: Deckhand) -> None:
    """Both steps are done, their records are typed and survive the store, and it says so in the channel."""
    done = await yard.paint()
    assert done.state is State.SUCCEEDED, done.note
    assert [step.state for step in done.steps] == [StepState.DONE, StepState.DONE]
    assert done.steps[0].result == Sanded(120)
    assert done.steps[1].intent == CoatIntent("navy", (1, 2))
    assert done.steps[1].result == Coated("navy")
    assert "#1 citoid staging OK" in yard.last
    assert "all its steps are done" in yard.last


async def dies_at(yard: Deckhand, call: int, after: bool) -> bool:
    """Accept a painting, let the process die at one of its calls, and the next one take it up; whether it died."""
    accepted = await yard.accept()
    yard.fate.at, yard.fate.after = call, after
    yard.build(mortal=True)
    yard.deployer.take_up(accepted)
    driving = asyncio.create_task(yard.until(lambda: yard.rollout().ended))
    dying = asyncio.create_task(yard.fate.reached.wait())
    async with asyncio.timeout(10):
        await asyncio.wait({driving, dying}, return_when=asyncio.FIRST_COMPLETED)
    died = dying.done()
    for task in (driving, dying):
        task.cancel()
    await asyncio.gather(driving, dying, return_exceptions=True)
    await yard.crash()
    await yard.settle()
    return died


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(12))
async def test_killed_at_any_call_it_is_taken_up_and_paints_once(yard: Deckhand, call: int, after: bool) -> None:
    """The process dies at each of its calls: the next one goes on, and the hull has one coat."""
    died = await dies_at(yard, call, after)
    done = yard.rollout()
    assert done.state is State.SUCCEEDED, (call, after, died, done.note)
    assert list(Deckhand.hull.values()) == ["navy"]


async def test_it_is_stopped(yard: Deckhand) -> None:
    """`!stop` between two effects."""
    yard.deployer.take_up(await yard.accept())
    await yard.until(lambda: yard.rollout().state is State.RUNNING)
    assert "#1: stopping at" in await yard.say("stop 1")
    stopped = await yard.settle()
    assert stopped.state is State.ABORTED
    assert Deckhand.hull == {}


async def test_it_is_retried(yard: Deckhand) -> None:
    """What failed begins again at its retry point, as a new attempt; what was done stays."""
    Deckhand.fails = True
    failed = await yard.paint()
    assert (failed.state, failed.note) == (State.FAILED, "the paint has run out")
    Deckhand.fails = False
    assert "going on from coat" in await yard.say("retry 1")
    done = await yard.settle()
    assert done.state is State.SUCCEEDED
    assert [step.attempt for step in done.steps] == [1, 2]


@pytest.mark.parametrize("html", [False, True], ids=["text", "html"])
async def test_it_is_on_its_page_and_in_the_status(yard: Deckhand, html: bool) -> None:
    """Its steps stand there with their states; the list and `!status` name it."""
    Deckhand.fails = True
    await yard.paint()
    assert "#1 citoid staging" in await yard.say("status")
    assert "FAILED" in await yard.say("status 1")
    dossier = await yard.dossiers.gather(1)
    assert dossier is not None
    pages = Pages(TEMPLATES, yard.catalogue)
    shown = pages.rollout(dossier, yard.clock.now(), html)
    for word in ("painting", "sand", "coat", "the paint has run out"):
        assert word in shown, word
    assert "#1" in pages.index([dossier.rollout], (), yard.clock.now(), html)


async def test_another_process_that_does_not_know_the_kind_leaves_it_alone(yard: Deckhand) -> None:
    """A bot without that kind starts, names the rollout and touches nothing of it."""
    await yard.accept()
    plain = replace(yard.rollout(), version=yard.rollout().version)
    yard.store.tables.unreadable[1] = "kind painting: unknown"
    assert await yard.crash() == ()
    assert yard.rollout() == plain
    assert "CANNOT READ: #1 (kind painting: unknown)" in await yard.say("status")
