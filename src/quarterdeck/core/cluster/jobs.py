"""The job scripts for the deploy host: a diff of an export, and an apply that diffs again and compares.

Scripts run under the runner with their job's folder as working directory and leave their results there as files.
All words that come from outside are quoted here and in `commands`, nowhere else. POSIX sh, git, coreutils, awk,
util-linux.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from quarterdeck.core.cluster.commands import (
    NAMESPACE,
    NAMESPACES,
    HostPaths,
    checked,
    checked_commit,
    helm_list,
    helmfile_apply,
    helmfile_diff,
    listing,
    shell_path,
)
from quarterdeck.core.model.errors import PermanentError

#: exit statuses of our own; in all four nothing was applied
UNREADY = 74  #: the host could not read or write what the job needs; the log says what
HELD = 75  #: somebody holds the host lock of this service and environment; the log names the holder
DIFFERS = 76  #: the diff is not the one that was shown; the new one is the job's `diff`
MOVED = 77  #: a release is pending, or at another revision than pinned; the log says which
#: the file an apply job makes right before it lets helmfile apply: without it nothing was touched
APPLYING = "applying"

_DIGEST = re.compile(r"[0-9a-f]{64}")

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


def _functions(paths: HostPaths, service: str, environment: str) -> str:
    words = {
        "@list@": listing(environment),
        "@namespaces@": NAMESPACES,
        "@helm_list@": helm_list(paths, service, environment, NAMESPACE),
        "@diff@": helmfile_diff(environment),
    }
    text = _FUNCTIONS
    for mark, word in words.items():
        text = text.replace(mark, word)
    return _PRELUDE + text + paths.exports()


def diff_script(
    paths: HostPaths, service: str, environment: str, commit: str, overlay: Mapping[str, bytes] = MappingProxyType({})
) -> str:
    """Job script: export the commit into the job's folder, lay the overlay's files over it, and diff it there.

    Leaves `export/` (the whole tree), `releases.json` (helmfile list), `revisions.json` (helm list, one array a
    namespace), `diff` (stdout, full context), `diff.status` (0 or 2), `diff.sha256`, and `diff.releases` (lines
    `RELEASE SHA256`, of each release's part). Exit status 0 when the diff was taken, UNREADY when not, 130 or 143
    when stopped.
    """
    commit = checked_commit(commit)
    return (
        f"# quarterdeck: diff of {checked(service)} in {checked(environment)}\n"
        f"{_functions(paths, service, environment)}"
        f"{paths.git} cat-file -e '{commit}^{{commit}}' || fail 74 'the checkout has no commit {commit}'\n"
        "rm -rf export export.failed\n"
        "mkdir export || fail 74 'no room for the export'\n"
        f"{{ {paths.git} archive --format=tar {commit} || : >export.failed; }} | tar -xf - -C export &&"
        " [ ! -e export.failed ] || fail 74 'the commit could not be exported'\n"
        f"{_laid_over(overlay)}"
        f"cd export/{shlex.quote(paths.directory(service))} || fail 74 'no such service at this commit'\n"
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
class ApplyJob:
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


def apply_script(paths: HostPaths, job: ApplyJob) -> str:
    """Job script: take our host lock, diff again from the same export, compare, apply.

    Exit status: helmfile's own once it was let loose (the file `applying` is there then; 74 to 77 of helmfile's
    become 1); before that UNREADY, HELD, DIFFERS, MOVED, or 130 and 143 when stopped. Leaves `diff`, `diff.status`,
    `diff.sha256` and `diff.releases` of the second diff, `releases.json`, `revisions.before` and, after the apply,
    `revisions.json`. The lock's descriptor is inherited by helmfile and helm on purpose.
    """
    lock = paths.lock(job.service, job.environment)
    command = helmfile_apply(job.environment, job.releases, job.mark)
    directory = f"{shell_path(job.export)}/{shlex.quote(paths.directory(job.service))}"
    return (
        f"# quarterdeck: apply of {checked(job.service)} in {checked(job.environment)}\n"
        f"{_functions(paths, job.service, job.environment)}"
        f"lock={lock}\n"
        'mkdir -p "${lock%/*}" && true >>"$lock" && exec 8>>"$lock" || fail 74 "no lock at $lock"\n'
        'flock -n 8 || fail 75 "held by $(head -c 200 "$lock")"\n'
        f'printf \'%s since %s\\n\' {shlex.quote(job.note or "quarterdeck")} "$(date -u +%FT%TZ)" >"$lock"\n'
        f"cd {directory} || fail 74 'the export of the diff is gone'\n"
        "list\n"
        "take_diff\n"
        "digests\n"
        f"{_compare(job)}"
        "revisions >\"$job/revisions.before\" || fail 74 'helm list failed'\n"
        f"{_pins(job)}"
        '[ -z "$stopped" ] || fail 1 stopped\n'
        f"true >\"$job/{APPLYING}\" || fail 74 'the disk is full'\n"
        f"SUPPRESS_SAL=true {command}\n"
        "code=$?\n"
        "case $code in 74 | 75 | 76 | 77) code=1 ;; esac\n"
        'revisions >"$job/.revisions" && mv "$job/.revisions" "$job/revisions.json"\n'
        'exit "$code"\n'
    )


def _compare(job: ApplyJob) -> str:
    if job.releases and all(release in job.parts for release in job.releases):
        return "".join(
            f'[ "$(part {checked(release)} | digest)" = {_checked_digest(job.parts[release])} ] ||'
            f" fail 76 'the diff of {release} is not the one that was shown'\n"
            for release in job.releases
        )
    return (
        f'read -r now <"$job/diff.sha256"\n[ "$now" = {_checked_digest(job.digest)} ] ||'
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


def _pins(job: ApplyJob) -> str:
    names = job.releases or tuple(job.revisions)
    return _PINNED + "".join(f"pinned {checked(name)} {job.revisions.get(name, '-')}\n" for name in names)
