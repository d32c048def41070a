"""The moments that rules judge, with people, environments and a service to judge them for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.person import Actor, Person
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rules.moments import PlaceDifference, ProposedOrder, SaidCommand, ShownPlan, Where, Who

NOW = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)
STAGING = Environment("staging", EnvironmentKind.STAGING)
CODFW = Environment("codfw", EnvironmentKind.PRODUCTION)
EQIAD = Environment("eqiad", EnvironmentKind.PRODUCTION, primary=True)
CITOID = Service("citoid", "p", "i", rooms=(Room("irc", "#deploy"),))
ALICE = Person("alice", "alice", frozenset({"deployers"}))
SRE = Person("sre1", "sre1", frozenset({"sre"}))
NOBODY = Person("carol", "carol")


def actor(
    person: Person | None = ALICE, account: str | None = "alice", room: str = "#deploy", accounts_shown: bool = True
) -> Actor:
    """Somebody in a room, or in private."""
    return Actor("irc", Room("irc", room) if room else None, "alice", account, person, accounts_shown)


def command(
    speaker: Actor | None = None,
    who: Who = Who.DEPLOYERS,
    where: Where = Where.SERVICE_ROOMS,
    service: Service | None = CITOID,
    going_back: bool = False,
) -> SaidCommand:
    """A deployer in the service's room says something that changes it, unless told otherwise."""
    return SaidCommand(speaker or actor(), who, where, service, going_back)


def proposed(kind: Kind = Kind.DEPLOY, environments: Sequence[Environment] = (STAGING,), **lost: str) -> ProposedOrder:
    """An order for environments that takes tags away from the places in *lost*."""
    places = {environment.name: environment for environment in environments}
    return ProposedOrder("alice", kind, CITOID, places, "2026-08-17-094555-production", lost)


def difference(*surprises: str, changes: bool = True, summary: str = "1 Deployment, image only") -> PlaceDifference:
    """What the diff of one place says."""
    return PlaceDifference(changes, surprises, summary)


def plan(
    *environments: Environment,
    kind: Kind = Kind.DEPLOY,
    beginner: bool = False,
    **differences: Any,
) -> ShownPlan:
    """What would be applied in environments, with the diff of each by its name."""
    places = {environment.name: environment for environment in environments}
    return ShownPlan("alice", kind, "citoid", places, differences, beginner)
