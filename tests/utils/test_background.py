"""Values that threads make: given when they are there, and their errors raised where they are asked for."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from posemamba.utils.background import Background
from posemamba.utils.errors import PoseMambaError


def test_a_value_is_waited_for_and_an_error_is_raised_when_asked_for() -> None:
    go = threading.Event()
    slow = Background(lambda: go.wait(10) and 42)
    slow.check()
    assert slow.get(go.set) == 42 and slow.get() == 42

    def fail() -> None:
        raise PoseMambaError("no such weights")

    failed = Background(fail)
    for _ in range(2):
        with pytest.raises(PoseMambaError, match="no such weights"):
            failed.get()
    with pytest.raises(PoseMambaError):
        failed.check()


CODE = """
import time
from posemamba.utils.background import Background, unwanted
def work():
    while not unwanted():
        time.sleep(0.01)
    print("ended")
Background(work)
time.sleep(0.05)
print("main ends")
"""


def test_work_that_nobody_wants_any_more_can_end_with_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split("\n")[:2] == ["main ends", "ended"] and done.returncode == 0
