"""Where the running sandbox's Gerrit is, and a project in it that belongs to one run of the contract tests."""

import base64
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

SANDBOX = Path(__file__).resolve().parents[2] / "sandbox"


def endpoints() -> dict[str, Any]:
    """What the running sandbox says of itself; skips where none is up."""
    name = os.environ.get("SANDBOX", "")
    path = SANDBOX / (f"endpoints-{name}.json" if name else "endpoints.json")
    if not path.exists():
        pytest.skip("no sandbox is running")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@dataclass(frozen=True)
class RealGerrit:
    """A real Gerrit's REST as several accounts, and a project of our own."""

    url: str
    project: str
    passwords: dict[str, str]

    def ask(self, method: str, path: str, who: str = "admin", sent: Any = None) -> Any:
        """One request; JSON unless bytes are sent."""
        given: dict[str, Any] = {"data": sent} if isinstance(sent, bytes) else {"json": sent}
        if isinstance(sent, bytes):
            given["headers"] = {"Content-Type": "application/octet-stream"}
        auth = (who, self.passwords[who])
        reply = requests.request(method, f"{self.url}/a/{path}", auth=auth, timeout=30, **given)
        if reply.status_code == 409 and "no changes were made" in reply.text:
            return ""
        assert reply.status_code < 300, f"{method} {path}: {reply.status_code} {reply.text}"
        return json.loads(reply.text[5:]) if reply.text.startswith(")]}'") else reply.text

    @property
    def head(self) -> str:
        """The branch's newest commit."""
        return str(self.ask("GET", f"projects/{quote(self.project, safe='')}/branches/master")["revision"])

    def content(self, path: str, commit: str) -> bytes:
        """A file at a commit."""
        where = f"projects/{quote(self.project, safe='')}/commits/{commit}/files/{quote(path, safe='')}/content"
        return base64.b64decode(self.ask("GET", where))

    def push(self, files: dict[str, bytes], subject: str = "Somebody's work") -> str:
        """Merge a change as the admin; the branch's new head."""
        made = self.ask("POST", "changes/", sent={"project": self.project, "branch": "master", "subject": subject})
        number = made["_number"]
        self.upload(number, files, "admin")
        self.review(number, "admin", {"Code-Review": 2})
        self.review(number, "contract-ci", {"Verified": 2})
        self.ask("POST", f"changes/{number}/submit", sent={})
        return self.head

    def upload(self, number: int, files: dict[str, bytes], who: str) -> None:
        """Somebody uploads a patch set."""
        for path, content in files.items():
            self.ask("PUT", f"changes/{number}/edit/{quote(path, safe='')}", who, content)
        self.ask("POST", f"changes/{number}/edit:publish", who, {"notify": "NONE"})

    def review(self, number: int, who: str, labels: dict[str, int], message: str = "") -> None:
        """Somebody votes or comments."""
        sent = {"labels": labels, "message": message}
        self.ask("POST", f"changes/{number}/revisions/current/review", who, sent)


def prepare(found: dict[str, Any]) -> RealGerrit:
    """Make accounts, rights and a project for these tests only."""
    run = secrets.token_hex(4)
    # The same in every run: an account has room for ten tokens only.
    passwords = {
        name: hashlib.sha256(f"{name} {found['password']}".encode()).hexdigest()
        for name in ("contract-bot", "contract-ci")
    } | {"admin": found["password"]}
    gerrit = RealGerrit(found["http"].rstrip("/"), f"contract/{run}", passwords)
    for name in ("contract-bot", "contract-ci"):
        exists = requests.get(f"{gerrit.url}/accounts/{name}", timeout=30).status_code == 200
        if not exists:
            gerrit.ask("PUT", f"accounts/{name}", sent={"name": name, "groups": ["Service Users"]})
        tokens = gerrit.ask("GET", f"accounts/{name}/tokens")
        if "contract" not in {token["id"] for token in tokens}:
            token = {"id": "contract", "token": passwords[name]}
            gerrit.ask("PUT", f"accounts/{name}/tokens/contract", sent=token)
    for group, member in (("Contract Deployers", "contract-bot"), ("Contract CI", "contract-ci")):
        groups = gerrit.ask("GET", f"groups/?m={quote(group)}")
        if group not in groups:
            gerrit.ask("PUT", f"groups/{quote(group)}", sent={"members": [member]})
    labels = gerrit.ask("GET", "projects/All-Projects/labels/")
    if "Verified" not in {label["name"] for label in labels}:
        _make_label(gerrit)
    project = {"submit_type": "REBASE_IF_NECESSARY", "branches": ["master"], "create_empty_commit": True}
    gerrit.ask("PUT", f"projects/{quote(gerrit.project, safe='')}", sent=project)
    _grant(gerrit)
    gerrit.push({"values.yaml": b"tag: one\n", "other.yaml": b"a: 1\n"}, "First contents")
    return gerrit


def _make_label(gerrit: RealGerrit) -> None:
    values = {"-1": "Fails", "0": "No score", "+1": "Checked", "+2": "Gate passed"}
    label = {"values": values, "function": "NoBlock", "copy_condition": "changekind:NO_CODE_CHANGE"}
    gerrit.ask("PUT", "projects/All-Projects/labels/Verified", sent=label)
    rule = {
        "name": "Verified",
        "submittability_expression": "label:Verified=MAX AND -label:Verified=MIN",
        "allow_override_in_child_projects": False,
    }
    gerrit.ask("PUT", "projects/All-Projects/submit_requirements/Verified", sent=rule)


def _grant(gerrit: RealGerrit) -> None:
    def allow(*groups: str, low: int | None = None, high: int | None = None) -> dict[str, Any]:
        rule: dict[str, Any] = {"action": "ALLOW"}
        if high is not None:
            rule |= {"min": low, "max": high}
        return {"rules": dict.fromkeys(groups, rule)}

    people = ("Contract Deployers", "Administrators")
    permissions = {
        "submit": allow(*people),
        "abandon": allow(*people),
        "label-Code-Review": {"label": "Code-Review", **allow(*people, low=-2, high=2)},
        "label-Verified": {"label": "Verified", **allow("Contract CI", low=-1, high=2)},
    }
    sent = {"message": "Contract tests", "add": {"refs/heads/*": {"permissions": permissions}}}
    gerrit.ask("POST", f"projects/{quote(gerrit.project, safe='')}/access", sent=sent)
