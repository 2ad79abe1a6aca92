"""Errors that the user can fix."""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from pathlib import Path

import pytest

from posemamba.utils import errors
from posemamba.utils.errors import EXTRAS, PoseMambaError, install_command, require

ROOT = Path(__file__).resolve().parents[2]


def test_a_message_stays_one_line_whatever_a_file_puts_into_it() -> None:
    error = PoseMambaError("k.npz: holds 'key\r\npoints\x1b[31m',  'b'; expected 'keypoints'")
    assert str(error) == "k.npz: holds 'key points [31m',  'b'; expected 'keypoints'"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def _extra(name: str) -> list[str]:
    """An extra's requirements in pyproject.toml, without those of other extras."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^{name} = \[(.*)\]$", text, flags=re.MULTILINE)
    return [item for item in re.findall(r'"([^"]+)"', line) if not item.startswith("posemamba[")]


def test_advice_names_the_packages_of_the_projects_extras() -> None:
    users = re.findall(
        r"(?:require|install_command)\((?:\"[^\"]+\", )?\"(\w+)\"\)",
        "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")),
    )
    assert set(users) == set(EXTRAS), "each extra that is asked for is known, and no others"
    for extra, packages in EXTRAS.items():
        assert list(packages) == _extra(extra), extra


def test_advice_names_a_package_once_for_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    for release, wanted in (((3, 10, 1), "pillow>=12.3"), ((3, 11, 0), "pillow>=13"), ((3, 14, 2), "pillow>=13")):
        monkeypatch.setattr(errors.sys, "version_info", release)
        assert re.findall(r'"(pillow[^"]*)"', install_command("video")) == [wanted]


def test_advice_installs_where_this_python_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = tmp_path / "bin" / "python"
    monkeypatch.setattr(sys, "executable", str(here))
    monkeypatch.setattr(errors.shutil, "which", lambda name: str(here.parent / "pip"))
    assert install_command("plot") == 'pip install "matplotlib>=3.8"'
    for elsewhere in (str(tmp_path / "other" / "pip"), None):
        monkeypatch.setattr(errors.shutil, "which", lambda name, found=elsewhere: found)
        assert install_command("video").startswith(f'{here} -m pip install "av>=')


def test_what_did_not_import_is_named_and_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("no such library")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(
        PoseMambaError, match=r"'ai_edge_litert\.interpreter'.*\(no such library\).*Python 3\.10 to 3\.14"
    ):
        require("ai_edge_litert.interpreter", "video")
    with pytest.raises(PoseMambaError) as error:
        require("av", "video")
    assert "wheels" not in str(error.value)


def test_nobody_is_sent_to_an_index_that_does_not_have_the_package() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for path in (*pages, *(ROOT / "src").rglob("*.py"), *(ROOT / "studies").rglob("*.py")):
        assert not re.search(r"install [^\n]*posemamba\[", path.read_text(encoding="utf-8")), path
