"""Verify the story's effects where they are: in Gerrit, the registry, the cluster, the admin log and the pages."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sandbox.bot.config import NICK
from sandbox.servers.deploy_host import DeployHostEndpoint
from sandbox.story.play import SERVICE, Played, Story

PRODUCTION = ("codfw", "eqiad")
_IMAGE = f"wikimedia/mediawiki-services-{SERVICE}"


@dataclass(frozen=True)
class Check:
    """Something that must be so, and why it is not; empty if it is."""

    what: str
    problem: str = ""


class Checks:
    """Looks at the servers themselves; the bot is asked for nothing but its pages."""

    def __init__(self, story: Story) -> None:
        self._story, self._found = story, story.found
        host = story.found["deploy_host"]
        paths = {key: Path(host[key]) for key in ("key", "known_hosts", "charts")}
        self._host = DeployHostEndpoint(host=host["host"], port=host["port"], user=host["user"], **paths)

    def after_production(self) -> list[Check]:
        """What must be so when the good image is everywhere."""
        good = self._story.merged["good"].tag
        return [
            _check(f"registry: it has {good}", lambda: self._image(good)),
            _check("Gerrit: the charts name that tag, merged, requested by alice", lambda: self._merged(good)),
            *self.everywhere(good),
            *(self._logged(environment, "DONE") for environment in ("staging", *PRODUCTION)),
        ]

    def everywhere(self, tag: str) -> list[Check]:
        """One check for each environment's pods."""
        return [
            _check(f"cluster: {environment} runs {tag}", lambda e=environment: self._pods(e, tag))  # type: ignore[misc]
            for environment in ("staging", *PRODUCTION)
        ]

    def after_crash(self) -> list[Check]:
        """What must be so when helm has gone back and git has not."""
        good, bad = self._story.merged["good"].tag, self._story.merged["bad"].tag
        crash = self._story.played["crash"]
        return [
            _check("chat: the bot warned before the verdict", lambda: _warned(crash)),
            _check("chat: the verdict is FAILED", lambda: _is(crash.outcome, "FAILED")),
            _check(f"cluster: staging is back on {good}", lambda: self._pods("staging", good)),
            _check("cluster: helm's newest revision is a deployed one", lambda: self._release("staging")),
            _check("Gerrit: the charts still name the bad tag", lambda: _is(self._story.git_tag(), bad)),
            self._logged("staging", "FAILED"),
        ]

    def after_rollback(self) -> list[Check]:
        """What must be so at the end."""
        good = self._story.merged["good"].tag
        played = self._story.played
        return [
            _check("Gerrit: the way back is merged, requested by alice", lambda: self._merged(good, back=True)),
            *self.everywhere(good),
            _check("deploy host: helmfile diff is empty, git = cluster", self._no_diff),
            *(
                _check(f"page: /{played[name].number} says {state}", lambda n=name, s=state: self._page(n, s))  # type: ignore[misc]
                for name, state in (
                    ("staging", "SUCCEEDED"),
                    ("production", "SUCCEEDED"),
                    ("rollback", "SUCCEEDED"),
                )
            ),
        ]

    # Each of these gives the problem, empty if there is none.

    def _image(self, tag: str) -> str:
        url = f"{self._found['registry']['http'].rstrip('/')}/v2/{_IMAGE}/manifests/{tag}"
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        try:
            with urlopen(Request(url, method="HEAD", headers=accept), timeout=10):
                return ""
        except HTTPError as error:
            return f"the registry answers {error.code}"

    def _merged(self, tag: str, back: bool = False) -> str:
        """Our change that brought this tag: it names the person and the rollout in its footers."""
        if (now := self._story.git_tag()) != tag:
            return f"the branch says {now}"
        newest = self._story.charts_changes(1)
        if not newest:
            return "no change is merged"
        change = newest[0]
        commit = change["revisions"][change["current_revision"]]["commit"]
        number = self._story.played["rollback" if back else "staging"].number
        footers = [line for line in commit["message"].splitlines() if ": " in line]
        wanted = {"Requested-by:": "alice", "Rollout:": str(number), "Change-Id:": "I"}
        missing = [name for name, word in wanted.items() if not any(x.startswith(name) and word in x for x in footers)]
        if missing:
            return f"change {change['_number']} lacks {', '.join(missing)} in its message: {commit['message']!r}"
        bad = self._story.merged["bad"].short if back else ""
        return "" if bad in commit["message"] else f"change {change['_number']} does not name {bad}"

    def _pods(self, environment: str, tag: str) -> str:
        pods = [p for p in self._kubectl(environment, "pods") if "deletionTimestamp" not in p["metadata"]]
        statuses = [s for pod in pods for s in pod["status"].get("containerStatuses", ()) if _IMAGE in s["image"]]
        if not statuses:
            return "no pod runs"
        wrong = [s for s in statuses if not s["ready"] or not s["image"].endswith(f":{tag}")]
        return f"{len(wrong)} of {len(statuses)} pods: {wrong[0]['image']}" if wrong else ""

    def _release(self, environment: str) -> str:
        """Helm keeps its revisions as Secrets."""
        found = [s["metadata"]["labels"] for s in self._kubectl(environment, "secrets", "owner=helm")]
        newest = max(found, key=lambda labels: int(labels["version"]))
        return _is(newest["status"], "deployed")

    def _kubectl(self, environment: str, kind: str, selector: str = "") -> list[dict[str, Any]]:
        cluster = self._found["cluster"]
        argv = [cluster["kubectl"], "--kubeconfig", cluster["kubeconfig"], "-n", f"{SERVICE}-{environment}"]
        argv += ["get", kind, "-o", "json", *(["-l", selector] if selector else [])]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        return list(json.loads(done.stdout)["items"])

    def _no_diff(self) -> str:
        command = self._host.helmfile(SERVICE, "-e staging diff --detailed-exitcode", SUPPRESS_SAL="true")
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return "" if done.returncode == 0 else f"exit status {done.returncode}: {done.stdout[-300:]}"

    def _logged(self, environment: str, word: str) -> Check:
        def look() -> str:
            lines = Path(self._found["sal"]["log"]).read_text().splitlines()
            wanted = f"[{environment}] {word}"
            mine = [line for line in lines if wanted in line and f"/{SERVICE}:" in line]
            return "" if any("alice@" in line for line in mine) else f"no line of alice's with {wanted}"

        return _check(f"admin log: {environment} {word}, by alice", look)

    def _page(self, name: str, state: str) -> str:
        data = self.rollout(name)
        if data["state"] != state:
            return f"it says {data['state']}"
        with urlopen(f"{self._found['web']['http']}/{data['number']}", timeout=10) as reply:
            text = reply.read().decode()
        return "" if f"#{data['number']} " in text and SERVICE in text else f"the page does not show it: {text[:200]!r}"

    def rollout(self, name: str) -> dict[str, Any]:
        """What the page says of a played rollout, as data."""
        url = f"{self._found['web']['http']}/{self._story.played[name].number}.json"
        with urlopen(url, timeout=10) as reply:
            found: dict[str, Any] = json.load(reply)
        return found


def _check(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, look())
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        return Check(what, f"cannot be seen: {error!r}")


def _is(found: str, wanted: str) -> str:
    return "" if found == wanted else f"it is {found or 'nothing'}, not {wanted}"


def _warned(played: Played) -> str:
    bad = [said for said in played.lines if "looks bad" in said.text and said.nick == NICK]
    return "" if bad and bad[0].at < played.verdict.at else "no warning came"


def problems(checks: list[Check]) -> Mapping[str, str]:
    """Those that do not hold, with why."""
    return {check.what: check.problem for check in checks if check.problem}
