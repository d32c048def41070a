"""Builds everything once, out of the settings, and holds it together: the app that plugins and backend talk to."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from quarterdeck.adapters.deploy_host.helmfile import HelmfileHost
from quarterdeck.adapters.deploy_host.ssh import SshRunner
from quarterdeck.adapters.disk import DiskFiles
from quarterdeck.adapters.gerrit.events import GerritEvents
from quarterdeck.adapters.gerrit.review import GerritReview
from quarterdeck.adapters.git.charts import GitCharts
from quarterdeck.adapters.registry import HttpRegistry
from quarterdeck.adapters.sal import NoRelay, SalRelay
from quarterdeck.adapters.store.mortal import open_store
from quarterdeck.chat import Heard, Transport
from quarterdeck.chat.irc.connection import tls_context
from quarterdeck.chat.irc.transport import IrcTransport
from quarterdeck.chat.speaker import Mouth, Speaker
from quarterdeck.config.catalogue import load as load_catalogue
from quarterdeck.config.settings import Irc, Settings, load
from quarterdeck.core.builds.announcements import Herald, Pace
from quarterdeck.core.desk.actions import Actions
from quarterdeck.core.desk.answers import Answers
from quarterdeck.core.desk.dispatcher import Reception
from quarterdeck.core.desk.grammar import NOTHING
from quarterdeck.core.desk.preview import Preview
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import QuarterdeckError, TemporaryError
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.person import Actor
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.state import OVER, State
from quarterdeck.core.rules.policy import MUTATING
from quarterdeck.core.worker.deployer import Deployer
from quarterdeck.core.world import Limits, World
from quarterdeck.engine import Engine
from quarterdeck.logs import redact_logs
from quarterdeck.views.chat import SAL, ChatVoice
from quarterdeck.views.page import Pages
from quarterdeck.web import routes

T = TypeVar("T")
#: days that jobs on the deploy host, and a rollout's logs and diffs here, are kept
KEEP_JOBS_DAYS, KEEP_FILES_DAYS = 7, 90
OPEN = frozenset(State) - OVER
log = logging.getLogger(__name__)
#: seconds a person waits at most until a hanging registry is named
ANSWER_WITHIN = 8.0
#: lines kept in mind that the inbox could not take
MOST_UNNOTED = 1000


class SystemClock:
    """Clock port: the machine's own."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class App:
    """What the backend and the plugins see of Quarterdeck.

    Attributes:
        transports: network name -> transport.
        world: the ports, for tests and the page.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue, templates: Path | None = None) -> None:
        self.settings, self.catalogue = settings, catalogue
        self._templates = templates or find_templates()
        self._engine = Engine()
        self._hear: Callable[[Heard], None] = lambda _: None
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        self._unnoted: dict[str, str] = {}
        self._bells: dict[str, asyncio.Event] = {}
        self.transports: dict[str, Transport] = {name: self._transport(name) for name in settings.networks}
        self.world: World

    # -- life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine's thread; returns when the store is open and rollouts are taken up again.

        Raises:
            PermanentError: the store is held by another process, or a key or known_hosts file is missing.
        """
        services: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "hearing": self._listen,
            "page": self._serve,
            "housekeeping": self._keep_house,
            "tending": self._tend,
            "herald": self._announce,
            "warming": self._warm,
        }
        for name, transport in self.transports.items():
            services[f"chat-{name}"] = transport.run
        for mouth in self._mouths():
            services[f"speaker-{mouth.network}"] = lambda mouth=mouth: self._speaker(mouth).run()  # type: ignore[misc]
        self._engine.start(self._prepare, services, self._finish)

    def stop(self) -> None:
        """Let go of everything as it is; a later start takes it up."""
        self._engine.stop()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the engine's loop."""
        return self._engine.submit(work)

    def on_heard(self, callback: Callable[[Heard], None]) -> None:
        """Have each line that may be a command handed over, each exactly once; called on the loop."""
        self._hear = callback

    # -- commands ----------------------------------------------------------------------------------------------

    async def answer(self, verb: str, heard: Heard, text: str) -> list[str]:
        """The lines to say to a command; see `Reception.answer`."""
        nick = self.transports[heard.network].nick.lower()
        addressed = heard.text.lower().startswith((f"{nick}:", f"{nick},"))
        if (why := self._unnoted.pop(heard.msgid, "")) and verb in MUTATING:
            return [f"{heard.nick}: {why}. {NOTHING}"]
        lines = await self.reception.answer(verb, self.actor(heard), text, addressed)
        return [self.world.redactor.text(line) for line in lines]

    def actor(self, heard: Heard) -> Actor:
        """Who speaks, as far as the network vouches for it."""
        transport = self.transports[heard.network]
        person = self.world.catalogue.person(heard.network, heard.account)
        return Actor(heard.network, heard.room, heard.nick, heard.account, person, transport.accounts_shown)

    # -- building ----------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        s, catalogue, clock = self.settings, self.catalogue, SystemClock()
        s.data_dir.mkdir(parents=True, exist_ok=True)
        runner, host = deploy_host(s, catalogue)
        store = open_store(s.data_dir / "quarterdeck.sqlite", secrets.token_hex(8), clock.now)
        store.on_lines = lambda networks: self._engine.call(self._ring, networks)
        redactor = Redactor(s.secrets, s.redact_patterns)
        redact_logs(redactor)
        voice = _Clean(
            ChatVoice(self._templates, catalogue, s.links, s.deploy_host.name or s.deploy_host.host, clock.now),
            redactor,
        )
        self._files = DiskFiles(s.data_dir / "rollouts")
        self.world = World(
            catalogue=catalogue,
            review=review(s),
            charts=charts(s, catalogue),
            registry=registry(s),
            runner=runner,
            host=host,
            store=store,
            files=self._files,
            voice=voice,
            clock=clock,
            redactor=redactor,
            limits=limits(s),
            ask_first=s.ask_first_rollouts,
            deploy_host_name=s.deploy_host.name or s.deploy_host.host,
        )
        self._runner = runner
        self.deployer = Deployer(self.world)
        desk = Actions(self.world, self.deployer)
        answers = Answers(self.world, s.links)
        self.reception = Reception(desk, answers, Preview(self.world, desk.orders))
        self.herald = Herald(self.world, events(s), Pace(patience=s.build_deadline_s))
        resumed = await self.deployer.recover()
        for rollout in resumed:
            log.info("taking up #%s %s again", rollout.number, rollout.service)

    async def _finish(self) -> None:
        if not hasattr(self, "world"):
            return
        if hasattr(self, "deployer"):
            await self.deployer.close()
        for closing in (self._runner.close, self.world.review.close, self.world.registry.close):  # type: ignore[attr-defined]
            await closing()
        self._files.close()
        self.world.store.close()  # type: ignore[attr-defined]

    def _transport(self, name: str) -> IrcTransport:
        return irc(
            self.settings.networks[name], name, self._heard.put_nowait, lambda text: log.info("%s: %s", name, text)
        )

    def _mouths(self) -> list[Mouth]:
        sal = self.settings.sal
        relay = [SalRelay(sal.host, sal.port, network=SAL)] if sal else [NoRelay(SAL)]
        return [*self.transports.values(), *relay]

    def _speaker(self, mouth: Mouth) -> Speaker:
        bell = self._bells.setdefault(mouth.network, asyncio.Event())
        return Speaker(self.world.store, mouth, bell)

    def _ring(self, networks: Iterable[str]) -> None:
        """Lines for these networks are in the store."""
        for network in networks:
            if network in self._bells:
                self._bells[network].set()

    async def _tend(self) -> None:
        await self.deployer.tend()

    async def _announce(self) -> None:
        await self.herald.run()

    async def _warm(self) -> None:
        """Connect to the deploy host and fetch the charts once, so that the first command finds both at hand."""
        for system, look in (("deploy host", self.world.host.position), ("charts", self.world.charts.tip)):
            try:
                await look()
            except QuarterdeckError as error:
                log.warning("%s: %s", system, error)

    async def _keep_house(self) -> None:
        """Daily: old jobs on the host and old files here go; what is not over stays."""
        while True:
            keep = {r.number for r in await self.world.store.find(OPEN, limit=10_000)}
            await self._files.expire(self.world.clock.now().timestamp() - KEEP_FILES_DAYS * 86400, keep)
            try:
                await self._runner.reap(KEEP_JOBS_DAYS)
            except QuarterdeckError as error:
                log.warning("old jobs on the deploy host were not removed: %s", error)
            await self.world.clock.sleep(86400.0)

    async def _serve(self) -> None:
        pages = Pages(self._templates, self.catalogue)
        await routes.serve(self.world, pages, self.settings.web.host, self.settings.web.port)

    async def _listen(self) -> None:
        """Inbox: a command runs once for each message id, whatever is played back to us.

        What cannot be noted is answered all the same, and changes nothing: it might run twice.
        """
        while True:
            heard = await self._heard.get()
            nick = self.transports[heard.network].nick.lower()
            if heard.room and not heard.text.lower().lstrip().startswith(("!", nick)):
                continue
            text = self.world.redactor.text(heard.text)[:400]
            try:
                first = await self.world.store.heard(heard.network, heard.msgid, heard.room, heard.account or "", text)
            except TemporaryError as error:
                log.warning("a line cannot be noted: %s", error)
                if len(self._unnoted) >= MOST_UNNOTED:  # lines for others, which nobody asks an answer for
                    del self._unnoted[next(iter(self._unnoted))]
                self._unnoted[heard.msgid] = str(error)
                first = True
            if first:
                self._hear(heard)


class _Clean:
    """A voice that redacts every line."""

    def __init__(self, voice: ChatVoice, redactor: Redactor) -> None:
        self._voice, self._redactor = voice, redactor

    def lines(self, event: str, rollout: Any, /, **facts: Any) -> tuple[Line, ...]:
        """See `core.ports.Voice`."""
        made = self._voice.lines(event, rollout, **facts)
        return tuple(Line(x.network, x.room, self._redactor.text(x.text), x.urgent) for x in made)


def build(block: Mapping[str, Any], base: Path) -> App:
    """The app for a QUARTERDECK block of Errbot's config.py, whose relative paths count from *base*.

    Raises:
        SettingsError: everything that is wrong with it, at once and in words.
    """
    settings = load(block, base)
    return App(settings, load_catalogue(settings.catalogue, frozenset(settings.networks)))


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
