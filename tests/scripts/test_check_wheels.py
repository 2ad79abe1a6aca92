"""The check of dependencies' wheels, with pip's answers made up."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from scripts.check_wheels import SYSTEMS, direct_requirements, resolve

from scripts import check_wheels

NEEDS = {
    "torch": ("2.15", ["Sympy>=1.13", 'nvidia-cublas; platform_system == "Linux"', 'optree; extra == "optree"']),
    "numpy": ("2.6", []),
    "numba": ("0.68", ["numpy<2.5", 'tomli; python_version < "3.11"']),
    "lightning": ("2.6", ["fsspec[http]"]),
    "fsspec": ("2026.9", ['aiohttp; extra == "http"', 'adlfs; extra == "abfs"']),
}
"""A made-up index: the newest version and the requirements of packages; all others have none."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answers of pip, and every requirement that it was asked for; windows-x86_64 has no wheel of sympy."""
    lines: list[str] = []

    def look_up(requirements: list[str], python: str, system: Any) -> tuple[list[dict[str, Any]], list[str]]:
        lines.extend(requirements)
        found, missing = [], []
        for requirement in map(Requirement, requirements):
            version, needs = NEEDS.get(requirement.name, ("1.0", []))
            if requirement.name == "sympy" and system is SYSTEMS["windows-x86_64"]:
                missing.append("sympy")
                continue
            if requirement.name == "numpy" and "<2.5" in str(requirement.specifier):
                version = "2.4"
            found.append({"metadata": {"name": requirement.name, "version": version, "requires_dist": needs}})
        return found, missing

    monkeypatch.setattr(check_wheels, "look_up", look_up)
    return lines


def test_all_that_is_needed_there_is_looked_up_and_nothing_else(asked: list[str]) -> None:
    direct = [Requirement("torch>=2.6"), Requirement("numba"), Requirement("numpy>=1.26"), Requirement("lightning")]
    versions, names, missing = resolve(direct, "3.10", SYSTEMS["linux-x86_64"])
    assert names == {"torch", "numba", "numpy", "lightning"} and not missing
    assert set(versions) - names == {"sympy", "nvidia-cublas", "tomli", "fsspec", "aiohttp"}
    assert versions["numpy"] == "2.4", "narrowed by what numba says"
    assert any("<2.5" in line and ">=1.26" in line for line in asked)
    versions, _, missing = resolve(direct, "3.14", SYSTEMS["windows-x86_64"])
    assert "nvidia-cublas" not in versions and "tomli" not in versions and missing == {"sympy"}


def test_markers_of_the_project_keep_a_package_out(asked: list[str]) -> None:
    direct = [Requirement("av"), Requirement("litert; sys_platform != 'win32' and python_version < '3.14'")]
    assert set(resolve(direct, "3.13", SYSTEMS["macos-arm64"])[0]) == {"av", "litert"}
    assert set(resolve(direct, "3.14", SYSTEMS["macos-arm64"])[0]) == {"av"}
    assert set(resolve(direct, "3.13", SYSTEMS["windows-x86_64"])[0]) == {"av"}


def test_extras_of_extras_are_resolved() -> None:
    project = {
        "name": "posemamba",
        "dependencies": ["numpy"],
        "optional-dependencies": {"video": ["av>=15"], "all": ["posemamba[video]", "pybvh"]},
    }
    assert [str(r) for r in direct_requirements(project, ["all"])] == ["numpy", "pybvh", "av>=15"]


def test_a_missing_wheel_is_named_and_the_exit_status_tells(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--python", "3.13", "--extra", "plot", "--system"]
    assert check_wheels.main([*arguments, "linux-aarch64", "macos-arm64"]) == 0
    assert "every dependency has a wheel" in capsys.readouterr().out
    assert check_wheels.main([*arguments, "windows-x86_64"]) == 1
    assert "no wheel: sympy on Python 3.13, windows-x86_64" in capsys.readouterr().out
    wanted = {canonicalize_name(Requirement(line).name) for line in asked}
    assert {"torch", "matplotlib", "sympy"} <= wanted and not wanted & {"ai-edge-litert", "lightning"}


def test_pips_answers_are_read_and_other_failures_are_no_missing_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = {
        "torch": "ERROR: Cannot install torch<2.16 and >=2.6 because these versions conflict.",
        "Pillow": "ERROR: No matching distribution found for pillow>=10.4",
        "network": "ERROR: Could not connect",
    }

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert {"--dry-run", "--no-deps", "--only-binary=:all:"} <= set(command) and "win_amd64" in command
        for name, refusal in refusals.items():
            if any(word.startswith(name) for word in command):
                return subprocess.CompletedProcess(command, 1, "", refusal)
        report = Path(command[command.index("--report") + 1])
        report.write_text(json.dumps({"install": [word for word in command if word.startswith("av")]}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    windows = SYSTEMS["windows-x86_64"]
    found, missing = check_wheels.look_up(["torch>=2.6", "av>=15", "Pillow>=10.4"], "3.13", windows)
    assert found == ["av>=15"] and missing == ["torch", "pillow"]
    with pytest.raises(SystemExit, match="Could not connect"):
        check_wheels.look_up(["network"], "3.13", windows)
