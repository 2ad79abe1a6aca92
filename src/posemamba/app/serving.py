"""Start and end of the application's server."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from posemamba.app.guard import Keys
from posemamba.app.jobs import Store, make_private_folder
from posemamba.app.routes import Api, Check
from posemamba.app.runner import Runner
from posemamba.app.server import make_application
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import lock

Opened = Callable[[str, bool], None]
"""Called with the address of the page, which holds the token, and whether another server serves it already."""
_WAITING = 256  # connections at the same time; a page has a few
_LONGEST_HEAD = 16_384  # bytes of a request's head


def serve(
    folder: Path,
    *,
    command: Sequence[str],
    check: Check,
    host: str,
    port: int,
    any_port: bool,
    at_once: int,
    largest: int,
    opened: Opened,
) -> None:
    """Serve the application until it is ended; where another server uses the folder already, that one is told.

    Args:
        folder: of the jobs; one server at a time uses it.
        command: starts a worker.
        check: see `Api`.
        host, port: to listen at.
        any_port: take a free port where the given one is taken.
        at_once: so many jobs run at the same time.
        largest: bytes of the largest upload.
        opened: called when the server answers.

    Raises:
        PoseMambaError: the folder cannot be used, or nobody can listen there.
    """
    make_private_folder(folder)
    with (folder / "server.lock").open("a+") as held:
        if not lock(held.fileno()):
            opened(_other(folder), True)
            return
        store = Store(folder)
        listener = _listen(host, port, any_port)
        with contextlib.closing(listener):
            port = listener.getsockname()[1]
            keys = Keys(secret=_secret(folder), cookie=f"posemamba_{port}")
            app = make_application(keys, Api(store, Runner(store, command, at_once), check, largest), host)
            address = f"http://{_name(host)}:{port}/?token={keys.token}"
            _write_private(folder / "address", address)
            try:
                _Server(_config(app), lambda: opened(address, False)).run(sockets=[listener])
            finally:
                (folder / "address").unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """A server that calls a function once it answers."""

    def __init__(self, config: uvicorn.Config, answers: Callable[[], None]) -> None:
        super().__init__(config)
        self._answers = answers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._answers()


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,  # it would hold the token
        server_header=False,
        proxy_headers=False,  # nobody may say who asks
        limit_concurrency=_WAITING,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        timeout_graceful_shutdown=3,
        lifespan="on",
    )


def _listen(host: str, port: int, any_port: bool) -> socket.socket:
    """Return a socket that listens.

    Raises:
        PoseMambaError: nobody can listen there.
    """
    if not host.strip():  # sockets take it for all addresses
        raise PoseMambaError("--host is empty, expected an address of this computer; leave it out for 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (port, 0) if any_port else (port,):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":  # there it would let two programs share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]"), number))
            return listener
        except (OSError, OverflowError, TypeError, ValueError) as error:  # the last two: a name no host can have
            listener.close()
            if number and any_port and getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES):
                continue
            raise PoseMambaError(
                f"--host {host} --port {port}: cannot listen there ({getattr(error, 'strerror', None) or error}); "
                "choose another port, or leave both out"
            ) from error
    raise AssertionError("unreachable")


def _secret(folder: Path) -> str:
    """Return the secret of the pages' cookies, which stays the same from one start to the next."""
    path = folder / "secret"
    with contextlib.suppress(OSError, ValueError):
        known = path.read_text(encoding="ascii").strip()
        if re.fullmatch(r"[\w-]{32,128}", known, re.ASCII):
            return known
    made = secrets.token_urlsafe(32)
    _write_private(path, made)
    return made


def _write_private(path: Path, text: str) -> None:
    """Write a file, whole or not at all, that the user alone may ever read."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _name(host: str) -> str:
    """Return the host as an address names it; of one that means all addresses of this computer, its own."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _other(folder: Path) -> str:
    """Return the address of the server that uses the folder already.

    Raises:
        PoseMambaError: it is not known.
    """
    try:
        return (folder / "address").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: damaged, no text
        raise PoseMambaError(f"{folder}: another posemamba app uses it; end that, or name another --folder") from error
