"""Play the demo's story through real Gerrit and real IRC: a person merges and types, and waits for what must come."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request, urlopen

from sandbox import contents
from sandbox.bot.config import NICK
from sandbox.servers.gerrit_rest import Gerrit, approve, create_change, quoted
from sandbox.story.irc_client import IrcClient, Said
from sandbox.world import SandboxError

SERVICE = "citoid"
PROJECT = f"mediawiki/services/{SERVICE}"
ROOM = "#deploy"
_SUFFIX = re.compile(r"-production$")
_NUMBERED = re.compile(r"(?:^|: )#(\d+) ")
_ASKS = re.compile(r"!confirm (\S+?(?: with \d+)?)[,.]? ")
_ENDS = re.compile(r"\b(OK|FAILED|UNKNOWN|stopped by|closed by|nobody confirmed)\b")
_REFUSES = r"Nothing done|Nothing to do|not started|internal error|I cannot"
_BUILD_SECONDS = 90.0
_ROLLOUT_SECONDS = 180.0


@dataclass(frozen=True)
class Merged:
    """A change of the service that was merged, and the image it became."""

    number: int
    tag: str
    """The whole tag."""
    commented: datetime
    """When CI's comment with the image came, by Gerrit's clock: whole seconds, cut off."""
    announced: Said

    @property
    def short(self) -> str:
        """The tag as the bot says it."""
        return _SUFFIX.sub("", self.tag)

    @property
    def delay(self) -> float:
        """Seconds from CI's comment to the announcement, too many rather than too few."""
        return self.announced.at - self.commented.timestamp()


@dataclass(frozen=True)
class Played:
    """A command, and what the bot said to it until the verdict."""

    command: str
    said_at: float
    number: int
    first: Said
    verdict: Said
    lines: tuple[Said, ...]
    waited: float = 0.0
    """Seconds from the bot's question to the person's answer."""

    @property
    def answered(self) -> float:
        """Seconds from the command to the first line."""
        return self.first.at - self.said_at

    @property
    def took(self) -> float:
        """Seconds from the command to the verdict, without those in which the person thought."""
        return self.verdict.at - self.said_at - self.waited

    @property
    def outcome(self) -> str:
        """The word of the verdict: OK, FAILED and so on."""
        found = _ENDS.search(self.verdict.text)
        return found[1] if found else ""


