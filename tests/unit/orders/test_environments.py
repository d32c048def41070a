"""Which environments a word means."""

from __future__ import annotations

import pytest

from quarterdeck.core.model.errors import NotFoundError, NotYetError
from quarterdeck.core.orders.environments import resolve_environment
from tests.worlds.moments import CODFW, EQIAD, STAGING

ALL = (EQIAD, STAGING, CODFW)


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
