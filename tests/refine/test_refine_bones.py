"""Steady bones, against a person made by formula whose bones do not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refine_scene import make_scene

from posemamba.poses import Poses3D
from posemamba.refine.bones import steady_bones
from posemamba.refine.common import bone_lengths
from posemamba.refine.metres import to_metres
from posemamba.refine.refinement import RefineOptions, refine
from posemamba.refine.root_path import root_path
from posemamba.refine.scale import BODY_LENGTH, scale
from posemamba.refine.upright import upright
from posemamba.utils.errors import PoseMambaError

UNSEEN = slice(70, 75)


def swelling(xyz: np.ndarray) -> np.ndarray:
    """The same directions, every bone longer and shorter by up to 20 % in its own time; a tenth of the frames wild."""
    random = np.random.default_rng(2)
    frames, parents = np.arange(len(xyz)), make_scene(1).poses.skeleton.parents
    wild = np.where(random.uniform(size=len(xyz)) < 0.1, 1.6, 1.0)
    grown = xyz.copy()
    for child in range(1, 17):
        factor = (1 + 0.2 * np.sin(frames * random.uniform(0.05, 0.3) + child)) * wild
        grown[:, child] = grown[:, parents[child]] + (xyz[:, child] - xyz[:, parents[child]]) * factor[:, None]
    return grown


@pytest.mark.parametrize("units", ["metre", "pixel"])
def test_bones_get_the_lengths_that_they_have(units: str) -> None:
    scene = make_scene(200, distance=4.0)
    seen = np.ones(200, bool)
    seen[UNSEEN] = False
    plain = Poses3D.raw(replace(scene.poses, seen=seen))
    if units == "metre":
        plain = root_path(scale(plain, scene.body_length / BODY_LENGTH))
    motion = replace(plain, xyz=swelling(plain.xyz).astype(np.float32))
    steady = steady_bones(motion)
    assert np.isnan(steady.xyz[UNSEEN]).all() and np.isfinite(steady.xyz[seen]).all()
    np.testing.assert_array_equal(steady.xyz[seen, 0], motion.xyz[seen, 0])
    before, after = bone_lengths(motion.xyz[seen].astype(float)), bone_lengths(steady.xyz[seen].astype(float))
    size = after.sum(1) if units == "pixel" else np.ones(len(after))
    assert (before.std(0) / before.mean(0)).min() > 0.1
    np.testing.assert_allclose(
        after / size[:, None], np.broadcast_to((after / size[:, None])[0], after.shape), rtol=1e-4
    )
    if units == "metre":
        true = bone_lengths(scene.camera_xyz).mean(0)
        np.testing.assert_allclose(after[0], true, rtol=0.08)  # from bones that are off by up to 20 %, and more
        np.testing.assert_allclose(after[0, [0, 1, 2]], after[0, [3, 4, 5]], rtol=1e-4)  # left and right alike
    for parent, child in scene.poses.skeleton.bones:
        a, b = (m.xyz[seen, child] - m.xyz[seen, parent] for m in (motion, steady))
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        assert cosine.min() > 0.9999
    report = steady.steps[-1].report
    assert report["bones_varied_by_percent"] == pytest.approx(100 * (before.std(0) / before.mean(0)).mean(), rel=1e-3)


def test_steady_bones_are_asked_for_and_come_before_the_world() -> None:
    scene = make_scene(40)
    motion = refine(to_metres(scene.poses), RefineOptions(steady_bones=True, camera_pitch=5))
    assert [step.name for step in motion.steps] == ["scale", "root_path", "steady_bones", "upright"]
    lengths = bone_lengths(motion.xyz.astype(float))
    assert (lengths.std(0) / lengths.mean(0)).max() < 1e-5
    with pytest.raises(PoseMambaError, match="before turning upright"):
        steady_bones(upright(scale(Poses3D.raw(scene.poses), 1.7), 5.0))
