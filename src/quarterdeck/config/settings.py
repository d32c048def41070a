"""The QUARTERDECK block of config.py as frozen settings, or every mistake in it at once.

Secrets come as `{"file": PATH}` or `{"env": NAME}` and are read when the settings are made. Relative paths count from
the folder of config.py. Durations are in seconds and end in `_s`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from quarterdeck.config.mistakes import SettingsError, in_words
from quarterdeck.core.redaction import redactor as redact


def _context(info: ValidationInfo) -> dict[str, Any]:
    return info.context or {"base": Path(), "environ": os.environ}


def _path(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("must be a path")
    return Path(_context(info)["base"], Path(value).expanduser())


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if not os.access(path, os.R_OK):
        raise ValueError(f"the file {path} cannot be read by this account")
    return path


def _private(path: Path) -> Path:
    if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ValueError(f"everybody can read or write {path}: chmod 600 it, and think about a new secret")
    return path


def _secret(value: Any, info: ValidationInfo) -> SecretStr:
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in ("file", "env"):
        raise ValueError('must be {"file": PATH} or {"env": NAME}, never the secret itself')
    (how, where), *_ = value.items()
    if not isinstance(where, str) or not where:
        raise ValueError(f"the {how} must have a name")
    if how == "env":
        text = _context(info)["environ"].get(where)
        if text is None:
            raise ValueError(f"the environment variable {where} is not set")
    else:
        path = _private(_existing(_path(where, info)))
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file {path} cannot be read as text") from error
    text = text.strip()
    if not text:
        raise ValueError(f"the {'environment variable' if how == 'env' else 'file'} {where} is empty")
    return SecretStr(text)


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")) or "@" in value:
        raise ValueError("must begin with http:// or https:// and hold no credentials")
    return value.rstrip("/")


def _pattern(value: str) -> str:
    redact.compiled(value)
    return value


FilePath = Annotated[Path, BeforeValidator(_path), AfterValidator(_existing)]
KeyFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_existing), AfterValidator(_private)]
FolderPath = Annotated[Path, BeforeValidator(_path)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Url = Annotated[str, AfterValidator(_url)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A frozen part of the settings; unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Web(Part):
    """The pages."""

    host: Text = "127.0.0.1"
    """Address the pages listen on; loopback, because they have no login of their own and belong behind a proxy."""
    port: Port = 8420
    """Port the pages listen on; above 1024, so that an ordinary user may."""


class GerritSsh(Part):
    """Gerrit's SSH side, for stream-events."""

    host: Text
    """Host name of Gerrit's sshd."""
    port: Port = 29418
    """Port of Gerrit's sshd; 29418 is Gerrit's own default."""
    user: Text
    """Account with the Stream Events capability."""
    key: KeyFile
    """Private key file of that account."""
    known_hosts: FilePath
    """known_hosts file; the host key is always verified."""


class Gerrit(Part):
    """Code review: the truth about changes."""

    url: Url
    """Base URL of the REST interface, without /a."""
    user: Text
    """Account that proposes and votes on charts changes."""
    token: Secret
    """HTTP credential of that account."""
    ssh: GerritSsh
    """Where stream-events comes from; it only wakes us."""


class Registry(Part):
    """The image registry."""

    url: Url
    """Base URL, without /v2."""
    user: str = ""
    """Account, if it asks for one; empty by default, because reading is mostly free."""
    password: Secret | None = None
    """Password of that account; None by default, as above."""

    @model_validator(mode="after")
    def _both(self) -> Registry:
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password belong together: give both or neither")
        return self


class DeployHost(Part):
    """The host on which helmfile runs."""

    host: Text
    """Host name."""
    port: Port = 22
    """SSH port."""
    user: Text
    """Login name."""
    key: KeyFile
    """Private key file."""
    known_hosts: FilePath
    """known_hosts file; the host key is always verified."""
    name: str = ""
    """What people call it, in log lines and chat; empty takes `host`."""
    charts: Text
    """Folder of the charts checkout on that host; it is pulled by the host itself."""
    jobs_dir: Text = "~/quarterdeck-jobs"
    """Folder for our jobs on that host, absolute or from ~/; below home, because that needs no rights."""
    environment: dict[str, str] = Field(default_factory=lambda: {"SUPPRESS_SAL": "true"})
    """Exported in each job; SUPPRESS_SAL by default, because the bot writes the log lines itself."""
    kubeconfig_view: Text = "/etc/kubernetes/{service}-{environment}.config"
    """Path on the host of the kubeconfig that reads; {service} and {environment} are filled in."""
    kubeconfig_deploy: Text = "/etc/kubernetes/{service}-deploy-{environment}.config"
    """Path on the host of the kubeconfig that applies; {service} and {environment} are filled in."""


