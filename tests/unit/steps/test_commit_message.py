"""The commit message of an edit: a short subject, why, and who asked, with the Change-Id last."""

from __future__ import annotations

from dataclasses import replace

from quarterdeck.core.rollout.intent import Intent, Target
from quarterdeck.core.rollout.records import Briefing
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.steps.edit import message
from tests.worlds.world import NEW, OLD, SECRET, Deck, rolled

IDENTITY = "I" + "0" * 40


def test_a_deploys_message() -> None:
    """The whole tag where it fits, what it is for, and the footers in one block."""
    assert message(rolled(), IDENTITY, "-production") == (
        f"citoid: bump to {NEW}\n\nFor staging.\n\n"
        f"Requested-by: alice (irc:alice)\nRollout: #41 0123456789abcdef\nChange-Id: {IDENTITY}\n"
    )


def test_subjects_fit_fifty_where_they_can() -> None:
    """The suffix is left out first; what cannot fit keeps the whole tag."""
    longer = message(rolled(service="recommendation-api"), IDENTITY, "-production").splitlines()[0]
    assert longer == f"recommendation-api: bump to {NEW.removesuffix('-production')}"
    assert len(longer) <= 50
    never = message(rolled(service="a" * 40), IDENTITY, "-production").splitlines()[0]
    assert never.endswith(NEW)


def test_a_reason_stands_in_the_body() -> None:
    """It can be taken for no footer: it has its own word before it."""
    lines = message(
        rolled(intent=Intent(Target("citoid"), reason="Change-Id: I1")), IDENTITY, "-production"
    ).splitlines()
    assert "Why: Change-Id: I1" in lines
    assert [line for line in lines if line.startswith("Change-Id:")] == [f"Change-Id: {IDENTITY}"]
    assert lines[-1] == f"Change-Id: {IDENTITY}"


def test_a_rollbacks_message_has_gerrits_revert_form() -> None:
    """`Revert "…"`, the reason, the same footers."""
    going = rolled(kind=Kind.ROLLBACK, tag=OLD, briefing=Briefing(bad_tag=NEW))
    lines = message(going, IDENTITY, "-production").splitlines()
    assert lines[0] == f'Revert "citoid: bump to {NEW}"'
    assert "Reason for revert: rollback" in lines
    assert lines[-1] == f"Change-Id: {IDENTITY}"
    unknown = message(replace(going, briefing=Briefing()), IDENTITY, "-production").splitlines()
    assert unknown[0] == f"citoid: back to {OLD}"


async def test_what_gerrit_gets_is_redacted(deck: Deck) -> None:
    """A secret in the reason stays with us."""
    await deck.deploy(f"citoid staging -- {SECRET}")
    assert SECRET not in deck.review.changes[0].message
    assert deck.review.changes[0].message.splitlines()[-1].startswith("Change-Id: I")
