"""The routes of live poses: their page, and the WebSocket that takes the camera's pictures and answers with poses.

The guard of the application stands before them, so that no other page reaches them.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from posemamba.app.live_connection import Connection, Turn

__all__ = ["routes"]

_PAGE = Path(__file__).with_name("page")
_DELAY = 0
"""Frames, unless the page's user asks for more: who watches their own movement wants to see it at once."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    turn = Turn()

    async def connect(socket: WebSocket) -> None:
        await Connection(socket, turn).run()

    return [
        Route("/live", _page),
        Route("/live/settings", _settings),
        WebSocketRoute("/live/poses", connect),
    ]


async def _page(request: Request) -> Response:
    return FileResponse(_PAGE / "live.html")


async def _settings(request: Request) -> Response:
    """Answer with the settings that the page offers."""
    from posemamba.live.session import DETECTOR, SIZES

    return JSONResponse({"detectors": list(SIZES), "detector": DETECTOR, "delay": _DELAY})
