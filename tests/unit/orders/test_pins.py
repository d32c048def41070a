"""`--pin`: an environment gets a tag of its own in a file of its own, and nothing else moves, now or later."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from quarterdeck.core.rollout.state import State
from tests.worlds.cluster import HOME, IMAGE, NEW, NEWER, OLD, VALUES, values
from tests.worlds.fleet import ORCHESTRATOR, FleetDeck, announced
from tests.worlds.saying import refused_untouched
from tests.worlds.world import Deck

OWN = "      - values.yaml\n      - values-{{ .Environment.Name }}.yaml\n"
_HEAD = "environments:\n  staging: {}\n  eqiad: {}\n  codfw: {}\n---\nhelmDefaults:\n  timeout: 10\nreleases:\n"


@pytest.fixture
async def own() -> AsyncIterator[Deck]:
    """A service whose helmfile reads a file for each environment, of which there is none yet."""
    deck = Deck()
    deck.announce()
    deck.repository.push({f"{HOME}/helmfile.yaml": f"{_HEAD}  - name: main\n    values:\n{OWN}".encode()})
    yield deck
    await deck.close()


def path(environment: str) -> str:
    """The file of one environment."""
    return f"{HOME}/values-{environment}.yaml"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"main_app:\n  version: {NEW}\n"),
        ("debug: true\n", f"debug: true\n\nmain_app:\n  version: {NEW}\n"),
        ("main_app:\n  limits: 1\n", f"main_app:\n  version: {NEW}\n  limits: 1\n"),
        (f"main_app:\n  version: {OLD}  # ours\n", f"main_app:\n  version: {NEW}  # ours\n"),
    ],
    ids=["no file", "no block", "a block", "a copy"],
)
async def test_a_pin_writes_the_environments_own_file(own: Deck, before: str | None, after: str) -> None:
    """Whatever stands there already; the shared file and the other environments stay, so nobody owes anything."""
    if before is not None:
        own.repository.push({path("staging"): before.encode()})
    rollout = await own.deploy("citoid staging --pin")
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert own.repository.files[path("staging")].decode() == after
    assert own.repository.files[VALUES] == values(OLD)
    assert own.debts == {}
    assert own.said()[0] == (
        "#1 citoid staging 2026-08-06-230932 → 2026-08-17-094555: patch goes to the gate, then applies by itself. Pinned in "
        "values-staging.yaml: later deploys of other environments leave it there. !stop 1 http://deck.example/1"
    )
    assert own.last.endswith("1/1 new pod on 2026-08-17-094555, stable 2s. http://deck.example/1")


async def test_a_preview_of_a_pin(own: Deck) -> None:
    """A line in a file that is not there yet, and nobody becomes pending."""
    head = own.repository.head
    assert await own.say("preview citoid staging --pin") == (
        "alice: preview citoid staging 2026-08-06-230932 → 2026-08-17-094555: 1 file, 1 line; staging: 1 Deployment, image only; "
        "would not ask. Nothing was changed"
    )
    assert own.repository.head == head


async def test_what_is_pinned_does_not_move_with_the_others(own: Deck) -> None:
    """A later deploy to production leaves staging on its own tag, and says nothing of it; versions show who is where."""
    await own.deploy("citoid staging --pin")
    waiting = await own.deploy(f"citoid production {NEWER}")
    assert "pending" not in own.said()[3]
    assert (await own.confirm(waiting.number)).state is State.SUCCEEDED
    assert own.cluster.runs == {"staging": NEW, "codfw": NEWER, "eqiad": NEWER}
    assert own.debts == {}
    assert await own.say("versions citoid") == (
        "citoid: git 2026-08-17-094555 for staging, 2026-08-18-081200 for codfw and eqiad | staging 2026-08-17-094555 | "
        "codfw, eqiad 2026-08-18-081200 | newest 2026-08-17-094555"
    )


async def test_a_pinned_environment_goes_back_by_its_own_file(own: Deck) -> None:
    """The copy stays a copy: without a pin it is edited alone, too."""
    await own.deploy("citoid staging --pin")
    rollout = await own.order("rollback citoid staging")
    assert (rollout.tag, rollout.state) == (OLD, State.SUCCEEDED)
    assert own.repository.files[path("staging")] == f"main_app:\n  version: {OLD}\n".encode()
    await own.deploy(f"citoid staging {NEWER}")
    assert own.repository.files[path("staging")] == f"main_app:\n  version: {NEWER}\n".encode()
    assert own.repository.files[VALUES] == values(OLD)


async def test_production_is_pinned_in_every_data_centre(own: Deck) -> None:
    """Two environments, two files, one change; and back again."""
    own.cluster.run("staging", NEW)
    waiting = await own.deploy("citoid production --pin")
    assert "Pinned in values-codfw.yaml and values-eqiad.yaml: " in own.said()[0]
    assert (await own.confirm(waiting.number)).state is State.SUCCEEDED
    pinned = f"main_app:\n  version: {NEW}\n".encode()
    assert {own.repository.files[path(e)] for e in ("codfw", "eqiad")} == {pinned}
    assert len(own.review.changes) == 1
    back = await own.order("rollback citoid")
    assert (await own.confirm(back.number)).state is State.SUCCEEDED
    assert own.cluster.runs["eqiad"] == OLD
    assert own.repository.files[VALUES] == values(OLD)


async def test_a_pin_that_a_release_overrides_is_refused() -> None:
    """The release's file comes last and has the tag: a pin below it would do nothing."""
    deck = announced(FleetDeck())
    said = await deck.say("deploy wikifunctions/orchestrator staging --pin")
    assert said.startswith(
        "alice: I do not edit this: wikifunctions/values-main.yaml:3 a pin for staging would do nothing in release main: "
    )
    assert said.endswith("Push the change by hand, then !apply wikifunctions/orchestrator staging. Nothing done")
    assert len(said.encode()) <= 400
    assert deck.git_says("wikifunctions") == OLD
    assert f"{ORCHESTRATOR}:{OLD}" in deck.fleet.refs.values()
    await deck.close()


async def test_a_pin_where_no_file_of_the_environment_is_read(deck: Deck) -> None:
    """The helmfile has one file for all: a pin would move the others."""
    assert "a pin" in await refused_untouched(deck, "deploy citoid staging --pin")


async def test_what_pins_nothing_knows_no_pin(own: Deck) -> None:
    """Refused by name, not ignored."""
    for command in ("apply citoid staging --pin", "rollback citoid staging --pin"):
        assert f"--pin is for !deploy and !preview, !{command.split()[0]} does not know it" in await refused_untouched(
            own, command
        )
    assert "--unpin: not yet" in await refused_untouched(own, "deploy citoid staging --unpin")
    del own.registry.images[IMAGE][NEW]
    assert "not in the registry" in await refused_untouched(own, "deploy citoid staging --pin")
