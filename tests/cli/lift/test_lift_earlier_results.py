"""Results of an earlier call are recognised, whatever has moved, and not made twice."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fixtures.command_line import keypoints, lifted, refused
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.io.motion.npz import load_poses_npz


def test_what_is_done_is_not_done_again(
    source: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = [source, "-o", out, "--weights", weights, "--no-overlay"]

    def is_skipped(*more: object) -> bool:
        before = {p: p.stat().st_mtime_ns for p in out.iterdir()} if out.exists() else {}
        assert lifted(*arguments, *more) == 0
        same = before == {p: p.stat().st_mtime_ns for p in out.iterdir()}
        assert ("done already" in capsys.readouterr().out) == same
        return same

    assert not is_skipped() and is_skipped() and is_skipped("--device", "cpu")
    assert not is_skipped("--again")
    assert not is_skipped("--no-flip") and is_skipped("--no-flip") and not is_skipped()
    (out / "viewer.html").unlink()
    assert not is_skipped() and is_skipped()
    os.utime(source, ns=(1, 1))
    assert not is_skipped()
    (out / "poses.npz").write_bytes(b"PK something else")
    assert not is_skipped()


def test_without_out_the_folder_has_the_sources_name(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the working folder; a file of the same name at another place gets a folder of its own, and finds it again."""
    for place in ("a", "b", "here"):
        (tmp_path / place).mkdir()
    for place, frames in (("a", 12), ("b", 15)):
        write_keypoints_npz(tmp_path / place / "walk.npz", keypoints(frames))
    monkeypatch.chdir(tmp_path / "here")
    options = ("--weights", weights, "--no-overlay", "--no-viewer")
    for place in ("a", "b", "a", "b"):
        assert lifted(tmp_path / place / "walk.npz", *options) == 0
    assert sorted(p.name for p in Path().iterdir()) == ["walk_posemamba", "walk_posemamba_2"]
    assert [len(load_poses_npz(p / "poses.npz")) for p in sorted(Path().iterdir())] == [12, 15]
    assert capsys.readouterr().out.count("done already") == 2
    (tmp_path / "b").rename(tmp_path / "moved")
    (tmp_path / "b").mkdir()
    assert lifted(tmp_path / "moved" / "walk.npz", *options) == 0 and "done already" in capsys.readouterr().out
    write_keypoints_npz(tmp_path / "a" / "walk.npz", keypoints(13))  # made anew
    assert lifted(tmp_path / "a" / "walk.npz", *options) == 0
    assert sorted(p.name for p in Path().iterdir()) == ["walk_posemamba", "walk_posemamba_2"]
    assert len(load_poses_npz(Path("walk_posemamba") / "poses.npz")) == 13
    shutil.copy(tmp_path / "moved" / "walk.npz", tmp_path / "b" / "walk.npz")
    # several sources have one folder, as with -o
    assert lifted(tmp_path / "a" / "walk.npz", tmp_path / "b" / "walk.npz", *options) == 0
    assert sorted(p.name for p in Path("posemamba_results").iterdir()) == [
        *("a_walk_npz", "b_walk_npz", "summary.csv", "summary.html")
    ]
    capsys.readouterr()
    Path("taken_posemamba").write_text("a file")
    shutil.copy(tmp_path / "a" / "walk.npz", "taken.npz")
    assert "taken_posemamba: is a file" in refused(capsys, "lift", "taken.npz")
