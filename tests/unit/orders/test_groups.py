"""A group deploy: one tag for several services, served one after the other; what is said, and who may say it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.rollout.state import State
from quarterdeck.views.chat import ChatVoice
from quarterdeck.views.commands import next_commands
from quarterdeck.views.data import as_json
from quarterdeck.views.page import Pages
from tests.worlds.fleet import BOX, FLAVOURS, HOME, NEW_BOX, OLD_BOX, FleetDeck, files, fleet, helmfile
from tests.worlds.groups import SHARED, both, furnished, marks
from tests.worlds.world import ENVIRONMENTS, TEMPLATES, person

URL = "http://deck.example"
MOVE = f"{OLD_BOX} → {NEW_BOX}"


@pytest.fixture
async def deck() -> AsyncIterator[FleetDeck]:
    """A world in which the group's new image was announced and nothing deployed yet."""
    made = FleetDeck()
    made.built(BOX, f"{NEW_BOX}-score")
    yield made
    await made.close()


def without_staging() -> bytes:
    """A helmfile of one who has production only."""
    whole = files(FLAVOURS)[f"{HOME}/shellbox-media/helmfile.yaml"].decode()
    head, _, rest = whole.partition("  staging:\n    values: &here\n      - releases: [main]\n")
    return (head + rest.replace("*here", "&here\n      - releases: [main]", 1)).encode()


# -- the lines ---------------------------------------------------------------------------------------------------


async def test_one_of_a_group_is_refused_with_both_ways(deck: FleetDeck) -> None:
    """Who shares the tag, and the two commands that go on."""
    assert await deck.say("deploy shellbox staging") == (
        "alice: shellbox/global.yaml holds one tag for 3 services. !deploy @shellbox staging applies 2, one after the "
        "other. shellbox-video is not in my catalogue and becomes pending. Only shellbox, 2 pending: "
        "!deploy shellbox staging --alone. Nothing done"
    )
    assert "!rollback @shellbox staging takes back 2" in await deck.say("rollback shellbox-media staging")
    assert not deck.store.tables.rollouts


async def test_the_lines_of_a_group_deploy(deck: FleetDeck) -> None:
    """Ack, diff and verdict; in the SAL one START and one DONE for each service."""
    await deck.order("deploy @shellbox staging")
    assert deck.said() == [
        f"#1 @shellbox staging {MOVE}: patch goes to the gate, then applies by itself. global.yaml is shared: staging, "
        "codfw and eqiad of shellbox-video; codfw and eqiad of shellbox and shellbox-media become pending. "
        f"2 services, one after the other. !stop 1 {URL}/1",
        f"#1 diff: staging of shellbox and shellbox-media: 1 Deployment, image only {URL}/1",
        f"#1 @shellbox staging OK in 4s (gate 0s): 2/2 new pods on {NEW_BOX}, stable 2s. staging, codfw and eqiad of "
        f"shellbox-video; codfw and eqiad of shellbox and shellbox-media pending on {OLD_BOX}. "
        f"Next: !deploy @shellbox production {URL}/1",
    ]
    assert marks(deck) == both("staging", "shellbox", "shellbox-media")
    assert deck.sal[2] == (
        f"!log alice@deploy1003 helmfile [staging] START helmfile.d/services/shellbox-media: apply - {OLD_BOX} -> "
        f"{NEW_BOX} (quarterdeck #1)"
    )


async def test_production_asks_once_and_the_primary_comes_last(deck: FleetDeck) -> None:
    """One question for all; codfw of each member, then eqiad of each."""
    await deck.order("deploy @shellbox staging")
    waiting = await deck.order("deploy @shellbox production")
    assert deck.last == (
        "alice: #2 @shellbox codfw then eqiad: 1 Deployment, image only, in each of shellbox and shellbox-media; "
        f"4 pods restart. !confirm {waiting.code}, or !stop 2 {URL}/2"
    )
    await deck.confirm(2)
    names = ("shellbox", "shellbox-media")
    assert marks(deck)[4:] == [mark for e in ("codfw", "eqiad") for mark in both(e, *names)]
    assert deck.last == f"#2 @shellbox codfw then eqiad OK in 8s: 4/4 new pods on {NEW_BOX}, stable 2s. {URL}/2"
    assert sorted(deck.owed) == [f"shellbox-video {e}" for e in ("codfw", "eqiad", "staging")]


