"""All parts of a service at once: one tag for all of them, also where each of them ran another one before."""

from __future__ import annotations

import pytest

from quarterdeck.core.rollout.state import State
from quarterdeck.views.page import Pages
from tests.worlds.cluster import NEW, NEWER, OLD
from tests.worlds.fleet import HOME, JS, ORCHESTRATOR, PY, FleetDeck, tagged
from tests.worlds.saying import refused, served
from tests.worlds.world import TEMPLATES

MAIN = f"{HOME}/wikifunctions/values-main.yaml"


async def apart(deck: FleetDeck) -> None:
    """Staging runs a newer tag of the evaluators than of the orchestrator."""
    await deck.deploy("wikifunctions/evaluators staging")


async def test_all_parts_get_the_newest_of_all(fleet: FleetDeck) -> None:
    """One tag, three releases, three images; what runs it already is not what all run."""
    await apart(fleet)
    rollout = await fleet.deploy("wikifunctions/all staging")
    assert (rollout.state, rollout.tag) == (State.SUCCEEDED, NEW)
    assert fleet.fleet.applied[-1] == ("wikifunctions", "staging", ("main",))
    ack, diff, verdict = fleet.said()[-3:]
    assert ack == (
        "#2 wikifunctions/all staging 2026-08-06-230932 → 2026-08-17-094555: patch goes to the gate, then applies by itself. "
        "values-main.yaml is shared: codfw and eqiad become pending. !stop 2 http://deck.example/2"
    )
    assert diff == (
        "#2 diff: - image …/function-orchestrator:2026-08-06-230932-production / "
        "+ image …/function-orchestrator:2026-08-17-094555-production"
    )
    assert "OK in 2s (gate 0s): 3/3 new pods on 2026-08-17-094555" in verdict
    assert set(fleet.owed) == {
        f"wikifunctions/{p} {e}" for p in ("orchestrator", "evaluators") for e in ("codfw", "eqiad")
    }


async def test_an_ack_names_every_old_tag(fleet: FleetDeck) -> None:
    """Where the parts differ there is no single old tag; nor is there in the server admin log, nor in a preview."""
    await apart(fleet)
    said = await fleet.say(f"preview wikifunctions/all staging {NEWER}")
    assert "staging 2026-08-06-230932 or 2026-08-17-094555 → 2026-08-18-081200: 3 files, 3 lines" in said
    assert "codfw and eqiad would become pending" in said
    await fleet.deploy(f"wikifunctions/all staging {NEWER}")
    assert fleet.said()[-3].startswith(
        "#2 wikifunctions/all staging 2026-08-06-230932 or 2026-08-17-094555 → 2026-08-18-081200: patch goes to the gate"
    )
    assert "apply all - 2026-08-06-230932 or 2026-08-17-094555 -> 2026-08-18-081200 (quarterdeck #2)" in fleet.sal[-2]


async def test_a_verdict_names_every_tag_that_is_pending_on(fleet: FleetDeck) -> None:
    """Where another place's parts differ, all they run is old; the page, too, names every tag that ran."""
    await apart(fleet)
    await served(fleet, "deploy wikifunctions/evaluators production")
    await fleet.deploy(f"wikifunctions/all staging {NEWER}")
    assert "codfw and eqiad pending on 2026-08-06-230932 and 2026-08-17-094555." in fleet.last
    dossier = await fleet.dossiers.gather(3)
    assert dossier
    page = Pages(TEMPLATES, fleet.catalogue).rollout(dossier, fleet.clock.now(), html=False)
    assert "2026-08-06-230932 or 2026-08-17-094555" in page


async def test_newest_that_differ_are_told_with_the_ways(fleet: FleetDeck) -> None:
    """No tag is chosen for anybody."""
    fleet.built(ORCHESTRATOR, NEWER, "wikifunctions", 600)
    assert await refused(fleet, "deploy wikifunctions/all staging") == (
        "alice: not one image is the newest of all: wikifunctions/orchestrator 2026-08-18-081200, wikifunctions/evaluators "
        "2026-08-17-094555. Say a TAG, or !deploy wikifunctions/orchestrator staging, then !deploy wikifunctions/evaluators staging. "
        "Nothing done"
    )


