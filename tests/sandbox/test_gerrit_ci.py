"""The sandbox's Gerrit and CI stand-in behave as the real ones do, as far as a deploy bot can see."""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from sandbox import contents
from sandbox.build import tools
from sandbox.ci import server as ci
from sandbox.servers import gerrit, registry
from sandbox.servers.gerrit import GerritEndpoint
from sandbox.servers.gerrit_rest import GerritError, approve, create_change, quoted
from sandbox.servers.supervisor import Supervisor, World
from sandbox.world import prepare, unprivileged_user

pytestmark = pytest.mark.sandbox

CHARTS = contents.CHARTS_PROJECT
CITOID = "mediawiki/services/citoid"
IMAGE = "wikimedia/mediawiki-services-citoid"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
T = TypeVar("T")


@dataclass(frozen=True)
class Rig:
    """A Gerrit, a registry and a CI of this test's own."""

    gerrit: GerritEndpoint
    registry: str
    control: str
    supervisor: Supervisor

    def tell(self, project: str, **settings: object) -> None:
        """Give the CI orders for a project."""
        status, shown = ask(self.control, "POST", f"/{quoted(project)}", settings)
        assert status == 200, shown

    def shown(self, project: str) -> Any:
        """What the control port shows of a project."""
        return ask(self.control, "GET", f"/{quoted(project)}")[1]

    def change(self, project: str, number: int) -> Any:
        """Everything about a change."""
        options = "o=MESSAGES&o=DETAILED_ACCOUNTS&o=LABELS&o=CURRENT_REVISION&o=SUBMITTABLE"
        return self.gerrit.rest().get(f"changes/{quoted(project)}~{number}?{options}")

    def comments(self, project: str, number: int, author: str) -> list[str]:
        """The messages of one account at a change."""
        messages = self.change(project, number)["messages"]
        return [entry["message"] for entry in messages if entry["author"]["username"] == author]

    def merge(self, project: str, subject: str = "Fix DOI regex") -> int:
        """Let alice write and approve a change; gives its number once it is merged."""
        alice = self.gerrit.rest("alice")
        name = f"{subject.replace(' ', '-')}-{time.monotonic_ns()}.txt"
        number, revision = create_change(alice, project, "master", subject, {name: b"1\n"})
        approve(alice, project, number, revision)
        until(lambda: self.change(project, number)["status"] == "MERGED")
        return number

    def bump(self, author: str = "quarterdeck") -> tuple[int, str]:
        """A charts change that nobody has voted on, with the commit to vote on."""
        name = f"helmfile.d/services/citoid/note-{time.monotonic_ns()}.md"
        return create_change(self.gerrit.rest(author), CHARTS, "master", "citoid: note", {name: b"note\n"})

    def tags(self, image: str) -> list[str]:
        """The registry's tags of an image."""
        status, shown = ask(self.registry, "GET", f"/v2/{image}/tags/list")
        return shown["tags"] if status == 200 else []

    def gated(self, number: int) -> Any:
        """The record of this charts change's gate once it has ended."""

        def ended() -> Any:
            last = self.shown(CHARTS)["last_gate"]
            return last if last and last["change"] == number else None

        return until(ended)

    def finished(self, project: str, number: int) -> dict[str, Any]:
        """The record of this change's build once it has ended."""

        def ended() -> dict[str, Any] | None:
            last = self.shown(project)["last_build"]
            return last if last and last["change"] == number and last["ended"] else None

        return until(ended)


