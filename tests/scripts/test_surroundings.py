"""A few rows of the table of odd surroundings; the whole of it takes half an hour."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "surroundings.py"


def can_mount() -> bool:
    if sys.platform != "linux" or os.geteuid() or shutil.which("unshare") is None:
        return False
    words = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="needs root on Linux, and a namespace of mounts")
def test_rows_that_concern_files_alone() -> None:
    rows = "disk is full|longest name|too long a path|input: (pipe|empty|socket|no permission)"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--only", rows, "--commands", "convert,quality"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("18 cases, 0 failed"), done.stdout
