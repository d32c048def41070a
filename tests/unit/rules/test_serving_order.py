"""The order in which environments are served."""

from __future__ import annotations

from quarterdeck.core.rules.serving_order import in_serving_order
from tests.worlds.moments import CODFW, EQIAD, STAGING


def test_the_primary_comes_last() -> None:
    """Staging, then the other data centres, then the primary."""
    assert in_serving_order((EQIAD, STAGING, CODFW)) == (STAGING, CODFW, EQIAD)
