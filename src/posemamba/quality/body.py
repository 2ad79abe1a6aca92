"""Checks of the 3D joints: constant bone lengths, no flips of limbs, no joints that bend backwards."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from posemamba.poses.skeletons import H36M17, LIMB_SEGMENTS, LIMBS
from posemamba.quality.common import (
    JOINTS,
    Array,
    CheckResult,
    JudgedClip,
    Mask,
    frame_mean,
    joined,
    number,
    percentile,
    true_spans,
)
from posemamba.refine.common import bone_lengths

BONE_GOAL = 0.03
"""A good value of a bone length's standard deviation over its mean."""
BONES_OFF, BONE_OFF = 0.16, 0.4
"""Deviation from the median length above which a frame is marked: the mean of all bones, and one bone of a limb."""
TURN_LIMITS = {"thigh": 1500.0, "upper arm": 1500.0, "shin": 2000.0, "forearm": 2000.0}
"""Degrees a second above which a limb's turn is marked (see docs/quality.md)."""
BENT = 30.0
"""Degrees of backward bend from which on a knee or an elbow is marked."""
WRONG_WAY = {"knee": 0.7, "elbow": 0.8}
"""Cosine to the backward axis of a joint from which on it counts as bent backwards."""

BONES = tuple(
    next((n for n, ends in LIMB_SEGMENTS.items() if ends == (p, c)), f"{JOINTS[p]} to {JOINTS[c]}")
    for p, c in H36M17.bones
)
_MARKED_ALONE = (*LIMB_SEGMENTS, "pelvis to spine", "spine to thorax")  # short bones are off by half without much harm
_WINDOW = 0.5  # seconds: the length of the worst span
_FEWEST = 5  # frames, for a standard deviation
_TURN_STEP = 1 / 60  # seconds at least between compared frames: at higher frame rates noise looks like fast turns
_THROUGH_SECONDS = 0.15
_THROUGH_DEPTH = 30.0  # degrees out of the picture's plane, before and after
_THROUGH_STILL = 0.03  # body lengths that the limb's end may move in 2D, relative to its root


def check_bones(clip: JudgedClip) -> CheckResult:
    """Check bone lengths over time, where both joints are certain, and compare left with right."""
    result = CheckResult()
    parents, children = np.array(H36M17.bones).T
    lengths = bone_lengths(clip.xyz)
    certain = clip.certain[:, parents] & clip.certain[:, children]
    lengths[~certain] = np.nan
    enough = np.isfinite(lengths).sum(0) >= _FEWEST
    off = np.full(lengths.shape, np.nan)
    spreads = np.full(len(BONES), np.nan)
    table: dict[str, dict[str, Any]] = {}
    for e in np.flatnonzero(enough).tolist():
        off[:, e] = lengths[:, e] / np.nanmedian(lengths[:, e]) - 1
        spreads[e] = np.nanstd(lengths[:, e]) / np.nanmean(lengths[:, e])
    mean = frame_mean(np.abs(off))
    gap = clip.frames_in(0.1)
    whole = joined(np.nan_to_num(mean) > BONES_OFF, gap)
    for a, b in true_spans(whole):
        text = f"bones are {np.nanmax(mean[a:b]):.0%} off their usual lengths on average"
        result.faults.append(clip.fault("bone", "", (a, b), text))
    for e, name in enumerate(BONES):
        worst = _worst_window(clip, np.abs(off[:, e]))
        table[name] = {
            "spread": number(spreads[e]),
            "frames": int(np.isfinite(lengths[:, e]).sum()),
            "median_m": number(clip.metre * float(np.nanmedian(lengths[:, e])) if enough[e] else np.nan),
            "worst_s": worst,
        }
        for a, b in true_spans(joined((np.abs(off[:, e]) > BONE_OFF) & ~whole, gap)):
            if name not in _MARKED_ALONE:
                continue
            most = off[a:b, e][np.nanargmax(np.abs(off[a:b, e]))]
            text = f"{name} {abs(most):.0%} {'longer' if most > 0 else 'shorter'} than in most frames"
            result.faults.append(clip.fault("bone", name, (a, b), text))
    sides = {}
    for name in BONES:
        if name.startswith("left") or name.endswith(("left hip", "left shoulder")):
            ours, other = table[name]["median_m"], table[name.replace("left", "right")]["median_m"]
            if ours and other:
                sides[name.replace("left ", "")] = ours / other - 1
    known = np.isfinite(spreads)
    first = int(np.nanargmax(spreads)) if known.any() else None
    result.numbers = {
        "goal": BONE_GOAL,
        "spread": number(float(np.mean(spreads[known])) if known.any() else np.nan),
        "refined_spread": _refined_spread(clip, certain),
        "worst": BONES[first] if first is not None else None,
        "worst_spread": number(spreads[first]) if first is not None else None,
        "worst_s": table[BONES[first]]["worst_s"] if first is not None else None,
        "left_over_right": sides,
        "by_bone": table,
    }
    result.series["bones"] = mean
    return result


