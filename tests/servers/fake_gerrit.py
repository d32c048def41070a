"""A small HTTP server that speaks Gerrit's REST with its texts, limits and traps, and fails when it is told to."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from quarterdeck.testing.repository import FakeRepository
from tests.servers.fake_gerrit_entities import LABELS, Fault, Json, PatchSet, Record, Refusal, account, stamp


class FakeGerrit:
    """The server; `async with FakeGerrit() as gerrit`, then `gerrit.url`.

    Attributes:
        requests: "METHOD path" of everything asked, in order.
        faults: what is to go wrong; used up from the front.
    """

    def __init__(self) -> None:
        self.repository = FakeRepository({"values.yaml": b"tag: one\n", "other.yaml": b"a: 1\n"})
        self.project, self.branch = "ops/charts", "master"
        self.user, self.token = "quarterdeck", "a token ü"
        self.records: dict[int, Record] = {}
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.labels = dict(LABELS)
        self.before_vote: Callable[[Record], None] | None = None
        self.after_vote: Callable[[Record], None] | None = None
        self.index_lost = False
        self._released = asyncio.Event()
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        self.page = 3
        self.hidden = 0

    async def __aenter__(self) -> "FakeGerrit":
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{any:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await self._runner.cleanup()

    def tick(self) -> datetime:
        """Go on by a second; the new time."""
        self.now += timedelta(seconds=1)
        return self.now

    def _fault(self, line: str) -> Fault | None:
        for fault in self.faults:
            if re.search(fault.match, line):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        line = f"{request.method} {request.rel_url.raw_path.removeprefix('/a')}"
        self.requests.append(line)
        body = await request.read()
        fault = self._fault(line)
        action = fault.action if fault else ""
        assert request.transport
        if fault and action == "status":
            later = {"Retry-After": "60"} if fault.status == 429 else {}
            return web.Response(status=fault.status, text="Internal server error\n", headers=later)
        if action == "shape":
            return web.Response(text=")]}'\n[1]", content_type="application/json")
        if action == "hang":
            await self._released.wait()
        if action in {"hang", "cut"}:
            request.transport.abort()
            return web.Response()
        if action == "text":
            return web.Response(text="<html>login</html>", content_type="application/json")
        answer = self._answer(request, line, body)
        if action == "done-hang":
            await self._released.wait()
        if action in {"lost", "done-hang"}:
            request.transport.abort()
        if action == "done-500":
            return web.Response(status=500, text="Internal server error\n")
        if action == "slow":
            stream = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "9000"})
            await stream.prepare(request)
            while not self._released.is_set():
                try:
                    await stream.write(b" ")
                    await asyncio.wait_for(self._released.wait(), 0.05)
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            return stream
        return answer

    def _answer(self, request: web.Request, line: str, body: bytes) -> web.Response:
        wanted = "Basic " + base64.b64encode(f"{self.user}:{self.token}".encode()).decode()
        if request.headers.get("Authorization") != wanted:
            return web.Response(status=401, text="Unauthorized")
        try:
            kind = request.headers.get("Content-Type", "")
            sent: Any = json.loads(body) if kind.startswith("application/json") else body
            value = self._route(request, line, sent)
        except json.JSONDecodeError:
            return web.Response(status=400, text="Expected JSON object\n")
        except Refusal as refusal:
            return web.Response(status=refusal.status, text=f"{refusal.text}\n")
        if value is None:
            return web.Response(status=204)
        text = ")]}'\n" + json.dumps(value)
        status = 201 if line == "POST /changes/" else 200
        return web.Response(status=status, text=text, content_type="application/json")

    def _route(self, request: web.Request, line: str, sent: Any) -> Any:
        if line == "GET /accounts/self":
            return account(self.user)
        if line == "POST /changes/":
            return self._create(sent)
        if line == "GET /changes/":
            return self._query(request.query["q"], int(request.query.get("S", "0")))
        found = re.fullmatch(r"(\w+) /changes/([^/]+)~(\d+)(?:/(.*))?", line)
        record = self.records.get(int(found[3])) if found else None
        if not found or record is None or unquote(found[2]) != record.project:
            raise Refusal(404, "Not found")
        verb, rest = found[1], found[4] or ""
        if (verb, rest) == ("GET", ""):
            return self._info(record)
        if (verb, rest) == ("GET", "messages"):
            return record.messages
        if (verb, rest) == ("GET", "submitted_together"):
            return {"changes": [], "non_visible_changes": self.hidden}
        return self._write(verb, rest, record, sent)

    def _write(self, verb: str, rest: str, record: Record, sent: Any) -> Any:
        if verb == "DELETE" and rest == "edit":
            if record.edit is None:
                raise Refusal(404, "Not found: edit")
            record.edit = None
            return None
        if verb == "PUT" and rest.startswith("edit/"):
            return self._edit(record, unquote(rest.removeprefix("edit/")), sent)
        if not isinstance(sent, dict):
            raise Refusal(400, "Expected JSON object")
        if rest == "edit:publish":
            return self._publish(record)
        if rest == "abandon":
            if record.status != "NEW":
                raise Refusal(409, f"change is {record.status.lower()}")
            record.status = "ABANDONED"
            self.say(record, self.user, f"Abandoned\n\n{sent.get('message', '')}")
            return self._info(record)
        if found := re.fullmatch(r"revisions/([0-9a-f]{40})/(review|submit)", rest):
            if found[1] not in {p.sha for p in record.patch_sets}:
                raise Refusal(404, f"Not found: {found[1]}")
            return self._review(record, found[1], sent) if found[2] == "review" else self._submit(record, found[1])
        raise Refusal(404, "Not found")

    def _create(self, sent: Json) -> Json:
        message = sent["subject"]
        found = re.findall(r"(?m)^Change-Id: (I[0-9a-f]{40})$", message)
        if len(found) != 1:
            raise Refusal(409, "multiple Change-Id lines in message footer")
        if any(r.change_id == found[0] for r in self.records.values()):
            raise Refusal(409, f"A change with Change-Id {found[0]} already exists for this branch.")
        base = self.repository.commits.get(sent["base_commit"])
        if base is None:
            raise Refusal(422, f"Base {sent['base_commit']} doesn't exist")
        commit = self.repository.make(message, base.files, parent=base.sha)
        first = PatchSet(commit.sha, base.sha, message, base.files, base.files, self.user)
        number = 100 + len(self.records)
        record = Record(
            number, found[0], sent["project"], sent["branch"], sent.get("topic", ""), sent.get("author"),
            self.user, [first], bool(sent.get("work_in_progress")),
        )  # fmt: skip
        self.records[number] = record
        self.say(record, self.user, "Uploaded patch set 1.")
        return self._info(record)

    def _query(self, query: str, start: int) -> list[Json]:
        found = [] if self.index_lost else sorted(self.records.values(), key=lambda r: -r.number)
        for key, value in re.findall(r'(\w+):("[^"]*"|\S+)', query):
            text = value.strip('"')
            if key in {"mergedafter", "mergedbefore"}:
                at = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
                after = key == "mergedafter"
                found = [r for r in found if r.submitted and (r.submitted >= at if after else r.submitted <= at)]
            else:
                fields: dict[str, Callable[[Record], str]] = {
                    "project": lambda r: r.project,
                    "branch": lambda r: r.branch,
                    "change": lambda r: r.change_id,
                    "status": lambda r: r.status.lower(),
                }
                found = [r for r in found if fields[key](r) == text]
        page = [self._info(r) for r in found[start : start + self.page]]
        if page and len(found) > start + self.page:
            page[-1]["_more_changes"] = True
        return page

    def _info(self, r: Record) -> Json:
        votes: dict[str, list[Json]] = {label: [] for label in self.labels}
        for (label, who), (value, at) in r.votes.items():
            votes[label].append(account(who) | {"value": value, "date": stamp(at)})
        info: Json = {
            "_number": r.number,
            "change_id": r.change_id,
            "project": r.project,
            "branch": r.branch,
            "subject": r.current.message.splitlines()[0],
            "status": r.status,
            "topic": r.topic,
            "owner": account(r.owner),
            "current_revision": r.current.sha,
            "revisions": {p.sha: p.info(n) for n, p in enumerate(r.patch_sets, 1)},
            "labels": {label: {"all": given} for label, given in votes.items()},
        }
        if r.status == "NEW":
            info["submittable"] = not self._unsatisfied(r) and not r.wip
        if r.wip:
            info["work_in_progress"] = True
        if r.submitted:
            info["submitted"] = stamp(r.submitted)
        return info

    @staticmethod
    def _unsatisfied(r: Record) -> str:
        for label in ("Code-Review", "Verified"):
            values = [value for (name, _), (value, _) in r.votes.items() if name == label]
            if 2 not in values or min(values) < 0:
                return label
        return ""

    def _edit(self, r: Record, path: str, content: bytes) -> None:
        if r.status != "NEW":
            raise Refusal(409, f"change {r.number} is {r.status.lower()}")
        edit = dict(r.current.files) if r.edit is None else r.edit
        if edit.get(path) == content:
            raise Refusal(409, "no changes were made")
        r.edit = {**edit, path: content}

    def _publish(self, r: Record) -> None:
        if r.edit is None:
            raise Refusal(409, f"no edit exists for change {r.number}")
        self.upload(r, r.edit, self.user)
        r.edit = None

    def upload(self, r: Record, files: Mapping[str, bytes], who: str) -> None:
        """Somebody uploads a patch set."""
        commit = self.repository.make(r.current.message, files, parent=r.current.parent)
        last = r.current
        r.patch_sets.append(PatchSet(commit.sha, last.parent, last.message, last.base, dict(files), who))
        r.votes.clear()
        self.say(r, who, f"Uploaded patch set {len(r.patch_sets)}.")

    def say(self, r: Record, who: str, text: str) -> None:
        """A message on a change."""
        r.messages.append(
            {
                "id": f"{r.number}-{len(r.messages)}",
                "author": account(who),
                "date": stamp(self.tick()),
                "message": text,
                "_revision_number": len(r.patch_sets),
            }
        )

    def vote(self, r: Record, label: str, value: int, who: str, message: str = "") -> None:
        """Somebody votes."""
        r.votes[label, who] = (value, self.tick())
        self.say(r, who, f"Patch Set {len(r.patch_sets)}: {label}{value:+d}\n\n{message}".strip())

    def _review(self, r: Record, sha: str, sent: Json) -> Json:
        if self.before_vote:
            self.before_vote(r)
        if sent.get("ready"):
            r.wip = False
        taken: Json = {}
        for label, value in sent.get("labels", {}).items():
            low, high = self.labels.get(label, (1, 0))
            if low <= value <= high:
                taken[label] = value
                if sha == r.current.sha:
                    self.vote(r, label, value, self.user, sent.get("message", ""))
        if self.after_vote:
            self.after_vote(r)
        return {"labels": taken, "ready": bool(sent.get("ready"))}

    def _submit(self, r: Record, sha: str) -> Json:
        if r.status != "NEW":
            raise Refusal(409, f"change is {r.status.lower()}")
        if sha != r.current.sha:
            raise Refusal(409, f"revision {sha} is not current revision")
        start = "Failed to submit 1 change due to the following problems:\n"
        if r.wip:
            raise Refusal(409, f"{start}Change {r.number}: Change {r.number} is marked work in progress")
        if label := self._unsatisfied(r):
            text = f"Change {r.number} is not ready: submit requirement '{label}' is unsatisfied."
            raise Refusal(409, f"{start}Change {r.number}: {text}")
        self.merge(r)
        return self._info(r)

    def merge(self, r: Record) -> None:
        """Merge by rebase, whoever does it."""
        head = self.repository.commits[self.repository.head]
        last = r.current
        changed = {p: c for p, c in last.files.items() if last.base.get(p) != c}
        for path, content in changed.items():
            if head.files.get(path) not in {last.base.get(path), content}:
                where = f"merge conflict(s):\n* {path}"
                text = f"Change {r.number} could not be rebased due to a conflict during merge.\n\n{where}"
                raise Refusal(409, f"Cannot rebase {last.sha}: {text}")
        if head.sha != last.parent:
            moved = self.repository.make(last.message, {**head.files, **changed})
            r.patch_sets.append(
                PatchSet(moved.sha, head.sha, last.message, head.files, moved.files, self.user, "TRIVIAL_REBASE")
            )
        self.repository.head = r.current.sha
        r.status, r.submitted = "MERGED", self.tick()
