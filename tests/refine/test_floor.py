"""People put on the floor: upright whatever the camera's tilt, feet at 0 although distances drift, jumps as high."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refine_scene import make_scene

from posemamba.poses import Poses3D
from posemamba.poses.skeletons import H36M17
from posemamba.refine.floor import stand
from posemamba.refine.scale import ANKLE_HEIGHT, TYPICAL_HEIGHT
from posemamba.utils.errors import PoseMambaError

ANKLES = [3, 6]


def _seen(pitch: float, roll: float = 0.0, *, drift: float = 0.0, jump: float = 0.0, sideways: float = 0.0) -> Poses3D:
    """A walk of four seconds in a tilted camera's axes, whose distance is wrong by more and more (metres)."""
    scene = make_scene(200, pitch=pitch, roll=roll)
    world = scene.world.copy()
    t = np.arange(200) / 50
    world[..., 2] += (jump * np.clip(1 - ((t - 2) / 0.25) ** 2, 0, None))[:, None]
    world[..., 0] += sideways
    camera = (world - [0, 0, 1.4]) @ np.linalg.lstsq(scene.world[0] - [0, 0, 1.4], scene.camera_xyz[0], rcond=None)[0]
    ray = camera[:, :1] / np.linalg.norm(camera[:, :1], axis=-1, keepdims=True)
    camera += ray * np.linspace(0, drift, 200)[:, None, None]
    return Poses3D(camera.astype(np.float32), scene.poses.seen, "metre", "camera", True, scene.poses)


def _soles(motion: Poses3D) -> np.ndarray:
    """(F,) heights of the lower sole; ankles of the walker stand as high as those of a typical body."""
    return motion.xyz[:, ANKLES, 2].min(1) - ANKLE_HEIGHT * TYPICAL_HEIGHT


@pytest.mark.parametrize(("pitch", "roll"), [(-8.0, 0.0), (0.0, 3.0), (20.0, 0.0), (40.0, 0.0), (20.0, 30.0)])
def test_upright_on_the_floor_whatever_the_tilt(pitch: float, roll: float) -> None:
    before = _seen(pitch, roll, drift=0.5)
    (after,) = stand([before])
    assert after.frame == "world" and (step := after.steps[-1]).name == "floor" and step.estimate
    assert step.report["pitch_deg"] == pytest.approx(pitch, abs=6)
    assert (np.abs(_soles(after)) < 0.02).mean() > (0.9 if abs(roll) < 10 else 0.7)
    up = (after.xyz[:, 8] - after.xyz[:, ANKLES].mean(1)).mean(0)
    # of a roll, ten degrees may be how somebody stands
    assert np.degrees(np.arctan2(np.linalg.norm(up[:2]), up[2])) < 6 + min(abs(roll), 10)
    np.testing.assert_allclose(after.xyz[:25, 0, :2].mean(0), 0, atol=0.15)
    for parent, child in H36M17.bones:
        lengths = [np.linalg.norm(m.xyz[:, child] - m.xyz[:, parent], axis=-1) for m in (before, after)]
        np.testing.assert_allclose(*lengths, atol=1e-5)


def test_a_jump_is_as_high_as_it_was() -> None:
    (after,) = stand([_seen(15.0, drift=0.4, jump=0.45)])
    soles = _soles(after)
    away = np.abs(np.arange(200) / 50 - 2) > 0.4
    assert soles.max() == pytest.approx(0.45, abs=0.1) and np.abs(soles[away]).max() < 0.06


def test_several_people_keep_their_distances_and_turn_alike() -> None:
    one, two = _seen(20.0), _seen(20.0, sideways=1.5)
    together = stand([one, two])
    apart = together[1].xyz[..., :2] - together[0].xyz[..., :2]
    np.testing.assert_allclose(apart, np.broadcast_to([1.5, 0], apart.shape), atol=0.02)
    assert len({motion.steps[-1].report["pitch_deg"] for motion in together}) == 1


def test_somebody_who_never_stands_lies_on_the_floor() -> None:
    """On the back, feet and head alike on the floor; the camera's up is taken, and the step says so."""
    standing = _seen(0.0)
    lying = standing.xyz - standing.xyz[:, :1]
    bent = lying.copy()  # knees at the chest
    bent[:, [2, 5]] = lying[:, [1, 4]] + [0, -0.1, -0.4]
    bent[:, [3, 6]] = bent[:, [2, 5]] + [0, -0.1, 0.35]
    (after,) = stand([replace(standing, xyz=(bent + np.array([0, 1, 4])).astype(np.float32))])
    assert "nobody stands" in str(after.steps[-1].report["pitch_from"])
    assert np.abs(after.xyz[..., 2].min(1)).max() < 0.1


def test_gaps_single_frames_and_nobody() -> None:
    motion = _seen(10.0)
    seen = np.zeros(200, bool)
    seen[[30, 31, 120]] = True
    xyz = np.where(seen[:, None, None], motion.xyz, np.nan)
    xyz[31, 4] = np.nan  # one joint of a frame that was seen
    (after,) = stand([replace(motion, xyz=xyz, seen=seen)])
    assert np.isfinite(after.xyz[[30, 120]]).all() and np.isnan(after.xyz[~seen]).all()
    assert np.isfinite(np.delete(after.xyz[31], 4, 0)).all()
    with pytest.raises(PoseMambaError, match="nobody was seen"):
        stand([replace(motion, seen=np.zeros(200, bool))])