def _refined_spread(clip: JudgedClip, certain: Mask) -> float | None:
    """Return the spread of bone lengths in the refined motion, mean of the bones; `certain` is (F, E)."""
    if clip.refined is None:
        return None
    lengths = bone_lengths(clip.refined.xyz.astype(np.float64))
    if clip.refined.units == "pixel":
        lengths = lengths / clip.size[:, None]  # grow as the person comes nearer
    lengths[~certain] = np.nan
    lengths = lengths[:, np.isfinite(lengths).sum(0) >= _FEWEST]
    return float((np.nanstd(lengths, 0) / np.nanmean(lengths, 0)).mean()) if lengths.shape[1] else None


def _worst_window(clip: JudgedClip, off: Array) -> list[float] | None:
    """Return [start, end] in seconds of the half second in which the values are largest."""
    if not np.isfinite(off).any():
        return None
    width = min(len(off), clip.frames_in(_WINDOW))
    sums = np.convolve(np.nan_to_num(off), np.ones(width), "valid")
    first = int(np.argmax(sums))
    return [float(clip.times[first]), float(clip.times[first + width - 1])]


def check_flips(clip: JudgedClip) -> CheckResult:
    """Find limbs that turn impossibly fast, or change from forwards to backwards while the 2D joints stay still."""
    result, frames = CheckResult(), len(clip.times)
    fastest = np.full(frames, np.nan)
    table, total = {}, 0
    for name, (root, end) in LIMB_SEGMENTS.items():
        limit = TURN_LIMITS[name.split(" ", 1)[1]]
        speed = np.full(frames, np.nan)
        marked = np.zeros(frames, bool)
        if frames > 1:
            unit = _unit(clip.xyz[:, end] - clip.xyz[:, root])
            speed, marked = _turning(clip, unit, limit)
            marked |= _through(clip, unit, root, end)
        fastest = np.fmax(fastest, speed)
        spans = true_spans(joined(marked, clip.frames_in(0.2)))
        total += len(spans)
        table[name] = {
            "flips": len(spans),
            "fastest_deg_s": number(percentile(speed, 100)),
            "p99_deg_s": number(percentile(speed, 99)),
        }
        for a, b in spans:
            most = percentile(speed[a:b], 100)
            if most > limit:
                text = f"{name} turns by {most:.0f} degrees a second, at most {limit:.0f} are humanly possible"
            else:
                text = f"{name} flips through the body: forwards becomes backwards while the 2D hardly moves"
            result.faults.append(clip.fault("flip", name, (a, b), text))
    result.numbers = {"limits_deg_s": TURN_LIMITS, "flips": total, "by_limb": table, "refined": _refined_turns(clip)}
    result.series["turning"] = fastest
    return result


def _refined_turns(clip: JudgedClip) -> dict[str, Any] | None:
    """Return the refined motion's count of limbs that turn too fast, its fastest turn and the limb of that turn."""
    if clip.refined is None or len(clip.times) < 2:
        return None
    xyz = clip.refined.xyz.astype(np.float64)  # in whatever frame: angles are the same in all
    total, fastest = 0, {}
    for name, (root, end) in LIMB_SEGMENTS.items():
        speed, marked = _turning(clip, _unit(xyz[:, end] - xyz[:, root]), TURN_LIMITS[name.split(" ", 1)[1]])
        total += len(true_spans(joined(marked, clip.frames_in(0.2))))
        fastest[name] = percentile(speed, 100)
    known = {name: speed for name, speed in fastest.items() if np.isfinite(speed)}
    limb = max(known, key=lambda name: known[name], default=None)
    return {"too_fast": total, "fastest_deg_s": known[limb] if limb else None, "limb": limb}


