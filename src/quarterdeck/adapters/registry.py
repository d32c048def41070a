"""Ask an image registry (OCI distribution API) what a tag names, which tags there are, and what an image is of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.model.tag import is_tag

_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
#: without it an old registry answers 404, or with a manifest of another digest
_ACCEPT = {"Accept": ", ".join((*_INDEXES, *_MANIFESTS))}
_REVISION = "org.opencontainers.image.revision"
_NAME = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')
_MAX_BODY = 8 << 20
_MAX_PAGES = 1000


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            value: Any = json.loads(self.body)
        except ValueError as error:
            raise TemporaryError("the registry's answer is not JSON") from error
        if not isinstance(value, dict):
            raise TemporaryError("the registry's answer is not a JSON object")
        return value


class HttpRegistry:
    """`ports.Registry` on a real registry.

    Args:
        url: scheme and host, e.g. "https://registry.example.org"; without "/v2".
        user: for HTTP basic, there or at the token service; empty for anonymous reading.
        password: goes to the registry's own origin and to `token_origins`, nowhere else.
        token_origins: origins ("https://auth.example.org") of token services that may see the password.
        timeout: seconds for one call in all.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str = "",
        password: str = "",
        token_origins: Collection[str] = (),
        timeout: float = 20.0,
    ) -> None:
        self._root = URL(url.rstrip("/"))
        self._basic = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._trusted = {self._root.origin(), *(URL(origin).origin() for origin in token_origins)}
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._tokens: dict[str, tuple[str, float]] = {}  # scope -> header, when it ends

    async def close(self) -> None:
        """Let go of connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def digest(self, image: str, tag: str) -> str | None:
        """The manifest digest a tag names; None if the tag is not there.

        Raises:
            TemporaryError: the registry is late or away.
            PermanentError: it does not let us read.
        """
        if not _possible(image, tag):
            return None
        async with self._call():
            answer = await self._ask("HEAD", image, f"manifests/{tag}")
            if answer is None:
                return None
            named = answer.headers.get("Docker-Content-Digest", "")
            if _DIGEST.fullmatch(named):
                return named
            # Older registries leave it out: it is the digest of the bytes.
            answer = await self._ask("GET", image, f"manifests/{tag}")
            return f"sha256:{hashlib.sha256(answer.body).hexdigest()}" if answer else None

    async def tags(self, image: str) -> tuple[str, ...]:
        """All tags of a repository, in the registry's order; empty if there is none. Raises as `digest`."""
        if not _NAME.fullmatch(image):
            return ()
        found: dict[str, None] = {}
        async with self._call():
            page: str | URL = "tags/list?n=1000"
            for _ in range(_MAX_PAGES):
                answer = await self._ask("GET", image, page)
                if answer is None:
                    break
                found.update(dict.fromkeys(answer.json().get("tags") or ()))
                link = _NEXT.search(answer.headers.get("Link", ""))
                if not link:
                    break
                page = (self._root / "v2/").join(URL(link[1], encoded=True))
                if page.origin() != self._root.origin():
                    raise PermanentError("the registry's list of tags goes on at another host")
        return tuple(found)

    async def revision(self, image: str, tag: str) -> str | None:
        """The commit an image says it was built from, by annotation or label. Raises as `digest`."""
        if not _possible(image, tag):
            return None
        async with self._call():
            manifest = await self._manifest(image, tag)
            if manifest is None:
                return None
            if said := (manifest.get("annotations") or {}).get(_REVISION):
                return str(said)
            if "manifests" in manifest:
                chosen = _for_linux(manifest["manifests"])
                manifest = await self._manifest(image, chosen) if chosen else None
            config = ((manifest or {}).get("config") or {}).get("digest", "")
            if said := ((manifest or {}).get("annotations") or {}).get(_REVISION):
                return str(said)
            if not _DIGEST.fullmatch(config):
                return None
            answer = await self._ask("GET", image, f"blobs/{config}")
            labels = ((answer.json().get("config") or {}).get("Labels") or {}) if answer else {}
            return str(labels[_REVISION]) if labels.get(_REVISION) else None

    async def _manifest(self, image: str, reference: str) -> Mapping[str, Any] | None:
        answer = await self._ask("GET", image, f"manifests/{reference}")
        return answer.json() if answer else None

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """One deadline for a whole call, and the core's errors."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=5.0)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=True)
        began = time.monotonic()
        try:
            yield
        except TimeoutError as error:
            waited = time.monotonic() - began
            raise TemporaryError(f"the registry did not answer within {waited:.0f} s") from error
        except aiohttp.ClientError as error:
            raise TemporaryError(f"the registry does not answer: {_why(error)}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PermanentError("the registry's answer is not as the distribution API has it") from error

    async def _ask(self, method: str, image: str, what: str | URL) -> _Answer | None:
        """One request about a repository, authorised as the registry asks; None where it says 404."""
        url = what if isinstance(what, URL) else URL(f"{self._root}/v2/{image}/{what}", encoded=True)
        scope = f"repository:{image}:pull"
        answer = await self._send(method, url, self._header(scope))
        if answer.status == 401:
            self._tokens.pop(scope, None)
            await self._authorise(answer.headers.get("WWW-Authenticate", ""), scope)
            answer = await self._send(method, url, self._header(scope))
        if answer.status == 404:
            return None
        if answer.status in {401, 403}:
            raise PermanentError(f"the registry does not let the bot read {image}")
        if answer.status == 429 or answer.status >= 500 or answer.status == 408:
            after = answer.headers.get("Retry-After", "")
            raise TemporaryError(
                f"the registry cannot answer just now ({answer.status})",
                min(float(after), 300.0) if after.isdigit() else 1.0,
            )
        if answer.status >= 300:
            raise PermanentError(f"the registry refuses to say what {image} has ({answer.status})")
        return answer

    def _header(self, scope: str) -> str:
        header, until = self._tokens.get(scope, ("", 0.0))
        return header if time.monotonic() < until else ""

    async def _send(self, method: str, url: URL, authorization: str) -> _Answer:
        """Send; a redirect (of a blob, to its storage) is followed once, without our credentials."""
        assert self._session is not None
        headers = dict(_ACCEPT)
        if authorization:
            headers["Authorization"] = authorization
        for _ in range(2):
            async with self._session.request(method, url, headers=headers, allow_redirects=False) as response:
                place = response.headers.get("Location", "")
                if response.status in {301, 302, 303, 307, 308} and place:
                    url = url.join(URL(place, encoded=True))
                    headers.pop("Authorization", None)
                    continue
                body = await _body(response)
                return _Answer(response.status, response.headers, body)
        raise PermanentError("the registry redirects from place to place")

    async def _authorise(self, challenge: str, scope: str) -> None:
        """Get what a 401 asks for: HTTP basic, or a token of the service it names."""
        kind, _, rest = challenge.partition(" ")
        if kind.casefold() == "basic" and self._basic:
            self._tokens[scope] = (f"Basic {self._basic}", float("inf"))
        if kind.casefold() != "bearer":
            return
        said = dict(_CHALLENGE.findall(rest))
        realm = URL(said.get("realm", ""))
        if not realm.absolute or realm.scheme not in {"http", "https"}:
            raise PermanentError("the registry asks for a token and does not say where to get it")
        query = {"service": said.get("service", ""), "scope": scope}
        address = URL(f"{realm}{'&' if realm.query_string else '?'}{urlencode(query)}", encoded=True)
        # Anybody can answer 401 and name a realm: the password goes where the settings say only.
        trusted = self._basic and realm.origin() in self._trusted
        answer = await self._send("GET", address, f"Basic {self._basic}" if trusted else "")
        if answer.status == 429 or answer.status >= 500:
            raise TemporaryError(f"the registry's token service cannot answer just now ({answer.status})")
        if answer.status != 200:
            return
        given = answer.json()
        token = given.get("token") or given.get("access_token")
        if token:
            seconds = max(float(given.get("expires_in") or 60), 60.0) * 0.8
            self._tokens[scope] = (f"Bearer {token}", time.monotonic() + seconds)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(1 << 16):
        parts.append(chunk)
        size += len(chunk)
        if size > _MAX_BODY:
            raise PermanentError("the registry's answer is larger than 8 MiB")
    return b"".join(parts)


def _possible(image: str, tag: str) -> bool:
    """Whether a registry can hold such a name at all."""
    return _NAME.fullmatch(image) is not None and is_tag(tag)


def _for_linux(manifests: Collection[Mapping[str, Any]]) -> str:
    """The entry for linux/amd64, else the first that is no attestation; "" if there is none."""
    real = [m for m in manifests if (m.get("platform") or {}).get("os") not in {"unknown"}]
    amd64 = [m for m in real if (m.get("platform") or {}).get("architecture") == "amd64"]
    chosen = (amd64 or real or [{}])[0].get("digest", "")
    return chosen if _DIGEST.fullmatch(chosen) else ""


def _why(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its TLS certificate cannot be verified"
    if isinstance(error, aiohttp.ClientConnectorError):
        return (error.strerror or "no connection").lower()
    return "the connection broke"
