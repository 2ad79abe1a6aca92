"""A worker of ``posemamba app``: one call of a command in a process of its own (`posemamba.app.runner`).

It reads a line of JSON from stdin: ``arguments`` of the command line, and ``lock``, a file that one worker of a job at
a time holds. It prints events as lines of JSON. When stdin ends, the command is interrupted as by Ctrl-C.
"""

from __future__ import annotations

import _thread
import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from posemamba.utils.files import lock
from posemamba.utils.progress import listening

_EACH = 0.25
"""Seconds between two events of progress."""
_EARLIER = 60.0
"""Seconds that an earlier worker of the same job, whose server was killed, has to end."""


class _Events:
    """Events as lines of JSON; of progress, which comes with every frame, a few a second."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream, self._last = stream, 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            now = time.monotonic()
            if now - self._last < _EACH and event["done"] != event["total"]:
                return
            self._last = now
        with contextlib.suppress(OSError, ValueError):  # the server is gone; stdin's end says so, too
            self._stream.write(json.dumps(event) + "\n")
            self._stream.flush()


class _Lines(io.TextIOBase):
    """A stream that makes events of the lines of errors and warnings, and passes all on."""

    def __init__(self, stream: Any, events: _Events) -> None:
        self._stream, self._events, self._line = stream, events, ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            for word in ("error", "warning"):
                if line.startswith(f"{word}: "):
                    self._events({"event": word, "text": line.partition(": ")[2]})
        return int(self._stream.write(text))

    def flush(self) -> None:
        self._stream.flush()


def main() -> int:
    """Run the command that stdin names; return its exit code."""
    request = json.loads(_first_line())
    events = _open_events()
    threading.Thread(target=_watch, name="watch", daemon=True).start()
    from posemamba import cli

    with Path(request["lock"]).open("w") as file:
        end = time.monotonic() + _EARLIER
        while not lock(file.fileno()):
            if time.monotonic() > end:
                events({"event": "error", "text": "another process works at the same job; end it, then go on"})
                return 2
            time.sleep(0.2)
        with listening(events), contextlib.redirect_stderr(_Lines(sys.stderr, events)):
            return cli.main(request["arguments"])


def _open_events() -> _Events:
    """Return events on stdout; whatever else is printed goes to stderr, the log, from now on."""
    events = _Events(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    return events


def _first_line() -> bytes:
    """Return the first line of stdin, read without Python's buffer: its lock would be held when the process ends."""
    line = b""
    while not line.endswith(b"\n") and (piece := os.read(0, 1 << 16)):
        line += piece
    return line


def _watch() -> None:
    """Interrupt the command when stdin ends."""
    with contextlib.suppress(OSError):
        while os.read(0, 1 << 10):
            pass
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGINT)  # also out of waiting
    else:
        _thread.interrupt_main()


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
