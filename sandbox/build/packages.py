"""Bring the Debian packages of the sandbox onto the machine without starting a single public service."""

import importlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.build.cache import Report, Runner, ToolError, which

SECONDS = 45
MEGABYTES = 500


@dataclass(frozen=True)
class Package:
    """A Debian package, how to see that it is there, and the service it would start if it were let."""

    name: str
    command: str = ""
    module: str = ""
    file: str = ""
    service: str = ""

    def present(self) -> bool:
        """Whether the machine has what this package is wanted for, from wherever it came."""
        if self.module:
            return importlib.util.find_spec(self.module) is not None
        return Path(self.file).exists() if self.file else which(self.command) is not None


NEEDED = (
    Package("inspircd", command="inspircd", service="inspircd"),
    Package("atheme-services", command="atheme-services", service="atheme-services"),
    Package("openssh-server", command="sshd", service="ssh"),
    Package("openssh-client", command="ssh-keygen"),
    Package("docker-registry", command="docker-registry", service="docker-registry"),
    Package("git", command="git"),
    Package("openssl", command="openssl"),
    Package("util-linux", command="setpriv"),
    Package("python3-venv", module="ensurepip"),
    Package("ca-certificates", file="/etc/ssl/certs/ca-certificates.crt"),
)
MAVEN = Package("maven", command="mvn")

# One script for root and for sudo. The policy is put back on every way out, and so is one a killed run left.
_INSTALL = r"""
set -eu
policy=/usr/sbin/policy-rc.d
saved=$policy.before-quarterdeck
services=$1; shift
restore() {
    if [ -e "$saved" ]; then mv -f "$saved" "$policy"
    elif grep -qs 'quarterdeck sandbox' "$policy"; then rm -f "$policy"; fi
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
restore
if [ -e "$policy" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\n# quarterdeck sandbox: nothing starts by being installed\nexit 101\n' > "$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=120 update
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
for service in $services; do
    if command -v systemctl > /dev/null; then systemctl disable "$service"
    else update-rc.d "$service" disable; fi || echo "$service could not be disabled"
done
"""


def missing(maven: bool) -> tuple[Package, ...]:
    """The packages still to be installed; Maven counts only while Gerrit has to be fetched."""
    return tuple(package for package in (*NEEDED, *((MAVEN,) if maven else ())) if not package.present())


def check_allowed(packages: Sequence[Package]) -> None:
    """Say at once, before anything long is begun, if these packages cannot be installed from here."""
    if not packages:
        return
    names = " ".join(package.name for package in packages)
    if not _is_bookworm():
        raise ToolError(f"Missing: {names}. Only on Debian 12 does the sandbox install them itself.")
    if _root_prefix() is None:
        raise ToolError(
            f"Debian packages are missing. Install them (apt will start their services):\n"
            f"  sudo apt-get update && sudo apt-get install --no-install-recommends {names}\n"
            f"or set SANDBOX_INSTALL=1 to let the sandbox do it with sudo and keep every service off."
        )


def install(packages: Sequence[Package], runner: Runner, report: Report) -> None:
    """Install the packages with every service start denied, and keep the services off at the next boot."""
    names = [package.name for package in packages]
    services = " ".join(package.service for package in packages if package.service)
    report(f"Installing Debian packages (their services are neither started nor enabled): {' '.join(names)}")
    command = [*(_root_prefix() or ()), "sh", "-c", _INSTALL, "install", services, *names]
    runner.run("Debian packages", command, steady=True)
    importlib.invalidate_caches()
    still = [package.name for package in packages if not package.present()]
    if still:
        raise ToolError(f"Installed, but their programs cannot be found: {' '.join(still)}")


def _root_prefix() -> list[str] | None:
    """What to put before a command so that root runs it: nothing, sudo where that was allowed, or no way."""
    if os.geteuid() == 0:
        return []
    return ["sudo"] if os.environ.get("SANDBOX_INSTALL") == "1" and which("sudo") else None


def _is_bookworm() -> bool:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return False
    return "ID=debian" in lines and any(line.strip('"').startswith('VERSION_ID="12') for line in lines)
