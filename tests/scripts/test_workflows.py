"""Workflows of releases and tests: pinned actions, least rights, scripts that exist; tags and the change log."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # keeps the key `on`


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_rights_are_least(path: Path) -> None:
    text, content = path.read_text(encoding="utf-8"), load(path)
    assert content["permissions"] == {"contents": "read"}
    for used in re.findall(r"uses: (\S+.*)", text):
        assert used.startswith("./.github/") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", used), used
    for job in content["jobs"].values():
        assert "timeout-minutes" in job or "uses" in job
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false"
            for script in re.findall(r"\b(?:scripts|tests)/\w+(?:\.\w+|/\w+(?:\.py)?)|\.ci/run", step.get("run", "")):
                assert (ROOT / script).exists(), script
            assert "${{" not in step.get("run", ""), "expressions reach a shell through its environment only"


def test_only_the_upload_may_ask_for_an_identity_of_pypi() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert jobs["pypi"]["permissions"] == {"id-token": "write"} and jobs["pypi"]["environment"] == "pypi"
    assert "tests" in jobs["build"]["needs"] and jobs["page"]["needs"] == "pypi"
    assert not any("secrets." in path.read_text(encoding="utf-8") for path in WORKFLOWS)


@pytest.mark.skipif(sys.platform == "win32", reason="a bash script, for Linux")
@pytest.mark.parametrize(
    ("tag", "good"), [("v0.1.0", True), ("0.1.0", False), ("v0.1", False), ("v0.1.0-x", False), ("v99.0.0", False)]
)
def test_a_tag_is_a_version_of_the_change_log(tag: str, good: bool) -> None:
    done = subprocess.run(["bash", "scripts/check_tag.sh", tag], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode == 0) == good, done.stderr
    assert good or tag.removeprefix("v") in done.stderr


def test_hooks_have_one_version_of_each_tool() -> None:
    hooks = [hook for repo in load(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    wanted = {tool for hook in hooks for tool in hook.get("additional_dependencies", [])}
    assert all("==" in tool for tool in wanted) and len({tool.split("==")[0] for tool in wanted}) == len(wanted)
