"""Against the picture and the ground: reprojection, feet that stand, the floor, jitter."""

from __future__ import annotations

import numpy as np

from posemamba.poses import Motion3D
from posemamba.quality.common import (
    ARMS,
    JOINTS,
    LEGS,
    SURE,
    Array,
    Clip,
    Found,
    Mask,
    frame_mean,
    frame_median,
    joined,
    number,
    percentile,
    runs,
)
from posemamba.refine.feet import STANDS_SECONDS, STANDS_SPEED, picture_speed
from posemamba.refine.scale import ANKLE_HEIGHT, BODY_LENGTH

FEET_GOAL = 20.0
"""Millimetres that the foot of somebody who stands may move."""
FEET_LIMITS = {"each other": 100.0, "world": 200.0}
"""Millimetres from its place from which on a standing foot is marked; the path's depth is less sure than a pose."""
FLOOR_LIMIT, ANOTHER_LEVEL = 0.1, 0.4
"""Metres below its height on the floor from which on an ankle is marked; who is lower still is on another level."""
REPROJECTION_FRAME, REPROJECTION_JOINT = 0.035, 0.08
"""Body lengths between lifted and found 2D joints from which on a frame (mean) or a joint is marked."""
_FEWEST_JOINTS = 5  # of which the detector is sure; with fewer any pose fits
_FEET = {"right foot": 3, "left foot": 6}


def check_reprojection(clip: Clip) -> Found:
    """How far the lifted x, y, put where they fit best, lie from the 2D joints of which the detector is sure.

    Joints that it doubts are not counted, for the model is told and need not follow them.
    """
    found = Found()
    lifted = clip.poses.xyz[..., :2].astype(np.float64)
    sure = clip.poses.keypoints.found & (np.nan_to_num(clip.poses.confidence) > SURE) & clip.usable[:, None]
    apart = _either_way(np.where(sure[..., None], clip.xy, np.nan), lifted) - lifted
    away = np.linalg.norm(apart - frame_median(apart)[:, None], axis=-1)
    away[np.isfinite(away).sum(1) < _FEWEST_JOINTS] = np.nan
    share = away / clip.size[:, None]
    mean = frame_mean(share)
    by_joint = {
        name: {"px": number(_mean(away[:, j])), "of_body": number(_mean(share[:, j]))} for j, name in enumerate(JOINTS)
    }
    gap = clip.frames_in(0.1)
    whole = joined(np.nan_to_num(mean) > REPROJECTION_FRAME, gap)
    for a, b in runs(whole):
        text = f"lifted and 2D joints are {np.nanmax(mean[a : b + 1]):.1%} of the body apart"
        found.faults.append(clip.fault("reprojection", "", a, b, text))
    for j, name in enumerate(JOINTS):
        off = (np.nan_to_num(share[:, j]) > REPROJECTION_JOINT) & ~whole
        for a, b in runs(joined(off, 2 * gap)):  # legs that are mistaken for each other are right in between
            text = f"lifted {name} is {np.nanmax(share[a : b + 1, j]):.0%} of the body from its 2D joint"
            found.faults.append(clip.fault("reprojection", name, a, b, text))
    worst = max(by_joint, key=lambda name: by_joint[name]["of_body"] or 0.0)
    found.numbers = {
        "mean_px": number(_mean(away)),
        "mean_of_body": number(_mean(share)),
        "p95_of_body": number(percentile(share, 95)),
        "worst": worst if by_joint[worst]["of_body"] else None,
        "by_joint": by_joint,
    }
    found.series["reprojection"] = mean
    return found


def _either_way(xy: Array, lifted: Array) -> Array:
    """The 2D joints, left and right of the legs or arms exchanged in the frames in which that fits the lifted better.

    Which is which is not asked here: a lifting that does not follow the detector's exchange is right, one that does
    flips.
    """
    xy = xy.copy()
    away = np.linalg.norm
    offset = frame_median(xy - lifted)[:, None]
    for pairs in (LEGS, ARMS):
        left, right = np.array(pairs).T
        here, there = [*left, *right], [*right, *left]
        as_found = away(xy[:, here] - lifted[:, here] - offset, axis=-1).mean(-1)
        exchanged = away(xy[:, there] - lifted[:, here] - offset, axis=-1).mean(-1)
        turned = exchanged < as_found  # with a joint of these unknown: False
        xy[np.ix_(turned, here)] = xy[np.ix_(turned, there)]
    return xy


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan


