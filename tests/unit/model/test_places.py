"""Places: how they are named, split and said."""

from __future__ import annotations

from quarterdeck.core.model import place as places
from tests.worlds.world import rolled


def test_a_place_is_an_environment_or_another_services_environment() -> None:
    """The rollout's own service is left out, in names of files and jobs a dot stands for the slash."""
    assert places.split("codfw", "citoid") == ("citoid", "codfw")
    assert places.split("zotero/codfw", "citoid") == ("zotero", "codfw")
    assert places.named("zotero", "codfw", "citoid") == "zotero/codfw"
    assert places.named("citoid", "codfw", "citoid") == "codfw"
    assert places.slug("zotero/codfw") == "zotero.codfw"
    assert places.environments(["codfw", "zotero/codfw", "eqiad"]) == ("codfw", "eqiad")


def test_places_are_said_as_people_say_them() -> None:
    """Services that are in the same environments are said together; many are counted."""
    assert [places.joined(x) for x in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
    assert places.listed(("codfw", "eqiad"), "citoid") == "codfw and eqiad"
    assert places.listed(("codfw", "eqiad"), "citoid", "then") == "codfw then eqiad"
    both = ("codfw", "zotero/codfw", "eqiad", "zotero/eqiad")
    assert places.listed(both, "citoid") == "codfw and eqiad of citoid and zotero"
    assert places.listed(("codfw", "zotero/eqiad"), "citoid") == "codfw of citoid; eqiad of zotero"
    many = [f"s{n}/codfw" for n in range(5)]
    assert places.listed(many, "citoid") == "codfw of 5 services (s0, s1, …)"


def test_a_rollout_knows_the_targets_of_its_places() -> None:
    """Of one service, of a part, of a group."""
    group = rolled(service="citoid", group="refs", environments=("codfw", "zotero/codfw"))
    assert group.title == "@refs"
    assert group.targets == (("citoid", "codfw"), ("zotero", "codfw"))
    assert group.services == ("citoid", "zotero")
    assert [group.spoken(place) for place in group.environments] == ["citoid codfw", "zotero codfw"]
    assert group.place("zotero", "codfw") == "zotero/codfw"
    assert rolled(part="orchestrator").title == "citoid/orchestrator"
    assert rolled().title == "citoid"
    assert rolled().spoken("staging") == "staging"
