"""One look at a service: what serves, what git says, what does not answer."""

from __future__ import annotations

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.rollout.subject import Subject, whole
from quarterdeck.core.situation import Situation
from tests.worlds.world import NEW, OLD, Deck, pods, rolled


async def test_a_look_reads_git_and_cluster(deck: Deck) -> None:
    """Side by side, by environment."""
    found = await deck.surveyor.survey(Subject((whole(deck.catalogue.services["citoid"]),)), ("staging", "codfw"))
    assert found.git == {"staging": OLD, "codfw": OLD}
    assert found.serving == {"staging": {OLD: (1, 1)}, "codfw": {OLD: (2, 2)}}
    assert (found.problems, found.debts) == ({}, ())
    assert found.commit == deck.repository.head


async def test_what_does_not_answer_is_named_and_hides_nothing_else(deck: Deck) -> None:
    """A dead data centre, a dead Gerrit."""
    deck.cluster.faults.always("objects codfw", TemporaryError("timed out"))
    deck.charts.faults.always("tip", TemporaryError("away"))
    found = await deck.surveyor.survey(Subject((whole(deck.catalogue.services["citoid"]),)), ("staging", "codfw"))
    assert found.problems == {"git": "away", "codfw": "timed out"}
    assert found.serving == {"staging": {OLD: (1, 1)}}
    assert found.running("codfw") == ""


def test_the_tag_that_runs_is_the_one_most_ready_pods_run() -> None:
    """Ready ones first, then all."""
    found = Situation(
        "citoid", serving={"a": {OLD: (3, 3), NEW: (1, 5)}, "b": {OLD: (0, 1), NEW: (0, 2)}, "c": {OLD: (0, 0)}}
    )
    assert [found.running(e) for e in "abcd"] == [OLD, NEW, "", ""]


async def test_untouched_is_what_no_apply_began(deck: Deck) -> None:
    """An end says which environments were never touched."""
    deck.cluster.pods["citoid", "codfw"] = pods(NEW, 2)
    found = await deck.surveyor.at_the_end(rolled(environments=("codfw", "eqiad")))
    assert found.untouched == ("codfw", "eqiad")
