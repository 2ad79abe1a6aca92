"""Finding a person in a real video, and saying so when there is none."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.paths import SHARED
from posemamba.detect import Detection, detect_people, detect_video
from posemamba.io.video.clip import Clip
from posemamba.io.video.writer import VideoWriter
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import choose_people, find_jumps
from posemamba.poses.mapping import to_h36m17
from posemamba.poses.skeletons import BLAZEPOSE33, COCO17, Skeleton
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="videos need the extra 'video'")

VIDEO = SHARED / "video" / "sports2d_demo.mp4"
needs_video = pytest.mark.skipif(
    not VIDEO.exists(), reason="no test video: set POSEMAMBA_SHARED to the folder that holds video/"
)


def write_grey(path: Path, frames: int = 4) -> Path:
    with VideoWriter(path, 25) as writer:
        for _ in range(frames):
            writer.write(np.full((90, 160, 3), 128, np.uint8))
    return path


class Script:
    """A detector that says what it was told to say: for each frame everybody's joints."""

    skeleton: Skeleton = COCO17

    def __init__(self, *answers: list[NDArray], single: bool = False) -> None:
        self.answers, self.single = list(answers), single

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        assert rgb.shape == (90, 160, 3)
        return [Detection(xy, np.full(17, 1.2, np.float32)) for xy in self.answers.pop(0)]

    def close(self) -> None:
        raise AssertionError("not ours to close")


@pytest.mark.slow
@needs_video
def test_real_video_in_a_fresh_process_without_chatter() -> None:
    """Everything in its place on a frame where the person stands upright, and nothing on stderr."""
    pytest.importorskip("mediapipe")
    code = (
        "import sys, numpy as np, warnings; warnings.simplefilter('ignore', UserWarning)\n"
        "from posemamba.detect import detect_video\n"
        "k = detect_video(sys.argv[1], progress=lambda done, total: print(done, total))\n"
        "np.savez(sys.argv[2], xy=k.xy, confidence=k.confidence, times=k.times, size=k.image_size)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "k.npz"
        done = subprocess.run([sys.executable, "-c", code, VIDEO, out], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert done.stdout.splitlines()[-1] == "230 230"
        with np.load(out) as file:
            keypoints = Keypoints2D(
                file["xy"], file["confidence"], BLAZEPOSE33, tuple(file["size"].tolist()), 30.0, file["times"]
            )
    assert len(keypoints) == 230 and keypoints.image_size == (1768, 994)
    assert keypoints.seen.mean() > 0.9
    assert keypoints.times is not None and keypoints.times[-1] == pytest.approx(229 / 30)
    np.testing.assert_array_equal(keypoints.confidence > 0, keypoints.found)
    body = to_h36m17(keypoints)
    standing = {n: body.xy[60, i] for i, n in enumerate(body.skeleton.joints)}
    head, pelvis, ankle = (standing[n][1] for n in ("head_top", "pelvis", "left_ankle"))
    assert 0 < head < pelvis < ankle < 994
    assert standing["left_shoulder"][0] > standing["right_shoulder"][0]  # he faces the camera
    assert 0.35 < (ankle - pelvis) / (ankle - head) < 0.6
    assert len(find_jumps(keypoints)) == 2  # to the woman in front of him, and back


@pytest.mark.slow
@needs_video
def test_looking_afresh_does_not_mix_people() -> None:
    """A man on a wall and a woman who walks by: MediaPipe finds now the one and now the other."""
    pytest.importorskip("mediapipe")
    people = detect_people(Clip(VIDEO, 4.5, 7.0), mode="detect")
    assert len(people) > 1 and not len(find_jumps(people[0]))
    assert abs(np.nanmedian(people[0].xy[..., 0]) - np.nanmedian(people[1].xy[..., 0])) > 200
    assert people[0].frame_times()[0] == pytest.approx(4.5)


def test_nobody_in_the_video(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    path = write_grey(tmp_path / "grey.mp4")
    for mode in ("track", "detect"):
        with pytest.raises(PoseMambaError, match=r"grey\.mp4: nobody was found in any of its 4 frames"):
            detect_video(path, mode=mode)  # type: ignore[arg-type]
    with pytest.raises(PoseMambaError, match=r"'follow'.*track, detect"):
        detect_video(path, mode="follow")  # type: ignore[arg-type]


def test_any_detector_fits_and_far_joints_are_dropped(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "grey.mp4")
    here = np.linspace([50, 20], [70, 80], 17)
    partly = here.copy()
    partly[3] = [-15, 40]  # just outside of the image: kept
    partly[4] = [-17, 40]  # farther than a tenth of its width
    partly[5] = np.nan
    with pytest.warns(UserWarning, match=r"grey\.mp4: .*jumps.* at 0\.12 s"):
        result = detect_video(path, detector=Script([here], [], [partly], [here + np.array([80, 0])], single=True))
    assert result.skeleton is COCO17 and result.fps == 25 and result.image_size == (160, 90)
    np.testing.assert_allclose(result.xy[0], here, rtol=1e-6)
    assert not result.found[1].any()
    assert np.flatnonzero(~result.found[2]).tolist() == [4, 5]
    np.testing.assert_array_equal(result.confidence, result.found)  # clipped to 1


def test_missing_mediapipe_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.pose", None)
    with pytest.raises(PoseMambaError, match=r"mediapipe.*(pip install|3\.10 to 3\.12)") as error:
        detect_video(write_grey(tmp_path / "grey.mp4"))
    assert "\n" not in str(error.value)


def test_several_people_keep_their_numbers(tmp_path: Path) -> None:
    """Two who cross, named in changing order; a gap is bridged and marked, a longer absence is not."""
    path = write_grey(tmp_path / "grey.mp4", frames=50)
    body = np.linspace([0, 0], [6, 40], 17)
    left, right = ([body + np.array([x, y]) for x in xs] for xs, y in ((range(20, 70), 10), (range(100, 0, -2), 12)))
    large = [np.linspace([120, 5], [150, 85], 17)] * 30
    frames = [[b, a] if i % 3 else [a, b] for i, (a, b) in enumerate(zip(left, right, strict=True))]
    for i in (10, 11, 12):
        frames[i] = [right[i]]
    for i in range(20, 40):
        frames[i] = [left[i]]
    for i in range(30):
        frames[i].append(large[i])
    frames[5].append(body + np.array([130, 30]))  # for one frame only: not a person
    people = detect_people(path, detector=Script(*frames))
    assert [p.person for p in people] == [1, 2, 3]
    assert [int((p.confidence > 0).any(1).sum()) for p in people] == [47, 30, 30]
    for person, truth in ((people[0], left), (choose_people(people, "largest")[0], large + [body * np.nan] * 20)):
        np.testing.assert_allclose(person.xy, np.stack(truth), atol=1e-4)
    assert people[0].seen.all() and np.flatnonzero((people[0].confidence == 0).all(1)).tolist() == [10, 11, 12]
    other = next(p for p in people[1:] if p is not choose_people(people, "largest")[0])
    assert not other.seen[20:40].any() and other.seen[40:].all()
    assert choose_people(people, "longest") == [people[0]] and choose_people(people, "all") == people
    assert choose_people(people, "3") == [people[2]]
    for which, message in (("7", "persons 1 to 3"), ("me", "longest, largest, all or a number"), ("0", "persons 1 to")):
        with pytest.raises(PoseMambaError, match=message):
            choose_people(people, which)
