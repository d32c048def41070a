"""A place is where a rollout acts: `codfw`, an environment of its own service, or `shellbox-media/codfw`, of another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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


def environments(places: Iterable[str]) -> tuple[str, ...]:
    """The environments of places, each once, in their order."""
    return tuple(dict.fromkeys(place.rpartition("/")[2] for place in places))


def listed(places: Iterable[str], own: str, last: str = "and", named: bool = False) -> str:
    """Places for people: `codfw and eqiad`, or `codfw and eqiad of shellbox and shellbox-media`.

    With *named* the own service is named too where it is alone, as in a group, where an environment is several places.
    """
    kept = tuple(places)
    if not named and not any("/" in place for place in kept):
        return joined(kept, last)
    return grouped((split(place, own) for place in kept), last)


def grouped(pairs: Iterable[tuple[str, str]], last: str = "and") -> str:
    """(service, environment) pairs for people, the services with the same environments together."""
    of: dict[str, list[str]] = {}
    for service, environment in pairs:
        of.setdefault(service, []).append(environment)
    alike: dict[tuple[str, ...], list[str]] = {}
    for service, names in of.items():
        alike.setdefault(tuple(names), []).append(service)
    return "; ".join(f"{joined(names, last)} of {named_services(services)}" for names, services in alike.items())


def told(texts: Mapping[str, str], own: str, between: str = "; ", named: bool = False) -> str:
    """What there is to say of places, those with the same text together: `codfw and eqiad: 1 Deployment`."""
    alike: dict[str, list[str]] = {}
    for place, text in texts.items():
        alike.setdefault(text, []).append(place)
    return between.join(f"{listed(names, own, named=named)}: {text}" for text, names in alike.items())


def named_services(names: Sequence[str]) -> str:
    """Services for people: all, or how many with the first two."""
    return joined(names) if len(names) <= _NAMED else f"{len(names)} services ({names[0]}, {names[1]}, …)"


def joined(names: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    kept = list(names)
    if len(kept) < 2:
        return "".join(kept)
    return f"{', '.join(kept[:-1])} {last} {kept[-1]}"