def ask(url: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and JSON of one request."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Accept": f"{OCI_MANIFEST}, */*"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null")
    finally:
        connection.close()


def until(condition: Callable[[], T | None], seconds: float = 30) -> T:
    """What the condition gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


@contextmanager
def running(merge: str) -> Iterator[Rig]:
    """Servers below /var/tmp: an unprivileged user of ours cannot enter pytest's own folders."""
    root = Path(tempfile.mkdtemp(prefix="quarterdeck-test-", dir="/var/tmp"))
    user, _ = unprivileged_user()
    prepare(root, user)
    world = World("test", root, tools.ensure(print), user)
    supervisor = Supervisor(world)
    try:
        images = registry.start(world, supervisor)
        made = gerrit.start(world, supervisor, merge)
        yield Rig(made, images.http, ci.start(world, supervisor, made, images.http), supervisor)
    finally:
        supervisor.stop()
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def gate() -> Iterator[Rig]:
    """The servers in gate mode, for the whole file."""
    with running("gate") as rig:
        yield rig


@pytest.fixture
def rig(gate: Rig) -> Iterator[Rig]:
    """The servers in gate mode; afterwards the CI is as it was."""
    yield gate
    for project in (CHARTS, CITOID):
        ask(gate.control, "DELETE", f"/{quoted(project)}")


def test_a_merged_change_becomes_an_image_and_a_comment(rig: Rig) -> None:
    """A service change approved by a human is merged by the CI, built, pushed and told in PipelineBot's words."""
    number = rig.merge(CITOID)
    build = rig.finished(CITOID, number)
    (image,) = build["images"]
    tag, host = image["tag"], urlsplit(rig.registry).netloc
    job = "citoid-pipeline-publish"
    assert rig.comments(CITOID, number, "pipelinebot") == [
        f"Patch Set 2:\n\npipeline-dashboard: {job}\n"
        f"pipeline-build-result: SUCCESS (job: {job}, build: {build['build']})\n\n"
        f"IMAGE:\n {host}/{IMAGE}:{tag}\n\nTAGS:\n {tag}"
    ]
    assert tag.endswith("-production")
    _, manifest = ask(rig.registry, "GET", f"/v2/{IMAGE}/manifests/{tag}")
    _, config = ask(rig.registry, "GET", f"/v2/{IMAGE}/blobs/{manifest['config']['digest']}")
    merged = rig.change(CITOID, number)["current_revision"]
    assert config["config"]["Labels"]["org.opencontainers.image.revision"] == merged
    tagged = [m.get("tag") for m in rig.change(CITOID, number)["messages"]]
    assert tagged[-2:] == ["autogenerated:pipelinelib", "autogenerated:ci-postmerge"]


def test_the_bot_votes_and_the_gate_submits(rig: Rig) -> None:
    """In gate mode Code-Review +2 starts the gate, which clears Verified, votes +2 after its delay and submits."""
    number, revision = rig.bump()
    approve(rig.gerrit.rest("quarterdeck"), CHARTS, number, revision)
    until(lambda: rig.change(CHARTS, number)["status"] == "MERGED")
    votes = [text.split("\n")[0] for text in rig.comments(CHARTS, number, "jenkins-bot")]
    assert votes == ["Patch Set 2:", "Patch Set 2: Verified+2", "Change has been successfully merged"]
    assert "Starting gate-and-submit jobs." in rig.comments(CHARTS, number, "jenkins-bot")[0]
    assert rig.gated(number)["result"] == "SUCCESS"


def test_in_gate_mode_the_bot_can_neither_verify_nor_submit(rig: Rig) -> None:
    """Verified and Submit of the charts project belong to the CI alone, and nobody's +2 passes."""
    number, revision = rig.bump()
    place = f"changes/{quoted(CHARTS)}~{number}/revisions/{revision}"
    for account, action, body in (
        ("quarterdeck", "review", {"labels": {"Verified": 2}}),
        ("admin", "review", {"labels": {"Verified": 2}}),
        ("quarterdeck", "submit", {}),
        ("mallory", "review", {"labels": {"Code-Review": 2}}),
    ):
        with pytest.raises(GerritError) as refusal:
            rig.gerrit.rest(account).post(f"{place}/{action}", body)
        assert refusal.value.status == 403


def test_an_upload_without_approval_is_tested(rig: Rig) -> None:
    """A change that waits for its reviewer gets Verified +2 from the test pipeline, and stays open."""
    number, _ = rig.bump("alice")
    (text,) = until(lambda: rig.comments(CHARTS, number, "jenkins-bot"))
    assert text.startswith("Patch Set 2: Verified+2\n\nMain test build succeeded.")
    assert rig.change(CHARTS, number)["status"] == "NEW"


def test_a_failing_gate_says_so_and_a_recheck_by_vote_passes(rig: Rig) -> None:
    """A gate told to fail votes Verified -1 without a merge; voting anew once it is mended merges."""
    rig.tell(CHARTS, result="FAILURE", delay=0.2)
    number, revision = rig.bump()
    bot = rig.gerrit.rest("quarterdeck")
    approve(bot, CHARTS, number, revision)
    until(lambda: any("Gate pipeline build failed." in text for text in rig.comments(CHARTS, number, "jenkins-bot")))
    change = rig.change(CHARTS, number)
    assert change["status"] == "NEW"
    assert change["labels"]["Verified"]["rejected"]["username"] == "jenkins-bot"
    rig.tell(CHARTS, result="SUCCESS")
    place = f"changes/{quoted(CHARTS)}~{number}/revisions/{revision}/review"
    bot.post(place, {"labels": {"Code-Review": 0}})
    bot.post(place, {"labels": {"Code-Review": 2}})
    until(lambda: rig.change(CHARTS, number)["status"] == "MERGED")


def test_a_comment_recheck_gates_again(rig: Rig) -> None:
    """The comment `recheck` on an approved change that the gate had passed by starts the gate."""
    rig.tell(CHARTS, comment="silent", delay=0)
    number, revision = rig.bump()
    bot = rig.gerrit.rest("quarterdeck")
    approve(bot, CHARTS, number, revision)
    rig.finished(CITOID, rig.merge(CITOID))
    rig.tell(CHARTS, comment="normal")
    bot.post(f"changes/{quoted(CHARTS)}~{number}/revisions/{revision}/review", {"message": "recheck"})
    until(lambda: rig.change(CHARTS, number)["status"] == "MERGED")


def test_a_gate_that_meets_a_conflict_says_merge_failed(rig: Rig) -> None:
    """Of two approved changes of one line the second gets Verified -1 with the reason, and stays open."""
    rig.tell(CHARTS, delay=0.3)
    bot = rig.gerrit.rest("quarterdeck")
    made = [create_change(bot, CHARTS, "master", f"citoid: {n}", {"conflict.md": f"{n}\n".encode()}) for n in "ab"]
    for number, revision in made:
        approve(bot, CHARTS, number, revision)
        rig.gated(number)
    assert [rig.change(CHARTS, number)["status"] for number, _ in made] == ["MERGED", "NEW"]
    assert any("Merge Failed." in text for text in rig.comments(CHARTS, made[1][0], "jenkins-bot"))


def test_a_silent_gate_never_votes(rig: Rig) -> None:
    """A gate told to be silent says nothing at all, while a later change of another project is served."""
    rig.tell(CHARTS, comment="silent")
    number, revision = rig.bump()
    approve(rig.gerrit.rest("quarterdeck"), CHARTS, number, revision)
    rig.finished(CITOID, rig.merge(CITOID))
    assert rig.comments(CHARTS, number, "jenkins-bot") == []


def test_the_comment_may_come_before_the_image(rig: Rig) -> None:
    """Told comment-first, the CI announces a tag that the registry gets only later."""
    rig.tell(CITOID, order="comment-first", delay=0)
    number = rig.merge(CITOID)
    (text,) = until(lambda: rig.comments(CITOID, number, "pipelinebot"))
    tag = text.rsplit(" ", 1)[1]
    assert tag not in rig.tags(IMAGE)
    until(lambda: tag in rig.tags(IMAGE))


@pytest.mark.parametrize(
    ("comment", "image_line", "tags_block"),
    [("no-tag", "IMAGE:\n {image}", ""), ("old", "IMAGE:\n {image}", "\n\nTAGS:\n {tag}, {revision}")],
)
def test_a_comment_without_tag(rig: Rig, comment: str, image_line: str, tags_block: str) -> None:
    """A comment may keep the tag back, wholly or in its IMAGE block as in 2019; the image is there all the same."""
    rig.tell(CITOID, comment=comment)
    number = rig.merge(CITOID)
    build = rig.finished(CITOID, number)
    (text,) = rig.comments(CITOID, number, "pipelinebot")
    tag = build["images"][0]["tag"]
    image = f"{urlsplit(rig.registry).netloc}/{IMAGE}"
    block = (image_line + tags_block).format(image=image, tag=tag, revision=build["revision"])
    assert text.endswith(f"build: {build['build']})\n\n{block}")
    assert tag in rig.tags(IMAGE)


def test_a_failed_build_leaves_no_image(rig: Rig) -> None:
    """A failing build is told by PipelineBot's two lines and by jenkins-bot, and the registry gets nothing."""
    rig.tell(CITOID, result="FAILURE")
    before = rig.tags(IMAGE)
    number = rig.merge(CITOID)
    build = rig.finished(CITOID, number)
    job = "citoid-pipeline-publish"
    assert rig.comments(CITOID, number, "pipelinebot") == [
        f"Patch Set 2:\n\npipeline-dashboard: {job}\n"
        f"pipeline-build-result: FAILURE (job: {job}, build: {build['build']})"
    ]
    assert "Post-merge build failed." in rig.comments(CITOID, number, "jenkins-bot")[-1]
    assert rig.tags(IMAGE) == before


@pytest.mark.parametrize(("comment", "post_merge"), [("silent", False), ("ci-only", True)])
def test_a_build_may_be_silent(rig: Rig, comment: str, post_merge: bool) -> None:
    """PipelineBot may say nothing of an image that is there, and jenkins-bot with it."""
    rig.tell(CITOID, comment=comment)
    number = rig.merge(CITOID)
    build = rig.finished(CITOID, number)
    assert rig.comments(CITOID, number, "pipelinebot") == []
    told = any("Post-merge" in text for text in rig.comments(CITOID, number, "jenkins-bot"))
    assert told == post_merge
    assert build["images"][0]["tag"] in rig.tags(IMAGE)


def test_one_change_may_bring_two_images(rig: Rig) -> None:
    """Told two images, one merged change brings two comments, the second for an image nobody uses."""
    rig.tell(CITOID, images=2)
    number = rig.merge(CITOID)
    images = [entry["image"] for entry in rig.finished(CITOID, number)["images"]]
    assert images == [IMAGE, f"{IMAGE}-tools"]
    assert len(rig.comments(CITOID, number, "pipelinebot")) == 2


def test_a_fault_stands_in_the_tag(rig: Rig) -> None:
    """A fault is a word of the image's tag; the playground's images have theirs from the start."""
    rig.tell(CITOID, fault="badpull")
    number = rig.merge(CITOID)
    assert rig.finished(CITOID, number)["images"][0]["tag"].endswith("-badpull-production")
    failoid = "mediawiki/services/failoid"
    number = rig.merge(failoid)
    assert rig.finished(failoid, number)["images"][0]["tag"].endswith("-crash-production")


def test_two_parts_of_one_repository_share_their_timestamp(rig: Rig) -> None:
    """The evaluators are built together: two images, one tag; shellbox is one image with two flavours."""
    evaluators, shellbox = "mediawiki/services/function-evaluator", "mediawiki/services/shellbox"
    first = rig.finished(evaluators, rig.merge(evaluators))["images"]
    assert len({entry["image"] for entry in first}) == 2
    assert len({entry["tag"] for entry in first}) == 1
    second = rig.finished(shellbox, rig.merge(shellbox))["images"]
    assert [entry["tag"].rsplit("-", 1)[1] for entry in second] == ["score", "constraints"]


def test_no_two_builds_have_one_timestamp(rig: Rig) -> None:
    """Changes merged within a second are built under tags of different seconds."""
    rig.tell(CITOID, delay=0)
    before = set(rig.tags(IMAGE))
    for _ in range(4):
        rig.merge(CITOID)
    until(lambda: len(set(rig.tags(IMAGE)) - before) == 4)


def test_a_lost_stream_of_events_loses_no_merge(rig: Rig) -> None:
    """While the events are cut off changes are merged and built all the same: the CI asks Gerrit by itself."""
    (child,) = (entry for entry in rig.supervisor.children if entry.name == "ci")
    for pid in _children(child.pid):
        os.kill(pid, signal.SIGKILL)
    rig.finished(CITOID, rig.merge(CITOID))
    assert child.alive()


def _children(pid: int) -> list[int]:
    return [int(entry) for entry in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] or [
        int(entry) for task in Path(f"/proc/{pid}/task").iterdir() for entry in (task / "children").read_text().split()
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "JSON object"),
        ({"delay": -1}, "delay"),
        ({"delay": True}, "delay"),
        ({"result": "MAYBE"}, "SUCCESS, FAILURE"),
        ({"images": 3}, "images"),
        ({"fault": "No Such"}, "fault"),
        ({"colour": 1, "delay": 9}, "no setting is called colour"),
    ],
)
def test_the_control_port_refuses_nonsense(rig: Rig, body: object, words: str) -> None:
    """A wrong order is refused with words and changes nothing."""
    before = rig.shown(CITOID)
    status, shown = ask(rig.control, "POST", f"/{quoted(CITOID)}", body)
    assert status == 400
    assert words in shown["error"]
    assert rig.shown(CITOID) == before


