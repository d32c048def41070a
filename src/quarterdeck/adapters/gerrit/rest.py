"""Speak HTTP with Gerrit: one kind of error, real deadlines, and a thread pool that starves nobody else.

It is python-gerrit-api's client with a requester of our own, because the library's loses Gerrit's reason for
a refusal, raises three families of exceptions, sends no body for an empty object, and knows no deadline.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests
import urllib3
from gerrit import GerritClient
from gerrit.utils.requester import Requester

from quarterdeck.core.model.errors import PermanentError, TemporaryError

_MAX_BODY = 64 << 20
_CHUNK = 1 << 16
_TEMPORARY = frozenset({0, 408, 425, 429, 500, 502, 503, 504})
_PATIENCE = 3.0  #: a longer Retry-After, in seconds, is for the caller to wait out
_GRACE = 0.5  #: seconds a thread gets to end by its own deadline before its caller stops waiting


class GerritError(Exception):
    """Gerrit answered with anything but success, or not at all; never leaves the adapter.

    Attributes:
        status: HTTP status; 0 when there was no answer, so that the request may have been carried out.
        body: Gerrit's reason, plain text.
        retry_after: seconds the server asked us to wait, 0 if it did not.
    """

    def __init__(self, status: int, body: str, method: str, path: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{method} {path}: {status or 'no answer'}: {body}")
        self.status = status
        self.body = body
        self.method = method
        self.path = path
        self.retry_after = retry_after

    @property
    def temporary(self) -> bool:
        """Whether the same request may well work later."""
        return self.status in _TEMPORARY

    def says(self, *words: str) -> bool:
        """Whether Gerrit's reason holds one of these texts, compared without case."""
        reason = self.body.casefold()
        return any(word in reason for word in words)

    @property
    def reason(self) -> str:
        """Gerrit's reason on one line, at most 300 characters."""
        return " ".join(self.body.split())[:300] or "no reason given"


def translated(error: GerritError) -> TemporaryError | PermanentError:
    """The core's word for an error."""
    if error.status == 0:
        return TemporaryError(f"Gerrit does not answer: {error.reason}")
    if error.temporary:
        return TemporaryError(
            f"Gerrit cannot do it just now ({error.status}: {error.reason})", error.retry_after or 1.0
        )
    if error.status == 401:
        return PermanentError("Gerrit does not accept the bot's user name and token")
    if error.status == 404:
        return PermanentError(f"Gerrit has no such thing, or hides it from the bot: {error.path.split('?')[0]}")
    return PermanentError(f"Gerrit refuses ({error.status}: {error.reason})")


@dataclass(frozen=True)
class _Answer:
    """What the library's decoder wants to see of a response."""

    headers: Mapping[str, str]
    content: bytes
    encoding: str | None = "utf-8"


class _Requester(Requester):
    """The library's four verbs, all by way of one function; each thread has its own."""

    def __init__(self, base_url: str, session: requests.Session, connect: float) -> None:
        super().__init__(base_url=base_url, session=session)  # type: ignore[no-untyped-call]
        self._http = session
        self._root = f"{base_url}/a"
        self._connect = connect
        self.deadline = 0.0  #: time.monotonic() at which the request has to be over

    def get(self, url: Any, *_: Any, **__: Any) -> Any:
        return self._send("GET", url)

    def post(self, url: Any, *_: Any, **sent: Any) -> Any:
        return self._send("POST", url, sent.get("json"), sent.get("data"))

    def put(self, url: Any, *_: Any, **sent: Any) -> Any:
        return self._send("PUT", url, sent.get("json"), sent.get("data"))

    def delete(self, url: Any, *_: Any, **__: Any) -> Any:
        return self._send("DELETE", url)

    def _send(self, method: str, url: str, value: Any = None, data: bytes | None = None) -> _Answer:
        left = max(self.deadline - time.monotonic(), 0.05)
        # The server gives up with us, so that nothing we no longer wait for is done behind our back.
        headers = {"Accept": "application/json", "X-Gerrit-Deadline": f"{int(left * 1000)}ms"}
        if value is not None:
            headers["Content-Type"] = "application/json; charset=UTF-8"
            data = json.dumps(value).encode()
        elif data is not None:
            headers["Content-Type"] = "application/octet-stream"
        path = url.removeprefix(self._root)
        try:
            with self._http.request(
                method,
                url,
                data=data,
                headers=headers,
                timeout=(min(self._connect, left), left),
                allow_redirects=False,  # a redirected POST becomes a GET
                stream=True,
            ) as response:
                body = self._read(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise GerritError(0, _why(error), method, path) from error
        if not 200 <= response.status_code < 300:
            text = body.decode(errors="replace").strip()
            raise GerritError(response.status_code, text, method, path, _retry_after(response))
        return _Answer(response.headers, body)

    def _read(self, response: requests.Response) -> bytes:
        """The body, under the deadline even when it comes byte by byte."""
        parts: list[bytes] = []
        size = 0
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            parts.append(chunk)
            size += len(chunk)
            if time.monotonic() > self.deadline:
                raise TimeoutError("its answer did not end in time")
            if size > _MAX_BODY:
                raise OSError("its answer is larger than 64 MiB")
        return b"".join(parts)


def _why(error: Exception) -> str:
    """A word for people: the exceptions of requests print addresses of objects."""
    if isinstance(error, requests.Timeout | TimeoutError):
        return "timed out"
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate cannot be verified"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "the connection broke"


def _retry_after(response: requests.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), 300.0) if value.isdigit() else 0.0


