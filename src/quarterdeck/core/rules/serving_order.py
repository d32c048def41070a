"""The order in which environments are served."""

from __future__ import annotations

from collections.abc import Iterable

from quarterdeck.core.model.environment import Environment, EnvironmentKind


def in_serving_order(environments: Iterable[Environment]) -> tuple[Environment, ...]:
    """Staging first, then production, other data centres first and the primary last."""
    return tuple(sorted(environments, key=lambda e: (e.kind is EnvironmentKind.PRODUCTION, e.primary)))
