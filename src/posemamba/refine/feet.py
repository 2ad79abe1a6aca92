"""Steady feet: the ankle of a foot that stands stays in one place.

Whether a foot stands is seen in the picture: under a camera that stands still, its ankle stays where it is, while the
lifted one wanders, most of all in depth. Each stance of an ankle gets one place, the robust mean of where it was
lifted to. What the ankle lacks to be there is shared: the pelvis takes what is common to both feet and what lies along
the line of sight, where the path is least sure; the leg takes the rest, turned at the hip and bent at the knee in the
plane in which it is bent (two-bone inverse kinematics). Before and after a stance both fade out, on curves without
kinks. No bone changes its length; where a leg is too short for its place, or had to straighten much, the pelvis comes
along.

Without a path only the two feet are known to keep their places to each other while both stand: then the legs share
what is missing, and the pelvis stays the origin.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from posemamba.poses import Motion3D, Step
from posemamba.refine.common import (
    SURE,
    Array,
    Mask,
    fit_size,
    huber_weights,
    positions,
    roughness,
    runs,
    stretches,
    with_step,
)
from posemamba.refine.scale import SIZE_CUTOFF
from posemamba.utils.errors import PoseMambaError

__all__ = ["STANDS_SECONDS", "STANDS_SPEED", "picture_speed", "stances", "standing", "steady_feet"]

Numbers = NDArray[np.int64]

STANDS_SPEED = 0.06
"""Body lengths a second (10 cm a second): in the picture a standing foot is slower."""
STANDS_SECONDS = 0.3
SPEED_SECONDS = 0.2
"""A straight line through so many frames gives the speed."""
STAYS_WITHIN = 0.0125
"""Body lengths (2 cm) from its place in the picture: a standing foot stays within. With more jitter of the detector
this grows, and `STANDS_SPEED` with it."""
_JITTERS = 5.5  # times the median distance from parabolas through the frames around
_STAYS_WITHIN_MOST = 0.03  # body lengths: with more jitter nobody can tell
_SAME_FOOTHOLD, _ELSEWHERE = 0.5, 0.1
"""Seconds for which a standing ankle may be lost, and for which it may be seen elsewhere, and still be on the same
foothold: nobody lifts a foot and puts it back as quickly, but a detector takes it for the other one."""
TOO_FAR = 0.2
"""Body lengths from its place from which on a foot seems to move along the line of sight: it is left alone."""
_SURELY = 2.0  # seconds for which nobody moves a foot along the line of sight: then it is the path that wanders
ROOT_FADE, LEG_FADE = 0.15, 0.07
"""Seconds: how fast the corrections of the path and of the legs come and go; half is gone after 1.7 times that."""
ROOT_SHARE_DEPTH, ROOT_SHARE_ACROSS = 0.99, 0.5
"""What the path takes, along the line of sight and across it, of a correction that stays."""
_REACH, _STRETCH = 0.999, 0.3  # of a leg's length; the share of what it lacks by which a leg may straighten
_HOLD = 1000.0  # weight of a stance's frames against that of leaving the leg as it is
_LEG_MOST = 0.05  # body lengths by which no ankle is moved against the pelvis: who needs more is lifted wrong
_SETTLES = 0.07  # seconds at the ends of a stance in which the place holds the foot ever less
_FADED = (0.6, 1.2)  # seconds from a stance at which a correction is wound down, and from which there is none
_PULLS = 12  # turns in which the pelvis comes along where a leg is too short
_PULL = 30.0  # weight of such frames
_USUAL = 0.15  # seconds: standard deviation of what counts as the time around
_LEGS = ((1, 2, 3), (4, 5, 6))
_THORAX = 8


def picture_speed(times: Array, xy: Array, known: Mask, fps: float) -> Array:
    """(F,) speed of a joint in the picture, in units of `xy` a second; NaN where not known for long enough."""
    from scipy.signal import savgol_filter

    width = _speed_frames(fps)
    speed = np.full(len(xy), np.nan)
    for a, b in runs(known, width):
        step = float(np.median(np.diff(times[a : b + 1])))
        speed[a : b + 1] = np.linalg.norm(savgol_filter(xy[a : b + 1], width, 1, deriv=1, delta=step, axis=0), axis=-1)
    return speed


def stances(times: Array, xy: Array, size: Array, known: Mask, fps: float) -> list[tuple[int, int]]:
    """When an ankle stands in the picture: (first, last) frames.

    It begins where the ankle is slow, and goes on both ways for as long as it stays at that place; two at one place
    with a moment between them, in which the ankle jumps or is lost, are one.

    Args:
        times: (F,) seconds.
        xy: (F, 2) places in the picture, pixels.
        size: (F,) the body's length in pixels.
        known: (F,) the detector is sure of the ankle.
        fps: frames per second.
    """
    from scipy.ndimage import median_filter

    speed = picture_speed(times, xy, known, fps) / size
    jitter = _jitter(xy, known, fps) / size
    still = np.flatnonzero(speed < 4 * STANDS_SPEED)
    usual = _JITTERS * float(np.median(jitter[still])) if len(still) else 0.0
    radius = float(np.clip(usual, STAYS_WITHIN, _STAYS_WITHIN_MOST))
    calm = np.full(xy.shape, np.nan)  # without single frames that jump
    for a, b in runs(known):
        calm[a : b + 1] = median_filter(xy[a : b + 1], size=(3, 1), mode="nearest")
    found: list[tuple[int, int]] = []
    for a, b in runs(np.nan_to_num(speed, nan=np.inf) < STANDS_SPEED * radius / STAYS_WITHIN):
        if found and b <= found[-1][1]:
            continue
        place = np.median(xy[a : b + 1], axis=0)
        near = np.nan_to_num(np.linalg.norm(calm - place, axis=-1) / size, nan=np.inf) <= radius
        while a > 0 and near[a - 1]:
            a -= 1
        while b < len(xy) - 1 and near[b + 1]:
            b += 1
        if found and times[a] - times[found[-1][1]] <= _SAME_FOOTHOLD:
            first, last = found[-1]
            before = np.nanmedian(xy[first : last + 1], axis=0) if last < a else place
            left = known[last + 1 : a] & ~near[last + 1 : a]  # seen elsewhere
            if np.linalg.norm(before - place) / size[a] <= radius and left.sum() / fps <= _ELSEWHERE:
                found[-1] = (first, max(b, last))
                continue
            a = max(a, last + 1)
        if a <= b:
            found.append((a, b))
    return [(a, b) for a, b in found if times[b] - times[a] >= STANDS_SECONDS - 1e-6]


def standing(motion: Motion3D) -> Numbers:
    """(F, 2) in which stance in the picture the right and the left ankle is, counted from 1; 0: in none."""
    poses, times = motion.poses, motion.frame_times()
    in_picture, _, _ = fit_size(
        replace(Motion3D.raw(poses), seen=motion.seen), poses.xyz.astype(np.float64), SIZE_CUTOFF
    )
    sure = poses.keypoints.found & (np.nan_to_num(poses.confidence) > SURE) & motion.seen[:, None]
    xy = poses.keypoints.xy.astype(np.float64)
    stands = np.zeros((len(motion), 2), np.int64)
    for foot, (_, _, ankle) in enumerate(_LEGS):
        for number, (a, b) in enumerate(stances(times, xy[:, ankle], in_picture, sure[:, ankle], motion.fps), start=1):
            stands[a : b + 1, foot] = number
    stands[~motion.seen] = 0
    return stands


def _jitter(xy: Array, known: Mask, fps: float) -> Array:
    """(F,) distance from a parabola through the frames around, in units of `xy`: the detector's own unrest."""
    from scipy.signal import savgol_filter

    width = _speed_frames(fps)
    off = np.full(len(xy), np.nan)
    for a, b in runs(known, width):
        off[a : b + 1] = np.linalg.norm(xy[a : b + 1] - savgol_filter(xy[a : b + 1], width, 2, axis=0), axis=-1)
    return off


