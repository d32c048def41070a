"""Speak Gerrit's REST as one account: JSON in and out, every refusal an exception with Gerrit's words."""

import base64
import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

_SECONDS = 30
_GUARD = b")]}'\n"


class GerritError(Exception):
    """Gerrit refused; `status` is the HTTP status, the text is Gerrit's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text.strip()}")
        self.status = status
        self.text = text


def quoted(part: str) -> str:
    """One part of a path, such as a project's name, with its slashes encoded."""
    return quote(part, safe="")


@dataclass(frozen=True)
class Gerrit:
    """One account at one server. Any thread may use it: every request has a connection of its own."""

    url: str
    account: str
    token: str

    @classmethod
    def with_secret(cls, url: str, account: str, secrets: Path) -> "Gerrit":
        """The account whose token lies in the sandbox's folder of secrets."""
        return cls(url, account, (secrets / f"gerrit-{account}.token").read_text().strip())

    @property
    def basic(self) -> str:
        """The value of the Authorization header."""
        pair = f"{self.account}:{self.token}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def get(self, path: str) -> Any:
        """Read; the path comes after /a/."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: object = None) -> Any:
        """Do something."""
        return self._ask("POST", path, {} if body is None else body)

    def put(self, path: str, body: object) -> Any:
        """Create or replace; bytes are sent as they are, anything else as JSON."""
        return self._ask("PUT", path, body)

    def delete(self, path: str) -> None:
        """Remove."""
        self._ask("DELETE", path, None)

    def _ask(self, method: str, path: str, body: object) -> Any:
        headers = {"Authorization": self.basic, "Accept": "application/json"}
        data: bytes | None = None
        if isinstance(body, bytes):
            data, headers["Content-Type"] = body, "application/octet-stream"
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json; charset=UTF-8"
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=_SECONDS)
        try:
            connection.request(method, f"/a/{path}", data, headers)
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        if reply.status >= 300:
            raise GerritError(reply.status, content.decode(errors="replace"))
        if content.startswith(_GUARD):
            return json.loads(content[len(_GUARD) :])
        return content.decode(errors="replace")


def create_change(gerrit: Gerrit, project: str, branch: str, message: str, files: dict[str, bytes]) -> tuple[int, str]:
    """Make a change with these files on the tip of the branch; gives its number and the commit to vote on."""
    made = gerrit.post("changes/", {"project": project, "branch": branch, "subject": message})
    number = int(made["_number"])
    change = f"changes/{quoted(project)}~{number}"
    for path, content in files.items():
        gerrit.put(f"{change}/edit/{quoted(path)}", content)
    if files:
        gerrit.post(f"{change}/edit:publish")
    return number, str(gerrit.get(f"{change}?o=CURRENT_REVISION")["current_revision"])


def approve(gerrit: Gerrit, project: str, number: int, revision: str, message: str = "") -> None:
    """Vote Code-Review +2 on that commit."""
    body = {"labels": {"Code-Review": 2}, "message": message}
    gerrit.post(f"changes/{quoted(project)}~{number}/revisions/{revision}/review", body)
