"""The reference: points from several views, robust; shifts of pictures; the person whom the views agree upon."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fixtures.views import make_cameras, make_person, see
from posemamba.evaluate.views.people import choose_person
from posemamba.evaluate.views.reference import make_reference, shifted
from posemamba.evaluate.views.triangulate import triangulate


def pixels(count: int, frames: int = 10) -> tuple[list, np.ndarray, np.ndarray]:
    cameras, points = make_cameras(count), make_person(frames).reshape(-1, 3)
    return cameras, points, np.stack([camera.project(camera.to_camera(points)) for camera in cameras])


@pytest.mark.parametrize("count", [2, 3, 5])
def test_exact_points_come_out_exactly(count: int) -> None:
    cameras, points, xy = pixels(count)
    found = triangulate(cameras, xy, np.ones(xy.shape[:2]))
    np.testing.assert_allclose(found.xyz, points, atol=1e-6)
    assert found.used.all() and found.error_mm.max() < 1e-6


@pytest.mark.parametrize("count", [3, 4, 6])
def test_one_wrong_view_does_no_harm(count: int) -> None:
    """Each point is seen at a wrong place by one of the views, by 10 to 60 pixels of 320, and elsewhere with noise."""
    cameras, points, xy = pixels(count)
    random = np.random.default_rng(0)
    wrong = np.arange(len(points)) % count
    angle, far = random.uniform(0, 2 * np.pi, len(points)), random.uniform(10, 60, len(points))
    xy[wrong, np.arange(len(points))] += np.stack([np.cos(angle), np.sin(angle)], -1) * far[:, None]
    found = triangulate(cameras, xy, np.ones(xy.shape[:2]))
    good = np.linalg.norm(found.xyz - points, axis=-1) < 1e-6
    # along a ray of another view an error is no contradiction: with three views two pairs can then agree
    assert good.mean() > (0.85 if count == 3 else 0.97)
    assert not found.used[wrong, np.arange(len(points))][good].any()


def test_fewer_than_two_good_views_give_no_point() -> None:
    cameras, points, xy = pixels(3)
    confidence = np.ones(xy.shape[:2])
    confidence[0], xy[1, :5], confidence[2, 5:10] = 0.1, np.nan, 0.0
    found = triangulate(cameras, xy, confidence)
    assert not found.valid[:10].any() and found.valid[10:].all()
    np.testing.assert_allclose(found.xyz[10:], points[10:], atol=1e-6)
    xy[1] += [0, 80]  # two views that contradict each other
    assert not triangulate(cameras, xy, confidence).valid.any()


def test_noise_is_weighed_by_confidence() -> None:
    cameras, points, xy = pixels(4)
    random = np.random.default_rng(1)
    noise = random.normal(0, 1, xy.shape) * np.array([0.1, 0.1, 0.1, 1.5])[:, None, None]
    sure = np.ones(xy.shape[:2])
    doubtful = sure * np.array([1, 1, 1, 0.3])[:, None]
    errors = [
        np.linalg.norm(triangulate(cameras, xy + noise, c).xyz - points, axis=-1).mean() for c in (sure, doubtful)
    ]
    assert errors[1] < 0.75 * errors[0] < 0.02


def test_the_reference_is_the_person_in_the_views_axes_and_does_not_see_the_view() -> None:
    cameras, person = make_cameras(4), make_person(40)
    joints = [see(camera, person) for camera in cameras]
    astray = replace(joints[0], xy=joints[0].xy + np.float32([60, 40]) * (np.arange(17) % 3)[:, None])
    true = cameras[0].to_camera(person)
    found = make_reference(cameras[0], astray, cameras[1:], joints[1:], align=False, smooth_hz=None)
    np.testing.assert_allclose(found.xyz, true, atol=1e-5)  # joints are float32
    assert found.views == 3 and found.error_mm < 0.1 and not found.shift.any()
    smooth = make_reference(cameras[0], joints[0], cameras[1:], joints[1:])
    assert np.linalg.norm(smooth.xyz - true, axis=-1).mean() < 0.004
    assert np.abs(smooth.shift).max() < 0.2


def test_noise_of_single_frames_is_smoothed() -> None:
    cameras, person = make_cameras(4), make_person(60)
    random = np.random.default_rng(2)
    joints = [see(camera, person) for camera in cameras]
    joints = [replace(one, xy=one.xy + random.normal(0, 1, one.xy.shape).astype(np.float32)) for one in joints]
    true = cameras[0].to_camera(person)
    raw, smooth = (
        np.linalg.norm(
            make_reference(cameras[0], joints[0], cameras[1:], joints[1:], align=False, smooth_hz=hertz).xyz - true,
            axis=-1,
        ).mean()
        for hertz in (None, 6.0)
    )
    assert smooth < 0.85 * raw


def test_a_touched_camera_is_found_and_taken_out() -> None:
    """The pictures of all cameras are shifted against the calibration by about two pixels, 5 cm at the person."""
    cameras, person, random = make_cameras(4), make_person(60), np.random.default_rng(2)
    shifts = np.array([[2.0, -1], [1.5, 1], [-1.5, 1], [0.5, -2]])
    joints = [see(shifted(camera, shift), person) for camera, shift in zip(cameras, shifts, strict=True)]
    joints = [replace(one, xy=one.xy + random.normal(0, 0.5, one.xy.shape).astype(np.float32)) for one in joints]
    true = cameras[0].to_camera(person)
    body, pixels = [], []
    for align in (True, False):
        found = make_reference(cameras[0], joints[0], cameras[1:], joints[1:], align=align)
        off = (found.xyz - found.xyz[:, :1]) - (true - true[:, :1])
        body.append(np.linalg.norm(off, axis=-1).mean())
        pixels.append(np.median(np.linalg.norm(found.xy - joints[0].xy, axis=-1)))
    assert body[0] < 0.6 * body[1] and body[0] < 0.015
    assert pixels[0] < 0.8 < 1.2 < pixels[1]


def test_a_view_whose_choice_is_somebody_else_is_corrected() -> None:
    cameras, person = make_cameras(4), make_person(30)
    other = make_person(30, seed=5) + np.array([1.5, 0.5, 0])
    everybody = [[see(camera, person)] for camera in cameras]
    nearer = replace(see(cameras[2], other), person=1)
    everybody[2] = [replace(nearer, xy=1.5 * nearer.xy), replace(see(cameras[2], person), person=2)]
    choice = choose_person(cameras, everybody, ["a", "b", "c", "d"])
    assert [one and one.person for one in choice.people] == [1, 1, 2, 1]
    (note,) = choice.notes
    assert note.startswith("c: ") and "person 2" in note and "person 1" in note


def test_a_view_that_shows_somebody_else_alone_is_left_out() -> None:
    cameras, person = make_cameras(4), make_person(30)
    other = make_person(30, seed=5) + np.array([1.5, 0.5, 0])
    everybody = [[see(camera, other if i == 1 else person)] for i, camera in enumerate(cameras)]
    choice = choose_person(cameras, everybody, ["a", "b", "c", "d"])
    assert [one is None for one in choice.people] == [False, True, False, False]
    assert choice.notes[0].startswith("b: shows nobody")


def test_two_people_in_all_views_are_not_mixed() -> None:
    cameras, person = make_cameras(4), make_person(30)
    other = make_person(30, seed=5) + np.array([1.5, 0.5, 0])
    everybody = [[see(camera, person), see(camera, other, person=2)] for camera in cameras]
    choice = choose_person(cameras, everybody, ["a", "b", "c", "d"])
    numbers = {one.person for one in choice.people if one is not None}
    assert None not in choice.people and len(numbers) == 1
