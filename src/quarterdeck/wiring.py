"""Settings in, objects out: builds everything the running bot consists of; nothing lives here."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from quarterdeck.adapters.deploy_host.helmfile import HelmfileHost
from quarterdeck.adapters.deploy_host.ssh import SshRunner
from quarterdeck.adapters.disk import DiskFiles
from quarterdeck.adapters.gerrit.events import GerritEvents
from quarterdeck.adapters.gerrit.review import GerritReview
from quarterdeck.adapters.git.charts import GitCharts
from quarterdeck.adapters.registry import HttpRegistry
from quarterdeck.adapters.sal import NoRelay, SalRelay
from quarterdeck.adapters.store.mortal import open_store
from quarterdeck.adapters.store.sqlite import SqliteStore
from quarterdeck.app import App, Parts
from quarterdeck.assembly import assemble
from quarterdeck.chat import Heard, Transport
from quarterdeck.chat.irc.connection import tls_context
from quarterdeck.chat.irc.transport import IrcTransport
from quarterdeck.chat.naming import with_canonical_names
from quarterdeck.chat.sender import OutboxSender, Outlet
from quarterdeck.config.catalogue import load as load_catalogue
from quarterdeck.config.settings import Irc, Settings, load
from quarterdeck.core.builds.announcements import Announcements, Pace
from quarterdeck.core.builds.news import BuildNews
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.desk.commands import VOCABULARY
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.worker.questions import tend_questions
from quarterdeck.core.worker.recovery import recover
from quarterdeck.core.world import World
from quarterdeck.engine import Engine, Service
from quarterdeck.housekeeping import Housekeeping, warm
from quarterdeck.logs import redact_logs
from quarterdeck.views.chat import ChatVoice, RedactedVoice
from quarterdeck.views.page import Pages
from quarterdeck.views.sal import SAL
from quarterdeck.web import routes

log = logging.getLogger(__name__)
#: seconds a person waits at most until a hanging registry is named
ANSWER_WITHIN = 8.0


class SystemClock:
    """Clock port: the machine's own."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def build(block: Mapping[str, Any], base: Path) -> App:
    """The app for a QUARTERDECK block of Errbot's config.py, whose relative paths count from *base*.

    Raises:
        SettingsError: everything that is wrong with it, at once and in words.
    """
    settings = load(block, base)
    engine = Engine()
    heard_lines: asyncio.Queue[Heard] = asyncio.Queue()
    transports = {name: _transport(settings, name, heard_lines) for name in settings.networks}
    catalogue = with_canonical_names(load_catalogue(settings.catalogue, frozenset(settings.networks)), transports)

    async def open_parts() -> Parts:
        return await _open_parts(settings, catalogue, engine, transports)

    return App(transports, heard_lines, engine, open_parts, VOCABULARY)


async def _open_parts(s: Settings, catalogue: Catalogue, engine: Engine, transports: Mapping[str, Transport]) -> Parts:
    """Everything that needs the open store; runs on the engine's loop.

    Raises:
        PermanentError: the store is held by another process, or a key or known_hosts file is missing.
    """
    clock, templates = SystemClock(), find_templates()
    networks = {name: transport.words for name, transport in transports.items()}
    s.data_dir.mkdir(parents=True, exist_ok=True)
    runner, host = deploy_host(s, catalogue)
    host_name = s.deploy_host.name or s.deploy_host.host
    store = open_store(s.data_dir / "quarterdeck.sqlite", secrets.token_hex(8), clock.now)
    redactor = Redactor(s.secrets, s.redact_patterns)
    redact_logs(redactor)
    files, reviews, images = DiskFiles(s.data_dir / "rollouts"), review(s), registry(s)
    world = World(
        catalogue=catalogue,
        review=reviews,
        charts=Snapshots(charts(s, catalogue)),
        registry=images,
        runner=runner,
        host=host,
        store=store,
        files=files,
        voice=RedactedVoice(ChatVoice(templates, catalogue, s.links, host_name, clock.now, networks), redactor),
        clock=clock,
        redactor=redactor,
        limits=limits(s),
        ask_first=s.ask_first_rollouts,
        deploy_host_name=host_name,
    )
    core = assemble(world)
    pages = Pages(templates, catalogue)
    site = routes.Site(pages, core.dossiers, store, files, world.voice, clock)
    page: Service = partial(routes.serve, site, s.web.host, s.web.port)

    announcements = Announcements(
        catalogue=catalogue,
        review=reviews,
        registry=images,
        store=store,
        clock=clock,
        news=BuildNews(catalogue, store, core.surveyor, world.voice),
        events=events(s),
        pace=Pace(patience=s.build_deadline_s),
    )
    services: dict[str, Service] = {
        "housekeeping": Housekeeping(store, files, runner, clock).run,
        "tending": partial(tend_questions, store, world.voice, clock),
        "announcements": announcements.run,
        "warming": partial(warm, host, world.charts),
        "page": page,
        **_senders(s, engine, store, transports),
    }

    async def close() -> None:
        for closing in (core.deployer.close, runner.close, reviews.close, images.close):
            await closing()
        files.close()
        store.close()

    return Parts(
        catalogue=catalogue,
        store=store,
        redactor=redactor,
        dispatcher=core.dispatcher,
        take_up=partial(recover, store, world.voice, core.deployer),
        services=services,
        close=close,
    )


