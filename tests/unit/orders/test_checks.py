"""What must hold before an order stands: a table for each check."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quarterdeck.core.model.errors import Refusal, TemporaryError
from quarterdeck.core.model.service import Service
from quarterdeck.core.orders.checks.bumps_stay import NobodysNewerBumpIsUndone, undone_bump
from quarterdeck.core.orders.checks.everybody_agrees import AloneIsForOneService, EverybodyTouchedAgrees
from quarterdeck.core.orders.checks.images_exist import TheImagesAreInTheRegistry, TheSaidImagesAreInTheRegistry
from quarterdeck.core.orders.checks.part_is_named import ThePartIsNamed
from quarterdeck.core.orders.checks.places_are_seen import ThePlacesCanBeSeen
from quarterdeck.core.orders.order import Order, Reaching, Surveyed, Targeted
from quarterdeck.core.orders.refusals import (
    AloneIsForOne,
    ImagesMissing,
    OfferedPart,
    PlacesUnseen,
    RegistrySilent,
    TagIsShared,
    UndoesNewerBump,
    WhichPart,
)
from quarterdeck.core.rollout.intent import Intent, Target
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.testing.registry import FakeRegistry
from tests.worlds.fleet import NEW_BOX, FleetDeck
from tests.worlds.orders import NEW, NEWER, OLD, order, reaching, surveyed, targeted
from tests.worlds.subjects import subject
from tests.worlds.world import Deck, catalogue

ANOTHER = "zotero/staging"
PAIR = subject(group="pair", places=("staging", ANOTHER))


# -- the part is named ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        f"wikifunctions/orchestrator staging {OLD}",
        f"wikifunctions/all staging {OLD}",
        f"shellbox staging {NEW_BOX} --alone",
        "@kask staging v1.0.20",
    ],
)
async def test_one_image_or_a_name_is_enough(words: str) -> None:
    """A part by its name, all of them by name, a service with an image of its own, and a group are no question."""
    deck = FleetDeck()
    assert (await deck.say(f"preview {words}")).endswith("Nothing was changed")
    await deck.close()


async def test_a_part_is_asked_for() -> None:
    """With what git has of the first few, in the environment that was said."""
    deck = FleetDeck()
    orders = deck.desk.orders
    snapshot = await deck.world.charts.at_tip(["wikifunctions"])
    service = deck.catalogue.services["wikifunctions"]
    about = replace(subject("wikifunctions"), members=(replace(subject("wikifunctions").own, service=service),))
    asked = replace(targeted(about), snapshot=snapshot)
    refusal = await ThePartIsNamed(orders.tagging).of_target(asked)
    assert refusal == WhichPart(
        service="wikifunctions",
        verb="deploy",
        environment="staging",
        suffix="-production",
        offered=(
            OfferedPart("wikifunctions/orchestrator", 1, (OLD,), ""),
            OfferedPart("wikifunctions/evaluators", 2, (OLD,), ""),
        ),
        hidden=0,
        example="wikifunctions/orchestrator",
        tag_is_needed=True,
        every="wikifunctions/all",
    )
    await deck.close()


# -- everybody who is touched agrees -------------------------------------------------------------------------------

SHARED = TagIsShared(
    service="citoid",
    verb="deploy",
    environment="staging",
    file="helmfile.d/services/citoid/values.yaml",
    services=2,
    group="citoid",
    declared=False,
    members=2,
    strangers=(),
)


@pytest.mark.parametrize(
    ("reached", "refused"),
    [
        (reaching(targeted()), None),
        (reaching(targeted(), "zotero"), SHARED),
        (reaching(targeted(), "zotero", "stranger"), replace(SHARED, services=3, strangers=("stranger",))),
        (reaching(targeted(alone=True), "zotero"), None),
        (reaching(targeted(PAIR), "stranger"), None),
        (
            reaching(targeted(verb="rollback"), "zotero", file="helmfile.d/services/zotero/global.yaml"),
            replace(SHARED, verb="rollback", group="zotero", file="helmfile.d/services/zotero/global.yaml"),
        ),
        (reaching(targeted(), "zotero", file="global.yaml"), replace(SHARED, file="global.yaml")),
    ],
)
async def test_everybody_touched_agrees(reached: Reaching, refused: Refusal | None) -> None:
    """A service that shares its tag is deployed with the others, or says that it leaves them behind."""
    assert await EverybodyTouchedAgrees(catalogue()).of_reach(reached) == refused


async def test_the_catalogues_group_is_offered_before_the_files() -> None:
    """Who is in it is its word; a sharer that is not is a stranger."""
    grouped = {name: Service(name, "", "i", group="g") for name in ("citoid", "zotero")}
    declared = replace(catalogue(), services={**grouped, "other": Service("other", "", "i")})
    about = replace(subject(), members=(replace(subject().own, service=grouped["citoid"]),))
    refusal = await EverybodyTouchedAgrees(declared).of_reach(reaching(targeted(about), "zotero", "other"))
    assert refusal == replace(SHARED, services=3, group="g", declared=True, strangers=("other",))


@pytest.mark.parametrize(
    ("reached", "refused"),
    [
        (reaching(targeted(alone=True)), None),
        (reaching(targeted(PAIR)), None),
        (reaching(targeted(PAIR, alone=True)), AloneIsForOne("@pair")),
    ],
)
async def test_alone_is_for_one_service(reached: Reaching, refused: Refusal | None) -> None:
    """A group leaves nobody behind."""
    assert await AloneIsForOneService().of_reach(reached) == refused


# -- the places can be seen ----------------------------------------------------------------------------------------

BOTH = targeted(places=("codfw", "eqiad"))


@pytest.mark.parametrize(
    ("seen", "refused"),
    [
        (surveyed(BOTH), None),
        (surveyed(BOTH, git="silent", staging="silent"), None),
        (surveyed(BOTH, eqiad="timed out"), PlacesUnseen("citoid", "citoid", ("eqiad",), "timed out")),
        (surveyed(BOTH, codfw="a", eqiad="b"), PlacesUnseen("citoid", "citoid", ("codfw", "eqiad"), "a")),
    ],
)
async def test_the_places_can_be_seen(seen: Surveyed, refused: Refusal | None) -> None:
    """Only the targets count, and the first reason is told."""
    assert await ThePlacesCanBeSeen().of_survey(seen) == refused


# -- the images are in the registry --------------------------------------------------------------------------------


def registry(*references: str) -> FakeRegistry:
    """A registry that has these images."""
    made = FakeRegistry()
    for reference in references:
        name, _, tag = reference.rpartition(":")
        made.push(name, tag)
    return made


def imaged(of: Targeted) -> Targeted:
    """With an image for each member, as the catalogue says."""
    members = tuple(replace(member, images=(member.service.image,)) for member in of.subject.members)
    return replace(of, subject=replace(of.subject, members=members))


ONE, GROUP = order(imaged(targeted())), order(imaged(targeted(PAIR, ("staging", ANOTHER))))
CITOID_IMAGE, ZOTERO_IMAGE = f"wikimedia/citoid:{NEW}", f"wikimedia/zotero:{NEW}"


@pytest.mark.parametrize(
    ("proposed", "there", "refused"),
    [
        (ONE, (CITOID_IMAGE,), None),
        (ONE, (), ImagesMissing((CITOID_IMAGE,))),
        (GROUP, (CITOID_IMAGE,), ImagesMissing((ZOTERO_IMAGE,))),
        (GROUP, (CITOID_IMAGE, ZOTERO_IMAGE), None),
    ],
)
async def test_the_images_are_in_the_registry(proposed: Order, there: tuple[str, ...], refused: Refusal | None) -> None:
    """Of every place that the edit moves."""
    assert await TheImagesAreInTheRegistry(registry(*there)).of_order(proposed) == refused


async def test_a_silent_registry_refuses() -> None:
    """What cannot be asked is not guessed."""
    silent = registry(CITOID_IMAGE)
    silent.faults.always("digest", TemporaryError("timed out"))
    assert await TheImagesAreInTheRegistry(silent).of_order(ONE) == RegistrySilent("timed out")


@pytest.mark.parametrize(("said", "refused"), [("", None), (NEW, ImagesMissing((CITOID_IMAGE,)))])
async def test_a_rollback_asks_for_a_tag_that_was_said(said: str, refused: Refusal | None) -> None:
    """What ran before is on the nodes; going back waits for no registry."""
    back = replace(ONE, kind=Kind.ROLLBACK, intent=replace(ONE.intent, tag=said))
    assert await TheSaidImagesAreInTheRegistry(registry()).of_order(back) == refused


# -- nobody's newer bump is undone ---------------------------------------------------------------------------------

HAND_MADE = {"staging": (NEWER, NEW), "codfw": (OLD, NEW)}
UNDONE = UndoesNewerBump("citoid", "citoid", "staging", NEWER, NEW, "-production", alone=False)


@pytest.mark.parametrize(
    ("proposed", "ours", "refused"),
    [
        (order(effect=HAND_MADE), set(), UNDONE),
        (order(targeted(alone=True), effect=HAND_MADE), set(), replace(UNDONE, alone=True)),
        (order(effect=HAND_MADE), {NEWER}, None),
        (order(effect=HAND_MADE, running={"codfw": NEWER}), set(), None),
        (order(effect={"staging": (NEWER, NEWER)}, tag=NEWER), set(), None),
        (order(effect={"staging": (OLD, NEW)}), set(), None),
        (
            order(targeted(PAIR, ("staging", ANOTHER)), effect={ANOTHER: (NEWER, NEW)}),
            set(),
            replace(UNDONE, title="@pair", whose="zotero"),
        ),
    ],
)
def test_nobodys_newer_bump_is_undone(proposed: Order, ours: set[str], refused: Refusal | None) -> None:
    """A tag that runs anywhere, that a rollout brought, or that is older, is nobody's bump."""
    assert undone_bump(proposed, ours) == refused


