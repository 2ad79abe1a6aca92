"""A sign of life on a terminal while a command imports and reads, until it prints something or shows a bar."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

FIRST = 0.3
"""Seconds after which it appears: a command that is done by then shows nothing."""
_EACH = 0.1
_FRAMES = "|/-\\"
_ERASE = "\r\033[K"


class _Watched:
    """A stream that ends the sign before anything is written to it."""

    def __init__(self, stream: TextIO, sign: _Sign) -> None:
        self._stream, self._sign = stream, sign

    def write(self, text: str) -> int:
        if text:
            self._sign.end()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Sign:
    """The sign, drawn on stderr by a thread."""

    def __init__(self, stream: TextIO, text: str) -> None:
        self._stream, self._text = stream, text
        self._ended = threading.Event()
        self._drawing = threading.Lock()
        self._shown = False
        self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        turn = 0
        while not self._ended.wait(_EACH if turn else FIRST):
            with self._drawing:
                if self._ended.is_set():
                    return
                self._draw(f"\r{_FRAMES[turn % len(_FRAMES)]} {self._text} ...")
                self._shown = True
            turn += 1

    def _draw(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed terminal
            self._stream.write(text)
            self._stream.flush()

    def end(self) -> None:
        """Erase the sign; it does not come back."""
        if self._ended.is_set():
            return
        with self._drawing:
            self._ended.set()
            if self._shown:
                self._draw(_ERASE)


@contextlib.contextmanager
def sign_of_life(text: str = "starting") -> Iterator[None]:
    """Show within the block that the command works, where stderr is a terminal, until it writes anything itself."""
    stream = sys.stderr
    if os.environ.get("TERM") == "dumb" or not stream.isatty():
        yield
        return
    sign = _Sign(stream, text)
    before = sys.stdout, sys.stderr
    watched = tuple(_Watched(one, sign) for one in before)
    sys.stdout, sys.stderr = watched  # type: ignore[assignment]  # it has all that a stream has
    try:
        yield
    finally:
        sign.end()
        for name, one, old in zip(("stdout", "stderr"), watched, before, strict=True):
            if getattr(sys, name) is one:  # else the command has put another one there
                setattr(sys, name, old)
