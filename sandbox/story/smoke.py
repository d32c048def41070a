"""Do one whole deployment by hand, without any bot, and say how long each step took."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sandbox import contents, endpoints
from sandbox.servers.deploy_host import DeployHostEndpoint
from sandbox.servers.gerrit_rest import Gerrit, GerritError, approve, create_change, quoted
from sandbox.world import SandboxError

SERVICE = "citoid"
ENVIRONMENT = "staging"
_PROJECT = f"mediawiki/services/{SERVICE}"
_VALUES = f"helmfile.d/services/{SERVICE}/values.yaml"
_PIPELINE = re.compile(r"pipeline-build-result: (\w+)[^\n]*(?:\n\nIMAGE:\n (\S+))?")
_START_SECONDS = 900
_QUICK_SECONDS = 5


class Smoke:
    """The steps, in their order; each raises SandboxError when the thing it waits for does not come."""

    def __init__(self, found: dict[str, Any]) -> None:
        self._found = found
        gerrit = found["gerrit"]
        self._admin = Gerrit(gerrit["http"], gerrit["admin"], gerrit["password"])
        token = Path(gerrit["token_file"]).read_text().strip()
        self._deployer = Gerrit(gerrit["http"], gerrit["account"], token)
        host = found["deploy_host"]
        paths = {key: Path(host[key]) for key in ("key", "known_hosts", "charts")}
        self._host = DeployHostEndpoint(host=host["host"], port=host["port"], user=host["user"], **paths)
        self.seconds: dict[str, float] = {}

    def run(self) -> None:
        """All of it."""
        with self._step("a service change merged by the CI's gate"):
            change = self._merge_service_change()
        with self._step("PipelineBot's comment"):
            image, tag = self._comment(change)
        with self._step("the image in the registry"):
            digest = _until("the image in the registry", lambda: self._digest(image, tag), 30)
        with self._step("the tag edited, and merged by the CI's gate"):
            commit = self._bump(tag)
        with self._step("the commit on the deploy host"):
            _until("the commit on the deploy host", lambda: self._pulled(commit), 30)
        with self._step("helmfile diff"):
            self._diff(tag)
        with self._step("helmfile apply"):
            self._helmfile(f"-e {ENVIRONMENT} apply --suppress-diff")
        with self._step("pods run the tag and its digest"):
            _until("pods with the new tag", lambda: self._pods_run(tag, digest), 30)
        with self._step("the server admin log"):
            self._logged()
        self.quick_apply()

    def quick_apply(self) -> None:
        """Apply what replaces no pod, twice: dead nodes would make helm wait until its timeout."""
        with self._step("an apply that replaces no pod") as name:
            self._helmfile(f"-e {ENVIRONMENT} apply --suppress-diff --set service.port=8080")
        quick = self.seconds[name]
        with self._step("the same taken back"):
            self._helmfile(f"-e {ENVIRONMENT} apply --suppress-diff")
        if quick > _QUICK_SECONDS:
            raise SandboxError(f"An apply that replaces no pod took {quick:.1f} s; under {_QUICK_SECONDS} is right")

    @contextmanager
    def _step(self, what: str) -> Iterator[str]:
        begun = time.monotonic()
        yield what
        self.seconds[what] = time.monotonic() - begun
        print(f"  {self.seconds[what]:5.1f} s  {what}", flush=True)

    def _merge_service_change(self) -> int:
        path = "server.js"
        text = self._content(_PROJECT, path) + f"// smoke test of {time.strftime('%F %T', time.gmtime())}\n"
        message = "Say when the smoke test ran"
        number, revision = create_change(self._admin, _PROJECT, contents.BRANCH, message, {path: text.encode()})
        approve(self._admin, _PROJECT, number, revision)
        self._merged(self._admin, _PROJECT, number)
        return number

    def _merged(self, gerrit: Gerrit, project: str, number: int) -> str:
        def look() -> str | None:
            change = gerrit.get(f"changes/{quoted(project)}~{number}?o=CURRENT_REVISION")
            return str(change["current_revision"]) if change["status"] == "MERGED" else None

        return str(_until(f"change {number} of {project} to be merged", look, 60))

    def _content(self, project: str, path: str) -> str:
        branch = f"projects/{quoted(project)}/branches/{contents.BRANCH}"
        return str(self._admin.get(f"{branch}/files/{quoted(path)}/content"))

    def _comment(self, number: int) -> tuple[str, str]:
        """The image, without the registry, and the tag that PipelineBot names on a change."""

        def look() -> tuple[str, str] | None:
            for message in self._admin.get(f"changes/{quoted(_PROJECT)}~{number}/messages"):
                found = _PIPELINE.search(message["message"])
                if message["author"].get("username") != "pipelinebot" or not found:
                    continue
                if found[1] != "SUCCESS" or not found[2]:
                    raise SandboxError(f"The build failed: {message['message']}")
                name, _, tag = found[2].rpartition(":")
                return name.partition("/")[2], tag
            return None

        found: tuple[str, str] = _until("PipelineBot's comment", look, 60)
        return found

    def _digest(self, image: str, tag: str) -> str | None:
        url = f"{self._found['registry']['http']}/v2/{image}/manifests/{tag}"
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        try:
            with urlopen(Request(url, method="HEAD", headers=accept), timeout=10) as reply:
                return str(reply.headers["Docker-Content-Digest"])
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    def _bump(self, tag: str) -> str:
        """Write the tag with a change edit, vote, wait for whoever submits; gives the commit on the branch."""
        project = contents.CHARTS_PROJECT
        old = self._content(project, _VALUES)
        new, count = re.subn(r"(?m)^(  version: )\S+$", rf"\g<1>{tag}", old)
        if count != 1:
            raise SandboxError(f"{_VALUES} has {count} places for a tag")
        message = f"{SERVICE}: bump to {tag}"
        number, revision = create_change(self._deployer, project, contents.BRANCH, message, {_VALUES: new.encode()})
        approve(self._deployer, project, number, revision)
        if contents.merge_mode() == "submit":
            _until("the change to be submittable", lambda: self._submit(project, number), 60)
        return self._merged(self._deployer, project, number)

    def _submit(self, project: str, number: int) -> bool:
        try:
            self._deployer.post(f"changes/{quoted(project)}~{number}/submit")
        except GerritError as error:
            if error.status != 409:
                raise
            return False
        return True

    def _ssh(self, command: list[str], *wanted: int) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode not in (wanted or (0,)):
            text = f"{done.stdout}{done.stderr}".rstrip()
            raise SandboxError(f"{command[-1]} ended with status {done.returncode}\n{text}")
        return done.stdout

    def _helmfile(self, arguments: str, *wanted: int) -> str:
        return self._ssh(self._host.helmfile(SERVICE, arguments), *wanted)

    def _pulled(self, commit: str) -> bool:
        charts = self._host.charts
        ask = f"git -c safe.directory={charts} -C {charts} merge-base --is-ancestor {commit} HEAD && echo there"
        return "there" in self._ssh(self._host.ssh(ask), 0, 1, 128)

    def _diff(self, tag: str) -> None:
        shown = self._helmfile(f"-e {ENVIRONMENT} diff --detailed-exitcode --context 3", 2)
        if not re.search(rf"^\+ .*image: .*:{tag}", shown, re.MULTILINE):
            raise SandboxError(f"The diff does not show the new tag:\n{shown}")

    def _pods_run(self, tag: str, digest: str) -> bool:
        kubectl = f"kube_env {SERVICE} {ENVIRONMENT} kubectl get pods -o json"
        pods = [
            pod
            for pod in json.loads(self._ssh(self._host.ssh(kubectl)))["items"]
            if "deletionTimestamp" not in pod["metadata"]
        ]
        statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", ())]
        return bool(statuses) and all(
            status["ready"] and status["image"].endswith(f":{tag}") and status["imageID"].endswith(f"@{digest}")
            for status in statuses
        )

    def _logged(self) -> None:
        log = Path(self._found["sal"]["log"])
        wanted = f"[{ENVIRONMENT}] DONE helmfile.d/services/{SERVICE}: apply"
        _until("the server admin log's line", lambda: wanted in log.read_text(), 5)


def _until(what: str, look: Callable[[], Any], seconds: float) -> Any:
    """What the look gives, as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SandboxError(f"Waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)
    return found


@contextmanager
def running(name: str) -> Iterator[dict[str, Any]]:
    """The endpoints of a sandbox; one that does not run is started for as long as this lasts."""
    found = endpoints.read(name)
    if found is not None:
        yield found
        return
    folder = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-m", "sandbox"], cwd=folder, start_new_session=True) as sandbox:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while (found := endpoints.read(name)) is None:
                if sandbox.poll() is not None or time.monotonic() > deadline:
                    raise SandboxError("The sandbox did not come up")
                time.sleep(0.2)
            yield found
        finally:
            if sandbox.poll() is None:
                os.kill(sandbox.pid, signal.SIGTERM)


def main() -> int:
    """`python3 -m sandbox.story.smoke`; the exit status is 0 if all went well."""
    try:
        with running(endpoints.sandbox_name()) as found:
            begun = time.monotonic()
            Smoke(found).run()
            print(f"  {time.monotonic() - begun:5.1f} s  in all")
    except (SandboxError, GerritError, OSError, subprocess.SubprocessError) as error:
        print(f"smoke test failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
