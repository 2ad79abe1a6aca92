"""The boundary at which a user's file is read: whatever the file makes a reader raise becomes one clear line.

Parsers of zip, JSON, YAML, NumPy, video and weights raise any kind of exception on damaged bytes. Every public reader
puts its work into `reading` (or has the decorator `reader`), so that no list of exception types is needed.
"""

from __future__ import annotations

import functools
import inspect
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from posemamba.utils.errors import PoseMambaError

_OURS = (PoseMambaError, NameError, ImportError)
"""Exceptions that pass: errors that are told already, and those that no content of a file can cause."""

Function = TypeVar("Function", bound=Callable[..., Any])


class reading:  # noqa: N801  # a context manager, used like a function
    """A context whose exceptions are reported as a `PoseMambaError` that names the file, what it was and the cause.

    The exception stays as `__cause__`; the command line shows it where POSEMAMBA_DEBUG is set.

    >>> with reading(path, "a keypoint file"):
    ...     content = json.loads(path.read_bytes())

    Args:
        path: the file, for the message.
        what: what it was read as, with its article.
    """

    def __init__(self, path: object, what: str) -> None:
        self.path, self.what = path, what

    def __enter__(self) -> None:
        if is_special(self.path):
            raise PoseMambaError(f"{self.path}: is a pipe or device, expected {self.what}: save it as a file first")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # a panic of a library written in Rust is no Exception
        if error is None or not (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
            return
        if isinstance(error, OSError) and "usable temporary directory" in str(error):
            return  # of a package that makes temporary files, and not of the file
        if not isinstance(error, _OURS):
            raise PoseMambaError(f"{self.path}: {_problem(error, self.what)}") from error


def is_special(path: object) -> bool:
    """Tell whether a path is a pipe, socket or device: it may never end, or wait for ever for somebody who writes."""
    try:
        mode = os.stat(path).st_mode  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def reader(what: str) -> Callable[[Function], Function]:
    """Put a function that reads a file, or a generator of its parts, into `reading`.

    Args:
        what: what the file is read as, with its article. The function's first argument (after `cls`) is the path, or
            has an attribute `path`.
    """

    def decorate(function: Function) -> Function:
        skipped = int(next(iter(inspect.signature(function).parameters)) in ("cls", "self"))

        def context(arguments: tuple[Any, ...], named: dict[str, Any]) -> reading:
            first = arguments[skipped] if len(arguments) > skipped else next(iter(named.values()), "")
            return reading(first if isinstance(first, str | Path) else getattr(first, "path", first), what)

        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def yielding(*arguments: Any, **named: Any) -> Iterator[Any]:
                with context(arguments, named):
                    yield from function(*arguments, **named)

            return yielding  # type: ignore[return-value]

        @functools.wraps(function)
        def returning(*arguments: Any, **named: Any) -> Any:
            with context(arguments, named):
                return function(*arguments, **named)

        return returning  # type: ignore[return-value]

    return decorate


def _problem(error: BaseException, what: str) -> str:
    """Describe an exception that a file caused."""
    if isinstance(error, MemoryError):
        return f"cannot be read as {what}: it describes more than fits into memory: damaged, or too large"
    if isinstance(error, RecursionError):
        return f"cannot be read as {what}: nested too deeply: damaged; write it again"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if isinstance(error, RuntimeError) and "password required" in str(error):  # zipfile's words
        return f"cannot be read as {what}: encrypted with a password; write it again without one"
    return f"cannot be read as {what}: cut short or damaged ({cause(error)}); copy or write it again"


def cause(error: BaseException) -> str:
    """Return an exception's kind and the start of its first line."""
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    return f"{kind}: {lines[0][:160]}" if lines else kind
