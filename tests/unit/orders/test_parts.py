"""A part of a service: its own files, releases, images, debts and way back; the other parts are left alone."""

from __future__ import annotations

import json

import pytest

from quarterdeck.core.rollout.state import State
from quarterdeck.testing.review import Gate
from tests.worlds.cluster import NEW, NEWER, OLD
from tests.worlds.fleet import HOME, JS, ORCHESTRATOR, PY, FleetDeck, announced, tagged
from tests.worlds.saying import refused, served

MAIN, VALUES_JS, VALUES_PY = (f"{HOME}/wikifunctions/values-{name}.yaml" for name in ("main", "js", "py"))
PARTS = "wikifunctions/orchestrator", "wikifunctions/evaluators"


# -- which part ------------------------------------------------------------------------------------------------


async def test_a_service_in_parts_is_asked_back(fleet: FleetDeck) -> None:
    """Each part with what git says and what is newest, and the exact command."""
    which = (
        "alice: which part? wikifunctions/orchestrator (2026-08-06-230932, newest 2026-08-17-094555) · "
        "wikifunctions/evaluators (2 files, 2026-08-06-230932, newest 2026-08-17-094555) · wikifunctions/all. E.g. "
    )
    assert await refused(fleet, "deploy wikifunctions staging") == (
        f"{which}!deploy wikifunctions/orchestrator staging. Nothing done"
    )
    assert await refused(fleet, "deploy wikifunctions") == (
        f"{which}!deploy wikifunctions/orchestrator staging. Nothing done"
    )
    assert "E.g. !rollback wikifunctions/orchestrator production. " in await refused(fleet, "rollback wikifunctions")
    fleet.repository.push({MAIN: tagged(ORCHESTRATOR, NEW)})
    assert "wikifunctions/orchestrator (2026-08-17-094555, newest) · " in await refused(
        fleet, "preview wikifunctions codfw"
    )


async def test_a_part_that_is_not_there_is_named_with_those_that_are(fleet: FleetDeck) -> None:
    """Also where only the versions were asked for."""
    wanted = (
        "alice: no part nope of wikifunctions: say wikifunctions/orchestrator, wikifunctions/evaluators. Nothing done"
    )
    for command in ("deploy wikifunctions/nope staging", "deploy wikifunctions/nope", "versions wikifunctions/nope"):
        assert await refused(fleet, command) == wanted
    said = await refused(fleet, "deploy wikifunction/evaluators staging")
    assert "Did you mean wikifunctions/evaluators?" in said


async def test_letters_case_does_not_matter(fleet: FleetDeck) -> None:
    """As people type; it is said as the catalogue writes it."""
    rollout = await fleet.deploy("Wikifunctions/EVALUATORS staging")
    assert (rollout.title, rollout.state) == ("wikifunctions/evaluators", State.SUCCEEDED)


async def test_an_environment_that_the_part_is_not_in_is_refused(fleet: FleetDeck) -> None:
    """The helmfile knows codfw, the part has no tag there; the service's other part is offered alone."""
    path = f"{HOME}/wikifunctions/helmfile.yaml"
    text = fleet.repository.files[path].replace(
        b"  codfw:\n    values: *here", b"  codfw:\n    values:\n      - releases: [main]"
    )
    text = text.replace(b"  - name: js\n", b'  - name: js\n    installed: {{ has "js" .Values.releases }}\n')
    text = text.replace(b"  - name: py\n", b'  - name: py\n    installed: {{ has "py" .Values.releases }}\n')
    fleet.repository.push({path: text})
    assert 'no environment "codfw" for wikifunctions/evaluators' in await refused(
        fleet, "deploy wikifunctions/evaluators codfw"
    )
    assert "wikifunctions/evaluators" not in await refused(fleet, "deploy wikifunctions codfw")
    waiting = await fleet.deploy(f"wikifunctions/orchestrator codfw {NEWER}")
    assert waiting.state is State.WAITING, waiting.note


# -- a part's deploy -------------------------------------------------------------------------------------------


