"""Printing to a terminal that is closed, or to a file on a full disk."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

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
