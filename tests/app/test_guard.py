"""Requests of strangers: other pages, other hosts, without the token; over HTTP and WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posemamba.app.guard import HEADERS, POLICY, Guard, Keys, is_loopback

BASE = "http://127.0.0.1:8765"


@pytest.fixture
def client(made: Callable[..., Any]) -> Any:
    from starlette.testclient import TestClient

    return TestClient(made(), base_url=BASE)


def test_nobody_gets_in_without_the_token_and_it_is_kept_in_a_cookie(client: Any) -> None:
    keys = client.app.state.keys
    for path in (
        "/",
        "/?token=",
        f"/?token={keys.token[:-1]}",
        f"/?token={keys.token}&token=x",
        "/?token=%ff",
        "/page/main.js",
        "/api/jobs",
    ):
        answer = client.get(path)
        assert answer.status_code == 403 and "set-cookie" not in answer.headers, path
        assert answer.headers["content-security-policy"] == POLICY
    assert client.get(f"/api/jobs?token={keys.token}").status_code == 403  # the page alone is opened by it
    answer = client.get(f"/?token={keys.token}")
    assert answer.status_code == 200 and keys.token not in answer.text
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and keys.token not in cookie
    assert client.get("/api/jobs").json() == {"jobs": []}
    client.cookies.clear()
    for wrong in (keys.secret[:-1], "", "é"):
        assert client.get("/api/jobs", headers={"cookie": f"{keys.cookie}={wrong}".encode()}).status_code == 403
    assert keys.token not in repr(keys) and keys.secret not in repr(keys)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 403),  # changes need an origin
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://127.0.0.1:8765"}, 403),
        ({"origin": "http://127.0.0.1:8766"}, 403),
        ({"origin": "http://localhost:8765"}, 403),  # another origin than the host that it asks
        ({"origin": BASE, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": BASE, "sec-fetch-site": "same-site"}, 403),  # another port of this computer
        ({"origin": "http://evil.example:8765", "host": "evil.example:8765"}, 421),  # DNS rebinding
        ({"origin": "http://127.0.0.1.evil.example", "host": "127.0.0.1.evil.example"}, 421),
        ({"origin": "http://192.168.0.7:8765", "host": "192.168.0.7:8765"}, 421),
        ({"origin": BASE, "host": "127.0.0.1:8765:1"}, 421),
        ({"origin": BASE, "host": ""}, 421),
        ({"origin": BASE}, 400),  # the application's own page: its request is read, and empty
        ({"origin": "http://localhost:9000", "host": "localhost:9000"}, 400),  # a forwarded port
        ({"origin": "http://[::1]:8765", "host": "[::1]:8765"}, 400),
    ],
)
def test_changes_are_for_its_own_page_alone(client: Any, headers: dict[str, str], code: int) -> None:
    client.get(f"/?token={client.app.state.keys.token}")
    cookie = f"{client.app.state.keys.cookie}={client.app.state.keys.secret}"
    answer = client.post("/api/start", headers={"cookie": cookie, **headers}, content=b"[]")
    assert answer.status_code == code, answer.text
    if code != 400:
        reading = {name: value for name, value in headers.items() if name != "origin" or value != BASE}
        if reading:
            assert client.get("/api/jobs", headers={"cookie": cookie, **reading}).status_code == code
    assert not list((Path(client.app.state.store.folder) / "jobs").iterdir())


def test_of_two_hosts_or_origins_none_counts(made: Callable[..., Any]) -> None:
    from starlette.testclient import TestClient

    client = TestClient(made(), base_url=BASE)
    cookie = ("cookie", f"{client.app.state.keys.cookie}={client.app.state.keys.secret}")  # type: ignore[attr-defined]
    own = ("host", "127.0.0.1:8765")
    for headers in ([own, ("host", "evil.example")], [own, ("origin", BASE), ("origin", "http://evil.example")]):
        assert client.post("/api/start", headers=[cookie, *headers]).status_code in (403, 421)


def test_another_page_may_open_it_but_does_not_get_its_cookie_there(client: Any) -> None:
    opened = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    answer = client.get("/", headers=opened)
    assert answer.status_code == 403 and "posemamba app" in answer.text
    assert (
        client.get("/", headers={**opened, "sec-fetch-mode": "no-cors"}).text == "requests of other pages are refused"
    )
    assert client.get(f"/?token={client.app.state.keys.token}", headers=opened).status_code == 200


def test_a_page_opened_to_the_network_knows_addresses_in_numbers_and_its_own_name(made: Callable[..., Any]) -> None:
    import socket

    from starlette.testclient import TestClient

    client = TestClient(made(host="0.0.0.0"), base_url=BASE)
    cookie = f"{client.app.state.keys.cookie}={client.app.state.keys.secret}"  # type: ignore[attr-defined]
    hosts = {"192.168.0.7:8765": 200, "[fe80::1]:8765": 200, socket.gethostname(): 200, "evil.example": 421}
    for host, code in hosts.items():
        assert client.get("/api/jobs", headers={"host": host, "cookie": cookie}).status_code == code, host
    assert is_loopback("127.0.0.9") and is_loopback("::1") and not is_loopback("0.0.0.0") and not is_loopback("name")


def test_a_websocket_passes_the_same_guard() -> None:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import WebSocketRoute
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocket, WebSocketDisconnect

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    keys = Keys()
    app = Starlette(routes=[WebSocketRoute("/live/frames", echo)], middleware=[Middleware(Guard, keys=keys)])
    client = TestClient(app, base_url=BASE)
    own = {"origin": BASE, "host": "127.0.0.1:8765", "cookie": f"{keys.cookie}={keys.secret}"}
    with client.websocket_connect("/live/frames", headers=own) as socket:
        socket.send_text("a frame")
        assert socket.receive_text() == "a frame"
    for other in (
        {"origin": "http://evil.example"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"cookie": ""},
        {"origin": ""},
    ):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/live/frames", headers={**own, **other}):
            pass
    without = {name: value for name, value in own.items() if name != "origin"}
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/live/frames", headers=without):
        pass
