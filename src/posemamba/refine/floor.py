"""People on a floor, as animation programs expect them: upright, feet at height 0, the clip beginning at the origin.

One camera does not tell where the floor is. Its tilt comes from how people stand (`upright`), distances from sizes, and
an error of either makes the feet of somebody who walks rise or sink slowly. So the root's height follows the lowest
point of the body: slow changes are taken out, fast ones (a jump, a leap off a wall) are kept. Bones keep their
directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from posemamba.poses import Poses3D, Step
from posemamba.poses.curves import fit_curve
from posemamba.poses.skeletons import FEET_ANKLES
from posemamba.refine.common import Array, feet_positions, positions, segment_frames, true_spans, with_step
from posemamba.refine.scale import ANKLE_HEIGHT, TYPICAL_HEIGHT
from posemamba.refine.upright import ANKLES, estimate_up, level_axes, pitch_of
from posemamba.utils.errors import PoseMambaError

__all__ = ["NAME", "stand"]

NAME = "floor"
"""The step's name in `Poses3D.steps`."""
_FLESH = 0.04  # metres between the centre of a joint that is no ankle and the floor on which it lies
_WINDOW = 0.3  # seconds around a frame whose lowest points tell the floor's height
_CONTACT = 0.4  # share of these frames in which something touches the floor
_SMOOTH = 2.0  # hertz: slower changes are drift
_REAL = 0.4  # metres a second: height changes as fast as this are real
_SAME_FLOOR = 0.2  # metres between before and after a fast change that are drift
_AROUND_REAL = 0.3  # seconds before and after, which belong to it
_LEVEL = 10.0  # degrees of roll that may come from how somebody stands: only more than these is taken from a camera
_BEGIN = 0.5  # seconds whose median place becomes the origin


def stand(people: Sequence[Poses3D]) -> list[Poses3D]:
    """Put the people of one clip upright on a floor at z = 0, the first one's beginning at the origin.

    All are turned by one pitch, from those of them who stand, and moved along the floor together. Each one's height is
    corrected alone: of people on two levels both are at 0.

    Args:
        people: in the camera's frame, or all in an upright world.

    Returns:
        The motions in frame ``world`` (x right, y away from the camera, z up) with a step ``floor``. Its report names
        the camera's pitch, or that nobody stands long enough to tell it, and the largest drift that was taken out.

    Raises:
        PoseMambaError: nobody was seen in a motion, or its times do not rise.
    """
    worlds, report, guessed = _upright(people)
    origin = _beginning(worlds[0])
    stood = []
    for world in worlds:
        heights = _floor(world)
        shift = np.zeros((len(world), 1, 3))
        shift[:, 0, 2] = heights
        if world.absolute:
            shift[..., :2] = origin
        feet = feet_positions(world)
        step = Step(NAME, {}, report | {"drift_m": float(np.ptp(heights))}, guessed)
        moved = world.xyz.astype(np.float64) - shift
        stood.append(with_step(world, step, moved, feet=None if feet is None else feet - shift))
    return stood


def _upright(people: Sequence[Poses3D]) -> tuple[list[Poses3D], dict[str, float | str], bool]:
    """Turn all people by one pitch and roll; also returns what the step reports, and whether it is a guess."""
    if all(motion.frame == "world" for motion in people):
        return list(people), {}, False
    ups, standing = [], []
    for motion in people:
        whole = replace(motion, seen=_whole(motion))
        xyz = positions(whole)
        try:
            up, report = estimate_up(whole, xyz)
        except PoseMambaError:  # somebody who never stands
            continue
        ups.append(up)
        standing.append(float(report["standing_frames"]))
    pitch, roll = 0.0, people[0].network.roll_deg
    if ups:
        up = np.average(ups, axis=0, weights=standing)
        if roll is None:
            seen = math.degrees(math.atan2(-up[0], -up[1]))
            roll = math.copysign(max(0.0, abs(seen) - _LEVEL), seen)
        pitch = pitch_of(up, roll)
    axes = level_axes(pitch, roll or 0.0)
    worlds = []
    for motion in people:
        feet = feet_positions(motion)
        turned = motion.xyz.astype(np.float64) @ axes
        world = with_step(motion, Step(NAME), turned, feet=None if feet is None else feet @ axes, frame="world")
        worlds.append(replace(world, steps=motion.steps))
    if not ups:
        return worlds, {"pitch_from": "nobody stands: the camera's up"}, True
    return worlds, {"pitch_deg": pitch, "roll_deg": roll or 0.0}, True


