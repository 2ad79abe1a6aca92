"""BVH, Biovision's hierarchy and motion (Meredith and Maddock 2001, "Motion Capture File Formats Explained").

The format has degrees and a frame time, but no units of length, axes or comments. Here lengths are metres, y is up, and
the rest pose is a T that faces z (`rig`). Every joint has the channels Zrotation Xrotation Yrotation: its rotation is
Rz Rx Ry for column vectors. Wrists and the top of the head are End Sites, as the rotations of hands and head are
unknown; so are ankles, or else heels and foot tips where these were seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.common import Y_UP, Array, check, held_frames, notes, rows, with_feet, with_pauses, y_up
from posemamba.io.motion.humanoids import OWN, fit_rig
from posemamba.io.motion.rig import Rig, matrices
from posemamba.poses import Poses3D
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path

MOST_FRAMES = 2_000_000  # at an even rate; times that need more are wrong
UNEVEN = 0.1  # frames by which even times may be off the grid


def write_bvh(path: str | Path, motion: Poses3D, *, rig: str = OWN) -> tuple[str, ...]:
    """Write a skeleton of median bone lengths and its rotations: lengths with 6 decimals, degrees with 5.

    Bones have the motion's directions; joints are off by as much as the motion's bones vary in length. Frames in which
    the person was not seen hold the pose before. The format has a constant frame time: uneven times are resampled at
    the motion's frames per second, with positions linear between frames.

    Args:
        path: the file.
        motion: in metres.
        rig: names and hierarchy of the joints (`humanoids.RIGS`).

    Returns:
        Notes for the user, one line each.

    Raises:
        PoseMambaError: the motion is in pixels, nobody was seen, times do not increase, an even grid of them would
            have over two million frames, or the rig is unknown.
    """
    check(path, motion, "bvh")
    xyz, times = y_up(motion), motion.frame_times()
    shown, held = held_frames(xyz, motion.seen)
    frames, (keys, times, of_pauses) = len(times), with_pauses(times)
    xyz, of_feet = with_feet(motion, xyz[shown[keys]], shown[keys])
    remarks = (*notes(motion, held), *of_feet, *of_pauses, f"lengths are metres, {Y_UP}: bvh itself cannot say so")
    grid, step = _grid(path, times, motion.fps)
    if grid is not None:
        xyz = _resampled(xyz, times, grid)
        remarks = (f"resampled from {frames} uneven times to {len(grid)} frames, {motion.fps:g} a second", *remarks)
    fitted = fit_rig(motion, xyz, times if grid is None else grid, rig)
    turning = [i for i, node in enumerate(fitted.nodes) if node.turns]
    # Z, X, Y of each node; node by node, as all matrices would take twice the memory of everything else
    angles = np.concatenate([np.round(euler_zxy(matrices(fitted.rotations[:, i])), 5) + 0.0 for i in turning], -1)
    template = " ".join(["%.6f"] * 3 + ["%.5f"] * angles.shape[1]) + "\n"
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write("HIERARCHY\n")
        file.writelines(line + "\n" for line in _hierarchy(fitted))
        file.write(f"MOTION\nFrames: {len(xyz)}\nFrame Time: {step:.10f}\n")
        for text in rows(template, [np.round(fitted.root, 6) + 0.0, angles]):
            file.write(text)
    return remarks


def _hierarchy(rig: Rig, index: int = 0, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a node and its descendants."""
    node, indent = rig.nodes[index], "  " * depth
    if not node.turns:
        yield f"{indent}End Site"
    else:
        yield f"{indent}{'JOINT' if depth else 'ROOT'} {node.name}"
    yield f"{indent}{{"
    x, y, z = rig.offsets[index]
    yield f"{indent}  OFFSET {x:.6f} {y:.6f} {z:.6f}"
    if node.turns:
        place = "" if depth else "Xposition Yposition Zposition "
        yield f"{indent}  CHANNELS {3 if depth else 6} {place}Zrotation Xrotation Yrotation"
    for child, other in enumerate(rig.nodes):
        if other.parent == index:
            yield from _hierarchy(rig, child, depth + 1)
    yield f"{indent}}}"


def euler_zxy(rotation: Array) -> Array:
    """Return (F, 3) degrees z, x, y with rotation = Rz Rx Ry, each as near as possible to the frame before.

    Every rotation has two such triples, and multiples of 360 degrees. Without this choice, angles would jump where x
    passes 90 degrees (a bent knee), and programs that interpolate between frames would spin the limb.

    Args:
        rotation: (F, 3, 3) for column vectors.
    """
    away = np.hypot(rotation[:, 2, 0], rotation[:, 2, 2])  # cosine of x
    x = np.arctan2(rotation[:, 2, 1], away)
    # at x = 90 degrees y and z rotate about one axis (gimbal lock): z gets all of it
    y = np.where(away > 1e-7, np.arctan2(-rotation[:, 2, 0], rotation[:, 2, 2]), 0.0)
    cos, sin = np.cos(y), np.sin(y)
    z = np.arctan2(rotation[:, 1, 0] * cos + rotation[:, 1, 2] * sin, rotation[:, 0, 0] * cos + rotation[:, 0, 2] * sin)
    one = np.degrees(np.stack([z, x, y], -1))
    other = one * [1, -1, 1] + 180
    stay, flip = (np.abs((to[1:] - one[:-1] + 180) % 360 - 180).sum(-1) for to in (one, other))
    # flipping both of two neighbours keeps their distance, so the choice depends on the neighbour only
    flipped = np.concatenate([[0], np.cumsum(flip < stay)]) % 2 == 1
    return np.asarray(np.unwrap(np.where(flipped[:, None], other, one), period=360, axis=0))


def _grid(path: str | Path, times: NDArray[np.float64], fps: float) -> tuple[Array | None, float]:
    """Return even times to resample to, or None if times are even already; and the seconds of a frame."""
    if len(times) == 1:
        return None, 1 / fps
    span = float(times[-1] - times[0])
    step = span / (len(times) - 1)
    if np.abs(times - times[0] - step * np.arange(len(times))).max() <= UNEVEN * step:
        return None, step
    count = round(span * fps) + 1
    if count > MOST_FRAMES:
        raise PoseMambaError(
            f"{path}: bvh needs even times; from {times[0]:.3f} to {times[-1]:.3f} s they would be {count} frames, "
            f"more than {MOST_FRAMES}: correct the times, or write csv, trc or glb, which keep them"
        )
    return times[0] + np.arange(count) / fps, 1 / fps


def _resampled(xyz: Array, times: NDArray[np.float64], at: Array) -> Array:
    """Interpolate positions linearly at the times `at`, (len(at), N, 3); beyond the end the last one is held."""
    after = np.searchsorted(times, at, side="right").clip(1, len(times) - 1)
    share = ((at - times[after - 1]) / (times[after] - times[after - 1])).clip(0, 1)[:, None, None]
    return np.asarray((1 - share) * xyz[after - 1] + share * xyz[after])
