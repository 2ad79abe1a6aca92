"""Foot locking: the ankle of a standing foot stays in one place.

`posemamba.refine.stances` finds the stances. Each stance of an ankle gets one place, the robust mean of its lifted
positions. The correction of the ankle is shared between pelvis and leg:

- the pelvis takes what is common to both feet, and what lies along the line of sight, where the path is least accurate;
- the leg takes the rest by two-bone inverse kinematics: it turns at the hip and bends at the knee, in its own plane.

Before and after a stance both corrections fade out, on curves without kinks. No bone changes its length. Where a leg is
too short for its place, or would have to straighten much, the pelvis follows.

Without a path, only the feet's places relative to each other are known, while both stand. Then the legs share the
correction, and the pelvis stays the origin.

Heels and foot tips, where there are any, move with their ankle. With a path, a heel or tip that stands still in the
picture is held by itself, too: the foot turns at the ankle, and its sole at the heel, without a change of length. So a
foot whose heel has left the ground still stands on its tip.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from posemamba.poses import Poses3D, Step
from posemamba.poses.curves import huber_weights, roughness
from posemamba.poses.skeletons import FEET_SIDES
from posemamba.refine.common import (
    MIN_CONFIDENCE,
    Array,
    Mask,
    feet_positions,
    fit_size,
    positions,
    segment_frames,
    with_step,
)
from posemamba.refine.scale import SIZE_CUTOFF
from posemamba.refine.stances import LEGS, STANDS_SECONDS, STANDS_SPEED, Numbers, size_in_picture, stances, standing
from posemamba.utils.errors import PoseMambaError

__all__ = ["steady_feet"]

TOO_FAR = 0.2
"""Body lengths from its place: a foot that is further away may be moving along the line of sight, and is not locked."""
_SURELY = 2.0  # seconds: a longer stance is locked all the same; the distance is then an error of the path
ROOT_FADE, LEG_FADE = 0.15, 0.07
"""Seconds: how fast the corrections of the path and of the legs fade; half is gone after 1.7 times that."""
ROOT_SHARE_DEPTH, ROOT_SHARE_ACROSS = 0.99, 0.5
"""Shares of a lasting correction that the path takes, along the line of sight and across it."""
_REACH, _STRETCH = 0.999, 0.3  # of a leg's length; share of the missing length by which a leg may straighten
_HOLD = 1000.0  # weight of a stance's frames, against 1 for leaving the leg as it is
_LEG_MOST = 0.05  # body lengths: the most that an ankle moves against the pelvis; more means a wrong pose
_SETTLES = 0.07  # seconds at the ends of a stance over which the lock is released
_FADED = (0.6, 1.2)  # seconds from a stance between which a correction is faded out
_PULLS = 12  # iterations in which the pelvis follows where a leg is too short
_PULL = 30.0  # weight of such frames
_USUAL = 0.15  # seconds: standard deviation of the window for the usual direction of the knee
_THORAX = 8


def steady_feet(motion: Poses3D) -> Poses3D:
    """Hold standing feet in place.

    With a path, each ankle that stands still in the picture gets one place in the camera's frame. Without one, the two
    ankles keep their places relative to each other while both stand. The camera is assumed to stand still.

    Args:
        motion: in any unit, in the camera's frame.

    Returns:
        The motion; no bone changes its length, and frames far from any stance do not change. The step reports, lengths
        in the motion's unit: the stances and their seconds; `left_alone`, stances in which the foot moves too far in
        depth; how far standing ankles were from their places before and after (95th percentile); how far joints were
        moved (root mean square, most); and the frames in which a leg was too short to reach its place.

    Raises:
        PoseMambaError: the motion is in a world, or nobody was seen.
    """
    if motion.frame != "camera":
        raise PoseMambaError(
            "the motion is in a world, expected the camera's frame: steady the feet before turning upright"
        )
    xyz, times = positions(motion), motion.frame_times()
    size, _, _ = fit_size(motion, xyz, SIZE_CUTOFF)
    held, goal, count, left_alone = _goals(motion, xyz, size)
    steady = xyz.copy()
    changed, short = np.zeros(len(xyz), bool), np.zeros(len(xyz), bool)
    for frames in segment_frames(motion):
        if held[frames].any():
            moved, near, out = _steady(
                times[frames], xyz[frames], size[frames], held[frames], goal[frames], motion.absolute
            )
            steady[frames], changed[frames], short[frames] = moved, near, out
    moved_by = np.linalg.norm((steady - xyz)[changed], axis=-1)
    step = Step(
        "steady_feet",
        {
            "measured": "in the world" if motion.absolute else "from each other",
            "stands_seconds": STANDS_SECONDS,
            "stands_speed_body_lengths_per_second": STANDS_SPEED,
            "root_fade_seconds": ROOT_FADE,
            "leg_fade_seconds": LEG_FADE,
        },
        {
            "stances": count,
            "seconds": float((held > 0).sum() / motion.fps / (1 if motion.absolute else 2)),
            "left_alone": left_alone,
            "ankles_off_p95_before": _off(xyz, held, goal, motion.absolute),
            "ankles_off_p95_after": _off(steady, held, goal, motion.absolute),
            "moved_rms": float(np.sqrt((moved_by**2).mean())) if len(moved_by) else 0.0,
            "moved_most": float(moved_by.max()) if len(moved_by) else 0.0,
            "leg_too_short_frames": int(short.sum()),
        },
    )
    done = with_step(motion, step, steady)
    done.xyz[~changed] = motion.xyz[~changed]
    if motion.absolute and (feet := feet_positions(done)) is not None and motion.network.keypoints.feet is not None:
        soles, held_points = _hold_soles(done, feet, size)
        done.feet = soles.astype(np.float32)
        step.report["heel_and_toe_stances"] = held_points
    return done


def _hold_soles(motion: Poses3D, feet: Array, size: Array) -> tuple[Array, int]:
    """Hold heels and foot tips that stand still in the picture, without a change of the feet's lengths.

    Args:
        motion: with held ankles, in the camera's frame, with a path.
        feet: (F, 4, 3) its heels and foot tips.
        size: (F,) the body's length.

    Returns:
        (F, 4, 3), and the number of stances of heels and tips.
    """
    times, xyz = motion.frame_times(), motion.xyz.astype(np.float64)
    seen2d = motion.network.keypoints.feet
    assert seen2d is not None
    in_picture = size_in_picture(motion)
    certain = seen2d.found & (seen2d.confidence > MIN_CONFIDENCE) & np.isfinite(feet).all(-1)
    wanted, count = feet.copy(), 0
    for point in range(feet.shape[1]):
        found = stances(times, seen2d.xy[:, point].astype(np.float64), in_picture, certain[:, point], motion.fps)
        held, goal = np.zeros(len(times), np.int64), feet[:, point].copy()
        for a, b in found:
            on = a + np.flatnonzero(np.isfinite(feet[a:b, point]).all(-1))
            place = _place(feet[on, point])
            if np.linalg.norm(feet[on, point] - place, axis=-1).max() <= TOO_FAR * size[on].max():
                count += 1
                held[on], goal[on] = count, place
        for frames in segment_frames(motion, seen=np.asarray(np.isfinite(feet[:, point]).all(-1))):
            if len(frames) < 3 or not held[frames].any():
                continue
            at, firm = times[frames], _firm(times[frames], held[frames])
            lack = (goal - feet[:, point])[frames]
            shift = (
                _curve(at, lack, np.where(firm > 0, _HOLD**firm, 0.0), LEG_FADE) * _fade(at, held[frames] > 0)[:, None]
            )
            most = _LEG_MOST * size[frames, None]
            wanted[frames, point] += shift / (1 + (np.linalg.norm(shift, axis=-1, keepdims=True) / most) ** 4) ** 0.25
    steady = feet.copy()
    for _, _, ankle, heel, toe in FEET_SIDES.values():
        back = _at_length(xyz[:, ankle], wanted[:, heel], feet[:, heel] - xyz[:, ankle])
        steady[:, heel] = back
        whole = np.isfinite(back).all(-1, keepdims=True)
        sole = np.where(whole, feet[:, toe] - feet[:, heel], feet[:, toe] - xyz[:, ankle])
        steady[:, toe] = _at_length(np.where(whole, back, xyz[:, ankle]), wanted[:, toe], sole)
    return steady, count


def _at_length(start: Array, towards: Array, bone: Array) -> Array:
    """Return the ends, (F, 3), of bones from `start` in the direction of `towards` with the lengths of `bone`."""
    way = towards - start
    far = np.linalg.norm(way, axis=-1, keepdims=True)
    return np.asarray(start + way * (np.linalg.norm(bone, axis=-1, keepdims=True) / np.maximum(far, 1e-12)))


def _goals(motion: Poses3D, xyz: Array, size: Array) -> tuple[Numbers, Array, int, int]:
    """Compute the places of standing ankles.

    Returns:
        (F, 2) the number of the stance in which the right and the left ankle is held, 0 for none; (F, 2, 3) the places;
        the number of these stances; and the number of stances that were left alone.
    """
    times, stands = motion.frame_times(), standing(motion)
    ankles = xyz[:, [leg[2] for leg in LEGS]]
    held, goal, count, left_alone = np.zeros((len(xyz), 2), np.int64), ankles.copy(), 0, 0
    for frames in segment_frames(motion):
        if len(frames) < 3:
            continue
        at = stands[frames]
        if motion.absolute:
            for foot in range(2):
                for number in np.unique(at[at[:, foot] > 0, foot]):
                    on = frames[at[:, foot] == number]
                    place = _place(ankles[on, foot])
                    far = np.linalg.norm(ankles[on, foot] - place, axis=-1).max() > TOO_FAR * size[on].max()
                    if far and times[on[-1]] - times[on[0]] < _SURELY:
                        left_alone += 1
                        continue
                    count += 1
                    held[on, foot], goal[on, foot] = count, place
            continue
        both = at[(at > 0).all(1)]
        for pair in np.unique(both, axis=0):
            on = frames[(at == pair).all(1)]
            if times[on[-1]] - times[on[0]] < STANDS_SECONDS - 1e-6:
                continue
            apart = (ankles[on, 1] - ankles[on, 0]) / size[on, None]
            place = _place(apart)
            if np.linalg.norm(apart - place, axis=-1).max() > TOO_FAR and times[on[-1]] - times[on[0]] < _SURELY:
                left_alone += 1
                continue
            half = size[on, None] * (place - apart) / 2
            count += 1
            held[on] = count
            goal[on] += np.stack([-half, half], 1)
    return held, goal, count, left_alone


def _place(points: Array) -> Array:
    """Return the robust mean, (3,), of (n, 3) points."""
    place = np.median(points, axis=0)
    for _ in range(8):
        weights = huber_weights(np.linalg.norm(points - place, axis=-1), np.ones(len(points)))
        place = (weights[:, None] * points).sum(0) / weights.sum()
    return place


def _off(xyz: Array, held: Numbers, goal: Array, absolute: bool) -> float:
    """Return the 95th percentile of held ankles' distances from their places, or from their places to each other."""
    if not held.any():
        return 0.0
    lack = goal - xyz[:, [leg[2] for leg in LEGS]]
    off = lack[held > 0] if absolute else (lack[:, 1] - lack[:, 0])[held[:, 0] > 0]
    return float(np.percentile(np.linalg.norm(off, axis=-1), 95))


