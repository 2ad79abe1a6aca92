"""A connection to a Ray cluster, without reports to anybody and without a dashboard."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from posemamba.utils.errors import PoseMambaError, require
from posemamba.utils.reading import cause

STORE_BYTES = 300 << 20
"""Ray's shared memory of a local cluster: joints and poses pass through it, pictures never do."""
STARTS = 3
"""Times that a local cluster is started until it is given up."""
INIT_DEATHS = 20
"""Processes of a stage, one after another, that may end before their first input, until the work is given up."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no report to Ray's makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning of Ray's own change
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
_ADDRESS = re.compile(r"\[?([\w.:-]+?)\]?:(\d{1,5})")


def load_ray() -> Any:
    """Import Ray with its reports switched off.

    Raises:
        PoseMambaError: it is not installed.
    """
    os.environ.update(_SETTINGS)
    # notes on the terminal that users cannot act on, as of work that is repeated
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    ray = require("ray", "cluster")
    require("ray.data", "cluster")
    return ray


@contextlib.contextmanager
def connect(address: str, cpus: int | None = None) -> Iterator[None]:
    """Connect to a Ray cluster within the block; one that this process started ends with it.

    Args:
        address: ``local``: a cluster of this machine alone, started now; ``auto``: the one that runs on this machine;
            or the HOST:PORT of a cluster's head.
        cpus: of a local cluster, processes at a time; None: this machine's processors.

    Raises:
        PoseMambaError: Ray is missing, or there is no cluster.
    """
    host = _check(address)
    ray = load_ray()
    if ray.is_initialized():
        yield  # the user's own connection stays as it is
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": True}
    if address == "local":
        from posemamba.utils.processors import processors

        # two at the least: a stage of finding and one of writing must both find room
        quiet |= {"num_cpus": max(2, cpus or processors()), "object_store_memory": STORE_BYTES}
        quiet |= {"include_dashboard": False}
    try:
        if host is not None:
            socket.create_connection(host, timeout=10).close()
        _begin(ray, address, quiet)
    except Exception as error:  # Ray's and the system's own
        raise PoseMambaError(_why_not(address, error)) from error
    _quieten()
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            ray.shutdown()


def _begin(ray: Any, address: str, options: dict[str, Any]) -> None:
    """Connect; a local cluster is tried again, as a busy machine starts Ray's processes later than Ray waits for."""
    for left in reversed(range(STARTS if address == "local" else 1)):
        try:
            with _nothing_said(), _same_signals():
                ray.init(address=address, **options)
            return
        except Exception as error:
            if not left or "timed out" not in str(error):
                raise
            ray.shutdown()


def _check(address: str) -> tuple[str, int] | None:
    """Return the host and port of an address; None for ``local`` and ``auto``.

    Raises:
        PoseMambaError: it is none of these.
    """
    if address in ("local", "auto"):
        return None
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise PoseMambaError(
            f"--cluster is '{address}', expected local, auto or the HOST:PORT of a cluster's head, as ray start prints "
            "it (6379)"
        )
    return found[1], int(found[2])


def _why_not(address: str, error: Exception) -> str:
    if address == "auto":
        return (
            "--cluster auto: no Ray cluster runs on this machine; start one (RAY_USAGE_STATS_ENABLED=0 ray start "
            "--head), or name the HOST:PORT of its head"
        )
    if isinstance(error, OSError):
        why = error.strerror or "no answer" if not isinstance(error, TimeoutError) else "no answer in 10 s"
        return f"--cluster {address}: nothing answers there ({why}); is it the HOST:PORT of the cluster's head?"
    return f"--cluster {address}: Ray does not connect ({cause(error)})"


def _quieten() -> None:
    """Keep Ray Data's bars and notes from the terminal: this program tells what is done."""
    ray = load_ray()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_consecutive_actor_init_deaths = INIT_DEATHS  # processes that begin on a machine while it is lost
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are raised, and told in a line


@contextlib.contextmanager
def _same_signals() -> Iterator[None]:
    """Put back what SIGTERM does: Ray's own handler ends the process with another exit code."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _nothing_said() -> Iterator[None]:
    """Drop what native code prints on stderr within the block, which names no file and nothing to do."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
