"""BVH, Biovision's hierarchy and motion (Meredith and Maddock 2001, "Motion Capture File Formats Explained").

The format knows degrees and a frame time; it has no place for units or axes and no comments. Here they are metres, y
up, the rest pose a T that faces z (`rig`). Every joint has the channels Zrotation Xrotation Yrotation: its rotation
is Rz Rx Ry for column vectors. Ankles, wrists and the top of the head are End Sites: nothing says how hands, feet and
head turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posemamba.io.motion.common import Y_UP, Array, check, held_frames, notes, rows, y_up
from posemamba.io.motion.rig import Rig, make_rig, matrices
from posemamba.poses import Motion3D
from posemamba.utils.errors import PoseMambaError
from posemamba.utils.files import atomic_path

MOST_FRAMES = 2_000_000  # at an even rate; more are times that are wrong
UNEVEN = 0.1  # frames that times may be off an even grid, and still count as even


def write_bvh(path: str | Path, motion: Motion3D) -> tuple[str, ...]:
    """Write a skeleton of median bone lengths and its rotations: lengths with 6 decimals, degrees with 5.

    Bones point where they do in the motion; joints are off by as much as bones there vary in length. Frames in which
    the person was not seen hold the pose before. The frames' distance is constant in this format: times that are not
    even are resampled at the motion's frames per second, positions linear between frames.

    Args:
        path: the file.
        motion: in metres.

    Returns:
        Notes for the user, one line each.

    Raises:
        PoseMambaError: pixels, nobody seen, times that do not increase or whose even grid would have over two
            million frames.
    """
    check(path, motion, "bvh")
    xyz, times = y_up(motion), motion.frame_times()
    shown, held = held_frames(xyz, motion.seen)
    xyz = xyz[shown]
    said = (*notes(motion, held), f"lengths are metres, {Y_UP}: bvh itself cannot say so")
    grid, step = _grid(path, times, motion.fps)
    if grid is not None:
        xyz = _resampled(xyz, times, grid)
        said = (f"resampled from {len(times)} uneven times to {len(grid)} frames, {motion.fps:g} a second", *said)
    rig = make_rig(xyz)
    turning = [i for i, node in enumerate(rig.nodes) if node.turns]
    # Z, X, Y of each node; nodes one by one, since their matrices would take twice the memory of all the rest
    angles = np.concatenate([np.round(euler_zxy(matrices(rig.rotations[:, i])), 5) + 0.0 for i in turning], -1)
    template = " ".join(["%.6f"] * 3 + ["%.5f"] * angles.shape[1]) + "\n"
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write("HIERARCHY\n")
        file.writelines(line + "\n" for line in _hierarchy(rig))
        file.write(f"MOTION\nFrames: {len(xyz)}\nFrame Time: {step:.10f}\n")
        for text in rows(template, [np.round(rig.root, 6) + 0.0, angles]):
            file.write(text)
    return said


def _hierarchy(rig: Rig, index: int = 0, depth: int = 0) -> Iterator[str]:
    """The lines of a node and of what hangs on it."""
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
    """(F, 3) degrees z, x, y with rotation = Rz Rx Ry, each as near as possible to the frame before.

    Every rotation has two such triples, and multiples of 360; without choosing, angles would jump where x passes 90
    degrees (a bent knee), and programs that draw them between frames would spin the limb.

    Args:
        rotation: (F, 3, 3) for column vectors.
    """
    away = np.hypot(rotation[:, 2, 0], rotation[:, 2, 2])  # cosine of x
    x = np.arctan2(rotation[:, 2, 1], away)
    # at x = 90 degrees y and z turn about one axis: all of it is given to z
    y = np.where(away > 1e-7, np.arctan2(-rotation[:, 2, 0], rotation[:, 2, 2]), 0.0)
    cos, sin = np.cos(y), np.sin(y)
    z = np.arctan2(rotation[:, 1, 0] * cos + rotation[:, 1, 2] * sin, rotation[:, 0, 0] * cos + rotation[:, 0, 2] * sin)
    one = np.degrees(np.stack([z, x, y], -1))
    other = one * [1, -1, 1] + 180
    stay, flip = (np.abs((to[1:] - one[:-1] + 180) % 360 - 180).sum(-1) for to in (one, other))
    # flipping both of two neighbours leaves their distance, so whether to flip depends on the neighbour only
    flipped = np.concatenate([[0], np.cumsum(flip < stay)]) % 2 == 1
    return np.asarray(np.unwrap(np.where(flipped[:, None], other, one), period=360, axis=0))


def _grid(path: str | Path, times: NDArray[np.float64], fps: float) -> tuple[Array | None, float]:
    """Even times in place of uneven ones, None where they are even already; and the seconds of a frame."""
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
            f"more than {MOST_FRAMES}: mend the times, or write csv, trc or glb, which keep them"
        )
    return times[0] + np.arange(count) / fps, 1 / fps


def _resampled(xyz: Array, times: NDArray[np.float64], at: Array) -> Array:
    """(len(at), 17, 3) positions between frames; the last one beyond the end."""
    after = np.searchsorted(times, at, side="right").clip(1, len(times) - 1)
    share = ((at - times[after - 1]) / (times[after] - times[after - 1])).clip(0, 1)[:, None, None]
    return np.asarray((1 - share) * xyz[after - 1] + share * xyz[after])
