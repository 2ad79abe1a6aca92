"""poses.npz: what is written is read again, and files of earlier versions become metres."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba import cli
from posemamba.demo.camera import look_at, project
from posemamba.demo.walker import walk
from posemamba.io.motion.npz import load_poses_npz, save_poses_npz
from posemamba.poses import Keypoints2D, NetworkPoses
from posemamba.poses.skeletons import H36M17
from posemamba.poses.virtual_camera import Lens, VirtualCamera, focal_length, look_at_joints
from posemamba.refine.metres import to_metres
from posemamba.refine.refinement import RefineOptions, refine
from posemamba.utils.errors import PoseMambaError

SIZE = (1280, 720)


def network(turned: bool = False) -> NetworkPoses:
    """A perfect network's output for a walker; with `turned` in the picture of a camera that looks at them."""
    focal = focal_length(SIZE)
    xy, points = project(walk(40, 25), look_at((4, -4, 1.5), (0, 0, 0.6)), SIZE, focal)
    keypoints = Keypoints2D(xy, np.full((40, 17), 0.9), H36M17, SIZE, 25, source="walk.mp4", person=3)
    camera = VirtualCamera.unturned(SIZE, Lens(focal, "file"))
    if turned:
        camera = replace(camera, rotation=look_at_joints(xy, focal, camera.centre).rotation)
    seen_xy, z = camera.see(xy), camera.turn(points)[..., 2]
    depth = focal * (z / z[:, :1] - 1)
    xyz = np.concatenate([seen_xy - seen_xy[:, :1], depth[..., None]], -1).astype(np.float32)
    seen = np.ones(40, bool)
    return NetworkPoses(xyz, keypoints.confidence, seen, keypoints, "tiny", {"window": 27}, camera=camera, roll_deg=4)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    poses = refine(to_metres(network(True), 1.8), RefineOptions(smooth="default", camera_pitch=10))
    save_poses_npz(tmp_path / "poses.npz", poses)
    again = load_poses_npz(tmp_path / "poses.npz")
    for name in ("xyz", "seen", "confidence"):
        np.testing.assert_array_equal(getattr(again, name), getattr(poses, name))
    np.testing.assert_array_equal(again.network.xyz, poses.network.xyz)
    np.testing.assert_array_equal(again.network.camera.rotation, poses.network.camera.rotation)
    ours, theirs = again.network.camera, poses.network.camera
    assert (ours.focal, ours.lens, tuple(ours.centre)) == (theirs.focal, "file", (640, 360))
    assert again.steps == poses.steps and again.network.roll_deg == 4 and again.person == 3
    assert (again.units, again.frame, again.absolute, again.model) == ("metre", "world", True, "tiny")
    # the network's output, kept beside the result, makes the same metres again
    np.testing.assert_array_equal(to_metres(again.network, 1.8).xyz, to_metres(network(True), 1.8).xyz)


def earlier(path: Path, kind: str) -> None:
    """Write a file as the versions before wrote it: the network's poses alone, or a motion refined from them."""
    made = network()
    keypoints = made.keypoints
    header: dict[str, Any] = {
        "format": f"posemamba-{'poses' if kind == 'poses' else 'motion'}-1",
        "fps": 25.0,
        "image_size": list(SIZE),
        "source": "walk.mp4",
        "person": 3,
        "model": "old",
        "details": {},
    }
    arrays = {"confidence": made.confidence, "seen": made.seen, "keypoints_xy": keypoints.xy}
    arrays["times"] = keypoints.frame_times()
    if kind == "poses":
        arrays["xyz"] = made.xyz
    else:
        motion = to_metres(made, 1.9)
        steps = [asdict(step) for step in motion.steps]
        arrays |= {"poses_xyz": made.xyz, "poses_seen": made.seen, "xyz": motion.xyz}
        header |= {"units": "metre", "frame": "camera", "absolute": True, "steps": steps}
        if kind == "pixels":
            arrays["xyz"] = made.xyz
            header |= {"units": "pixel", "absolute": False, "steps": []}
    np.savez(path, header=np.array(json.dumps(header)), **arrays)


@pytest.mark.parametrize("kind", ["poses", "pixels", "metres"])
def test_files_of_earlier_versions_become_metres(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / ("poses.npz" if kind == "poses" else "motion.npz")
    earlier(file, kind)
    poses = load_poses_npz(file)
    assert (poses.units, poses.frame, poses.absolute, poses.person) == ("metre", "camera", True, 3)
    assert poses.details["converted_from"] == f"posemamba-{'poses' if kind == 'poses' else 'motion'}-1"
    want = to_metres(network(), 1.9 if kind == "metres" else None)
    np.testing.assert_allclose(poses.xyz, want.xyz, atol=1e-5)
    assert [step.estimate for step in poses.steps] == ([False, False] if kind == "metres" else [True, True])
    assert cli.main(["quality", str(file)]) == 0
    assert "person 3: good" in capsys.readouterr().out
    assert cli.main(["convert", str(file), str(tmp_path / "a.bvh")]) == 0
    if kind == "poses":  # a height makes them as large as that
        assert cli.main(["convert", str(file), str(tmp_path / "a.csv"), "--height", "1.9"]) == 0
        tall = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True, encoding="utf-8")["pelvis_z_m"]
        np.testing.assert_allclose(tall, poses.xyz[:, 0, 2] * 1.9 / 1.7, rtol=1e-3)


def test_foreign_files_are_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "future.npz", header=np.array(json.dumps({"format": "posemamba-poses-3"})))
    with pytest.raises(PoseMambaError, match="posemamba-poses-3', expected posemamba-poses-2"):
        load_poses_npz(tmp_path / "future.npz")
    (tmp_path / "other.npz").write_bytes(b"PK nothing")
    with pytest.raises(PoseMambaError, match=r"not a poses\.npz of"):
        load_poses_npz(tmp_path / "other.npz")


@pytest.mark.parametrize("name", ["xyz", "network_xyz"])
def test_a_body_without_a_size_is_refused(tmp_path: Path, name: str) -> None:
    save_poses_npz(tmp_path / "poses.npz", to_metres(network()))
    with np.load(tmp_path / "poses.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "odd.npz", **arrays | {name: arrays[name][:, :1].repeat(17, 1)})
    with pytest.raises(PoseMambaError, match=r"odd.npz: .*joints of legs, trunk and head lie in one place"):
        load_poses_npz(tmp_path / "odd.npz")


@pytest.mark.parametrize("name", ["keypoints_xy", "xyz", "times", "confidence"])
def test_numbers_that_overflow_are_refused_without_a_warning(tmp_path: Path, name: str) -> None:
    save_poses_npz(tmp_path / "poses.npz", to_metres(network()))
    with np.load(tmp_path / "poses.npz") as file:
        arrays = dict(file)
    arrays[name] = arrays[name].astype(np.float64)
    arrays[name].flat[5] = 1e300
    np.savez(tmp_path / "odd.npz", **arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PoseMambaError, match=f"odd.npz: '{name}' holds numbers too large for float32"):
            load_poses_npz(tmp_path / "odd.npz")