async def test_one_change_at_the_real_path(deck: FleetDeck) -> None:
    """The symlinks stay links: one file is edited, where it is."""
    await deck.order("deploy @shellbox-media staging")
    (change,) = deck.review.changes
    assert list(change.files) == [SHARED]
    assert change.subject == f"shellbox-media: bump to {NEW_BOX}"
    assert "For staging of shellbox-media and shellbox." in change.message


async def test_a_declared_group_has_one_change_of_two_files(deck: FleetDeck) -> None:
    """A tag for each member, one change for all."""
    await deck.order("deploy @kask staging v1.0.20")
    (change,) = deck.review.changes
    assert sorted(change.files) == [f"{HOME}/{name}/values.yaml" for name in ("echostore", "sessionstore")]
    assert "values.yaml is shared: codfw and eqiad of echostore and sessionstore become pending" in deck.said()[0]
    assert marks(deck) == both("staging", "echostore", "sessionstore")
    assert deck.git_says("sessionstore") == "v1.0.20"


async def test_a_members_canaries_go_before_everything_else(deck: FleetDeck) -> None:
    """The canary stage is one for the whole group."""
    deck.repository.push({f"{HOME}/shellbox-media/helmfile.yaml": helmfile(("main", "canary"), ("global.yaml",))})
    deck.repository.push({SHARED: files(FLAVOURS)[SHARED] + b"  flavour: media\n"})
    for environment in ENVIRONMENTS:
        deck.fleet.install("shellbox-media", environment)
    await deck.order("deploy @shellbox staging")
    assert deck.rollout().state is State.SUCCEEDED, deck.rollout().note
    assert deck.fleet.applied == [
        ("shellbox-media", "staging", ("canary",)),
        ("shellbox", "staging", ("main",)),
        ("shellbox-media", "staging", ("main",)),
    ]
    assert marks(deck)[:2] == ["staging/canary shellbox-media START", "staging/canary shellbox-media DONE"]


async def test_status_and_versions_of_a_group(deck: FleetDeck) -> None:
    """A line for each member."""
    await deck.order("deploy @shellbox staging")
    assert (await deck.say("status @shellbox")).splitlines()[1] == (
        "shellbox-media: codfw, eqiad pending since 14:00 (#1 alice) | git 2026-08-20-090000 | staging "
        f"2026-08-20-090000 1/1 | codfw, eqiad {OLD_BOX} 1/1, behind git | {URL}/"
    )
    assert await deck.say("versions @shellbox") == (
        f"shellbox: git, staging {NEW_BOX} | codfw, eqiad {OLD_BOX} | newest {NEW_BOX}\n"
        f"shellbox-media: git, staging {NEW_BOX} | codfw, eqiad {OLD_BOX}"
    )
    assert "It is one of @kask." in await deck.say("status @echostore")
    assert "there is no @wikifunctions: say wikifunctions" in await deck.say("deploy @wikifunctions staging")
    assert await deck.say("deploy @shellbox staging") == (
        f"alice: @shellbox staging already runs {NEW_BOX} (2/2). Nothing to do."
    )


async def test_the_page_of_a_group(deck: FleetDeck) -> None:
    """Each member's environment has its tile, its diff and its commands by hand; the data has the group's name."""
    await deck.order("deploy @shellbox staging")
    dossier = await deck.dossiers.gather(1)
    assert dossier is not None
    text = Pages(TEMPLATES, deck.catalogue).rollout(dossier, deck.clock.now(), html=False)
    for words in (
        f"SUCCEEDED #1 @shellbox staging {OLD_BOX} -> {NEW_BOX}",
        "Diff shellbox staging (whole: /1/log?name=staging.diff)",
        "Diff shellbox-media staging (whole: /1/log?name=shellbox-media.staging.diff)",
        "# shellbox-media staging\n  cd helmfile.d/services/shellbox-media",
        "apply shellbox staging default",
    ):
        assert words in text, text
    assert "shellbox-media staging" in Pages(TEMPLATES, deck.catalogue).rollout(dossier, deck.clock.now(), html=True)
    data = as_json(dossier)
    assert (data["group"], data["environments"]) == ("shellbox", ["staging", "shellbox-media/staging"])
    assert set(data["pods"]) == {"staging", "shellbox-media/staging"}


