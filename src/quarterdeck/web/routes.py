"""The routes: `/`, `/42`, `/42.json` and `/42/log`; read-only, on loopback, text for whoever is no browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from quarterdeck.core.desk import dossier
from quarterdeck.core.desk.answers import log_names
from quarterdeck.core.model.errors import NotFoundError
from quarterdeck.core.model.place import slug
from quarterdeck.core.rollout.state import State
from quarterdeck.core.world import World
from quarterdeck.views.page import Pages

_WORLD = web.AppKey("world", World)
_PAGES = web.AppKey("pages", Pages)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_OPEN = {State.PLANNED, State.RUNNING, State.WAITING, State.UNKNOWN, State.FAILED}


def application(world: World, pages: Pages) -> web.Application:
    """The pages as an aiohttp application."""
    app = web.Application(middlewares=[_headers])
    app[_WORLD], app[_PAGES] = world, pages
    app.router.add_get("/", index)
    app.router.add_get(r"/{number:[0-9]{1,9}}", rollout)
    app.router.add_get(r"/{number:[0-9]{1,9}}.json", data)
    app.router.add_get(r"/{number:[0-9]{1,9}}/log", log)
    return app


async def serve(world: World, pages: Pages, host: str, port: int) -> None:
    """Serve until cancelled.

    Raises:
        OSError: the port is taken.
    """
    runner = web.AppRunner(application(world, pages), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        while True:
            await world.clock.sleep(3600.0)
    finally:
        await runner.cleanup()


@web.middleware
async def _headers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(_HEADERS)
        raise
    response.headers.update(_HEADERS)
    return response


def _html(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _page(text: str, html: bool) -> web.Response:
    return web.Response(text=text, content_type="text/html" if html else "text/plain")


async def index(request: web.Request) -> web.Response:
    """All rollouts, open ones first."""
    world, html = request.app[_WORLD], _html(request)
    found = await world.store.find(limit=100)
    ordered = sorted(found, key=lambda r: (r.state not in _OPEN, -r.number))
    debts, unreadable = await world.store.debts(), await world.store.unreadable()
    return _page(request.app[_PAGES].index(ordered, debts, world.clock.now(), html, unreadable), html)


async def rollout(request: web.Request) -> web.Response:
    """One rollout."""
    found, html = await _dossier(request), _html(request)
    return _page(request.app[_PAGES].rollout(found, request.app[_WORLD].clock.now(), html), html)


async def data(request: web.Request) -> web.Response:
    """One rollout as JSON."""
    return web.json_response(dossier.as_json(await _dossier(request)))


async def log(request: web.Request) -> web.Response:
    """The bytes of a log or a diff from an offset; `X-Next-Offset` says where to go on.

    `?name=staging.default.apply.log&offset=0`, or `?name=staging.diff` for the whole diff.
    """
    world = request.app[_WORLD]
    found = await world.store.get(int(request.match_info["number"]))
    if found is None:
        raise web.HTTPNotFound(text="no such rollout\n")
    names = (*(f"{slug(place)}.diff" for place in found.environments), *log_names(found))
    name = request.query.get("name", names[-1])
    offset = request.query.get("offset", "0")
    if name not in names or not (offset.isascii() and offset.isdigit() and len(offset) < 13):
        raise web.HTTPBadRequest(text=f"name is one of {', '.join(names)}; offset a number of bytes\n")
    body, end = await world.files.read(found.number, name, int(offset))
    headers = {"X-Next-Offset": str(end)}
    return web.Response(body=body, content_type="text/plain", charset="utf-8", headers=headers)


async def _dossier(request: web.Request) -> dossier.Dossier:
    world = request.app[_WORLD]
    try:
        found = await dossier.gather(world, int(request.match_info["number"]))
    except NotFoundError as error:
        text = world.voice.refusal(error.refusal) if error.refusal else str(error)
        raise web.HTTPNotFound(text=f"{text}\n") from error
    if found is None:
        raise web.HTTPNotFound(text="no such rollout\n")
    return found
