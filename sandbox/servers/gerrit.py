"""Start a real Gerrit: a copy of an initialised site, its daemon, and what must be in it to be of use."""

import hashlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sandbox import contents
from sandbox.build.cache import Cache
from sandbox.build.jvm import JAVA_FLAGS, class_path, gerrit_version
from sandbox.servers import gerrit_setup
from sandbox.servers.gerrit_rest import Gerrit
from sandbox.servers.supervisor import SandboxError, Supervisor, World

ADMIN = "admin"
BOT = "quarterdeck"
_START_SECONDS = 90
_INIT_SECONDS = 120
_LAUNCHER = "com.google.gerrit.launcher.GerritLauncher"
# The ports of the template, replaced in each copy.
_HTTP, _SSH = "127.0.0.1:18081", "127.0.0.1:29519"

# Written before init, which keeps it and adds the rest. The quotes around the database's address matter (a ;
# begins a comment), and without that address a stop takes four seconds. commitWithin 0: a killed server loses
# no index. sequenceBatchSize 1: a restart skips no change numbers.
_CONFIG = f"""\
[gerrit]
\tbasePath = git
\tcanonicalWebUrl = http://{_HTTP}/
\tserverId = 00000000-0000-4000-8000-000000000001
\tdisableReverseDnsLookup = true
[index]
\ttype = lucene
[index "changes_open"]
\tcommitWithin = 0
[index "changes_closed"]
\tcommitWithin = 0
[auth]
\ttype = DEVELOPMENT_BECOME_ANY_ACCOUNT
[sendemail]
\tenable = false
[sshd]
\tlistenAddress = {_SSH}
[httpd]
\tlistenUrl = http://{_HTTP}/
\tgracefulStopTimeout = 10s
[accountPatchReviewDb]
\turl = "jdbc:h2:mem:apr;DB_CLOSE_DELAY=-1;DB_CLOSE_ON_EXIT=FALSE"
[noteDb "changes"]
\tsequenceBatchSize = 1
"""
# Warnings and errors only, and of the talkative classes errors only.
_LOG4J = """\
log4j.rootCategory=WARN, stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.target=System.err
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=%d %-5p %c{1}: %m%n
log4j.logger.org.apache.sshd=ERROR
log4j.logger.com.google.gerrit.server.update.RetryHelper=ERROR
log4j.logger.com.google.gerrit.server.util.SystemLog=ERROR
log4j.logger.com.google.gerrit.server.config.GitwebCgiConfig=ERROR
log4j.logger.com.google.gerrit.server.documentation=ERROR
log4j.logger.com.google.gerrit.server.project.PeriodicProjectListCacheWarmer=ERROR
"""
_JUL = ".level=SEVERE\nhandlers=java.util.logging.ConsoleHandler\n"


@dataclass(frozen=True)
class GerritEndpoint:
    """How to reach the Gerrit of a sandbox; paths are absolute."""

    http: str
    ssh_host: str
    ssh_port: int
    admin: str
    password: str
    """The admin's; as a file it is secrets/gerrit-admin.token."""
    ssh_key: Path
    """The admin's private key."""
    known_hosts: Path
    secrets: Path
    """Holds gerrit-<account>.token of every account, and the private key gerrit-<account> of the programs."""
    merge: str
    """gate or submit."""
    heads: Mapping[str, str]
    """The commit at the tip of each project's branch when the sandbox came up."""

    def rest(self, account: str = ADMIN) -> Gerrit:
        """Gerrit's REST as one of its accounts."""
        return Gerrit.with_secret(self.http, account, self.secrets)

    def as_dict(self) -> dict[str, str | int]:
        """What sandbox/endpoints.json says of it."""
        return {
            "http": self.http,
            "ssh_host": self.ssh_host,
            "ssh_port": self.ssh_port,
            "admin": self.admin,
            "password": self.password,
            "ssh_key": str(self.ssh_key),
            "known_hosts": str(self.known_hosts),
            "account": BOT,
            "token_file": str(self.secrets / f"gerrit-{BOT}.token"),
            "account_ssh_key": str(self.secrets / f"gerrit-{BOT}"),
            "merge": self.merge,
        }


def start(world: World, supervisor: Supervisor, merge: str | None = None) -> GerritEndpoint:
    """Bring up Gerrit with its accounts, projects and their contents.

    Args:
        world: where the sandbox lives.
        supervisor: who keeps the daemon.
        merge: gate or submit; what the catalogue or SANDBOX_MERGE says unless given.

    Raises:
        SandboxError: the site cannot be made, or the daemon does not come up.
        GerritError: it came up and refused something of the set-up.
    """
    mode = merge or contents.merge_mode()
    folder = world.folder("gerrit")
    secrets = world.folder("secrets", mode=0o700)
    template = ensure_template(world)
    site = _copy_site(world, template, folder / "site")
    _write_logging(world, folder)
    http = f"127.0.0.1:{world.port('gerrit-http')}"
    ssh_port = world.port("gerrit-ssh")
    child = supervisor.spawn("gerrit", _daemon(world, folder, site), cwd=folder)
    keys = gerrit_setup.make_keys(world, secrets)
    known_hosts = _known_hosts(world, site, ssh_port, secrets / "gerrit-known_hosts")
    with tempfile.TemporaryDirectory(prefix="seed-") as seed:
        gerrit_setup.commit_all(world, Path(seed))
        supervisor.wait_ready(child, lambda: _answers(http, ssh_port), _START_SECONDS)
        heads = gerrit_setup.fill(world, f"http://{http}", secrets, keys, Path(seed), mode)
    return GerritEndpoint(
        http=f"http://{http}",
        ssh_host="127.0.0.1",
        ssh_port=ssh_port,
        admin=ADMIN,
        password=(secrets / f"gerrit-{ADMIN}.token").read_text().strip(),
        ssh_key=secrets / f"gerrit-{ADMIN}",
        known_hosts=known_hosts,
        secrets=secrets,
        merge=mode,
        heads=heads,
    )