async def test_lines_of_a_large_group_fit() -> None:
    """Six services in three environments: every line has 400 bytes at most and its address whole."""
    names = (
        "shellbox",
        *(f"shellbox-{name}" for name in ("constraints", "icu", "media", "syntaxhighlight", "timeline")),
    )
    made = big(names)
    try:
        refused = await made.say(f"deploy shellbox staging {NEW_BOX}")
        assert "one tag for 7 services. !deploy @shellbox staging applies 6" in refused
        await made.order(f"deploy @shellbox staging {NEW_BOX}")
        overview = await made.say("status")
        assert (
            "pending: staging, codfw and eqiad of shellbox-video; codfw and eqiad of 6 services (shellbox, " in overview
        )
        assert overview.endswith(f"| {URL}/")
        made.fleet.failing.add(("shellbox-icu", "codfw"))
        await made.order("deploy @shellbox production")
        await made.confirm(2)
        assert made.rollout(2).state is State.FAILED
        failed = made.last
        await made.order(f"rollback @shellbox production {OLD_BOX}")
        await made.confirm(3)
        lines = [
            refused,
            overview,
            await made.say("status"),
            await made.say("preview @shellbox production"),
            *made.said(),
        ]
        assert [line for line in [*lines, *made.sal] if len(line.encode()) > 400] == []
        assert all(line.endswith(("/1", "/2", "/3")) for line in made.said() if " diff: - " not in line)
        assert "shellbox-icu codfw FAILED" in failed
        assert "codfw of shellbox and shellbox-constraints done" in failed
    finally:
        await made.close()


def big(names: tuple[str, ...]) -> FleetDeck:
    """A world in which more services share the file."""
    flavours = {**FLAVOURS, **{name: FLAVOURS.get(name, name.rpartition("-")[2]) for name in names}}
    boxes = {name: Service(name, "shellbox", BOX, suffix="", rooms=(Room("irc", "#deploy"),)) for name in names}
    plain = fleet()
    deck = FleetDeck(replace(plain, services={**plain.services, **boxes}), flavours)
    deck.voice = ChatVoice(TEMPLATES, deck.catalogue, URL, "deploy1003", deck.clock.now)
    deck.build()
    return deck


# -- who may -----------------------------------------------------------------------------------------------------


async def test_who_may_not_deploy_one_member_may_not_deploy_the_group(deck: FleetDeck) -> None:
    """Other deployers, or another room, of any member: refused by that member's name, nothing done."""
    media = deck.catalogue.services["shellbox-media"]
    furnished(deck, replace(media, deployers=frozenset({"mediafolk"})))
    said = await deck.say("deploy @shellbox staging")
    assert "shellbox-media is for mediafolk" in said
    assert said.endswith("Nothing done")
    furnished(deck, replace(media, rooms=(Room("irc", "#media"),)))
    assert "say that in #media, where shellbox-media is deployed" in await deck.say("deploy @shellbox staging")
    assert not deck.store.tables.rollouts
    assert not deck.review.changes


async def test_who_may_deploy_one_member_only_neither_confirms_nor_stops(deck: FleetDeck) -> None:
    """An answer for the group is an answer for each member."""
    await deck.order("deploy @shellbox staging")
    waiting = await deck.order("deploy @shellbox production")
    media = deck.catalogue.services["shellbox-media"]
    deck.catalogue = replace(deck.catalogue, people={**deck.catalogue.people, "mel": person("mel", "mediafolk")})
    furnished(deck, replace(media, deployers=frozenset({"mediafolk", "deployers"})))
    for words in (f"confirm {waiting.code}", "stop 2"):
        said = await deck.say(words, "mel")
        assert "shellbox is for deployers" in said
        assert said.endswith("Nothing done")
    assert deck.rollout(2).state is State.WAITING


async def test_an_sre_goes_back_by_himself(deck: FleetDeck) -> None:
    """Who may roll back may answer the question that it asks, stop it and try again."""
    await deck.order("deploy @shellbox staging")
    await deck.order("deploy @shellbox production")
    await deck.confirm(2)
    assert "shellbox is for deployers" in await deck.say("deploy @shellbox staging", "sre1")
    back = await deck.order("rollback @shellbox", "sre1")
    assert back.state is State.WAITING
    assert (await deck.confirm(3, "sre1")).state is State.SUCCEEDED
    assert deck.git_says("shellbox-media") == OLD_BOX


# -- which tag ---------------------------------------------------------------------------------------------------


async def test_members_that_differ_on_staging_prove_nothing(deck: FleetDeck) -> None:
    """Production takes no tag that only some members ran; each is named with its own."""
    await deck.order("deploy shellbox staging --alone")
    said = await deck.say("deploy @shellbox production")
    assert said == (
        f"alice: staging differs: shellbox runs {NEW_BOX}, shellbox-media runs {OLD_BOX}. "
        "Say the tag: !deploy @shellbox production TAG. Nothing done"
    )


