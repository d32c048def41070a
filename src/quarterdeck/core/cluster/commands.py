"""The command lines for the deploy host: what the bot asks there, and what a person types for the same as a job.

All words that come from outside are quoted here and in `jobs`, nowhere else. POSIX sh, git, coreutils, sed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.ports.host import Release

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
#: no colours, no questions, no looking for newer versions
_QUIET = {"NO_COLOR": "1", "HELM_DIFF_COLOR": "false", "TERM": "dumb", "LC_ALL": "C"}
_QUIET["HELMFILE_UPGRADE_NOTICE_DISABLED"] = "1"


@dataclass(frozen=True)
class HostPaths:
    """Where things lie on the deploy host.

    Attributes:
        charts: the checkout of the charts repository; absolute, or from `~/`.
        jobs_dir: the runner's folder of jobs; our locks lie beside it in `locks`.
        services_dir: where the services' directories lie in the charts repository.
        env: exported before everything (KUBECONFIG_DIR, HELM_PLUGINS, PATH …); values are taken as they stand.
        view: kubeconfig that can only read; `{dir}` (KUBECONFIG_DIR), `{service}` and `{environment}` are filled in.
        deploy: kubeconfig helmfile deploys with; helm needs it to read releases.
    """

    charts: str
    jobs_dir: str
    services_dir: str = "helmfile.d/services"
    env: Mapping[str, str] = field(default_factory=dict)
    view: str = "{dir}/{service}-{environment}.config"
    deploy: str = "{dir}/{service}-deploy-{environment}.config"

    def kubeconfig(self, template: str, service: str, environment: str) -> str:
        """A kubeconfig's path, quoted for the shell."""
        folder = self.env.get("KUBECONFIG_DIR", "/etc/kubernetes")
        return shell_path(template.format(dir=folder, service=checked(service), environment=checked(environment)))

    @property
    def git(self) -> str:
        """Git at the checkout, which another account may own."""
        path = shell_path(self.charts)
        return f"git -c safe.directory={path} -C {path}"

    def directory(self, service: str) -> str:
        """A service's directory below the root of the charts repository, unquoted."""
        return f"{self.services_dir}/{checked(service)}"

    def lock(self, service: str, environment: str) -> str:
        """The file of our host lock for a service and environment, quoted."""
        folder = self.jobs_dir.rstrip("/").rpartition("/")[0]
        return shell_path(f"{folder}/locks/{checked(service)}.{checked(environment)}.lock")

    def exports(self) -> str:
        """The lines that set the environment."""
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in {**_QUIET, **self.env}.items())


def checked(name: str) -> str:
    """A name of a service, environment or release, if it can be one.

    Raises:
        PermanentError: it holds characters that no such name has.
    """
    if not _NAME.fullmatch(name):
        raise PermanentError(f"{name!r} cannot be a name of a service, environment or release")
    return name


def shell_path(path: str) -> str:
    """A path quoted for the shell; `~/` at its beginning stays the home directory."""
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def checked_commit(commit: str) -> str:
    """A commit id, if it is a full one.

    Raises:
        PermanentError: it is not.
    """
    if not _COMMIT.fullmatch(commit):
        raise PermanentError(f"{commit!r} is no full commit id")
    return commit


def helmfile(environment: str, verb: str, *flags: str, releases: Sequence[str] = ()) -> str:
    """One helmfile command line; releases narrow it, none means all."""
    selectors = [word for release in releases for word in ("-l", f"name={checked(release)}")]
    return shlex.join(["helmfile", "--no-color", "-e", checked(environment), *selectors, verb, *flags])


def helmfile_diff(environment: str) -> str:
    """The full-context diff: Secret values are masked by helm-diff itself, all else is shown."""
    return helmfile(environment, "diff", "--detailed-exitcode", "--concurrency", "1")


def helmfile_apply(environment: str, releases: Sequence[str], mark: str) -> str:
    """Apply; *mark* goes on the release's Secret as label `quarterdeck`, also in pending and failed revisions."""
    flags = ["--suppress-secrets", "--context", "3"]
    if mark:
        flags += ["--sync-args", f"--labels quarterdeck={checked(mark)}"]
    return helmfile(environment, "apply", *flags, releases=releases)