def _steady(
    times: Array, xyz: Array, size: Array, held: Numbers, goal: Array, absolute: bool
) -> tuple[Array, Mask, Mask]:
    """Hold the feet of one segment of n frames.

    Returns:
        (n, 17, 3) the positions; (n,) frames that were changed; (n,) frames in which a leg was too short.
    """
    ankles = xyz[:, [leg[2] for leg in LEGS]]
    lack = goal - ankles
    fade = _fade(times, np.asarray((held > 0).any(1)))
    firm = np.stack([_firm(times, held[:, foot]) for foot in range(2)], 1)
    root = _root(times, xyz, firm, lack, fade) if absolute else np.zeros((len(xyz), 3))
    hold = np.where(firm > 0, _HOLD**firm, 0.0)
    hips, knees = xyz[:, [leg[0] for leg in LEGS]], xyz[:, [leg[1] for leg in LEGS]]
    thigh, shin = np.linalg.norm(knees - hips, axis=-1), np.linalg.norm(ankles - knees, axis=-1)
    longest = np.linalg.norm(ankles - hips, axis=-1)
    longest = longest + _STRETCH * np.maximum(0, _REACH * (thigh + shin) - longest)
    forward = _forward(xyz)
    for turn in range(_PULLS + 1):
        legs = np.stack(
            [_curve(times, lack[:, foot] - root, hold[:, foot], LEG_FADE) for foot in range(2)],
            1,
        )
        legs *= fade[:, None, None]
        legs /= (1 + (np.linalg.norm(legs, axis=-1, keepdims=True) / (_LEG_MOST * size)[:, None, None]) ** 4) ** 0.25
        way = ankles + legs - hips
        far = np.linalg.norm(way, axis=-1)
        beyond = np.maximum(0, far - longest)
        if turn == _PULLS or beyond.max() < 1e-6 * longest.max():
            break
        pull = (beyond / np.maximum(far, 1e-12))[..., None] * way
        pulled = beyond.max(1) > 0
        root = root + fade[:, None] * _curve(times, 1.2 * pull.sum(1), np.where(pulled, _PULL, 0.0), ROOT_FADE)
    steady = xyz + root[:, None] if absolute else xyz.copy()
    for foot, (hip, knee, ankle) in enumerate(LEGS):
        reach = np.minimum(far[:, foot], longest[:, foot])
        bent, end = _bend(times, xyz[:, [hip, knee, ankle]], way[:, foot], reach, forward)
        steady[:, knee], steady[:, ankle] = steady[:, hip] + bent, steady[:, hip] + end
    near = fade > 0
    steady[~near] = xyz[~near]
    return steady, near, (beyond > 1e-3 * longest).any(1) & near


