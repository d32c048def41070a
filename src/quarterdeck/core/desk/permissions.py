"""Whom each command is for, and where it may be said."""

from __future__ import annotations

from collections.abc import Mapping

from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.service import Service
from quarterdeck.core.rules.moments import SaidCommand, Where, Who

#: the commands that change something; all others only look
PERMISSIONS: Mapping[str, tuple[Who, Where]] = {
    "deploy": (Who.DEPLOYERS, Where.SERVICE_ROOMS),
    "apply": (Who.DEPLOYERS, Where.SERVICE_ROOMS),
    "confirm": (Who.DEPLOYERS, Where.SERVICE_ROOMS),
    "retry": (Who.DEPLOYERS, Where.SERVICE_ROOMS),
    "stop": (Who.DEPLOYERS, Where.SERVICE_ROOMS_OR_PRIVATE),
    "cancel": (Who.DEPLOYERS, Where.SERVICE_ROOMS_OR_PRIVATE),
    "abort": (Who.DEPLOYERS, Where.SERVICE_ROOMS_OR_PRIVATE),
    "rollback": (Who.DEPLOYERS_AND_RESCUERS, Where.SERVICE_ROOMS_OR_PRIVATE),
}


def said_command(actor: Actor, verb: str, service: Service | None = None, going_back: bool = False) -> SaidCommand:
    """A verb as the rules judge it; see `SaidCommand`."""
    who, where = PERMISSIONS.get(verb, (Who.EVERYONE, Where.ANYWHERE))
    return SaidCommand(actor, who, where, service, going_back)
