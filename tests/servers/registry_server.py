"""A small image registry with the ways of real ones: paging, missing headers, tokens, redirects, and failures."""

import asyncio
import base64
import hashlib
import json
from typing import Any

from aiohttp import web

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REVISION = "org.opencontainers.image.revision"


def digest_of(content: bytes) -> str:
    """A content's digest as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class RegistryServer:
    """The server; `async with RegistryServer() as registry`, then `registry.url`.

    Attributes:
        auth: "" anonymous, "basic" or "bearer".
        realm: where a bearer token is to be got; our own token service unless set.
        action: "" serves; "500", "429" … answer so; "hang", "cut", "text".
        page: tags per answer; 0 for all.
        names_digest: whether Docker-Content-Digest is sent.
        authorizations: (path, Authorization header) of every request.
    """

    def __init__(self) -> None:
        self.auth, self.realm, self.action = "", "", ""
        self.page = 2
        self.absolute_links = False
        self.names_digest = True
        self.blob_host = ""
        self.user, self.password = "bot", "sesame-99"
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.tags: dict[str, list[str]] = {}
        self.authorizations: list[tuple[str, str]] = []
        self._released = asyncio.Event()

    def push(self, image: str, tag: str, revision: str = "", *, index: bool = False, annotated: bool = False) -> str:
        """Push an image; its digest."""
        labels = {REVISION: revision} if revision and not annotated else None
        config = json.dumps({"tag": tag, "config": {"Labels": labels}}).encode()
        self.blobs[digest_of(config)] = config
        manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": digest_of(config)}}
        if annotated:
            manifest["annotations"] = {REVISION: revision}
        kind, body = MANIFEST, json.dumps(manifest).encode()
        if index:
            inner = digest_of(body)
            self.manifests[image, inner] = (kind, body)
            entries = [
                {"digest": digest_of(b"attestation"), "platform": {"os": "unknown", "architecture": "unknown"}},
                {"digest": digest_of(b"arm"), "platform": {"os": "linux", "architecture": "arm64"}},
                {"digest": inner, "platform": {"os": "linux", "architecture": "amd64"}},
            ]
            kind, body = INDEX, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        self.manifests[image, tag] = (kind, body)
        if tag not in self.tags.setdefault(image, []):
            self.tags[image] = sorted([*self.tags[image], tag])
        return digest_of(body)

    async def __aenter__(self) -> "RegistryServer":
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        self.authorizations.append((f"{request.host}{request.path}", given))
        assert request.transport
        if self.action == "hang":
            await self._released.wait()
        if self.action in {"cut", "hang"}:
            request.transport.abort()
        if self.action.isdigit():
            return web.Response(status=int(self.action), headers={"Retry-After": "7"})
        if request.path == "/token":
            basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if given and given != f"Basic {basic}":
                return web.Response(status=401)
            right = "full" if given else "anonymous"
            return web.json_response({"token": f"{right}|{request.query['scope']}", "expires_in": 300})
        if request.path.startswith("/storage/"):
            return web.Response(body=self.blobs[request.path.removeprefix("/storage/")])
        _, _, rest = request.path.partition("/v2/")
        image, _, what = rest.rpartition("/manifests/") if "/manifests/" in rest else ("", "", "")
        if not image:
            image = rest.partition("/tags/list")[0] if "/tags/list" in rest else rest.partition("/blobs/")[0]
        if refusal := self._refusal(given, image):
            return refusal
        if self.action == "text":
            return web.Response(text="<html>")
        if what:
            return self._manifest(request, image, what)
        return self._tags(request, image) if "/tags/list" in rest else self._blob(rest)

    def _refusal(self, given: str, image: str) -> web.Response | None:
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        scope = f"repository:{image}:pull"
        if self.auth == "basic" and given != f"Basic {basic}":
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="registry"'})
        if self.auth == "bearer" and given != f"Bearer full|{scope}":
            realm = self.realm or f"{self.url}/token"
            said = f'Bearer realm="{realm}",service="registry",scope="{scope}"'
            return web.Response(status=401, headers={"WWW-Authenticate": said})
        return None

    def _manifest(self, request: web.Request, image: str, what: str) -> web.Response:
        kind, body = self.manifests.get((image, what), ("", b""))
        if not kind or kind not in request.headers.get("Accept", ""):
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)
        headers = {"Content-Type": kind}
        if self.names_digest:
            headers["Docker-Content-Digest"] = digest_of(body)
        return web.Response(body=body, headers=headers)

    def _tags(self, request: web.Request, image: str) -> web.Response:
        if image not in self.tags:
            return web.json_response({"errors": [{"code": "NAME_UNKNOWN"}]}, status=404)
        tags = [tag for tag in self.tags[image] if tag > request.query.get("last", "")]
        headers = {}
        if self.page and len(tags) > self.page:
            tags = tags[: self.page]
            link = f"/v2/{image}/tags/list?n={self.page}&last={tags[-1]}"
            root = self.url if self.absolute_links else ""
            headers["Link"] = f'<{root}{link}>; rel="next"'
        return web.json_response({"name": image, "tags": tags or None}, headers=headers)

    def _blob(self, rest: str) -> web.Response:
        digest = rest.rpartition("/")[2]
        if digest not in self.blobs:
            return web.Response(status=404)
        if self.blob_host:
            raise web.HTTPTemporaryRedirect(f"{self.blob_host}/storage/{digest}")
        return web.Response(body=self.blobs[digest])
