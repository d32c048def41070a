"""The shell text for the deploy host: what the bot runs there and what a person types for the same.

Scripts run under the runner with their job's folder as working directory and leave their results there as files.
All words that come from outside are quoted here and nowhere else. POSIX sh, git, coreutils, awk, util-linux.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.ports.host import Release

#: exit statuses of our own; in all four nothing was applied
UNREADY = 74  #: the host could not read or write what the job needs; the log says what
HELD = 75  #: somebody holds the host lock of this service and environment; the log names the holder
DIFFERS = 76  #: the diff is not the one that was shown; the new one is the job's `diff`
MOVED = 77  #: a release is pending, or at another revision than pinned; the log says which
#: the file an apply job makes right before it lets helmfile apply: without it nothing was touched
APPLYING = "applying"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: no colours, no questions, no looking for newer versions
_QUIET = {"NO_COLOR": "1", "HELM_DIFF_COLOR": "false", "TERM": "dumb", "LC_ALL": "C"}
_QUIET["HELMFILE_UPGRADE_NOTICE_DISABLED"] = "1"


@dataclass(frozen=True)
class Place:
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


def _checked_commit(commit: str) -> str:
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


def helm_list(place: Place, service: str, environment: str, namespace: str) -> str:
    """Revision and status of each release; the namespace stands in the shell text as it is given."""
    config = place.kubeconfig(place.deploy, service, environment)
    return f"helm list -a --output json --kubeconfig {config} --namespace {namespace}"


def position(place: Place) -> str:
    """Prints HEAD, the boot id, then why a pull may fail: a lock left behind, local commits, changed files."""
    return (
        "export GIT_OPTIONAL_LOCKS=0\n"
        f"{place.git} rev-parse --verify HEAD || exit\n"
        "cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown\n"
        f"lock=$({place.git} rev-parse --absolute-git-dir)/index.lock\n"
        '[ ! -e "$lock" ] || echo "$lock is there"\n'
        f"ahead=$({place.git} rev-list --count '@{{upstream}}..HEAD' 2>/dev/null)\n"
        '[ "${ahead:-0}" = 0 ] || echo "$ahead local commits"\n'
        f"{place.git} status --porcelain --untracked-files=no | head -n 1\n"
    )


def has_commit(place: Place, commit: str) -> str:
    """Exit status 0 if HEAD is the commit or comes after it, 1 if not, 128 if the commit is not known there."""
    return f"{place.git} merge-base --is-ancestor {_checked_commit(commit)} HEAD"


def list_live(place: Place, service: str, environment: str) -> str:
    """Prints helmfile's list of the checkout as it stands, then helm's list of each namespace."""
    return (
        f"{place.exports()}cd {shell_path(place.charts)}/{shlex.quote(place.directory(service))} || exit\n"
        f"list=$({_listing(environment)}) || exit 3\n"
        "printf '%s\\n' \"$list\"\n"
        f"for namespace in $(printf '%s' \"$list\" | {_NAMESPACES}); do\n"
        f"    {helm_list(place, service, environment, _NAMESPACE)} || exit 4\n"
        "done\n"
    )


def describe(place: Place, service: str, environment: str, releases: Sequence[Release]) -> str:
    """Prints, for each release, three JSON documents: its name, its history, and its live revision's labels."""
    config = place.kubeconfig(place.deploy, service, environment)
    lines = [place.exports()]
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


def objects(place: Place, service: str, environment: str, namespace: str) -> str:
    """Prints what runs in a namespace as one JSON list, with the kubeconfig that can only read."""
    config = place.kubeconfig(place.view, service, environment)
    kinds = "deployments,statefulsets,daemonsets,replicasets,pods"
    return (
        f"{place.exports()}kubectl --kubeconfig {config} --namespace {shlex.quote(namespace)} get {kinds} --output json"
    )


def _listing(environment: str) -> str:
    return helmfile(environment, "list", "--output", "json", "--skip-charts")


_NAMESPACE = '"$namespace"'
_NAMESPACES = """grep -o '"namespace": *"[^"]*"' | sed 's/.*"\\([^"]*\\)"$/\\1/' | sort -u"""

