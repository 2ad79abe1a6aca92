"""The guard of the application's server: who may ask for anything, and what a page that it serves may do.

Web pages of strangers run in the same browser, and can send requests to this computer. Each request and each WebSocket
must name a host that nobody else can own, come from the application's own page, and show its secret.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy of every answer that has none of its own: nothing is loaded from or sent elsewhere."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Keys:
    """The secrets of a server.

    Attributes:
        token: in the address that the command prints; of one run.
        secret: in the page's cookie; it stays the same when the server is started again, so that open pages go on.
        cookie: the cookie's name. Cookies are shared by all ports of a host, so the name holds the port.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    cookie: str = "posemamba"


class Guard:
    """The middleware that refuses requests of strangers and adds the headers of `HEADERS` to every answer.

    Args:
        app: what is guarded, HTTP and WebSocket.
        keys: the secrets.
        host: the address that the server is bound to. On a loopback address only its own names are hosts; on others
            every address in numbers and this computer's name are. A name that a stranger's domain server points here
            (DNS rebinding) is neither.
    """

    def __init__(self, app: ASGIApp, keys: Keys, host: str = LOOPBACK[0]) -> None:
        self._app, self._keys = app, keys
        self._is_local = is_loopback(host)
        self._names = {*LOOPBACK, *([] if self._is_local else _own_names())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        by_token = _is_page(scope) and self._has_token(scope)
        refused = self._refuse(scope, headers, by_token)
        if refused is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    told.setdefault(name, value)
                if by_token and refused is None:
                    told.append("set-cookie", self._cookie())
            await send(message)

        await (self._app if refused is None else refused)(scope, receive, answer)

    def _refuse(self, scope: Scope, headers: Headers, by_token: bool) -> Response | None:
        """Return the answer to a request that is refused; None: it is not."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return PlainTextResponse("this server does not answer under that host name", 421)
        origins = headers.getlist("origin")
        changing = scope["type"] == "websocket" or scope["method"] not in _READING
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins) or (
            changing and len(origins) != 1
        ):
            return PlainTextResponse("requests of other pages are refused", 403)
        opened = _is_page(scope) and headers.get("sec-fetch-mode", "navigate") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not opened:
            return PlainTextResponse("requests of other pages are refused", 403)
        if by_token or self._has_cookie(headers):
            return None
        if opened:
            return HTMLResponse(_CLOSED, 403)
        return PlainTextResponse("open the address that posemamba app printed", 403)

    def _is_own(self, host: str) -> bool:
        """Tell whether a Host header names this server."""
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["name"].strip("[]")
        return name in self._names or (not self._is_local and _is_address(name))

    def _has_token(self, scope: Scope) -> bool:
        given = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=8).get("token", [])
        return len(given) == 1 and _same(given[0], self._keys.token)

    def _has_cookie(self, headers: Headers) -> bool:
        for line in headers.getlist("cookie"):
            if _same(cookie_parser(line).get(self._keys.cookie, ""), self._keys.secret):
                return True
        return False

    def _cookie(self) -> str:
        return f"{self._keys.cookie}={self._keys.secret}; HttpOnly; SameSite=Strict; Path=/"


_CLOSED = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>PoseMamba: closed</title><h1>This page is closed</h1><p>Open the address that "
    "<code>posemamba app</code> printed when it started. It holds a token, without which nobody gets in.</p></html>"
)


def is_loopback(host: str) -> bool:
    """Tell whether an address to bind to can be reached from this computer alone."""
    if host.lower() == "localhost":
        return True
    return _is_address(host.strip("[]")) and ipaddress.ip_address(host.strip("[]")).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> Iterable[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local", name.partition(".")[0]} - {""}


def _is_page(scope: MutableMapping[str, Any]) -> bool:
    """Tell whether a request asks for the page itself, which may be opened from anywhere."""
    return scope["type"] == "http" and scope["path"] == "/" and scope["method"] in _READING


def _same(given: str, kept: str) -> bool:
    return compare_digest(given.encode("utf-8", "surrogateescape"), kept.encode())