@dataclass
class Story:
    """The acts, in their order; each raises SandboxError or IrcError when what must come does not."""

    found: Mapping[str, Any]
    alice: IrcClient
    caption: Callable[[str], None] = lambda _: None
    pause: Callable[[float], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None
    """Told what happens outside the channel."""
    after: Callable[[str], None] = lambda _: None
    """Called with the name of an act right after its verdict, before anything else happens."""
    merged: dict[str, Merged] = field(default_factory=dict)
    played: dict[str, Played] = field(default_factory=dict)
    before: str = ""
    """The tag that git had when the story began."""

    def __post_init__(self) -> None:
        gerrit = self.found["gerrit"]
        self._gerrit = Gerrit(gerrit["http"].rstrip("/"), gerrit["admin"], gerrit["password"])
        self.before = self.git_tag()

    def play(self) -> None:
        """All of it."""
        self.caption("A change of citoid is approved in Gerrit. CI's gate merges it and builds an image.")
        self.merged["good"] = self.merge("Answer with the right DOI")
        self.pause(3)
        self.caption("alice brings it to staging: the bot writes the helmfile patch, CI merges it, helmfile applies.")
        self.act("staging", f"!deploy {SERVICE} staging")
        self.pause(4)
        self.caption("Then to production, which asks once for both data centres: codfw first, eqiad last.")
        self.act("production", f"!deploy {SERVICE} production")
        self.pause(4)
        self.caption("Another change is merged. Its image will crash at the start; nobody knows that yet.")
        self.fault("crash")
        try:
            self.merged["bad"] = self.merge("Ask the cache first")
        finally:
            self.fault(None)
        self.pause(3)
        self.caption("In staging the bot sees it long before helm does, and helm goes back by itself.")
        self.act("crash", f"!deploy {SERVICE} staging")
        self.pause(5)
        self.caption("The old pods serve, but git still names the bad tag. !rollback makes git agree.")
        self.act("rollback", f"!rollback {SERVICE} staging")
        self.pause(3)

    # What a person does.

    def act(self, name: str, command: str) -> None:
        """Play one command and keep it under its name."""
        self.played[name] = self.order(command)
        self.after(name)

    def fault(self, word: str | None) -> None:
        """Have the CI build images with something wrong, or none."""
        url = f"{self.found['ci']['control']}/{PROJECT}"
        body = json.dumps({"fault": word}).encode()
        with urlopen(Request(url, body, {"Content-Type": "application/json"}, method="POST"), timeout=10):
            pass

    def merge(self, subject: str) -> Merged:
        """Have a change of the service merged, and wait until the bot has announced its image."""
        heard = len(self.alice.lines) - 1
        path = "server.js"
        branch = f"projects/{quoted(PROJECT)}/branches/{contents.BRANCH}"
        text = str(self._gerrit.get(f"{branch}/files/{path}/content"))
        text += f"// {subject}, {datetime.now(UTC):%F %T}\n"
        number, revision = create_change(self._gerrit, PROJECT, contents.BRANCH, subject, {path: text.encode()})
        self.note(f'Gerrit: change {number} of {PROJECT}, "{subject}", gets Code-Review +2')
        approve(self._gerrit, PROJECT, number, revision)
        tag, commented = self._built(number)
        self.note(f"Gerrit: merged by CI; PipelineBot comments: IMAGE … :{tag}")
        short = _SUFFIX.sub("", tag)
        announced = self.alice.wait_for(rf"\b{short}\b.* ready", 20, nick=NICK, room=ROOM, after=heard)
        return Merged(number, tag, commented, announced)

    def order(self, command: str) -> Played:
        """Type a command, answer what is asked, and wait for the verdict."""
        heard = len(self.alice.lines) - 1
        said_at = self.alice.say(ROOM, command)
        pattern = rf"{_NUMBERED.pattern}|{_REFUSES}"
        first = self.alice.wait_for(pattern, 15, nick=NICK, room=ROOM, after=heard)
        numbered = _NUMBERED.search(first.text)
        if numbered is None:
            raise SandboxError(f"{command} was refused: {first.text}")
        mine = rf"(?:^|: )#{numbered[1]} .*(?:{_ASKS.pattern}|{_ENDS.pattern})"
        last, waited = first, 0.0
        while True:
            last = self.alice.wait_for(mine, _ROLLOUT_SECONDS, nick=NICK, room=ROOM, after=last.number)
            if not (asked := _ASKS.search(last.text)):
                break
            self.pause(4)
            waited += self.alice.say(ROOM, f"!confirm {asked[1]}") - last.at
        lines = tuple(said for said in self.alice.lines[heard + 1 :] if said.nick == NICK and said.room == ROOM)
        return Played(command, said_at, int(numbered[1]), first, last, lines, waited)

    # What there is to be seen.

    def git_tag(self) -> str:
        """The tag that the charts repository names for the service."""
        path = quoted(f"helmfile.d/services/{SERVICE}/values.yaml")
        branch = f"projects/{quoted(contents.CHARTS_PROJECT)}/branches/{contents.BRANCH}"
        found = re.search(r"(?m)^  version: (\S+)$", str(self._gerrit.get(f"{branch}/files/{path}/content")))
        return found[1].strip("\"'") if found else ""

    def charts_changes(self, limit: int = 10) -> list[dict[str, Any]]:
        """The latest merged changes of the charts, newest first, with their commit messages."""
        query = f"project:{contents.CHARTS_PROJECT} status:merged".replace(" ", "+")
        options = "o=CURRENT_REVISION&o=CURRENT_COMMIT"
        return list(self._gerrit.get(f"changes/?q={query}&n={limit}&{options}"))

    def _built(self, number: int) -> tuple[str, datetime]:
        """The tag in CI's comment, and when it was written."""
        deadline = time.monotonic() + _BUILD_SECONDS
        while time.monotonic() < deadline:
            for message in self._gerrit.get(f"changes/{quoted(PROJECT)}~{number}/messages"):
                image = re.search(r"IMAGE:\n \S+:(\S+)", message["message"])
                if message["author"].get("username") == "pipelinebot" and image:
                    at = datetime.fromisoformat(message["date"][:19]).replace(tzinfo=UTC)
                    return image[1], at
            time.sleep(0.1)
        raise SandboxError(f"CI said nothing of an image for change {number} within {_BUILD_SECONDS:.0f} s")
