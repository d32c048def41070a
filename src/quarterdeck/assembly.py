"""Puts the core together from what is outside of it; the running bot and its tests do it in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quarterdeck.core.desk.acceptance import Acceptance
from quarterdeck.core.desk.apply_jobs import ApplyJobs
from quarterdeck.core.desk.authority import Authority
from quarterdeck.core.desk.commands import COMMANDS, PLANNED, Command
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.dispatcher import Dispatcher
from quarterdeck.core.desk.grammar import Grammar
from quarterdeck.core.desk.queries.dossier import Dossiers
from quarterdeck.core.desk.trial import TrialDiffs
from quarterdeck.core.desk.verb import Vocabulary
from quarterdeck.core.orders.checks.lists import checks_by_kind
from quarterdeck.core.orders.drafting import Drafting
from quarterdeck.core.orders.orders import Orders
from quarterdeck.core.orders.tagging import Tagging
from quarterdeck.core.orders.targets import Targets
from quarterdeck.core.rollout.step import StepName
from quarterdeck.core.situation import Surveyor
from quarterdeck.core.steps import Perform
from quarterdeck.core.steps.apply import ApplyStep
from quarterdeck.core.steps.check import CheckStep
from quarterdeck.core.steps.debts import DebtBook
from quarterdeck.core.steps.diff import DiffStep
from quarterdeck.core.steps.edit import EditStep
from quarterdeck.core.steps.evidence import EvidenceKeeper
from quarterdeck.core.steps.gate import GateStep
from quarterdeck.core.steps.jobs import HostJobs
from quarterdeck.core.steps.merge import MergeStep
from quarterdeck.core.steps.sync import SyncStep
from quarterdeck.core.steps.take_back import Withdrawal
from quarterdeck.core.steps.watch import Watcher
from quarterdeck.core.worker.deployer import Deployer
from quarterdeck.core.worker.endings import Endings
from quarterdeck.core.world import World


@dataclass(frozen=True)
class Core:
    """The objects of the core that others talk to."""

    surveyor: Surveyor
    dossiers: Dossiers
    deployer: Deployer
    desk: Desk
    dispatcher: Dispatcher


def assemble(
    world: World,
    more_steps: Mapping[str, Perform] | None = None,
    commands: Sequence[Command] = COMMANDS,
) -> Core:
    """The core on a world.

    Args:
        more_steps: name -> what performs it, of steps beyond our own.
        commands: what people may say.
    """
    surveyor = Surveyor(world.charts, world.host, world.store)
    debts = DebtBook(world.store, world.clock)
    withdrawal = Withdrawal(world.catalogue.charts, world.review, debts)
    deployer = Deployer(
        store=world.store,
        voice=world.voice,
        clock=world.clock,
        pipelines=world.pipelines,
        steps={**our_steps(world, debts), **(more_steps or {})},
        debts=debts,
        withdrawal=withdrawal,
        endings=Endings(world.pipelines, world.catalogue, world.redactor, surveyor, debts, withdrawal),
    )
    targets = Targets(world.catalogue, world.charts)
    tagging = Tagging(world.catalogue, world.registry, world.store)
    orders = Orders(
        catalogue=world.catalogue,
        targets=targets,
        tagging=tagging,
        surveyor=surveyor,
        checks=checks_by_kind(world.catalogue, world.registry, world.store, tagging),
        rules=world.rules,
        clock=world.clock,
    )
    drafting = Drafting(world.catalogue, world.store, world.voice, world.redactor, world.pipelines, world.clock)
    vocabulary = Vocabulary(commands, PLANNED)
    catalogue, authority = world.catalogue, Authority(world.catalogue, world.rules, world.clock)
    desk = Desk(
        catalogue=catalogue,
        vocabulary=vocabulary,
        grammar=Grammar(vocabulary, catalogue.services, catalogue.environments, catalogue.groups),
        authority=authority,
        orders=orders,
        acceptance=Acceptance(world.store, world.voice, drafting, deployer, withdrawal, authority),
        apply_jobs=ApplyJobs(world.runner, world.pipelines),
        trial=TrialDiffs(world.runner, world.host, world.redactor, world.clock, world.limits),
        deployer=deployer,
        targets=targets,
        tagging=tagging,
        surveyor=surveyor,
        pipelines=world.pipelines,
        rules=world.rules,
        store=world.store,
        files=world.files,
        host=world.host,
        voice=world.voice,
        clock=world.clock,
        redactor=world.redactor,
        host_name=world.deploy_host_name,
    )
    return Core(
        surveyor=surveyor,
        dossiers=Dossiers(world.store, world.files, world.host),
        deployer=deployer,
        desk=desk,
        dispatcher=Dispatcher(desk, commands),
    )


def our_steps(world: World, debts: DebtBook) -> dict[str, Perform]:
    """Name -> what performs it, of our own steps."""
    charts, review, registry, host, limits = world.charts, world.review, world.registry, world.host, world.limits
    repository, redactor = world.catalogue.charts, world.redactor
    jobs = HostJobs(world.runner, world.files, redactor)
    evidence = EvidenceKeeper(world.files, redactor)
    watcher = Watcher(host, registry, evidence, limits)
    return {
        StepName.EDIT: EditStep(charts, review, repository, redactor, limits).perform,
        StepName.MERGE: MergeStep(charts, review, repository, debts, limits).perform,
        StepName.SYNC: SyncStep(charts, host, limits, world.deploy_host_name).perform,
        StepName.DIFF: DiffStep(charts, registry, host, jobs, world.files, redactor, limits).perform,
        StepName.GATE: GateStep(charts, world.store, world.rules, limits, world.ask_first).perform,
        StepName.APPLY: ApplyStep(host, world.runner, registry, jobs, evidence, watcher, limits).perform,
        StepName.CHECK: CheckStep(host, registry, debts, evidence, limits).perform,
    }
