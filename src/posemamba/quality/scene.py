"""Checks against the picture and the ground: reprojection, standing feet, the floor, smoothness."""

from __future__ import annotations

import numpy as np

from posemamba.poses import Poses3D
from posemamba.poses.skeletons import ARM_PAIRS, LEG_PAIRS
from posemamba.quality.common import (
    JOINTS,
    MIN_CONFIDENCE,
    Array,
    CheckResult,
    JudgedClip,
    Mask,
    frame_mean,
    frame_median,
    joined,
    known_mean,
    number,
    percentile,
    true_spans,
)
from posemamba.refine.scale import ANKLE_HEIGHT, BODY_LENGTH
from posemamba.refine.stances import STANDS_SECONDS, STANDS_SPEED, picture_speed

FEET_GOAL = 20.0
"""Millimetres that a standing foot may move."""
FEET_LIMITS = {"each other": 100.0, "world": 200.0}
"""Millimetres from its place from which on a standing foot is marked; the path's depth is less accurate than a pose."""
FLOOR_LIMIT, ANOTHER_LEVEL = 0.1, 0.4
"""Metres below its height on the floor from which on an ankle is marked, and from which on it is on another level."""
REPROJECTION_FRAME, REPROJECTION_JOINT = 0.035, 0.08
"""Body lengths between lifted and detected 2D joints from which on a frame (mean) or a joint is marked."""
_FEWEST_JOINTS = 5  # with fewer certain joints any pose fits
_FEET = {"right foot": 3, "left foot": 6}


def check_reprojection(clip: JudgedClip) -> CheckResult:
    """Measure the distance of the lifted x, y from the certain 2D joints, after a translation that fits them best.

    Both are in the virtual camera's picture, before any refinement.

    Joints of low confidence are not counted, as the model knows the confidence and need not follow them.
    """
    result = CheckResult()
    lifted = clip.network.xyz[..., :2].astype(np.float64)
    confident = np.nan_to_num(clip.network.confidence) > MIN_CONFIDENCE
    certain = clip.network.keypoints.found & confident & clip.usable[:, None]
    apart = _best_sides(np.where(certain[..., None], clip.turned_xy, np.nan), lifted) - lifted
    away = np.linalg.norm(apart - frame_median(apart)[:, None], axis=-1)
    away[np.isfinite(away).sum(1) < _FEWEST_JOINTS] = np.nan
    share = away / clip.size[:, None]
    mean = frame_mean(share)
    by_joint = {
        name: {"px": number(known_mean(away[:, j])), "of_body": number(known_mean(share[:, j]))}
        for j, name in enumerate(JOINTS)
    }
    gap = clip.frames_in(0.1)
    whole = joined(np.nan_to_num(mean) > REPROJECTION_FRAME, gap)
    for a, b in true_spans(whole):
        text = f"lifted and 2D joints are {np.nanmax(mean[a:b]):.1%} of the body apart"
        result.faults.append(clip.fault("reprojection", "", (a, b), text))
    for j, name in enumerate(JOINTS):
        off = (np.nan_to_num(share[:, j]) > REPROJECTION_JOINT) & ~whole
        for a, b in true_spans(joined(off, 2 * gap)):  # swapped legs are right for a moment where they cross
            text = f"lifted {name} is {np.nanmax(share[a:b, j]):.0%} of the body from its 2D joint"
            result.faults.append(clip.fault("reprojection", name, (a, b), text))
    worst = max(by_joint, key=lambda name: by_joint[name]["of_body"] or 0.0)
    result.numbers = {
        "mean_px": number(known_mean(away)),
        "mean_of_body": number(known_mean(share)),
        "p95_of_body": number(percentile(share, 95)),
        "worst": worst if by_joint[worst]["of_body"] else None,
        "by_joint": by_joint,
    }
    result.series["reprojection"] = mean
    return result


def _best_sides(xy: Array, lifted: Array) -> Array:
    """Return the 2D joints, legs or arms swapped in the frames in which that fits the lifted joints better.

    A lifting that does not follow the detector's left-right swap is right, so it must not count as an error here.
    """
    xy = xy.copy()
    away = np.linalg.norm
    offset = frame_median(xy - lifted)[:, None]
    for pairs in (LEG_PAIRS, ARM_PAIRS):
        left, right = np.array(pairs).T
        here, there = [*left, *right], [*right, *left]
        as_found = away(xy[:, here] - lifted[:, here] - offset, axis=-1).mean(-1)
        exchanged = away(xy[:, there] - lifted[:, here] - offset, axis=-1).mean(-1)
        turned = exchanged < as_found  # with a joint of these unknown: False
        xy[np.ix_(turned, here)] = xy[np.ix_(turned, there)]
    return xy


