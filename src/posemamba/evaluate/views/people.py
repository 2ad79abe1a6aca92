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
    frames = min(len(one) for one in own)
    at = np.unique(np.linspace(0, frames - 1, min(frames, _FRAMES)).astype(int))
    joints = [[to_h36m17(one.select(at)) for one in people] for people in tried]
    best: tuple[int, int, float] | None = None
    chosen: list[int | None] = [None] * len(cameras)
    for i, j in itertools.combinations(range(len(cameras)), 2):
        for a, b in itertools.product(range(len(tried[i])), range(len(tried[j]))):
            points = _place([cameras[i], cameras[j]], [joints[i][a], joints[j][b]])
            if not np.isfinite(points).any():
                continue
            found: list[int | None] = []
            errors = []
            for camera, people in zip(cameras, joints, strict=True):
                each = [_apart_mm(camera, one, points) for one in people]
                nearest = int(np.argmin(each))
                found.append(nearest if each[nearest] <= SAME_MM else None)
                errors.append(min(each[nearest], SAME_MM))
            if found[i] != a or found[j] != b:
                continue
            score = sum(f is not None for f in found), sum(f == 0 for f in found), -float(np.mean(errors))
            if best is None or score > best:
                best, chosen = score, found
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


def _place(cameras: Sequence[Camera], joints: Sequence[Keypoints2D]) -> Array:
    """Triangulate two views' joints, (N, 3); NaN where the rays pass each other."""
    xy = np.stack([one.xy.reshape(-1, 2) for one in joints])
    confidence = np.stack([one.confidence.reshape(-1) for one in joints])
    return triangulate(cameras, xy, confidence, good_mm=SAME_MM).xyz


def _apart_mm(camera: Camera, joints: Keypoints2D, points: Array) -> float:
    """Return the median distance of a view's rays from points, at their depth; infinite where less than half is there.

    A person whose joints could mostly not be compared is no evidence for anything.
    """
    inside = camera.to_camera(points)
    depth = np.where(inside[:, 2] > 0, inside[:, 2], np.nan)
    plane = camera.undistort(joints.xy.reshape(-1, 2))
    apart = 1000 * np.linalg.norm(inside[:, :2] / depth[:, None] - plane, axis=-1) * depth
    there = np.isfinite(plane).all(-1)
    both = np.isfinite(apart)
    if both.sum() < max(1, 0.25 * there.sum()):
        return np.inf
    return float(np.median(apart[both]))
