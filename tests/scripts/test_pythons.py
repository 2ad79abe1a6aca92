"""The script that tries other Pythons: what it says without one, and the commands that it takes from the README."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="a script for bash")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(ROOT / "scripts" / script), *arguments], capture_output=True, text=True)


def test_an_absent_python_is_one_line_and_exit_status_1() -> None:
    said = run("pythons.sh", "3.99")
    assert said.returncode == 1 and len(said.stderr.splitlines()) == 1
    assert "Python 3.99 is not on this machine" in said.stderr
    assert run("pythons.sh").returncode == 2 and run("pythons.sh", "--find", "3.99").returncode == 1


def test_it_finds_the_python_of_that_version_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    for name, code in (("3.98", f'exec {sys.executable} "$@"'), (own, "exit 127")):
        (tmp_path / f"python{name}").write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / f"python{name}").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert run("pythons.sh", "--find", "3.98").returncode == 1, "it calls itself 3.98 and is not"
    assert run("pythons.sh", "--find", own).returncode == 1, "as pyenv's shims do, it does not run"
    kept = tmp_path / "versions" / f"{own}.9" / "bin"
    kept.mkdir(parents=True)
    (kept / "python").symlink_to(sys.executable)
    assert run("pythons.sh", "--find", own).stdout.strip() == str(kept / "python")


def test_commands_come_from_the_readme() -> None:
    assert run("readme_command.sh", "use").stdout.strip().endswith("posemamba demo")
    assert "pytest" in run("readme_command.sh", "tests").stdout
    said = run("readme_command.sh", "nothing")
    assert said.returncode == 1 and "nothing" in said.stderr
