"""The bot as a real process in the sandbox, the people who talk to it, and looks at what it did where it did it."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from sandbox import contents
from sandbox.bot.config import NICK
from sandbox.bot.run import ROOM, Bot
from sandbox.servers.deploy_host import DeployHostEndpoint
from sandbox.servers.gerrit_rest import Gerrit, approve, create_change, quoted
from sandbox.servers.registry import push_image
from sandbox.story.irc_client import IrcClient, Said

#: rests shorter than the sandbox's usual ones, so that tests wait for nothing
OVERRIDES: dict[str, Any] = {
    "health": {"grace_s": 3, "soak_s": 2, "poll_s": 0.25},
    "deadlines": {
        "gate_s": 12,
        "sync_s": 10,
        "diff_s": 15,
        "ask_production_s": 120,
        "ask_staging_s": 120,
        "apply_extra_s": 15,
        "host_away_s": 30,
    },
}
ENDS = ("SUCCEEDED", "FAILED", "UNKNOWN", "ABORTED")
_VERDICT = r"\b(?:OK|FAILED|UNKNOWN|stopped by|closed by|nobody confirmed)\b"
_STAMPS = count(int(time.time()))


@dataclass(frozen=True)
class Order:
    """A command that became a rollout."""

    number: int
    first: Said
    heard: int
    """Number of the last line that was there before the command."""
    waited: float
    """Seconds from the command to the first line."""


class Live:
    """One sandbox with people in it and at most one bot."""

    def __init__(self, name: str, found: Mapping[str, Any]) -> None:
        """Have alice, bob and mallory join; no bot yet."""
        self.name, self.found = name, dict(found)
        self.root = Path(found["sandbox"]["root"])
        self.people = {who: IrcClient.of(found, who) for who in ("alice", "bob", "mallory")}
        gerrit = found["gerrit"]
        self.gerrit = Gerrit(gerrit["http"].rstrip("/"), gerrit["admin"], gerrit["password"])
        host = found["deploy_host"]
        paths = {key: Path(host[key]) for key in ("key", "known_hosts", "charts")}
        self.host = DeployHostEndpoint(host=host["host"], port=host["port"], user=host["user"], **paths)
        self.bot: Bot | None = None
        self.die_at = ""
        self.pages: list[str] = []
        self._services = {service.name: service for service in contents.SERVICES}

    # the bot

    def start(self, die_at: str = "", ready: bool = True, **overrides: Any) -> Bot:
        """Start the bot; with `die_at` it kills itself there."""
        if self.bot is not None:
            self.bot.stop()
        environment = {"QUARTERDECK_DIE_AT": die_at} if die_at else {}
        self.die_at = die_at
        self.bot = Bot(self.name, self.found, environment, **(OVERRIDES | overrides))
        if ready:
            self.bot.wait_ready()
        return self.bot

    def kill(self) -> None:
        """SIGKILL it now."""
        assert self.bot is not None
        self.bot.process.kill()
        self.bot.process.wait(10)

    def wait_dead(self, seconds: float = 60) -> None:
        """Wait until it killed itself, by SIGKILL and nothing else."""
        assert self.bot is not None
        process, log = self.bot.process, self.bot.log
        until(f"the bot's death at {self.die_at}", lambda: process.poll() is not None, seconds)
        assert process.returncode == -signal.SIGKILL, log.read_text(errors="replace")[-2000:]

    def close(self) -> None:
        """Everybody leaves."""
        if self.bot is not None:
            self.bot.stop()
        for person in self.people.values():
            person.close()

    # what people do and hear

    @property
    def alice(self) -> IrcClient:
        """Who hears everything."""
        return self.people["alice"]

    def heard(self) -> int:
        """Number of the last line so far."""
        return len(self.alice.lines) - 1

    def say(self, text: str, who: str = "alice") -> tuple[int, float]:
        """Say a line in the room; gives what had been heard before, and the time."""
        return self.heard(), self.people[who].say(ROOM, text)

    def line(self, pattern: str, after: int = -1, seconds: float = 30) -> Said:
        """The bot's first line in the room that the pattern is found in."""
        return self.alice.wait_for(pattern, seconds, nick=NICK, room=ROOM, after=after)

    def answer(self, text: str, who: str = "alice", seconds: float = 15) -> str:
        """Say a line, and the bot's next line."""
        heard, _ = self.say(text, who)
        return self.line(".", heard, seconds).text

    def order(self, text: str, who: str = "alice", seconds: float = 20) -> Order:
        """Say a command that must become a rollout."""
        heard, at = self.say(text, who)
        mine = rf"(?:^|: )#(\d+) {re.escape(text.split()[1])} "
        first = self.line(rf"{mine}|Nothing|not started|cannot|internal", heard, seconds)
        numbered = re.search(mine, first.text)
        assert numbered, f"{text}: {first.text}"
        assert "Nothing done" not in first.text, f"{text}: {first.text}"
        return Order(int(numbered[1]), first, heard, first.at - at)

    def verdict(self, order: Order, after: int | None = None, seconds: float = 90) -> str:
        """The line that ends a rollout."""
        pattern = rf"(?:^|: )#{order.number} .*{_VERDICT}"
        return self.line(pattern, order.heard if after is None else after, seconds).text

    def succeeds(self, order: Order, after: int | None = None, seconds: float = 120) -> str:
        """The line that ends a rollout, which must be a success."""
        verdict = self.verdict(order, after, seconds)
        assert " OK " in verdict, verdict
        return verdict

    def lines_of(self, order: Order) -> list[str]:
        """What the bot said of a rollout in the room."""
        named = re.compile(rf"(?:^|: )#{order.number}\b")
        return [x.text for x in self.alice.lines if x.nick == NICK and x.room == ROOM and named.search(x.text)]

    # what the pages say

    def page(self, path: str) -> str:
        """One of the bot's pages."""
        assert self.bot is not None
        with urlopen(Request(f"{self.bot.web}{path}"), timeout=20) as reply:
            text = reply.read().decode()
        self.pages.append(text)
        return str(text)

    def json(self, number: int) -> dict[str, Any]:
        """A rollout as its page has it; empty while the bot is away."""
        try:
            found: dict[str, Any] = json.loads(self.page(f"/{number}.json"))
        except (URLError, OSError, ValueError):
            return {}
        return found

    def step(self, order: Order, name: str, environment: str = "") -> dict[str, Any]:
        """A step of a rollout as its page has it now."""
        for step in self.json(order.number).get("steps", ()):
            if step["name"] == name and step["environment"] == environment:
                return dict(step)
        return {}

    # where the effects are

    def push(self, service: str, fault: str = "") -> str:
        """Have a fresh image in the registry; gives its tag."""
        tag = f"{stamp()}-{fault}-production" if fault else f"{stamp()}-production"
        self.push_tag(service, tag)
        return tag

    def push_tag(self, service: str, tag: str) -> None:
        """Have an image of that tag in the registry."""
        push_image(self.found["registry"]["http"], f"wikimedia/mediawiki-services-{service}", tag, {})

    def push_boxes(self, flavours: Sequence[str] = ("score", "constraints")) -> str:
        """Have a fresh image of the shellboxes in the registry, in these flavours; gives its tag in git."""
        tag = stamp()
        for flavour in flavours:
            self.push_tag("shellbox", f"{tag}-{flavour}")
        return tag

    def install(self, service: str, environment: str) -> None:
        """Have a service in an environment, whatever its tag, unless it is there."""
        config = self.found["cluster"]["kubeconfig"]
        words = ["list", "-q", "-n", f"{service}-{environment}", "--kubeconfig", config]
        if not run([str(self.root / "host" / "bin" / "helm"), *words]).strip():
            self.deploy_by_hand(service, environment)

    def deploy_by_hand(self, service: str, environment: str) -> None:
        """Bring an environment to what git says, without the bot."""
        run(self.host.helmfile(service, f"-e {environment} apply --suppress-diff", SUPPRESS_SAL="true"))

    def kubectl(self, service: str, environment: str, *words: str) -> str:
        """Ask or change the cluster as its admin."""
        cluster = self.found["cluster"]
        return run(
            [cluster["kubectl"], "--kubeconfig", cluster["kubeconfig"], "-n", f"{service}-{environment}", *words]
        )

    def history(self, service: str, environment: str, release: str = "main") -> list[dict[str, Any]]:
        """Helm's revisions, oldest first."""
        config = self.found["cluster"]["kubeconfig"]
        words = ["history", release, "-n", f"{service}-{environment}", "--kubeconfig", config, "-o", "json"]
        return list(json.loads(run([str(self.root / "host" / "bin" / "helm"), *words])))

    def pods(self, service: str, environment: str) -> dict[str, tuple[int, int]]:
        """Tag -> (ready pods, all pods)."""
        items = json.loads(self.kubectl(service, environment, "get", "pods", "-o", "json"))["items"]
        found: dict[str, tuple[int, int]] = {}
        for pod in (p for p in items if "deletionTimestamp" not in p["metadata"]):
            for status in pod["status"].get("containerStatuses", ()):
                tag = status["image"].rpartition(":")[2]
                ready, every = found.get(tag, (0, 0))
                found[tag] = (ready + bool(status["ready"]), every + 1)
        return found

    def runs(self, service: str, environment: str, tag: str) -> bool:
        """Whether nothing but ready pods of that tag is there."""
        found = self.pods(service, environment)
        return set(found) == {tag} and found[tag][0] == found[tag][1] > 0

    def git_tag(self, service: str, environment: str = "") -> str:
        """The tag that the tip has for an environment: in a file of its own, else in the shared one."""
        for name in (*([f"values-{environment}.yaml"] if environment else ()), "values.yaml"):
            found = re.search(r"^ *version: *\"?([\w.-]+)", self.git_file(service, name), re.M)
            if found:
                return found[1]
        return ""

    def git_file(self, service: str, name: str = "values.yaml") -> str:
        """A file of a service at the tip."""
        path = quoted(f"helmfile.d/services/{service}/{name}")
        return str(self.gerrit.get(f"projects/{quoted(contents.CHARTS_PROJECT)}/branches/master/files/{path}/content"))

    def charts_changes(self, number: int) -> list[dict[str, Any]]:
        """All charts changes of a rollout, whatever became of them."""
        query = f"project:{contents.CHARTS_PROJECT}"
        options = "o=CURRENT_REVISION&o=CURRENT_COMMIT"
        found = self.gerrit.get(f"changes/?q={query}&n=100&{options}")
        marked = re.compile(rf"^Rollout: #{number} ", re.M)
        return [c for c in found if marked.search(c["revisions"][c["current_revision"]]["commit"]["message"])]

    def merge_charts(self, files: Mapping[str, str], subject: str) -> None:
        """Somebody else's charts change goes through the gate."""
        made = {path: text.encode() for path, text in files.items()}
        number, revision = create_change(self.gerrit, contents.CHARTS_PROJECT, "master", subject, made)
        approve(self.gerrit, contents.CHARTS_PROJECT, number, revision)
        path = f"changes/{quoted(contents.CHARTS_PROJECT)}~{number}"
        until(f"the merge of {subject}", lambda: self.gerrit.get(path)["status"] == "MERGED", 40)

    def sal(self, order: Order, environment: str, word: str) -> list[str]:
        """The lines of the server admin log with that word, of a rollout and environment."""
        text = Path(self.found["sal"]["log"]).read_text()
        return [
            x for x in text.splitlines() if f"(quarterdeck #{order.number})" in x and f"[{environment}] {word} " in x
        ]

    def ci(self, **wishes: object) -> None:
        """Tell the gate of the charts how to go; nothing puts the defaults back."""
        url = f"{self.found['ci']['control']}/{contents.CHARTS_PROJECT}"
        method = "POST" if wishes else "DELETE"
        body = json.dumps(wishes).encode() if wishes else None
        with urlopen(Request(url, body, {"Content-Type": "application/json"}, method=method), timeout=10):
            pass

    def applied(self, order: Order) -> list[Path]:
        """The apply jobs of a rollout on the deploy host that let helmfile loose."""
        jobs = self.root / "host" / "home" / "quarterdeck-jobs"
        return [p.parent for p in jobs.glob(f"r{order.number}-*-apply-*/applying")]

    def job(self, order: Order) -> Path | None:
        """The newest apply job's folder."""
        jobs = self.root / "host" / "home" / "quarterdeck-jobs"
        return max(jobs.glob(f"r{order.number}-*-apply-*"), key=lambda p: p.stat().st_mtime, default=None)

    # what goes wrong

    def server(self, words: str) -> int:
        """The process id of one of the sandbox's servers, by words of its command line."""
        for pid in children(int(self.found["sandbox"]["pid"])):
            if words in _command(pid):
                return pid
        raise AssertionError(f"no server with {words!r}")

    @contextmanager
    def stopped(self, words: str) -> Iterator[None]:
        """A server hangs for as long as this lasts."""
        pid = self.server(words)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def cut_ssh(self) -> int:
        """Kill the sessions of the deploy host's sshd, not the listener; gives how many there were."""
        sessions = children(self.server("sshd"))
        for pid in sessions:
            os.kill(pid, signal.SIGKILL)
        return len(sessions)


def stamp() -> str:
    """A timestamp that no image has."""
    return datetime.fromtimestamp(next(_STAMPS), UTC).strftime("%Y-%m-%d-%H%M%S")


GERRIT, REGISTRY, SSHD, APISERVER = "java-runtime/bin/java", "docker-registry serve", "sshd", "kube-apiserver "


def children(parent: int) -> list[int]:
    """The processes that a process started, in any of its threads."""
    listed = (place.read_text() for place in Path(f"/proc/{parent}/task").glob("*/children"))
    return [int(pid) for text in listed for pid in text.split()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def run(argv: list[str], seconds: float = 120) -> str:
    """What a command prints; it must go well."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{argv[0]} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def until(what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
    """What the look gives, as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.03)
    return found
