"""What the image registry promises the core: the same for the fake, the adapter at a small server, and a real one."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import requests

from quarterdeck.adapters.registry import HttpRegistry
from quarterdeck.core.model.errors import PermanentError, QuarterdeckError, TemporaryError
from quarterdeck.core.ports.registry import Registry
from quarterdeck.testing.registry import FakeRegistry
from tests.servers.real_gerrit import endpoints
from tests.servers.registry_server import MANIFEST, REVISION, RegistryServer, digest_of


class Bench:
    """A Registry, and the hand that pushes."""

    registry: Registry

    async def push(self, image: str, tag: str, revision: str = "") -> str:
        """Push an image; its digest."""
        raise NotImplementedError


class FakeBench(Bench):
    def __init__(self) -> None:
        self.fake = FakeRegistry()
        self.registry = self.fake

    async def push(self, image: str, tag: str, revision: str = "") -> str:
        """Push an image; its digest."""
        return self.fake.push(image, tag, revision)


class ServerBench(Bench):
    def __init__(self, server: RegistryServer, adapter: HttpRegistry) -> None:
        self.server, self.registry = server, adapter

    async def push(self, image: str, tag: str, revision: str = "") -> str:
        """Push an image; its digest."""
        return self.server.push(image, tag, revision)


class RealBench(Bench):
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.registry = HttpRegistry(url)

    async def push(self, image: str, tag: str, revision: str = "") -> str:
        """Push an image; its digest."""
        return await asyncio.to_thread(self._push, image, tag, revision)

    def _push(self, image: str, tag: str, revision: str) -> str:
        labels = {REVISION: revision} if revision else {}
        config = json.dumps({"tag": tag, "config": {"Labels": labels}}).encode()
        place = requests.post(f"{self.url}/v2/{image}/blobs/uploads/", timeout=10).headers["Location"]
        place += ("&" if "?" in place else "?") + f"digest={digest_of(config)}"
        kind = {"Content-Type": "application/octet-stream"}
        requests.put(place, data=config, headers=kind, timeout=10).raise_for_status()
        content: dict[str, Any] = {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(config),
            "size": len(config),
        }
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": content, "layers": []}
        body = json.dumps(manifest).encode()
        address = f"{self.url}/v2/{image}/manifests/{tag}"
        requests.put(address, data=body, headers={"Content-Type": MANIFEST}, timeout=10).raise_for_status()
        return digest_of(body)


@pytest.fixture(params=["fake", "server", pytest.param("real", marks=pytest.mark.sandbox)])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each of the three kinds."""
    if request.param == "fake":
        yield FakeBench()
    elif request.param == "server":
        async with RegistryServer() as server:
            adapter = HttpRegistry(server.url)
            yield ServerBench(server, adapter)
            await adapter.close()
    else:
        real = RealBench(endpoints()["registry"]["http"])
        yield real
        assert isinstance(real.registry, HttpRegistry)
        await real.registry.close()


@pytest.fixture
async def server() -> AsyncIterator[RegistryServer]:
    """The small registry."""
    async with RegistryServer() as server:
        yield server


@pytest.fixture
async def adapter(server: RegistryServer) -> AsyncIterator[HttpRegistry]:
    """The adapter at the small registry, with a password."""
    adapter = HttpRegistry(server.url, user=server.user, password=server.password, timeout=0.5)
    yield adapter
    await adapter.close()


def name() -> str:
    """A repository that nobody used before."""
    return f"contract/svc-{secrets.token_hex(4)}"


async def test_a_tag_names_a_digest(bench: Bench) -> None:
    """A pushed tag has its manifest's digest, and another one after it was pushed again."""
    image = name()
    first = await bench.push(image, "2026-08-17-094555-production", "a" * 40)
    assert await bench.registry.digest(image, "2026-08-17-094555-production") == first
    second = await bench.push(image, "2026-08-17-094555-production", "b" * 40)
    assert second != first
    assert await bench.registry.digest(image, "2026-08-17-094555-production") == second


async def test_what_is_not_there(bench: Bench) -> None:
    """A missing tag or repository is no error."""
    image = name()
    await bench.push(image, "v1.0.0")
    for where, tag in ((image, "v2"), (name(), "v1.0.0"), (image, "no tag/at all"), ("No Image", "v1"), (image, "")):
        assert await bench.registry.digest(where, tag) is None
        assert await bench.registry.revision(where, tag) is None
    assert await bench.registry.tags(name()) == ()
    assert await bench.registry.tags("../secret") == ()


async def test_all_tags(bench: Bench) -> None:
    """All tags come, once each, however many pages they take."""
    image = name()
    tags = [f"2026-08-{day:02}-000000-production" for day in range(1, 8)]
    for tag in tags:
        await bench.push(image, tag)
    assert sorted(await bench.registry.tags(image)) == tags


async def test_the_revision(bench: Bench) -> None:
    """An image says what it was built from, if it was labelled."""
    image = name()
    await bench.push(image, "v1", "c" * 40)
    await bench.push(image, "v2")
    assert await bench.registry.revision(image, "v1") == "c" * 40
    assert await bench.registry.revision(image, "v2") is None


