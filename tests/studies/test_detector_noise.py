"""What is measured of a detector's errors is what was put in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posemamba.data.augment import DIFFICULTY
from posemamba.io.keypoints import write_keypoints_npz
from posemamba.poses import Keypoints2D
from posemamba.poses.detections import Detection
from posemamba.poses.skeletons import COCO17, H36M17
from posemamba.utils.errors import PoseMambaError
from studies import detector_noise as noise

FRAMES = 240
STANDING = np.array(
    [
        *((0, 0), (-10, 0), (-11, 45), (-12, 90), (10, 0), (11, 45), (12, 90), (0, -25), (0, -52), (0, -62), (2, -75)),
        *((17, -50), (22, -20), (25, 5), (-17, -50), (-22, -20), (-25, 5)),
    ],
    float,
)  # fmt: skip


def walker(frames: int = FRAMES) -> NDArray[np.floating]:
    """(F, 17, 2) pixels: a body 330 pixels tall that goes to the right, limbs swinging once a second at 30 frames/s."""
    t = np.arange(frames)
    swing = np.zeros((frames, 17))
    for j, much in ((2, 20), (3, 35), (5, -20), (6, -35), (12, 15), (13, 30), (15, -15), (16, -30)):
        swing[:, j] = much * np.sin(2 * np.pi * t / 30)
    xy = 2 * np.repeat(STANDING[None], frames, 0) + [300, 400]
    xy[..., 0] += swing + 1.5 * t[:, None]
    return xy


def keypoints(xy: NDArray, confidence: NDArray | None = None) -> Keypoints2D:
    trust = np.full(xy.shape[:2], 0.9) if confidence is None else confidence
    return Keypoints2D(xy, np.where(np.isfinite(xy).all(-1), trust, 0), H36M17, (1280, 720), 30.0)


def lines(rng: np.random.Generator, every: int, shape: tuple[int, ...]) -> NDArray[np.floating]:
    """Unit noise along axis 1: values every so many frames, joined by lines."""
    repeats, frames, *rest = shape
    result = np.empty(shape)
    for index in np.ndindex(repeats, *rest):
        knots = rng.normal(size=frames // every + 3)
        at = np.arange(frames) / every + rng.random()
        result[(index[0], slice(None), *index[1:])] = np.interp(at, np.arange(len(knots)), knots)
    return result / np.sqrt(2 / 3)


@pytest.mark.parametrize("weights", [(0.8, 0.5, 0.33), (0.3, 0.6, 0.74)])
def test_sizes_and_tempi_are_found(weights: tuple[float, float, float]) -> None:
    """Sizes to 5 %, weights to 0.08, joints to 15 %, without ever seeing the parts alone."""
    rng = np.random.default_rng(1)
    shape = (8, FRAMES, 17, 2)
    changing = (
        weights[0] * lines(rng, 12, shape) + weights[1] * lines(rng, 4, shape) + weights[2] * rng.normal(size=shape)
    )
    constant = rng.normal(size=(8, 1, 17, 2))
    error = (0.02 * changing + 0.01 * constant) * np.array(DIFFICULTY)[:, None]
    error[:, 100:110, 3] = 1.0  # far off: counted, not averaged
    found = noise.measure_errors(error)
    assert found.size == pytest.approx(0.02, rel=0.06)
    assert found.constant == pytest.approx(0.01, rel=0.2)
    assert found.tempi.of_jitter() == pytest.approx(weights, abs=0.08)
    assert np.array(found.joints) == pytest.approx(np.hypot(0.02, 0.01) * np.array(DIFFICULTY), rel=0.15)
    assert found.gross[3] == pytest.approx(10 / FRAMES) and found.gross[2] == 0
    assert found.swelling < 0.15  # normal errors do not swell


def test_what_training_makes_up_is_recognised() -> None:
    """`detect_badly` at 0.03: its swelling makes the errors 1.27 times as large, and is seen."""
    error, confidence = noise.made_up(walker(), copies=16, jitter=0.03, bias=0.02)
    found = noise.measure_errors(error)
    assert found.size / 1.27 == pytest.approx(0.03, rel=0.1)
    assert found.constant == pytest.approx(0.02, rel=0.25)
    assert 0.3 < found.swelling < 0.6
    fit = noise.fit_confidence(np.linalg.norm(error, axis=-1), confidence)
    assert fit is not None
    assert (fit.sure, fit.doubt, fit.mood) == pytest.approx((3.75, 9.5, np.hypot(0.9, 1.1)), rel=0.15)
    assert fit.rank < -0.15
    assert fit.mood_of_joints == pytest.approx(1.1 / 16**0.5, rel=0.35)  # of 16 copies, each with another temper


def test_fast_trembling_of_a_moving_body() -> None:
    """White and quick noise of a walker, found without the truth to 10 %; without noise nothing is found."""
    rng = np.random.default_rng(2)
    body = walker() / noise.person_unit(walker())
    size, _ = noise.fast_part(body)
    assert size.max() < 0.005
    jitter = 0.01 * rng.normal(size=body.shape) + 0.02 * lines(rng, 4, (1, *body.shape[:2], 2))[0]
    size, shares = noise.fast_part(body + jitter)
    assert np.sqrt(np.square(size).mean()) == pytest.approx(np.hypot(0.01, 0.02), rel=0.1)
    assert shares.white == pytest.approx(0.2, abs=0.05)


SWAPS = {"legs": [(20, 26), (90, 91)], "arms": [(150, 153)], "both": [(200, 215)]}


def swapped_walker() -> NDArray[np.floating]:
    truth, rng = walker(), np.random.default_rng(3)
    xy = truth + rng.normal(0, 1.0, truth.shape)
    legs, arms = [4, 5, 6, 1, 2, 3], [14, 15, 16, 11, 12, 13]
    for what, times in SWAPS.items():
        for a, b in times:
            if what != "arms":
                xy[a:b, [1, 2, 3, 4, 5, 6]] = xy[a:b, legs]
            if what != "legs":
                xy[a:b, [11, 12, 13, 14, 15, 16]] = xy[a:b, arms]
    return xy


@pytest.mark.parametrize("with_truth", [True, False])
def test_swaps_are_counted(with_truth: bool) -> None:
    """Every stretch, its length and what was exchanged; against the truth, and from the movement alone."""
    report = noise.measure_keypoints(keypoints(swapped_walker()), keypoints(walker()) if with_truth else None)
    assert report.swaps.stretches == {"legs": 2, "arms": 1, "both": 1}
    assert report.swaps.lengths == (6, 1, 3, 15)
    assert report.swaps.frames == pytest.approx(25 / FRAMES)
    if report.errors:  # swaps are counted and not taken for jitter
        assert report.errors.mean_distance * report.person == pytest.approx(1.25, rel=0.1)


def test_stretches_of_low_confidence() -> None:
    trust = np.full((1, FRAMES, 17), 0.9)
    trust[0, 10:20, [2, 3]] = 0.2
    trust[0, 50:54, 16] = 0.1
    there = np.ones(trust.shape, bool)
    there[0, 100:124] = False
    found = noise.drop_outs(np.where(there, trust, 0), there)
    assert found.frames == pytest.approx(24 / FRAMES)
    assert found.stretches == 3 and found.lengths[0] == 10
    assert found.joints[3] == pytest.approx(10 / 216) and found.joints[16] == pytest.approx(4 / 216)
    assert (
        found.together["knee, ankle"] == pytest.approx(1)
        and found.together["elbow, wrist"] != found.together["knee, ankle"]
    )


class DotDetector:
    """Finds 17 squares, told apart by how bright they are."""

    skeleton = COCO17
    places = np.array([(100 + 80 * (k % 6), 80 + 90 * (k // 6)) for k in range(17)], float)

    def draw(self) -> NDArray[np.uint8]:
        rgb = np.zeros((400, 640, 3), np.uint8)
        for k, (x, y) in enumerate(self.places.astype(int)):
            rgb[y - 10 : y + 10, x - 10 : x + 10] = 60 + 12 * k
        return rgb

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Detection]:
        from scipy.ndimage import center_of_mass, label, median

        grey = np.where(rgb[..., 0] == 114, 0, rgb[..., 0]) if rgb[0, 0, 0] == 114 else rgb[..., 0]
        marks, count = label(grey > 20)
        large = [k for k in range(1, count + 1) if (marks == k).sum() > 100]
        order = np.argsort(median(grey, marks, large))
        found = np.array(center_of_mass(np.ones(marks.shape), marks, large))[order, ::-1] + 0.5
        return [Detection(found, np.linspace(0.1, 0.9, 17))]

    def close(self) -> None:
        raise AssertionError("not ours to close")


@pytest.mark.parametrize("index", range(8))
def test_answers_are_changed_back(index: int) -> None:
    """Dots are found where they are, to a pixel, however the picture was changed."""
    pytest.importorskip("PIL")
    change, dots = noise.changes()[index], DotDetector()
    picture = dots.draw()
    shown = change.picture(picture)
    assert (shown.shape == picture.shape and (shown == picture).all()) == (index == 0)
    (found,) = noise.ChangedDetector(dots, change)(picture)
    order = list(COCO17.mirrored) if change.mirrored else list(range(17))
    assert np.abs(found.xy - dots.places[order]).max() < 1.0
    assert found.confidence == pytest.approx(np.linspace(0.1, 0.9, 17)[order])


class Opened:
    """A detector that only has to be closed."""

    skeleton, closed = H36M17, 0

    def close(self) -> None:
        Opened.closed += 1


def test_one_person_is_followed_through_all_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is nearest to the plain answer counts; a change in which nobody is found leaves the others."""
    rng, told = np.random.default_rng(6), []
    away = walker() + np.array([400, 0])

    def people(source: str, *, mode: str, detector: noise.ChangedDetector) -> list[Keypoints2D]:
        seen = walker() + rng.normal(0, 1, (FRAMES, 17, 2))
        if detector.change.name == "darker":
            raise PoseMambaError("nobody was found")
        if detector.change.mirrored:
            seen[:60] = np.nan
        return [keypoints(away), keypoints(seen)] if told[1:] else [keypoints(seen), keypoints(away)]

    monkeypatch.setattr("studies.detector_noise.repeats.detect_people", people)
    repeats = noise.repeat("video", Opened, person="1", told=told.append)
    names = [c.name for c in noise.changes()]
    assert told == names == list(repeats.names) and Opened.closed == len(names)
    nobody = names.index("darker")
    assert repeats.elsewhere == tuple({"mirrored": 0.25, "darker": 1.0}.get(name, 0.0) for name in names)
    assert np.isnan(repeats.xy[nobody]).all() and not repeats.confidence[nobody].any()
    assert np.nanmax(np.abs(repeats.xy - walker())) < 10
    report = noise.measure_repeats(repeats, "video", "made up")
    assert report.errors is not None and report.errors.joints[7] * report.person == pytest.approx(1, rel=0.1)
    assert report.by_change is not None and report.by_change["darker"][1] == 1
    with pytest.raises(PoseMambaError, match="--person is 9"):
        noise.repeat("video", Opened, person="9")


