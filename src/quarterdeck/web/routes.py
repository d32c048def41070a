"""The routes: `/`, `/42`, `/42.json` and `/42/log`; read-only, on loopback, text for whoever is no browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from quarterdeck.core.desk.queries.dossier import Dossier, Dossiers
from quarterdeck.core.desk.queries.rollouts import log_names
from quarterdeck.core.model.errors import NotFoundError
from quarterdeck.core.model.place import slug
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.files import Files
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.views.data import as_json
from quarterdeck.views.page import Pages

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_OPEN = {State.PLANNED, State.RUNNING, State.WAITING, State.UNKNOWN, State.FAILED}
_MOST_ROLLOUTS = 100
Found = TypeVar("Found", Dossier, Rollout)


@dataclass(frozen=True)
class Site:
    """Answers requests from what it is given; writes nothing."""

    pages: Pages
    dossiers: Dossiers
    store: Store
    files: Files
    voice: Voice
    clock: Clock

    async def index(self, request: web.Request) -> web.Response:
        """All rollouts, open ones first."""
        html = _wants_html(request)
        rollouts = await self.store.find(limit=_MOST_ROLLOUTS)
        ordered = sorted(rollouts, key=lambda rollout: (rollout.state not in _OPEN, -rollout.number))
        debts, unreadable = await self.store.debts(), await self.store.unreadable()
        return _page(self.pages.index(ordered, debts, self.clock.now(), html, unreadable), html)

    async def rollout(self, request: web.Request) -> web.Response:
        """One rollout."""
        dossier, html = await self._dossier(request), _wants_html(request)
        return _page(self.pages.rollout(dossier, self.clock.now(), html), html)

    async def data(self, request: web.Request) -> web.Response:
        """One rollout as JSON."""
        return web.json_response(as_json(await self._dossier(request)))

    async def log(self, request: web.Request) -> web.Response:
        """The bytes of a log or a diff from an offset; `X-Next-Offset` says where to go on.

        `?name=staging.default.apply.log&offset=0`, or `?name=staging.diff` for the whole diff.
        """
        rollout = await self._found(self.store.get(_number(request)))
        names = (*(f"{slug(place)}.diff" for place in rollout.environments), *log_names(rollout))
        name = request.query.get("name", names[-1])
        offset = request.query.get("offset", "0")
        if name not in names or not (offset.isascii() and offset.isdigit() and len(offset) < 13):
            raise web.HTTPBadRequest(text=f"name is one of {', '.join(names)}; offset a number of bytes\n")
        body, end = await self.files.read(rollout.number, name, int(offset))
        headers = {"X-Next-Offset": str(end)}
        return web.Response(body=body, content_type="text/plain", charset="utf-8", headers=headers)

    async def _dossier(self, request: web.Request) -> Dossier:
        return await self._found(self.dossiers.gather(_number(request)))

    async def _found(self, looking: Awaitable[Found | None]) -> Found:
        """What was looked for, or 404 with why it is not there."""
        try:
            found = await looking
        except NotFoundError as error:
            raise web.HTTPNotFound(text=f"{self.voice.refusal(error.refusal)}\n") from error
        if found is None:
            raise web.HTTPNotFound(text="no such rollout\n")
        return found


def application(site: Site) -> web.Application:
    """The pages as an aiohttp application."""
    app = web.Application(middlewares=[_headers])
    app.router.add_get("/", site.index)
    app.router.add_get(r"/{number:[0-9]{1,9}}", site.rollout)
    app.router.add_get(r"/{number:[0-9]{1,9}}.json", site.data)
    app.router.add_get(r"/{number:[0-9]{1,9}}/log", site.log)
    return app


async def serve(site: Site, host: str, port: int) -> None:
    """Serve until cancelled.

    Raises:
        OSError: the port is taken.
    """
    runner = web.AppRunner(application(site), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        while True:
            await site.clock.sleep(3600.0)
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


def _wants_html(request: web.Request) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _number(request: web.Request) -> int:
    return int(request.match_info["number"])


def _page(text: str, html: bool) -> web.Response:
    return web.Response(text=text, content_type="text/html" if html else "text/plain")
