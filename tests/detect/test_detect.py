"""Finding people with any detector, and saying so when there is nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.detect import Detection, detect_people, detect_video
from posemamba.io.video.writer import VideoWriter
from posemamba.poses.keypoints import choose_people
from posemamba.poses.skeletons import COCO17, Skeleton
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="videos need the extra 'video'")


def write_grey(path: Path, frames: int = 4) -> Path:
    with VideoWriter(path, 25) as writer:
        for _ in range(frames):
            writer.write(np.full((90, 160, 3), 128, np.uint8))
    return path


class Script:
    """A detector that says what it was told to say: for each frame everybody's joints."""

    skeleton: Skeleton = COCO17

    def __init__(self, *answers: list[NDArray]) -> None:
        self.answers = list(answers)

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        assert rgb.shape == (90, 160, 3)
        return [Detection(xy, np.full(17, 1.2, np.float32)) for xy in self.answers.pop(0)]

    def close(self) -> None:
        raise AssertionError("not ours to close")


@pytest.mark.slow
def test_nobody_in_the_video(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="the networks need the extra 'video'")
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
    result = detect_video(path, detector=Script([here], [], [partly], [here]))
    assert result.skeleton is COCO17 and result.fps == 25 and result.image_size == (160, 90)
    np.testing.assert_allclose(result.xy[0], here, rtol=1e-6)
    assert result.found[1, 0] and not result.confidence[1].any()  # bridged
    assert np.flatnonzero(~result.found[2]).tolist() == [4, 5]
    np.testing.assert_array_equal(result.confidence[[0, 2, 3]], result.found[[0, 2, 3]])  # clipped to 1


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
    for which, message in (("7", "there are 1 .* 3 "), ("me", "expected longest, largest"), ("0", "a number from 1")):
        with pytest.raises(PoseMambaError, match=message):
            choose_people(people, which)


class Following(Script):
    """A detector that follows people itself, and doubts one of them."""

    begun = 0.0
    doubtful = frozenset({7})

    def begin(self, fps: float) -> None:
        self.begun = fps

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        return [
            Detection(xy, np.ones(17, np.float32), name) for xy, name in zip(self.answers.pop(0), (7, 3), strict=True)
        ]


def test_things_that_a_detector_doubts_are_left_out(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "grey.mp4")
    thing, person = np.linspace([5, 5], [20, 60], 17), np.linspace([90, 20], [110, 60], 17)
    detector = Following(*[[thing, person]] * 4)
    (found,) = detect_people(path, detector=detector)
    assert detector.begun == 25 and found.person == 1
    np.testing.assert_allclose(found.xy[0], person, rtol=1e-6)


def test_of_people_seen_as_long_the_largest_comes_first(tmp_path: Path) -> None:
    path = write_grey(tmp_path / "grey.mp4", frames=20)
    small, large = np.linspace([90, 20], [100, 40], 17), np.linspace([20, 5], [50, 80], 17)
    frames = [[small, large] if i != 9 else [small] for i in range(20)]
    first, second = detect_people(path, detector=Script(*frames))
    assert (first.person, second.person) == (1, 2)
    np.testing.assert_allclose(first.xy[0], large, rtol=1e-6)
    np.testing.assert_allclose(second.xy[0], small, rtol=1e-6)


def test_a_crowd_is_cut_to_those_seen_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All frames of everybody are in memory: in a crowd, and sooner in a long clip, those seen least are left out."""
    path = write_grey(tmp_path / "grey.mp4")
    body = np.linspace([0, 0], [1, 2], 17)
    crowd = [body + np.array([5 * (i % 15), 7 * (i // 15)]) for i in range(105)]
    frames = [crowd, crowd, crowd[5:], crowd[5:]]
    with pytest.warns(UserWarning, match=r"grey\.mp4: 105 people.* kept: the 100 seen in most frames.*4 frames"):
        people = detect_people(path, detector=Script(*frames))
    assert [p.person for p in people] == list(range(1, 101)) and all(p.seen.all() for p in people)
    monkeypatch.setattr("posemamba.detect._MOST_VALUES", 3 * 4 * 17 * 20)
    with pytest.warns(UserWarning, match="kept: the 20"):
        assert len(detect_people(path, detector=Script(*frames))) == 20