async def test_a_member_without_the_environment_is_named(deck: FleetDeck) -> None:
    """Those that have it are served; who has not is said."""
    deck.repository.push({f"{HOME}/shellbox-media/helmfile.yaml": without_staging()})
    await deck.order("deploy @shellbox staging")
    assert "shellbox-media has no staging." in deck.said()[0]
    assert deck.fleet.applied == [("shellbox", "staging", ("main",))]
    assert (await deck.order("deploy @shellbox production")).environments[1] == "shellbox-media/codfw"


async def test_a_first_member_without_staging_leaves_the_proof_to_the_others(deck: FleetDeck) -> None:
    """The group's own service need not be in staging."""
    deck.repository.push({f"{HOME}/shellbox/helmfile.yaml": without_staging()})
    await deck.order("deploy @shellbox staging")
    assert deck.fleet.applied == [("shellbox-media", "staging", ("main",))]
    assert (await deck.order("deploy @shellbox production")).state is State.WAITING
    assert (await deck.confirm(2)).state is State.SUCCEEDED


async def test_a_bystanders_missing_flavour_refuses(deck: FleetDeck) -> None:
    """Also of a service that the catalogue does not know: its next apply would find no image."""
    del deck.registry.images[BOX][f"{NEW_BOX}-video"]
    for words in (f"@shellbox staging {NEW_BOX}", f"shellbox staging {NEW_BOX} --alone"):
        said = await deck.say(f"deploy {words}")
        assert said == f"alice: {BOX}:{NEW_BOX}-video is not in the registry. Nothing done"


async def test_a_group_is_no_place_for_alone(deck: FleetDeck) -> None:
    """The two ways exclude each other."""
    assert "--alone is for one service of @shellbox" in await deck.say("deploy @shellbox staging --alone")


# -- alone -------------------------------------------------------------------------------------------------------


async def test_alone_leaves_the_others_in_debt(deck: FleetDeck) -> None:
    """One service is applied; the others owe, and are told whose edit it was; each pays by its own apply."""
    await deck.order("deploy shellbox staging --alone")
    assert deck.fleet.applied == [("shellbox", "staging", ("main",))]
    shared = "staging, codfw and eqiad of shellbox-media and shellbox-video; codfw and eqiad of shellbox become pending"
    assert shared in deck.said()[0]
    assert deck.last.endswith(f"Next: !deploy shellbox production --alone {URL}/1")
    assert len(deck.owed) == 8
    assert deck.owed["shellbox-video staging"] == NEW_BOX
    assert "staging, codfw, eqiad pending since 14:00 (#1 alice)" in await deck.say("status shellbox-media")
    assert "pending: shellbox codfw, shellbox eqiad, shellbox-media codfw" in await deck.say("status")
    await deck.order("apply shellbox-media staging")
    assert "shellbox-media staging" not in deck.owed
    assert deck.last.endswith(f"Next: !apply shellbox-media production {URL}/2")
    assert deck.rollout(2).records.merged is None
    assert (await deck.order("deploy shellbox production --alone")).state is State.WAITING


async def test_alone_asks_before_it_takes_a_running_tag_away(deck: FleetDeck) -> None:
    """Others in production run it: nothing is written until somebody says yes."""
    await deck.order("deploy @shellbox staging")
    await deck.order("deploy @shellbox production")
    await deck.confirm(2)
    waiting = await deck.order(f"deploy shellbox staging {OLD_BOX} --alone")
    assert waiting.state is State.WAITING
    assert f"this takes {NEW_BOX} away from" in deck.last
    assert "staging, codfw and eqiad of shellbox-media" in deck.last
    assert len(deck.review.changes) == 1
    await deck.say("stop 3")
    assert deck.git_says("shellbox") == NEW_BOX


async def test_a_failure_alone_names_the_way_that_works(deck: FleetDeck) -> None:
    """The command it offers is not one that would be refused; what the others owe is said."""
    deck.fleet.failing.add(("shellbox", "staging"))
    await deck.order("deploy shellbox staging --alone")
    assert "!rollback shellbox staging --alone (reverts git)" in deck.last
    dossier = await deck.dossiers.gather(1)
    assert dossier is not None
    assert "!rollback shellbox staging --alone" in next_commands(dossier.rollout)
    deck.fleet.failing.clear()
    assert (await deck.order("rollback shellbox staging --alone")).state is State.SUCCEEDED
    assert deck.owed == {}