def standing(clip: Clip, joint: int) -> Mask:
    """(F,) frames in which the ankle stands still in the picture, for `STANDS_SECONDS` at least."""
    xy = clip.xy[:, joint] / clip.size[:, None]
    known = clip.sure[:, joint] & np.isfinite(xy).all(-1)
    speed = picture_speed(clip.times, xy, known, clip.poses.fps)
    slow = np.nan_to_num(speed, nan=np.inf) < STANDS_SPEED
    out = np.zeros(len(xy), bool)
    for a, b in runs(slow):
        out[a : b + 1] = clip.times[b] - clip.times[a] >= STANDS_SECONDS - 1e-6
    return out


def check_feet(clip: Clip) -> Found:
    """How far feet that stand still in the picture move in 3D: in the world, or, without a path, from each other."""
    found = Found()
    motion = clip.motion
    in_world = motion is not None and motion.absolute and motion.units == "metre"
    still = {name: standing(clip, joint) for name, joint in _FEET.items()}
    places: dict[str, tuple[Mask, Array]] = {}
    if motion is not None and in_world:
        places = {name: (still[name], motion.xyz[:, j].astype(np.float64)) for name, j in _FEET.items()}
    else:
        both = still["left foot"] & still["right foot"]
        places = {"feet to each other": (both, clip.metre * (clip.xyz[:, 6] - clip.xyz[:, 3]))}
    excursions: list[Array] = []
    count = 0
    for name, (mask, place) in places.items():
        for a, b in runs(mask, 3):
            if clip.times[b] - clip.times[a] < STANDS_SECONDS - 1e-6 or not np.isfinite(place[a : b + 1]).all():
                continue
            count += 1
            moved = 1000 * np.linalg.norm(place[a : b + 1] - np.median(place[a : b + 1], axis=0), axis=-1)
            excursions.append(moved)
            if moved.max() > FEET_LIMITS["world" if in_world else "each other"]:
                text = f"{name} {'move' if name.startswith('feet') else 'slides'}: {moved.max() / 10:.0f} cm while "
                text += "standing in the picture"
                found.faults.append(clip.fault("feet", name, a, b, text))
    every = np.concatenate(excursions) if excursions else np.zeros(0)
    found.numbers = {
        "goal_mm": FEET_GOAL,
        "measured": "in the world" if in_world else "from each other",
        "stands": count,
        "seconds": float(len(every) / clip.poses.fps),
        "p95_mm": number(percentile(every, 95)),
    }
    if motion is not None and in_world and motion.frame == "world":
        _floor(clip, motion, found)
    return found


def _floor(clip: Clip, motion: Motion3D, found: Found) -> None:
    """Ankles below the floor of a world that `upright` found."""
    ankle = ANKLE_HEIGHT * clip.metre / BODY_LENGTH
    below = ankle - np.where(motion.seen[:, None], motion.xyz[:, list(_FEET.values()), 2], np.nan).astype(np.float64)
    lower = np.nan_to_num(below) > ANOTHER_LEVEL
    if lower.any():
        found.remarks.append(
            f"the feet come {np.nanmax(below):.1f} m below the floor that was found: not one level ground, or the path "
            "is wrong"
        )
    below[lower] = np.nan
    marked: Mask = np.asarray(np.nan_to_num(below) > FLOOR_LIMIT, dtype=bool)
    found.numbers |= {
        "floor_p95_mm": number(1000 * percentile(np.maximum(below, 0), 95)),
        "floor_share_of_frames": float(marked[motion.seen].any(1).mean()) if motion.seen.any() else None,
    }
    for k, name in enumerate(_FEET):
        for a, b in runs(joined(marked[:, k], clip.frames_in(0.1))):
            text = f"{name} {100 * np.nanmax(below[a : b + 1, k]):.0f} cm below the floor"
            found.faults.append(clip.fault("floor", name, a, b, text))


def check_smoothness(clip: Clip) -> Found:
    """Accelerations relative to the pelvis, metres a second squared, of the poses and of the refined motion."""
    found = Found()
    kinds = {"raw": clip.metre * clip.xyz}
    if clip.motion is not None:
        xyz = clip.motion.xyz.astype(np.float64)
        scale = 1.0 if clip.motion.units == "metre" else clip.metre / clip.size[:, None, None]
        kinds["refined"] = (xyz - xyz[:, :1]) * scale
    for name, xyz in kinds.items():
        found.numbers[name] = None
        if len(xyz) > 2:
            step = float(np.median(np.diff(clip.times)))
            bend = np.linalg.norm(np.diff(xyz[:, 1:], 2, axis=0), axis=-1) / step**2
            found.numbers[name] = {
                "median": number(percentile(bend, 50)),
                "p95": number(percentile(bend, 95)),
            }
    return found
