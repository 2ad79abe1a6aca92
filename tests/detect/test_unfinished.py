"""The file of an interrupted detection: what is read of it when it is whole, torn, damaged, another's or in use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.command_line import write_video
from posemamba.detect import detect_people
from posemamba.detect.blazepose import BlazePoseDetector
from posemamba.detect.unfinished import FILE, Unfinished
from posemamba.poses.detections import Detection
from posemamba.utils.errors import PoseMambaError


def frames(count: int) -> list[list[Detection]]:
    rng = np.random.default_rng(0)
    people = [2, 0, 1, 3, 0, 1]
    return [
        [Detection(rng.normal(size=(4, 2)).astype("f4"), rng.uniform(size=4).astype("f4"), i) for i in range(people[f])]
        for f in range(count)
    ]


def write(path: Path, digest: str = "a") -> list[int]:
    """Three records of two frames each, as runs that were interrupted write them; the file's length after each."""
    found, ends = frames(6), []
    for count in (2, 4, 6):
        part = Unfinished(path, digest)
        assert len(part) == count - 2
        part.save(found[:count], [i / 8 for i in range(count)], {"x": 0.1 + count}, complete=count == 6)
        part.close()
        ends.append(path.stat().st_size)
    return ends


def test_what_is_kept_is_read_back_exactly_and_a_torn_or_damaged_end_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "out" / FILE
    ends = write(path)
    whole, expected = path.read_bytes(), frames(6)

    def check(content: bytes, count: int) -> None:
        path.write_bytes(content)
        part = Unfinished(path, "a")
        assert len(part) == count and part.complete == (count == 6)
        assert part.state == ({"x": 0.1 + count} if count else None) and part.times == [i / 8 for i in range(count)]
        for kept, given in zip(part.found, expected, strict=False):
            assert [p.id for p in kept] == [p.id for p in given]
            assert all(np.array_equal(a.xy, b.xy) for a, b in zip(kept, given, strict=True))
            assert all(np.array_equal(a.confidence, b.confidence) for a, b in zip(kept, given, strict=True))
        part.close()

    check(whole, 6)
    for cut in range(len(whole)):
        check(whole[:cut], 2 * sum(cut >= end for end in ends))
    for at in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[at] ^= 4
        check(bytes(broken), 2 * sum(at >= end for end in ends))
    path.write_bytes(whole[: ends[1] + 5])  # a run goes on behind the last whole record
    part = Unfinished(path, "a")
    part.save(expected, [i / 8 for i in range(6)], {"x": 6.1}, complete=True)
    part.close()
    assert path.read_bytes() == whole


def test_it_is_not_used_for_another_detection_nor_by_two_runs(tmp_path: Path) -> None:
    path = tmp_path / FILE
    write(path)
    other = Unfinished(path, "b")
    assert other.foreign and not len(other)
    other.close()
    Unfinished.clear(path, "b")
    assert path.exists()  # nothing was found in its place yet
    anew = Unfinished(path, "a", restart=True)
    assert not len(anew)
    second = Unfinished(path, "a")
    second.save(frames(2), [0.0, 0.1], None)
    second.close()
    assert not len(second) and path.exists()
    anew.save(frames(1), [0.0], None)
    anew.close()
    left = Unfinished(path, "a")
    assert len(left) == 1
    left.discard()
    assert not path.exists()


def test_folders_are_made_for_something_only_and_a_full_disk_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "b" / FILE
    part = Unfinished(path, "a")
    part.close()
    assert not path.parent.exists()
    part = Unfinished(path, "a")
    part.save(frames(1), [0.0], None)
    assert path.exists()

    def full(*unused: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "_write", full)
        with pytest.warns(UserWarning, match="No space left on device"):
            part.save(frames(2), [0.0, 0.1], None)
        part.save(frames(3), [0.0, 0.1, 0.2], None)
    part.discard()
    assert not (tmp_path / "a").exists()


def spoil(change: Any) -> dict[str, Any]:
    """The state of a detector that follows one person, spoiled."""
    points = [[float(i), 2.0 * i] for i in range(33)]
    landmarks = {"xy": points, "visibility": [1.0] * 33, "presence": [1.0] * 33, "score": 0.9}
    person = {"landmarks": landmarks | {"hips": [5.0, 5.0], "circle": [5.0, 1.0]}, "speed": [0.0, 0.0]}
    state: dict[str, Any] = {"people": [[1, person | {"moved": 0.0, "age": 2}]], "lost": [], "sure": [1], "looks": 1}
    state |= {"frame": 1, "last_look": 0, "searching": -1, "count": 1}
    change(state, state["people"][0][1]["landmarks"])
    return state


SPOILED: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "missing": lambda state, landmarks: state.pop("lost"),
    "joints": lambda state, landmarks: landmarks["xy"].pop(),
    "a word": lambda state, landmarks: landmarks.update(hips="x"),
    "far": lambda state, landmarks: landmarks.update(circle=[1e300, 0.0]),
    "count": lambda state, landmarks: state.update(count=10**12),
    "looks": lambda state, landmarks: state.update(looks=[]),
}


@pytest.mark.parametrize("kind", [*SPOILED, "skeleton", "times"])
def test_what_is_left_of_another_detector_is_told_in_a_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posemamba.detect.blazepose.PersonFinder", lambda: lambda *given: [])
    monkeypatch.setattr("posemamba.detect.blazepose.LandmarkNetwork", lambda size: lambda *given: None)
    video = write_video(tmp_path / "video.mp4")
    joints = 32 if kind == "skeleton" else 33
    found = [[Detection(np.ones((joints, 2), "f4"), np.ones(joints, "f4"), 1)] for _ in range(2)]
    part = Unfinished(tmp_path / FILE, "a")
    state = spoil(SPOILED.get(kind, lambda state, landmarks: None))
    part.save(found, [0.04, 0.0] if kind == "times" else [0.0, 0.04], state)
    part.close()
    with pytest.raises(PoseMambaError, match=r"keypoints\.unfinished: .*--restart") as caught:
        detect_people(video, detector=BlazePoseDetector(), unfinished=Unfinished(tmp_path / FILE, "a"))
    assert "\n" not in str(caught.value)


def test_a_disk_that_fills_up_is_told_once_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out" / FILE
    part = Unfinished(path, "a")

    class Full:
        """A file on a full disk: what is written stays in its buffer, and closing tries to write it again."""

        closed = False

        def seek(self, place: int) -> None: ...

        def truncate(self) -> None: ...

        def write(self, content: bytes) -> None: ...

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            self.closed = True
            self.flush()

    part._open()
    assert part._file is not None and path.exists()
    part._file.close()
    part._file = full = Full()  # type: ignore[assignment]
    with pytest.warns(UserWarning, match="cannot be written"):
        part.save(frames(2), [0.0, 0.1], {}, complete=False)
    part.close()
    assert full.closed and not path.exists() and not path.parent.exists()