def test_the_control_port_knows_its_projects(rig: Rig) -> None:
    """GET / shows every project with its settings; an unknown one is not found."""
    status, shown = ask(rig.control, "GET", "/")
    assert status == 200
    assert shown["merge"] == "gate"
    assert set(shown["projects"]) == {CHARTS, *(entry.name for entry in contents.PROJECTS)}
    assert ask(rig.control, "POST", "/nope", {})[0] == 404


def test_secrets_are_files_of_their_owner_alone(rig: Rig) -> None:
    """Tokens and keys are readable by the servers' user only."""
    found = [path for path in rig.gerrit.secrets.iterdir() if path.suffix != ".pub"]
    assert len(found) >= 11
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert rig.gerrit.secrets.stat().st_mode & 0o777 == 0o700


def test_in_submit_mode_the_submitter_is_the_bot() -> None:
    """In submit mode the CI votes Verified and leaves the rest to the bot, whose submit merges."""
    with running("submit") as rig:
        bot = rig.gerrit.rest("quarterdeck")
        number, revision = rig.bump()
        approve(bot, CHARTS, number, revision)
        until(lambda: rig.change(CHARTS, number).get("submittable"))
        done = bot.post(f"changes/{quoted(CHARTS)}~{number}/revisions/{revision}/submit")
        assert done["status"] == "MERGED"
        assert rig.change(CHARTS, number)["submitter"]["username"] == "quarterdeck"
        rig.tell(CHARTS, result="FAILURE", delay=0)
        number, _ = rig.bump()
        until(lambda: "rejected" in rig.change(CHARTS, number)["labels"]["Verified"])