def _transport(s: Settings, name: str, heard_lines: asyncio.Queue[Heard]) -> IrcTransport:
    return irc(s.networks[name], name, heard_lines.put_nowait, lambda text: log.info("%s: %s", name, text))


def _senders(
    s: Settings, engine: Engine, store: SqliteStore, transports: Mapping[str, Transport]
) -> dict[str, Service]:
    """A task for each network that says what the outbox has for it, woken when the store has committed lines."""
    relay = SalRelay(s.sal.host, s.sal.port, network=SAL.network) if s.sal else NoRelay(SAL.network)
    outlets: list[Outlet] = [*transports.values(), relay]
    bells = {outlet.network: asyncio.Event() for outlet in outlets}

    def ring(networks: Iterable[str]) -> None:
        for network in networks:
            if network in bells:
                bells[network].set()

    store.on_lines = lambda networks: engine.call(ring, networks)
    return {f"sender-{it.network}": OutboxSender(store, it, bells[it.network]).run for it in outlets}


def find_templates() -> Path:
    """The words: beside the source tree, else where the image puts them."""
    for base in (Path(__file__).resolve().parents[2], Path.cwd(), Path("/opt/quarterdeck")):
        if (base / "templates" / "chat").is_dir():
            return base / "templates"
    raise FileNotFoundError("no templates/ folder beside the source tree or the working directory")


def review(s: Settings) -> GerritReview:
    """Gerrit's REST."""
    return GerritReview(s.gerrit.url, s.gerrit.user, s.gerrit.token.get_secret_value())


def charts(s: Settings, catalogue: Catalogue) -> GitCharts:
    """The charts repository, by git."""
    url = f"{s.gerrit.url.rstrip('/')}/a/{catalogue.charts.project}"
    return GitCharts(
        url,
        catalogue.charts.branch,
        s.data_dir / "charts.git",
        services_dir=catalogue.charts.services_dir,
        user=s.gerrit.user,
        token=s.gerrit.token.get_secret_value(),
    )


def registry(s: Settings) -> HttpRegistry:
    """The image registry."""
    password = s.registry.password.get_secret_value() if s.registry.password else ""
    return HttpRegistry(s.registry.url, user=s.registry.user, password=password, timeout=ANSWER_WITHIN)


def events(s: Settings) -> GerritEvents:
    """Gerrit's event stream."""
    ssh = s.gerrit.ssh
    return GerritEvents(ssh.host, ssh.port, ssh.user, ssh.key, ssh.known_hosts)


def deploy_host(s: Settings, catalogue: Catalogue) -> tuple[SshRunner, HelmfileHost]:
    """The deploy host: its runner, and what it sees."""
    d = s.deploy_host
    runner = SshRunner(
        host=d.host,
        port=d.port,
        user=d.user,
        key=d.key,
        known_hosts=d.known_hosts,
        jobs_dir=d.jobs_dir,
        away_limit=s.deadlines.host_away_s,
    )
    host = HelmfileHost(
        runner,
        charts=d.charts,
        jobs_dir=d.jobs_dir,
        services_dir=catalogue.charts.services_dir,
        env=d.environment,
        kubeconfig_view=d.kubeconfig_view,
        kubeconfig_deploy=d.kubeconfig_deploy,
    )
    return runner, host


def limits(s: Settings) -> Limits:
    """Deadlines, in seconds."""
    return Limits(
        gate=s.deadlines.gate_s,
        sync=s.deadlines.sync_s,
        diff=s.deadlines.diff_s,
        apply_extra=s.deadlines.apply_extra_s,
        ask_production=s.deadlines.ask_production_s,
        ask_staging=s.deadlines.ask_staging_s,
        grace=s.health.grace_s,
        soak=s.health.soak_s,
        poll=s.health.poll_s,
    )


def irc(
    n: Irc,
    name: str,
    on_heard: Callable[[Heard], None],
    on_state: Callable[[str], None],
    *,
    nick: str = "",
    rooms: Sequence[str] | None = None,
) -> IrcTransport:
    """An IRC network's transport."""
    return IrcTransport(
        network=name,
        host=n.host,
        port=n.port,
        tls=tls_context(n.ca) if n.tls else None,
        nick=nick or n.nick,
        account=n.account,
        password=n.password.get_secret_value(),
        rooms=n.rooms if rooms is None else rooms,
        burst=n.burst,
        rate=n.rate,
        on_heard=on_heard,
        on_state=on_state,
    )
