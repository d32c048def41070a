"""Who may do what, in which order, and when a person is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.errors import NotAllowedError, NotFoundError, NotYetError
from quarterdeck.core.model.person import Actor, Person
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rules.policy import (
    MUTATING,
    Answer,
    Ask,
    ask,
    authorise,
    code,
    matches,
    order,
    resolve_environment,
)

STAGING = Environment("staging", EnvironmentKind.STAGING)
CODFW = Environment("codfw", EnvironmentKind.PRODUCTION)
EQIAD = Environment("eqiad", EnvironmentKind.PRODUCTION, primary=True)
ALL = (EQIAD, STAGING, CODFW)
CITOID = Service("citoid", "p", "i", rooms=(Room("irc", "#deploy"),))
ALICE = Person("alice", "alice", frozenset({"deployers"}))
SRE = Person("sre1", "sre1", frozenset({"sre"}))
NOBODY = Person("carol", "carol")
NOW = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)


def actor(person: Person | None = ALICE, account: str | None = "alice", room: str = "#deploy") -> Actor:
    """Somebody in a room."""
    return Actor("irc", Room("irc", room) if room else None, "alice", account, person)


def refused(who: Actor, verb: str = "deploy", service: Service | None = CITOID, **more: Any) -> str:
    """The words of a refusal."""
    with pytest.raises(NotAllowedError) as caught:
        authorise(who, service, verb, **more)
    assert str(caught.value).endswith("Nothing done")
    return str(caught.value)


def test_deployers_may_in_the_services_room() -> None:
    """An identified deployer may say every command in the service's room."""
    for verb in MUTATING:
        authorise(actor(), CITOID, verb)
    authorise(actor(), None, "deploy")


def test_looking_is_free() -> None:
    """Verbs that change nothing need neither an account nor a room."""
    for verb in ("status", "preview", "help", "whoami", "diff", "pods", "log", "versions"):
        authorise(actor(None, None, ""), CITOID, verb)


def test_the_unidentified_are_told_how() -> None:
    """Without an account nobody deploys, and the line says how to get one."""
    assert refused(actor(None, None)) == (
        "you are not identified to services, so I cannot know you. "
        "/msg NickServ IDENTIFY, then say it again. Nothing done"
    )


def test_a_services_split_is_named() -> None:
    """When the network vouches for nobody, that is said instead of blaming the person."""
    assert "services split?" in refused(actor(None, None), accounts_shown=False)


def test_strangers_are_told_their_account_and_whom_to_ask() -> None:
    """An account that is not in the catalogue is named, with the people who can add it."""
    text = refused(actor(None, "mallory"), ask_whom=("alice", "bob"))
    assert "mallory" in text
    assert "alice or bob" in text
    assert "catalogue" in refused(actor(None, "mallory"), service=None)


def test_commands_belong_in_the_services_rooms() -> None:
    """Elsewhere and in private nothing is changed, but for stopping and going back in private."""
    assert "#deploy" in refused(actor(room="#other"))
    assert "#deploy" in refused(actor(room=""))
    assert "#deploy" in refused(actor(room="#other"), "stop")
    assert "a room of the service" in refused(actor(), service=Service("x", "p", "i"))
    authorise(actor(room=""), CITOID, "stop")
    authorise(actor(room=""), CITOID, "rollback")


def test_groups_decide() -> None:
    """Without a group of the service nobody deploys; sre may go back."""
    text = refused(actor(SRE, "sre1"))
    assert "deployers" in text
    assert "sre1 is in sre" in text
    authorise(actor(SRE, "sre1"), CITOID, "rollback")
    assert "no group" in refused(actor(NOBODY, "carol"), "rollback")


def found(*surprises: str, changes: bool = True, summary: str = "1 Deployment, image only") -> dict[str, Any]:
    """What a diff found in one environment."""
    return {"changes": changes, "surprises": list(surprises), "image_only": not surprises, "summary": summary}


def question(
    environments: tuple[Environment, ...], kind: Kind = Kind.DEPLOY, first: bool = False, **diffs: Any
) -> Ask | None:
    """What is asked for these diffs."""
    places = {e.name: e for e in environments}
    return ask(kind=kind, places=places, own="citoid", found=diffs, first=first, digest="d")


def test_image_only_asks_in_production_once() -> None:
    """An image alone goes to staging unasked, and to production after one question for all data centres."""
    assert question((STAGING,), staging=found()) is None
    asked = question((CODFW, EQIAD), codfw=found(), eqiad=found())
    assert asked is not None
    assert asked.count == 0
    assert asked.text == "1 Deployment, image only, in each"
    assert asked.confirm == f"!confirm {asked.code}"
    assert asked.code.startswith("prod-")
    one = question((CODFW,), codfw=found())
    assert one is not None
    assert one.code.startswith("codfw-")


def test_surprises_are_asked_everywhere_and_counted_once() -> None:
    """The same surprise in two data centres is one; a second one is another."""
    staging = question((STAGING,), staging=found("memory"))
    assert staging is not None
    assert staging.confirm == f"!confirm {staging.code} with 1"
    both = question((CODFW, EQIAD), codfw=found("a", summary="x"), eqiad=found("a", "b", summary="y"))
    assert both is not None
    assert (both.count, both.surprises) == (2, ("a", "b"))
    assert both.text == "codfw: x · eqiad: y"


