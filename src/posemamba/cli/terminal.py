"""Printing to a terminal that is closed, or to a file on a full disk; signals that end a command."""

from __future__ import annotations

import contextlib
import errno
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


def drop_output() -> None:
    """Let all that is printed from now on go nowhere, also what Python prints at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
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
