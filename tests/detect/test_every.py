"""Each N-th frame searched alone, and joints in between: where they are, how sure, and after an interruption."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.detect import Detection, Unfinished, detect_people
from posemamba.detect.between import MOST_SECONDS, check_every, fill_between
from posemamba.io.inputs import Input
from posemamba.io.video.writer import VideoWriter
from posemamba.pipeline.reading import Reading
from posemamba.poses.skeletons import COCO17, Skeleton
from posemamba.utils.errors import PoseMambaError

VIDEO = Input(Path("v.mp4"), Path("out"), "video")
BODY = np.linspace([40, 10], [52, 70], 17)


def write(path: Path, frames: int, fps: int = 24) -> Path:
    """Write a video whose frames tell their numbers by their grey."""
    with VideoWriter(path, fps) as writer:
        for i in range(frames):
            writer.write(np.full((90, 160, 3), 8 * i, np.uint8))
    return path


def place(i: float) -> NDArray[np.float64]:
    return BODY + np.array([3.0 * i - 0.04 * i**2, 0.02 * i**2])


class Mover:
    """A detector that follows one person, who moves as `place` says, and can be stopped and go on."""

    skeleton: Skeleton = COCO17

    def __init__(self, missing: tuple[int, ...] = (), stop: int | None = None) -> None:
        self.seen: list[int] = []
        self.missing, self.stop = missing, stop
        self.fps = 0.0
        self.doubtful: set[int] = set()

    def begin(self, fps: float) -> None:
        self.fps = fps

    @property
    def state(self) -> dict[str, Any]:
        return {"seen": list(self.seen)}

    def resume(self, fps: float, state: Mapping[str, Any]) -> None:
        self.fps, self.seen = fps, list(state["seen"])

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        number = round(float(rgb.mean()) / 8)
        if number == self.stop:
            raise KeyboardInterrupt
        self.seen.append(number)
        if number in self.missing:
            return []
        return [Detection(place(number), np.full(17, 0.9), 1)]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("every", [2, 3, 4])
def test_frames_between_lie_on_the_path_and_are_less_sure(tmp_path: Path, every: int) -> None:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    video, detector = write(tmp_path / "v.mp4", 24), Mover()
    (person,) = detect_people(video, detector=detector, every=every)
    searched = [i for i in range(24) if i % every == 0 or i == 23]
    assert detector.seen == searched and detector.fps == pytest.approx(24 / every)
    truth = np.stack([place(i) for i in range(24)])
    assert len(person) == 24 and person.fps == 24
    np.testing.assert_allclose(person.xy[searched], truth[searched], atol=1e-4)
    np.testing.assert_allclose(person.xy, truth, atol=0.09 * every**2 / 8 + 1e-3)  # a chord's height
    between = np.setdiff1d(np.arange(24), searched)
    assert (person.confidence[searched] == np.float32(0.9)).all()
    assert (person.confidence[between] < 0.9).all() and person.seen.all()


def test_nothing_is_made_up_across_longer_absences(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    video = write(tmp_path / "v.mp4", 30)
    (person,) = detect_people(video, detector=Mover(missing=(6, 14, 16, 18, 20)), every=2)
    assert person.seen[:13].all() and not person.confidence[5:8].any()  # one miss is bridged, with confidence 0
    assert not person.seen[13:22].any() and person.seen[22:].all()


def test_an_interrupted_run_goes_on_to_the_same_joints(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    video = write(tmp_path / "v.mp4", 24)
    (whole,) = detect_people(video, detector=Mover(), every=3)
    for stop in (0, 9, 21, 23):
        part = Unfinished(tmp_path / f"{stop}.unfinished", "a")
        with pytest.raises(KeyboardInterrupt):
            detect_people(video, detector=Mover(stop=stop), every=3, unfinished=part)
        part.close()
        detector, part = Mover(), Unfinished(tmp_path / f"{stop}.unfinished", "a")
        (person,) = detect_people(video, detector=detector, every=3, unfinished=part)
        part.close()
        assert detector.seen == [*range(0, 24, 3), 23]  # no frame twice
        np.testing.assert_array_equal(person.xy, whole.xy)
        np.testing.assert_array_equal(person.confidence, whole.confidence)
        np.testing.assert_array_equal(person.times, whole.times)


def test_uneven_times_and_missing_joints() -> None:
    times = np.array([0.0, 0.05, 0.1, 0.15, 0.3, 0.35, 0.4])
    searched = np.array([0, 2, 4, 6])
    xy = np.stack([np.stack([times, times * -2], -1)] * 3, 1)[searched].astype(np.float32)
    xy[2, 1] = np.nan
    filled, sure = fill_between(xy, np.full((4, 3), 0.5, np.float32), searched, times)
    np.testing.assert_allclose(filled[:, 0], np.stack([times, times * -2], -1), atol=1e-6)
    assert np.isnan(filled[3:6, 1]).all() and np.isfinite(filled[:3, 1]).all() and not sure[[3, 5], 1].any()
    one, certain = fill_between(xy[:1], np.ones((1, 3), np.float32), searched[:1], times[:1])
    assert len(one) == len(certain) == 1


def test_too_long_a_step_is_refused(tmp_path: Path) -> None:
    check_every(7, 30)
    with pytest.raises(
        PoseMambaError, match=rf"--every 8 at 30 frames.*{MOST_SECONDS:g} s at the most: give 7 or less"
    ):
        check_every(8, 30)
    check_every(1, 2)
    for every in (0, -1, 1.5):
        with pytest.raises(PoseMambaError, match="--every is"):
            Reading(every=every).check([VIDEO])  # type: ignore[arg-type]
    with pytest.raises(PoseMambaError, match="--every is for videos and pictures"):
        Reading(every=2).check([Input(Path("k.npz"), Path("out"), "keypoints")])


def test_short_names_are_the_long_ones() -> None:
    for short, name in (("lite", "blazepose-lite"), ("full", "blazepose-full"), ("heavy", "blazepose")):
        reading = Reading(detector=short)
        assert reading == Reading(detector=name) and reading.uses_blazepose
        reading.check([VIDEO])
    with pytest.raises(PoseMambaError, match=r"'medium', expected one of lite, full, heavy, blazepose, .*rtmpose"):
        Reading(detector="medium").check([VIDEO])
