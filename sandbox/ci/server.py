"""Stand in for Zuul and PipelineBot: follow Gerrit's events, do the CI's work, obey the control port."""

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError
from urllib.parse import unquote
from urllib.request import urlopen

from sandbox import contents
from sandbox.ci.settings import Board, Wrong
from sandbox.ci.work import Work, revision_label
from sandbox.servers import registry
from sandbox.servers.gerrit import GerritEndpoint
from sandbox.servers.gerrit_rest import Gerrit, quoted
from sandbox.servers.supervisor import Supervisor, World

CI_ACCOUNT = "jenkins-bot"
_PIPELINE_ACCOUNT = "pipelinebot"
_READY_SECONDS = 30
# Events are hints: what they missed is found by asking this often.
_SWEEP_SECONDS = 2.0
_RECONNECT_SECONDS = 0.5
_RECHECK = re.compile(r"^Patch Set \d+:[^\n]*\n\n\s*recheck\b")
_MAX_BODY = 65536


def start(world: World, supervisor: Supervisor, gerrit: GerritEndpoint, registry_url: str) -> str:
    """Start the CI as a process of its own; gives the URL of its control port.

    Args:
        world: where the sandbox lives.
        supervisor: who keeps the process.
        gerrit: the Gerrit it follows, with its merge mode.
        registry_url: of the registry it pushes to.
    """
    control = f"http://127.0.0.1:{world.port('ci-control')}"
    child = supervisor.spawn_module(
        "ci",
        "sandbox.ci.server",
        *("--gerrit", gerrit.http, "--ssh-port", str(gerrit.ssh_port), "--secrets", gerrit.secrets),
        *("--registry", registry_url, "--port", str(world.port("ci-control")), "--merge", gerrit.merge),
    )
    supervisor.wait_ready(child, lambda: _connected(control), _READY_SECONDS)
    return control


def push_initial_images(gerrit: GerritEndpoint, registry_url: str) -> None:
    """Push what the charts name from the start, as if built from the first commits."""
    for project, image, tag in contents.initial_images():
        registry.push_image(registry_url, image, tag, revision_label(gerrit.heads[project]))


def _connected(control: str) -> bool:
    try:
        with urlopen(f"{control}/", timeout=5) as reply:
            return bool(json.load(reply)["connected"])
    except URLError:
        return False


