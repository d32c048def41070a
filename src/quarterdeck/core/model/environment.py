"""Helmfile environments, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EnvironmentKind(StrEnum):
    """What an environment is for; decides order and when we ask."""

    STAGING = "staging"
    PRODUCTION = "production"


@dataclass(frozen=True)
class Environment:
    """One helmfile environment.

    Attributes:
        name: as in helmfile.yaml.
        kind: staging or production.
        primary: the data centre that comes last.
    """

    name: str
    kind: EnvironmentKind
    primary: bool = False