def test_rollback_names_surprises_and_counts_none() -> None:
    """Going back asks once in production and never in staging."""
    assert question((STAGING,), Kind.ROLLBACK, staging=found("a")) is None
    asked = question((CODFW, EQIAD), Kind.ROLLBACK, codfw=found("a"), eqiad=found("a"))
    assert asked is not None
    assert (asked.count, asked.surprises) == (0, ("a",))
    assert asked.code.startswith("prod-back-")


def test_nothing_to_change_is_nothing_to_ask() -> None:
    """Where the diff is empty nobody is asked, also not a beginner."""
    assert question((CODFW, EQIAD), first=True, codfw=found(changes=False), eqiad=found(changes=False)) is None


def test_only_environments_that_change_count() -> None:
    """A production that stays as it is does not make staging's change a question."""
    assert question((STAGING, EQIAD), staging=found(), eqiad=found(changes=False)) is None
    mixed = question((STAGING, EQIAD), staging=found(), eqiad=found())
    assert mixed is not None
    assert mixed.code.startswith("all-")


def test_first_rollouts_are_asked() -> None:
    """A beginner is asked in staging too."""
    assert question((STAGING,), first=True, staging=found()) is not None


def test_a_missing_diff_is_a_surprise() -> None:
    """What was not read is never taken for harmless."""
    asked = question((STAGING,))
    assert asked is not None
    assert asked.count == 1


@given(st.text(), st.sampled_from(["staging", "prod", "codfw", "prod-back"]))
def test_codes_can_be_read_aloud(digest: str, prefix: str) -> None:
    """A code is derived from the plan alone, and none of its three characters is mistaken for another."""
    made = code(digest, prefix)
    assert made == code(digest, prefix)
    assert made.startswith(f"{prefix}-")
    tail = made.removeprefix(f"{prefix}-")
    assert len(tail) == 3
    assert not set(tail) & set("0o1liuv")


def test_another_plan_has_another_code() -> None:
    """Codes of different plans hardly ever agree."""
    assert len({code(str(i), "p") for i in range(300)}) > 290


def waiting(count: int = 0, state: State = State.WAITING, asked: str = "prod-k7p") -> Rollout:
    """A rollout with an open question."""
    return Rollout(
        id="1",
        kind=Kind.DEPLOY,
        service="citoid",
        environments=("codfw",),
        tag="t",
        before={},
        actor="a",
        shell="a",
        account="a",
        home=Room("irc", "#deploy"),
        created=NOW,
        state=state,
        code=asked,
        code_count=count,
        deadline=NOW,
    )


def test_an_answer_is_right_with_code_and_count() -> None:
    """Case does not matter; code, number and time do."""
    assert matches(" PROD-K7P", 0, waiting()) is Answer.RIGHT
    assert matches("prod-k7p", 2, waiting(2)) is Answer.RIGHT
    assert matches("prod-k7p", 1, waiting(2)) is Answer.WRONG_COUNT
    assert matches("prod-k7p", 1, waiting()) is Answer.WRONG_COUNT
    assert matches("prod-k7q", 0, waiting()) is Answer.WRONG_CODE
    assert matches("prod-k7p", 0, waiting(state=State.RUNNING)) is Answer.NOT_ASKED
    assert matches("", 0, waiting(asked="")) is Answer.NOT_ASKED
    assert matches("prod-k7p", 0, waiting(), NOW) is Answer.TOO_LATE
    assert matches("prod-k7p", 0, waiting(), NOW - timedelta(seconds=1)) is Answer.RIGHT


def test_the_primary_comes_last() -> None:
    """Staging, then the other data centres, then the primary."""
    assert order(ALL) == (STAGING, CODFW, EQIAD)


def test_environments_are_found_by_name_or_kind() -> None:
    """A name in any case is one environment; production is all of them in order."""
    assert resolve_environment("Staging", ALL) == (STAGING,)
    assert resolve_environment("production", ALL) == (CODFW, EQIAD)
    assert resolve_environment("PROD", ALL) == (CODFW, EQIAD)


@pytest.mark.parametrize(("typo", "meant"), [("stagin", "staging"), ("codefw", "codfw"), ("prodution", "production")])
def test_typos_get_the_exact_command(typo: str, meant: str) -> None:
    """A nearly right word gets the command back to paste, with the other names."""
    with pytest.raises(NotFoundError) as caught:
        resolve_environment(typo, ALL, "citoid", "apply")
    text = str(caught.value)
    assert f'no environment "{typo}" for citoid. Did you mean: !apply citoid {meant} (also ' in text
    assert text.endswith("Nothing done")


def test_unknown_environments_are_answered_with_the_known() -> None:
    """A word like no other gets the list, and a service without production has none."""
    with pytest.raises(NotFoundError, match=r"it has staging, codfw, eqiad, production. Nothing done"):
        resolve_environment("xyzzy", ALL)
    with pytest.raises(NotFoundError, match="it has none"):
        resolve_environment("production", ())
    with pytest.raises(NotFoundError, match=r"Did you mean: !deploy staging. Nothing done"):
        resolve_environment("stagin", (STAGING,))


@pytest.mark.parametrize("word", ["canary", "BETA", "@shellbox", "#90", "citoid/part", "codfw,eqiad"])
def test_planned_forms_are_not_yet(word: str) -> None:
    """Forms that are planned say so and do nothing."""
    with pytest.raises(NotYetError, match=r"not yet. Nothing done"):
        resolve_environment(word, ALL)