class Follower:
    """Turns Gerrit's stream of events, and what it asks by itself, into work."""

    def __init__(self, ssh: list[str], gerrit: Gerrit, board: Board, work: Work) -> None:
        self._ssh = ssh
        self._gerrit = gerrit
        self._board = board
        self._work = work
        self._since = time.time()

    def follow(self) -> None:
        """Read events for ever; a lost connection is made again."""
        while True:
            with subprocess.Popen(self._ssh, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
                try:
                    assert process.stdout is not None
                    for line in process.stdout:
                        self._take(line)
                finally:
                    process.kill()
            _log(f"the stream of events ended with status {process.returncode}; connecting again")
            time.sleep(_RECONNECT_SECONDS)

    def sweep(self) -> None:
        """Find for ever what the events did not say."""
        while True:
            try:
                self._look()
                self._board.connected = True
            except Exception as error:
                _log(f"asking Gerrit failed: {error!r}")
            time.sleep(_SWEEP_SECONDS)

    def _look(self) -> None:
        options = "o=CURRENT_REVISION&o=LABELS&n=200"
        for change in self._gerrit.get(f"changes/?q=status:open&{options}"):
            if change["project"] not in self._board.projects:
                continue
            key = (change["project"], int(change["_number"]), change["current_revision"])
            if "approved" in change.get("labels", {}).get("Code-Review", {}):
                self._work.gate(*key, again=False)
            self._work.test(*key)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._since - 1))
        merged = "status:merged+mergedafter:" + quoted(f'"{since}"')
        for change in self._gerrit.get(f"changes/?q={merged}&{options}"):
            if change["project"] in self._board.projects:
                self._work.publish(change["project"], int(change["_number"]), change["current_revision"])

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            self._dispatch(event)
        except (ValueError, KeyError, TypeError) as error:
            _log(f"event not understood ({error!r}): {line[:200]!r}")

    def _dispatch(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind not in {"patchset-created", "comment-added", "change-merged"}:
            return
        change, revision = event["change"], event["patchSet"]["revision"]
        project, number = change["project"], int(change["number"])
        if project not in self._board.projects:
            return
        if kind == "patchset-created":
            self._work.test(project, number, revision)
        elif kind == "change-merged":
            self._work.publish(project, number, event["newRev"])
        elif event["author"].get("username") not in {CI_ACCOUNT, _PIPELINE_ACCOUNT}:
            if any(_new_approval(approval) for approval in event.get("approvals", [])):
                self._work.gate(project, number, revision, again=True)
            elif _RECHECK.match(event.get("comment", "")):
                self._work.recheck(project, number, revision)


def _new_approval(approval: dict[str, Any]) -> bool:
    return approval["type"] == "Code-Review" and str(approval["value"]) == "2" and "oldValue" in approval


class Control(BaseHTTPRequestHandler):
    """The control port: GET / and /{project}; POST /{project} with settings; DELETE /{project}."""

    board: ClassVar[Board]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Show everything, or one project."""
        name = self._project()
        if name:
            self._of_project(name, lambda: None)
        else:
            projects = {project: self.board.show(project) for project in self.board.projects}
            state = {"merge": self.board.merge, "connected": self.board.connected, "projects": projects}
            self._reply(HTTPStatus.OK, state)

    def do_POST(self) -> None:
        """Change some settings of a project."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MAX_BODY:
            self.close_connection = True
            self._reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "the body is too large"})
            return
        body, name = self.rfile.read(length), self._project()
        try:
            wishes = json.loads(body or b"{}")
        except ValueError:
            self._reply(HTTPStatus.BAD_REQUEST, {"error": "the body is not JSON"})
            return
        self._of_project(name, lambda: self.board.change(name, wishes))

    def do_DELETE(self) -> None:
        """Let the defaults of a project hold again."""
        name = self._project()
        self._of_project(name, lambda: self.board.reset(name))

    def _project(self) -> str:
        return unquote(self.path.partition("?")[0]).strip("/")

    def _of_project(self, name: str, do: Any) -> None:
        try:
            do()
            self._reply(HTTPStatus.OK, self.board.show(name))
        except Wrong as error:
            self._reply(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except KeyError:
            self._reply(HTTPStatus.NOT_FOUND, {"error": f"no project is called {name}"})

    def _reply(self, status: HTTPStatus, body: object) -> None:
        data = json.dumps(body, indent=1).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing about each request."""


def _log(line: str) -> None:
    print(time.strftime("%H:%M:%S", time.gmtime()), line, file=sys.stderr, flush=True)


def _ssh_command(port: int, secrets: Path) -> list[str]:
    key, hosts = secrets / f"gerrit-{CI_ACCOUNT}", secrets / "gerrit-known_hosts"
    options = (
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={hosts}",
    )
    keepalive = ("ServerAliveInterval=15", "ServerAliveCountMax=3", "LogLevel=ERROR")
    ssh = [
        "ssh",
        "-F",
        "none",
        "-T",
        "-p",
        str(port),
        "-i",
        str(key),
        *(f"-o{option}" for option in (*options, *keepalive)),
    ]
    kinds = ("patchset-created", "comment-added", "change-merged")
    return [
        *ssh,
        f"{CI_ACCOUNT}@127.0.0.1",
        "gerrit stream-events " + " ".join(f"-s {kind}" for kind in kinds),
    ]


def main(arguments: list[str]) -> None:
    """Run until killed."""
    parser = argparse.ArgumentParser(prog="sandbox.ci.server", description=__doc__)
    parser.add_argument("--gerrit", required=True, help="URL of Gerrit")
    parser.add_argument("--ssh-port", required=True, type=int, help="Gerrit's ssh port")
    parser.add_argument("--secrets", required=True, type=Path, help="folder of tokens and keys")
    parser.add_argument("--registry", required=True, help="URL of the registry")
    parser.add_argument("--port", required=True, type=int, help="of the control port")
    parser.add_argument("--merge", required=True, choices=("gate", "submit"), help="who submits charts changes")
    told = parser.parse_args(arguments)
    ci = Gerrit.with_secret(told.gerrit, CI_ACCOUNT, told.secrets)
    pipelinebot = Gerrit.with_secret(told.gerrit, _PIPELINE_ACCOUNT, told.secrets)
    board = Board(told.merge)
    work = Work(ci, pipelinebot, told.registry, board, _log)
    follower = Follower(_ssh_command(told.ssh_port, told.secrets), ci, board, work)
    Control.board = board
    with ThreadingHTTPServer(("127.0.0.1", told.port), Control) as server:
        for job in (follower.follow, follower.sweep):
            threading.Thread(target=job, name=job.__name__, daemon=True).start()
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
