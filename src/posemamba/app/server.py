"""The application's server: what it answers, and how it is started and ended."""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from posemamba.app.guard import Guard, Keys
from posemamba.utils.errors import PoseMambaError

if TYPE_CHECKING:
    from posemamba.app.routes import Api

PAGE = Path(__file__).with_name("page")
RESULT_PAGE = {"colours.css": "text/css", "body.js": "text/javascript", "webgl.js": "text/javascript"}
"""The parts of the result page that the application's pages use, too: colours, and what draws the body."""
LIVE = "posemamba.app.live"
"""The module of live poses, whose function ``routes()`` gives its routes; without it there are none."""


def make_application(keys: Keys, api: Api, host: str = "127.0.0.1") -> Starlette:
    """Make the application.

    Every request and WebSocket passes the guard first, so that no route has to check who asks. Routes find the jobs at
    ``request.app.state.store``.

    Args:
        keys: the secrets.
        api: the routes of jobs.
        host: the address that the server is bound to.
    """

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        await api.start()
        try:
            yield
        finally:
            await api.stop()

    live = live_routes()
    app = Starlette(
        routes=[
            Route("/", _page),
            *api.routes,
            *live,
            Route("/result/{name}", _part_of_result_page),
            Mount("/page", StaticFiles(directory=PAGE)),
        ],
        middleware=[Middleware(Guard, keys=keys, host=host)],
        lifespan=running,
        exception_handlers={PoseMambaError: _complain, HTTPException: _refuse, OSError: _fail},
    )
    app.state.store = api.store
    api.has_live = bool(live)
    return app


def live_routes() -> list[BaseRoute]:
    """Return the routes of live poses; an empty list where the package has none."""
    if importlib.util.find_spec(LIVE) is None:
        return []
    routes: list[BaseRoute] = importlib.import_module(LIVE).routes()
    return routes


async def _page(request: Request) -> Response:
    return FileResponse(PAGE / "index.html")


async def _part_of_result_page(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in RESULT_PAGE:
        return JSONResponse({"error": "there is no such file"}, 404)
    part = importlib.resources.files("posemamba.show").joinpath("page", name)
    return Response(part.read_text(encoding="utf-8"), media_type=RESULT_PAGE[name])


async def _complain(request: Request, error: Exception) -> Response:
    """Answer with an error that the user can fix."""
    return JSONResponse({"error": str(error)}, 400)


async def _fail(request: Request, error: Exception) -> Response:
    """Answer where the system refused something, such as a disk that is full."""
    return JSONResponse({"error": getattr(error, "strerror", None) or str(error)}, 500)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