class Irc(Part):
    """An IRC network."""

    kind: Literal["irc"]
    """What it speaks; irc is all there is so far."""
    host: Text
    """Server."""
    port: Port = 6697
    """Port; 6697 is the usual one for TLS."""
    tls: bool = True
    """Whether to use TLS; on, because a password is sent."""
    ca: FilePath | None = None
    """File of the CA that signs the server's certificate; None takes the system's."""
    nick: Text
    """Nick name."""
    account: Text
    """Services account, for SASL."""
    password: Secret
    """Password of that account."""
    rooms: tuple[Text, ...] = ()
    """Home channels: commands are taken and announcements made there."""
    burst: Annotated[int, Field(ge=1, le=1000)] = 8
    """How many lines may go out at once; 8, because servers end connections that send about 10."""
    rate: Annotated[float, Field(gt=0, le=1000)] = 1
    """How many lines a second after that; 1, as servers allow; more where the bot is exempt from flood limits."""


class Sal(Part):
    """The relay of the server admin log."""

    host: Text
    """Host of the relay (TCP, one line each)."""
    port: Port
    """Its port."""


class Health(Part):
    """How pods are judged."""

    grace_s: Seconds = 45
    """How long a bad reason may last before it counts; 45 s, because image pulls fail and recover within that."""
    soak_s: Seconds = 20
    """How long new pods must stay ready; 20 s, because most crash loops show by then."""
    poll_s: Seconds = 2
    """How often pods are read; 2 s, because people wait and one read costs the host about 0.2 s."""


class Deadlines(Part):
    """When waiting ends."""

    gate_s: Seconds = 1800
    """For CI to verify and submit a charts change; half an hour, twice a slow gate."""
    sync_s: Seconds = 900
    """For the deploy host to have the merged commit; 15 min, several times its pull timer."""
    diff_s: Seconds = 300
    """For one job on the deploy host that diffs; 5 min, and a disk that is full has as long to get some room."""
    ask_production_s: Seconds = 1800
    """For a person to answer before production; half an hour, then the diff is too old to trust."""
    ask_staging_s: Seconds = 600
    """For a person to answer before staging; 10 min, because others wait for staging."""
    apply_extra_s: Seconds = 60
    """Added to helmfile's own timeout; a minute for helm to go back and for the cluster to answer."""
    host_away_s: Seconds = 600
    """How long the deploy host may be away before a running effect is called lost; 10 min outlast a reboot."""


class Settings(Part):
    """Everything config.py says of Quarterdeck."""

    data_dir: FolderPath
    """Folder of the bot's own: store, logs, charts; made if it is not there."""
    catalogue: FilePath
    """Path of the services.yaml that says which services, environments and people there are."""
    page_url: Url | None = None
    """Public base URL of the pages, used in links; None takes http://host:port of `web`."""
    web: Web = Web()
    """Where the pages listen."""
    gerrit: Gerrit
    """Code review."""
    registry: Registry
    """The image registry."""
    deploy_host: DeployHost
    """The host on which helmfile runs."""
    networks: dict[str, Irc] = Field(min_length=1)
    """Chat networks by name; the catalogue names rooms and accounts by these names."""
    sal: Sal | None = None
    """Relay of the server admin log; None writes no log lines there."""
    health: Health = Health()
    """How pods are judged."""
    deadlines: Deadlines = Deadlines()
    """When waiting ends."""
    ask_first_rollouts: int = Field(default=3, ge=0)
    """How many of a person's rollouts must have succeeded before an image alone is not asked; 3, until he knows the bot."""
    build_deadline_s: Seconds = 1500
    """How long a merged change may go without an image before it is said; 25 min, twice a slow build."""
    redact_patterns: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()
    """Regular expressions of further secrets to take out of all output; empty, the built-in ones always count."""

    @property
    def links(self) -> str:
        """Base URL for links, without a slash at its end."""
        return self.page_url or f"http://{self.web.host}:{self.web.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every credential the bot holds, for the redactor (keys included)."""
        held = [self.gerrit.token, self.registry.password, *(n.password for n in self.networks.values())]
        keys = (self.gerrit.ssh.key, self.deploy_host.key)
        return tuple([s.get_secret_value() for s in held if s] + [k.read_text(errors="surrogateescape") for k in keys])


def load(block: Mapping[str, Any], base: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a QUARTERDECK block.

    Args:
        block: the dictionary of config.py.
        base: folder that relative paths count from.
        environ: where `{"env": NAME}` looks; the process's own by default.

    Raises:
        SettingsError: with every mistake in words.
    """
    context = {"base": base, "environ": os.environ if environ is None else environ}
    try:
        return Settings.model_validate(block, context=context)
    except ValidationError as error:
        raise SettingsError(in_words(error, Settings)) from None