def ensure_template(world: World, report: Callable[[str], None] = lambda _: None) -> Path:
    """The initialised site of this version of Gerrit in the cache; made once, which takes some 4 s."""
    cache = Cache.of_user()
    site = cache.entry("gerrit-site", _template_version()) / "site"
    if site.exists():
        return site
    with cache.lock(report):
        if not site.exists():
            with cache.making("gerrit-site", _template_version()) as stage:
                _make_template(world, stage)
    return site


def _template_version() -> str:
    """Changes with Gerrit and with what we make of its site."""
    return f"{gerrit_version()}-{hashlib.sha256(_CONFIG.encode()).hexdigest()[:8]}"


def _make_template(world: World, stage: Path) -> None:
    site = stage / "site"
    (site / "etc").mkdir(parents=True)
    (site / "etc" / "gerrit.config").write_text(_CONFIG)
    init = ["init", "--batch", "--dev", "--skip-plugins", "--no-auto-start", "-d", str(site)]
    command = [*_java(world, f"-Duser.home={stage}"), *init]
    environment = world.environment() | {"HOME": str(stage)}
    done = subprocess.run(
        command,
        env=environment,
        cwd=stage,
        capture_output=True,
        text=True,
        timeout=_INIT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise SandboxError(f"Gerrit's init ended with status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    # A copy of a jar that we have; and no caches on disk, they only slow the stop.
    (site / "bin" / "gerrit.war").unlink(missing_ok=True)
    shutil.rmtree(site / "cache", ignore_errors=True)
    shutil.rmtree(site / "tmp", ignore_errors=True)
    config = site / "etc" / "gerrit.config"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if line.strip() not in {"[cache]", "directory = cache"}))
    # What is secret is made anew for each sandbox: Gerrit makes its token keys up, _copy_site() the host key.
    for path in (site / "etc" / "secure.config", *(site / "etc").glob("ssh_host_*")):
        path.unlink()


def _copy_site(world: World, template: Path, site: Path) -> Path:
    shutil.copytree(template, site, symlinks=True)
    (site / "tmp").mkdir()
    key = site / "etc" / "ssh_host_ed25519_key"
    keygen = [str(world.tools.ssh_keygen), "-q", "-t", "ed25519", "-N", "", "-C", "gerrit", "-f", str(key)]
    subprocess.run(keygen, check=True, capture_output=True)
    for path in (site, *site.rglob("*")):
        world.give(path)
    config = site / "etc" / "gerrit.config"
    text = config.read_text()
    text = text.replace(_HTTP, f"127.0.0.1:{world.port('gerrit-http')}")
    config.write_text(text.replace(_SSH, f"127.0.0.1:{world.port('gerrit-ssh')}"))
    return site


def _write_logging(world: World, folder: Path) -> None:
    world.write(folder / "log4j.properties", _LOG4J)
    world.write(folder / "jul.properties", _JUL)


def _java(world: World, *properties: str) -> list[str]:
    archive = world.tools.gerrit_archive
    shared = [f"-XX:SharedArchiveFile={archive}"] if archive else []
    jars = class_path(world.tools.gerrit_classpath)
    return [str(world.tools.java), *JAVA_FLAGS, *shared, *properties, "-cp", jars, _LAUNCHER]


def _daemon(world: World, folder: Path, site: Path) -> list[str]:
    properties = (
        f"-Duser.home={folder}",
        f"-Dlog4j.configuration=file:{folder / 'log4j.properties'}",
        f"-Djava.util.logging.config.file={folder / 'jul.properties'}",
    )
    return [*_java(world, *properties), "daemon", "--headless", "--console-log", "-d", str(site)]


def _answers(http: str, ssh_port: int) -> bool:
    """Whether both doors are open; "ready" itself is an INFO line, which we do not log."""
    try:
        with urlopen(f"http://{http}/config/server/version", timeout=5) as reply:
            if reply.status != 200:
                return False
    except URLError:
        return False
    with socket.create_connection(("127.0.0.1", ssh_port), timeout=5) as connection:
        return connection.recv(4) == b"SSH-"


def _known_hosts(world: World, site: Path, port: int, path: Path) -> Path:
    keys = sorted((site / "etc").glob("ssh_host_*_key.pub"))
    lines = [f"[127.0.0.1]:{port} {' '.join(key.read_text().split()[:2])}\n" for key in keys]
    return world.write(path, "".join(lines), mode=0o600)
