"""Damaged clips: what is lost or moved is what the name says; the tables hold every damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from studies.trust_calibration import DAMAGES

from posemamba.data.mocap.motions import Motions
from posemamba.demo.walker import walk
from posemamba.poses import Keypoints2D
from posemamba.poses.skeletons import H36M17
from studies import damaged_views, refinement_tables, trust_calibration


@pytest.mark.slow
def test_tables_of_a_walk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    motions = Motions(walk(60, 50.0, seed=1), np.array([60]), ("a",), ("walk",), ("x",), 50.0)
    monkeypatch.setattr(refinement_tables, "load_motions", lambda directory, split: motions)
    with pytest.warns(UserWarning, match="found in less than half"):
        assert trust_calibration.main([]) == 0
    text = capsys.readouterr().out
    rows = {c[0]: c[1:] for c in ([x.strip() for x in line.strip("| ").split("|")] for line in text.splitlines())}
    assert set(DAMAGES) <= set(rows)
    assert rows["legs never seen"][5] == rows["upside down"][5] == rows["60 % of the frames missing"][5] == "100%"
    assert float(rows["left and right swapped"][0]) > float(rows["none"][0]) + 50


def test_damages_change_what_they_say() -> None:
    xy = walk(100, 50)[..., [0, 2]] * np.float32([80, -80]) + np.float32([160, 200])
    joints = Keypoints2D(xy, np.full((100, 17), 0.9, np.float32), H36M17, (320, 240), 50.0)
    lost = DAMAGES["legs never seen"].change(joints)
    assert np.flatnonzero(~lost.found.any(0)).tolist() == [2, 3, 5, 6] and not lost.confidence[:, 2].any()
    guessed = DAMAGES["legs guessed"].change(joints)
    assert guessed.found.all() and np.flatnonzero((guessed.confidence < 0.5).all(0)).tolist() == [2, 3, 5, 6]
    assert DAMAGES["60 % of the frames missing"].change(joints).seen.mean() == pytest.approx(0.4, abs=0.05)
    assert (~DAMAGES["legs never seen for 1 s"].change(joints).found[:, 3]).sum() == 50
    np.testing.assert_allclose(DAMAGES["upside down"].change(joints).xy, [320, 240] - joints.xy, atol=1e-3)
    width = np.ptp(DAMAGES["stretched by 1.8"].change(joints).xy[..., 0])
    assert width == pytest.approx(1.8 * np.ptp(joints.xy[..., 0]), rel=1e-4)
    assert (joints.confidence == np.float32(0.9)).all()  # the clip itself stays


def test_unknown_weights_and_missing_videos_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trust_calibration.main(["--weights", "no-such-weights"]) == 2
    assert damaged_views.main([str(tmp_path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and "no-such-weights" in errors[0] and "no videos/*.mp4" in errors[1]


def test_pictures_are_cropped_between_joints() -> None:
    xy = np.zeros((5, 17, 2))
    xy[:, 0], xy[:, [2, 5]], xy[:, [3, 6]] = [50, 100], [50, 140], [50, 190]
    picture = np.arange(200 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(200, 100, 3)
    heights = {name: len(change(picture, 0, xy)) for name, change in damaged_views.DAMAGES.items()}
    assert heights["cropped below the hips"] == 110 and heights["cropped above the ankles"] == 160
    bar = damaged_views.DAMAGES["a bar over the legs"](picture, 0, xy)
    assert (bar[:100] == picture[:100]).all() and (bar[100:] == (90, 100, 80)).all()
    black = [damaged_views.DAMAGES["black half of the time"](picture, i, xy).any() for i in (0, 19, 20, 39, 40)]
    assert black == [True, True, False, False, True]