def _speed_frames(fps: float) -> int:
    """Frames, odd, through which curves are laid."""
    return max(3, 2 * (max(1, round(SPEED_SECONDS * fps)) // 2) + 1)


def steady_feet(motion: Motion3D) -> Motion3D:
    """Let feet that stand stand still.

    With a path each ankle that stands in the picture gets one place in the camera's frame; without one, the two keep
    their places to each other while both stand. The camera is taken as standing still.

    Args:
        motion: in any unit, in the camera's frame.

    Returns:
        The motion; no bone changes its length. Where no foot stands nothing changes. Reported: the stances and their
        seconds; those left alone, since the foot moves too far in depth; how far standing ankles were from their
        places before and after (95 % of the frames) and how far joints were moved (root mean square, most), in the
        motion's unit; and the frames in which a leg was too short, so that its foot falls short of its place.

    Raises:
        PoseMambaError: a motion in a world, or nobody seen.
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
    for frames in stretches(motion):
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
    return done


def _goals(motion: Motion3D, xyz: Array, size: Array) -> tuple[Numbers, Array, int, int]:
    """Where standing ankles are to be.

    Returns:
        (F, 2) the number of the stance in which the right and the left ankle is held, 0 for none; (F, 2, 3) where;
        how many stances these are, and how many more were left alone.
    """
    times, stands = motion.frame_times(), standing(motion)
    ankles = xyz[:, [leg[2] for leg in _LEGS]]
    held, goal, count, left_alone = np.zeros((len(xyz), 2), np.int64), ankles.copy(), 0, 0
    for frames in stretches(motion):
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
    """(3,) the robust mean of (n, 3)."""
    place = np.median(points, axis=0)
    for _ in range(8):
        weights = huber_weights(np.linalg.norm(points - place, axis=-1), np.ones(len(points)))
        place = (weights[:, None] * points).sum(0) / weights.sum()
    return place


def _off(xyz: Array, held: Numbers, goal: Array, absolute: bool) -> float:
    """95 % of the time held ankles are nearer to their places, or to their places to each other, than this."""
    if not held.any():
        return 0.0
    lack = goal - xyz[:, [leg[2] for leg in _LEGS]]
    off = lack[held > 0] if absolute else (lack[:, 1] - lack[:, 0])[held[:, 0] > 0]
    return float(np.percentile(np.linalg.norm(off, axis=-1), 95))


def _steady(
    times: Array, xyz: Array, size: Array, held: Numbers, goal: Array, absolute: bool
) -> tuple[Array, Mask, Mask]:
    """One stretch.

    Returns:
        (n, 17, 3) the positions; (n,) frames that were changed; (n,) frames in which a leg was too short.
    """
    ankles = xyz[:, [leg[2] for leg in _LEGS]]
    lack = goal - ankles
    fade = _fade(times, np.asarray((held > 0).any(1)))
    firm = np.stack([_firm(times, held[:, foot]) for foot in range(2)], 1)
    root = _root(times, xyz, firm, lack, fade) if absolute else np.zeros((len(xyz), 3))
    hold = np.where(firm > 0, _HOLD**firm, 0.0)
    hips, knees = xyz[:, [leg[0] for leg in _LEGS]], xyz[:, [leg[1] for leg in _LEGS]]
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
    for foot, (hip, knee, ankle) in enumerate(_LEGS):
        reach = np.minimum(far[:, foot], longest[:, foot])
        bent, end = _bend(times, xyz[:, [hip, knee, ankle]], way[:, foot], reach, forward)
        steady[:, knee], steady[:, ankle] = steady[:, hip] + bent, steady[:, hip] + end
    near = fade > 0
    steady[~near] = xyz[~near]
    return steady, near, (beyond > 1e-3 * longest).any(1) & near


def _fade(times: Array, held: Mask) -> Array:
    """(n,) 1 near stances, 0 far from them, without a kink between."""
    on = times[held]
    right = np.clip(np.searchsorted(on, times), 0, len(on) - 1)
    away = np.minimum(np.abs(times - on[right]), np.abs(times - on[np.maximum(right - 1, 0)]))
    x = np.clip((_FADED[1] - away) / (_FADED[1] - _FADED[0]), 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def _firm(times: Array, held: Numbers) -> Array:
    """(n,) 1 within stances, less towards their ends, where the foot begins to leave; 0 elsewhere."""
    firm = np.zeros(len(times))
    step = float(np.median(np.diff(times)))
    for number in np.unique(held[held > 0]):
        on = np.flatnonzero(held == number)
        since = times[on] - times[on[0]] if on[0] > 0 else np.inf  # where the clip begins no foot arrives
        until = times[on[-1]] - times[on] if on[-1] < len(times) - 1 else np.inf
        from_end = np.minimum(since, until) + step / 2
        firm[on] = np.minimum(1, from_end / _SETTLES)
    return firm


def _root(times: Array, xyz: Array, firm: Array, lack: Array, fade: Array) -> Array:
    """(n, 3) how the path moves: smoothly after what both feet lack, most of all along the line of sight."""
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
    """(n, K) a smooth curve that follows the values where they weigh and returns to 0, of weight 1, elsewhere.

    Away from values it falls as (1 + t/fade) exp(-t/fade): as fast as it can without swinging.
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
    """(n, 3) where the body faces, of length 1: across the hips and up."""
    forward = np.cross(xyz[:, 4] - xyz[:, 1], xyz[:, _THORAX] - xyz[:, 0])
    return np.asarray(forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-12))


def _bend(times: Array, leg: Array, way: Array, reach: Array, forward: Array) -> tuple[Array, Array]:
    """Two-bone inverse kinematics: from the hip to knee and ankle, (n, 3) each, for an ankle that lies elsewhere.

    The leg turns with the line from hip to ankle and stays bent in the plane in which it is. Where it has to bend more
    than it does, the rest bends as it does around that time, for the plane of a straight leg is noise.

    Args:
        times: (n,).
        leg: (n, 3, 3) hip, knee and ankle as they are.
        way: (n, 3) from the hip to where the ankle is to be.
        reach: (n,) how far along it the ankle comes.
        forward: (n, 3) where the body faces.
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