def test_repeats_of_a_detector_that_errs() -> None:
    """Each answer has its own white error and the mirrored one a displacement: both are found, motion is not error."""
    rng = np.random.default_rng(4)
    names = tuple(c.name for c in noise.changes())
    truth = walker()
    unit = noise.person_unit(truth)
    xy = truth + 0.02 * unit * rng.normal(size=(len(names), *truth.shape))
    xy[1, :, 13, 0] += 0.1 * unit
    repeats = noise.Repeats(names, xy, np.full(xy.shape[:3], 0.9), (1280, 720), 30.0, (0.0,) * len(names))
    report = noise.measure_repeats(repeats, "made up", "")
    assert report.errors is not None and report.mirror_bias is not None
    assert report.errors.joints[7] == pytest.approx(0.02, rel=0.05)
    assert report.errors.tempi.white > 0.8
    assert report.mirror_bias[13][0] == pytest.approx(-0.05, abs=0.006)
    assert abs(report.mirror_bias[12][0]) < 0.006
    assert report.confidence is None and report.swaps.frames == 0


def test_clips_in_which_nothing_can_be_measured_are_refused_in_a_line() -> None:
    for frames in (1, 2, 7, 13):
        with pytest.raises(PoseMambaError, match=f"a clip of {frames} frames, expected 14 or more"):
            noise.measure_keypoints(keypoints(walker(frames)), keypoints(walker(frames)))
    early, late = walker(40), walker(40)
    early[20:], late[:20] = np.nan, np.nan
    with pytest.raises(PoseMambaError, match="no joint was found in a frame in which"):
        noise.measure_keypoints(keypoints(early), keypoints(late))
    perfect = noise.measure_keypoints(keypoints(walker(14)), keypoints(walker(14)))
    assert perfect.errors is not None and perfect.errors.size == perfect.errors.mean_distance == 0
    assert perfect.confidence is None and "right_ankle" in noise.describe(perfect)