#: $job is the job's folder; a stop waits for the command in hand and ends the script before the next effect
_PRELUDE = """\
set -u
umask 077
job=$PWD
stopped=
trap 'stopped=130' INT
trap 'stopped=143' TERM
fail() {
    printf 'quarterdeck: %s\\n' "$2" >&2
    exit "${stopped:-$1}"
}
"""
# A full disk must not pass for a short diff: cat fails where helmfile may not notice.
_FUNCTIONS = """\
list() {
    @list@ >"$job/releases.json" || fail 74 'helmfile list failed'
}
revisions() {
    for namespace in $(cat "$job/releases.json" | @namespaces@); do
        @helm_list@ || return
    done
}
take_diff() {
    rm -f "$job/diff.status"
    { @diff@; printf '%s\\n' $? >"$job/diff.status"; } | cat >"$job/diff" || fail 74 'the diff could not be written'
    read -r status <"$job/diff.status" || fail 74 'the diff was cut short'
    [ "$status" = 0 ] || [ "$status" = 2 ] || fail 74 "helmfile diff ended with $status"
}
digest() { sha256sum | cut -d ' ' -f 1; }
part() { # of one release; lines of objects are indented or signed, so they never look like these headings
    awk -v "name=$1" '/^Comparing release=/ { on = index($0, "Comparing release=" name ",") == 1 } on' "$job/diff"
}
digests() {
    digest <"$job/diff" >"$job/diff.sha256" || fail 74 'the digest could not be written'
    sed -n 's/^Comparing release=\\([^,]*\\),.*/\\1/p' "$job/diff" | while read -r release; do
        printf '%s %s\\n' "$release" "$(part "$release" | digest)"
    done >"$job/diff.releases" || fail 74 'the digests could not be written'
}
"""


def _functions(place: Place, service: str, environment: str) -> str:
    words = {
        "@list@": _listing(environment),
        "@namespaces@": _NAMESPACES,
        "@helm_list@": helm_list(place, service, environment, _NAMESPACE),
        "@diff@": helmfile_diff(environment),
    }
    text = _FUNCTIONS
    for mark, word in words.items():
        text = text.replace(mark, word)
    return _PRELUDE + text + place.exports()


def diff_script(
    place: Place, service: str, environment: str, commit: str, overlay: Mapping[str, bytes] = MappingProxyType({})
) -> str:
    """Job script: export the commit into the job's folder, lay the overlay's files over it, and diff it there.

    Leaves `export/` (the whole tree), `releases.json` (helmfile list), `revisions.json` (helm list, one array a
    namespace), `diff` (stdout, full context), `diff.status` (0 or 2), `diff.sha256`, and `diff.releases` (lines
    `RELEASE SHA256`, of each release's part). Exit status 0 when the diff was taken, UNREADY when not, 130 or 143
    when stopped.
    """
    commit = _checked_commit(commit)
    return (
        f"# quarterdeck: diff of {checked(service)} in {checked(environment)}\n"
        f"{_functions(place, service, environment)}"
        f"{place.git} cat-file -e '{commit}^{{commit}}' || fail 74 'the checkout has no commit {commit}'\n"
        "rm -rf export export.failed\n"
        "mkdir export || fail 74 'no room for the export'\n"
        f"{{ {place.git} archive --format=tar {commit} || : >export.failed; }} | tar -xf - -C export &&"
        " [ ! -e export.failed ] || fail 74 'the commit could not be exported'\n"
        f"{_laid_over(overlay)}"
        f"cd export/{shlex.quote(place.directory(service))} || fail 74 'no such service at this commit'\n"
        "list\n"
        "revisions >\"$job/revisions.json\" || fail 74 'helm list failed'\n"
        "take_diff\n"
        "digests\n"
        'exit "${stopped:-0}"\n'
    )


def _laid_over(overlay: Mapping[str, bytes]) -> str:
    """Writes edited files into the export, byte for byte."""
    lines = []
    for path, content in sorted(overlay.items()):
        if path.startswith("/") or ".." in path.split("/"):
            raise PermanentError(f"{path!r} is no path in the charts repository")
        word = shlex.quote(f"export/{path}")
        text = base64.b64encode(content).decode()
        made = f'mkdir -p "$(dirname {word})" && base64 -d >{word}'
        lines.append(f"{made} <<'END' || fail 74 'no room for the edit'\n{text}\nEND\n")
    return "".join(lines)


@dataclass(frozen=True)
class Apply:
    """What an apply job is to do.

    Attributes:
        releases: those of this stage; none means all.
        export: folder on the host that the diff job exported to.
        digest: SHA-256 the whole diff must have; not compared where `parts` has every release of the stage.
        parts: release -> SHA-256 of its part of the diff, so that a stage before may have changed other parts.
        revisions: release -> live revision it must be at; 0 is not installed.
        mark: label on the releases' new revisions.
        note: who we are, for whoever meets our lock.
    """

    service: str
    environment: str
    releases: tuple[str, ...]
    export: str
    digest: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)
    mark: str = ""
    note: str = ""


