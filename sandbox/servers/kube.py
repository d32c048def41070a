"""Speak to the Kubernetes API with the standard library alone: requests and a watch."""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MERGE_PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """The API server refused; `status` is its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Kubernetes answered {status}: {text[:500]}")
        self.status = status


class Api:
    """One connection to one API server; not for several threads at once."""

    def __init__(self, port: int, authority: Path, token: str, seconds: float = 10) -> None:
        self._context = ssl.create_default_context(cafile=str(authority))
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._port = port
        self._seconds = seconds
        self._connection: http.client.HTTPSConnection | None = None

    def _connect(self, seconds: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=seconds, context=self._context)

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Send one request and return the decoded answer.

        Raises:
            ApiError: the answer is no success.
            OSError: no answer came.
        """
        connection = self._connection or self._connect(self._seconds)
        self._connection = None
        payload = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, payload, self._headers | {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read().decode()
        except http.client.HTTPException as error:
            connection.close()
            raise ConnectionError(f"the API server broke off: {error!r}") from error
        except OSError:
            connection.close()
            raise
        self._connection = connection
        if answer.status >= 300:
            raise ApiError(answer.status, text)
        return json.loads(text) if answer.headers.get_content_type() == "application/json" else text

    def create(self, path: str, body: Any) -> None:
        """Create an object, or leave the one that is there."""
        try:
            self.request("POST", path, body)
        except ApiError as error:
            if error.status != 409:
                raise

    def watch(self, path: str) -> Iterator[Any]:
        """Yield every object of a list, then every added or changed one, until the server ends the watch."""
        found = self.request("GET", path)
        yield from found["items"]
        version = found["metadata"]["resourceVersion"]
        connection = self._connect(330)
        try:
            query = f"{path}?watch=1&timeoutSeconds=300&resourceVersion={version}"
            connection.request("GET", query, headers=self._headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise ApiError(answer.status, answer.read().decode())
            while line := answer.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "DELETED":
                    yield event["object"]
        except http.client.HTTPException as error:
            raise ConnectionError(f"the watch broke off: {error!r}") from error
        finally:
            connection.close()
