"""The processors that this process may use."""

from __future__ import annotations

import os


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(most: int) -> int:
    """Return how many threads to work with: a processor each, and no more than OMP_NUM_THREADS where that is set.

    Args:
        most: beyond which more are no faster.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(processors(), most, int(wanted) if wanted.isdecimal() else most))
