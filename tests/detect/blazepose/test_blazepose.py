"""BlazePose's own networks: on nothing, and on real people where the shared videos are."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fixtures.paths import SHARED
from posemamba.detect import Unfinished, detect_people
from posemamba.detect.blazepose import BlazePoseDetector, networks
from posemamba.detect.blazepose.finder import Square, small_tiles
from posemamba.detect.modes import Mode
from posemamba.io.video.clip import Clip
from posemamba.io.video.reading import read_frames
from posemamba.poses import Keypoints2D
from posemamba.utils.errors import PoseMambaError

pytest.importorskip("av", reason="videos need the extra 'video'")
pytest.importorskip("ai_edge_litert", reason="the networks need the extra 'video'")

VIDEO = SHARED / "video" / "sports2d_demo.mp4"
VIEWS = SHARED / "real_video"
needs_video = pytest.mark.skipif(
    not VIDEO.exists(), reason="no test video: set POSEMAMBA_SHARED to the folder that holds video/"
)
needs_views = pytest.mark.skipif(
    not VIEWS.exists(), reason="no calibrated views: set POSEMAMBA_SHARED to the folder that holds real_video/"
)
# The networks of MediaPipe 0.10.14 and of its npm package @mediapipe/pose 0.5.1675469404.
HASHES = {
    "person_detector": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "landmarks_lite": "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
    "landmarks_full": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "landmarks_heavy": "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
}


def test_the_networks_are_those_that_were_published() -> None:
    folder = Path(networks.__file__).parent / "models"
    assert {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.tflite")} == HASHES


def test_nobody_in_noise_and_wrong_options() -> None:
    detector = BlazePoseDetector("lite")
    for seed in range(3):
        assert detector(np.random.default_rng(seed).integers(0, 255, (90, 160, 3), dtype=np.uint8)) == []
    with pytest.raises(PoseMambaError, match="'tiny', expected one of lite, full, heavy"):
        BlazePoseDetector("tiny")  # type: ignore[arg-type]
    with pytest.raises(PoseMambaError, match="'follow', expected one of track, detect"):
        BlazePoseDetector("lite", mode="follow")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["track", "detect"])
def test_small_squares_are_all_seen_at_first_and_then_in_turn(mode: Mode) -> None:
    """Small people are found from the first frame on; afresh means everywhere in every frame."""
    detector = BlazePoseDetector("lite", mode=mode)
    looks: list[list[Square]] = []
    detector._find_in = lambda rgb, squares, small: looks.append([*squares, *small]) or []  # type: ignore
    small = set(small_tiles(160, 90))
    for _ in range(2):
        detector.begin(6.0)  # a look in each frame
        looks.clear()
        for _ in range(1 + -(-len(small) // 3)):
            detector(np.zeros((90, 160, 3), np.uint8))
        assert small <= set(looks[0])
        if mode == "detect":
            assert all(small <= set(look) for look in looks)
        else:
            assert small == {square for look in looks[1:] for square in look if square in small}
            assert all(len(small.intersection(look)) == 3 for look in looks[1:])
    detector.begin(6.0)
    detector(np.zeros((3, 900, 3), np.uint8))  # a strip has thousands of small squares
    assert len(looks[-1]) < 70


def test_without_litert_one_line_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(PoseMambaError, match=r"ai_edge_litert.*install .*ai-edge-litert") as error:
        BlazePoseDetector()
    assert "\n" not in str(error.value)


def test_a_damaged_network_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_FOLDER", tmp_path)
    (tmp_path / "person_detector.tflite").write_bytes(b"none" * 100)
    with pytest.raises(PoseMambaError, match=r"person_detector\.tflite: does not load"):
        BlazePoseDetector()


@pytest.mark.slow
@needs_video
def test_both_people_over_the_whole_clip_without_chatter() -> None:
    """A man on a roof, 200 of 994 pixels tall, who jumps down head first, and a woman who walks below him."""
    code = (
        "import sys\nfrom posemamba.detect import detect_people\n"
        "for p in detect_people(sys.argv[1]):\n"
        "    x = [round(float(v)) for v in (p.xy[:, 23, 0] + p.xy[:, 24, 0]) / 2 if v == v]\n"
        "    print(int(p.seen.sum()), p.seen.argmax(), x[0], x[-1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, VIDEO], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stderr == ""
    people = [[int(v) for v in line.split()] for line in done.stdout.splitlines()]
    (man, man_from, left, right), (woman, woman_from, enters, leaves) = people  # nobody else
    assert man >= 215 and man_from == 0 and left < 700 and right > 1200
    assert woman >= 154 and 35 < woman_from < 50 and enters > 1400 and leaves < 150


@pytest.mark.slow
@needs_video
def test_looking_afresh_finds_the_same_people() -> None:
    tracked, afresh = (detect_people(Clip(VIDEO, 3.0, 4.0), mode=mode) for mode in ("track", "detect"))
    assert len(tracked) == len(afresh) == 2
    for a, b in zip(tracked, afresh, strict=True):
        assert np.nanmedian(np.linalg.norm(a.xy - b.xy, axis=-1)) < 6
        assert b.frame_times()[0] == pytest.approx(3.0)


@pytest.mark.slow
@needs_views
def test_full_agrees_with_mediapipe() -> None:
    """MediaPipe's landmarks of the same frames, each found afresh; distances in shares of the body's region."""
    with np.load(VIEWS / "reference" / "cam03.npz") as file:
        theirs = file["lm"]
    detector = BlazePoseDetector("full", mode="detect")
    apart = []
    for index, frame in enumerate(read_frames(VIEWS / "videos" / "cam03.mp4")):
        if index % 10 == 0:
            ours = max(detector(frame.rgb), key=lambda person: np.ptp(person.xy[:, 1])).xy
            size = np.ptp(theirs[index, :, 1])
            apart.append(np.linalg.norm(ours[11:29] - theirs[index, 11:29, :2], axis=-1) / size)
    assert np.median(apart) < 0.012 and np.quantile(apart, 0.9) < 0.03


@pytest.mark.slow
@needs_views
@pytest.mark.parametrize(("view", "bystanders"), [(1, 1), (2, 1), (3, 0), (4, 0)])
def test_the_person_who_was_filmed_comes_first(view: int, bystanders: int) -> None:
    """Joints of knees, ankles, elbows and wrists against the triangulated reference, in pixels."""
    path = VIEWS / "videos" / f"cam0{view}.mp4"
    people = detect_people(path)
    assert len(people) == 1 + bystanders and [p.person for p in people] == list(range(1, 2 + bystanders))
    error = pixel_error(people[0], view)
    assert people[0].seen.all() and np.nanmedian(error) < 12 and np.nanquantile(error, 0.95) < 30
    assert np.nanmax(np.nanmedian(error[np.isfinite(error).any(1)], axis=1)) < 40  # in no frame somebody else


def pixel_error(person: Keypoints2D, view: int) -> np.ndarray:
    """Return the distances of elbows, wrists, knees and ankles from the reference, (F, 8) pixels."""
    with np.load(VIEWS / "reference" / f"cam0{view}.npz") as file:
        xyz, valid, camera, (k1, k2, p1, p2) = file["ref"], file["valid"], file["K"], file["dist"]
    x, y = xyz[..., 0] / xyz[..., 2], xyz[..., 1] / xyz[..., 2]
    r2 = x**2 + y**2
    bent = 1 + k1 * r2 + k2 * r2**2
    u = x * bent + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    v = y * bent + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    truth = np.stack([camera[0, 0] * u + camera[0, 2], camera[1, 1] * v + camera[1, 2]], axis=-1)
    h36m = [2, 3, 5, 6, 12, 13, 15, 16]
    names = ("right_knee", "right_ankle", "left_knee", "left_ankle", "left_elbow", "left_wrist", "right_elbow")
    ours = [person.skeleton.joints.index(name) for name in (*names, "right_wrist")]
    apart = np.linalg.norm(person.xy[:, ours] - truth[:, h36m], axis=-1)
    return np.where(valid[:, h36m], apart, np.nan)


@needs_video
@pytest.mark.slow
@pytest.mark.parametrize(("mode", "end"), [("track", 0.8), ("detect", 0.2)])
def test_interrupted_it_goes_on_to_the_same_joints(mode: Mode, end: float, tmp_path: Path) -> None:
    clip = Clip(VIDEO, 0.1, end)
    whole = detect_people(clip, detector=BlazePoseDetector("lite", mode=mode))
    frames = len(whole[0])
    for stop in (1, frames // 2, frames - 1, None):

        def interrupt(done: int, total: int | None, stop: int | None = stop) -> None:
            if done == stop:
                raise KeyboardInterrupt

        unfinished = Unfinished(tmp_path / "part", "digest")
        try:
            found = detect_people(
                clip, detector=BlazePoseDetector("lite", mode=mode), progress=interrupt, unfinished=unfinished
            )
        except KeyboardInterrupt:
            assert len(unfinished) == stop
        unfinished.close()
    assert len(found) == len(whole)
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one.xy, other.xy)
        np.testing.assert_array_equal(one.confidence, other.confidence)
        np.testing.assert_array_equal(one.frame_times(), other.frame_times())