def helm_list(paths: HostPaths, service: str, environment: str, namespace: str) -> str:
    """Revision and status of each release; the namespace stands in the shell text as it is given."""
    config = paths.kubeconfig(paths.deploy, service, environment)
    return f"helm list -a --output json --kubeconfig {config} --namespace {namespace}"


def position(paths: HostPaths) -> str:
    """Prints HEAD, the boot id, then why a pull may fail: a lock left behind, local commits, changed files."""
    return (
        "export GIT_OPTIONAL_LOCKS=0\n"
        f"{paths.git} rev-parse --verify HEAD || exit\n"
        "cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown\n"
        f"lock=$({paths.git} rev-parse --absolute-git-dir)/index.lock\n"
        '[ ! -e "$lock" ] || echo "$lock is there"\n'
        f"ahead=$({paths.git} rev-list --count '@{{upstream}}..HEAD' 2>/dev/null)\n"
        '[ "${ahead:-0}" = 0 ] || echo "$ahead local commits"\n'
        f"{paths.git} status --porcelain --untracked-files=no | head -n 1\n"
    )


def has_commit(paths: HostPaths, commit: str) -> str:
    """Exit status 0 if HEAD is the commit or comes after it, 1 if not, 128 if the commit is not known there."""
    return f"{paths.git} merge-base --is-ancestor {checked_commit(commit)} HEAD"


def list_live(paths: HostPaths, service: str, environment: str) -> str:
    """Prints helmfile's list of the checkout as it stands, then helm's list of each namespace."""
    return (
        f"{paths.exports()}cd {shell_path(paths.charts)}/{shlex.quote(paths.directory(service))} || exit\n"
        f"list=$({listing(environment)}) || exit 3\n"
        "printf '%s\\n' \"$list\"\n"
        f"for namespace in $(printf '%s' \"$list\" | {NAMESPACES}); do\n"
        f"    {helm_list(paths, service, environment, NAMESPACE)} || exit 4\n"
        "done\n"
    )


def describe(paths: HostPaths, service: str, environment: str, releases: Sequence[Release]) -> str:
    """Prints, for each release, three JSON documents: its name, its history, and its live revision's labels."""
    config = paths.kubeconfig(paths.deploy, service, environment)
    lines = [paths.exports()]
    for release in releases:
        name, where = checked(release.name), f"--kubeconfig {config} --namespace {shlex.quote(release.namespace)}"
        lines.append(
            f"echo '\"{name}\"'\n"
            f"helm history {name} --max 3 --output json {where} || exit 4\n"
            f"kubectl {where} get secret -l owner=helm,name={name},version={release.revision:d}"
            " -o 'jsonpath={.items[*].metadata.labels}' || :\n"
            "echo\n"
        )
    return "".join(lines)


def objects(paths: HostPaths, service: str, environment: str, namespace: str) -> str:
    """Prints what runs in a namespace as one JSON list, with the kubeconfig that can only read."""
    config = paths.kubeconfig(paths.view, service, environment)
    kinds = "deployments,statefulsets,daemonsets,replicasets,pods"
    return (
        f"{paths.exports()}kubectl --kubeconfig {config} --namespace {shlex.quote(namespace)} get {kinds} --output json"
    )


def listing(environment: str) -> str:
    """Helmfile's list of the releases of an environment, as JSON."""
    return helmfile(environment, "list", "--output", "json", "--skip-charts")


NAMESPACE = '"$namespace"'
NAMESPACES = """grep -o '"namespace": *"[^"]*"' | sed 's/.*"\\([^"]*\\)"$/\\1/' | sort -u"""


def by_hand(paths: HostPaths, service: str, environment: str, releases: Sequence[str] = ()) -> tuple[str, ...]:
    """The lines a person types on the host for the same."""
    flags = ("--context", "5", "--suppress-secrets")
    typed = (
        helmfile(environment, "diff", *flags, releases=releases),
        helmfile(environment, "apply", *flags, releases=releases),
        helmfile(environment, "status"),
    )
    return (
        *(f"export {name}={shlex.quote(value)}" for name, value in paths.env.items() if name != "SUPPRESS_SAL"),
        f"cd {shell_path(paths.charts)}/{shlex.quote(paths.directory(service))}",
        "git log -1 --oneline",
        *(line.replace(" --no-color", "") for line in typed),
    )
