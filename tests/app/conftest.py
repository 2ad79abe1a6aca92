"""A server of the application without workers of its own, and a client that has its cookie."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("starlette") is None:
    collect_ignore_glob = ["test_*.py"]  # the extra 'app'

BASE = "http://127.0.0.1:8765"


@pytest.fixture
def worker(tmp_path: Path) -> Callable[[str], list[str]]:
    """make(program): the command of a worker of these lines of Python; `given` is its request, `tell` an event."""

    def make(program: str) -> list[str]:
        path = tmp_path / "worker.py"
        head = (
            "import json, os, sys, threading, time\ngiven = json.loads(sys.stdin.readline())\n"
            "def tell(event, **facts): print(json.dumps({'event': event, **facts}), flush=True)\n"
            "def watch():\n    sys.stdin.read()\n    os._exit(130)\n"
            "threading.Thread(target=watch, daemon=True).start()\n"
        )
        path.write_text(f"{head}{program}\nos._exit(0)\n")
        return [sys.executable, "-S", str(path)]

    return make


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Any]:
    """make(command, ...): the application with its store and keys."""
    from posemamba.app.guard import Keys
    from posemamba.app.jobs import Store
    from posemamba.app.routes import Api
    from posemamba.app.runner import Runner
    from posemamba.app.server import make_application

    def make(command: list[str] | None = None, host: str = "127.0.0.1", largest: int = 1_000_000, **more: Any) -> Any:
        store, keys = Store(tmp_path / "folder"), Keys()
        runner = Runner(store, command or [sys.executable, "-c", ""], **more)
        app = make_application(keys, Api(store, runner, lambda arguments: None, largest), host)
        app.state.keys = keys
        return app

    return make


@pytest.fixture
def opened(made: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """open(command, ...): a client that has opened the page by its address."""
    from starlette.testclient import TestClient

    clients = []

    def open(*given: Any, **more: Any) -> Any:
        app = made(*given, **more)
        client = TestClient(app, base_url=BASE, headers={"origin": BASE})
        client.__enter__()
        clients.append(client)
        assert client.get("/", params={"token": app.state.keys.token}).status_code == 200
        return client

    yield open
    for client in clients:
        client.__exit__(None, None, None)
