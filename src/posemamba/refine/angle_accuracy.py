"""Expected errors of joint angles in degrees: from the weights' table, the joints' expected errors and the view.

A bend is measured well where it moves joints across the picture, and badly where it moves them along the line of sight.
How the table is fitted: `posemamba.evaluate.angles`.

Shapes: F frames, J = 17 joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D
from posemamba.poses.angle_table import AngleErrorTable, plain_name
from posemamba.poses.skeletons import H36M17, H36M17_FEET
from posemamba.poses.trust import AVOID
from posemamba.refine.angles import Angle, measure_angles, measure_degrees, unseen_joints
from posemamba.refine.common import MIN_CONFIDENCE, Array
from posemamba.refine.upright import level_axes
from posemamba.utils.blocks import blocks

__all__ = ["AngleError", "angle_errors"]

EDGE_ON = 60.0
"""Degrees from the picture's plane from which a bend counts as not visible: it moves the bone along the line of sight
by at least 87 % of its way."""
VERTICAL_ERROR = 6.0
"""Degrees by which an estimated vertical is off, mean of the pitches in docs/refine.md (lifted, with path)."""
_NEAREST = 0.1  # of the pelvis's depth: the smallest depth of a point
_PARENTS = np.array(H36M17.parents[1:])


@dataclass(frozen=True)
class AngleError:
    """How far one angle may be off over time.

    Attributes:
        degrees: (F,) expected absolute error; NaN where the angle is not known, or the weights do not tell errors.
        view_deg: (F,) the camera's direction against the angle's plane, 0 where it sees the plane from the side, 90
            where it sees it edge-on; NaN for a limb that is too straight to have a plane.
        edge_on: (F,) bool, the picture hardly tells this angle: to change it would move its bone along the line of
            sight, such as the bend of a nearly straight knee seen from the front.
        unseen: (F,) bool, the angle is blank, as one of its joints was not seen.
        undefined: (F,) bool, the angle is blank, as its segment lies across the plane in which it is measured, or as
            the person does not walk (the feet's progression).
        guessed: (F,) bool, the angle is there, and the detector is not sure of one of its joints (confidence
            `MIN_CONFIDENCE` or less).
    """

    degrees: Array
    view_deg: Array
    edge_on: NDArray[np.bool_]
    unseen: NDArray[np.bool_]
    undefined: NDArray[np.bool_]
    guessed: NDArray[np.bool_]

    def notes(self, levels: NDArray[np.uint8] | None = None) -> list[str]:
        """Return a word for each frame: ``unseen``, ``undefined``, ``untrusted``, ``guessed``, ``edge-on`` or nothing.

        Args:
            levels: (F,) of `Trust`; None: no frame is ``untrusted``.
        """
        untrusted = np.zeros(len(self.unseen), bool) if levels is None else np.asarray(levels == AVOID)
        words = {
            "unseen": self.unseen,
            "undefined": self.undefined,
            "untrusted": untrusted,
            "guessed": self.guessed,
            "edge-on": self.edge_on,
        }
        return [str(word) for word in np.select(list(words.values()), list(words), "")]


def angle_errors(motion: Poses3D) -> dict[str, AngleError]:
    """Compute how far each angle of `joint_angles` may be off, and whether the picture tells it at all.

    The errors are those of the poses as lifted: refinement changes them little. Angles to a vertical that was
    estimated get the error of that estimate, too.

    Args:
        motion: a result of lifting, refined or not.

    Returns:
        An entry for each angle of `joint_angles(motion)`. Without a table in the weights (`posemamba calibrate`), and
        for angles that it does not have (the feet's progression), `degrees` is NaN.
    """
    network, camera = motion.network, motion.network.camera
    steps = {step.name: step for step in motion.steps}
    up = None
    if motion.frame == "world" and (step := steps.get("upright")) is not None:
        pitch, roll = (float(step.report[name]) for name in ("pitch_deg", "roll_deg"))
        up = camera.turn(np.broadcast_to(level_axes(pitch, roll)[:, 2], (len(motion), 1, 3)))[:, 0]
    estimated = up is not None and steps["upright"].estimate
    lost, unsure = unseen_joints(motion), unsure_joints(motion)
    found = {}
    for name, (degrees, joints) in measure_degrees(motion).items():
        unseen = np.asarray(lost[:, joints].any(1))
        undefined = ~unseen & ~np.isfinite(degrees)
        found[name] = AngleError(
            np.full(len(motion), np.nan),
            np.full(len(motion), np.nan),
            np.zeros(len(motion), bool),
            unseen,
            undefined,
            np.asarray(unsure[:, joints].any(1)) & ~(unseen | undefined),
        )
    sight = network.seen_xy - camera.centre
    for block in blocks(len(motion)):
        seen = network.seen[block, None, None]
        xyz = np.where(seen, network.xyz[block], np.nan).astype(np.float64)
        points, pelvis = in_perspective(xyz, sight[block], network.confidence[block], camera.focal)
        whole, feet = points, None
        if network.feet is not None:
            feet = place(np.where(seen, network.feet[block], np.nan), pelvis, camera.focal)
            whole = np.concatenate([points, feet], 1)
        for name, angle in measure_angles(points, feet, None if up is None else up[block]).items():
            if (one := found.get(name)) is None:
                continue
            known = ~(one.unseen | one.undefined)[block]
            view, depth = view_of(angle, whole)
            one.view_deg[block] = np.where(known, view, np.nan)
            one.edge_on[block] = known & hardly_told(depth)
            if network.angle_errors is not None and network.expected_error is not None:
                told = terms(angle, whole, network.expected_error[block], xyz)
                expected = expected_error(network.angle_errors, name, told)
                if estimated and name.endswith(("inclination", "lean")):
                    expected = np.hypot(expected, VERTICAL_ERROR)
                one.degrees[block] = np.where(known, expected, np.nan)
    return found


def unsure_joints(motion: Poses3D) -> NDArray[np.bool_]:
    """Return (F, 21) of `H36M17_FEET` the joints of which the detector is not sure."""
    feet = motion.keypoints.feet
    confidence = motion.network.confidence
    if feet is not None:
        confidence = np.concatenate([confidence, feet.confidence], 1)
    unsure = np.zeros((len(motion), len(H36M17_FEET)), bool)
    unsure[:, : confidence.shape[1]] = np.nan_to_num(confidence) <= MIN_CONFIDENCE
    return unsure


def expected_error(table: AngleErrorTable, name: str, terms: Array) -> Array:
    """Return the expected error of an angle, (F,) degrees, by its (F, 4) terms; NaN if the table does not have it."""
    row = table.rows.get(plain_name(name))
    if row is None:
        return np.full(len(terms), np.nan)
    slopes = np.array(row[1:])
    used = np.where(slopes > 0, terms, 0.0)  # a term that does not count may be unknown
    return np.asarray(table.factor.get(plain_name(name), 1.0) * np.exp(row[0] + used @ slopes))


def terms(angle: Angle, points: Array, errors: NDArray[np.floating], xyz: Array) -> Array:
    """Return what the expected error of an angle depends on, (F, 4) in the order of `AngleErrorTable`'s slopes.

    Args:
        angle: measured on `points`.
        points: (F, N, 3) in the axes of the camera, from its centre.
        errors: (F, J) the joints' expected errors, in the unit of `xyz`.
        xyz: (F, J, 3) the network's joints.
    """
    view, depth = view_of(angle, points)
    joints = [j for j in angle.joints if j < len(H36M17)]
    size = np.linalg.norm(xyz[:, 1:] - xyz[:, _PARENTS], axis=-1).mean(1)
    off = np.sqrt(np.square(errors[:, joints].astype(np.float64)).mean(1)) / np.maximum(size, 1e-9)
    across = np.nan_to_num((angle.segment * angle.normal).sum(-1))
    share = np.sqrt(np.clip(1 - np.square(across), 0.04, 1))
    squared = np.square(np.sin(np.radians(view)))
    return np.stack(
        [np.where(np.isfinite(view), squared, 0.5), depth, np.log(np.maximum(off, 1e-3)), -np.log(share)], -1
    )


def view_of(angle: Angle, points: Array) -> tuple[Array, Array]:
    """Return how an angle's plane is seen.

    Args:
        angle: measured on `points`.
        points: (F, N, 3) in the axes of the camera, from its centre.

    Returns:
        (F,) degrees between the line of sight and the plane's normal: 0 from the side, 90 edge-on; NaN without a plane.
        And (F,) the squared share of a small turn of the bone that is along the line of sight, 0 to 1; without a plane
        the mean over all of them.
    """
    ray = points[:, angle.joints[0]] / np.linalg.norm(points[:, angle.joints[0]], axis=-1, keepdims=True)
    view = np.degrees(np.arccos(np.clip(np.abs((ray * angle.normal).sum(-1)), 0, 1)))
    turn = np.cross(angle.normal, angle.segment)
    length = np.maximum(np.linalg.norm(turn, axis=-1), 1e-9)
    depth = np.square((turn * ray).sum(-1) / length)
    aside = (1 - np.square((angle.segment * ray).sum(-1))) / 2
    return view, np.where(np.isfinite(view), depth, aside)


def hardly_told(depth: Array) -> NDArray[np.bool_]:
    """Tell where the picture hardly shows a bend, by `view_of`'s share along the line of sight."""
    return np.asarray(depth >= np.sin(np.radians(EDGE_ON)) ** 2)


def in_perspective(
    xyz: NDArray[np.floating], sight: NDArray[np.floating], weights: NDArray[np.floating], focal: float
) -> tuple[Array, Array]:
    """Put a network's poses before its camera, in true perspective.

    Args:
        xyz: (F, J, 3) joints in the unit of the picture at the pelvis's depth, relative to the pelvis.
        sight: (F, J, 2) the 2D joints in that unit, from the picture's centre; NaN where not found.
        weights: (F, J) of the 2D joints.
        focal: the focal length in that unit.

    Returns:
        (F, J, 3) in that unit, from the camera's centre, in its axes; and (F, 2), where the pelvis is in the picture.
    """
    flat = xyz[..., :2].astype(np.float64)
    w = np.where(np.isfinite(sight).all(-1), 0.01 + weights, 0.0).astype(np.float64)[..., None]
    pelvis = (w * (np.where(w > 0, sight, 0.0) - flat)).sum(1) / np.maximum(w.sum(1), 1e-12)
    return place(xyz, pelvis, focal), pelvis


def place(xyz: NDArray[np.floating], pelvis: Array, focal: float) -> Array:
    """Put points (F, N, 3) on their lines of sight; the arguments are those of `in_perspective`."""
    depth = np.maximum(focal + xyz[..., 2:].astype(np.float64), _NEAREST * focal)
    return np.asarray(np.concatenate([(pelvis[:, None] + xyz[..., :2]) / focal * depth, depth], -1))