def _fade(times: Array, held: Mask) -> Array:
    """Return (n,) factors: 1 near stances, 0 far from them, without a kink between."""
    on = times[held]
    right = np.clip(np.searchsorted(on, times), 0, len(on) - 1)
    away = np.minimum(np.abs(times - on[right]), np.abs(times - on[np.maximum(right - 1, 0)]))
    x = np.clip((_FADED[1] - away) / (_FADED[1] - _FADED[0]), 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def _firm(times: Array, held: Numbers) -> Array:
    """Return (n,) factors: 1 within stances, less towards their ends, where the foot is released; 0 elsewhere."""
    firm = np.zeros(len(times))
    step = float(np.median(np.diff(times)))
    for number in np.unique(held[held > 0]):
        on = np.flatnonzero(held == number)
        since = times[on] - times[on[0]] if on[0] > 0 else np.inf  # no foot arrives at the clip's first frame
        until = times[on[-1]] - times[on] if on[-1] < len(times) - 1 else np.inf
        from_end = np.minimum(since, until) + step / 2
        firm[on] = np.minimum(1, from_end / _SETTLES)
    return firm


def _root(times: Array, xyz: Array, firm: Array, lack: Array, fade: Array) -> Array:
    """Return the path's smooth correction, (n, 3): what both feet need, most of all along the line of sight."""
    sight = xyz[:, 0] / np.maximum(np.linalg.norm(xyz[:, 0], axis=-1, keepdims=True), 1e-12)
    both = firm.sum(1)
    common = (firm[..., None] * lack).sum(1) / np.maximum(both, 1e-12)[:, None]
    along = (common * sight).sum(-1, keepdims=True)
    shares = []
    for values, share in ((along, ROOT_SHARE_DEPTH), (common - along * sight, ROOT_SHARE_ACROSS)):
        shares.append(_curve(times, values, both * share / (1 - share), ROOT_FADE))
    across = shares[1] - (shares[1] * sight).sum(-1, keepdims=True) * sight
    return np.asarray(fade[:, None] * (shares[0] * sight + across))


def _curve(times: Array, values: Array, weights: Array, fade: float) -> Array:
    """Fit a smooth curve, (n, K), that follows the values where they weigh and returns to 0, of weight 1, elsewhere.

    Away from values it decays as (1 + t/fade) exp(-t/fade), the fastest decay that does not oscillate.
    """
    gaps = np.diff(times)
    per_frame = fade**2 / float(np.median(gaps))
    bands = roughness(times) * (per_frame * fade**2)
    bands[0] += 1 + weights
    pull = 2 * per_frame / gaps
    bands[0, :-1] += pull
    bands[0, 1:] += pull
    bands[1, :-1] -= pull
    return np.asarray(solveh_banded(bands, weights[:, None] * values, lower=True))


def _forward(xyz: Array) -> Array:
    """Return unit vectors, (n, 3), in the direction that the body faces, from the hips' line and the trunk."""
    forward = np.cross(xyz[:, 4] - xyz[:, 1], xyz[:, _THORAX] - xyz[:, 0])
    return np.asarray(forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-12))


