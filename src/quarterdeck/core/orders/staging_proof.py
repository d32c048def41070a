"""Production takes the tag that staging runs, where all of its pods are ready on one."""

from __future__ import annotations

from quarterdeck.core.model.errors import RequestError
from quarterdeck.core.orders.refusals import NoStaging, StagingDiffers, StagingIsNoProof, StagingUnseen, Ways
from quarterdeck.core.rollout.subject import Subject
from quarterdeck.core.situation import Serving, Situation


def proven_tag(subject: Subject, situation: Situation, staging: str) -> str:
    """The tag that staging runs.

    Args:
        staging: name of the environment; empty if there is none.

    Raises:
        RequestError: there is no staging, it cannot be seen, it is no proof, or it proves several tags.
    """
    if not staging:
        raise RequestError(NoStaging(subject.title))
    services_on: dict[str, list[str]] = {}
    for place in subject.places([staging]):
        if place in situation.problems:
            raise RequestError(StagingUnseen(subject.spoken(place), situation.problems[place]))
        tags = situation.serving.get(place, {})
        if not _is_proof(subject, situation, place):
            raise RequestError(StagingIsNoProof(subject.title, subject.spoken(place), subject.service.suffix, tags))
        for tag, (ready, _) in tags.items():
            if ready:
                services_on.setdefault(tag, []).append(subject.at(place)[0].service.name)
    if len(services_on) > 1:
        services = {tag: tuple(names) for tag, names in services_on.items()}
        ways = ways_of("deploy", subject, "production")
        raise RequestError(StagingDiffers(subject.service.suffix, services, bool(subject.group), ways))
    return next(iter(services_on))


def ways_of(verb: str, subject: Subject, word: str) -> Ways:
    """What to type instead, where no one tag fits all that is meant."""
    parts = tuple(part.title for part in subject.own.meant if part is not subject.own)
    return Ways(verb, subject.title, word, parts)


def _is_proof(subject: Subject, situation: Situation, place: str) -> bool:
    """Whether each part that is meant has all pods ready there, on one tag."""
    apart = [seen.serving.get(place, {}) for seen in situation.meant(subject) if place in seen.git]
    return all(map(_is_settled, apart or [situation.serving.get(place, {})]))


def _is_settled(tags: Serving) -> bool:
    """Whether all pods are ready, on one tag."""
    with_ready_pods = [counts for counts in tags.values() if counts[0]]
    return len(with_ready_pods) == 1 and with_ready_pods[0][0] == with_ready_pods[0][1]
