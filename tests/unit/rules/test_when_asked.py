"""The rules about when a person is asked first; a table for each, and the question that comes of it."""

from __future__ import annotations

import pytest

from quarterdeck.core.model.question import Question
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rules.asking import question
from quarterdeck.core.rules.beginners import BeginnersAreAsked
from quarterdeck.core.rules.moments import ProposedOrder, ShownPlan
from quarterdeck.core.rules.nothing_taken_away import TakingAwayIsAsked
from quarterdeck.core.rules.production import ProductionIsAsked
from quarterdeck.core.rules.reasons import (
    ChangesMoreThanAsked,
    ChangesProduction,
    FirstRollouts,
    Grounds,
    TakesTagsAway,
)
from quarterdeck.core.rules.rulebook import RULES
from quarterdeck.core.rules.ruling import ALLOW, Ask, permitted
from quarterdeck.core.rules.surprises import SurprisesAreAsked
from quarterdeck.views.commands import confirm_command
from quarterdeck.views.questions import reason_sentence
from tests.worlds.moments import CODFW, EQIAD, NOW, STAGING, difference, plan, proposed

SAME = difference(changes=False)
OLD, OLDER = "2026-08-06-230932-production", "2026-08-01-230932-production"


@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        (plan(STAGING, staging=difference()), False),
        (plan(CODFW, codfw=difference()), True),
        (plan(STAGING, EQIAD, staging=difference(), eqiad=SAME), False),
        (plan(STAGING, EQIAD, staging=difference(), eqiad=difference()), True),
        (plan(CODFW, EQIAD, codfw=SAME, eqiad=SAME), False),
        (plan(CODFW), True),
        (plan(CODFW, kind=Kind.ROLLBACK, codfw=difference()), True),
    ],
)
def test_production_is_asked(shown: ShownPlan, asked: bool) -> None:
    """Where production changes there is one question, whatever the diff says; a diff that is missing is a change."""
    assert ProductionIsAsked().on_plan(shown, NOW) == (Ask((ChangesProduction(),)) if asked else ALLOW)


@pytest.mark.parametrize(
    ("shown", "surprises"),
    [
        (plan(STAGING, staging=difference()), ()),
        (plan(STAGING, staging=difference("memory")), ("memory",)),
        (plan(CODFW, EQIAD, codfw=difference("a"), eqiad=difference("a", "b")), ("a", "b")),
        (plan(STAGING, kind=Kind.ROLLBACK, staging=difference("a")), ()),
        (plan(STAGING), ("the diff could not be read",)),
        (plan(STAGING, staging=difference("a", changes=False)), ()),
    ],
)
def test_surprises_are_asked_and_counted_once(shown: ShownPlan, surprises: tuple[str, ...]) -> None:
    """The same surprise in two data centres is one; what was not read is one; going back asks for none."""
    expected = Ask((ChangesMoreThanAsked(surprises),)) if surprises else ALLOW
    assert SurprisesAreAsked().on_plan(shown, NOW) == expected


@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        (plan(STAGING, staging=difference()), False),
        (plan(STAGING, beginner=True, staging=difference()), True),
        (plan(STAGING, beginner=True, staging=SAME), False),
    ],
)
def test_beginners_are_asked(shown: ShownPlan, asked: bool) -> None:
    """Somebody's first rollouts are asked in staging too, where they change anything."""
    assert BeginnersAreAsked().on_plan(shown, NOW) == (Ask((FirstRollouts(),)) if asked else ALLOW)


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (proposed(), ""),
        (proposed(codfw=OLD), "this takes 2026-08-06-230932 away from codfw, which runs it"),
        (proposed(codfw=OLD, eqiad=OLD), "this takes 2026-08-06-230932 away from codfw and eqiad, which run it"),
        (
            proposed(codfw=OLD, eqiad=OLDER),
            "this takes 2026-08-01-230932, 2026-08-06-230932 away from codfw and eqiad, which run it",
        ),
        (proposed(Kind.ROLLBACK, codfw=OLD), ""),
    ],
)
def test_nobodys_tag_is_taken_away_unasked(order: ProposedOrder, text: str) -> None:
    """Before anything is written, and not for a rollback: what it takes away is what went wrong."""
    ruling = TakingAwayIsAsked().on_order(order, NOW)
    expected = Ask((TakesTagsAway("citoid", "-production", order.taken_away),)) if text else ALLOW
    assert ruling == expected
    assert (reason_sentence(ruling.reasons[0]) if isinstance(ruling, Ask) else "") == text


def opened(shown: ShownPlan) -> Question | None:
    """The question that all rules together open for a plan."""
    reasons = permitted(shown, NOW, RULES)
    asking = Grounds(reasons, shown)
    return question(asking, reason_sentence(asking), "d") if reasons else None


def test_image_only_asks_in_production_once() -> None:
    """An image alone goes to staging unasked, and to production after one question for all data centres."""
    assert opened(plan(STAGING, staging=difference())) is None
    asked = opened(plan(CODFW, EQIAD, codfw=difference(), eqiad=difference()))
    assert asked is not None
    assert asked.count == 0
    assert asked.text == "1 Deployment, image only, in each"
    assert confirm_command(asked.code, asked.count) == f"!confirm {asked.code}"
    assert asked.code.startswith("prod-")
    one = opened(plan(CODFW, codfw=difference()))
    assert one is not None
    assert one.code.startswith("codfw-")


def test_a_question_counts_its_surprises() -> None:
    """The number is said with the code; places that differ are told one by one."""
    staging = opened(plan(STAGING, staging=difference("memory")))
    assert staging is not None
    assert confirm_command(staging.code, staging.count) == f"!confirm {staging.code} with 1"
    shown = plan(CODFW, EQIAD, codfw=difference("a", summary="x"), eqiad=difference("a", "b", summary="y"))
    both = opened(shown)
    assert both is not None
    assert (both.count, shown.surprises) == (2, ("a", "b"))
    assert both.text == "codfw: x · eqiad: y"


def test_rollback_names_surprises_and_counts_none() -> None:
    """Going back asks once in production and never in staging; its code says so."""
    assert opened(plan(STAGING, kind=Kind.ROLLBACK, staging=difference("a"))) is None
    shown = plan(CODFW, EQIAD, kind=Kind.ROLLBACK, codfw=difference("a"), eqiad=difference("a"))
    asked = opened(shown)
    assert asked is not None
    assert (asked.count, shown.surprises) == (0, ("a",))
    assert asked.code.startswith("prod-back-")


def test_nothing_to_change_is_nothing_to_ask() -> None:
    """Where the diff is empty nobody is asked, also not a beginner."""
    assert opened(plan(CODFW, EQIAD, beginner=True, codfw=SAME, eqiad=SAME)) is None


def test_a_code_names_where() -> None:
    """Staging and production together are all."""
    mixed = opened(plan(STAGING, EQIAD, staging=difference(), eqiad=difference()))
    assert mixed is not None
    assert mixed.code.startswith("all-")


def test_a_missing_diff_is_a_surprise() -> None:
    """What was not read is never taken for harmless."""
    asked = opened(plan(STAGING))
    assert asked is not None
    assert asked.count == 1
    assert asked.text == "the diff could not be read"
