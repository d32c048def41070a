"""Run the deploy host: sshd, the charts checkout that follows Gerrit, helmfile and what belongs to it.

Sessions get their environment from sshd's SetEnv, so even a command without login sees all of it:
KUBECONFIG_DIR (`<service>-<env>.config` reads, `<service>-deploy-<env>.config` writes), HELMFILE_DEFAULTS
(the host's own values), HELM_PLUGINS, SAL_HOST and SAL_PORT, and a PATH with helmfile, helm, kubectl,
kube_env and helmfile_log_sal.
"""

import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import contents
from sandbox.servers.registry import RegistryEndpoint
from sandbox.servers.sal import SalEndpoint
from sandbox.servers.supervisor import Supervisor, World
from sandbox.world import HERE

NAME = "deploy1"
_PULL_SECONDS = 2
_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "HOME": "/"}


@dataclass(frozen=True)
class DeployHostEndpoint:
    """How to log in, and where the charts are there."""

    host: str
    port: int
    user: str
    key: Path
    """The private key."""
    known_hosts: Path
    charts: Path
    """The checkout."""

    def ssh(self, command: str) -> list[str]:
        """The command line that runs a shell command there."""
        return [
            *("ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"),
            *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.known_hosts}"),
            *("-o", "GlobalKnownHostsFile=/dev/null", "-i", str(self.key), "-p", str(self.port)),
            *(f"{self.user}@{self.host}", command),
        ]

    def helmfile(self, service: str, arguments: str, **environment: str) -> list[str]:
        """The command line that runs helmfile for a service there, with more in its environment."""
        folder = shlex.quote(str(self.charts / "helmfile.d" / "services" / service))
        pairs = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        return self.ssh(f"cd {folder} && exec env {pairs} helmfile --no-color {arguments}")


def start(world: World, supervisor: Supervisor, registry: RegistryEndpoint, sal: SalEndpoint) -> DeployHostEndpoint:
    """Lay out the host and start its sshd; the charts come with follow_charts()."""
    host = world.folder("host")
    secrets = world.folder("secrets", mode=0o700)
    keygen: list[str | Path] = [world.tools.ssh_keygen, "-q", "-t", "ed25519", "-N", ""]
    key, host_key = secrets / "deploy-host", world.folder("host", "sshd", mode=0o700) / "host_key"
    world.run([*keygen, "-C", "quarterdeck", "-f", key])
    world.run([*keygen, "-C", NAME, "-f", host_key])
    port = world.port("deploy-host")
    public = " ".join(host_key.with_suffix(".pub").read_text().split()[:2])
    made = DeployHostEndpoint(
        host="127.0.0.1",
        port=port,
        user=world.user_name,
        key=key,
        known_hosts=world.write(secrets / "deploy-host-known_hosts", f"[127.0.0.1]:{port} {public}\n"),
        charts=host / "srv" / "deployment-charts",
    )
    _lay_out(world, registry)
    world.write(host / "sshd" / "authorized_keys", key.with_suffix(".pub").read_text(), 0o600)
    environment = session_environment(world, host, sal)
    config = world.write(host / "sshd" / "sshd_config", _sshd_config(world, host, port, environment))
    child = supervisor.spawn("sshd", [world.tools.sshd, "-D", "-e", "-f", config])
    supervisor.wait_ready(child, lambda: _greets(port), 20)
    return made


def follow_charts(world: World, supervisor: Supervisor, host: DeployHostEndpoint, gerrit_http: str) -> None:
    """Clone the charts from Gerrit, and keep pulling; as root both are a second account's."""
    folder = host.charts.parent
    world.folder("host", "srv")
    if world.puller is not None:
        world.give(folder, world.puller)
    url = f"{gerrit_http}/{contents.CHARTS_PROJECT}"
    clone = ("clone", "--quiet", "--branch", contents.BRANCH, url, host.charts)
    world.run([world.tools.git, *clone], env=_GIT, user=world.puller)
    program = world.root / "host" / "bin" / "git_pull_charts"
    supervisor.spawn("charts-pull", [program, host.charts, str(_PULL_SECONDS)], env=_GIT, user=world.puller)


def session_environment(world: World, host: Path, sal: SalEndpoint) -> Mapping[str, str]:
    """What every session on the host has in its environment."""
    home = host / "home"
    return {
        "HOME": str(home),
        "HOSTNAME": NAME,
        "PATH": f"{host / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "TMPDIR": str(host / "tmp"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "KUBECONFIG_DIR": str(host / "etc" / "kubernetes"),
        "KUBE_ENV_PROFILE": str(host / "etc" / "profile.d" / "kube-env.sh"),
        "ENV": str(host / "etc" / "profile.d" / "kube-env.sh"),
        "HELMFILE_DEFAULTS": str(host / "etc" / "helmfile-defaults"),
        "HELM_PLUGINS": str(world.tools.helm_plugins),
        "HELM_CACHE_HOME": str(home / ".cache" / "helm"),
        "HELM_CONFIG_HOME": str(home / ".config" / "helm"),
        "HELM_DATA_HOME": str(home / ".local" / "share" / "helm"),
        "HELMFILE_UPGRADE_NOTICE_DISABLED": "1",
        "SAL_HOST": sal.host,
        "SAL_PORT": str(sal.port),
    }


def _lay_out(world: World, registry: RegistryEndpoint) -> None:
    for parts in (("home",), ("tmp",), ("etc", "kubernetes")):
        world.folder("host", *parts)
    programs = world.folder("host", "bin")
    for script in sorted((HERE / "servers" / "host" / "bin").iterdir()):
        world.write(programs / script.name, script.read_text(), 0o755)
    for tool in (world.tools.helmfile, world.tools.helm, world.tools.kubectl):
        (programs / tool.name).symlink_to(tool)
    profile = world.folder("host", "etc", "profile.d") / "kube-env.sh"
    world.write(profile, (HERE / "servers" / "host" / "profile.d" / "kube-env.sh").read_text())
    defaults = world.folder("host", "etc", "helmfile-defaults")
    for path, text in contents.host_files(registry.address).items():
        folder = world.folder("host", "etc", "helmfile-defaults", *Path(path).parent.parts)
        mode = 0o640 if folder != defaults or "token" in path else 0o644
        world.write(folder / Path(path).name, text, mode)


def _sshd_config(world: World, host: Path, port: int, environment: Mapping[str, str]) -> str:
    pairs = " ".join(f'"{name}={value}"' for name, value in environment.items())
    return f"""\
ListenAddress 127.0.0.1
Port {port}
HostKey {host}/sshd/host_key
AuthorizedKeysFile {host}/sshd/authorized_keys
AuthenticationMethods publickey
AllowUsers {world.user_name}
PidFile none
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
X11Forwarding no
AllowTcpForwarding no
MaxStartups 100
MaxSessions 100
LogLevel INFO
Subsystem sftp internal-sftp
SetEnv {pairs}
"""


def _greets(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
        return peer.recv(4) == b"SSH-"
