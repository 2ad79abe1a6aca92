"""A few runs of the harness; ``python -m tests.interrupts`` makes as many as one likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.paths import ROOT


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("kind", ["lift", "train"])
def test_what_is_killed_and_called_again_is_as_if_nothing_had_happened(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    pytest.importorskip("lightning", reason="training needs the extra 'train'")
    command = [
        sys.executable,
        "-m",
        "tests.interrupts",
        "--runs",
        "6",
        "--only",
        kind,
        "--keep",
        str(tmp_path / "runs"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"{kind}: 6 runs" in done.stdout
