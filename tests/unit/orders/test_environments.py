"""Which environments a word means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from quarterdeck.core.model.environment import Environment
from quarterdeck.core.model.errors import NotFoundError, NotYetError, RequestError
from quarterdeck.core.orders.environments import resolve_environment
from quarterdeck.views.refusals import refusal_line
from tests.worlds.moments import CODFW, EQIAD, STAGING

ALL = (EQIAD, STAGING, CODFW)


def line(error: RequestError) -> str:
    """What is said of a refusal."""
    return refusal_line(error.refusal)


def refused(word: str, environments: Sequence[Environment]) -> str:
    """What is said to a word that means no environment."""
    with pytest.raises(NotFoundError) as caught:
        resolve_environment(word, environments)
    return line(caught.value)


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
    text = line(caught.value)
    assert f'no environment "{typo}" for citoid. Did you mean: !apply citoid {meant} (also ' in text
    assert text.endswith("Nothing done")


def test_unknown_environments_are_answered_with_the_known() -> None:
    """A word like no other gets the list, and a service without production has none."""
    assert refused("xyzzy", ALL).endswith("it has staging, codfw, eqiad, production. Nothing done")
    assert "it has none" in refused("production", ())
    assert refused("stagin", (STAGING,)).endswith("Did you mean: !deploy staging. Nothing done")


@pytest.mark.parametrize("word", ["canary", "BETA", "@shellbox", "#90", "citoid/part", "codfw,eqiad"])
def test_planned_forms_are_not_yet(word: str) -> None:
    """Forms that are planned say so and do nothing."""
    with pytest.raises(NotYetError) as caught:
        resolve_environment(word, ALL)
    assert line(caught.value) == f"{word}: not yet. Nothing done"