@pytest.mark.slow
def test_command_on_keypoint_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, JSON and picture of keypoints alone and against the truth; and one line for what does not fit."""
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(5)
    seen, true, short = (tmp_path / f"{n}.npz" for n in ("seen", "true", "short"))
    write_keypoints_npz(
        seen, keypoints(walker() + rng.normal(0, 2, (FRAMES, 17, 2)), rng.uniform(0.3, 1, (FRAMES, 17)))
    )
    write_keypoints_npz(true, keypoints(walker()))
    write_keypoints_npz(short, keypoints(walker(100)))
    for arguments in ([], ["--truth", str(true)]):
        assert noise.main([str(seen), "--out", str(tmp_path / "out"), *arguments]) == 0
        assert "| right_ankle |" in capsys.readouterr().out
        saved = json.loads((tmp_path / "out" / "seen.noise.json").read_text())
        assert (saved["errors"] is None) == (not arguments)
        assert (tmp_path / "out" / "seen.noise.png").read_bytes().startswith(b"\x89PNG")
    assert saved["errors"]["joints"][0] == pytest.approx(2 / saved["person"], rel=0.1)
    assert noise.main([str(seen), str(tmp_path / "seen.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "two of the files are named seen" in capsys.readouterr().err
    assert noise.main([str(seen), "--truth", str(short)]) == 2
    assert "100 frames" in capsys.readouterr().err