async def test_a_part_edits_and_applies_what_is_its_own(fleet: FleetDeck) -> None:
    """Two files, two releases, two images; ack, diff and verdict say the part; the other part stays."""
    rollout = await fleet.deploy("wikifunctions/evaluators staging")
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert fleet.fleet.applied == [("wikifunctions", "staging", ("js", "py"))]
    assert [fleet.git_says("wikifunctions", name) for name in ("main", "js", "py")] == [OLD, NEW, NEW]
    assert fleet.said() == [
        "#1 wikifunctions/evaluators staging 2026-08-06-230932 → 2026-08-17-094555: patch goes to the gate, then applies by "
        "itself. values-js.yaml and values-py.yaml are shared: codfw and eqiad become pending. !stop 1 http://deck.example/1",
        "#1 diff: - image …/function-js:2026-08-06-230932-production / + image …/function-js:2026-08-17-094555-production / "
        "- image …/function-py:2026-08-06-230932-production / + image …/function-py:2026-08-17-094555-production",
        "#1 wikifunctions/evaluators staging OK in 2s (gate 0s): 2/2 new pods on 2026-08-17-094555, stable 2s. codfw and "
        "eqiad pending on 2026-08-06-230932. Next: !deploy wikifunctions/evaluators production http://deck.example/1",
    ]
    assert (
        "helmfile.d/services/wikifunctions: apply evaluators - 2026-08-06-230932 -> 2026-08-17-094555 (" in fleet.sal[0]
    )
    (change,) = fleet.review.changes
    assert change.subject == f"wikifunctions/evaluators: bump to {NEW}"


async def test_other_releases_that_differ_are_named_and_left(fleet: FleetDeck) -> None:
    """Somebody's merged bump of the other part is no surprise here, and is not applied."""
    fleet.repository.push({MAIN: tagged(ORCHESTRATOR, NEWER)})
    rollout = await fleet.deploy("wikifunctions/evaluators staging")
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert fleet.said()[1].endswith("(main differs too and stays as it is)")
    assert fleet.fleet.tags("wikifunctions", "staging") == {"main": OLD, "js": NEW, "py": NEW}


@pytest.mark.parametrize("wrong", ["digest", "image"])
async def test_each_release_runs_its_own_image(fleet: FleetDeck, wrong: str) -> None:
    """Law 12: one evaluator's pods run the other's digest, or the other's image of the same tag: FAILED."""
    show = fleet.fleet._show
    images = fleet.registry.images

    def mixed(service: str, environment: str) -> None:
        ref = fleet.fleet.refs.get((service, environment, "py"), "")
        if wrong == "image" and ref == f"{PY}:{NEW}":
            fleet.fleet.refs[service, environment, "py"] = f"{JS}:{NEW}"
        show(service, environment)
        text = json.dumps(fleet.fleet.pods[service, environment])
        if wrong == "digest":
            fleet.fleet.pods[service, environment] = json.loads(text.replace(images[PY][NEW], images[JS][NEW]))

    fleet.fleet._show = mixed  # type: ignore[method-assign]
    rollout = await fleet.deploy("wikifunctions/evaluators staging")
    assert rollout.state is State.FAILED
    words = {"digest": "1/2 new pods run another digest", "image": f"no container runs {PY}:{NEW}"}
    assert words[wrong] in fleet.last
    assert set(fleet.owed) == {f"wikifunctions/evaluators {e}" for e in ("staging", "codfw", "eqiad")}


async def test_production_takes_what_staging_runs_of_that_part(fleet: FleetDeck) -> None:
    """The other part's tag there is no proof of anything, nor is its trouble a hindrance."""
    await fleet.deploy("wikifunctions/evaluators staging")
    fleet.fleet.broken.add(f"{ORCHESTRATOR}:{OLD}")
    fleet.fleet._show("wikifunctions", "staging")
    rollout = await served(fleet, "deploy wikifunctions/evaluators production")
    assert (rollout.tag, rollout.state) == (NEW, State.SUCCEEDED)
    assert "staging is no proof just now: it runs 2026-08-06-230932 0/1" in await refused(
        fleet, "deploy wikifunctions/orchestrator production"
    )
    assert fleet.owed == {}


async def test_a_part_goes_back_to_what_that_part_ran(fleet: FleetDeck) -> None:
    """The other part's rollouts in between do not count."""
    await fleet.deploy("wikifunctions/evaluators staging")
    await fleet.deploy("wikifunctions/orchestrator staging")
    await fleet.deploy(f"wikifunctions/orchestrator staging {NEWER}")
    rollout = await fleet.order("rollback wikifunctions/evaluators staging")
    assert (rollout.tag, rollout.state) == (OLD, State.SUCCEEDED)
    assert fleet.fleet.tags("wikifunctions", "staging") == {"main": NEWER, "js": OLD, "py": OLD}
    rollout = await fleet.order("rollback wikifunctions/orchestrator staging")
    assert rollout.tag == NEW


