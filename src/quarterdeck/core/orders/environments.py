"""Finds the environments that a word means."""

from __future__ import annotations

from collections.abc import Iterable

from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.errors import NotFoundError, NotYetError
from quarterdeck.core.model.text import nearest
from quarterdeck.core.orders.refusals import NoEnvironment, NotYet
from quarterdeck.core.rules.serving_order import in_serving_order

_LATER = frozenset({"canary", "beta"})


def resolve_environment(
    word: str, environments: Iterable[Environment], service: str = "", verb: str = "deploy"
) -> tuple[Environment, ...]:
    """The environments somebody means, in the order they are served.

    Args:
        word: a name, or "production" / "prod" for all of that kind.
        environments: those the service has.
        service: for the refusal.
        verb: for the refusal.

    Raises:
        NotYetError: a form that is planned (canary, beta, @group, #batch, parts, lists).
        NotFoundError: no such environment; names the nearest and the others.
    """
    low = word.casefold()
    if low in _LATER or low.startswith(("@", "#")) or "," in low or "/" in low:
        raise NotYetError(NotYet(word))
    ordered = in_serving_order(environments)
    production = tuple(e for e in ordered if e.kind is EnvironmentKind.PRODUCTION)
    if low in ("production", "prod") and production:
        return production
    for environment in ordered:
        if environment.name.casefold() == low:
            return (environment,)
    names = [environment.name for environment in ordered] + (["production"] if production else [])
    near = nearest(low, names, most=2)
    others = tuple(name for name in names if name != near)
    raise NotFoundError(NoEnvironment(word, service, verb, near, others))