def _whole(motion: Poses3D) -> NDArray[np.bool_]:
    """Return the frames, (F,), in which all joints are known."""
    return np.asarray(motion.seen & np.isfinite(motion.xyz).all((1, 2)))


def _beginning(world: Poses3D) -> Array:
    """Return the place above which the pelvis is at the beginning, (2,) metres."""
    known, times = np.flatnonzero(_whole(world)), world.frame_times()
    if not len(known):
        raise PoseMambaError("nobody was seen whole in any frame, expected a person to put on the floor")
    begin = known[times[known] <= times[known[0]] + _BEGIN]
    return np.asarray(np.median(world.xyz[begin, 0, :2].astype(np.float64), axis=0))


def _floor(world: Poses3D) -> Array:
    """Return the floor's height below the person, (F,) metres, in frames without them too."""
    lowest, whole = _lowest(world), _whole(world)
    times = world.frame_times()
    heights = np.full(len(world), np.nan)
    for frames in segment_frames(world, seen=whole):
        # without a path the pelvis is at the origin in each frame, so nothing else says where the floor is
        heights[frames] = _drift(times[frames], lowest[frames]) if world.absolute else lowest[frames]
    known = np.flatnonzero(np.isfinite(heights))
    heights = np.interp(np.arange(len(heights)), known, heights[known])
    return heights + float(np.quantile((lowest - heights)[whole], _CONTACT))


def _lowest(world: Poses3D) -> Array:
    """Return the height of the body's lowest point in each frame, (F,) metres: soles, or what else touches the floor.

    Soles are heels and foot tips, or without these an ankle's height below the ankles.
    """
    xyz = world.xyz[..., 2].astype(np.float64)
    steps = [step.parameters["height_m"] for step in world.steps if step.name == "scale"]
    ankle = ANKLE_HEIGHT * (steps[-1] if steps else TYPICAL_HEIGHT)
    soles = xyz[:, list(FEET_ANKLES)] - ankle
    feet = feet_positions(world)
    if feet is not None:
        soles = np.where(np.isfinite(feet[..., 2]), feet[..., 2], soles)
    others = np.delete(xyz, ANKLES, axis=1) - _FLESH
    return np.asarray(np.concatenate([soles, others], 1).min(1))


def _drift(times: Array, low: Array) -> Array:
    """Return the slow part of the lowest point's height, (n,), from which fast changes are left out."""
    if len(times) < 3:
        return np.full(len(times), low.min())
    from scipy.ndimage import maximum_filter1d, percentile_filter

    step = float(np.median(np.diff(times)))
    level = percentile_filter(low, 100 * _CONTACT, size=_frames(_WINDOW, step), mode="nearest")
    level = fit_curve(times, level[:, None], np.ones((len(level), 1)), _SMOOTH)
    fast = np.abs(np.gradient(level, times)) > _REAL
    fast = maximum_filter1d(fast.astype(np.uint8), _frames(2 * _AROUND_REAL, step)) > 0
    change = np.diff(level)
    for start, end in true_spans(fast[1:] | fast[:-1]):
        net = float(change[start:end].sum())
        # back on the same floor after a jump, or on another one
        change[start:end] = net / (end - start) if abs(net) < _SAME_FLOOR else 0.0
    return np.asarray(level[0] + np.concatenate([[0.0], np.cumsum(change)]))


def _frames(seconds: float, step: float) -> int:
    """Return the largest odd number of frames within so many seconds."""
    return 2 * int(seconds / step / 2) + 1
