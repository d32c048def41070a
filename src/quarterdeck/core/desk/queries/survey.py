"""What several answers about a service share: its git and its places, folded where they say the same."""

from __future__ import annotations

from collections.abc import Mapping

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.model.place import joined
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.model.text import clip
from quarterdeck.core.rollout.subject import Member, Subject
from quarterdeck.core.rules.serving_order import in_serving_order
from quarterdeck.core.situation import Situation

#: seconds that git and the cluster have to answer
_SURVEY_WITHIN = 8.0
#: parts or services of a group that are told one by one
MOST_MEMBERS = 8
_LONGEST_WHY = 80


async def survey(desk: Desk, member: Member, snapshot: Snapshot | None) -> Situation:
    """Look at all places of a member; git is not asked again where its files were just read."""
    catalogue = desk.catalogue.environments.values()
    its_own = in_serving_order(environment for environment in catalogue if environment.name in member.environments)
    places = tuple(environment.name for environment in its_own)
    return await desk.surveyor.survey(Subject((member,)), places, _SURVEY_WITHIN, snapshot)


def folded(situation: Situation, suffix: str, with_pods: bool) -> list[str]:
    """`git 2026-08-17-094555`, `codfw, eqiad 2026-08-06-230932`: what says the same on one entry, git first."""
    names_by_words: dict[str, list[str]] = {}
    git_tags = list(dict.fromkeys(situation.git.values()))
    if len(git_tags) == 1:
        names_by_words[short_tag(git_tags[0], suffix)] = ["git"]
    for place in dict.fromkeys([*situation.git, *situation.serving, *situation.problems]):
        if place != "git":
            words = _place_words(situation, suffix, place, with_pods)
            names_by_words.setdefault(words, []).append(place)
    if len(git_tags) > 1:
        names_by_words = {_git_words(situation.git, suffix): ["git"], **names_by_words}
    return [f"{', '.join(names)} {words}" for words, names in names_by_words.items()]


def git_unread(situation: Situation, snapshot: Snapshot | None) -> list[str]:
    """Why git says no tag, where its files were read."""
    if snapshot is None or "git" not in situation.problems:
        return []
    return [f"git: {clip(situation.problems['git'], _LONGEST_WHY)}"]


async def newest(desk: Desk, member: Member) -> list[str]:
    """The newest announced image."""
    tag = await desk.tagging.newest(member)
    return [f"newest {short_tag(tag, member.service.suffix)}"] if tag else []


def _git_words(git: Mapping[str, str], suffix: str) -> str:
    """Several tags, each with the places it is for."""
    places_by_tag: dict[str, list[str]] = {}
    for place, tag in git.items():
        places_by_tag.setdefault(tag, []).append(place)
    return ", ".join(f"{short_tag(tag, suffix)} for {joined(places)}" for tag, places in places_by_tag.items())


def _place_words(situation: Situation, suffix: str, place: str, with_pods: bool) -> str:
    """The tags that run in a place, with how many pods are ready; `?` where it cannot be seen."""
    if place in situation.problems:
        return "?"
    serving = situation.serving.get(place, {})
    tags = {tag: (ready, pods) for tag, (ready, pods) in serving.items() if pods}
    if not tags:
        return "nothing"
    shown = []
    for tag, (ready, pods) in tags.items():
        counts = f" {ready}/{pods}" if with_pods else ""
        shown.append(f"{short_tag(tag, suffix)}{counts}")
    git = situation.git.get(place, "")
    behind = ", behind git" if with_pods and git and set(tags) != {git} else ""
    return " and ".join(shown) + behind