def apply_script(place: Place, order: Apply) -> str:
    """Job script: take our host lock, diff again from the same export, compare, apply.

    Exit status: helmfile's own once it was let loose (the file `applying` is there then; 74 to 77 of helmfile's
    become 1); before that UNREADY, HELD, DIFFERS, MOVED, or 130 and 143 when stopped. Leaves `diff`, `diff.status`,
    `diff.sha256` and `diff.releases` of the second diff, `releases.json`, `revisions.before` and, after the apply,
    `revisions.json`. The lock's descriptor is inherited by helmfile and helm on purpose.
    """
    lock = place.lock(order.service, order.environment)
    command = helmfile_apply(order.environment, order.releases, order.mark)
    directory = f"{shell_path(order.export)}/{shlex.quote(place.directory(order.service))}"
    return (
        f"# quarterdeck: apply of {checked(order.service)} in {checked(order.environment)}\n"
        f"{_functions(place, order.service, order.environment)}"
        f"lock={lock}\n"
        'mkdir -p "${lock%/*}" && true >>"$lock" && exec 8>>"$lock" || fail 74 "no lock at $lock"\n'
        'flock -n 8 || fail 75 "held by $(head -c 200 "$lock")"\n'
        f'printf \'%s since %s\\n\' {shlex.quote(order.note or "quarterdeck")} "$(date -u +%FT%TZ)" >"$lock"\n'
        f"cd {directory} || fail 74 'the export of the diff is gone'\n"
        "list\n"
        "take_diff\n"
        "digests\n"
        f"{_compare(order)}"
        "revisions >\"$job/revisions.before\" || fail 74 'helm list failed'\n"
        f"{_pins(order)}"
        '[ -z "$stopped" ] || fail 1 stopped\n'
        f"true >\"$job/{APPLYING}\" || fail 74 'the disk is full'\n"
        f"SUPPRESS_SAL=true {command}\n"
        "code=$?\n"
        "case $code in 74 | 75 | 76 | 77) code=1 ;; esac\n"
        'revisions >"$job/.revisions" && mv "$job/.revisions" "$job/revisions.json"\n'
        'exit "$code"\n'
    )


def _compare(order: Apply) -> str:
    if order.releases and all(release in order.parts for release in order.releases):
        return "".join(
            f'[ "$(part {checked(release)} | digest)" = {_checked_digest(order.parts[release])} ] ||'
            f" fail 76 'the diff of {release} is not the one that was shown'\n"
            for release in order.releases
        )
    return (
        f'read -r now <"$job/diff.sha256"\n[ "$now" = {_checked_digest(order.digest)} ] ||'
        " fail 76 'the diff is not the one that was shown'\n"
    )


def _checked_digest(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise PermanentError("an apply needs the digest of the diff that was shown")
    return digest


_PINNED = """\
live() { # RELEASE KEY: helm list prints flat objects
    tr -d '\\n' <"$job/revisions.before" | tr '{}' '\\n\\n' | grep "\\"name\\": *\\"$1\\"" |
        sed -n "s/.*\\"$2\\": *\\"\\{0,1\\}\\([a-z0-9-]*\\).*/\\1/p"
}
pinned() { # RELEASE REVISION, or - for any
    case $(live "$1" status) in pending-*) fail 77 "$1 is $(live "$1" status)" ;; esac
    now=$(live "$1" revision)
    [ "$2" = - ] || [ "${now:-0}" = "$2" ] || fail 77 "$1 is at revision ${now:-0}, not $2"
}
"""


def _pins(order: Apply) -> str:
    names = order.releases or tuple(order.revisions)
    return _PINNED + "".join(f"pinned {checked(name)} {order.revisions.get(name, '-')}\n" for name in names)


def by_hand(place: Place, service: str, environment: str, releases: Sequence[str] = ()) -> tuple[str, ...]:
    """The lines a person types on the host for the same."""
    flags = ("--context", "5", "--suppress-secrets")
    typed = (
        helmfile(environment, "diff", *flags, releases=releases),
        helmfile(environment, "apply", *flags, releases=releases),
        helmfile(environment, "status"),
    )
    return (
        *(f"export {name}={shlex.quote(value)}" for name, value in place.env.items() if name != "SUPPRESS_SAL"),
        f"cd {shell_path(place.charts)}/{shlex.quote(place.directory(service))}",
        "git log -1 --oneline",
        *(line.replace(" --no-color", "") for line in typed),
    )
