"""Items made in a thread ahead of their use, so that native code that makes and uses them runs at the same time."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def ahead(items: Iterable[T], most: int = 2) -> Iterator[Iterator[T]]:
    """Make the items in a thread, in order, at most so many ahead; the thread ends with the block.

    An exception that the items raise is raised where they are used, behind the items before it.

    >>> with ahead(read_frames("in.mp4")) as frames:
    ...     for frame in frames: ...

    Args:
        items: only the thread uses it, and closes it if it is a generator.
        most: items that wait for their use; one more is being made.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(most)
    stopped = threading.Event()

    def make() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                waiting.put((item, None, False))
                if stopped.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            if close := getattr(items, "close", None):
                with contextlib.suppress(Exception):
                    close()
        waiting.put((None, error, True))

    def use() -> Iterator[T]:
        while True:
            item, error, last = waiting.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        yield use()
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room
            with contextlib.suppress(queue.Empty):
                waiting.get_nowait()
            thread.join(0.01)
