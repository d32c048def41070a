"""Orders in the making, stage by stage, without a world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from quarterdeck.core.charts.editing.edit_plan import EditPlan
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.orders.order import Order, Reaching, Surveyed, Targeted
from quarterdeck.core.rollout.intent import Intent, Target
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rollout.subject import Subject
from quarterdeck.core.situation import Situation
from tests.worlds.cluster import EMPTY
from tests.worlds.subjects import subject

OLD, NEW, NEWER = "2026-08-06-230932-production", "2026-08-17-094555-production", "2026-08-18-081200-production"


def targeted(about: Subject | None = None, places: tuple[str, ...] = ("staging",), **said: Any) -> Targeted:
    """A deploy of citoid to staging, unless told otherwise; *said* are fields of its intent."""
    about = about or subject(places=places)
    target = Target(group=about.group) if about.group else Target(about.service.name, about.part)
    intent = replace(Intent(target, "staging"), **said)
    return Targeted(intent, Kind.DEPLOY, "alice", about, places, Snapshot(EMPTY))


def reaching(of: Targeted, *others: str, file: str = "helmfile.d/services/citoid/values.yaml") -> Reaching:
    """An edit of one file that moves other services too."""
    return Reaching(of, (file,), others)


def surveyed(of: Targeted, **problems: str) -> Surveyed:
    """A look at its places, of which some do not answer."""
    return Surveyed(of, of.subject, of.places, Situation(of.subject.title, problems=problems))


def order(
    of: Targeted | None = None,
    tag: str = NEW,
    effect: Mapping[str, tuple[str, str]] | None = None,
    running: Mapping[str, str] | None = None,
    kind: Kind = Kind.DEPLOY,
) -> Order:
    """An order that moves tags.

    Args:
        effect: place -> (tag before, tag afterwards); the targets' from the old one, unless told otherwise.
        running: place -> tag that all its pods run.
    """
    of = of or targeted()
    moved = effect if effect is not None else dict.fromkeys(of.places, (OLD, tag))
    serving = {place: {runs: (1, 1)} for place, runs in (running or {}).items()}
    return Order(
        intent=of.intent,
        kind=kind,
        subject=of.subject,
        around=of.subject,
        places=of.places,
        tag=tag,
        situation=Situation(of.subject.title, serving=serving),
        snapshot=of.snapshot,
        plan=EditPlan(effect=moved),
    )
