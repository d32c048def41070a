"""What a rollout is given to work with: the ports, the catalogue and the deadlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.files import Files
from quarterdeck.core.ports.host import Host
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.ports.review import Review
from quarterdeck.core.ports.runner import Runner
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.pipeline import PIPELINES, Pipelines
from quarterdeck.core.rules.rulebook import RULES
from quarterdeck.core.rules.ruling import Rule


@dataclass(frozen=True)
class World:
    """Everything outside that a rollout may touch."""

    catalogue: Catalogue
    review: Review
    charts: Snapshots
    registry: Registry
    runner: Runner
    host: Host
    store: Store
    files: Files
    voice: Voice
    clock: Clock
    redactor: Redactor
    limits: Limits = field(default_factory=Limits)
    rules: Sequence[Rule] = RULES
    pipelines: Pipelines = PIPELINES
    ask_first: int = 3
    deploy_host_name: str = "deploy"