async def test_a_part_goes_back_to_before_the_whole_was_applied(fleet: FleetDeck) -> None:
    """An apply of the service knows what each of its parts ran, not only what most pods did."""
    await fleet.deploy("wikifunctions/orchestrator staging")
    fleet.repository.push({MAIN: tagged(ORCHESTRATOR, NEWER), VALUES_JS: tagged(JS, NEW), VALUES_PY: tagged(PY, NEW)})
    await fleet.order("apply wikifunctions staging")
    assert fleet.fleet.tags("wikifunctions", "staging") == {"main": NEWER, "js": NEW, "py": NEW}
    assert (await fleet.order("rollback wikifunctions/orchestrator staging")).tag == NEW
    assert (await fleet.order("rollback wikifunctions/evaluators staging")).tag == OLD


# -- debts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("deploy wikifunctions/evaluators codfw", {"evaluators eqiad", "orchestrator codfw", "orchestrator eqiad"}),
        ("apply wikifunctions/evaluators codfw", {"evaluators eqiad", "orchestrator codfw", "orchestrator eqiad"}),
        ("deploy wikifunctions/orchestrator production", {"evaluators codfw", "evaluators eqiad"}),
        ("apply wikifunctions codfw", {"evaluators eqiad", "orchestrator eqiad"}),
        ("apply wikifunctions/all production", set()),
        ("deploy wikifunctions/all production", set()),
    ],
)
async def test_debts_are_paid_by_the_part_or_by_the_whole(fleet: FleetDeck, command: str, left: set[str]) -> None:
    """Each part owes by itself; one part pays for itself, the service or all of it for every part."""
    for part in PARTS:
        await fleet.deploy(f"{part} staging")
    rollout = await served(fleet, command)
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert set(fleet.owed) == {f"wikifunctions/{one}" for one in left}


async def test_a_retry_of_a_part_is_still_of_that_part(fleet: FleetDeck) -> None:
    """Helm fails, is mended, and the retry applies the same releases only."""
    fleet.fleet.failing.add(("wikifunctions", "staging"))
    assert (await fleet.deploy("wikifunctions/evaluators staging")).state is State.FAILED
    assert "!rollback wikifunctions/evaluators staging (reverts git)" in fleet.last
    fleet.fleet.failing.clear()
    await fleet.say("retry 1")
    assert (await fleet.settle(1)).state is State.SUCCEEDED
    assert fleet.fleet.applied == [("wikifunctions", "staging", ("js", "py"))] * 2


# -- two parts at once -----------------------------------------------------------------------------------------


def held_at_the_gate(fleet: FleetDeck) -> None:
    """Whatever is merged from now on waits until `let_go`."""
    fleet.review.gate = Gate.STALL
    fleet.clock.standing = True


def let_go(fleet: FleetDeck) -> None:
    """The gate merges again, and time passes."""
    fleet.review.gate = Gate.MERGE
    fleet.clock.standing = False


async def test_two_parts_do_not_meet_in_one_environment(fleet: FleetDeck) -> None:
    """A release is helm's, the environment is held: said in words; elsewhere the other part runs beside it."""
    held_at_the_gate(fleet)
    assert await fleet.say("deploy wikifunctions/evaluators staging") == ""
    said = await refused(fleet, "deploy wikifunctions/orchestrator staging", "bob")
    assert said == "bob: wikifunctions staging is held by #1 (alice, RUNNING). !stop 1, or wait. Nothing done"
    assert await fleet.say(f"deploy wikifunctions/orchestrator codfw {NEW}", "bob") == ""
    let_go(fleet)
    first, second = await fleet.settle(1), await fleet.settle(2)
    assert (first.state, second.state) == (State.SUCCEEDED, State.WAITING)
    assert (await fleet.confirm(2, "bob")).state is State.SUCCEEDED


