"""No vote without the proof: the change is the edit, on its base, and the edit moves image tags in values files alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from quarterdeck.core.model.catalogue import MergeMode
from quarterdeck.core.model.change import Change, ChangeStatus, blob_id
from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName
from quarterdeck.core.steps.limit import check
from quarterdeck.testing.charts import FakeCharts
from quarterdeck.testing.review import FakeReview, Gate
from tests.worlds.world import CHARTS, HOME, NEW, NEWER, OLD, VALUES, Deck, values

S = "helmfile.d/services"
PLAIN, LINK = 0o100644, 0o120000


class Lying:
    """A Gerrit whose answers on an open change are not what was proposed; all else is the fake's."""

    def __init__(self, review: FakeReview, lie: Callable[[Change], Change]) -> None:
        self._review, self._lie = review, lie

    def __getattr__(self, name: str) -> Any:
        return getattr(self._review, name)

    async def get(self, project: str, number: int) -> Change:
        """The change, as it is told."""
        change = await self._review.get(project, number)
        return self._lie(change) if change.status is ChangeStatus.NEW else change


class Forgetful(FakeCharts):
    """Charts whose tree of one commit is another one after the edit was proposed."""

    later: Mapping[str, bytes] = {}

    async def tree(self, commit: str, service: str) -> Tree:
        """The tree, with other contents later."""
        tree = await super().tree(commit, service)
        return replace(tree, files={**tree.files, **self.later})


def lied_to(deck: Deck, lie: Callable[[Change], Change]) -> None:
    """The deck's Gerrit tells that from now on."""
    deck.review = Lying(deck.review, lie)  # type: ignore[assignment]
    deck.build()


def files(change: Change, **told: object) -> Change:
    """The change with another status, blob or mode of its one file."""
    ((path, (status, blob, mode)),) = change.files.items()
    new = (told.get("status", status), told.get("blob", blob), told.get("mode", mode))
    return replace(change, files={str(told.get("path", path)): new})  # type: ignore[dict-item]


async def unvoted(deck: Deck, words: str) -> None:
    """A deploy ends without any vote, its change is taken back, and the channel is told why."""
    rollout = await deck.deploy()
    assert rollout.state is State.FAILED
    assert words in rollout.note
    assert "no vote on change 1001" in deck.last
    (change,) = deck.review.changes
    assert change.status is ChangeStatus.ABANDONED
    assert not change.votes
    assert (deck.git, deck.cluster.applied) == (OLD, [])


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (lambda c: files(c, blob=blob_id(values(NEWER))), "another content"),
        (lambda c: files(c, blob=""), "another content"),
        (lambda c: files(c, mode=LINK), "plain file"),
        (lambda c: files(c, mode=0), "plain file"),
        (lambda c: files(c, status="A"), "plain file"),
        (lambda c: files(c, status="D"), "plain file"),
        (lambda c: files(c, path=f"{HOME}/helmfile.yaml"), "not what the edit touches"),
        (lambda c: replace(c, files={}), "touches nothing"),
        (lambda c: replace(c, files={**c.files, "charts/citoid/Chart.yaml": ("M", "a" * 40, PLAIN)}), "Chart.yaml"),
        (lambda c: replace(c, parent="b" * 40), "its parent is bbbbbbbbbbbb"),
        (lambda c: replace(c, parent=""), "its parent is unknown"),
    ],
)
@pytest.mark.parametrize("merge", MergeMode)
async def test_a_change_that_is_not_the_edit_gets_no_vote(
    deck: Deck, merge: MergeMode, lie: Callable[[Change], Change], words: str
) -> None:
    """Another blob, mode, file or parent than the edit's, whatever the patch set's number says."""
    deck.catalogue = replace(deck.catalogue, charts=replace(deck.catalogue.charts, merge=merge))
    lied_to(deck, lie)
    await unvoted(deck, words)


@pytest.mark.parametrize(
    ("later", "words"),
    [
        ({VALUES: values(OLD) + b"more: 1\n"}, "another content"),
        ({VALUES: values(NEW)}, "not what the edit touches"),
        ({VALUES: b"main_app: {}\n"}, "I do not edit this"),
    ],
)
async def test_an_edit_that_comes_out_otherwise_gets_no_vote(deck: Deck, later: dict[str, bytes], words: str) -> None:
    """Computed again from the change's own parent it must be the same, to the byte."""
    charts = Forgetful(deck.repository)
    deck.charts = charts
    deck.review.repositories[CHARTS, "master"] = deck.repository

    def forget(change: Change) -> Change:
        charts.later = later
        return change

    lied_to(deck, forget)
    await unvoted(deck, words)


async def test_a_vote_that_is_there_is_not_cast_again(deck: Deck) -> None:
    """The process died between the vote and the merge: proven again, and one vote."""
    deck.review.gate = Gate.STALL
    await deck.say("deploy citoid staging")
    await deck.until(lambda: any(v.value == 2 for c in deck.review.changes for v in c.votes))
    await deck.crash()
    deck.review.gate = Gate.MERGE
    assert (await deck.settle()).state is State.SUCCEEDED
    change = deck.review.changes[0]
    said = await deck.review.comments(change.project, change.number)
    assert sum("Code-Review+2" in comment.text for comment in said) == 1


async def test_a_change_that_is_found_tampered_with_after_a_crash_is_taken_back(deck: Deck) -> None:
    """Our vote was on it: it is abandoned, so that no gate merges it."""
    deck.review.gate = Gate.STALL
    await deck.say("deploy citoid staging")
    await deck.until(lambda: any(v.value == 2 for c in deck.review.changes for v in c.votes))
    lied_to(deck, lambda c: files(c, blob="c" * 40))
    await deck.crash()
    rollout = await deck.settle()
    assert rollout.state is State.FAILED
    assert deck.review.changes[0].status is ChangeStatus.ABANDONED
    assert rollout.step(StepName.MERGE) is not None


def changed(after: Mapping[str, bytes], before: Mapping[str, bytes]) -> Change:
    """A change as Gerrit tells it."""
    told = {path: ("M" if path in before else "A", blob_id(raw), PLAIN) for path, raw in after.items()}
    return Change(1, "I1", CHARTS, "master", "x", ChangeStatus.NEW, "r" * 40, "b" * 40, files=told)


@pytest.mark.parametrize(
    "after",
    [
        {VALUES: values(NEW) + b"more: 1\n"},
        {VALUES: values(NEW).replace(b"main_app", b"mesh")},
        {VALUES: values(NEW), f"{HOME}/helmfile.yaml": b"releases: []\n"},
        {VALUES: values(NEW), f"{HOME}/values-new.yaml": b"debug: true\n"},
        {"charts/citoid/values.yaml": values(NEW)},
        {},
    ],
)
def test_a_plan_beyond_the_limit_gets_no_vote(after: dict[str, bytes]) -> None:
    """Were the planner wrong, Gerrit would hold exactly that, and the proof would stand in between."""
    before = {VALUES: values(OLD), f"{HOME}/helmfile.yaml": b""}
    with pytest.raises(PermanentError):
        check(changed(after, before), "b" * 40, before, after, S)
    good = {VALUES: values(NEW)}
    check(changed(good, before), "b" * 40, before, good, S)
