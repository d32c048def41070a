"""Finds the environments that a word means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.errors import NotFoundError, NotYetError
from quarterdeck.core.rules.serving_order import in_serving_order

NOTHING = "Nothing done"
_LATER = frozenset({"canary", "beta"})


def resolve_environment(
    word: str, known: Iterable[Environment], service: str = "", verb: str = "deploy"
) -> tuple[Environment, ...]:
    """The environments somebody means, in the order they are served.

    Args:
        word: a name, or "production" / "prod" for all of that kind.
        known: the environments the service has.
        service: for the text.
        verb: for the text.

    Raises:
        NotYetError: a form that is planned (canary, beta, @group, #batch, parts, lists).
        NotFoundError: no such environment; names the nearest and the others.
    """
    low = word.casefold()
    if low in _LATER or low.startswith(("@", "#")) or "," in low or "/" in low:
        raise NotYetError(f"{word[:40]}: not yet. {NOTHING}")
    ordered = in_serving_order(known)
    production = tuple(e for e in ordered if e.kind is EnvironmentKind.PRODUCTION)
    if low in ("production", "prod") and production:
        return production
    for environment in ordered:
        if environment.name.casefold() == low:
            return (environment,)
    names = [e.name for e in ordered] + (["production"] if production else [])
    near = difflib.get_close_matches(low, names, n=1, cutoff=0.7)
    others = ", ".join(name for name in names if name not in near)
    about = f" for {service}" if service else ""
    if near:
        said = " ".join(filter(None, (f"!{verb}", service, near[0])))
        also = f" (also {others})" if others else ""
        raise NotFoundError(f'no environment "{word[:40]}"{about}. Did you mean: {said}{also}. {NOTHING}')
    raise NotFoundError(f'no environment "{word[:40]}"{about}: it has {others or "none"}. {NOTHING}')