class GerritRest:
    """Gerrit's REST API, awaitable: each request runs in a small pool of threads with clients of their own.

    Args:
        url: where Gerrit is, without "/a".
        user: account name for HTTP basic authentication.
        token: its password or token.
        timeout: seconds one request may take in all.
        connect_timeout: seconds until a connection must stand.
        workers: requests in flight at most.
        pause: seconds before the first repetition of a read; doubles.
    """

    def __init__(
        self,
        url: str,
        user: str,
        token: str,
        *,
        timeout: float = 20.0,
        connect_timeout: float = 5.0,
        workers: int = 4,
        pause: float = 0.3,
    ) -> None:
        self._url = url.rstrip("/")
        # As bytes: requests would send text as latin-1.
        self._user, self._token = user.encode(), token.encode()
        self._timeout, self._connect = timeout, connect_timeout
        self.pause = pause
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="gerrit")
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    async def get(self, path: str) -> Any:
        """GET, tried up to three times: it changes nothing.

        Raises:
            GerritError: refused, or the server is late or away.
        """
        for attempt in range(3):
            try:
                return await self.once("get", path)
            except GerritError as error:
                if not error.temporary or attempt == 2 or error.retry_after > _PATIENCE:
                    raise
                await asyncio.sleep(max(self.pause * 2**attempt, error.retry_after))
        raise AssertionError("not reached")

    async def once(self, verb: str, path: str, **sent: Any) -> Any:
        """One request, never repeated; `json=` an object or `data=` bytes. Raises GerritError."""
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self._timeout
        try:
            async with asyncio.timeout(self._timeout + _GRACE):
                return await loop.run_in_executor(self._pool, partial(self._blocking, verb, path, deadline, sent))
        except TimeoutError as error:
            raise GerritError(0, "timed out", verb.upper(), path) from error

    def _blocking(self, verb: str, path: str, deadline: float, sent: dict[str, Any]) -> Any:
        if time.monotonic() > deadline:
            raise GerritError(0, "all workers are waiting for Gerrit", verb.upper(), path)
        client, requester = self._client()
        requester.deadline = deadline
        try:
            return getattr(client, verb)(path, **sent)
        except ValueError as error:  # the library's word for a body that is no JSON
            raise GerritError(0, "its answer is not JSON", verb.upper(), path) from error

    def _client(self) -> tuple[GerritClient, _Requester]:
        """This thread's client."""
        if not hasattr(self._local, "pair"):
            client = GerritClient(self._url, self._user, self._token)  # type: ignore[no-untyped-call]
            requester = _Requester(self._url, client.session, self._connect)
            client.requester = requester
            self._sessions.append(client.session)
            self._local.pair = (client, requester)
        pair: tuple[GerritClient, _Requester] = self._local.pair
        return pair

    def close(self) -> None:
        """Let go of threads and connections; requests in flight end by their own deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for session in self._sessions:
            session.close()

    @staticmethod
    @asynccontextmanager
    async def translating(seconds: float, doing: str) -> AsyncIterator[None]:
        """Give the block a deadline in seconds, and the core's errors in place of ours."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise TemporaryError(f"Gerrit did not {doing} within {seconds:g} s") from error
        except GerritError as error:
            raise translated(error) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PermanentError("Gerrit's answer is not as its REST API has it") from error
