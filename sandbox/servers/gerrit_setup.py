"""Fill a fresh Gerrit over its REST: accounts, groups, labels, rights, projects and their first commits."""

import os
import secrets as random
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sandbox import contents
from sandbox.servers.gerrit_rest import Gerrit, quoted
from sandbox.servers.supervisor import SandboxError, World

# Accounts that are programs log in by ssh too.
_PROGRAMS = {"quarterdeck": "Quarterdeck", "jenkins-bot": "jenkins-bot", "pipelinebot": "PipelineBot"}
_PEOPLE = {"alice": "Alice Example", "bob": "Bob Example", "sre1": "Sre One", "mallory": "Mallory Example"}
_WITH_KEY = ("admin", "quarterdeck", "jenkins-bot")
_DEPLOYERS = ("quarterdeck", "alice", "bob", "sre1")
_DEFAULT_PASSWORD = "secret"  # what `init --dev` gives the admin

# The parent of the code repositories: there the admin may vote Verified, so that a script can merge alone.
_CODE = "mediawiki"
_DATE = "2026-08-01T10:00:00+0000"

_VERIFIED_LABEL = {
    "commit_message": "Add Verified",
    "values": {"-1": "Fails", "0": "No score", "+1": "Checked", "+2": "Gate passed"},
    "function": "NoBlock",
    "copy_condition": "changekind:NO_CODE_CHANGE",
}
_VERIFIED_REQUIREMENT = {
    "name": "Verified",
    "description": "The CI has passed it",
    "submittability_expression": "label:Verified=MAX AND -label:Verified=MIN",
    "allow_override_in_child_projects": False,
}


def make_keys(world: World, folder: Path) -> Mapping[str, str]:
    """Make the ssh keys of the programs in the folder; gives the public ones."""
    public = {}
    for account in _WITH_KEY:
        path = folder / f"gerrit-{account}"
        world.run([world.tools.ssh_keygen, "-q", "-t", "ed25519", "-N", "", "-C", account, "-f", path])
        public[account] = path.with_suffix(".pub").read_text().strip()
    return public


def fill(world: World, url: str, folder: Path, keys: Mapping[str, str], seed: Path, merge: str) -> Mapping[str, str]:
    """Set everything up; gives the commit at the tip of each project.

    Args:
        world: where the sandbox lives.
        url: of Gerrit.
        folder: where the tokens are written, one file each.
        keys: public ssh keys by account.
        seed: what commit_all() made.
        merge: gate or submit, that is who submits charts changes.

    Raises:
        GerritError: something was refused.
        SandboxError: a push failed.
    """
    admin = _take_over(world, url, folder, keys["admin"])
    projects = [contents.CHARTS_PROJECT, *(entry.name for entry in contents.PROJECTS)]
    with ThreadPoolExecutor(max_workers=3) as pool:
        admin.put(f"projects/{_CODE}", {"permissions_only": True, "description": "Code of the services"})
        jobs: list[Callable[[], Any]] = [
            *(lambda account=account: _make_account(world, admin, folder, account, keys) for account in _accounts()),
            *(lambda name=name: _make_project(admin, name) for name in projects),
            lambda: _make_label(admin),
        ]
        _all(pool.map(lambda job: job(), jobs))
        _all(
            pool.map(
                lambda group: _make_group(admin, *group),
                (("Deployers", _DEPLOYERS), ("CI", ("jenkins-bot",))),
            )
        )
        _grant(admin, merge)
        heads = list(pool.map(lambda name: _push(world, admin, seed, name), projects))
    return dict(zip(projects, heads, strict=True))


def _all(results: Iterable[object]) -> None:
    """Wait for all; the first error is raised."""
    for _ in results:
        pass


def _accounts() -> tuple[str, ...]:
    return (*_PROGRAMS, *_PEOPLE)


def _take_over(world: World, url: str, folder: Path, key: str) -> Gerrit:
    """Give the admin a random token and an ssh key, and take the well-known password away."""
    first = Gerrit(url, "admin", _DEFAULT_PASSWORD)
    token = _token(world, folder, "admin")
    old = [entry["id"] for entry in first.get("accounts/self/tokens")]
    first.put("accounts/self/tokens/sandbox", {"token": token})
    admin = Gerrit(url, "admin", token)
    for entry in old:
        admin.delete(f"accounts/self/tokens/{quoted(entry)}")
    admin.post("accounts/self/sshkeys", key.encode())
    return admin


def _token(world: World, folder: Path, account: str) -> str:
    token = random.token_urlsafe(24)
    world.write(folder / f"gerrit-{account}.token", f"{token}\n", mode=0o600)
    return token


