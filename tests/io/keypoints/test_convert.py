"""Any keypoint file into any other and back."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from posemamba.io.keypoints import read_people, write_keypoints_npz
from posemamba.io.keypoints.convert import TARGETS, convert_keypoints
from posemamba.poses import Keypoints2D
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import BLAZEPOSE33, COCO17, H36M17, HALPE26, Skeleton, get_skeleton
from posemamba.utils.errors import PoseMambaError

FRAMES = 9


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore", UserWarning)


def two(skeleton: Skeleton) -> list[Keypoints2D]:
    """Two people, the second seen in fewer frames, single joints missing."""
    rng = np.random.default_rng(0)
    found = []
    for person in (1, 2):
        shape = np.stack([rng.uniform(-60, 60, len(skeleton)), rng.uniform(100, 500, len(skeleton))], -1)
        xy = shape + [400 * person, 0] + np.stack([5.0 * np.arange(FRAMES), np.zeros(FRAMES)], -1)[:, None]
        confidence = rng.uniform(0.2, 1, xy.shape[:2])
        xy[4, 3] = np.nan
        if person == 2:
            xy[[2, 3, FRAMES - 1]] = np.nan
        confidence[~np.isfinite(xy).all(-1)] = 0
        found.append(Keypoints2D(xy, confidence, skeleton, (1280, 720), 25, None, "clip.mp4", person))
    return found


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("skeleton", [COCO17, HALPE26, H36M17, BLAZEPOSE33], ids=lambda s: s.name)
def test_there_and_back(tmp_path: Path, to: str, skeleton: Skeleton) -> None:
    """What comes back is what was said to be written, and joints that both skeletons have are where they were."""
    people = two(skeleton)
    write_keypoints_npz(tmp_path / "k.npz", people)
    target = tmp_path / "made"
    written = convert_keypoints(tmp_path / "k.npz", target, to=to)
    back = read_people(target, fps=25, image_size=(1280, 720), skeleton=written[0].skeleton.name)
    assert [p.person for p in back] == [1, 2] == [p.person for p in written]
    for before, said, after in zip(people, written, back, strict=True):
        np.testing.assert_allclose(after.xy, said.xy, atol=1e-3)
        np.testing.assert_allclose(after.confidence, said.confidence, atol=1e-4)
        shared = set(before.skeleton.joints) & set(said.skeleton.joints) - {"nose"}
        ours, theirs = ([s.joints.index(n) for n in sorted(shared)] for s in (before.skeleton, said.skeleton))
        np.testing.assert_allclose(said.xy[:, theirs], before.xy[:, ours], atol=1e-3)
    if to == "npz":
        np.testing.assert_array_equal(back[1].xy, people[1].xy)
        assert back[0].source == "clip.mp4"
    if to in ("npz", "csv"):
        assert read_people(target)[0].fps == pytest.approx(25)


def test_into_human36m(tmp_path: Path) -> None:
    people = two(COCO17)
    write_keypoints_npz(tmp_path / "k.npz", people)
    made = convert_keypoints(tmp_path / "k.npz", tmp_path / "k.csv", to_skeleton="h36m17")
    back = read_people(tmp_path / "k.csv", image_size=(1280, 720))
    assert made[0].skeleton is back[0].skeleton is H36M17
    for before, after in zip(people, back, strict=True):
        np.testing.assert_allclose(after.xy, to_h36m17(before).xy, atol=1e-3)
    assert (
        (tmp_path / "k.csv").read_text().startswith("frame,time,person,pelvis_x,pelvis_y,pelvis_confidence,right_hip_x")
    )
    nose = convert_keypoints(tmp_path / "k.csv", tmp_path / "c.json", to_skeleton="coco17", image_size=(1280, 720))[0]
    assert not nose.found[:, 0].any() and nose.found[0, 5:].all()


def test_nothing_half_written(tmp_path: Path) -> None:
    write_keypoints_npz(tmp_path / "k.npz", two(COCO17))
    old = tmp_path / "old.csv"
    old.write_text("precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("precious")
    wrong = [
        ({"dst": tmp_path / "k.xyz"}, r"'\.xyz' names no format.*npz\|csv"),
        ({"dst": tmp_path / "k.json", "to": "bvh"}, "unknown format 'bvh' to write"),
        ({"dst": tmp_path / "full"}, "new or empty folder"),
        ({"dst": tmp_path / "full", "to": "csv"}, "is a directory"),
        ({"dst": old, "to_skeleton": "coco99"}, "unknown skeleton 'coco99'"),
        ({"dst": tmp_path / "full" / "file" / "k.csv"}, "cannot write there"),
    ]
    for options, message in wrong:
        with pytest.raises(PoseMambaError, match=message):
            convert_keypoints(tmp_path / "k.npz", **options)  # type: ignore[arg-type]
    (tmp_path / "bad.npz").write_bytes((tmp_path / "k.npz").read_bytes()[:-100])
    with pytest.raises(PoseMambaError, match="cut short or damaged"):
        convert_keypoints(tmp_path / "bad.npz", old)
    assert old.read_text() == "precious" and not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert get_skeleton("body_25").name == "body25"