def _bend(times: Array, leg: Array, way: Array, reach: Array, forward: Array) -> tuple[Array, Array]:
    """Solve two-bone inverse kinematics for a new place of the ankle.

    The leg turns with the line from hip to ankle and stays bent in its plane. Where it has to bend more than before,
    the additional bend takes the usual direction of the frames around, as the plane of a straight leg is noise.

    Args:
        times: (n,) seconds.
        leg: (n, 3, 3) hip, knee and ankle before.
        way: (n, 3) from the hip to the ankle's new place.
        reach: (n,) how far along `way` the ankle comes.
        forward: (n, 3) the direction that the body faces.

    Returns:
        (n, 3) from the hip to the knee, and (n, 3) from the hip to the ankle.
    """

    from scipy.ndimage import gaussian_filter1d

    def unit(v: Array) -> Array:
        return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12))

    def across(v: Array, line: Array) -> Array:
        return np.asarray(v - (v * line).sum(-1, keepdims=True) * line)

    thigh, shin = leg[:, 1] - leg[:, 0], leg[:, 2] - leg[:, 1]
    upper, lower = np.linalg.norm(thigh, axis=-1), np.linalg.norm(shin, axis=-1)
    old, new = unit(leg[:, 2] - leg[:, 0]), unit(way)
    side = across(thigh, old)
    axis = np.cross(old, new)
    turned = np.cross(axis, side)
    turned = side + turned + np.cross(axis, turned) / np.maximum(1 + (old * new).sum(-1, keepdims=True), 1e-3)
    reach = np.maximum(reach, 1.001 * np.abs(upper - lower))
    along = (upper**2 + reach**2 - lower**2) / np.maximum(2 * reach, 1e-12)
    off = np.sqrt(np.maximum(0, upper**2 - along**2))
    usual = gaussian_filter1d(side, _USUAL / float(np.median(np.diff(times))), axis=0, mode="nearest")
    guide = unit(across(usual + 0.02 * upper[:, None] * forward, new))
    more = np.maximum(0, off - np.linalg.norm(turned, axis=-1))
    knee = along[:, None] * new + off[:, None] * unit(turned + more[:, None] * guide)
    return knee, reach[:, None] * new
