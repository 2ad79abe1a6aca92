"""Keypoint files and their video: numbers, counts, times and pictures that fit, and those that do not."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from walker_files import WALKER, F, table

from posemamba.io.keypoints import read_people
from posemamba.io.keypoints.matching import Numbering, VideoFacts, match_frames
from posemamba.poses import Keypoints2D
from posemamba.utils.errors import PoseMambaError


def film(path: Path, frames: int = F, fps: float = 50, size: tuple[int, int] = (320, 240)) -> Path:
    pytest.importorskip("av", reason="videos need the extra 'video'")
    from posemamba.io.video.writer import VideoWriter

    with VideoWriter(path, fps) as writer:
        for i in range(frames):
            writer.write(np.full((size[1], size[0], 3), 20 + i % 200, np.uint8))
    return path


def matched(path: Path, video: Path) -> tuple[Keypoints2D, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (person,) = read_people(path, video=video)
    return person, [str(w.message) for w in caught]


def test_number_40_is_the_videos_frame_40(tmp_path: Path) -> None:
    video = film(tmp_path / "v.mp4")
    person, said = matched(table(tmp_path / "late.csv", range(40, F)), video)
    assert len(person) == F and said == [] and person.fps == 50 and person.image_size == (320, 240)
    assert np.flatnonzero(person.seen).tolist() == list(range(40, F))
    np.testing.assert_allclose(person.xy[40:], WALKER.xy[40:].round(2), atol=1e-4)
    np.testing.assert_allclose(person.frame_times(), np.arange(F) / 50, atol=1e-4)
    with pytest.raises(PoseMambaError, match=r"numbered up to 119.*has only 100: give the video"):
        matched(tmp_path / "late.csv", film(tmp_path / "short.mp4", 100))
    with pytest.raises(PoseMambaError, match=r"100% of the joints lie outside of the picture of 160 x 120"):
        matched(tmp_path / "late.csv", film(tmp_path / "small.mp4", size=(160, 120)))
    person, said = matched(
        table(tmp_path / "timed.csv", range(F), np.arange(F) / 50), film(tmp_path / "slow.mp4", fps=25)
    )
    assert person.fps == 25 and "its frames are 50 a second, those of slow.mp4 25" in said[0]


def test_numbers_from_1_are_told(tmp_path: Path) -> None:
    video = film(tmp_path / "v.mp4")
    path = tmp_path / "mmpose.json"
    instances = [[{"keypoints": xy.tolist(), "keypoint_scores": [0.9] * 17}] for xy in WALKER.xy]
    known = ((1, F, 0, 0), (0, F, 0, 0), (2, F - 1, 1, 0), (2, F - 2, 2, 0))
    open_ = ((1, F - 5, 0, 1), (2, F - 3, 2, 1))
    for first, rows, at, lines in known + open_:
        meta = {"dataset_name": "h36m"}
        content = [{"frame_id": first + i, "instances": instances[i]} for i in range(rows)]
        path.write_text(json.dumps({"meta_info": meta, "instance_info": content}))
        person, said = matched(path, video)
        assert np.flatnonzero(person.seen)[0] == at and person.seen.sum() == rows and len(said) == lines, (first, rows)


def test_frames_without_numbers_are_matched_by_count_or_time(tmp_path: Path) -> None:
    video, path = film(tmp_path / "v.mp4"), tmp_path / "k.npz"

    def save(frames: slice, **facts: object) -> Path:
        np.savez(path, keypoints=WALKER.xy[frames], skeleton="h36m17", **facts)  # type: ignore[arg-type]
        return path

    person, said = matched(save(slice(None)), video)
    assert len(person) == F and person.seen.all() and said == []
    person, said = matched(save(slice(0, 100)), video)
    assert len(person) == 100 and "taken for its first" in said[0]
    for step in (1, 2):  # a part of the video; every second frame
        times = np.arange(30, F, step) / 50
        person, said = matched(save(slice(30, None, step), times=times), video)
        assert said == [] and np.flatnonzero(person.seen).tolist() == list(range(30, F, step))
    person, said = matched(save(slice(0, None, 2), fps=25), video)
    assert np.flatnonzero(person.seen).tolist() == list(range(0, F, 2))
    with pytest.raises(PoseMambaError, match=r"has 120 frames, and .*short.mp4 only 100"):
        matched(save(slice(None)), film(tmp_path / "short.mp4", 100))
    with pytest.raises(PoseMambaError, match=r"are not among the 120 of"):
        matched(save(slice(0, 90), times=np.arange(90) / 30), video)
    with pytest.raises(PoseMambaError, match=r"belongs to pictures of 240 x 320 pixels.*shows 320 x 240"):
        matched(save(slice(None), image_size=(240, 320)), video)
    person, said = matched(save(slice(None), image_size=(640, 480)), video)  # joints found in larger pictures of it
    assert person.image_size == (640, 480) and said == []


def test_times_tell_whether_numbers_count_from_1() -> None:
    video = VideoFacts(Path("v.mp4"), np.arange(200) / 50, 50, (320, 240))
    for base in (0, 1):  # number 30 at its own time, or at the time of the frame before
        own = Numbering(50, 30, False, (np.arange(30, 80) - base) / 50)
        assert match_frames(Path("k.csv"), own, video)[0] == 30 - base
    anew = Numbering(50, 0, False, np.arange(30, 80) / 50)  # a part that an export numbered from 0
    assert match_frames(Path("k.csv"), anew, video)[0] == 30
    since = Numbering(50, 30, False, np.arange(50) / 50)  # seconds since somebody was seen first
    assert match_frames(Path("k.csv"), since, video)[0] == 30
    with pytest.raises(PoseMambaError, match="numbered from -3 on"):
        match_frames(Path("k.csv"), Numbering(50, -3, False, None), video)
