"""Run the image registry, and push images to it over plain HTTP without any container engine."""

import gzip
import hashlib
import http.client
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox.servers.supervisor import SandboxError, Supervisor, World

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_SECONDS = 10


@dataclass(frozen=True)
class RegistryEndpoint:
    """Where the registry is."""

    http: str

    @property
    def address(self) -> str:
        """host:port, as image names begin with it."""
        return urlsplit(self.http).netloc


def endpoint(world: World) -> RegistryEndpoint:
    """Where the registry is or will be."""
    return RegistryEndpoint(f"http://127.0.0.1:{world.port('registry')}")


def start(world: World, supervisor: Supervisor) -> RegistryEndpoint:
    """Start Distribution with its storage below the run folder."""
    folder = world.folder("registry")
    made = endpoint(world)
    config = world.write(
        folder / "config.yml",
        f"""version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {world.folder("registry", "data")}}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http:
  addr: {made.address}
  secret: sandbox
""",
    )
    child = supervisor.spawn("registry", [world.tools.docker_registry, "serve", config])
    supervisor.wait_ready(child, lambda: _answers(made), 20)
    return made


def _answers(made: RegistryEndpoint) -> bool:
    connection = http.client.HTTPConnection(made.address, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def push_image(http_url: str, repository: str, tag: str, labels: Mapping[str, str]) -> str:
    """Push an OCI image of one small layer and return its manifest's digest.

    Args:
        http_url: the registry's URL.
        repository: without the registry's host.
        tag: of the image.
        labels: `config.Labels` of the image, such as org.opencontainers.image.revision. Images with other
            labels or another tag have other digests; the same call twice gives the same digest.

    Raises:
        SandboxError: the registry refused.
        OSError: it did not answer.
    """
    address = urlsplit(http_url).netloc
    connection = http.client.HTTPConnection(address, timeout=_SECONDS)
    try:
        plain = _layer(f"{repository}:{tag}\n".encode())
        layer = _blob(connection, repository, gzip.compress(plain, mtime=0), _LAYER)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": dict(labels), "Cmd": ["node", "server.js"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(plain)]},
        }
        created = labels.get("org.opencontainers.image.created")
        if created:
            config["created"] = created
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _blob(connection, repository, _json(config), _CONFIG),
            "layers": [layer],
        }
        body = _json(manifest)
        path = f"/v2/{repository}/manifests/{tag}"
        headers = _call(connection, "PUT", path, body, {"Content-Type": _MANIFEST}, 201)
        return headers.get("Docker-Content-Digest") or _digest(body)
    finally:
        connection.close()


def _layer(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("srv/app/image")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(connection: http.client.HTTPConnection, repository: str, content: bytes, kind: str) -> dict[str, Any]:
    """Upload a blob in one piece (POST, then PUT with the digest) and return its descriptor."""
    digest = _digest(content)
    started = _call(connection, "POST", f"/v2/{repository}/blobs/uploads/", b"", {}, 202)
    place = urlsplit(started["Location"])
    path = f"{place.path}?{place.query}{'&' if place.query else ''}digest={digest}"
    _call(connection, "PUT", path, content, {"Content-Type": "application/octet-stream"}, 201)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _call(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes,
    headers: dict[str, str],
    wanted: int,
) -> http.client.HTTPMessage:
    connection.request(method, path, body, headers | {"Content-Length": str(len(body))})
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    if answer.status != wanted:
        raise SandboxError(f"the registry answered {answer.status} to {method} {path}: {text[:300]}")
    return answer.headers
