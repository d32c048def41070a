"""The Reviews that the contract tests run against, each with the hands of the other people around it."""

import asyncio
import hashlib
import secrets

from quarterdeck.adapters.gerrit.review import GerritReview
from quarterdeck.core.model.change import Change, Draft
from quarterdeck.core.ports.review import Review
from quarterdeck.testing.review import FakeReview, Gate
from tests.servers.fake_gerrit import FakeGerrit
from tests.servers.real_gerrit import RealGerrit


def blob(content: bytes) -> str:
    """The id git gives a file with that content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Bench:
    """A Review, and the hands of the other people around it."""

    review: Review
    project: str
    bot: str
    ci: str

    async def head(self) -> str:
        """The branch's newest commit."""
        raise NotImplementedError

    async def push(self, files: dict[str, bytes]) -> str:
        """Somebody's commit on the branch; its sha."""
        raise NotImplementedError

    async def vote(self, number: int, label: str, value: int) -> None:
        """CI votes."""
        raise NotImplementedError

    async def upload(self, number: int, files: dict[str, bytes]) -> None:
        """Somebody's patch set on a change."""
        raise NotImplementedError

    async def content(self, path: str) -> bytes:
        """A file at the head."""
        raise NotImplementedError

    def draft(self, base: str, files: dict[str, bytes] | None = None, **more: object) -> Draft:
        """A change that nobody proposed before."""
        change_id = f"I{secrets.token_hex(20)}"
        message = f"citoid: tag two\n\nRequested-By: Alice <alice@example.org>\nChange-Id: {change_id}\n"
        files = {"values.yaml": f"tag: {secrets.token_hex(4)}\n".encode()} if files is None else files
        return Draft(self.project, "master", change_id, base, message, files, **more)  # type: ignore[arg-type]

    async def merged(self, files: dict[str, bytes] | None = None) -> Change:
        """A change of ours that is merged."""
        change = await self.review.propose(self.draft(await self.head(), files))
        change = await self.review.approve(change, "go")
        await self.vote(change.number, "Verified", 2)
        return await self.review.submit(change)


class FakeBench(Bench):
    def __init__(self) -> None:
        self.fake = FakeReview(gate=Gate.STALL)
        self.review, self.project, self.bot, self.ci = self.fake, "ops/charts", self.fake.user, self.fake.ci
        self.repository = self.fake.repository(self.project)
        self.repository.push({"values.yaml": b"tag: one\n", "other.yaml": b"a: 1\n"})

    async def head(self) -> str:
        """The branch's newest commit."""
        return self.repository.head

    async def push(self, files: dict[str, bytes]) -> str:
        """Somebody's commit on the branch; its sha."""
        return self.repository.push(files)

    async def vote(self, number: int, label: str, value: int) -> None:
        """CI votes."""
        self.fake.vote(number, label, value, self.ci)

    async def upload(self, number: int, files: dict[str, bytes]) -> None:
        """Somebody's patch set on a change."""
        self.fake.upload(number, files, "alice")

    async def content(self, path: str) -> bytes:
        """A file at the head."""
        return self.repository.files[path]


class ServerBench(Bench):
    def __init__(self, server: FakeGerrit, timeout: float = 5.0) -> None:
        self.server = server
        self.adapter = GerritReview(server.url, server.user, server.token, timeout=timeout, pause=0.01)
        self.review, self.project, self.bot, self.ci = self.adapter, server.project, server.user, "jenkins-bot"

    async def head(self) -> str:
        """The branch's newest commit."""
        return self.server.repository.head

    async def push(self, files: dict[str, bytes]) -> str:
        """Somebody's commit on the branch; its sha."""
        return self.server.repository.push(files)

    async def vote(self, number: int, label: str, value: int) -> None:
        """CI votes."""
        self.server.vote(self.server.records[number], label, value, self.ci)

    async def upload(self, number: int, files: dict[str, bytes]) -> None:
        """Somebody's patch set on a change."""
        record = self.server.records[number]
        self.server.upload(record, {**record.current.files, **files}, "alice")

    async def content(self, path: str) -> bytes:
        """A file at the head."""
        return self.server.repository.files[path]


class RealBench(Bench):
    def __init__(self, gerrit: RealGerrit) -> None:
        self.gerrit = gerrit
        self.adapter = GerritReview(gerrit.url, "contract-bot", gerrit.passwords["contract-bot"])
        self.review, self.project, self.bot, self.ci = self.adapter, gerrit.project, "contract-bot", "contract-ci"

    async def head(self) -> str:
        """The branch's newest commit."""
        return await asyncio.to_thread(lambda: self.gerrit.head)

    async def push(self, files: dict[str, bytes]) -> str:
        """Somebody's commit on the branch; its sha."""
        return await asyncio.to_thread(self.gerrit.push, files)

    async def vote(self, number: int, label: str, value: int) -> None:
        """CI votes."""
        await asyncio.to_thread(self.gerrit.review, number, self.ci, {label: value})

    async def upload(self, number: int, files: dict[str, bytes]) -> None:
        """Somebody's patch set on a change."""
        await asyncio.to_thread(self.gerrit.upload, number, files, "admin")

    async def content(self, path: str) -> bytes:
        """A file at the head."""
        return await asyncio.to_thread(lambda: self.gerrit.content(path, self.gerrit.head))
