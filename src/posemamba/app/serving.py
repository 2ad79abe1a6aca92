"""Start and end of the application's server."""

from __future__ import annotations

import contextlib
import errno
import json
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from posemamba.app.guard import Keys, is_loopback
from posemamba.app.jobs import Store
from posemamba.app.routes import Api, Check
from posemamba.app.runner import Runner
from posemamba.app.server import make_application
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path, lock

_WAITING = 32  # connections at the same time; a page has a few
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
    open_page: bool,
) -> None:
    """Serve the application until it is ended.

    Args:
        folder: of the jobs; one server at a time uses it.
        command: starts a worker.
        check: see `Api`.
        host, port: to listen at.
        any_port: take a free port where the given one is taken.
        at_once: so many jobs run at the same time.
        largest: bytes of the largest upload.
        open_page: open the page in the browser.

    Raises:
        PoseMambaError: the folder cannot be used, or nobody can listen there.
    """
    store = Store(folder)
    with (folder / "server.lock").open("a+") as held:
        if not lock(held.fileno()):
            _show_other(folder, open_page)
            return
        listener = _listen(host, port, any_port)
        with contextlib.closing(listener):
            port = listener.getsockname()[1]
            keys = Keys(secret=_secret(folder), cookie=f"posemamba_{port}")
            app = make_application(keys, Api(store, Runner(store, command, at_once), check, largest), host)
            address = f"http://{_name(host)}:{port}/?token={keys.token}"
            with _private(folder / "address") as path:
                path.write_text(address, encoding="utf-8")
            _Server(_config(app), address, host, open_page).run(sockets=[listener])
            (folder / "address").unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """A server that prints and opens its page once it answers, and says when it ends."""

    def __init__(self, config: uvicorn.Config, address: str, host: str, open_page: bool) -> None:
        super().__init__(config)
        self._address, self._host, self._open = address, host, open_page

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        print(f"PoseMamba is at {self._address}")
        if is_loopback(self._host):
            print("Only this computer can open it. Ctrl-C ends it; what is not done goes on at the next start.")
        else:
            print(
                f"Opened to the network at {self._host}: whoever reaches this computer and has that address, with its "
                "token, can upload, see and remove everything here. The connection is not encrypted; use it in a "
                "network that you trust. Ctrl-C ends it."
            )
        sys.stdout.flush()
        if self._open:
            threading.Thread(target=webbrowser.open, args=(self._address,), daemon=True).start()


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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (port, 0) if any_port else (port,):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":  # there it would let two programs share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]"), number))
            return listener
        except (OSError, OverflowError) as error:
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
        if len(known) >= 32 and json.dumps(known) == f'"{known}"':
            return known
    made = secrets.token_urlsafe(32)
    with _private(path) as temporary:
        temporary.write_text(made, encoding="ascii")
    return made


@contextlib.contextmanager
def _private(path: Path):  # type: ignore[no-untyped-def]
    """Yield a temporary path for a file that the user alone may read."""
    with atomic_path(path) as temporary:
        yield temporary
    path.chmod(0o600)


def _name(host: str) -> str:
    """Return the host as an address names it; of one that means all addresses of this computer, its own."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _show_other(folder: Path, open_page: bool) -> None:
    """Show the page of the server that uses the folder already.

    Raises:
        PoseMambaError: it is not known.
    """
    try:
        address = (folder / "address").read_text(encoding="utf-8")
    except OSError as error:
        raise PoseMambaError(f"{folder}: another posemamba app uses it; end that, or name another --folder") from error
    print(f"PoseMamba runs already, at {address}")
    if open_page:
        webbrowser.open(address)