def standing(clip: JudgedClip, joint: int) -> Mask:
    """Return (F,) the frames in which the ankle stands still in the picture for at least `STANDS_SECONDS`."""
    xy = clip.xy[:, joint] / clip.size[:, None]
    known = clip.certain[:, joint] & np.isfinite(xy).all(-1)
    speed = picture_speed(clip.times, xy, known, clip.network.fps)
    slow = np.nan_to_num(speed, nan=np.inf) < STANDS_SPEED
    out = np.zeros(len(xy), bool)
    for a, b in true_spans(slow):
        out[a:b] = clip.times[b - 1] - clip.times[a] >= STANDS_SECONDS - 1e-6
    return out


def check_feet(clip: JudgedClip) -> CheckResult:
    """Measure how far feet that stand still in the picture move in 3D: in the world, or else relative to each other."""
    result = CheckResult()
    motion = clip.motion
    in_world = motion.absolute and motion.units == "metre"
    still = {name: standing(clip, joint) for name, joint in _FEET.items()}
    places: dict[str, tuple[Mask, Array]] = {}
    if in_world:
        places = {name: (still[name], motion.xyz[:, j].astype(np.float64)) for name, j in _FEET.items()}
    else:
        both = still["left foot"] & still["right foot"]
        places = {"feet to each other": (both, clip.metre * (clip.xyz[:, 6] - clip.xyz[:, 3]))}
    excursions: list[Array] = []
    count = 0
    for name, (mask, place) in places.items():
        for a, b in true_spans(mask, 3):
            if clip.times[b - 1] - clip.times[a] < STANDS_SECONDS - 1e-6 or not np.isfinite(place[a:b]).all():
                continue
            count += 1
            moved = 1000 * np.linalg.norm(place[a:b] - np.median(place[a:b], axis=0), axis=-1)
            excursions.append(moved)
            if moved.max() > FEET_LIMITS["world" if in_world else "each other"]:
                text = f"{name} {'move' if name.startswith('feet') else 'slides'}: {moved.max() / 10:.0f} cm while "
                text += "standing in the picture"
                result.faults.append(clip.fault("feet", name, (a, b), text))
    every = np.concatenate(excursions) if excursions else np.zeros(0)
    result.numbers = {
        "goal_mm": FEET_GOAL,
        "measured": "in the world" if in_world else "from each other",
        "stands": count,
        "seconds": float(len(every) / clip.network.fps),
        "p95_mm": number(percentile(every, 95)),
    }
    if in_world and motion.frame == "world":
        _floor(clip, motion, result)
    return result


def _floor(clip: JudgedClip, motion: Poses3D, result: CheckResult) -> None:
    """Find ankles below the floor of a world that `upright` made; add them to `result`."""
    ankle = ANKLE_HEIGHT * clip.metre / BODY_LENGTH
    below = ankle - np.where(motion.seen[:, None], motion.xyz[:, list(_FEET.values()), 2], np.nan).astype(np.float64)
    lower = np.nan_to_num(below) > ANOTHER_LEVEL
    if lower.any():
        result.remarks.append(
            f"the feet come {np.nanmax(below):.1f} m below the floor that was found: not one level ground, or the path "
            "is wrong"
        )
    below[lower] = np.nan
    marked: Mask = np.asarray(np.nan_to_num(below) > FLOOR_LIMIT, dtype=bool)
    result.numbers |= {
        "floor_p95_mm": number(1000 * percentile(np.maximum(below, 0), 95)),
        "floor_share_of_frames": float(marked[motion.seen].any(1).mean()) if motion.seen.any() else None,
    }
    for k, name in enumerate(_FEET):
        for a, b in true_spans(joined(marked[:, k], clip.frames_in(0.1))):
            text = f"{name} {100 * np.nanmax(below[a:b, k]):.0f} cm below the floor"
            result.faults.append(clip.fault("floor", name, (a, b), text))


def check_smoothness(clip: JudgedClip) -> CheckResult:
    """Measure accelerations relative to the pelvis, metres a second squared, of the poses and of the refined motion."""
    result = CheckResult()
    kinds = {"raw": clip.metre * clip.xyz}
    if clip.refined is not None:
        xyz = clip.refined.xyz.astype(np.float64)
        scale = 1.0 if clip.refined.units == "metre" else clip.metre / clip.size[:, None, None]
        kinds["refined"] = (xyz - xyz[:, :1]) * scale
    for name, xyz in kinds.items():
        result.numbers[name] = None
        if len(xyz) > 2:
            step = float(np.median(np.diff(clip.times)))
            bend = np.linalg.norm(np.diff(xyz[:, 1:], 2, axis=0), axis=-1) / step**2
            result.numbers[name] = {
                "median": number(percentile(bend, 50)),
                "p95": number(percentile(bend, 95)),
            }
    return result
