"""Compiled kernels on disk: kept, made again where they are damaged, and no error where there is no place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys, warnings
warnings.showwarning = lambda text, *unused: print("warning:", text)
import numba
from posemamba.ops.runtime.caching import folder_of, kept

def double(x):
    return 2 * x

compiled = kept(numba.njit(double), b"digest")
print(compiled(21), sum(compiled.stats.cache_hits.values()), folder_of(compiled))
"""


def _double(folder: Path, **changes: str | None) -> list[str]:
    """The lines that a process prints which doubles 21 by a kernel: the result, hits of the cache, the folder."""
    script = folder / "script.py"
    if not script.exists():
        script.write_text(CODE)
    env = {**os.environ, **changes}
    done = subprocess.run(
        [sys.executable, str(script)],
        env={name: value for name, value in env.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    assert _double(tmp_path, NUMBA_CACHE_DIR=cache)[0].startswith("42 0 ")
    assert _double(tmp_path, NUMBA_CACHE_DIR=cache)[0].startswith("42 1 ")
    for suffix in ("nbi", "nbc"):
        (file,) = Path(cache).rglob(f"*.{suffix}")
        whole = file.read_bytes()
        middle = len(whole) // 2
        for damaged in (b"", b"garbage", whole[:middle], whole[:middle] + b"\xff" + whole[middle + 1 :]):
            file.write_bytes(damaged)
            if suffix == "nbc":  # a single changed byte of machine code is seen, too
                assert _double(tmp_path, NUMBA_CACHE_DIR=cache)[0].startswith("42 0 ")
            else:
                assert _double(tmp_path, NUMBA_CACHE_DIR=cache)[0].startswith("42 ")
            assert _double(tmp_path, NUMBA_CACHE_DIR=cache)[0].startswith("42 1 "), (suffix, damaged[:10])


@pytest.mark.slow
def test_without_a_place_kernels_are_compiled_and_a_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "__pycache__").touch()  # in the way of the folder beside the script
    nowhere = str(tmp_path / "file")
    said = _double(tmp_path, NUMBA_CACHE_DIR=nowhere, XDG_CACHE_HOME=nowhere, HOME=nowhere)
    assert said[0].startswith("warning: kernels are compiled at every start") and "NUMBA_CACHE_DIR" in said[0]
    assert said[1] == "42 0 None" and len(said) == 2
    before = {path.name for path in tmp_path.iterdir()}
    said = _double(tmp_path, NUMBA_CACHE_DIR=None, XDG_CACHE_HOME="relative", HOME=None)
    assert said[-1] == "42 0 None"
    assert {path.name for path in tmp_path.iterdir()} == before  # no folder "relative" or "~" appears
