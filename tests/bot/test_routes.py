"""The routes on a real port: pages for browsers and for curl, data, logs from an offset, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer, unused_port

from quarterdeck.views.page import Pages
from quarterdeck.web import routes
from tests.worlds.world import NEW, SECRET, TEMPLATES, Deck

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def deck() -> AsyncIterator[Deck]:
    """A world with one rollout done."""
    made = Deck()
    made.announce()
    await made.deploy("citoid staging -- <script>alert(1)</script>")
    yield made
    await made.close()


def site_of(deck: Deck) -> routes.Site:
    """The site of a world."""
    pages = Pages(TEMPLATES, deck.catalogue)
    return routes.Site(pages, deck.dossiers, deck.world.store, deck.world.files, deck.world.voice, deck.clock)


@pytest.fixture
async def client(deck: Deck) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    """A client of its pages."""
    app = routes.application(site_of(deck))
    async with TestClient(TestServer(app)) as made:
        yield made


async def test_curl_gets_text_and_a_browser_a_page(client: TestClient) -> None:  # type: ignore[type-arg]
    """By what the client accepts."""
    plain = await client.get("/1")
    assert (plain.status, plain.content_type) == (200, "text/plain")
    assert (await plain.text()).startswith("SUCCEEDED #1 citoid staging")
    page = await client.get("/1", headers=HTML)
    assert page.content_type == "text/html"
    text = await page.text()
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;" in text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_index(client: TestClient) -> None:  # type: ignore[type-arg]
    """Rollouts and debts."""
    assert "pending: citoid codfw" in await (await client.get("/")).text()
    assert 'href="/1"' in await (await client.get("/", headers=HTML)).text()


async def test_data(client: TestClient) -> None:  # type: ignore[type-arg]
    """`/1.json`."""
    data = await (await client.get("/1.json")).json()
    assert (data["state"], data["tag"]) == ("SUCCEEDED", NEW)


async def test_a_log_from_an_offset(client: TestClient) -> None:  # type: ignore[type-arg]
    """Resumable by the header; redacted; only the rollout's own logs."""
    whole = await client.get("/1/log", params={"name": "staging.default.apply.log"})
    text = await whole.read()
    assert b"main UPDATED" in text
    assert SECRET.encode() not in text
    assert whole.headers["X-Next-Offset"] == str(len(text))
    rest = await client.get("/1/log", params={"name": "staging.default.apply.log", "offset": "10"})
    assert await rest.read() == text[10:]
    assert (await client.get("/1/log")).status == 200
    assert b"Comparing release=main" in await (await client.get("/1/log", params={"name": "staging.diff"})).read()
    beyond = await client.get("/1/log", params={"offset": "100000"})
    assert await beyond.read() == b""


@pytest.mark.parametrize("path", ["/99", "/99.json", "/99/log", "/x", "/1/2", "/../etc/passwd", "/12345678901"])
async def test_what_is_not_there_is_404(client: TestClient, path: str) -> None:  # type: ignore[type-arg]
    """And carries the headers too."""
    answer = await client.get(path)
    assert answer.status == 404
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "query",
    [{"name": "../../secret"}, {"name": "codfw.diff"}, {"offset": "-1"}, {"offset": "²"}, {"offset": "9" * 14}],
)
async def test_bad_questions_are_400(client: TestClient, query: dict[str, str]) -> None:  # type: ignore[type-arg]
    """A name that is no log of this rollout, an offset that is no number."""
    assert (await client.get("/1/log", params=query)).status == 400


async def test_nothing_can_be_changed(client: TestClient) -> None:  # type: ignore[type-arg]
    """Read-only."""
    for method in ("post", "put", "delete"):
        assert (await getattr(client, method)("/1")).status == 405


async def test_it_serves_a_real_port_until_it_is_cancelled(deck: Deck) -> None:
    """And lets the port go."""
    port = unused_port()
    deck.clock.standing = True
    serving = asyncio.create_task(routes.serve(site_of(deck), "127.0.0.1", port))
    async with ClientSession() as session:
        for _ in range(1000):
            try:
                async with session.get(f"http://127.0.0.1:{port}/1") as answer:
                    assert answer.status == 200
                break
            except OSError:
                await asyncio.sleep(0)
        else:
            pytest.fail("nobody listens")
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    again = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", port)
    again.close()
    deck.clock.standing = False


async def test_a_rollout_that_cannot_be_read_is_named_on_each_of_its_routes(deck: Deck, client: TestClient) -> None:  # type: ignore[type-arg]
    """Not an internal error, on the log's route neither."""
    deck.store.tables.unreadable[1] = "Rollout.newer: unknown field"
    for route in ("/1", "/1.json", "/1/log"):
        answer = await client.get(route)
        assert answer.status == 404
        assert "Rollout.newer: unknown field" in await answer.text()
