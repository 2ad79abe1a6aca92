"""Items that a thread makes ahead of their use."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from posemamba.utils.ahead import ahead


def test_items_come_in_order_few_ahead_and_the_thread_ends_with_the_block() -> None:
    made: list[int] = []
    closed: list[str] = []

    def numbers(end: int, error: Exception | None = None) -> Iterator[int]:
        try:
            for i in range(end):
                made.append(i)
                yield i
            if error is not None:
                raise error
        finally:
            closed.append(threading.current_thread().name)

    threads = threading.active_count()
    with ahead(numbers(50)) as items:
        for i, item in enumerate(items):
            assert item == i and len(made) <= i + 4  # in use, waiting, and being made
            time.sleep(0.001)
    assert made == list(range(50)) and closed == ["ahead"]

    made.clear()
    with pytest.raises(KeyboardInterrupt), ahead(numbers(10**9)) as items:
        assert next(items) == 0
        raise KeyboardInterrupt  # while the thread waits for room
    assert len(made) <= 5 and len(closed) == 2

    with ahead(numbers(3, OSError("damaged"))) as items:
        assert [next(items) for _ in range(3)] == [0, 1, 2]  # what comes before an error is not lost
        with pytest.raises(OSError, match="damaged"):
            next(items)
    with ahead(iter([])) as items:
        assert list(items) == []
    assert threading.active_count() == threads