def _turning(clip: JudgedClip, unit: Array, limit: float) -> tuple[Array, Mask]:
    """Return the (F,) degrees a second into each frame, and (F,) the frames of flips: those between two fast turns."""
    frames, step = len(unit), clip.frames_in(_TURN_STEP)
    speed = np.full(frames, np.nan)
    if frames <= step:
        return speed, np.zeros(frames, bool)
    angle = np.degrees(np.arccos(np.clip((unit[step:] * unit[:-step]).sum(-1), -1, 1)))
    speed[step:] = angle / (clip.times[step:] - clip.times[:-step])
    fast = np.nan_to_num(speed) > limit
    marked = fast.copy()
    # a limb that flips and comes back is wrong in between
    events = np.flatnonzero(fast)
    for a, b in itertools.pairwise(events):
        if b - a <= clip.frames_in(0.3):
            marked[a:b] = True
    back = events[1:][np.diff(events) > 1]
    marked[back] = False  # the frame in which it is right again
    return speed, marked


def _through(clip: JudgedClip, unit: Array, root: int, end: int) -> Mask:
    """Return (F,) the frames of flips in depth: from well in front of the picture's plane to well behind, or back."""
    frames, width = len(unit), clip.frames_in(_THROUGH_SECONDS)
    marked = np.zeros(frames, bool)
    if frames <= width:
        return marked
    depth = np.degrees(np.arcsin(np.clip(unit[..., 2], -1, 1)))
    arm = (clip.turned_xy[:, end] - clip.turned_xy[:, root]) / clip.size[:, None]
    arm[~(clip.certain[:, root] & clip.certain[:, end])] = np.nan
    before, after = depth[:-width], depth[width:]
    with np.errstate(invalid="ignore"):
        opposite = (before * after < 0) & (np.minimum(np.abs(before), np.abs(after)) > _THROUGH_DEPTH)
    for a in np.flatnonzero(opposite).tolist():
        flip = slice(a, a + width + 1)
        if clip.usable[flip].all():
            moved = np.linalg.norm(arm[flip] - arm[a], axis=-1)
            if np.isfinite(moved).all() and moved.max() < _THROUGH_STILL:
                marked[flip] = True
    return marked


def check_bends(clip: JudgedClip) -> CheckResult:
    """Find knees and elbows that are bent backwards, by the axis about which they bend.

    A knee bends about the line from the right hip to the left, an elbow about the opposite direction. Hips and
    shoulders turn that axis by up to a right angle, so only a clearly reversed axis is marked.
    """
    result = CheckResult()
    hips, shoulders = _unit(clip.xyz[:, 4] - clip.xyz[:, 1]), _unit(clip.xyz[:, 11] - clip.xyz[:, 14])  # to the left
    table = {}
    for side in ("left", "right"):
        for kind, limb, sideways in (("knee", "leg", hips), ("elbow", "arm", -shoulders)):
            a, b, c = LIMBS[f"{side} {limb}"]
            upper, lower = clip.xyz[:, b] - clip.xyz[:, a], clip.xyz[:, c] - clip.xyz[:, b]
            axis = np.cross(upper, lower)
            bend = np.degrees(np.arctan2(np.linalg.norm(axis, axis=-1), (upper * lower).sum(-1)))
            wrong = (_unit(axis) * sideways).sum(-1) < -WRONG_WAY[kind]
            if kind == "elbow":  # the shoulder can turn a raised arm's axis any way
                wrong &= _hangs(clip, upper)
            marked = np.nan_to_num(bend) * wrong > BENT
            share = float(marked[clip.usable].mean()) if clip.usable.any() else np.nan
            table[f"{side} {kind}"] = number(share)
            for start, end in true_spans(joined(marked, clip.frames_in(0.1))):
                most = percentile(np.where(marked, bend, np.nan)[start:end], 100)
                text = f"{side} {kind} bent backwards by {most:.0f} degrees"
                result.faults.append(clip.fault("bend", f"{side} {kind}", (start, end), text))
    result.numbers = {"limit_deg": BENT, "share_of_frames": table}
    return result


def _hangs(clip: JudgedClip, upper: Array) -> Mask:
    """Return (F,) the frames in which the upper arm points down the trunk, within 45 degrees."""
    trunk = clip.xyz[:, 0] - clip.xyz[:, 8]
    return np.asarray((_unit(upper) * _unit(trunk)).sum(-1) > 0.7)


def _unit(v: Array) -> Array:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9))