async def test_a_staging_whose_parts_differ_is_told_with_the_ways(fleet: FleetDeck) -> None:
    """It is sound, and there is no one tag to take from it; a part that is not sound is no proof."""
    await apart(fleet)
    assert await refused(fleet, "deploy wikifunctions/all production") == (
        "alice: staging runs 2026-08-06-230932 and 2026-08-17-094555: say the tag: !deploy wikifunctions/all production TAG, or "
        "!deploy wikifunctions/orchestrator production, then !deploy wikifunctions/evaluators production. Nothing done"
    )
    fleet.fleet.broken.add(f"{JS}:{NEW}")
    fleet.fleet._show("wikifunctions", "staging")
    assert "staging is no proof just now: it runs " in await refused(fleet, "deploy wikifunctions/all production")


async def test_a_place_owes_only_for_the_parts_it_does_not_run(fleet: FleetDeck) -> None:
    """Law 4, part by part: production moves all, staging runs one of them already."""
    await fleet.deploy("wikifunctions/evaluators staging")
    rollout = await served(fleet, f"deploy wikifunctions/all production {NEW}")
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert rollout.pending == ("staging",)
    assert fleet.owed == {"wikifunctions/orchestrator staging": NEW}


async def test_nothing_newer_of_a_part_is_undone_silently(fleet: FleetDeck) -> None:
    """Law 4: the tag made by hand is one part's, so the way forward is that part's."""
    fleet.repository.push({MAIN: tagged(ORCHESTRATOR, NEWER)})
    said = await refused(fleet, "deploy wikifunctions/all staging")
    assert said.startswith(
        "alice: not started. git says 2026-08-18-081200 for wikifunctions/orchestrator staging: a bump"
    )
    assert "Go forward: !deploy wikifunctions/orchestrator staging 2026-08-18-081200, or" in said


async def test_a_tag_that_one_part_runs_elsewhere_is_asked_for(fleet: FleetDeck) -> None:
    """Law 4: codfw's orchestrator would lose a newer tag than the one all get."""
    await served(fleet, f"deploy wikifunctions/orchestrator codfw {NEWER}")
    waiting = await fleet.deploy("wikifunctions/all staging")
    assert waiting.state is State.WAITING
    assert "this takes 2026-08-18-081200 away from codfw, which runs it. !confirm staging-" in fleet.last


async def test_a_part_goes_back_to_before_all_of_them_moved(fleet: FleetDeck) -> None:
    """Each to its own; all together have no one tag to go back to, which is said with the ways."""
    await apart(fleet)
    await fleet.deploy(f"wikifunctions/all staging {NEWER}")
    assert await refused(fleet, "rollback wikifunctions/all staging") == (
        "alice: back to what? staging ran 2026-08-06-230932 and 2026-08-17-094555. Say the tag: !rollback wikifunctions/all "
        "staging TAG, or !rollback wikifunctions/orchestrator staging, then !rollback wikifunctions/evaluators staging. "
        "Nothing done"
    )
    assert (await fleet.order("rollback wikifunctions/evaluators staging")).tag == NEW
    assert (await fleet.order("rollback wikifunctions/orchestrator staging")).tag == OLD
    assert fleet.fleet.tags("wikifunctions", "staging") == {"main": OLD, "js": NEW, "py": NEW}


