"""An order in the making: what is known of it at each stage, until it can be carried out."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.core.charts.editing.edit_plan import EditPlan
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.place import joined
from quarterdeck.core.model.service import Service
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.orders.editing import moves
from quarterdeck.core.rollout.intent import Intent
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rollout.subject import Subject
from quarterdeck.core.rules.reasons import Grounds
from quarterdeck.core.situation import Situation


@dataclass(frozen=True)
class Targeted:
    """An intent whose target was found, by the catalogue and the files.

    Attributes:
        requester: name of the person who asks.
        places: to serve, in their order.
        snapshot: the files of its services.
    """

    intent: Intent
    kind: Kind
    requester: str
    subject: Subject
    places: tuple[str, ...]
    snapshot: Snapshot


@dataclass(frozen=True)
class Reaching:
    """What an edit for the target would touch.

    Attributes:
        files: that it would write, from the root of the charts.
        others: services outside of the subject whose tag it changes too.
    """

    targeted: Targeted
    files: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Surveyed:
    """What git and cluster say just now.

    Attributes:
        around: the subject, and behind it the other services that its edit moves.
        seen: the places that were looked at.
    """

    targeted: Targeted
    around: Subject
    seen: tuple[str, ...]
    situation: Situation


@dataclass(frozen=True)
class Order:
    """An intent that was checked against the world.

    Attributes:
        places: to serve, in their order.
        around: the subject, and behind it the other services that its edit moves.
        tag: whole tag, as it stands in git; empty for an apply of several.
        snapshot: the files that all this was read from.
        asking: what a person is asked before anything is written; None if nobody need be.
    """

    intent: Intent
    kind: Kind
    subject: Subject
    around: Subject
    places: tuple[str, ...]
    tag: str
    situation: Situation
    snapshot: Snapshot
    plan: EditPlan
    asking: Grounds | None = None

    @property
    def service(self) -> Service:
        """The subject's own service."""
        return self.subject.service

    @property
    def title(self) -> str:
        """`citoid codfw and eqiad`."""
        return f"{self.subject.title} {joined(environments_of(self.places))}"

    @property
    def short(self) -> str:
        """The tag as people say it."""
        return short_tag(self.tag, self.service.suffix)

    @property
    def pending(self) -> tuple[str, ...]:
        """The places outside the targets that the edit leaves behind git."""
        late: set[str] = set()
        for situation, effect in moves(self.plan, self.situation):
            for place, (old, new) in effect.items():
                changes_another = old != new and place not in self.places
                if changes_another and situation.running(place) != new and not situation.is_empty(place):
                    late.add(place)
        return tuple(place for place in self.plan.effect if place in late)

    @property
    def runs(self) -> tuple[str, ...]:
        """The tags that its places run, each once; of every part where all are meant."""
        tags: dict[str, None] = {}
        for situation in self.situation.meant(self.subject):
            tags |= dict.fromkeys(situation.running(place) for place in self.places)
        return tuple(filter(None, tags))

    def runs_alone(self, place: str) -> bool:
        """Whether a place runs the tag, in every part where all are meant."""
        meant = self.situation.meant(self.subject)
        return {situation.running(place) for situation in meant} - {""} == {self.tag}

    @property
    def absent(self) -> list[tuple[str, str]]:
        """(service, environments) of members that are not everywhere where the others are served."""
        absent: list[tuple[str, str]] = []
        for member in self.subject.members:
            lacking = [name for name in environments_of(self.places) if name not in member.environments]
            if lacking:
                absent.append((member.service.name, joined(lacking, "or")))
        return absent

    @property
    def served(self) -> tuple[int, int] | None:
        """(ready pods, all pods) where git and every pod of every target have the tag already; None where work is left."""
        if not self.plan.already:
            return None
        ready = pods = 0
        for place in self.places:
            tags = {tag: counts for tag, counts in self.situation.serving.get(place, {}).items() if counts[1]}
            if list(tags) != [self.tag] or tags[self.tag][0] != tags[self.tag][1]:
                return None
            ready += tags[self.tag][0]
            pods += tags[self.tag][1]
        return ready, pods
