"""The notebook of examples/, run top to bottom as Colab does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first_clip.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("source", ["video", "no network"])
def test_the_notebook_runs(
    source: str, tmp_path: Path, shared: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbclient and ipykernel, of the extra 'dev'")
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel, of the extra 'dev'")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel, of the extra 'dev'")
    if source == "video":
        pytest.importorskip("av", reason="the extra 'video'")
        shutil.copy(shared("video/sports2d_demo.mp4"), tmp_path / "demo.mp4")
    else:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(NOTEBOOK.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    )
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed without outputs"
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    files = {path.name: path.stat().st_size for path in (tmp_path / "results").iterdir()}
    assert set(files) == {"poses.npz", "poses.csv", "poses.glb", "viewer.html"} and min(files.values()) > 1000
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs), "the plot of the knees"
    assert any("<iframe" in output.get("data", {}).get("text/html", "") for output in outputs), "the page"
