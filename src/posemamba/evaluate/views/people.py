"""The one person whom all views show: each view's choice, checked against the other views."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posemamba.evaluate.views.cameras import Array, Camera
from posemamba.evaluate.views.triangulate import triangulate
from posemamba.poses import Keypoints2D
from posemamba.poses.keypoints import choose_people
from posemamba.poses.mapping import to_h36m17

SAME_MM = 200.0
"""Median reprojection error, in millimetres at the joints' distance, up to which a view shows the same person."""
_FRAMES = 40  # that are compared, evenly spread
_LEAST_COMPARED = 0.25
"""Share of a person's joints that must have been compared for the person to count as the same."""
_MOST = 6  # people of a view that are tried: those who are seen most


@dataclass(frozen=True)
class Choice:
    """The person of each view.

    Attributes:
        people: by view; None where nobody is the person of the other views.
        notes: the views that disagree with the choice that lifting makes, a line each.
    """

    people: tuple[Keypoints2D | None, ...]
    notes: tuple[str, ...]


def choose_person(
    cameras: Sequence[Camera], everybody: Sequence[Sequence[Keypoints2D]], names: Sequence[str]
) -> Choice:
    """Choose the person of each view as `posemamba lift` does, unless the other views show another person.

    Any two views' people give a place in space at each time; each other view agrees with its person who is seen there.
    The pair with which most views agree is taken; among such pairs the one with most of the views' own choices, then
    the one with the smallest error.

    Args:
        cameras: V cameras.
        everybody: the people of each view.
        names: of the views, for the notes.
    """
    own = [choose_people(people, "longest")[0] for people in everybody]
    tried = [
        [first, *(one for one in people if one is not first)][:_MOST]
        for first, people in zip(own, everybody, strict=True)
    ]
    chosen = _vote(cameras, tried)
    notes = []
    for name, people, taken in zip(names, tried, chosen, strict=True):
        if taken is None:
            notes.append(f"{name}: shows nobody who is where the other views see a person; left out")
        elif taken > 0:
            notes.append(
                f"{name}: the other views show person {people[taken].person}, taken; lifting alone would choose person "
                f"{people[0].person}"
            )
    return Choice(
        tuple(None if taken is None else people[taken] for people, taken in zip(tried, chosen, strict=True)),
        tuple(notes),
    )


def _vote(cameras: Sequence[Camera], tried: Sequence[Sequence[Keypoints2D]]) -> list[int | None]:
    """Return the index of each view's person with whom most views agree, None for views that do not.

    Args:
        cameras: of the views.
        tried: the people of each view, its own choice first.
    """
    frames = min(len(people[0]) for people in tried)
    at = np.unique(np.linspace(0, frames - 1, min(frames, _FRAMES)).astype(int))
    joints = [[to_h36m17(one.select(at)) for one in people] for people in tried]
    planes = [
        [camera.undistort(one.xy.reshape(-1, 2)) for one in people]
        for camera, people in zip(cameras, joints, strict=True)
    ]
    best: tuple[int, int, float] | None = None
    chosen: list[int | None] = [None] * len(cameras)
    pairs = [
        (i, j, a, b)
        for i, j in itertools.combinations(range(len(cameras)), 2)
        for a, b in itertools.product(range(len(tried[i])), range(len(tried[j])))
    ]
    for i, j, a, b in sorted(pairs, key=lambda pair: pair[2] + pair[3]):
        if best is not None and best[1] == len(cameras):
            break  # all views agree with their own choices
        points = _place([cameras[i], cameras[j]], [joints[i][a], joints[j][b]])
        if not np.isfinite(points).any():
            continue
        apart = [
            [_apart_mm(camera, plane, points) for plane in each] for camera, each in zip(cameras, planes, strict=True)
        ]
        nearest = [int(np.argmin(each)) for each in apart]
        found = [n if each[n] <= SAME_MM else None for n, each in zip(nearest, apart, strict=True)]
        if found[i] != a or found[j] != b:
            continue
        error = float(np.mean([min(*each, SAME_MM) for each in apart]))
        score = sum(f is not None for f in found), sum(f == 0 for f in found), -error
        if best is None or score > best:
            best, chosen = score, found
    return chosen


def _place(cameras: Sequence[Camera], joints: Sequence[Keypoints2D]) -> Array:
    """Triangulate two views' joints, (N, 3); NaN where the rays pass each other."""
    xy = np.stack([one.xy.reshape(-1, 2) for one in joints])
    confidence = np.stack([one.confidence.reshape(-1) for one in joints])
    return triangulate(cameras, xy, confidence, good_mm=SAME_MM).xyz


def _apart_mm(camera: Camera, plane: Array, points: Array) -> float:
    """Return the median distance of rays from points, at their depth; infinite where few can be compared.

    Args:
        camera: the view's.
        plane: (N, 2) a person's joints in the plane at depth 1.
        points: (N, 3) in the world.
    """
    inside = camera.to_camera(points)
    depth = np.where(inside[:, 2] > 0, inside[:, 2], np.nan)
    apart = 1000 * np.linalg.norm(inside[:, :2] / depth[:, None] - plane, axis=-1) * depth
    there = np.isfinite(plane).all(-1)
    both = np.isfinite(apart)
    if both.sum() < max(1, _LEAST_COMPARED * there.sum()):
        return np.inf
    return float(np.median(apart[both]))
