"""Progress of a command: bars for its stages, the time that each took, and events for a program that listens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

Listener = Callable[[dict[str, Any]], None]
"""Called with each event: its name under "event", and what belongs to it; all of it can be written as JSON."""
_listeners: list[Listener] = []

Progress = Callable[[int, "int | None"], None]
"""Called as progress(done, total); total is None where it is not known."""


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener within the block what commands do: stages, frames done, people found, results."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def listened() -> bool:
    """Tell whether somebody listens."""
    return bool(_listeners)


def announce(event: str, **facts: Any) -> None:
    """Tell an event to those who listen."""
    for listener in _listeners:
        listener({"event": event, **facts})


class Stages:
    """Progress bars on stderr, if it is a terminal: ``with stages("lifting") as progress: ...``.

    A bar is there from a stage's beginning; until the first call of `progress` it moves to and fro.

    Attributes:
        seconds: the time that each stage took, by its name.
    """

    def __init__(self, quiet: bool = False) -> None:
        """Begin with no stages.

        Args:
            quiet: show no bars, as in one of several threads.
        """
        self._quiet = quiet
        self.seconds: dict[str, float] = {}
        self._describe: Callable[[str | None], None] | None = None

    def tell(self, text: str | None) -> None:
        """Show a text in place of the name of the stage that runs, if one does; None: its name again."""
        if self._describe is not None:
            self._describe(text)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[Progress]:
        from rich import progress as rich_progress
        from rich.console import Console

        console = Console(stderr=True)
        begin = time.perf_counter()
        bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description:<22}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
            disable=self._quiet or not console.is_terminal,
        )
        before = self._describe
        announce("stage", stage=name)
        try:
            with bars:
                task = bars.add_task(name, total=None)
                self._describe = lambda text: bars.update(task, description=text or name)

                def progress(done: int, total: int | None) -> None:
                    bars.update(task, completed=done, total=total)
                    announce("progress", stage=name, done=done, total=total)

                yield progress
        finally:
            self._describe = before
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin
            announce("stage done", stage=name, seconds=self.seconds[name])

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