async def test_all_go_back_together_where_they_ran_one_tag(fleet: FleetDeck) -> None:
    """And it is no "nothing to do" while one of them runs another."""
    await fleet.deploy("wikifunctions/all staging")
    assert (await fleet.order("rollback wikifunctions/all staging")).tag == OLD
    fleet.repository.push(
        {f"{HOME}/wikifunctions/values-{n}.yaml": tagged(i, NEW) for n, i in (("js", JS), ("py", PY))}
    )
    fleet.repository.push({MAIN: tagged(ORCHESTRATOR, NEW)})
    await fleet.order("apply wikifunctions/evaluators staging")
    assert await fleet.say(f"rollback wikifunctions/all staging {NEW}") == ""
    await fleet.settle(4)
    assert fleet.fleet.tags("wikifunctions", "staging") == {"main": NEW, "js": NEW, "py": NEW}


@pytest.mark.parametrize("target", ["wikifunctions", "wikifunctions/all"])
async def test_an_apply_of_several_tags_is_image_only(fleet: FleetDeck, target: str) -> None:
    """Git says a tag for each release: each diff is expected, each image is compared, no tag is named."""
    contents = {f"{HOME}/wikifunctions/values-{n}.yaml": tagged(i, NEW) for n, i in (("js", JS), ("py", PY))}
    fleet.repository.push({**contents, MAIN: tagged(ORCHESTRATOR, NEWER)})
    rollout = await fleet.order(f"apply {target} staging")
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert fleet.said() == [
        f"#1 {target} staging apply: looking at the diff. !stop 1 http://deck.example/1",
        "#1 diff: staging: 3 Deployments, image only http://deck.example/1",
        f"#1 {target} staging OK in 2s: 3/3 new pods, stable 2s. Next: !apply {target} production http://deck.example/1",
    ]
    assert fleet.fleet.tags("wikifunctions", "staging") == {"main": NEWER, "js": NEW, "py": NEW}


async def test_an_apply_of_several_tags_fails_on_one_wrong_image(fleet: FleetDeck) -> None:
    """Law 12 for each image: one release's pods run the digest of another tag."""
    fleet.repository.push({MAIN: tagged(ORCHESTRATOR, NEWER)})
    images = fleet.registry.images[ORCHESTRATOR]
    images[NEWER], kept = images[OLD], images[NEWER]
    show = fleet.fleet._show

    def shown(service: str, environment: str) -> None:
        images[NEWER] = images[OLD]
        show(service, environment)
        images[NEWER] = kept

    shown("wikifunctions", "staging")
    fleet.fleet._show = shown  # type: ignore[method-assign]
    rollout = await fleet.order("apply wikifunctions/all staging")
    assert rollout.state is State.FAILED
    assert rollout.note.startswith("1/3 new pods run another digest"), rollout.note


async def test_what_runs_is_told_part_by_part(fleet: FleetDeck) -> None:
    """A line for each part, also of all of them; a part's line has its own debts only."""
    await apart(fleet)
    lines = (
        "wikifunctions/orchestrator: git, staging, codfw, eqiad 2026-08-06-230932 | newest 2026-08-17-094555",
        "wikifunctions/evaluators: git, staging 2026-08-17-094555 | codfw, eqiad 2026-08-06-230932 | newest 2026-08-17-094555",
    )
    assert await fleet.say("versions wikifunctions") == "\n".join(lines)
    assert await fleet.say("versions wikifunctions/all") == "\n".join(lines)
    assert await fleet.say("versions wikifunctions/orchestrator Wikifunctions/Evaluators") == "\n".join(lines)
    first, second = (await fleet.say("status wikifunctions")).splitlines()
    assert first == (
        "wikifunctions/orchestrator: git 2026-08-06-230932 | staging, codfw, eqiad 2026-08-06-230932 1/1 | "
        "newest 2026-08-17-094555 | http://deck.example/"
    )
    assert second.startswith(
        "wikifunctions/evaluators: codfw, eqiad pending since 14:00 (#1 alice) | git 2026-08-17-094555 | "
    )
    assert await fleet.say("status wikifunctions/evaluators") == second
    assert "pending: wikifunctions/evaluators codfw, wikifunctions/evaluators eqiad" in await fleet.say("status")
