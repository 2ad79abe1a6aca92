"""Progress bars for the stages of a command, and the time that each stage took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

Progress = Callable[[int, "int | None"], None]
"""Called as progress(done, total); total is None where it is not known."""


class Stages:
    """Progress bars on stderr, if it is a terminal: ``with stages("lifting") as progress: ...``.

    Attributes:
        seconds: the time that each stage took, by its name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[Progress]:
        from rich import progress as rich_progress
        from rich.console import Console

        console = Console(stderr=True)
        bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description:<22}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        task: rich_progress.TaskID | None = None

        def update(done: int, total: int | None) -> None:
            nonlocal task
            if task is None:  # not earlier, as a detector's start also writes to the terminal
                bars.start()
                task = bars.add_task(name, total=total)
            bars.update(task, completed=done, total=total)

        begin = time.perf_counter()
        try:
            yield update
        finally:
            if task is not None:
                bars.stop()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