async def test_one_part_is_edited_by_one_rollout(fleet: FleetDeck) -> None:
    """Its files are in somebody's hands, whatever environment it is for."""
    held_at_the_gate(fleet)
    assert await fleet.say("deploy wikifunctions/evaluators staging") == ""
    said = await refused(fleet, f"deploy wikifunctions/evaluators codfw {NEW}", "bob")
    assert "values-js.yaml" in said
    assert "in the hands of #1 (alice, RUNNING). !stop 1, or wait. Nothing done" in said
    let_go(fleet)
    assert (await fleet.settle(1)).state is State.SUCCEEDED


async def test_another_parts_failure_is_not_closed(fleet: FleetDeck) -> None:
    """It is to be retried or rolled back by whoever looks at it; all parts together close it, and so does its own."""
    fleet.fleet.broken.add(f"{JS}:{NEW}")
    assert (await fleet.deploy("wikifunctions/evaluators staging")).state is State.FAILED
    assert (await fleet.deploy("wikifunctions/orchestrator staging")).state is State.SUCCEEDED
    assert fleet.rollout(1).state is State.FAILED
    await fleet.deploy(f"wikifunctions/all staging {NEWER}")
    assert fleet.rollout(1).state is State.ABORTED
    assert "Takes over #1." in fleet.said()[-3]


async def test_another_parts_question_keeps_the_place(fleet: FleetDeck) -> None:
    """It is not closed by somebody who deploys another part, but nobody's question holds up a way back."""
    for part in PARTS:
        await fleet.deploy(f"{part} staging")
    await served(fleet, "deploy wikifunctions/evaluators codfw")
    waiting = await fleet.deploy("wikifunctions/orchestrator codfw", "bob")
    assert waiting.state is State.WAITING
    for command in ("deploy wikifunctions/evaluators codfw " + NEWER, "apply wikifunctions/evaluators codfw"):
        assert await refused(fleet, command) == (
            f"alice: wikifunctions codfw is held by #{waiting.number} (bob, WAITING). !stop {waiting.number}, or wait. "
            "Nothing done"
        )
    assert fleet.rollout(waiting.number).state is State.WAITING
    back = await fleet.order("rollback wikifunctions/evaluators codfw")
    assert fleet.rollout(waiting.number).state is State.ABORTED
    assert (await fleet.confirm(back.number)).state is State.SUCCEEDED


# -- a crash ---------------------------------------------------------------------------------------------------


async def crashed(at: int, after: bool) -> tuple[FleetDeck, bool]:
    """A part's deploy whose process dies at its call number *at*, taken up by the next process."""
    deck = announced(FleetDeck())
    return deck, await deck.die("deploy wikifunctions/evaluators staging", at, after)


@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_call_of_a_parts_deploy_ends_as_without_it(after: bool) -> None:
    """Law 7: the same end, one apply of its own releases, its own debts."""
    at, died = 0, True
    while died:
        deck, died = await crashed(at, after)
        where = f"died at call {at}, {deck.fate.calls[-1]}"
        if not deck.store.tables.rollouts:
            assert deck.fleet.applied == [], where
        else:
            rollout = deck.rollout()
            assert rollout.state is State.SUCCEEDED, f"{where}: {rollout.note}"
            assert deck.fleet.applied == [("wikifunctions", "staging", ("js", "py"))], where
            assert len(deck.review.changes) == 1, where
            assert set(deck.owed) == {f"wikifunctions/evaluators {e}" for e in ("codfw", "eqiad")}, where
            assert [line.split()[4] for line in deck.sal] == ["START", "DONE"], where
        at += 1
        await deck.close()
    assert at > 20


async def test_what_is_told_of_a_part_is_of_that_part(fleet: FleetDeck) -> None:
    """Its diff, its pods and the lines to type by hand leave out the other releases, also those that differ."""
    await fleet.deploy(f"wikifunctions/orchestrator codfw {NEWER}")
    await fleet.deploy(f"wikifunctions/evaluators staging {NEW}")
    said = await fleet.say("diff 2")
    assert "function-js" in said
    assert "orchestrator" not in said
    assert "function-orchestrator" not in await fleet.say("pods 2")
    dossier = await fleet.dossiers.gather(2)
    assert dossier is not None
    assert dossier.by_hand["staging"][-1] == "helmfile -e staging -l name=js -l name=py apply"
    assert {pod.name.rpartition("-")[0].rpartition("-")[2] for pod in dossier.pods["staging"]} == {"js", "py"}