async def test_indexes_and_annotations(server: RegistryServer, adapter: HttpRegistry) -> None:
    """The revision is found behind an index for linux/amd64, and in a manifest's annotations."""
    server.push("svc", "multi", "d" * 40, index=True)
    server.push("svc", "noted", "e" * 40, annotated=True)
    server.push("svc", "both", "f" * 40, index=True, annotated=True)
    assert await adapter.revision("svc", "multi") == "d" * 40
    assert await adapter.revision("svc", "noted") == "e" * 40
    assert await adapter.revision("svc", "both") == "f" * 40


async def test_an_unnamed_digest_is_computed(server: RegistryServer, adapter: HttpRegistry) -> None:
    """A registry that sends no Docker-Content-Digest is asked for the manifest."""
    server.names_digest = False
    digest = server.push("svc", "v1", index=True)
    assert await adapter.digest("svc", "v1") == digest


async def test_absolute_links(server: RegistryServer, adapter: HttpRegistry) -> None:
    """The next page may be named with the host, but not with another host."""
    for number in range(5):
        server.push("svc", f"v{number}")
    server.absolute_links = True
    assert len(await adapter.tags("svc")) == 5
    server.url = "http://localhost:1"
    with pytest.raises(PermanentError, match="another host"):
        await adapter.tags("svc")


@pytest.mark.parametrize("auth", ["basic", "bearer"])
async def test_authorisation(server: RegistryServer, adapter: HttpRegistry, auth: str) -> None:
    """What the registry asks for is given, and remembered."""
    server.auth = auth
    digest = server.push("svc", "v1", "a" * 40)
    assert await adapter.digest("svc", "v1") == digest
    before = len(server.authorizations)
    assert await adapter.digest("svc", "v1") == digest
    assert len(server.authorizations) == before + 1
    assert await adapter.revision("svc", "v1") == "a" * 40


async def test_an_expired_token_is_renewed(server: RegistryServer, adapter: HttpRegistry) -> None:
    """A 401 to a remembered token gets a new one."""
    digest = server.push("svc", "v1")
    server.auth = "basic"
    assert await adapter.digest("svc", "v1") == digest
    server.auth = "bearer"
    assert await adapter.digest("svc", "v1") == digest


async def test_a_wrong_password(server: RegistryServer) -> None:
    """A refused password is permanent, and is not shown."""
    server.push("svc", "v1")
    adapter = HttpRegistry(server.url, user="bot", password="wrong-11")
    for server.auth in ("basic", "bearer"):
        with pytest.raises(PermanentError) as caught:
            await adapter.digest("svc", "v1")
        assert "wrong-11" not in str(caught.value)
    await adapter.close()


async def test_the_password_goes_nowhere_else(server: RegistryServer, adapter: HttpRegistry) -> None:
    """A realm at another host is asked without the password, unless the settings name it."""
    server.push("svc", "v1")
    server.auth = "bearer"
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.realm = f"{elsewhere}/token"
    with pytest.raises(PermanentError):
        await adapter.digest("svc", "v1")
    asked = [given for path, given in server.authorizations if path.startswith("localhost")]
    assert asked == [""]
    trusting = HttpRegistry(server.url, user=server.user, password=server.password, token_origins=[elsewhere])
    assert await trusting.digest("svc", "v1")
    await trusting.close()


async def test_a_blobs_storage_does_not_see_us(server: RegistryServer, adapter: HttpRegistry) -> None:
    """A redirect to the storage is followed without our credentials."""
    server.push("svc", "v1", "a" * 40)
    server.auth = "bearer"
    server.blob_host = server.url.replace("127.0.0.1", "localhost")
    assert await adapter.revision("svc", "v1") == "a" * 40
    asked = [given for path, given in server.authorizations if path.startswith("localhost")]
    assert asked == [""]


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("500", TemporaryError),
        ("503", TemporaryError),
        ("429", TemporaryError),
        ("hang", TemporaryError),
        ("cut", TemporaryError),
        ("text", TemporaryError),
        ("403", PermanentError),
        ("400", PermanentError),
        ("302", PermanentError),
    ],
)
async def test_failures(
    server: RegistryServer, adapter: HttpRegistry, action: str, error: type[QuarterdeckError]
) -> None:
    """However a registry fails, it is in our words and in time, and never "not there"."""
    server.push("svc", "v1")
    server.action = action
    with pytest.raises(error) as caught:
        await adapter.tags("svc")
    if action == "429":
        assert isinstance(caught.value, TemporaryError)
        assert caught.value.retry_after == 7
    if action != "text":
        with pytest.raises(error):
            await adapter.digest("svc", "v1")
    server.action = ""
    assert await adapter.tags("svc") == ("v1",)


async def test_nobody_there() -> None:
    """A closed port is a temporary error."""
    adapter = HttpRegistry("http://127.0.0.1:9", timeout=2)
    with pytest.raises(TemporaryError):
        await adapter.digest("svc", "v1")
    await adapter.close()
