"""What a rollout is given to work with: the ports, the catalogue and the deadlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.ports.charts import Charts
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
class Limits:
    """Deadlines and waits, all in seconds.

    Attributes:
        gate: from our vote to the merge.
        sync: from the merge until the deploy host's checkout has it.
        diff: for one host job that diffs.
        apply_extra: beyond twice the helmfile's own timeout (once for the upgrade, once for helm's way back).
        check: from the end of an apply until all new pods are ready.
        grace: how long a bad reason may last before it counts.
        soak: how long all new pods must stay ready with unchanged restarts.
        poll: between two looks at something that changes by itself.
        ask_production: how long a question about production stays open.
        ask_staging: how long any other question stays open.
        still: between two "still at it" lines.
    """

    gate: float = 1800.0
    sync: float = 900.0
    diff: float = 300.0
    apply_extra: float = 60.0
    check: float = 600.0
    grace: float = 45.0
    soak: float = 20.0
    poll: float = 0.5
    ask_production: float = 1800.0
    ask_staging: float = 600.0
    still: float = 300.0


@dataclass(frozen=True)
class World:
    """Everything outside that a rollout may touch."""

    catalogue: Catalogue
    review: Review
    charts: Charts
    registry: Registry
    runner: Runner
    host: Host
    store: Store
    files: Files
    voice: Voice
    clock: Clock
    redactor: Redactor
    limits: Limits = Limits()
    rules: Sequence[Rule] = RULES
    pipelines: Pipelines = PIPELINES
    ask_first: int = 3
    deploy_host_name: str = "deploy"
