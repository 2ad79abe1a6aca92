"""Lifting as a step of a Ray Data pipeline: the poses of `lift`, a row for each person, an error in its own row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.clips import write_clips
from posemamba import lift
from posemamba.cluster.dataset import LiftFiles
from posemamba.cluster.session import connect
from posemamba.pipeline.lift import View
from posemamba.pipeline.reading import Reading
from posemamba.utils.errors import PoseMambaError


def _compare(row: dict[str, Any], path: Path, weights: Path) -> None:
    (expected,) = lift(path, weights=weights, device="cpu", height_m=1.8)
    np.testing.assert_array_equal(row["xyz"], expected.xyz)
    np.testing.assert_array_equal(row["seen"], expected.seen)
    assert row["person"] == 1 and row["fps"] == 50 and row["error"] == "" and row["verdict"] == expected.trust.word


def test_the_poses_of_lift_also_of_an_address(weights: Path, tmp_path: Path) -> None:
    import fsspec

    folder = write_clips(tmp_path / "clips", 2, 0)
    address = f"memory://{tmp_path.name}/clip_001.npz"
    fsspec.filesystem("memory").put_file(str(folder / "clip_001.npz"), address)
    work = LiftFiles("file", Reading(), View(), str(weights), 1.8, "cpu")
    columns = work({"file": np.array([str(folder / "clip_000.npz"), str(folder / "bad_cut.npz"), address])})
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    _compare(rows[0], folder / "clip_000.npz", weights)
    assert "bad_cut.npz" in rows[1]["error"] and rows[1]["xyz"].shape == (0, 17, 3)
    _compare(rows[2], folder / "clip_001.npz", weights)
    assert [row["path"] for row in rows] == [str(folder / "clip_000.npz"), str(folder / "bad_cut.npz"), address]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("somewhere", "expected local, auto or the HOST:PORT"),
        ("ray://head:10001", "expected local, auto or the HOST:PORT"),
        pytest.param("127.0.0.1:1", "nothing answers there (Connection refused)", marks=pytest.mark.slow),
        pytest.param("auto", "no Ray cluster runs on this machine", marks=pytest.mark.slow),
    ],
)
def test_a_cluster_that_is_not_there_is_told_in_a_line(
    address: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(**options: Any) -> None:  # another test's cluster may run here
        raise ConnectionError("Could not find any running Ray instance")

    if "HOST" not in words:
        pytest.importorskip("ray.data", reason="needs the extra 'cluster'")
        monkeypatch.setattr("ray.init", none)
    with pytest.raises(PoseMambaError, match=re.escape(words)), connect(address):
        pass


@pytest.mark.slow
def test_in_a_pipeline_of_ray_data(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason="needs the extra 'cluster'")
    import ray

    from posemamba.cluster import lift_dataset

    folder = write_clips(tmp_path / "clips", 20, 0)
    with connect("local", 2):
        files = ray.data.from_items([{"path": str(path)} for path in sorted(folder.glob("*.npz"))])
        lifted = lift_dataset(files, weights=weights, device="cpu", height_m=1.8)
        rows = {row["path"]: row for row in lifted.iter_rows()}
    assert len(rows) == 22 and sum(row["error"] != "" for row in rows.values()) == 2
    for number in (0, 7, 19):
        path = folder / f"clip_{number:03d}.npz"
        _compare(rows[str(path)], path, weights)
