"""A place is where a rollout acts: `codfw`, an environment of its own service, or `shellbox-media/codfw`, of another."""

from __future__ import annotations

from collections.abc import Iterable

#: so many services are named one by one; the page names all
_NAMED = 4


def split(place: str, service: str) -> tuple[str, str]:
    """(service, environment) of a place; *service* is the rollout's own."""
    other, _, environment = place.rpartition("/")
    return other or service, environment


def named(service: str, environment: str, own: str) -> str:
    """The place of a service's environment in a rollout of the service *own*."""
    return environment if service == own else f"{service}/{environment}"


def slug(place: str) -> str:
    """The place as a part of file and job names."""
    return place.replace("/", ".")


def spoken(place: str) -> str:
    """One place for people: `codfw`, `shellbox-media codfw`."""
    return place.replace("/", " ")


def environments(places: Iterable[str]) -> tuple[str, ...]:
    """The environments of places, each once, in their order."""
    return tuple(dict.fromkeys(place.rpartition("/")[2] for place in places))


def listed(places: Iterable[str], own: str, last: str = "and") -> str:
    """Places for people: `codfw and eqiad`, or `codfw and eqiad of shellbox and shellbox-media`."""
    kept = tuple(places)
    if not any("/" in place for place in kept):
        return joined(kept, last)
    of: dict[str, list[str]] = {}
    for place in kept:
        service, environment = split(place, own)
        of.setdefault(service, []).append(environment)
    alike: dict[tuple[str, ...], list[str]] = {}
    for service, names in of.items():
        alike.setdefault(tuple(names), []).append(service)
    return "; ".join(f"{joined(names, last)} of {_services(services)}" for names, services in alike.items())


def _services(names: list[str]) -> str:
    return joined(names) if len(names) <= _NAMED else f"{len(names)} services ({names[0]}, {names[1]}, …)"


def joined(names: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    kept = list(names)
    if len(kept) < 2:
        return "".join(kept)
    return f"{', '.join(kept[:-1])} {last} {kept[-1]}"
