"""Printing to a terminal that is closed or knows ASCII alone, or to a full disk; signals that end a command."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

_OF_A_TERMINAL = (errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF, errno.EDQUOT if hasattr(errno, "EDQUOT") else -1)


def cannot_print(error: OSError) -> bool:
    """Tell whether an error comes from printing; files are written whole, and their errors are told by their names."""
    return error.filename is None and error.errno in _OF_A_TERMINAL


def open_streams() -> None:
    """Open streams that were closed at the start, and let no character be an error.

    Else the next file that is opened would get a stream's number, and what native code prints would go into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                nowhere = os.open(os.devnull, os.O_RDWR)
                if nowhere != number:
                    os.dup2(nowhere, number)
                    os.close(nowhere)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # open until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Let all that is printed from now on go nowhere, also what Python prints at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[list[int]]:
    """Let SIGTERM, and SIGHUP of a terminal that is closed, end the block as Ctrl-C does; yield those that came.

    What is half done is put away then. Signals that are ignored already (nohup), or are handled, stay so.
    """
    came: list[int] = []

    def end(number: int, _: object) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