def _make_account(world: World, admin: Gerrit, folder: Path, account: str, keys: Mapping[str, str]) -> None:
    body: dict[str, object] = {
        "name": (_PROGRAMS | _PEOPLE)[account],
        "email": f"{account}@example.org",
        "tokens": [{"id": "sandbox", "token": _token(world, folder, account)}],
    }
    if account in _PROGRAMS:
        body["groups"] = ["Service Users"]
    if account in keys:
        body["ssh_key"] = keys[account]
    admin.put(f"accounts/{account}", body)


def _make_group(admin: Gerrit, name: str, members: tuple[str, ...]) -> None:
    admin.put(f"groups/{quoted(name)}", {"members": list(members)})


def _make_project(admin: Gerrit, name: str) -> None:
    body: dict[str, object] = {"submit_type": "REBASE_IF_NECESSARY", "branches": [contents.BRANCH]}
    if name != contents.CHARTS_PROJECT:
        body["parent"] = _CODE
    admin.put(f"projects/{quoted(name)}", body)


def _make_label(admin: Gerrit) -> None:
    admin.put("projects/All-Projects/labels/Verified", _VERIFIED_LABEL)
    admin.put("projects/All-Projects/submit_requirements/Verified", _VERIFIED_REQUIREMENT)


def _allow(*groups: str, least: int | None = None, most: int | None = None) -> dict[str, object]:
    rule: dict[str, object] = {"action": "ALLOW"}
    if most is not None:
        rule |= {"min": least, "max": most}
    return {"rules": dict.fromkeys(groups, rule)}


def _grant(admin: Gerrit, merge: str) -> None:
    """Verified and submit belong to the CI; in submit mode the deployers may submit charts changes too."""
    everywhere = {
        "push": _allow("Administrators"),
        "submit": _allow("CI"),
        "label-Code-Review": {"label": "Code-Review", **_allow("Deployers", least=-2, most=2)},
        "label-Verified": {"label": "Verified", **_allow("CI", least=-1, most=2)},
        "abandon": _allow("Deployers"),
        "revert": _allow("Deployers"),
    }
    batch: dict[str, object] = {"priority": {"rules": {"Service Users": {}}}}
    _access(admin, "All-Projects", {"refs/heads/*": everywhere}, {"GLOBAL_CAPABILITIES": batch})
    code = {"label-Verified": {"label": "Verified", **_allow("Administrators", least=-1, most=2)}}
    _access(admin, _CODE, {"refs/heads/*": code})
    if merge == "submit":
        _access(admin, contents.CHARTS_PROJECT, {"refs/heads/*": {"submit": _allow("Deployers")}})


def _access(admin: Gerrit, project: str, add: Mapping[str, object], remove: Mapping[str, object] | None = None) -> None:
    def sections(given: Mapping[str, object]) -> dict[str, object]:
        return {ref: {"permissions": permissions} for ref, permissions in given.items()}

    body = {"message": "Set up the sandbox", "add": sections(add), "remove": sections(remove or {})}
    admin.post(f"projects/{quoted(project)}/access", body)


def commit_all(world: World, seed: Path) -> None:
    """Make the first commit of every project, in repositories of their own; needs no server yet."""
    for entry in (None, *contents.PROJECTS):
        folder = _folder(seed, entry.name if entry else contents.CHARTS_PROJECT)
        folder.mkdir()
        if entry is None:
            contents.write_charts(folder)
        else:
            contents.write_service(entry, folder)
        _git(world, folder, "init", "-q", "-b", contents.BRANCH)
        _git(world, folder, "add", "-A")
        _git(world, folder, "commit", "-q", "-m", "Begin")


def _folder(seed: Path, project: str) -> Path:
    return seed / project.replace("/", "-")


def _push(world: World, admin: Gerrit, seed: Path, project: str) -> str:
    folder = _folder(seed, project)
    header = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: {admin.basic}",
    }
    _git(
        world,
        folder,
        "push",
        "-q",
        f"{admin.url}/a/{project}",
        f"HEAD:refs/heads/{contents.BRANCH}",
        env=header,
    )
    return _git(world, folder, "rev-parse", "HEAD").strip()


def _git(world: World, folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    environment = {
        **world.environment(),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Alice Example",
        "GIT_AUTHOR_EMAIL": "alice@example.org",
        "GIT_COMMITTER_NAME": "Administrator",
        "GIT_COMMITTER_EMAIL": "admin@example.com",
        "GIT_AUTHOR_DATE": _DATE,
        "GIT_COMMITTER_DATE": _DATE,
        **(env or {}),
    }
    command = [os.fspath(world.tools.git), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise SandboxError(f"git {arguments[0]} in {folder.name} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout
