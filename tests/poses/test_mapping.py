"""Named skeletons and their conversion to Human3.6M's joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.paths import SHARED
from posemamba.poses import Keypoints2D
from posemamba.poses.mapping import to_h36m17, to_skeleton
from posemamba.poses.skeletons import (
    BLAZEPOSE33,
    BODY25,
    COCO17,
    H36M17,
    HALPE26,
    SKELETONS,
    Skeleton,
    get_skeleton,
)
from posemamba.utils.errors import PoseMambaError

DETECTORS = pytest.mark.parametrize("skeleton", [COCO17, BLAZEPOSE33], ids=lambda s: s.name)
DIRECT = [n for n in H36M17.joints if n.split("_")[-1] in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")]


def keypoints(xy: NDArray, skeleton: Skeleton, confidence: NDArray | None = None) -> Keypoints2D:
    if confidence is None:
        confidence = np.isfinite(xy).all(-1).astype(np.float32)
    return Keypoints2D(xy, confidence, skeleton, (1000, 800), 30.0)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_skeletons_are_consistent(skeleton: Skeleton) -> None:
    assert len(set(skeleton.joints)) == len(skeleton.parents) == len(skeleton)
    assert all(p < j for j, p in enumerate(skeleton.parents) if skeleton is H36M17)
    for joint in range(len(skeleton)):  # every joint hangs on the one root
        seen = set()
        while (parent := skeleton.parents[joint]) >= 0:
            assert joint not in seen
            seen.add(joint)
            joint = parent
        assert joint == skeleton.parents.index(-1)
    for left, right in skeleton.pairs:
        assert skeleton.joints[left].replace("left", "right") == skeleton.joints[right]
    assert len(skeleton.pairs) == sum(name.startswith("left") for name in skeleton.joints)


def test_get_skeleton_forgives_spelling_and_names_what_it_knows() -> None:
    assert get_skeleton("COCO-17") is COCO17
    assert get_skeleton("blazepose_33") is BLAZEPOSE33
    with pytest.raises(PoseMambaError, match=r"'body99'.*h36m17, coco17, blazepose33"):
        get_skeleton("body99")


@DETECTORS
def test_conversion_copies_mirrors_and_carries_what_is_missing(skeleton: Skeleton) -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 800, (20, len(skeleton), 2))
    xy[rng.random(xy.shape[:2]) < 0.15] = np.nan
    xy[0] = np.nan
    confidence = np.where(np.isfinite(xy).all(-1), rng.uniform(0.1, 1, xy.shape[:2]), 0)
    source = keypoints(xy, skeleton, confidence)
    result = to_h36m17(source)
    assert result.skeleton is H36M17 and result.image_size == source.image_size
    assert not result.seen[0]
    np.testing.assert_array_equal(result.confidence == 0, ~result.found)

    for name in DIRECT:
        i, j = H36M17.joints.index(name), skeleton.joints.index(name)
        np.testing.assert_array_equal(result.xy[:, i], source.xy[:, j])
        np.testing.assert_array_equal(result.confidence[:, i], source.confidence[:, j])

    def found(*names: str) -> NDArray[np.bool_]:
        return source.found[:, [skeleton.joints.index(n) for n in names]].all(-1)

    trunk = found("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    ears = found("left_ear") | found("right_ear")
    for name, expected in {
        "pelvis": found("left_hip", "right_hip"),
        "spine": trunk,
        "thorax": trunk,
        "nose": trunk & ears,
        "head_top": trunk & ears,
    }.items():
        np.testing.assert_array_equal(result.found[:, H36M17.joints.index(name)], expected, err_msg=name)

    mirror = np.array([-1.0, 1.0])
    order = list(skeleton.mirrored)
    mirrored = to_h36m17(keypoints((xy * mirror)[:, order], skeleton, confidence[:, order]))
    h36m = list(H36M17.mirrored)
    np.testing.assert_allclose(mirrored.xy, (result.xy * mirror)[:, h36m], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(mirrored.confidence, result.confidence[:, h36m], rtol=1e-6)


def test_human36m_passes_through_and_unknown_skeletons_are_refused() -> None:
    same = keypoints(np.zeros((1, 17, 2)), H36M17)
    assert to_h36m17(same) is same
    other = Skeleton("triangle", ("a", "b", "c"), (-1, 0, 1), ())
    with pytest.raises(PoseMambaError, match=r"triangle.*lacks left_ankle"):
        to_h36m17(keypoints(np.zeros((1, 3, 2)), other))


def unit(v: NDArray) -> NDArray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


@pytest.mark.parametrize("clips", ["cmu_amc", "cmu_dance_bvh", "cmu_eval_expmap"])
def test_derived_joints_lie_where_motion_capture_has_them(clips: str) -> None:
    """Real bodies with a face put on them (in metres, from head dimensions), seen without perspective."""
    path = SHARED / "mocap" / f"{clips}.npz"
    if not path.exists():
        pytest.skip("no motion capture: set POSEMAMBA_SHARED to the folder that holds mocap/")
    with np.load(path, allow_pickle=False) as file:
        body = file["positions"][::40].astype(np.float64)
    joint = {name: body[:, i] for i, name in enumerate(H36M17.joints)}
    up = unit(joint["head_top"] - joint["nose"])
    left = joint["left_shoulder"] - joint["right_shoulder"]
    left = unit(left - (left * up).sum(-1, keepdims=True) * up)
    forward = np.cross(left, up)

    def face(f: float, u: float, side: float) -> NDArray:
        return joint["head_top"] + f * forward + (u - 0.085) * up + side * left

    joint |= {
        "left_ear": face(0, 0, 0.07),
        "right_ear": face(0, 0, -0.07),
        "left_eye": face(0.085, 0.015, 0.032),
        "right_eye": face(0.085, 0.015, -0.032),
    }
    tip_of_nose = face(0.105, -0.025, 0)
    world = np.stack([tip_of_nose if n == "nose" else joint[n] for n in COCO17.joints], axis=1)

    azimuth = np.random.default_rng(0).uniform(0, 2 * np.pi, len(world))
    right = np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], -1)

    def project(xyz: NDArray) -> NDArray:
        return np.stack([np.einsum("fjc,fc->fj", xyz, right), -xyz[..., 2]], -1)

    result = to_h36m17(keypoints(project(world), COCO17))
    error = np.linalg.norm(result.xy - project(body), axis=-1)
    centimetres = {n: 100 * np.median(error[:, i]) for i, n in enumerate(H36M17.joints)}
    for name in DIRECT:
        assert centimetres[name] < 1e-4
    assert centimetres["pelvis"] < 0.2
    for name, limit in {"spine": 2.5, "thorax": 2.5, "nose": 1.5, "head_top": 2}.items():
        assert centimetres[name] < limit, centimetres
    assert np.percentile(error, 95, axis=0).max() < 0.06


def test_feet_of_all_skeletons_that_have_them() -> None:
    rng = np.random.default_rng(1)
    for skeleton, toe in ((BLAZEPOSE33, "toe"), (HALPE26, "big_toe"), (BODY25, "big_toe")):
        xy = rng.uniform(0, 800, (6, len(skeleton), 2))
        lost = skeleton.joints.index(f"right_{toe}")
        xy[2, lost] = np.nan
        source = keypoints(xy, skeleton, rng.uniform(0.1, 1, xy.shape[:2]))
        feet = to_h36m17(source).feet
        assert feet is not None
        for i, name in enumerate(("right_heel", f"right_{toe}", "left_heel", f"left_{toe}")):
            j = skeleton.joints.index(name)
            np.testing.assert_array_equal(feet.xy[:, i], source.xy[:, j])
            expected = np.where(np.isfinite(xy[:, j, 0]), source.confidence[:, j], 0)
            np.testing.assert_array_equal(feet.confidence[:, i], expected)
        assert feet.found[:, 1].tolist() == [True, True, False, True, True, True]
    coco = keypoints(rng.uniform(0, 800, (2, 17, 2)), COCO17)
    assert to_h36m17(coco).feet is None


def test_feet_beside_the_joints_become_joints_again() -> None:
    source = keypoints(np.random.default_rng(2).uniform(0, 800, (4, 33, 2)), BLAZEPOSE33)
    body = to_h36m17(source)
    assert to_h36m17(body) is body  # and keeps its feet
    for target, toe in ((BLAZEPOSE33, "toe"), (HALPE26, "big_toe"), (BODY25, "big_toe")):
        for given in (body, source):
            back = to_skeleton(given, target)
            assert back.feet is None
            for ours, theirs in (("left_heel", "left_heel"), (f"right_{toe}", "right_toe")):
                np.testing.assert_array_equal(
                    back.xy[:, target.joints.index(ours)], source.xy[:, BLAZEPOSE33.joints.index(theirs)]
                )
    assert np.isnan(to_skeleton(body, HALPE26).xy[:, HALPE26.joints.index("left_small_toe")]).all()
    kept = to_skeleton(source, COCO17)
    assert kept.feet is not None and kept.feet.found.all()


def test_frames_are_chosen_with_their_feet() -> None:
    body = to_h36m17(keypoints(np.random.default_rng(3).uniform(0, 800, (5, 33, 2)), BLAZEPOSE33))
    part = body.select(np.array([False, True, False, True, False]))
    assert part.feet is not None and body.feet is not None
    np.testing.assert_array_equal(part.feet.xy, body.feet.xy[[1, 3]])
    np.testing.assert_array_equal(part.xy, body.xy[[1, 3]])
    assert part.frame_times().tolist() == pytest.approx([1 / 30, 3 / 30])
    with pytest.raises(ValueError, match="feet of 2 frames beside joints of 5"):
        replace(body, feet=part.feet)
