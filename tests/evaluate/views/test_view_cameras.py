"""Calibrated cameras: their two files, lens distortion, pictures of other sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures.views import make_cameras, make_person, write_qca, write_toml
from posemamba.evaluate.views.calibration import find_calibration, read_calibration
from posemamba.utils.errors import PoseMambaError


def test_both_files_give_the_cameras_that_were_written(tmp_path: Path) -> None:
    written = make_cameras(11)  # cam10 sorts after cam9
    for camera, name in zip(written, [f"cam{i}" for i in range(1, 12)], strict=True):
        object.__setattr__(camera, "name", name)
    shuffled = [written[i] for i in (10, 3, 0, 7, 1, 2, 4, 9, 5, 6, 8)]
    for path in (write_qca(tmp_path / "Calib.qca.txt", shuffled), write_toml(tmp_path / "Calib.toml", shuffled)):
        read = read_calibration(path)
        assert [camera.name for camera in read] == [camera.name for camera in written]
        for ours, true in zip(read, written, strict=True):
            assert ours.size == true.size and not ours.fisheye
            for field in ("matrix", "rotation", "translation"):
                np.testing.assert_allclose(getattr(ours, field), getattr(true, field), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(ours.distortions[:4], true.distortions)


def test_marker_cameras_have_no_pictures(tmp_path: Path) -> None:
    path = write_qca(
        tmp_path / "c.qca.txt", make_cameras(4), ('model="none" serial="cam02"', 'model="Miqus M3" serial="cam02"')
    )
    assert [camera.name for camera in read_calibration(path)] == ["cam01", "cam03", "cam04"]


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("toml", ("matrix = [[", "matrix = [[1.0], ["), "'matrix'"),
        ("toml", ("translation", "place"), "'translation' is missing"),
        ("toml", ("rotation = [", "rotation = [nan, "), "'rotation'"),
        ("toml", ("distortions = [", "distortions = [0, 0, 0, "), "'distortions'"),
        ("toml", ("[metadata]", "[metadata"), "cannot be read"),
        ("toml", ("matrix", "Matrix"), "no camera"),
        ("toml", ("cam02", "cam01"), "twice"),
        ("qca", ("</cameras>", ""), "cannot be read"),
        ("qca", ("centerPointU", "centrePointU"), "<intrinsic> lacks"),
        ("qca", ("fov_video", "fov_marker"), "<fov_video> lacks"),
        ("qca", ('r11="', 'r11="0" was="'), "no rotation"),
        ("qca", ('focalLengthU="', 'focalLengthU="-'), "positive"),
    ],
)
def test_damaged_files_are_one_line(tmp_path: Path, kind: str, change: tuple[str, str], said: str) -> None:
    write, name = {"toml": (write_toml, "c.toml"), "qca": (write_qca, "c.qca.txt")}[kind]
    path = write(tmp_path / name, make_cameras(3), change)
    with pytest.raises(PoseMambaError, match=str(path)) as error:
        read_calibration(path)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_calibration_is_found_in_the_folder_or_beside_it(tmp_path: Path) -> None:
    trial = tmp_path / "trial"
    trial.mkdir()
    with pytest.raises(PoseMambaError, match="no calibration"):
        find_calibration(trial)
    shared = write_qca(tmp_path / "calibration" / "Calib.qca.txt", make_cameras(3))
    assert find_calibration(trial) == shared
    own = write_toml(trial / "Calibration" / "a.toml", make_cameras(3))
    write_qca(trial / "Calibration" / "a.qca.txt", make_cameras(3))
    assert find_calibration(trial) == own  # what Pose2Sim reads
    write_toml(trial / "Calibration" / "b.toml", make_cameras(3))
    with pytest.raises(PoseMambaError, match=r"a\.toml, .*b\.toml; choose by --calibration"):
        find_calibration(trial)


@pytest.mark.parametrize("fisheye", [False, True])
def test_undistorting_undoes_projecting(fisheye: bool) -> None:
    for camera in make_cameras(3, fisheye=fisheye):
        inside = camera.to_camera(make_person(20)) * [3, 3, 1]  # to the edges of the picture
        plane = camera.undistort(camera.project(inside))
        np.testing.assert_allclose(plane, inside[..., :2] / inside[..., 2:], atol=1e-9)
        assert np.abs(camera.project(inside) - camera.matrix.diagonal()[:2] * plane - camera.matrix[:2, 2]).max() > 1
        assert np.isnan(camera.project(-inside)).all(), "behind the camera"
        assert np.isnan(camera.undistort(np.full((1, 2), np.nan))).all()


def test_projection_bends_as_the_lens_does() -> None:
    """One point, against the formulas of Brown's model and of OpenCV's fisheye model written out."""
    x, y = 0.3, -0.2
    camera = make_cameras(3)[2]
    (k1, k2, p1, p2), r2 = camera.distortions, x * x + y * y
    u = x * (1 + k1 * r2 + k2 * r2 * r2) + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * (1 + k1 * r2 + k2 * r2 * r2) + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    np.testing.assert_allclose(camera.project([4 * x, 4 * y, 4]), [232 * u + 160, 233 * v + 117], rtol=1e-12)
    camera = make_cameras(3, fisheye=True)[2]
    r = np.sqrt(r2)
    theta = np.arctan(r)
    bent = theta * (1 - 0.05 * theta**2 + 0.01 * theta**4 + 0.002 * theta**6 - 0.001 * theta**8)
    np.testing.assert_allclose(
        camera.project([4 * x, 4 * y, 4]), [232 * x * bent / r + 160, 233 * y * bent / r + 117], rtol=1e-12
    )


def test_pictures_of_another_size_are_scaled_and_of_another_shape_refused() -> None:
    camera = make_cameras(1)[0]
    point = camera.to_camera(make_person(1)[0])
    small = camera.for_size((160, 120), "small.mp4")
    np.testing.assert_allclose(small.project(point), camera.project(point) / 2)
    assert camera.for_size((319, 239), "one less").matrix is camera.matrix
    wide = camera.for_size((322, 240), "wide.mp4")  # bars of a pixel on both sides
    np.testing.assert_allclose(wide.project(point), camera.project(point) + np.array([1, 0]))
    with pytest.raises(PoseMambaError, match=r"cut\.mp4: its pictures are 240x320 pixels.*calibrated for 320x240"):
        camera.for_size((240, 320), "cut.mp4")