async def test_our_rollouts_are_looked_up_by_service_and_part(deck: Deck) -> None:
    """What a rollout brought and another took away again may be undone."""
    await deck.deploy(f"citoid staging {NEWER}")
    check = NobodysNewerBumpIsUndone(deck.store)
    assert await check.of_order(order(effect=HAND_MADE)) is None
    assert await NobodysNewerBumpIsUndone(Deck().store).of_order(order(effect=HAND_MADE)) == UNDONE


# -- the lists -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            Kind.DEPLOY,
            [
                "ThePartIsNamed",
                "EverybodyTouchedAgrees",
                "AloneIsForOneService",
                "ThePlacesCanBeSeen",
                "TheImagesAreInTheRegistry",
                "NobodysNewerBumpIsUndone",
            ],
        ),
        (
            Kind.ROLLBACK,
            [
                "ThePartIsNamed",
                "EverybodyTouchedAgrees",
                "AloneIsForOneService",
                "ThePlacesCanBeSeen",
                "TheSaidImagesAreInTheRegistry",
            ],
        ),
        (Kind.APPLY, ["ThePlacesCanBeSeen"]),
    ],
)
async def test_a_kind_of_rollout_has_its_checks(deck: Deck, kind: Kind, names: list[str]) -> None:
    """Going back is not held up by what a deploy asks; an apply writes nothing."""
    checks = deck.desk.orders.checks[kind]
    assert [type(check).__name__ for check in checks] == names


async def test_a_stored_intent_is_checked_again(deck: Deck) -> None:
    """When its turn comes the world may be another: then it is another order, or a refusal."""
    await deck.deploy("citoid staging -- the first")
    intent = deck.rollout().intent
    assert intent == Intent(Target("citoid"), "staging", reason="the first")
    orders = deck.desk.orders
    assert (await orders.check(intent, Kind.DEPLOY, "alice")).tag == NEW
    deck.announce(NEWER, 502)
    assert (await orders.check(intent, Kind.DEPLOY, "alice")).tag == NEWER
    deck.host.faults.always("objects staging", TemporaryError("timed out"))
    checks = orders.checks[Kind.DEPLOY]
    assert any(isinstance(check, ThePlacesCanBeSeen) for check in checks)
    assert "I cannot see staging of citoid" in await deck.say("deploy citoid staging")
